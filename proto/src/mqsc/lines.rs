//! Lines to commands: continuations, comments, limits.

/// Characters of a line, and of a command with all its lines (IBM MQ, "Building command scripts").
const LINE_MOST: usize = 2048;
const COMMAND_MOST: usize = 32_768;

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A comment, or nothing.
    Empty,
    /// It begins a command that goes on with the next line.
    Begins,
    /// It goes on with a command that is not complete yet.
    GoesOn,
    /// The whole command; `joined` when it had lines before.
    Complete { text: String, joined: bool },
    /// Longer than a line or a command can be.
    TooLong { joined: bool },
}

/// Puts the lines of a command together.
#[derive(Debug, Default)]
pub struct Joiner {
    text: String,
    going: Option<Going>,
    /// A line of the command was too long, and it goes on: what is left of it is no command.
    is_skipping: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Going {
    /// `+`: from the first character of the next line that is no blank.
    Trimmed,
    /// `-`: from the start of the next line.
    AsIs,
}

impl Joiner {
    pub fn push(&mut self, line: &str) -> Line {
        let line = line.trim_end();
        if line.starts_with('*') || line.is_empty() {
            return Line::Empty;
        }
        let goes_on = line.ends_with(['+', '-']);
        if self.is_skipping {
            self.is_skipping = goes_on;
            return Line::GoesOn;
        }
        let joined = self.going.is_some();
        let length = line.chars().count();
        if length > LINE_MOST || self.text.len() + line.len() > COMMAND_MOST {
            self.text.clear();
            self.going = None;
            self.is_skipping = goes_on;
            return Line::TooLong { joined };
        }
        let (part, going) = match line.as_bytes()[line.len() - 1] {
            b'+' => (&line[..line.len() - 1], Some(Going::Trimmed)),
            b'-' => (&line[..line.len() - 1], Some(Going::AsIs)),
            _ => (line, None),
        };
        self.text.push_str(if self.going == Some(Going::Trimmed) { part.trim_start() } else { part });
        self.going = going;
        match (going, joined) {
            (Some(_), true) => Line::GoesOn,
            (Some(_), false) => Line::Begins,
            (None, joined) => Line::Complete { text: std::mem::take(&mut self.text), joined },
        }
    }

    /// Whether a command was begun.
    pub fn is_open(&self) -> bool {
        self.going.is_some() || self.is_skipping
    }

    /// What was begun when there are no more lines. Of a command with a line that was too long that was said already.
    pub fn rest(&mut self) -> Option<String> {
        self.going.take().map(|_| std::mem::take(&mut self.text))
    }
}

/// A line of a script as lines that can be read again: [`Joiner`] makes the same of them.
pub fn broken(line: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = line;
    let mut indent = "";
    while indent.len() + rest.chars().count() > LINE_MOST {
        // One character is for the sign.
        let taken = LINE_MOST - indent.len() - 1;
        let (at, next) = rest.char_indices().nth(taken).expect("it is longer");
        let (piece, behind) = rest.split_at(at);
        // Behind a plus leading blanks are skipped; behind a minus a star would begin a comment.
        let (sign, next_indent) = if next.is_whitespace() { ("-", "") } else { ("+", "      ") };
        lines.push(format!("{indent}{piece}{sign}"));
        (rest, indent) = (behind, next_indent);
    }
    lines.push(format!("{indent}{rest}"));
    debug_assert!(
        lines.iter().all(|line| line.chars().count() <= LINE_MOST),
        "each of them is as long as a line may be"
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(lines: &[&str]) -> String {
        let mut joiner = Joiner::default();
        for line in lines {
            if let Line::Complete { text, .. } = joiner.push(line) {
                return text;
            }
        }
        panic!("{lines:?} is no whole command")
    }

    #[test]
    fn a_plus_skips_blanks_and_a_minus_keeps_them() {
        assert_eq!(whole(&["DEFINE QLOCAL(A) +", "   DESCR('Fr+", "ed')"]), "DEFINE QLOCAL(A) DESCR('Fred')");
        assert_eq!(whole(&["DESCR('Fr-", "ed')"]), "DESCR('Fred')");
        assert_eq!(whole(&["A-", "  B"]), "A  B");
    }

    #[test]
    fn comments_and_empty_lines_do_not_end_a_command() {
        assert_eq!(whole(&["* first", "A +", "* CRDATE(2020-01-01)", "", "B"]), "A B");
        let mut joiner = Joiner::default();
        assert_eq!(joiner.push("A +"), Line::Begins);
        assert_eq!(joiner.push("B +"), Line::GoesOn);
        assert_eq!(joiner.rest().as_deref(), Some("A B "));
        assert_eq!(joiner.rest(), None);
    }

    #[test]
    fn what_is_too_long_is_said_to_be() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.push(&"x".repeat(2049)), Line::TooLong { joined: false });
        assert_eq!(joiner.push("A"), Line::Complete { text: "A".into(), joined: false });
    }

    #[test]
    fn the_rest_of_a_command_that_is_too_long_is_no_command() {
        let mut joiner = Joiner::default();
        assert_eq!(joiner.push("DEFINE TOPIC(A) +"), Line::Begins);
        assert_eq!(joiner.push(&format!("{} +", "x".repeat(2048))), Line::TooLong { joined: true });
        assert!(joiner.is_open());
        assert_eq!(joiner.push("DELETE QLOCAL(A) +"), Line::GoesOn);
        assert_eq!(joiner.push("REPLACE"), Line::GoesOn);
        assert_eq!(joiner.push("B"), Line::Complete { text: "B".into(), joined: false });
        joiner.push(&format!("{} -", "x".repeat(2048)));
        assert_eq!((joiner.is_open(), joiner.rest()), (true, None), "it was said already");
    }

    #[test]
    fn a_line_that_was_broken_is_read_as_it_was() {
        assert_eq!(broken("DEFINE QLOCAL('A')"), ["DEFINE QLOCAL('A')"]);
        for long in ["x", "é", "*", " ", "+", "-", "a ", " *", "''"] {
            let line = format!("DESCR('{}')", long.repeat(5000));
            let lines = broken(&line);
            assert!(
                lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= LINE_MOST),
                "{long:?}"
            );
            assert_eq!(whole(&lines.iter().map(String::as_str).collect::<Vec<_>>()), line, "{long:?}");
        }
    }
}
