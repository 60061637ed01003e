//! Reports that messages ask for: made when something is proposed, or put into a unit of work, and placed with it, so that
//! there is one where that happens and none where it does not.
//!
//! A report goes to the reply-to queue, as a put of anybody would: it counts for the depth, and wakes who waits. Where it has
//! no room, or there is no such queue, it goes to the dead-letter queue with the reason in front of it, and where that does not
//! take it either, or the message says that it is to be discarded, it is dropped and counted. What it is about happens all the
//! same, as in MQ.

use super::Replica;
use super::expiry::Asked;
use super::units::NotPersistent;
use crate::mqi::Refusal;
use crate::qmgr::{Place, Report, not_persistent_weight, report};
use crate::types::{
    Cause, Message, ObjectName, Persistence, Position, QueueId, Reason, ReportData, ReportOptions, SessionId,
    Version, limits,
};

/// A report that was let in: it counts for its queue until it is there, or given up.
#[derive(Debug)]
pub(super) struct Routed {
    pub queue: QueueId,
    message: Box<Message>,
    unique: Option<u64>,
    /// How much of its body, from the end, is the other message's.
    data: usize,
}

impl Routed {
    pub fn into_place(self) -> Place {
        let Routed { queue, message, unique, .. } = self;
        Place::new(queue, message, unique)
    }

    /// Placed with the message that it is about, whose body begins with so many bytes that are none of its own.
    pub fn into_report(mut self, own_from: usize) -> Box<Report> {
        debug_assert!(self.data <= self.message.body.len(), "a report ends with the data");
        self.message.body = self.message.body.truncated(self.message.body.len() - self.data);
        let Routed { queue, message, unique, data } = self;
        Box::new(Report { queue, message, unique, data: (own_from, data) })
    }

    pub fn into_message(self) -> (QueueId, Box<Message>) {
        (self.queue, self.message)
    }
}

impl Replica {
    /// The report about a message, if it asks for one and somebody takes it.
    pub(super) fn make_report(&mut self, original: &Message, cause: Cause) -> Option<Routed> {
        if self.state.version() < Version::RECORDS || !original.descriptor.report.wants(cause) {
            return None;
        }
        let mut message = Box::new(report::about(original, cause, &self.options.name, self.wall())?);
        let data = message.body.len();
        let unique = self.name_message(&mut message);
        let reply_to = original.descriptor.rest();
        let (queue, manager) = (&reply_to.reply_to_queue, &reply_to.reply_to_queue_manager);
        let target = match self.report_target(queue, manager, &message) {
            Ok(target) => Ok((target, message)),
            Err(refused) if message.descriptor.report.has(ReportOptions::DISCARD_MSG) => Err(refused),
            Err(refused) => self.dead_letter_target(message, queue, refused.reason, Asked::Later),
        };
        let Ok((queue, message)) = target else {
            self.stats.reports_dropped += 1;
            return None;
        };
        debug_assert_eq!(
            message.descriptor.persistence, original.descriptor.persistence,
            "a report is as persistent as what it is about"
        );
        self.stats.reports += 1;
        let now = self.now.instant;
        self.standing.own_mut().let_in(queue, now);
        Some(Routed { queue, message, unique, data })
    }

    fn report_target(&mut self, queue: &str, manager: &str, message: &Message) -> Result<QueueId, Refusal> {
        if !["", self.options.name.as_str()].contains(&manager.trim_end()) {
            return Err(Reason::UnknownRemoteQMgr.into());
        }
        let target = self.open_to_puts(queue)?;
        self.admit_message(target, message, Asked::Later)?;
        Ok(target)
    }

    /// The queue behind a name that the queue manager itself puts to, if that lets puts in.
    pub(super) fn open_to_puts(&self, name: &str) -> Result<QueueId, Refusal> {
        let name = ObjectName::new(name.trim_end()).map_err(|_| Reason::UnknownObjectName)?;
        let target = self.behind_name(&name)?;
        match target.alias.is_some_and(|alias| !alias.put_enabled) {
            true => Err(Reason::PutInhibited.into()),
            false => Ok(target.queue),
        }
    }

    /// The memory that a unit of work needs for the report about a put, if it asks for one.
    pub(super) fn arrival_weight(&self, message: &Message) -> u64 {
        let options = message.descriptor.report;
        let is_made = self.state.version() >= Version::RECORDS && options.wants(Cause::Arrival);
        is_made.then(|| options.data(Cause::Arrival)).map_or(0, |data| {
            not_persistent_weight(if data == ReportData::All { message.body.len() } else { 0 })
        })
    }

    /// A unit of work was given a message that asks for a report of it: that is put in the same unit.
    pub(super) fn report_delivery_in_unit(
        &mut self,
        session: SessionId,
        message: &Message,
    ) -> Result<(), Refusal> {
        let Some(routed) = self.make_report(message, Cause::Delivery) else { return Ok(()) };
        let queue = routed.queue;
        let length = routed.message.body.len();
        let unit = &mut self.sessions.get_mut(session).expect("the caller gives to it").unit;
        let fits = unit.bytes + length <= limits::UNIT_BYTES_MAX;
        if !fits || !unit.hold(&self.options.account, not_persistent_weight(length)) {
            self.note_left(queue, 1);
            let detail =
                "The report that the message asks for has no room in the unit of work; commit or back out.";
            let reason = if fits { Reason::ResourceProblem } else { Reason::SyncpointLimitReached };
            return Err(Refusal::because(reason, detail));
        }
        unit.bytes += length;
        if message.descriptor.persistence != Persistence::Persistent {
            let (queue, message) = routed.into_message();
            unit.put_not_persistent(NotPersistent {
                queue,
                message,
                producer: None,
                warning: None,
                report: None,
            });
            return Ok(());
        }
        let mut place = routed.into_place();
        let parts = self.stage_body(&mut place);
        self.sessions.get_mut(session).expect("just seen").unit.put(place, None);
        if let Some((number, parts)) = parts {
            self.begin_staging(session, number, parts, None);
        }
        Ok(())
    }

    /// A get that could not be given is no part of its unit, and the message is where it was.
    pub(super) fn take_back(&mut self, session: SessionId, queue: QueueId, position: Position) {
        if let Some(open) = self.sessions.get_mut(session) {
            open.unit.gets.retain(|held| *held != (queue, position));
        }
        self.free(queue, position);
    }

    /// The report about a message that is not persistent, and was let in by nobody's put.
    pub(super) fn place_report_not_persistent(&mut self, routed: Routed) {
        let (queue, message) = routed.into_message();
        if self.holdings.not_persistent.grow(not_persistent_weight(message.body.len())) {
            return self.place_not_persistent(queue, message);
        }
        self.note_left(queue, 1);
        self.stats.reports_dropped += 1;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::types::Body;

    #[test]
    fn what_a_report_has_of_the_message_is_not_logged_again() {
        let body = |text: &'static str| Body::from(Bytes::from_static(text.as_bytes()));
        let parts = [body("header").to_bytes(), body("data").to_bytes()];
        let body_of = Body::from_parts(parts.to_vec());
        let message = Box::new(Message { body: body_of, ..Message::default() });
        let routed = Routed { queue: QueueId(1), message, unique: Some(1), data: 4 };
        let report = routed.into_report(7);
        assert_eq!((report.message.body, report.data), (body("header"), (7, 4)));
    }
}
