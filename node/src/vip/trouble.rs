//! What is wrong with an address on this node: each kind stands, in status, until it is over.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// It can be nowhere on this machine, as things are.
    Nowhere,
    /// The user's program did not release it: another machine may have it, too.
    NotGivenBack,
    /// The kernel, or the user's program, did not do what else was asked for.
    Failed,
    /// A machine that is no node has it.
    Stranger,
    /// Somebody claimed it while it was here.
    Claimed,
    /// No agent put it where it is, and a person has to take it away.
    Left,
    /// The same, and it was taken away.
    Removed,
}

/// Of one address.
#[derive(Clone, Debug, Default)]
pub struct Troubles(BTreeMap<Trouble, (String, Option<Instant>)>);

impl Troubles {
    /// Stands until that time, or else until it is said to be over. Whether it is another one than stood there.
    pub fn note(&mut self, trouble: Trouble, sentence: &str, until: Option<Instant>) -> bool {
        let before = self.0.insert(trouble, (sentence.to_owned(), until));
        before.is_none_or(|(before, _)| before != sentence)
    }

    /// Whether it stood.
    pub fn over(&mut self, trouble: Trouble) -> bool {
        self.0.remove(&trouble).is_some()
    }

    pub fn stands(&self, trouble: Trouble) -> bool {
        self.0.contains_key(&trouble)
    }

    /// All of them.
    pub fn standing(&self) -> Vec<Trouble> {
        self.0.keys().copied().collect()
    }

    /// Those whose time is over now.
    pub fn on_time(&mut self, now: Instant) -> Vec<Trouble> {
        let is_over = |until: &Option<Instant>| until.is_some_and(|until| now >= until);
        self.0.extract_if(.., |_, (_, until)| is_over(until)).map(|(trouble, _)| trouble).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_news_once_and_goes_when_it_is_over() {
        let mut troubles = Troubles::default();
        assert!(troubles.note(Trouble::Failed, "it did not", None));
        assert!(!troubles.note(Trouble::Failed, "it did not", None), "said already");
        assert!(troubles.note(Trouble::Failed, "it took too long", None), "another reason");
        assert!(troubles.note(Trouble::Claimed, "by somebody", Some(Instant(10))));
        assert!(!troubles.note(Trouble::Claimed, "by somebody", Some(Instant(20))), "only later over");
        assert_eq!(troubles.on_time(Instant(19)), []);
        assert_eq!(troubles.on_time(Instant(20)), [Trouble::Claimed]);
        assert!(troubles.stands(Trouble::Failed) && troubles.over(Trouble::Failed));
        assert!(!troubles.over(Trouble::Failed), "it is over");
        assert!(troubles.note(Trouble::Failed, "it did not", None), "it is back");
    }
}
