//! What is wrong with a file, each sentence with its line, and the checks of single values.

use std::fmt::Write as _;
use std::ops::Range;

use toml::Spanned;
use trimaran_proto::cluster;

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
        self.add_error(name, cluster::check_name(what, name.get_ref()));
    }

    pub fn check_address(&mut self, what: &str, address: &Spanned<String>) {
        self.add_error(address, cluster::check_address(what, address.get_ref()));
    }

    /// Nobody but this node may be told such an address.
    pub fn check_reachable(&mut self, what: &str, address: &Spanned<String>) {
        self.add_error(address, cluster::check_reachable(what, address.get_ref()));
    }

    fn add_error(&mut self, written: &Spanned<String>, checked: Result<(), String>) {
        if let Err(text) = checked {
            self.add(written.span(), text);
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
