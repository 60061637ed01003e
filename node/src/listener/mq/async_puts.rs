//! Puts that nobody waits for (MQPMO_ASYNC_RESPONSE): what became of them since it was asked the last time (MQSTAT).

use trimaran_proto::mq::Text;
use trimaran_proto::mq::call::Call as WireCall;
use trimaran_proto::mq::constants::{completion, object, reason};
use trimaran_proto::mq::segment::Header;
use trimaran_proto::mq::stat::Sts;

use super::convert::Code;
use crate::types::{CompletionCode, ObjectName};

#[derive(Debug, Default)]
pub(super) struct AsyncPuts {
    succeeded: i32,
    warned: i32,
    failed: i32,
    first: Option<NotWell>,
    /// Asked of the replica and not answered.
    pub under_way: usize,
    /// A persistent one of the unit of work failed: it cannot be committed.
    pub spoils_unit: bool,
    /// The end of a unit of work (MQCMIT, MQBACK, MQDISC) that waits until all of it are known.
    pub ending: Option<Header>,
    /// Waits for these.
    pub asked: Option<(Header, WireCall)>,
}

/// The first put that was not well.
#[derive(Debug)]
struct NotWell {
    completion: i32,
    reason: Code,
    /// Where it went, if it came as far as that.
    queue: Option<ObjectName>,
}

impl AsyncPuts {
    pub fn begin(&mut self) {
        self.under_way += 1;
    }

    pub fn note(&mut self, code: CompletionCode, reason: Code, queue: Option<ObjectName>) {
        let count = match code {
            CompletionCode::Ok => &mut self.succeeded,
            CompletionCode::Warning => &mut self.warned,
            CompletionCode::Failed => &mut self.failed,
        };
        *count = count.saturating_add(1);
        if code != CompletionCode::Ok {
            self.first.get_or_insert(NotWell { completion: code as i32, reason, queue });
        }
    }

    /// Tells what it counted, and begins again.
    pub fn fill(&mut self, sts: &mut Sts, queue_manager: &ObjectName) {
        (sts.put_successes, sts.put_warnings, sts.put_failures) = (self.succeeded, self.warned, self.failed);
        (sts.completion, sts.reason, sts.object_type) = (completion::OK, reason::NONE, object::QUEUE);
        if let Some(first) = self.first.take() {
            (sts.completion, sts.reason) = (first.completion, first.reason);
            if let Some(queue) = first.queue {
                (sts.object, sts.resolved_object) = (Text::new(queue.as_str()), Text::new(queue.as_str()));
                sts.object_queue_manager = Text::new(queue_manager.as_str());
                sts.resolved_queue_manager = sts.object_queue_manager;
            }
        }
        let AsyncPuts { under_way, spoils_unit, ending, .. } = std::mem::take(self);
        *self = AsyncPuts { under_way, spoils_unit, ending, ..AsyncPuts::default() };
    }
}
