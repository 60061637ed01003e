//! What a call may be, whatever protocol brought it: lengths of ids, options, and what excludes what. A mistake has one
//! reason and one sentence. What a call may *do* depends on the queue manager's state, and is the mind's.

use std::time::Duration;

use bytes::Bytes;

use super::{Admin, Call, Context, Get, GetMode, OpenOptions, Operate, Put, PutTarget, Refusal, Wait};
use crate::types::definition::{Changes, INHIBIT_GET, INHIBIT_PUT, ObjectKind, Value, sentence};
use crate::types::{
    CorrelationId, GroupId, HandleId, InGroup, MessageId, ObjectName, ProducerId, ProducerSequence, Reason,
    Selection, UnitId, limits, message_flags,
};

/// What a call without a body counts for, in bytes: all that is kept of it until it is answered, by its listener and by the mind. Of
/// a get that waits these are its flight, itself and its places in six indexes, 900 bytes by measurement; of a put its descriptor and
/// its slot.
const CALL_BYTES: usize = 1024;
const _: () =
    assert!(CALL_BYTES + limits::BODY_BYTES_MAX <= u32::MAX as usize, "what a call counts for has 32 bits");

impl UnitId {
    /// Of the id of a unit of work.
    pub const BYTES_MAX: usize = 24;

    /// # Errors
    /// 2046 unless it has 1 to 24 bytes.
    pub fn new(id: Bytes) -> Result<UnitId, Refusal> {
        let unit = UnitId(id);
        unit.check().map(|()| unit)
    }

    fn check(&self) -> Result<(), Refusal> {
        within("The id of a unit of work", self.0.len(), UnitId::BYTES_MAX)
    }
}

impl ProducerId {
    /// Of the name of a producer.
    pub const BYTES_MAX: usize = 64;

    /// # Errors
    /// 2046 unless it has 1 to 64 bytes.
    pub fn new(id: Bytes) -> Result<ProducerId, Refusal> {
        let producer = ProducerId(id);
        producer.check().map(|()| producer)
    }

    fn check(&self) -> Result<(), Refusal> {
        within("The name of a producer", self.0.len(), ProducerId::BYTES_MAX)
    }
}

fn within(what: &str, length: usize, most: usize) -> Result<(), Refusal> {
    debug_assert!(most > 0, "what is named has a name");
    match (1..=most).contains(&length) {
        true => Ok(()),
        false => Err(options(format!("{what} has 1 to {most} bytes, this one has {length}."))),
    }
}

fn options(detail: impl Into<String>) -> Refusal {
    let refusal = Refusal::because(Reason::OptionsError, detail);
    debug_assert!(
        refusal.detail.as_ref().is_some_and(|text| text.ends_with('.')),
        "a mistake is said in a sentence"
    );
    refusal
}

impl OpenOptions {
    /// # Errors
    /// 2046 when nothing is asked for, or exclusive use of something else than input.
    pub fn check(&self) -> Result<(), Refusal> {
        if !(self.output || self.input || self.browse || self.inquire || self.set) {
            return Err(options("An open asks for at least one of output, input, browse, inquire and set."));
        }
        if self.exclusive && !self.input {
            return Err(options("Exclusive goes with input only."));
        }
        Ok(())
    }

    /// Whether messages can be selected by what is opened so.
    ///
    /// # Errors
    /// 2516 unless it is opened for input or browse.
    pub fn check_selector(&self) -> Result<(), Refusal> {
        match self.input || self.browse {
            true => Ok(()),
            false => Err(Reason::SelectorInvalidForType.into()),
        }
    }

    /// Whether the queue manager itself can be opened so.
    ///
    /// # Errors
    /// 2045 for anything but inquire.
    pub fn check_manager(&self) -> Result<(), Refusal> {
        let inquires = OpenOptions { inquire: self.inquire, ..OpenOptions::default() };
        if *self != inquires {
            let detail = "The queue manager itself is opened for inquire and nothing else.";
            return Err(Refusal::because(Reason::OptionNotValidForType, detail));
        }
        debug_assert!(self.check_selector().is_err(), "nothing is selected from the queue manager itself");
        Ok(())
    }

    /// What a put to a queue without a handle (MQPUT1) is opened for.
    pub fn for_put(context: Context) -> OpenOptions {
        let output = OpenOptions { output: true, ..OpenOptions::default() };
        let opened = match context {
            Context::Default | Context::Blank => output,
            Context::PassIdentity | Context::PassAll => OpenOptions { passes: context, ..output },
            Context::Identity | Context::All => OpenOptions { context, ..output },
        };
        debug_assert_eq!(opened.check_context(context), Ok(()), "it may do what it is opened for");
        opened
    }

    /// Whether a put by this handle may say so much of its context, or pass it on. Who may set may pass on as much.
    ///
    /// # Errors
    /// 2093, 2094, 2095, 2096.
    pub fn check_context(&self, context: Context) -> Result<(), Reason> {
        let (sets, passes) = (self.context, self.passes);
        let (may, otherwise) = match context {
            Context::Default | Context::Blank => return Ok(()),
            Context::PassIdentity => {
                (passes != Context::Default || sets != Context::Default, Reason::NotOpenForPassIdent)
            }
            Context::PassAll => {
                (passes == Context::PassAll || sets == Context::All, Reason::NotOpenForPassAll)
            }
            Context::Identity => (sets != Context::Default, Reason::NotOpenForSetIdent),
            Context::All => (sets == Context::All, Reason::NotOpenForSetAll),
        };
        debug_assert!(may || sets != Context::All, "who may set everything may do anything less");
        may.then_some(()).ok_or(otherwise)
    }
}

impl Wait {
    /// As MQ's wait intervals and our own clients say it: milliseconds, or -1 without limit.
    ///
    /// # Errors
    /// 2090 below -1.
    pub fn of_ms(ms: i32) -> Result<Wait, Refusal> {
        let wait = match ms {
            -1 => Wait::Forever,
            0 => Wait::No,
            1.. => Wait::For(Duration::from_millis(ms as u64)),
            _ => return Err(Reason::WaitIntervalError.into()),
        };
        debug_assert_ne!(wait, Wait::For(Duration::ZERO), "who waits waits for some time");
        Ok(wait)
    }
}

impl Put {
    /// # Errors
    /// 2046 when options exclude each other or the producer's name or sequence is none, 2031 when the body is longer
    /// than any queue takes, 2298 and 2443 for segments.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.message.descriptor.message_flags & (message_flags::SEGMENT | message_flags::LAST_SEGMENT) != 0
        {
            let detail = "Messages are not put in segments here; put it as a whole.";
            return Err(Refusal::because(Reason::FunctionNotSupported, detail));
        }
        if self.message.descriptor.message_flags & message_flags::SEGMENTATION_ALLOWED != 0 {
            return Err(Reason::SegmentationNotAllowed.into());
        }
        if self.logical_order && (self.dead_letter || matches!(self.to, PutTarget::Queue(_))) {
            return Err(options("A put in logical order goes through a handle, and to no other queue."));
        }
        if self.syncpoint && self.dead_letter {
            return Err(options("A put to the dead-letter queue works outside of syncpoint only."));
        }
        if let Some(ProducerSequence { producer, sequence, .. }) = &self.producer {
            producer.check()?;
            if *sequence == 0 {
                return Err(options("The sequences of a producer begin at 1."));
            }
        }
        check_body(self.message.body.len())
    }
}

/// The queue that a program names to open it or to put to it.
///
/// # Errors
/// 2085, as MQ has it, also where no queue can have the name.
pub fn queue_named(name: &str) -> Result<ObjectName, Refusal> {
    let named = ObjectName::new(name)
        .map_err(|error| Refusal::because(Reason::UnknownObjectName, sentence(&error.to_string())));
    debug_assert!(
        named.as_ref().map_or(true, |named| named.as_str() == name),
        "a queue is looked for under the name that was said"
    );
    named
}

/// # Errors
/// 2031 when a body of so many bytes is longer than any queue takes.
pub fn check_body(bytes: usize) -> Result<(), Refusal> {
    if bytes > limits::BODY_BYTES_MAX {
        let detail = format!("The body has {bytes} bytes, the limit is {}.", limits::BODY_BYTES_MAX);
        return Err(Refusal::because(Reason::MsgTooBigForQMgr, detail));
    }
    Ok(())
}

impl HandleId {
    /// # Errors
    /// 2019 for 0.
    pub fn new(number: u32) -> Result<HandleId, Refusal> {
        match number {
            0 => Err(Refusal::because(Reason::HobjError, "A handle is any number but 0.")),
            number => Ok(HandleId(number)),
        }
    }
}

impl Selection {
    /// By ids as they are said. One that is empty or of zeros (MQMI_NONE, MQCI_NONE, MQGI_NONE) matches every message.
    ///
    /// # Errors
    /// 2206, 2207, 2258 for one of more than 24 bytes.
    pub fn of_ids(message_id: &[u8], correlation_id: &[u8], group_id: &[u8]) -> Result<Selection, Refusal> {
        fn some<Id>(bytes: &[u8], made: Option<Id>, reason: Reason) -> Result<Option<Id>, Refusal> {
            debug_assert_eq!(made.is_some(), bytes.len() <= 24, "an id has 24 bytes");
            if made.is_some() && bytes.iter().all(|byte| *byte == 0) {
                return Ok(None);
            }
            let too_long = || format!("It has at most 24 bytes, this one has {}.", bytes.len());
            made.map(Some).ok_or_else(|| Refusal::because(reason, too_long()))
        }
        let correlation = CorrelationId::from_slice(correlation_id);
        Ok(Selection {
            message_id: some(message_id, MessageId::from_slice(message_id), Reason::MsgIdError)?,
            correlation_id: some(correlation_id, correlation, Reason::CorrelIdError)?,
            group_id: some(group_id, GroupId::from_slice(group_id), Reason::GroupIdError)?,
            ..Selection::default()
        })
    }
}

impl Get {
    /// # Errors
    /// 2046 when options exclude each other, 2250 for a sequence number that no message has.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.selection.sequence_number.is_some_and(|number| !(1..=InGroup::NUMBER_MAX).contains(&number)) {
            return Err(Reason::MsgSeqNumberError.into());
        }
        if self.mode.is_browse() && self.is_in_unit(true) {
            return Err(options("A browse takes nothing and cannot be under syncpoint."));
        }
        if self.lock && !self.mode.is_browse() {
            return Err(options("A message is locked while it is browsed."));
        }
        let is_more = self.is_in_unit(true) || self.wait != Wait::No || !self.selection.is_any();
        if self.mode == GetMode::Unlock && is_more {
            return Err(options("To unlock is asked for alone: it is about what the handle has locked."));
        }
        Ok(())
    }
}

/// What MQSET sets: whether gets and puts are inhibited, and nothing else.
fn check_set(changes: &Changes) -> Result<(), Reason> {
    for (selector, value) in changes.iter() {
        let is_set = matches!(selector, INHIBIT_GET | INHIBIT_PUT);
        debug_assert!(
            !is_set || ObjectKind::LocalQueue.attribute(selector).is_some(),
            "what is set is an attribute of queues"
        );
        match value {
            _ if !is_set => return Err(Reason::SelectorError),
            None | Some(Value::Number(0 | 1)) => {}
            Some(_) => return Err(Reason::InhibitValueError),
        }
    }
    Ok(())
}

impl Call {
    /// # Errors
    /// What is wrong with the call whatever the state of the queue manager is.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Call::Open { options, selector, .. } => {
                options.check()?;
                selector.as_ref().map_or(Ok(()), |_| options.check_selector())
            }
            Call::OpenManager { options, .. } => options.check_manager(),
            Call::Set { changes, .. } => Ok(check_set(changes)?),
            Call::Put(put) => put.check(),
            Call::Get(get) => get.check(),
            Call::Commit { unit, .. } => unit.as_ref().map_or(Ok(()), UnitId::check),
            Call::UnitOutcome { unit, .. } => unit.check(),
            Call::Admin(admin) => admin.check(),
            Call::Operate(operate) => operate.check(),
            Call::Close { .. }
            | Call::CancelGet { .. }
            | Call::Backout
            | Call::Inquire { .. }
            | Call::Ping => Ok(()),
        }
    }

    /// Whether something may have happened for good when the answer is lost: then the program is told 2549, else 2009.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Call::Put(put) => !put.syncpoint,
            // Under "syncpoint if persistent" a message that is not persistent leaves at once.
            Call::Get(get) => !get.is_in_unit(false) && get.mode.takes(),
            Call::Admin(Admin::Display { .. } | Admin::Sessions { .. })
            | Call::Operate(Operate::Status | Operate::Failovers { .. } | Operate::Trail { .. }) => false,
            Call::Commit { .. } | Call::Set { .. } | Call::Admin(_) | Call::Operate(_) => true,
            Call::Open { .. }
            | Call::OpenManager { .. }
            | Call::Close { .. }
            | Call::CancelGet { .. }
            | Call::Backout
            | Call::UnitOutcome { .. }
            | Call::Inquire { .. }
            | Call::Ping => false,
        }
    }

    /// What the call holds of memory until it is answered, in bytes.
    pub fn weight(&self) -> usize {
        match self {
            Call::Put(put) => CALL_BYTES + put.message.body.len(),
            _ => CALL_BYTES,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put() -> Put {
        let to = PutTarget::Handle(HandleId(1));
        Put {
            to,
            message: Box::default(),
            syncpoint: false,
            logical_order: false,
            producer: None,
            dead_letter: false,
            context: Context::Default,
        }
    }

    #[test]
    fn what_a_handle_was_not_opened_for_has_one_reason_each() {
        let inquires = OpenOptions { inquire: true, ..OpenOptions::default() };
        let sets_identity =
            OpenOptions { output: true, context: Context::Identity, ..OpenOptions::default() };
        assert_eq!(inquires.check_manager(), Ok(()));
        assert_eq!(
            OpenOptions { browse: true, ..inquires }.check_manager().unwrap_err().reason.number(),
            2045
        );
        assert_eq!(inquires.check_selector().unwrap_err().reason.number(), 2516);
        assert_eq!(sets_identity.check_context(Context::Identity), Ok(()));
        assert_eq!(sets_identity.check_context(Context::All), Err(Reason::NotOpenForSetAll));
        assert_eq!(sets_identity.check_context(Context::PassIdentity), Ok(()));
        assert_eq!(sets_identity.check_context(Context::PassAll), Err(Reason::NotOpenForPassAll));
        let passes = OpenOptions { context: Context::Default, passes: Context::PassAll, ..sets_identity };
        assert_eq!(passes.check_context(Context::PassAll), Ok(()));
        assert_eq!(passes.check_context(Context::PassIdentity), Ok(()));
        assert_eq!(passes.check_context(Context::Identity), Err(Reason::NotOpenForSetIdent));
        assert_eq!(inquires.check_context(Context::PassIdentity), Err(Reason::NotOpenForPassIdent));
        assert_eq!(inquires.check_context(Context::Blank), Ok(()));
        assert_eq!(inquires.check_context(Context::Identity), Err(Reason::NotOpenForSetIdent));
        assert_eq!(Wait::of_ms(-2).unwrap_err().reason, Reason::WaitIntervalError);
        assert_eq!(Wait::of_ms(-1), Ok(Wait::Forever));
    }

    #[test]
    fn a_set_inhibits_and_nothing_else() {
        let set = |changes: Changes| Call::Set { handle: HandleId(1), changes }.check();
        let kind = ObjectKind::LocalQueue;
        assert_eq!(
            set(Changes::default().with(kind, "GET", "DISABLED").with(kind, "PUT", "ENABLED")),
            Ok(())
        );
        assert_eq!(set(Changes::default().with(kind, "MAXDEPTH", 1)).unwrap_err().reason.number(), 2067);
        let wrong = [(INHIBIT_GET, Some(Value::Number(2)))].into_iter().collect();
        assert_eq!(set(wrong).unwrap_err().reason.number(), 2020);
    }

    #[test]
    fn a_mistake_has_one_reason_and_a_sentence() {
        let nothing = OpenOptions::default();
        let exclusive = OpenOptions { exclusive: true, output: true, ..OpenOptions::default() };
        let both = Put { syncpoint: true, dead_letter: true, ..put() };
        let numbered = |producer: &'static [u8], sequence| {
            let producer = ProducerId(Bytes::from_static(producer));
            Put { producer: Some(ProducerSequence { producer, sequence, repeated: false }), ..put() }
        };
        let nobody = numbered(b"", 1);
        let zeroth = numbered(b"p", 0);
        let get = Get {
            handle: HandleId(1),
            syncpoint: true,
            syncpoint_if_persistent: false,
            wait: Default::default(),
            mode: GetMode::BrowseNext,
            selection: Default::default(),
            max_length: None,
            accept_truncated: false,
            extended: false,
            lock: false,
        };
        let takes = Get { mode: GetMode::Destructive, syncpoint: false, lock: true, ..get.clone() };
        let unlocks = Get { mode: GetMode::Unlock, syncpoint: false, wait: Wait::Forever, ..get.clone() };
        let wrong = [
            nothing.check(),
            exclusive.check(),
            both.check(),
            nobody.check(),
            zeroth.check(),
            get.check(),
            takes.check(),
            unlocks.check(),
            UnitId::new(Bytes::new()).map(drop),
            UnitId::new(Bytes::from_static(&[1; 25])).map(drop),
            ProducerId::new(Bytes::from_static(&[1; 65])).map(drop),
        ];
        for refusal in wrong.map(Result::unwrap_err) {
            assert_eq!(refusal.reason, Reason::OptionsError);
            assert!(refusal.detail.is_some_and(|text| text.ends_with('.')));
        }
        assert!(UnitId::new(Bytes::from_static(&[1; 24])).is_ok());
        assert!(ProducerId::new(Bytes::from_static(&[1; 64])).is_ok());
    }

    #[test]
    fn what_a_lost_answer_leaves_open_is_what_cannot_be_backed_out() {
        let syncpoint = Put { syncpoint: true, ..put() };
        assert!(Call::Put(put()).may_have_happened());
        assert!(!Call::Put(syncpoint).may_have_happened());
        assert!(Call::Commit { unit: None, units_decided: None }.may_have_happened());
        assert!(!Call::Backout.may_have_happened());
    }
}
