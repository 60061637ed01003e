//! What is wrong with a file, each sentence with its line, and the checks of single values.

use std::fmt::Write as _;
use std::ops::Range;

use toml::Spanned;

use super::ConfigError;

/// Everything that was found so far. An empty span is of no line.
pub struct Problems<'a> {
    text: &'a str,
    found: Vec<(usize, String)>,
}

impl<'a> Problems<'a> {
    pub fn of(text: &'a str) -> Problems<'a> {
        Problems { text, found: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn into_result(mut self) -> Result<(), ConfigError> {
        if self.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(line, _)| *line);
        let mut text = String::new();
        for (line, problem) in &self.found {
            let separator = if text.is_empty() { "" } else { "\n" };
            let _ = match line {
                0 => write!(text, "{separator}{problem}"),
                line => write!(text, "{separator}line {line}: {problem}"),
            };
        }
        Err(ConfigError { text })
    }

    pub fn add(&mut self, span: Range<usize>, text: impl Into<String>) {
        let line = match span.end {
            0 => 0,
            _ => self.text.get(..span.start).map_or(0, |before| before.matches('\n').count() + 1),
        };
        self.found.push((line, text.into()));
    }

    /// Names go into certificates, directories and log lines.
    pub fn check_name(&mut self, what: &str, name: &Spanned<String>) {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let text = name.get_ref();
        if text.is_empty() || text.len() > 48 || !text.chars().all(fits) || text.starts_with('.') {
            let text = format!("{what} {text:?}: use 1 to 48 of A-Z a-z 0-9 - _ . and begin with no dot");
            self.add(name.span(), text);
        }
    }

    pub fn check_address(&mut self, what: &str, address: &Spanned<String>) {
        let text = address.get_ref();
        let port = text.rsplit_once(':').map(|(host, port)| (!host.is_empty(), port.parse::<u16>()));
        if !matches!(port, Some((true, Ok(port))) if port > 0) {
            let text = format!("{what} = {text:?}: write it as host:port, for example \"127.0.0.1:7101\"");
            self.add(address.span(), text);
        }
    }

    pub fn check_range<T: PartialOrd + std::fmt::Display>(
        &mut self,
        what: &str,
        value: &Spanned<T>,
        least: T,
        most: T,
    ) {
        if *value.get_ref() < least || *value.get_ref() > most {
            let text = format!("{what} = {}: use a value from {least} to {most}", value.get_ref());
            self.add(value.span(), text);
        }
    }
}
