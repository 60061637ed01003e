//! Text to blocks, lines to words.

/// Commands and what must come of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Comments and empty lines before the commands, kept when the script is rewritten.
    pub before: Vec<String>,
    pub commands: Vec<String>,
    pub expected: Vec<String>,
    /// Number of the first command's line.
    pub line: usize,
}

pub fn parse(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut block = Block { before: Vec::new(), commands: Vec::new(), expected: Vec::new(), line: 0 };
    let mut expecting = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let between = line.is_empty() || (line.starts_with('#') && !expecting);
        if expecting && line.is_empty() {
            expecting = false;
            let empty = Block { before: Vec::new(), commands: Vec::new(), expected: Vec::new(), line: 0 };
            blocks.push(std::mem::replace(&mut block, empty));
        } else if expecting {
            block.expected.push(line.to_string());
        } else if line == "----" {
            expecting = true;
        } else if between && block.commands.is_empty() {
            if !line.is_empty() {
                block.before.push(line.to_string());
            }
        } else if !line.is_empty() {
            if block.commands.is_empty() {
                block.line = number + 1;
            }
            block.commands.push(line.to_string());
        }
    }
    if !block.commands.is_empty() {
        blocks.push(block);
    }
    blocks
}

pub fn print(blocks: &[Block]) -> String {
    let mut parts = Vec::new();
    for block in blocks {
        let mut lines = block.before.clone();
        lines.extend(block.commands.iter().cloned());
        lines.push("----".to_string());
        lines.extend(block.expected.iter().cloned());
        parts.push(lines.join("\n"));
    }
    parts.join("\n\n") + "\n"
}

/// Words of a command; what is in double quotes is one word.
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.push('"');
            }
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            other => word.push(other),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_printed_as_it_was_read() {
        let text = "# a story\ncluster nodes=3\n----\nok\n\nput Q \"a b\"\nget Q\n----\nA ok\nA \"a b\"\n";
        let blocks = parse(text);
        assert_eq!(blocks.len(), 2);
        assert_eq!(blocks[1].expected, ["A ok", "A \"a b\""]);
        assert_eq!(print(&blocks), text);
        assert_eq!(words("app A put Q \"a b\" x=1"), ["app", "A", "put", "Q", "\"a b\"", "x=1"]);
    }
}
