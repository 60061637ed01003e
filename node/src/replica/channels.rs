//! What channels say of the connections through them: who gets an instance, and who is ended with a channel that is stopped.
//!
//! A listener whose protocol has channels asks for a session for each connection ([`Purpose::Instance`]), and for one for
//! each program on it. All of them end when another node takes over, so there is nothing to hand on.
//!
//! Limits hold for who comes: a lower one ends nobody (IBM MQ Reference, "DEFINE CHANNEL", MAXINST).

use std::collections::BTreeMap;

use super::instances::client;
use super::turn::LOOK;
use super::{Action, Replica, protection};
use crate::mqi::{ChannelTerms, Connect, Purpose, Refusal};
use crate::types::definition::{self as selector, Definition, ObjectKind, ObjectRef};
use crate::types::planted::{self, Bug};
use crate::types::{ObjectName, Reason, SessionId};

impl Replica {
    /// What the channel of an instance says; None for a session that is no instance.
    ///
    /// # Errors
    /// 2540 for a channel that is not defined, 2537 when it has as many instances as it may have, 2059 when this node
    /// does not serve; and those of [`protection::check`].
    pub(super) fn admit_instance(&self, connect: &Connect) -> Result<Option<ChannelTerms>, Refusal> {
        let (Purpose::Instance, Some(name)) = (connect.purpose, &connect.identity.channel) else {
            return Ok(None);
        };
        if !self.is_serving() {
            return Err(Reason::QMgrNotAvailable.into());
        }
        let unknown = |refusal| Refusal { reason: Reason::UnknownChannelName, ..refusal };
        let object = ObjectRef::new(ObjectKind::Channel, name.as_str());
        let channel = self.defined(&object).map_err(unknown)?;
        if is_stopped(channel) {
            let detail =
                format!("Channel {name} is stopped; START CHANNEL({name}) lets connections in again.");
            return Err(Refusal::because(Reason::ChannelNotAvailable, detail));
        }
        protection::check(channel, connect.identity.secured.as_deref())?;
        let limit = |selector| channel.number(selector).max(0) as u32;
        let (all, own) = self.sessions.channels().count(name, client(&connect.identity));
        let full = |count: u32, limit: u32, attribute: &str, whose: &str| {
            let detail = format!(
                "Channel {name} has {count} connections{whose} and may have {limit} ({attribute}). Close some, or ALTER \
                 CHANNEL({name}) CHLTYPE(SVRCONN) {attribute}."
            );
            Err(Refusal::because(Reason::ChannelNotAvailable, detail))
        };
        if all >= limit(selector::MAXINST) + u32::from(planted::is(Bug::OnePlaceMore)) {
            return full(all, limit(selector::MAXINST), "MAXINST", "");
        }
        if own >= limit(selector::MAXINSTC) {
            return full(own, limit(selector::MAXINSTC), "MAXINSTC", " of this client");
        }
        Ok(Some(terms_of(channel)))
    }

    /// STOP CHANNEL: who is connected through a channel that is stopped now is sent away, as many as a turn has time for. What was
    /// not committed is backed out; whose puts and commits are under way is told first what became of them.
    pub(super) fn end_stopped_channels(&mut self) {
        let is_due =
            self.standing.leading_mut().is_some_and(|leading| std::mem::take(&mut leading.channels_due));
        if !is_due {
            return;
        }
        // There may be many more channels than those that somebody came through.
        let catalog = self.state.catalog();
        let is_stopped_now = |name: &ObjectName| {
            catalog.get(&ObjectRef::new(ObjectKind::Channel, name.as_str())).is_some_and(is_stopped)
        };
        let mut stopped: BTreeMap<&ObjectName, bool> = BTreeMap::new();
        let mut through: Vec<SessionId> = Vec::new();
        for (id, session) in &self.sessions.by_id {
            let Some(name) = &session.identity.channel else { continue };
            if session.is_sent_away || *stopped.entry(name).or_insert_with(|| is_stopped_now(name)) {
                through.push(*id);
            }
        }
        self.turn.spend(LOOK * self.sessions.by_id.len() as u64);
        self.turn.next_phase();
        for session in through {
            if self.turn.is_over() {
                self.standing.own_mut().channels_due = true;
                self.is_not_done = true;
                return;
            }
            if let Some(state) = self.sessions.get_mut(session).filter(|state| state.proposed > 0) {
                // What is applied is a turn of its own.
                state.is_sent_away = true;
                self.standing.own_mut().channels_due = true;
                continue;
            }
            let reason = Reason::ConnectionBroken;
            self.out.push(Action::CloseSession { session, reason, all_answered: false });
            self.on_session_closed(session);
            debug_assert!(
                self.sessions.get(session).is_none(),
                "who was let in by a stopped channel is gone"
            );
        }
    }
}

fn is_stopped(channel: &Definition) -> bool {
    channel.number(selector::CHANNEL_STATE) == 1
}

fn terms_of(channel: &Definition) -> ChannelTerms {
    debug_assert_eq!(channel.kind(), ObjectKind::Channel, "the terms of a channel");
    let number = |selector| channel.number(selector).max(0) as u32;
    ChannelTerms {
        message_bytes_max: number(selector::CHANNEL_MAXMSGL),
        heartbeat_seconds: number(selector::HBINT),
        conversations: number(selector::SHARECNV),
        user: Some(channel.text(selector::MCAUSER).trim().to_string()).filter(|user| !user.is_empty()),
    }
}
