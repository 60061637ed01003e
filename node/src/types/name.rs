//! Names of MQ objects: up to 48 of A-Z a-z 0-9 . / _ % (IBM MQ Reference, "Rules for naming IBM MQ objects").

use std::fmt;
use std::sync::Arc;

use trimaran_proto::attribute::{NAME_LENGTH_MAX, NameError, check_name};

/// A checked object name. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(Arc<str>);

const _: () = assert!(ObjectName::LENGTH_MAX == 48, "headers have 48 characters for the name of a queue");

impl ObjectName {
    /// MQ_OBJECT_NAME_LENGTH, in characters; all that are allowed are ASCII.
    pub const LENGTH_MAX: usize = NAME_LENGTH_MAX;

    /// # Errors
    /// What no name of MQ has.
    pub fn new(name: &str) -> Result<ObjectName, NameError> {
        check_name(name).map(|()| ObjectName(name.into()))
    }

    /// 1 to 48 of A-Z a-z 0-9 . / _ %.
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
