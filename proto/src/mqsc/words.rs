//! The text of a command to its words: keywords, each with what stands in brackets behind it.

/// A keyword, in capitals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub name: String,
    /// None without brackets.
    pub values: Option<Vec<Item>>,
    /// Where it ends, with its brackets, and where the keyword alone does.
    pub end: usize,
    pub name_end: usize,
}

/// One of the values in brackets: in capitals, unless it was quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub text: String,
    pub end: usize,
}

impl Word {
    /// The value, when there is exactly one.
    pub fn one(&self) -> Option<&str> {
        match self.values.as_deref() {
            Some([item]) => Some(item.text.trim_end()),
            _ => None,
        }
    }

    /// All values; none without brackets.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.values.iter().flatten().map(|item| item.text.as_str())
    }
}

/// # Errors
/// Where the text makes no sense any more: the number of bytes up to and with that place.
pub fn words(text: &str) -> Result<Vec<Word>, usize> {
    let mut reader = Reader { text, at: 0 };
    let mut words = Vec::new();
    loop {
        reader.skip_separators();
        match reader.peek() {
            None => return Ok(words),
            // A semicolon ends a command, and nothing follows.
            Some(';') => {
                let rest = &text[reader.at + 1..];
                return if rest.trim().is_empty() {
                    Ok(words)
                } else {
                    Err(text.len() - rest.trim_start().len() + 1)
                };
            }
            Some(_) => words.push(reader.word()?),
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_separators(&mut self) {
        let rest = &self.text[self.at..];
        let skipped = rest.len() - rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',').len();
        self.at += skipped;
    }

    /// As far as `is_part` holds.
    fn take(&mut self, is_part: impl Fn(char) -> bool) -> &str {
        let rest = &self.text[self.at..];
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// The place of the character that cannot be here.
    fn here(&self) -> usize {
        self.at + self.peek().map_or(0, char::len_utf8)
    }

    fn word(&mut self) -> Result<Word, usize> {
        if self.peek() == Some('?') {
            self.at += 1;
            return Ok(Word { name: "?".into(), values: None, end: self.at, name_end: self.at });
        }
        let name = self.take(|c| c.is_ascii_alphanumeric() || c == '_').to_ascii_uppercase();
        if name.is_empty() {
            return Err(self.here());
        }
        let name_end = self.at;
        self.skip_separators();
        if self.peek() != Some('(') {
            return Ok(Word { name, values: None, end: name_end, name_end });
        }
        self.at += 1;
        let values = self.values()?;
        Ok(Word { name, values: Some(values), end: self.at, name_end })
    }

    fn values(&mut self) -> Result<Vec<Item>, usize> {
        let mut values = Vec::new();
        loop {
            self.skip_separators();
            match self.peek() {
                Some(')') if values.is_empty() => return Err(self.here()),
                Some(')') => {
                    self.at += 1;
                    return Ok(values);
                }
                Some('\'') => {
                    let text = self.quoted()?;
                    values.push(Item { text, end: self.at });
                }
                Some('(') | None => return Err(self.here()),
                Some(_) => {
                    let text = self.take(|c| !c.is_whitespace() && !",()'".contains(c)).to_ascii_uppercase();
                    values.push(Item { text, end: self.at });
                }
            }
        }
    }

    /// Two apostrophes in a row are one.
    fn quoted(&mut self) -> Result<String, usize> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let part = self.take(|c| c != '\'').to_string();
            text.push_str(&part);
            if self.at == self.text.len() {
                return Err(self.at);
            }
            self.at += 1;
            if self.peek() != Some('\'') {
                return Ok(text);
            }
            text.push('\'');
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flat(text: &str) -> Vec<String> {
        let words = words(text).unwrap_or_else(|at| panic!("{text}: {}", &text[..at]));
        let show = |word: &Word| match &word.values {
            None => word.name.clone(),
            Some(_) => format!("{}={}", word.name, word.all().collect::<Vec<_>>().join("|")),
        };
        words.iter().map(show).collect()
    }

    #[test]
    fn names_are_folded_unless_they_are_quoted() {
        assert_eq!(
            flat("define qlocal (ha.queue), descr ( 'don''t' )"),
            ["DEFINE", "QLOCAL=HA.QUEUE", "DESCR=don't"]
        );
        assert_eq!(flat("dis q('a b*') maxdepth;"), ["DIS", "Q=a b*", "MAXDEPTH"]);
        assert_eq!(flat("SET AUTHREC AUTHADD(get,put inq)"), ["SET", "AUTHREC", "AUTHADD=GET|PUT|INQ"]);
        assert_eq!(flat("DESCR('')"), ["DESCR="]);
    }

    #[test]
    fn a_fault_is_where_it_is() {
        for (text, until) in [
            (
                "DEFINE QREMOTE (L) RQMNAME (QMB') XMITQ (QMB)",
                "DEFINE QREMOTE (L) RQMNAME (QMB') XMITQ (QMB)",
            ),
            ("DEFINE QLOCAL() DESCR('x')", "DEFINE QLOCAL()"),
            ("DEFINE QLOCAL(A", "DEFINE QLOCAL(A"),
            ("CONNAME(host(1414))", "CONNAME(host("),
            ("DEFINE = 1", "DEFINE ="),
            ("END; more", "END; m"),
        ] {
            let at = words(text).expect_err(text);
            assert_eq!(&text[..at], until);
        }
    }
}
