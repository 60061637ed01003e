//! A put that was put before: it is answered as the first time, as far as that is known, and its handle goes on behind it.
//!
//! What the log has of it `qmgr::producers` knows; of what is not persistent the leader that it was put on, and of a unit of work
//! the session. Called by `puts`, and by `applier` and `endings` where the first one was under way when the second came.

use super::Replica;
use super::proposals::{Item, Ride, Waiting};
use crate::mqi::{Completion, Data, GroupCall, Put};
use crate::qmgr::{Before, Seen, Told};
use crate::types::{Descriptor, HandleId, Persistence, ProducerSequence, Reason, SessionId, Token};

impl Replica {
    /// Whether the put was put before, or nobody can tell: then it is answered. The log knows of those that are
    /// persistent; of the others only the leader that they were put on does, and the session knows those of its unit of work.
    pub(super) fn answer_repeated(
        &mut self,
        session: SessionId,
        token: Token,
        put: &ProducerSequence,
        handle: Option<HandleId>,
        call: GroupCall,
    ) -> bool {
        let logged = self.state.seen(put);
        let volatile = self.standing.own().volatile_producers.seen(put, self.state.retention());
        let is_new = if call.is_persistent { logged == Seen::New } else { volatile == Seen::New };
        let of_unit = || self.sessions.get(session).filter(|_| call.in_unit)?.unit.repeated(put);
        let (before, is_there) = match (logged, volatile) {
            (Seen::Before(before), _) => (before, true),
            (_, Seen::Before(before)) => (before, false),
            _ if is_new => match of_unit() {
                Some(before) => (before, true),
                None => return false,
            },
            _ => {
                let detail = "Nobody can tell whether this sequence was put before: it is older than the 10,000 that are \
                              remembered of a producer, or so many others have put since this producer did that \
                              its sequences were forgotten. It was not put now; look whether the message is there.";
                let completion = Completion::failed_because(Reason::UnexpectedError, detail);
                self.answer(session, token, completion);
                return true;
            }
        };
        self.stats.duplicates_suppressed += 1;
        if let Some(told) = before.told {
            self.note_repeated(session, handle, put, told, call);
        }
        let completion = repeated(before);
        if is_there || self.is_idle() {
            self.answer(session, token, completion);
        } else {
            self.ride(Ride {
                session,
                token,
                message: None,
                report: None,
                producer: Some(put.clone()),
                completion,
            });
        }
        true
    }

    /// What the log has of this sequence.
    pub(super) fn logged_before(&self, put: &ProducerSequence) -> Option<Before> {
        match self.state.seen(put) {
            Seen::Before(before) => Some(before),
            Seen::New | Seen::Forgotten => None,
        }
    }

    pub(super) fn remember_volatile(
        &mut self,
        put: &ProducerSequence,
        message: &Descriptor,
        warning: Option<Reason>,
    ) {
        let (at, keep) = (self.wall(), self.state.retention());
        debug_assert_ne!(
            message.persistence,
            Persistence::Persistent,
            "the log remembers what is persistent"
        );
        let told = Some(Told { warning, in_group: message.in_group() });
        let before = Before { message_id: message.message_id, told };
        self.standing.own_mut().volatile_producers.remember(put, before, at, keep);
    }

    /// A put that was put before was repeated: where it goes on with a group, so does its handle. Not where the handle has come
    /// further by itself.
    fn note_repeated(
        &mut self,
        session: SessionId,
        handle: Option<HandleId>,
        put: &ProducerSequence,
        told: Told,
        call: GroupCall,
    ) {
        if told.in_group.is_none() && !call.in_logical_order {
            return;
        }
        let state = self.sessions.get_mut(session);
        let Some(of) = state.and_then(|state| state.handles.get_mut(&handle?)) else { return };
        let goes_on = match &of.put_upto {
            Some(upto) if upto.producer == put.producer => upto.sequence < put.sequence,
            _ => !of.groups.has_begun_to_put(),
        };
        if goes_on {
            debug_assert!(!of.is_behind(put), "a handle never goes back in what was put through it");
            of.groups.note_put(told.in_group, call);
            of.put_upto = Some(put.clone());
        }
    }

    /// Whether this is a repetition within a group of a put that is under way: until that one is there or refused nobody knows
    /// where its handle goes on.
    pub(super) fn repeats_under_way(&self, put: &Put) -> bool {
        let Some(producer) = put.producer.as_ref().filter(|producer| producer.repeated) else { return false };
        if !(put.logical_order || put.message.descriptor.says_in_group()) || self.is_idle() {
            return false;
        }
        let is_it = |item: &Item| match item {
            Item::Command(Waiting::Put { of_group: Some(of), .. }) => {
                of.producer == producer.producer && of.sequence == producer.sequence
            }
            _ => false,
        };
        self.applying.waiting().any(is_it) || self.standing.own().proposals.items().any(is_it)
    }
}

/// As the first answer was, as far as that is known.
pub(super) fn repeated(Before { message_id, told }: Before) -> Completion {
    debug_assert!(!message_id.is_none(), "what was placed has an id");
    let Told { warning, in_group } = told.unwrap_or_default();
    let data = Data::Placed { message_id, in_group, duplicate: true, only_id_known: told.is_none() };
    warned(warning, data)
}

pub(super) fn warned(warning: Option<Reason>, data: Data) -> Completion {
    match warning {
        Some(reason) => Completion::warning(reason, data),
        None => Completion::ok(data),
    }
}
