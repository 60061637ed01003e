//! Between the wire and the waist: gRPC messages become `mqi::Call`, completions become gRPC messages.
//!
//! What a call may be is `mqi`'s to say, whatever protocol it came in. What only the wire can get wrong is said here: words of
//! its enumerations, checksums, bodies that are in the message and in parts. A mistake becomes a [`Completion`] with MQ's reason
//! code and a sentence that names the field. Bodies are moved, never copied.

use std::time::Duration;

use bytes::Bytes;
use trimaran_proto::admin::v1 as admin;
use trimaran_proto::audit::{SECRET, SECRETS};
use trimaran_proto::message::v1 as message;
use trimaran_proto::mqsc::Filter;
use trimaran_proto::queue::v1 as wire;

use crate::listener::ports::{self, PortState, PortView};
use crate::listener::serving::{Elsewhere, Refused, refused};
use crate::listener::traffic::Passed;
use crate::mqi::{
    Admin, ArrangeRequest, Call, CloseOption, Completion, Context, CreateRequest, Data, Get, GetMode,
    HandleView, InstanceView, ObjectView, OpenOptions, Operate, Put, PutTarget, QueueView, Refresh,
    RunRequest, Selection, SessionView, StatusView, UnitState, Wait, check_body, kind_named, kinds_told,
    port_numbered, queue_manager_named, queue_named,
};
use crate::types::account::Figure;
use crate::types::definition::{self as selector, By, Changes, ObjectKind, ObjectRef, RecordAction, Value};
use crate::types::{
    Body, CompletionCode, Descriptor, FloatingAddress, HandleId, InGroup, Membership, Message,
    MessageSelector, NodeId, ObjectName, OutOfSync, ProducerId, ProducerSequence, Reason, RunState, Token,
    UnitId, WallTime,
};

/// Longest body that travels inside of a message of a session; a longer one travels in parts of at most this.
pub const PART_BYTES_MAX: usize = 1024 * 1024;

/// What a call on the wire means to its session.
#[derive(Debug)]
pub enum Asked {
    /// For the replica.
    Call(Call),
    /// For the replica, once the body that was sent before under this number is put into it.
    PutParts {
        put: Put,
        number: u64,
        crc: Option<u32>,
    },
    Connect {
        queue_manager: String,
        application: String,
    },
    BodyPart(wire::BodyPart),
}

// ---------------------------------------------------------------------------------------------------------
// Calls

pub fn asked(call: Option<wire::call::Call>) -> Result<Asked, Refused> {
    use wire::call::Call as Wire;
    let Some(call) = call else {
        return Err(refused(
            Reason::FunctionNotSupported,
            "The call says nothing, or is of a kind that this node is too old for.",
        ));
    };
    let call = match call {
        Wire::Put(put) => return asked_put(put),
        Wire::Get(get) => Call::Get(get_from_wire(get)?),
        Wire::Commit(commit) => Call::Commit {
            units_decided: commit.units_decided,
            unit: match commit.unit_id.is_empty() {
                true => None,
                false => Some(unit_id(&commit.unit_id)?),
            },
        },
        Wire::Backout(_) => Call::Backout,
        Wire::Open(open) => open_from_wire(open)?,
        Wire::Close(close) => {
            let option = match close.delete() {
                wire::close::Delete::Keep => CloseOption::Keep,
                wire::close::Delete::Delete => CloseOption::Delete,
                wire::close::Delete::Purge => CloseOption::Purge,
            };
            Call::Close { handle: handle(close.handle)?, close: option }
        }
        Wire::UnitOutcome(wire::UnitOutcome { unit_id: id, units_decided }) => {
            Call::UnitOutcome { unit: unit_id(&id)?, units_decided }
        }
        Wire::Inquire(inquire) => Call::Inquire { handle: handle(inquire.handle)? },
        Wire::CancelGet(cancel) => Call::CancelGet { token: Token(cancel.token) },
        Wire::Ping(_) => Call::Ping,
        Wire::Connect(connect) => {
            return Ok(Asked::Connect {
                queue_manager: connect.queue_manager,
                application: connect.application_name,
            });
        }
        Wire::BodyPart(part) => return Ok(Asked::BodyPart(part)),
    };
    Ok(Asked::Call(call))
}

fn open_from_wire(open: wire::Open) -> Result<Call, Refused> {
    let options = OpenOptions {
        output: open.output,
        input: open.input,
        exclusive: open.exclusive,
        browse: open.browse,
        inquire: open.inquire,
        ..OpenOptions::default()
    };
    let (handle, queue, dynamic) = (handle(open.handle)?, queue_named(&open.queue)?, open.dynamic_queue);
    let selector = MessageSelector::new(&open.selector);
    let selector = selector.map_err(|error| refused(error.reason(), error.to_string()))?;
    Ok(Call::Open { handle, queue, options, dynamic, selector })
}

fn asked_put(put: wire::Put) -> Result<Asked, Refused> {
    let to = match put.to {
        Some(wire::put::To::Handle(number)) => PutTarget::Handle(handle(number)?),
        Some(wire::put::To::Queue(queue)) => PutTarget::Queue(queue_named(&queue)?),
        None => return Err(refused(Reason::HobjError, "A put names a handle or a queue.")),
    };
    let wire_message = put.message.unwrap_or_default();
    if put.body_parts != 0 && !wire_message.body.is_empty() {
        return Err(refused(
            Reason::OptionsError,
            "A put has its body in the message or in body parts, not in both.",
        ));
    }
    let crc = wire_message.body_crc32c;
    let message = Box::new(match put.body_parts {
        0 => message_from_wire(wire_message)?,
        // The body and its checksum are judged when the parts are put in.
        _ => Message { descriptor: descriptor_from_wire(wire_message.descriptor)?, ..Message::default() },
    });
    let producer = producer(put.producer_sequence)?;
    let number = put.body_parts;
    let put = Put {
        to,
        message,
        syncpoint: put.syncpoint,
        logical_order: put.logical_order,
        producer,
        dead_letter: put.dead_letter,
        context: Context::Default,
    };
    Ok(if number == 0 { Asked::Call(Call::Put(put)) } else { Asked::PutParts { put, number, crc } })
}

/// A message as a client sent it, with its checksum made or checked.
pub fn message_from_wire(wire: message::Message) -> Result<Message, Refused> {
    let descriptor = descriptor_from_wire(wire.descriptor)?;
    finish_message(descriptor, wire.body.into(), wire.body_crc32c)
}

fn descriptor_from_wire(wire: Option<Box<message::Descriptor>>) -> Result<Descriptor, Refused> {
    let wire = wire.map_or_else(message::Descriptor::default, |wire| *wire);
    Descriptor::from_wire(wire)
        .map_err(|wrong| Box::new(Completion { detail: wrong.detail(), ..Completion::failed(wrong.reason) }))
}

/// Checks length and checksum of a body; makes the checksum when there is none.
pub fn finish_message(descriptor: Descriptor, body: Body, crc: Option<u32>) -> Result<Message, Refused> {
    check_body(body.len())?;
    let found = body.crc32c();
    match crc {
        Some(crc) if crc != found => Err(refused(
            Reason::UnexpectedError,
            format!(
                "The body's CRC-32C is {found:08x} and not {crc:08x} as body_crc32c says; send it again."
            ),
        )),
        _ => Ok(Message { descriptor, body, body_crc: found }),
    }
}

pub fn producer(of: Option<wire::ProducerSequence>) -> Result<Option<ProducerSequence>, Refused> {
    let Some(wire::ProducerSequence { producer, sequence, repeated }) = of else { return Ok(None) };
    Ok(Some(ProducerSequence { producer: ProducerId::new(producer.into())?, sequence, repeated }))
}

fn get_from_wire(get: wire::Get) -> Result<Get, Refused> {
    let mode = match wire::Browse::try_from(get.browse) {
        Ok(browse) if get.unlock => match (browse, get.under_cursor) {
            (wire::Browse::None, false) => GetMode::Unlock,
            _ => {
                let detail = "unlock is about what was locked and gets nothing: ask for it alone.";
                return Err(refused(Reason::OptionsError, detail));
            }
        },
        Ok(wire::Browse::None) if get.under_cursor => GetMode::UnderCursor,
        Ok(wire::Browse::None) => GetMode::Destructive,
        Ok(_) if get.under_cursor => {
            return Err(refused(
                Reason::OptionsError,
                "under_cursor takes the message, browse looks at it: ask for one of the two.",
            ));
        }
        Ok(wire::Browse::First) => GetMode::BrowseFirst,
        Ok(wire::Browse::Next) => GetMode::BrowseNext,
        Ok(wire::Browse::UnderCursor) => GetMode::BrowseUnderCursor,
        Err(_) => {
            return Err(refused(Reason::OptionsError, format!("There is no browse mode {}.", get.browse)));
        }
    };
    Ok(Get {
        handle: handle(get.handle)?,
        syncpoint: get.syncpoint,
        wait: Wait::of_ms(get.wait_ms)?,
        mode,
        selection: Selection {
            sequence_number: (get.message_sequence_number != 0).then_some(get.message_sequence_number),
            logical_order: get.logical_order,
            whole_groups: get.all_messages_available,
            ..Selection::of_ids(&get.message_id, &get.correlation_id, &get.group_id)?
        },
        syncpoint_if_persistent: false,
        max_length: (get.max_length != 0).then_some(get.max_length as usize),
        accept_truncated: get.accept_truncated,
        extended: false,
        lock: get.lock,
    })
}

fn handle(number: u32) -> Result<HandleId, Refused> {
    Ok(HandleId::new(number)?)
}

fn unit_id(bytes: &[u8]) -> Result<UnitId, Refused> {
    // Copied: a slice would keep the whole frame alive for as long as the outcome is remembered.
    Ok(UnitId::new(Bytes::copy_from_slice(bytes))?)
}

// ---------------------------------------------------------------------------------------------------------
// Completions

/// None for success without a warning: the usual case is not sent.
pub fn outcome(code: CompletionCode, reason: Reason, detail: Option<&str>) -> Option<wire::Outcome> {
    if code == CompletionCode::Ok {
        return None;
    }
    let text = match detail {
        // It says itself what became of the unit; what is to be done then is not the usual thing.
        Some(detail) if reason == Reason::BackedOut => detail.to_owned(),
        Some(detail) => format!("{} {detail}", reason.text()),
        None => reason.text().to_string(),
    };
    Some(wire::Outcome { code: code as u32, reason: reason.number(), text })
}

pub fn outcome_of(completion: &Completion) -> Option<wire::Outcome> {
    outcome(completion.code, completion.reason, completion.detail.as_deref())
}

/// The body of a `Got` stays in it whatever its length; see [`parts`] for those over [`PART_BYTES_MAX`].
pub fn completion_to_wire(
    token: Token,
    completion: Completion,
    serving: impl FnOnce(Option<NodeId>) -> wire::Serving,
) -> wire::Completion {
    use wire::completion::Data as Wire;
    let outcome = outcome_of(&completion);
    let data = match completion.data {
        Data::Nothing
        | Data::TooLong { .. }
        | Data::NotAhead
        | Data::Progress { .. }
        | Data::Status(_)
        | Data::Failovers(_)
        | Data::Trail(_)
        | Data::Objects(_)
        | Data::Sessions(_)
        | Data::Refreshed { .. } => None,
        Data::Placed { message_id, in_group, duplicate, only_id_known } => Some(Wire::Placed(wire::Placed {
            message_id: Bytes::copy_from_slice(message_id.trimmed()),
            duplicate,
            group_id: in_group
                .map(|group| Bytes::copy_from_slice(group.group_id.trimmed()))
                .unwrap_or_default(),
            message_sequence_number: in_group.map_or(0, |group| group.sequence_number),
            message_flags: in_group.map_or(0, InGroup::flags),
            only_id_known,
        })),
        Data::Got { message, body_length } => Some(Wire::Got(wire::Got {
            message: Some(message_to_wire(*message, body_length)),
            body_parts: 0,
            body_length: body_length as u64,
        })),
        Data::Unit { state, sealed } => {
            let state = match state {
                UnitState::Committed => wire::unit_status::State::Committed,
                UnitState::BackedOut => wire::unit_status::State::BackedOut,
                UnitState::Forgotten => wire::unit_status::State::Forgotten,
            };
            Some(Wire::Unit(wire::UnitStatus { state: state as i32, sealed }))
        }
        // Of another name of a queue, what is said of the queue that it stands for.
        Data::Inquired(object) => object.queue.as_ref().map(|queue| Wire::Queue(queue_status(queue))),
        // Where the name is that of a queue its client knows what it is called.
        Data::Opened(opened) => {
            opened.made.map(|made| Wire::Opened(wire::Opened { queue: made.to_string() }))
        }
        Data::NotServing { leader } => Some(Wire::Serving(serving(leader))),
    };
    wire::Completion { token: token.0, outcome, data }
}

/// `body_length` is that of the whole body: a truncated one goes without the checksum, which it would not match.
pub fn message_to_wire(message: Message, body_length: usize) -> message::Message {
    message::Message {
        body_crc32c: (message.body.len() == body_length).then_some(message.body_crc),
        descriptor: Some(Box::new(message.descriptor.to_wire())),
        body: message.body.to_bytes(),
    }
}

/// Cuts a body into parts of at most [`PART_BYTES_MAX`], without copying.
pub fn parts(body: &Body) -> impl Iterator<Item = Bytes> + '_ {
    body.parts().iter().flat_map(|part| {
        (0..part.len())
            .step_by(PART_BYTES_MAX)
            .map(|from| part.slice(from..part.len().min(from + PART_BYTES_MAX)))
    })
}

pub fn queue_status(queue: &QueueView) -> wire::QueueStatus {
    let at = |time: Option<WallTime>| time.map_or(0, |time| time.0);
    let us = |lain: Option<Duration>| lain.map_or(-1, |lain| lain.as_micros() as i64);
    let (short, long) = queue.activity.lain.unzip();
    wire::QueueStatus {
        queue: queue.definition.object.name.clone(),
        depth: queue.depth,
        max_depth: queue.definition.number(selector::MAXDEPTH) as u64,
        max_message_length: queue.definition.number(selector::MAXMSGL) as u64,
        open_input: queue.open_input,
        open_output: queue.open_output,
        uncommitted: queue.uncommitted,
        get_inhibited: queue.definition.number(selector::INHIBIT_GET) == 1,
        put_inhibited: queue.definition.number(selector::INHIBIT_PUT) == 1,
        not_persistent: queue.not_persistent,
        oldest_age_s: queue.oldest_age.as_secs(),
        dynamic: match queue.definition.number(selector::DEFTYPE) {
            selector::PERMANENT_DYNAMIC => "PERMDYN".to_string(),
            selector::TEMPORARY_DYNAMIC => "TEMPDYN".to_string(),
            _ => String::new(),
        },
        last_put_ms: at(queue.activity.last_put),
        last_get_ms: at(queue.activity.last_get),
        lain_short_us: us(short),
        lain_long_us: us(long),
    }
}

/// Where to go instead; the node is empty when nobody serves.
pub fn serving(elsewhere: Elsewhere) -> wire::Serving {
    let Elsewhere { queue_manager, node, address } = elsewhere;
    wire::Serving { queue_manager, node, address }
}

// ---------------------------------------------------------------------------------------------------------
// Administration

/// The object or record that is meant, and what is to be changed about it.
pub fn changed_object(
    kind: &str,
    name: &str,
    attributes: &[admin::Attribute],
) -> Result<(ObjectRef, Changes), Refused> {
    let kind = kind_named(kind)?;
    let said = attributes.iter().map(|attribute| (attribute.name.as_str(), attribute.value.as_str()));
    let changes = Changes::parse(kind, said).map_err(|fault| refused(fault.reason, fault.text))?;
    let object = match kind {
        ObjectKind::QueueManager => ObjectRef::manager(),
        kind if kind.is_record() => ObjectRef::record(kind, name, &changes),
        kind => ObjectRef::new(kind, name),
    };
    object.check().map_err(|fault| refused(fault.reason, fault.text))?;
    Ok((object, changes))
}

pub fn refresh(request: &admin::RefreshRequest) -> Result<Admin, Refused> {
    Ok(Admin::Refresh(Refresh {
        kinds: kinds_told(&request.kind)?,
        pattern: request.name.clone(),
        after: request.after.clone(),
        within: (request.within_minutes > 0)
            .then(|| Duration::from_secs(60 * u64::from(request.within_minutes))),
    }))
}

pub fn record_action(action: i32) -> Result<RecordAction, Refused> {
    use admin::set_request::Action;
    match Action::try_from(action) {
        Ok(Action::Add) => Ok(RecordAction::Add),
        Ok(Action::Replace) => Ok(RecordAction::Replace),
        Ok(Action::Remove) => Ok(RecordAction::Remove),
        Ok(Action::RemoveAll) => Ok(RecordAction::RemoveAll),
        Err(_) => Err(refused(Reason::OptionsError, format!("There is no action {action}."))),
    }
}

pub fn object_details(view: &ObjectView) -> admin::ObjectDetails {
    let definition = &view.definition;
    let attributes = definition.attributes();
    admin::ObjectDetails {
        kind: definition.kind().facts().name.to_string(),
        name: definition.object.name.clone(),
        attributes: attributes
            .map(|(attribute, value)| {
                // Nobody reads a password out of a queue manager, in whatever language.
                let is_hidden = SECRETS.contains(&attribute.selector) && !value.is_empty();
                let value = if is_hidden { SECRET.to_string() } else { value };
                admin::Attribute { name: attribute.name.to_string(), value }
            })
            .collect(),
        created_ms: definition.created.0,
        altered_ms: definition.altered.0,
        status: view.queue.as_ref().map(queue_status),
        altered_by: altered_by(&definition.altered_by),
    }
}

/// WHERE of a display.
pub fn filters(conditions: &[admin::Condition]) -> Result<Vec<Filter>, Refused> {
    let filter = |condition| {
        Filter::of(condition).ok_or_else(|| {
            refused(Reason::OptionsError, format!("{} is no operator of WHERE.", condition.operator))
        })
    };
    conditions.iter().map(filter).collect()
}

fn altered_by(by: &By) -> Option<admin::AlteredBy> {
    let By { user, application, address, channel, .. } = by.clone();
    (*by != By::default()).then_some(admin::AlteredBy { user, application, address, channel })
}

/// `passed` is what went through it, where it is an instance of a channel.
pub fn session_details(view: &SessionView, passed: Option<(WallTime, Passed)>) -> admin::SessionDetails {
    debug_assert!(view.is_instance || passed.is_none(), "what goes through a channel is counted by instance");
    let text = |of: Option<String>| of.unwrap_or_default();
    admin::SessionDetails {
        id: view.session.0,
        user: view.user.clone(),
        application: view.application.clone(),
        address: text(view.address.map(|address| address.to_string())),
        instance: view.is_instance,
        passed: passed.map(|(began, passed)| admin::Passed {
            began_ms: began.0,
            last_call_ms: passed.last.map_or(0, |last| last.0),
            calls: passed.messages,
            bytes_sent: passed.bytes_sent,
            bytes_received: passed.bytes_received,
            buffers_sent: passed.buffers_sent,
            buffers_received: passed.buffers_received,
        }),
        cipher_spec: text(view.secured.as_ref().map(|secured| secured.suite.name.to_string())),
        peer_name: text(view.secured.as_ref().and_then(|secured| Some(secured.peer.as_ref()?.to_string()))),
        channel: text(view.channel.as_ref().map(|channel| channel.to_string())),
        handles: view
            .handles
            .iter()
            .map(|HandleView { queue, options, waits }| admin::HandleDetails {
                queue: queue.to_string(),
                input: options.input,
                exclusive: options.exclusive,
                output: options.output,
                browse: options.browse,
                inquire: options.inquire,
                waits: *waits,
            })
            .collect(),
    }
}

pub fn memory_share(figure: Figure) -> admin::MemoryShare {
    admin::MemoryShare {
        kind: figure.share.name().to_owned(),
        used_bytes: figure.used,
        share_bytes: figure.limit,
        peak_bytes: figure.peak,
        refused: figure.refused,
    }
}

pub fn queue_manager_status(name: &ObjectName, status: &StatusView) -> admin::QueueManagerStatus {
    let leader = status.leader.and_then(|leader| status.membership.nodes.get(&leader));
    let serving = Elsewhere::of(name, leader);
    let voters = status.membership.voters.union(&status.membership.voters_outgoing);
    admin::QueueManagerStatus {
        name: serving.queue_manager,
        role: status.role.as_str().to_string(),
        active_node: serving.node,
        active_address: serving.address,
        serving_for_s: status.serving_for.as_secs(),
        term: status.term.0,
        commit_index: status.commit.0,
        applied_index: status.applied.0,
        quorum_live: status.quorum_live,
        quorum_of: status.quorum_of,
        instances: status.instances.iter().map(|view| instance_status(view, &status.membership)).collect(),
        queues: status.queues,
        messages: status.messages,
        not_persistent: status.not_persistent,
        sessions: status.sessions,
        dead_letter_queue: status.dead_letter_queue.as_ref().map(ObjectName::to_string).unwrap_or_default(),
        puts_refused: status.puts_refused.clone().unwrap_or_default(),
        last_term: status.last.0.0,
        last_index: status.last.1.0,
        acknowledged_index: status.acknowledged.map(|index| index.0),
        voters: voters.map(|node| name_of(&status.membership, *node)).collect(),
        version: status.version.0,
        takeovers: status.takeovers,
        clocks_differ: status.clocks_differ.as_ref().map(|differ| admin::ClocksDiffer {
            ahead_node: name_of(&status.membership, differ.ahead),
            behind_node: name_of(&status.membership, differ.behind),
            seconds: differ.by_ms as f64 / 1000.0,
            unheard_nodes: differ.unheard.iter().map(|node| name_of(&status.membership, *node)).collect(),
        }),
        // The node knows them, not the queue manager.
        waits: String::new(),
        addresses: Vec::new(),
        listeners: Vec::new(),
        command_server: false,
        run_state: run_state(status.run).into(),
        preferred: status.preferred.map_or(String::new(), |node| name_of(&status.membership, node)),
        fail_back: status.fail_back.clone(),
        canary: status.canary,
        unserved_ms: status.unserved_for.as_millis() as u64,
    }
}

fn run_state(state: RunState) -> admin::RunState {
    match state {
        RunState::Running => admin::RunState::Running,
        RunState::Quiescing => admin::RunState::Quiescing,
        RunState::EndedNormally => admin::RunState::EndedNormally,
        RunState::EndedImmediately => admin::RunState::EndedImmediately,
    }
}

pub fn create_request(request: admin::CreateQueueManagerRequest) -> Result<Operate, Refused> {
    let admin::CreateQueueManagerRequest {
        name,
        preferred,
        fail_back,
        dead_letter_queue,
        port,
        addresses,
        canary,
    } = request;
    let (name, port) = (queue_manager_named(&name)?, port_numbered(port)?);
    let request = CreateRequest { name, preferred, fail_back, dead_letter_queue, port, addresses, canary };
    Ok(Operate::Create(Box::new(request)))
}

pub fn arrange_request(request: admin::ArrangeQueueManagerRequest) -> Result<Operate, Refused> {
    let admin::ArrangeQueueManagerRequest { name, addresses, preferred, fail_back, canary } = request;
    let (name, addresses) = (queue_manager_named(&name)?, addresses.map(|wanted| wanted.addresses));
    let request = ArrangeRequest { name, addresses, preferred, fail_back, canary };
    Ok(Operate::Arrange(Box::new(request)))
}

/// # Errors
/// 2046 for a state that is not asked for: when a controlled end is over is the queue manager's to say.
pub fn run_request(state: i32, reconnect: bool) -> Result<RunRequest, Refused> {
    match admin::RunState::try_from(state) {
        Ok(admin::RunState::Running) => Ok(RunRequest::Start),
        Ok(admin::RunState::Quiescing) => Ok(RunRequest::EndControlled),
        Ok(admin::RunState::EndedImmediately) => Ok(RunRequest::EndImmediately { reconnect }),
        Ok(admin::RunState::EndedNormally) | Err(_) => {
            let detail =
                "A queue manager is started, ended when the last program has left, or ended at once.";
            Err(refused(Reason::OptionsError, detail))
        }
    }
}

pub fn listener_status(view: &PortView) -> admin::ListenerStatus {
    let listener = &view.listener;
    let control = listener.kind().attribute(selector::LISTENER_CONTROL).expect("a listener has CONTROL");
    let address = listener.text(selector::LISTENER_IPADDR).trim();
    admin::ListenerStatus {
        name: listener.object.name.clone(),
        state: view.state.as_str().to_string(),
        address: if address == "*" { String::new() } else { address.to_string() },
        port: u32::from(ports::port(listener)),
        control: control.text(&Value::Number(listener.number(selector::LISTENER_CONTROL))),
        backlog: ports::backlog(listener),
        description: listener.text(selector::LISTENER_DESCR).to_string(),
        pid: if view.state == PortState::Running { std::process::id() } else { 0 },
        started_ms: view.started_ms,
        reason: view.reason.clone(),
    }
}

pub fn floating_address(address: &FloatingAddress) -> admin::FloatingAddress {
    admin::FloatingAddress {
        address: address.ip.to_string(),
        is_here: address.is_here,
        is_dry_run: address.is_dry_run,
        not_given_back: address.not_given_back,
    }
}

fn name_of(membership: &Membership, node: NodeId) -> String {
    membership.nodes.get(&node).map_or_else(|| node.to_string(), |info| info.name.clone())
}

fn instance_status(view: &InstanceView, membership: &Membership) -> admin::InstanceStatus {
    let info = membership.nodes.get(&view.node).cloned().unwrap_or_default();
    admin::InstanceStatus {
        node: info.name,
        id: view.node.0,
        peer_address: info.peer_address,
        client_address: info.client_address,
        voter: view.voter,
        in_sync: view.out_of_sync.is_none(),
        reason: view.out_of_sync.map_or("", OutOfSync::as_str).to_string(),
        backlog_bytes: view.backlog_bytes,
        backlog_entries: view.backlog_entries,
        backlog_seconds: view.backlog.as_secs_f64(),
        clock_off_seconds: view.clock_off_ms as f64 / 1000.0,
        oldest_version: view.speaks.map_or(0, |speaks| speaks.oldest.0),
        newest_version: view.speaks.map_or(0, |speaks| speaks.newest.0),
        in_maintenance: view.in_maintenance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::types::definition::{Definition, ObjectKind, ObjectRef, Settings};
    use wire::call::Call as Wire;

    fn call(call: Wire) -> Result<Call, (u32, String)> {
        match asked(Some(call)) {
            // As the mind does with every call.
            Ok(Asked::Call(call)) => match call.check() {
                Ok(()) => Ok(call),
                Err(refusal) => Err((refusal.reason.number(), refusal.detail.unwrap_or_default())),
            },
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => Err((refusal.reason.number(), refusal.detail.unwrap_or_default())),
        }
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, Refused>) -> (u32, String) {
        let refusal = result.unwrap_err();
        (refusal.reason.number(), refusal.detail.unwrap_or_default())
    }

    fn numbered(sequence: u64) -> wire::ProducerSequence {
        wire::ProducerSequence { producer: "p".into(), sequence, repeated: false }
    }

    fn put_of(message: message::Message) -> wire::Put {
        wire::Put { to: Some(wire::put::To::Handle(3)), message: Some(message), ..Default::default() }
    }

    #[test]
    fn status_has_of_a_listener_what_is_between_the_brackets() {
        let settings = Settings::default();
        let object = ObjectRef::new(ObjectKind::Listener, "L");
        let listener = Definition { settings, ..Definition::new(object) };
        let queue_manager = ObjectName::new("QM").unwrap();
        let (state, reason) = (PortState::Stopped, String::new());
        let status = listener_status(&PortView { queue_manager, listener, state, reason, started_ms: 0 });
        assert_eq!((status.control.as_str(), status.port, status.pid), ("MANUAL", 1414, 0));
    }

    #[test]
    fn a_put_moves_its_body_and_gets_a_checksum() {
        let body = Bytes::from("Hello");
        let wire_put = wire::Put {
            syncpoint: true,
            producer_sequence: Some(numbered(4)),
            ..put_of(message::Message { body: body.clone(), ..Default::default() })
        };
        let Ok(Call::Put(put)) = call(Wire::Put(wire_put)) else { panic!() };
        assert_eq!(put.message.body.parts()[0].as_ptr(), body.as_ptr());
        assert_eq!(put.message.body_crc, crc32c::crc32c(b"Hello"));
        let producer = ProducerId("p".into());
        assert_eq!(put.producer, Some(ProducerSequence { producer, sequence: 4, repeated: false }));
        assert!(put.syncpoint && matches!(put.to, PutTarget::Handle(HandleId(3))));
    }

    #[test]
    fn what_a_put_cannot_be_is_told_by_reason_and_field() {
        let hello = || message::Message { body: Bytes::from("Hello"), ..Default::default() };
        let cases: Vec<(wire::Put, u32, &str)> = vec![
            (wire::Put { to: None, ..put_of(hello()) }, 2019, "a handle or a queue"),
            (wire::Put { to: Some(wire::put::To::Handle(0)), ..put_of(hello()) }, 2019, "any number but 0"),
            (
                wire::Put { to: Some(wire::put::To::Queue("A B".into())), ..put_of(hello()) },
                2085,
                "A name has only",
            ),
            (wire::Put { body_parts: 1, ..put_of(hello()) }, 2046, "not in both"),
            (
                wire::Put { dead_letter: true, syncpoint: true, ..put_of(hello()) },
                2046,
                "outside of syncpoint",
            ),
            (put_of(message::Message { body_crc32c: Some(1), ..hello() }), 2195, "CRC-32C"),
            (wire::Put { producer_sequence: Some(numbered(0)), ..put_of(hello()) }, 2046, "begin at 1"),
            (
                wire::Put { producer_sequence: Some(wire::ProducerSequence::default()), ..put_of(hello()) },
                2046,
                "1 to 64 bytes",
            ),
        ];
        for (put, reason, words) in cases {
            let (found, text) = call(Wire::Put(put)).unwrap_err();
            assert!(found == reason && text.contains(words), "{found} {text}");
        }
        let descriptor = message::Descriptor { message_type: Some(3), ..Default::default() };
        let put = put_of(message::Message { descriptor: Some(Box::new(descriptor)), ..hello() });
        assert_eq!(call(Wire::Put(put)).unwrap_err().0, 2029);
    }

    #[test]
    fn gets_say_what_they_want_and_nothing_that_excludes_itself() {
        let get = wire::Get { handle: 1, wait_ms: 1500, max_length: 9, ..Default::default() };
        let Ok(Call::Get(found)) = call(Wire::Get(get.clone())) else { panic!() };
        assert_eq!(found.wait, Wait::For(Duration::from_millis(1500)));
        assert_eq!((found.mode, found.max_length), (GetMode::Destructive, Some(9)));
        assert!(found.selection.is_any());

        let first = wire::Browse::First as i32;
        for (get, reason) in [
            (wire::Get { handle: 0, ..get.clone() }, 2019),
            (wire::Get { wait_ms: -2, ..get.clone() }, 2090),
            (wire::Get { browse: 17, ..get.clone() }, 2046),
            (wire::Get { browse: first, syncpoint: true, ..get.clone() }, 2046),
            (wire::Get { browse: first, under_cursor: true, ..get.clone() }, 2046),
            (wire::Get { message_id: Bytes::from(vec![1; 25]), ..get.clone() }, 2206),
            (wire::Get { correlation_id: Bytes::from(vec![1; 25]), ..get.clone() }, 2207),
            (wire::Get { group_id: Bytes::from(vec![1; 25]), ..get }, 2258),
        ] {
            assert_eq!(call(Wire::Get(get)).unwrap_err().0, reason);
        }
    }

    #[test]
    fn opens_and_units_are_checked() {
        let open = wire::Open { handle: 1, queue: "Q".into(), input: true, ..Default::default() };
        assert!(call(Wire::Open(open.clone())).is_ok());
        let nothing = wire::Open { input: false, ..open.clone() };
        assert_eq!(call(Wire::Open(nothing)).unwrap_err().0, 2046);
        let exclusive = wire::Open { input: false, browse: true, exclusive: true, ..open.clone() };
        assert_eq!(call(Wire::Open(exclusive)).unwrap_err().0, 2046);
        for (selector, input, reason) in [
            ("color =", true, 2459),
            ("FALSE", true, 2504),
            ("color = 'red'", false, 2516),
            (&*" ".repeat(10_241), true, 2519),
        ] {
            let open = wire::Open { selector: selector.into(), input, output: true, ..open.clone() };
            assert_eq!(call(Wire::Open(open)).unwrap_err().0, reason);
        }
        let selecting = wire::Open { selector: "color = 'red'".into(), ..open.clone() };
        assert!(matches!(call(Wire::Open(selecting)), Ok(Call::Open { selector: Some(_), .. })));
        let long = wire::Open { queue: "Q".repeat(49), ..open };
        assert_eq!(call(Wire::Open(long)).unwrap_err().0, 2085);

        assert!(matches!(call(Wire::Commit(wire::Commit::default())), Ok(Call::Commit { unit: None, .. })));
        let long = wire::Commit { unit_id: Bytes::from(vec![0; 25]), ..wire::Commit::default() };
        assert_eq!(call(Wire::Commit(long)).unwrap_err().0, 2046);
        assert_eq!(call(Wire::UnitOutcome(wire::UnitOutcome::default())).unwrap_err().0, 2046);
    }

    #[test]
    fn what_an_object_cannot_be_is_told_by_reason_and_attribute() {
        let attribute = |name: &str, value: &str| admin::Attribute { name: name.into(), value: value.into() };
        for (kind, name, said, reason, words) in [
            ("QLOCAL", "Q", attribute("DEFPRTY", "11"), 4005, "DEFPRTY is 0 to 9, not 11."),
            ("QLOCAL", "Q", attribute("NOSUCH", "1"), 2067, "has no attribute NOSUCH"),
            ("QALIAS", "Q", attribute("MAXDEPTH", "1"), 2068, "An alias queue has no attribute MAXDEPTH"),
            ("QLOCAL", "A B", attribute("MAXDEPTH", "1"), 2152, "A name has only"),
            ("CHANNEL", "A.NAME.OF.TWENTY.ONE.", attribute("HBINT", "5"), 2152, "at most 20 characters"),
            ("SHELF", "Q", attribute("MAXDEPTH", "1"), 2043, "There is no kind of object \"SHELF\""),
        ] {
            let (found, text) = refusal(changed_object(kind, name, &[said]));
            assert!(found == reason && text.contains(words), "{kind} {name}: {found} {text}");
        }
    }

    #[test]
    fn an_object_is_displayed_as_it_could_be_defined() {
        let said = [("BOQNAME", "HA.BACKOUT"), ("DEFPRTY", "4"), ("SHARE", "NO")];
        let changes = Changes::parse(ObjectKind::LocalQueue, said).unwrap();
        let definition = Definition::new(ObjectRef::new(ObjectKind::LocalQueue, "HA.QUEUE")).with(&changes);
        let view = ObjectView { definition: definition.clone(), queue: None };
        let shown = object_details(&view);
        let (object, changes) = changed_object(&shown.kind, &shown.name, &shown.attributes).unwrap();
        assert_eq!(Definition::new(object).with(&changes), definition);
    }

    #[test]
    fn a_password_is_not_displayed() {
        let password = |value| {
            let said = [("AUTHTYPE", "IDPWLDAP"), ("CONNAME", "ldap"), ("LDAPPWD", value)];
            let changes = Changes::parse(ObjectKind::AuthInfo, said).unwrap();
            let definition = Definition::new(ObjectRef::new(ObjectKind::AuthInfo, "LDAP")).with(&changes);
            let shown = object_details(&ObjectView { definition, queue: None });
            let found = shown.attributes.into_iter().find(|said| said.name == "LDAPPWD");
            found.expect("it has one").value
        };
        assert_eq!((password("hush"), password("")), (SECRET.to_string(), String::new()));
    }

    #[test]
    fn a_cut_body_goes_without_the_checksum_of_the_whole() {
        let message = Message { body: Bytes::from("Hel").into(), body_crc: 1, ..Message::default() };
        assert_eq!(message_to_wire(message.clone(), 5).body_crc32c, None);
        assert_eq!(message_to_wire(message, 3).body_crc32c, Some(1));
    }
}
