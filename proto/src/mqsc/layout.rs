//! Two columns: how MQSC shows attributes.

/// Characters of the first column.
const COLUMN: usize = 40;

/// What is shown of an attribute: name and value, or the name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub name: String,
    pub value: Option<String>,
}

impl Cell {
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Cell {
        Cell { name: name.into(), value: Some(value.into()) }
    }

    pub fn keyword(name: impl Into<String>) -> Cell {
        Cell { name: name.into(), value: None }
    }

    fn text(&self) -> String {
        match &self.value {
            None => self.name.clone(),
            // What cannot be printed is shown as dots.
            Some(value) if value.trim().is_empty() => format!("{}( )", self.name),
            Some(value) => {
                let shown: String = value.chars().map(|c| if c.is_control() { '.' } else { c }).collect();
                format!("{}({shown})", self.name)
            }
        }
    }
}

/// Two cells a line; one that is too long for its column has a line of its own.
pub fn lines(cells: &[Cell]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting: Option<String> = None;
    for cell in cells {
        let text = cell.text();
        let is_long = text.chars().count() >= COLUMN;
        match waiting.take() {
            Some(first) if !is_long => {
                let gap = COLUMN - first.chars().count();
                lines.push(format!("   {first}{}{text}", " ".repeat(gap)));
            }
            Some(first) => {
                lines.push(format!("   {first}"));
                lines.push(format!("   {text}"));
            }
            None if is_long => lines.push(format!("   {text}")),
            None => waiting = Some(text),
        }
    }
    lines.extend(waiting.map(|first| format!("   {first}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_has_a_line_of_its_own() {
        let cells = [
            Cell::new("CHLAUTH", "DEV.ADMIN.SVRCONN"),
            Cell::new("TYPE", "USERMAP"),
            Cell::new("DESCR", "Allows admin user to connect via ADMIN channel"),
            Cell::new("CUSTOM", ""),
            Cell::new("ADDRESS", " "),
            Cell::keyword("NOTRIGGER"),
        ];
        let expected = "   CHLAUTH(DEV.ADMIN.SVRCONN)              TYPE(USERMAP)\n   \
            DESCR(Allows admin user to connect via ADMIN channel)\n   \
            CUSTOM( )                               ADDRESS( )\n   \
            NOTRIGGER";
        assert_eq!(lines(&cells).join("\n"), expected);
    }
}
