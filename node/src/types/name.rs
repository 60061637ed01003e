//! Names of MQ objects: up to 48 of A-Z a-z 0-9 . / _ % (IBM MQ Reference, "Rules for naming IBM MQ objects").

use std::fmt;
use std::sync::Arc;

/// A checked object name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Arc<str>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a name must have at least one character")]
    Empty,
    #[error("a name has at most 48 characters, this one has {length}")]
    TooLong { length: usize },
    #[error("a name has only A-Z a-z 0-9 . / _ % and not {found:?}")]
    Character { found: char },
}

impl ObjectName {
    pub const LENGTH_MAX: usize = 48;

    /// # Errors
    /// What no name of MQ has.
    pub fn new(name: &str) -> Result<ObjectName, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > Self::LENGTH_MAX {
            return Err(NameError::TooLong { length: name.chars().count() });
        }
        match name.chars().find(|c| !(c.is_ascii_alphanumeric() || "./_%".contains(*c))) {
            Some(found) => Err(NameError::Character { found }),
            None => {
                debug_assert!(name.is_ascii(), "every character of a name is one byte");
                Ok(ObjectName(name.into()))
            }
        }
    }

    pub fn as_str(&self) -> &str {
        debug_assert!((1..=Self::LENGTH_MAX).contains(&self.0.len()), "a name was checked when it was made");
        &self.0
    }

    /// Whether `pattern`, which may end in `*`, names this object. Empty means all.
    pub fn matches(&self, pattern: &str) -> bool {
        match pattern.strip_suffix('*') {
            Some(prefix) => self.0.starts_with(prefix),
            None => pattern.is_empty() || &*self.0 == pattern,
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_mq() {
        assert!(ObjectName::new("HA.QUEUE").is_ok());
        assert_eq!(ObjectName::new(""), Err(NameError::Empty));
        assert_eq!(ObjectName::new(&"A".repeat(49)), Err(NameError::TooLong { length: 49 }));
        assert_eq!(ObjectName::new("HA QUEUE"), Err(NameError::Character { found: ' ' }));
        assert!(ObjectName::new("HA.QUEUE").unwrap().matches("HA.*"));
    }
}
