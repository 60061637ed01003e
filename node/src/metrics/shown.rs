//! Which queues have lines of their own on a page: what `[metrics] queues` says, and the busy ones first where there are too many.

use std::collections::BTreeMap;

use crate::mqi::QueueView;
use crate::types::ObjectName;

/// Queues of a queue manager that have lines at most: a page of a million lines helps nobody.
pub const QUEUES_SHOWN_MAX: usize = 1000;

/// Names of queues, as exporters for IBM MQ take them: `APP.*,!APP.TEST.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    take: Vec<String>,
    leave: Vec<String>,
}

/// The queues of one page.
#[derive(Debug, Default)]
pub struct Choice {
    /// Those that are idle behind those that are not, by name.
    kept: BTreeMap<(bool, String), QueueView>,
}

impl Default for Shown {
    fn default() -> Shown {
        Shown { take: vec!["*".to_string()], leave: Vec::new() }
    }
}

impl Shown {
    /// Names and beginnings of names with `*`, with commas between them; those with `!` in front are left out. Where only these
    /// are said, the others are shown.
    ///
    /// # Errors
    /// A sentence about the first that no queue can have.
    pub fn parse(text: &str) -> Result<Shown, String> {
        let mut shown = Shown { take: Vec::new(), leave: Vec::new() };
        for said in text.split(',').map(str::trim).filter(|said| !said.is_empty()) {
            let (pattern, side) = match said.strip_prefix('!') {
                Some(pattern) => (pattern, &mut shown.leave),
                None => (said, &mut shown.take),
            };
            let stem = pattern.strip_suffix('*').unwrap_or(pattern);
            let is_all = stem.is_empty() && pattern == "*";
            if !is_all && let Err(error) = ObjectName::new(stem) {
                return Err(format!(
                    "{said:?} is no name of queues: {error}; write names, or beginnings of them with * at the end"
                ));
            }
            side.push(pattern.to_string());
        }
        if shown.take.is_empty() {
            shown.take = Shown::default().take;
        }
        Ok(shown)
    }

    /// What a display is asked for to find all of them.
    pub fn patterns(&self) -> &[String] {
        debug_assert!(!self.take.is_empty(), "some pattern finds what is shown");
        &self.take
    }

    pub fn has(&self, queue: &str) -> bool {
        let is_like = |pattern: &String| match pattern.strip_suffix('*') {
            Some(stem) => queue.starts_with(stem),
            None => queue == pattern,
        };
        self.take.iter().any(is_like) && !self.leave.iter().any(is_like)
    }
}

impl Choice {
    /// A queue that has messages or handles takes the place of one that has not.
    pub fn add(&mut self, queue: QueueView) {
        let is_idle = queue.depth == 0 && queue.open_input == 0 && queue.open_output == 0;
        let place = (is_idle, &queue.definition.object.name);
        let is_behind = self.kept.last_key_value().is_some_and(|((idle, name), _)| place > (*idle, name));
        if self.kept.len() == QUEUES_SHOWN_MAX && is_behind {
            return;
        }
        self.kept.insert((is_idle, queue.definition.object.name.clone()), queue);
        if self.kept.len() > QUEUES_SHOWN_MAX {
            self.kept.pop_last();
        }
        debug_assert!(self.kept.len() <= QUEUES_SHOWN_MAX, "a page has so many queues at most");
    }

    pub fn into_queues(self) -> Vec<QueueView> {
        self.kept.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::definition::{Definition, ObjectKind, ObjectRef};

    fn queue(name: String, depth: u64) -> QueueView {
        QueueView {
            definition: Definition::new(ObjectRef::new(ObjectKind::LocalQueue, &name)),
            depth,
            not_persistent: 0,
            uncommitted: 0,
            open_input: 0,
            open_output: 0,
            oldest_age: Default::default(),
            activity: Default::default(),
        }
    }

    #[test]
    fn patterns_take_and_leave() {
        for (text, shown, not_shown) in [
            ("APP.*,!APP.TEST.*", &["APP.A"][..], &["APP.TEST.A", "B", "APP"][..]),
            ("!SYSTEM.*", &["A", "APP.B"], &["SYSTEM.X"]),
            ("A, B", &["A", "B"], &["AB", "C"]),
            ("", &["A", "SYSTEM.X"], &[]),
        ] {
            let patterns = Shown::parse(text).unwrap();
            assert!(shown.iter().all(|queue| patterns.has(queue)), "{text}");
            assert!(!not_shown.iter().any(|queue| patterns.has(queue)), "{text}");
        }
        for text in ["A B", "A*B", "!", "**"] {
            assert!(Shown::parse(text).is_err_and(|said| said.contains("no name of queues")), "{text}");
        }
    }

    #[test]
    fn of_too_many_queues_those_with_messages_have_lines() {
        let mut choice = Choice::default();
        for number in 0..QUEUES_SHOWN_MAX + 500 {
            choice.add(queue(format!("Q.{number:05}"), u64::from(number % 3 == 2)));
        }
        let queues = choice.into_queues();
        assert_eq!(queues.len(), QUEUES_SHOWN_MAX);
        let (busy, idle): (Vec<_>, Vec<_>) = queues.iter().partition(|queue| queue.depth > 0);
        assert_eq!((busy.len(), idle.len()), (500, 500));
        assert!(idle.last().is_some_and(|last| last.definition.object.name == "Q.00748"), "by name");
    }
}
