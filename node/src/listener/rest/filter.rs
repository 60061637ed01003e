//! `filter=attribute:operator:value`: which of the objects that were found are shown.

use std::cmp::Ordering;

use serde_json::Value;

use super::names::Shape;
use super::problem::Problem;
use crate::types::Reason;

/// IBM's words, and which orders they take.
#[rustfmt::skip]
const OPERATORS: [(&str, &[Ordering]); 6] = [
    ("lessThan", &[Ordering::Less]),
    ("greaterThan", &[Ordering::Greater]),
    ("equalTo", &[Ordering::Equal]),
    ("notEqualTo", &[Ordering::Less, Ordering::Greater]),
    ("lessThanOrEqualTo", &[Ordering::Less, Ordering::Equal]),
    ("greaterThanOrEqualTo", &[Ordering::Greater, Ordering::Equal]),
];

/// An attribute and what it is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    path: String,
    takes: &'static [Ordering],
    with: With,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum With {
    Number(i64),
    Text(String),
    /// Texts that begin so.
    Beginning(String),
    Switch(bool),
}

impl Filter {
    /// `shape` knows what can be compared.
    ///
    /// # Errors
    /// 400 for what cannot.
    pub fn read(text: &str, shape: impl Fn(&str) -> Option<Shape>) -> Result<Filter, Problem> {
        let bad = |reason, detail: String| Err(Problem::bad(reason, detail));
        let mut parts = text.splitn(3, ':');
        let (Some(path), Some(operator), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
            let detail = format!("filter is attribute:operator:value, and not {text:?}.");
            return bad(Reason::OptionsError, detail);
        };
        let Some(shape) = shape(path) else {
            return bad(
                Reason::SelectorError,
                format!("There is no attribute {path:?} that could be compared."),
            );
        };
        let Some((_, takes)) = OPERATORS.iter().find(|(word, _)| *word == operator) else {
            let words: Vec<&str> = OPERATORS.iter().map(|(word, _)| *word).collect();
            return bad(
                Reason::OptionsError,
                format!("A filter has one of {}, not {operator:?}.", words.join(", ")),
            );
        };
        let is_equality = matches!(operator, "equalTo" | "notEqualTo");
        let with = match (shape, value.strip_suffix('*')) {
            (Shape::Number, _) => value.parse().ok().map(With::Number),
            (Shape::Switch, _) if is_equality => value.parse().ok().map(With::Switch),
            (Shape::Switch, _) => None,
            (Shape::Text, Some(begins)) if is_equality => Some(With::Beginning(begins.to_owned())),
            (Shape::Text, _) => Some(With::Text(value.to_owned())),
        };
        match with {
            Some(with) => Ok(Filter { path: path.to_owned(), takes, with }),
            None => bad(Reason::AttrValueError, format!("{path} cannot be {operator} {value:?}.")),
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn holds(&self, value: &Value) -> bool {
        let order = match (&self.with, value) {
            (With::Number(number), value) => value.as_i64().map(|told| told.cmp(number)),
            (With::Switch(is), value) => value.as_bool().map(|told| told.cmp(is)),
            (With::Text(text), value) => value.as_str().map(|told| told.cmp(text)),
            (With::Beginning(begins), value) => value.as_str().map(|told| match told.starts_with(begins) {
                true => Ordering::Equal,
                false => Ordering::Less,
            }),
        };
        order.is_some_and(|order| self.takes.contains(&order))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Filter, u32> {
        let shape = |path: &str| match path {
            "depth" => Some(Shape::Number),
            "text" => Some(Shape::Text),
            "is" => Some(Shape::Switch),
            _ => None,
        };
        Filter::read(text, shape).map_err(|problem| problem.reason.number())
    }

    #[test]
    fn numbers_are_compared_as_numbers_texts_as_texts_and_switches_for_what_they_are() {
        for (filter, value, holds) in [
            ("depth:lessThan:9", json!(10), false),
            ("depth:lessThan:10", json!(9), true),
            ("depth:greaterThanOrEqualTo:9", json!(9), true),
            ("depth:notEqualTo:9", json!(9), false),
            ("text:equalTo:a:b", json!("a:b"), true),
            ("text:equalTo:AB*", json!("ABC"), true),
            ("text:notEqualTo:AB*", json!("ABC"), false),
            ("text:notEqualTo:AB*", json!("B"), true),
            ("text:lessThan:B", json!("A"), true),
            ("is:equalTo:true", json!(true), true),
            ("is:notEqualTo:true", json!(true), false),
        ] {
            assert_eq!(read(filter).unwrap().holds(&value), holds, "{filter} {value}");
        }
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        for (filter, reason) in [
            ("depth", 2046),
            ("depth:lessThan", 2046),
            ("depth:less:1", 2046),
            ("color:equalTo:1", 2067),
            ("depth:equalTo:deep", 4005),
            ("is:lessThan:true", 4005),
            ("is:equalTo:yes", 4005),
        ] {
            assert_eq!(read(filter), Err(reason), "{filter}");
        }
    }
}
