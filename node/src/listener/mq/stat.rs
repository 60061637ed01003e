//! MQSTAT: what became of puts that nobody waited for.

use trimaran_proto::mq::call::{Body as WireBody, Call as WireCall};
use trimaran_proto::mq::constants::{completion, reason};
use trimaran_proto::mq::segment::Header;
use trimaran_proto::mq::stat::kind;

use super::conversation::{Conversation, fail};
use super::convert::Code;
use super::desk::Desk;
use crate::types::{CompletionCode, ObjectName};

impl Conversation {
    /// MQSTAT.
    pub(super) fn on_stat(&mut self, desk: &mut Desk<'_>, header: Header, call: WireCall) {
        let WireBody::Stat(asked) = &call.body else {
            return fail(desk, &header, call, reason::STS_ERROR);
        };
        match asked.kind {
            kind::ASYNC_ERROR => {
                self.async_puts.asked = Some((header, call));
                self.tell_of_async_puts(desk);
            }
            // A client that reconnects knows that itself.
            kind::RECONNECTION | kind::RECONNECTION_ERROR => {
                fail(desk, &header, call, reason::ENVIRONMENT_ERROR)
            }
            _ => fail(desk, &header, call, reason::STAT_TYPE_ERROR),
        }
    }

    /// The answer to a put that nobody waited for.
    pub(super) fn on_async_placed(
        &mut self,
        desk: &mut Desk<'_>,
        (code, reason): (CompletionCode, Code),
        queue: Option<ObjectName>,
        is_of_unit: bool,
    ) {
        self.async_puts.under_way = self.async_puts.under_way.saturating_sub(1);
        self.async_puts.spoils_unit |= is_of_unit && code == CompletionCode::Failed;
        self.async_puts.note(code, reason, queue);
        self.tell_of_async_puts(desk);
        if let Some(header) = self.async_puts.ending.take() {
            self.end_unit(desk, header);
        }
    }

    /// Who asks is told when all of them are known.
    fn tell_of_async_puts(&mut self, desk: &mut Desk<'_>) {
        if self.async_puts.under_way > 0 {
            return;
        }
        let Some((header, mut call)) = self.async_puts.asked.take() else { return };
        if let WireBody::Stat(told) = &mut call.body {
            self.async_puts.fill(&mut told.sts, &desk.terms.queue_manager);
        }
        (call.completion, call.reason) = (completion::OK, reason::NONE);
        desk.reply(&header, call);
    }
}
