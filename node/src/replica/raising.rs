//! The version of the queue manager is raised: everybody is asked what it speaks, and only then is it in the log.
//!
//! What a greeting said some time ago may be about a process that has ended since, and another release may run in its
//! place. So the leader asks anew, under a number, and counts the answers to that. Who is started again with an older
//! release while this goes on stops at the entry with a sentence; nothing of it is applied there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::proposals::Waiting;
use super::{Action, Replica};
use crate::mqi::{Completion, Refusal};
use crate::qmgr::Command;
use crate::types::definition::By;
use crate::types::planted::{self, Bug};
use crate::types::{Instant, NodeId, Reason, SessionId, Speaks, Token, Version, WallTime};

/// A node that has not answered after so long is taken for absent.
const ANSWERS_MAX: Duration = Duration::from_secs(3);

/// A raise that waits for answers.
#[derive(Debug)]
pub(super) struct Raising {
    session: SessionId,
    token: Token,
    to: Version,
    question: u64,
    answered: BTreeSet<NodeId>,
    until: Instant,
}

impl Raising {
    /// The node answered this question with what it speaks now.
    pub fn on_answer(&mut self, node: NodeId, question: u64) {
        if question == self.question {
            self.answered.insert(node);
        }
    }

    pub fn caller(&self) -> (SessionId, Token) {
        (self.session, self.token)
    }

    /// Where so many questions were asked.
    pub fn assert_holds(&self, questions: u64, now: Instant) {
        debug_assert!(self.question <= questions, "an answer is waited for to a question that was asked");
        debug_assert!(self.until <= now + ANSWERS_MAX, "nobody is waited for any longer than that");
    }
}

impl Replica {
    /// `to` None: the newest that any node speaks.
    pub(super) fn on_raise(&mut self, session: SessionId, token: Token, to: Option<Version>) {
        let to = to.unwrap_or_else(|| self.newest_spoken());
        if to <= self.state.version() {
            return self.answer(session, token, Completion::done());
        }
        if planted::is(Bug::RaiseEarly) && self.options.speaks.has(to) {
            let by = self.by(session);
            return self.propose_raise(to, by, Waiting::Admin { session, token, queue: None });
        }
        if let Err(refusal) = self.check_raise(to) {
            return self.answer(session, token, refusal.into());
        }
        let members = self.members_to_hear();
        let until = self.now.instant + ANSWERS_MAX;
        let leading = self.standing.own_mut();
        assert!(leading.raising.is_none(), "a raise is not put in the place of another one");
        leading.questions += 1;
        let question = leading.questions;
        leading.raising = Some(Raising { session, token, to, question, answered: BTreeSet::new(), until });
        members.into_iter().for_each(|node| self.ask_what_it_speaks(node, question));
    }

    /// A queue manager that nobody has used yet begins with the newest version that all of its nodes speak. They had to come
    /// together for it, and have said what that is.
    pub(super) fn raise_new(&mut self) {
        // Of all entries only the one with which a leader begins has no time.
        if self.state.at() != WallTime(0) || !self.options.raises_itself {
            return;
        }
        let members = self.members_to_hear();
        let mut spoken = members.iter().map(|node| self.speaks(*node).map(|speaks| speaks.newest));
        let newest = spoken.try_fold(self.options.speaks.newest, |newest, of| Some(newest.min(of?)));
        if let Some(to) = newest.filter(|newest| *newest > self.state.version()) {
            self.propose_raise(to, By::default(), Waiting::Nobody);
        }
    }

    pub(super) fn drive_raising(&mut self) {
        let Some(leading) = self.standing.serving() else { return };
        let Some(raising) = &leading.raising else { return };
        let (session, token, to) = (raising.session, raising.token, raising.to);
        let missing = self.members_to_hear().into_iter().find(|node| !raising.answered.contains(node));
        let is_late = self.now.instant >= raising.until;
        let refused = match (self.first_too_old(to), missing) {
            (Some(refusal), _) => Some(refusal),
            (None, Some(node)) if is_late => Some(self.is_absent(node, "does not answer")),
            (None, Some(_)) => return,
            (None, None) => None,
        };
        self.standing.own_mut().raising = None;
        match refused {
            Some(refusal) => self.answer(session, token, refusal.into()),
            None => {
                let by = self.by(session);
                self.propose_raise(to, by, Waiting::Admin { session, token, queue: None });
            }
        }
    }

    pub(super) fn propose_raise(&mut self, to: Version, by: By, waiting: Waiting) {
        debug_assert!(self.options.speaks.has(to), "a leader raises to what it speaks itself");
        self.stats.raises_proposed += 1;
        let leader = (self.options.node, self.consensus.term());
        self.propose(Command::Raise { to, leader, by: by.into() }, waiting);
    }

    pub(super) fn raising_deadline(&self) -> Option<Instant> {
        self.standing.leading()?.raising.as_ref().map(|raising| raising.until)
    }

    fn check_raise(&self, to: Version) -> Result<(), Refusal> {
        let leading = self.standing.own();
        let membership = self.consensus.membership();
        if leading.raising.is_some() {
            let detail = "The version is being raised already.";
            return Err(Refusal::because(Reason::CallInProgress, detail));
        }
        if leading.membership_change.is_some() || !membership.voters_outgoing.is_empty() {
            let detail = "A node is being added or removed; raise the version when that is done.";
            return Err(Refusal::because(Reason::CallInProgress, detail));
        }
        if let Some(refusal) = self.first_too_old(to) {
            return Err(refusal);
        }
        match self.members_to_hear().into_iter().find(|node| !self.peers.is_connected(*node)) {
            Some(node) => Err(self.is_absent(node, "is not connected")),
            None => Ok(()),
        }
    }

    /// Everybody but this node who has part in the group, or is about to.
    fn members_to_hear(&self) -> Vec<NodeId> {
        let membership = self.consensus.membership();
        let voters = membership.voters.union(&membership.voters_outgoing);
        let mut members: BTreeSet<NodeId> = voters.copied().collect();
        members.extend(&membership.learners);
        members.extend(&membership.learners_next);
        members.remove(&self.options.node);
        members.into_iter().collect()
    }

    fn newest_spoken(&self) -> Version {
        let peers = self.members_to_hear().into_iter().filter_map(|node| self.peers.speaks(node));
        peers.map(|speaks| speaks.newest).fold(self.options.speaks.newest, Version::max)
    }

    /// What the node said that it speaks.
    pub(super) fn speaks(&self, node: NodeId) -> Option<Speaks> {
        if node == self.options.node { Some(self.options.speaks) } else { self.peers.speaks(node) }
    }

    fn first_too_old(&self, to: Version) -> Option<Refusal> {
        let mut members = self.members_to_hear().into_iter().chain([self.options.node]);
        members.find_map(|node| self.is_too_old(node, to))
    }

    /// Why the node can have no part in a queue manager of this version, if it said what it speaks.
    pub(super) fn is_too_old(&self, node: NodeId, version: Version) -> Option<Refusal> {
        let speaks = self.speaks(node).filter(|speaks| !speaks.has(version))?;
        let name = self.name_of(node);
        let detail = format!(
            "Node {name} speaks {speaks} and not version {version}: start the release that speaks it on {name}, and \
             repeat the command."
        );
        Some(Refusal::because(Reason::FunctionNotSupported, detail))
    }

    fn is_absent(&self, node: NodeId, how: &str) -> Refusal {
        let name = self.name_of(node);
        let detail = format!(
            "Node {name} {how}, so nobody knows what it speaks: start it, or remove it for good (trimaran node remove \
             {name}), and repeat the command."
        );
        Refusal::because(Reason::FunctionNotSupported, detail)
    }

    pub(super) fn name_of(&self, node: NodeId) -> String {
        let info = self.consensus.membership().nodes.get(&node);
        info.map_or_else(|| format!("with id {node}"), |info| info.name.clone())
    }

    /// What was applied, or a snapshot, may have raised the version.
    pub(super) fn follow_version(&mut self) {
        let version = self.state.version();
        if self.version_published == version {
            return;
        }
        self.version_published = version;
        if let Some(leading) = self.standing.leading_mut() {
            leading.proposals.speak(version);
        }
        self.out.push(Action::PublishVersion(version));
    }
}
