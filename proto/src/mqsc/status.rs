//! Status: what is known of queues, connections and nodes at the moment, in the fields that MQ has for it.
//!
//! A field that MQ has and nobody here keeps is blank, as MQ shows it where monitoring is off.

use super::command::{Display, Reply, Subject};
use super::dates::day_and_time;
use super::facts::facts_of;
use super::filter::is_like;
use super::layout::Cell;
use crate::admin::v1::{
    HandleDetails, ListenerStatus, ObjectDetails, QueueManagerStatus, SessionDetails, StatusResponse,
};
use crate::mq::cipher_spec::Suite;
use crate::queue::v1::QueueStatus;

/// What can be asked of each, in the order of the display; what stands in front is always shown.
const QUEUE: &[&str] = &[
    "QUEUE", "TYPE", "CURDEPTH", "CURFSIZE", "CURMAXFS", "IPPROCS", "LGETDATE", "LGETTIME", "LPUTDATE",
    "LPUTTIME", "MEDIALOG", "MONQ", "MSGAGE", "OPPROCS", "QTIME", "UNCOM",
];
const HANDLE: &[&str] = &[
    "QUEUE", "TYPE", "APPLDESC", "APPLTAG", "APPLTYPE", "BROWSE", "CHANNEL", "CONNAME", "HSTATE", "INPUT",
    "INQUIRE", "OUTPUT", "PID", "SET", "TID", "USERID",
];
const MANAGER: &[&str] = &[
    "QMNAME", "TYPE", "STATUS", "CHINIT", "CMDSERV", "CONNS", "GRPNAME", "GRPROLE", "HOSTNAME", "INSTANCE",
    "INSTNAME", "QUORUM", "STANDBY",
];
const INSTANCE: &[&str] =
    &["INSTANCE", "TYPE", "ROLE", "REPLADDR", "CONNACTV", "INSYNC", "BACKLOG", "HASTATUS"];
const CONNECTION: &[&str] = &[
    "CONN", "EXTCONN", "TYPE", "APPLDESC", "APPLTAG", "APPLTYPE", "CHANNEL", "CONNAME", "PID", "TID",
    "USERID",
];
const CHANNEL: &[&str] = &[
    "CHANNEL", "CHLTYPE", "BUFSRCVD", "BUFSSENT", "BYTSRCVD", "BYTSSENT", "CHSTADA", "CHSTATI", "CONNAME",
    "CURRENT", "CURSHCNV", "LSTMSGDA", "LSTMSGTI", "MCAUSER", "MSGS", "RAPPLTAG", "SECPROT", "SSLCIPH",
    "SSLPEER", "STATUS", "SUBSTATE",
];
/// REASON is not MQ's.
const LISTENER: &[&str] = &[
    "LISTENER", "STATUS", "PID", "STARTDA", "STARTTI", "DESCR", "TRPTYPE", "CONTROL", "IPADDR", "PORT",
    "BACKLOG", "REASON",
];

pub(super) fn fields(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::QueueStatus => QUEUE,
        Subject::QueueHandles => HANDLE,
        Subject::ManagerStatus => MANAGER,
        Subject::Instances => INSTANCE,
        Subject::Connections => CONNECTION,
        Subject::ChannelStatus => CHANNEL,
        Subject::ListenerStatus => LISTENER,
        Subject::Object(_) | Subject::Queues => &[],
    }
}

/// What a field may be: one of these words, or a number where there are none. None for texts, and where MQ has more than is known.
pub(super) fn words(field: &str) -> Option<&'static [&'static str]> {
    Some(match field {
        "BACKLOG" | "BUFSRCVD" | "BUFSSENT" | "BYTSRCVD" | "BYTSSENT" | "CONNS" | "CURDEPTH" | "CURFSIZE"
        | "CURMAXFS" | "CURSHCNV" | "IPPROCS" | "MSGAGE" | "MSGS" | "OPPROCS" | "PID" | "PORT" | "TID" => &[],
        "BROWSE" | "CONNACTV" | "INQUIRE" | "INSYNC" | "OUTPUT" | "SET" | "UNCOM" => &["NO", "YES"],
        "CHINIT" | "CMDSERV" => &["STOPPED", "STARTING", "RUNNING", "STOPPING", "RETRYING"],
        "HSTATE" => &["INACTIVE", "ACTIVE"],
        "INPUT" => &["NO", "SHARED", "EXCL"],
        "ROLE" => &["UNKNOWN", "ACTIVE", "REPLICA"],
        "STANDBY" => &["NOPERMIT", "PERMIT"],
        _ => return None,
    })
}

/// What is always shown.
fn always(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::QueueStatus => &["QUEUE", "TYPE", "CURDEPTH"],
        Subject::QueueHandles => &["QUEUE", "TYPE"],
        Subject::ManagerStatus => &["QMNAME", "TYPE", "STATUS"],
        Subject::Instances => &["INSTANCE", "TYPE", "ROLE", "INSYNC"],
        Subject::Connections => &["CONN", "EXTCONN", "TYPE"],
        Subject::ChannelStatus => &["CHANNEL", "CHLTYPE", "CONNAME", "CURRENT", "STATUS", "SUBSTATE"],
        Subject::ListenerStatus => &["LISTENER", "STATUS", "PID"],
        _ => &[],
    }
}

/// One block for each thing that is shown.
pub(super) fn blocks(display: &Display, reply: &Reply, queue_manager: &str) -> Vec<Vec<Cell>> {
    found(display, reply, queue_manager).map(|row| row.cells(display)).collect()
}

/// All that is known of each thing that a display of status finds: names of fields and their values.
pub fn rows(display: &Display, reply: &Reply, queue_manager: &str) -> Vec<Vec<(&'static str, String)>> {
    let fields =
        |row: Row| row.0.into_iter().map(|(field, value)| (field, value.unwrap_or_default())).collect();
    found(display, reply, queue_manager).map(fields).collect()
}

fn found(display: &Display, reply: &Reply, queue_manager: &str) -> impl Iterator<Item = Row> {
    let found: Vec<Row> = match (display.subject, reply) {
        (Subject::QueueStatus, Reply::Objects(queues)) => {
            queues.iter().map(|queue| of_queue(queue, queue_manager)).collect()
        }
        (Subject::QueueHandles, Reply::Sessions(sessions)) => sessions
            .iter()
            .flat_map(|session| session.handles.iter().map(move |handle| of_handle(session, handle)))
            .collect(),
        (Subject::ManagerStatus, Reply::Status(status)) => {
            managers(status, queue_manager).map(|manager| of_manager(status, manager)).collect()
        }
        (Subject::Instances, Reply::Status(status)) => {
            managers(status, queue_manager).flat_map(instances).collect()
        }
        (Subject::Connections, Reply::Sessions(sessions)) => {
            let programs = sessions.iter().filter(|session| !session.instance);
            programs.map(|session| of_connection(session, queue_manager)).collect()
        }
        (Subject::ChannelStatus, Reply::Sessions(sessions)) => {
            let instances = sessions.iter().filter(|session| session.instance);
            instances.map(|instance| of_channel(instance, sessions)).collect()
        }
        (Subject::ListenerStatus, Reply::Status(status)) => {
            managers(status, queue_manager).flat_map(|manager| &manager.listeners).map(of_listener).collect()
        }
        _ => Vec::new(),
    };
    found.into_iter().filter(|row| row.passes(display))
}

/// Fields with their values; one without a value is a word.
struct Row(Vec<(&'static str, Option<String>)>);

impl Row {
    fn value(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(field, _)| *field == name);
        found.map(|(_, value)| value.as_deref().unwrap_or_default())
    }

    fn passes(&self, display: &Display) -> bool {
        let named = self.0.first().and_then(|(_, value)| value.as_deref()).unwrap_or_default();
        let is_named = display.name.is_empty() || is_like(named, &display.name);
        is_named
            && display
                .filters
                .iter()
                .all(|filter| self.value(&filter.attribute).is_some_and(|value| filter.holds(value)))
    }

    fn cells(self, display: &Display) -> Vec<Cell> {
        let always = always(display.subject);
        let is_shown = |field: &str| {
            let is_first = always.contains(&field);
            is_first || display.wants(field)
        };
        // Why a listener does not run is what whoever asks wants to know.
        let says_why = |field: &str, value: &Option<String>| {
            display.subject == Subject::ListenerStatus
                && field == "REASON"
                && value.as_ref().is_some_and(|why| !why.is_empty())
        };
        let shown = self.0.into_iter().filter(|(field, value)| is_shown(field) || says_why(field, value));
        shown
            .map(|(field, value)| match value {
                Some(value) => Cell::new(field, value),
                None => Cell::keyword(field),
            })
            .collect()
    }
}

/// Rows are written in the order of the display.
fn row(fields: &'static [&'static str], known: &[(&str, String)]) -> Row {
    let value = |field: &str| {
        let found = known.iter().find(|(name, _)| *name == field);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    Row(fields.iter().map(|field| (*field, (*field != "CURRENT").then(|| value(field)))).collect())
}

fn yes(is: bool) -> String {
    if is { "YES" } else { "NO" }.to_string()
}

fn of_queue(queue: &ObjectDetails, queue_manager: &str) -> Row {
    let status = queue.status.clone().unwrap_or_default();
    let facts = facts_of(queue, queue_manager);
    let watched = facts.values.iter().find(|fact| fact.name == "MONQ").map(|fact| fact.value.clone());
    // What never happened has no time, and no time has no day.
    let at = |ms: i64| if ms > 0 { day_and_time(ms) } else { Default::default() };
    let ((put, put_at), (got, got_at)) = (at(status.last_put_ms), at(status.last_get_ms));
    row(
        QUEUE,
        &[
            ("QUEUE", queue.name.clone()),
            ("TYPE", "QUEUE".into()),
            ("CURDEPTH", status.depth.to_string()),
            ("IPPROCS", status.open_input.to_string()),
            ("LGETDATE", got),
            ("LGETTIME", got_at),
            ("LPUTDATE", put),
            ("LPUTTIME", put_at),
            ("MONQ", watched.unwrap_or_default()),
            ("MSGAGE", status.oldest_age_s.to_string()),
            ("OPPROCS", status.open_output.to_string()),
            ("QTIME", lain_of(&status)),
            ("UNCOM", yes(status.uncommitted > 0)),
        ],
    )
}

/// QTIME: two numbers of microseconds, or none.
fn lain_of(status: &QueueStatus) -> String {
    match status.last_get_ms {
        0 => " , ".into(),
        _ => format!("{},{}", status.lain_short_us, status.lain_long_us),
    }
}

fn of_handle(session: &SessionDetails, handle: &HandleDetails) -> Row {
    let input = match (handle.input, handle.exclusive) {
        (false, _) => "NO",
        (true, false) => "SHARED",
        (true, true) => "EXCL",
    };
    row(
        HANDLE,
        &[
            ("QUEUE", handle.queue.clone()),
            ("TYPE", "HANDLE".into()),
            ("APPLTAG", session.application.clone()),
            ("APPLTYPE", "USER".into()),
            ("BROWSE", yes(handle.browse)),
            ("CHANNEL", session.channel.clone()),
            ("CONNAME", host(&session.address)),
            ("HSTATE", if handle.waits { "ACTIVE" } else { "INACTIVE" }.into()),
            ("INPUT", input.into()),
            ("INQUIRE", yes(handle.inquire)),
            ("OUTPUT", yes(handle.output)),
            ("PID", "0".into()),
            ("SET", "NO".into()),
            ("TID", "*".into()),
            ("USERID", session.user.clone()),
        ],
    )
}

/// An address without its port, as MQ shows it.
fn host(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']']).to_string()
}

/// A connection's number as MQ writes identifiers: sixteen hexadecimal digits.
fn of_connection(session: &SessionDetails, queue_manager: &str) -> Row {
    let mut prefix: String = queue_manager.chars().take(12).collect();
    prefix.extend(std::iter::repeat_n(' ', 12 - prefix.chars().count()));
    let external: String = format!("AMQC{prefix}").bytes().map(|byte| format!("{byte:02X}")).collect();
    row(
        CONNECTION,
        &[
            ("CONN", format!("{:016X}", session.id)),
            ("EXTCONN", external),
            ("TYPE", "CONN".into()),
            ("APPLTAG", session.application.clone()),
            ("APPLTYPE", "USER".into()),
            ("CHANNEL", session.channel.clone()),
            ("CONNAME", host(&session.address)),
            ("PID", "0".into()),
            ("TID", "*".into()),
            ("USERID", session.user.clone()),
        ],
    )
}

/// An instance, with the programs that share it: those that come from its address.
fn of_channel(instance: &SessionDetails, sessions: &[SessionDetails]) -> Row {
    let shares = |session: &&SessionDetails| !session.instance && session.address == instance.address;
    let programs: Vec<&SessionDetails> = sessions.iter().filter(shares).collect();
    let first = programs.first().copied();
    let passed = instance.passed.unwrap_or_default();
    let at = |ms: i64| if ms > 0 { day_and_time(ms) } else { Default::default() };
    let ((began, began_at), (last, last_at)) = (at(passed.began_ms), at(passed.last_call_ms));
    row(
        CHANNEL,
        &[
            ("CHANNEL", instance.channel.clone()),
            ("CHLTYPE", "SVRCONN".into()),
            ("BUFSRCVD", passed.buffers_received.to_string()),
            ("BUFSSENT", passed.buffers_sent.to_string()),
            ("BYTSRCVD", passed.bytes_received.to_string()),
            ("BYTSSENT", passed.bytes_sent.to_string()),
            ("CHSTADA", began),
            ("CHSTATI", began_at),
            ("LSTMSGDA", last),
            ("LSTMSGTI", last_at),
            ("MSGS", passed.calls.to_string()),
            ("CONNAME", host(&instance.address)),
            ("CURSHCNV", programs.len().to_string()),
            ("MCAUSER", first.unwrap_or(instance).user.clone()),
            ("RAPPLTAG", first.map(|program| program.application.clone()).unwrap_or_default()),
            (
                "SECPROT",
                Suite::named(&instance.cipher_spec).map_or("NONE", |suite| suite.version.name()).into(),
            ),
            ("SSLCIPH", instance.cipher_spec.clone()),
            ("SSLPEER", instance.peer_name.clone()),
            ("STATUS", "RUNNING".into()),
            ("SUBSTATE", "RECEIVE".into()),
        ],
    )
}

fn of_listener(listener: &ListenerStatus) -> Row {
    let started = (listener.started_ms > 0).then(|| day_and_time(listener.started_ms));
    let (day, time) = started.unwrap_or_default();
    row(
        LISTENER,
        &[
            ("LISTENER", listener.name.clone()),
            ("STATUS", listener.state.to_uppercase()),
            ("PID", listener.pid.to_string()),
            ("STARTDA", day),
            ("STARTTI", time),
            ("DESCR", listener.description.clone()),
            ("TRPTYPE", "TCP".into()),
            ("CONTROL", listener.control.clone()),
            ("IPADDR", if listener.address.is_empty() { "*".into() } else { listener.address.clone() }),
            ("PORT", listener.port.to_string()),
            ("BACKLOG", listener.backlog.to_string()),
            ("REASON", listener.reason.clone()),
        ],
    )
}

fn managers<'a>(
    status: &'a StatusResponse,
    queue_manager: &'a str,
) -> impl Iterator<Item = &'a QueueManagerStatus> {
    status.queue_managers.iter().filter(move |manager| manager.name == queue_manager)
}

fn of_manager(status: &StatusResponse, manager: &QueueManagerStatus) -> Row {
    let running = if manager.role == "active" { "RUNNING" } else { "STARTING" };
    row(
        MANAGER,
        &[
            ("QMNAME", manager.name.clone()),
            ("TYPE", "QMGR".into()),
            ("STATUS", running.into()),
            ("CHINIT", "RUNNING".into()),
            ("CMDSERV", if manager.command_server { "RUNNING" } else { "STOPPED" }.into()),
            ("CONNS", manager.sessions.to_string()),
            ("GRPNAME", status.cluster.clone()),
            ("GRPROLE", "NOTCONFIG".into()),
            ("HOSTNAME", host(&manager.active_address)),
            ("INSTANCE", status.node.clone()),
            ("INSTNAME", format!("Trimaran {}", status.version)),
            ("QUORUM", format!("{}/{}", manager.quorum_live, manager.quorum_of)),
            ("STANDBY", "NOPERMIT".into()),
        ],
    )
}

/// BACKLOG is in KB, as MQ has it.
fn instances(manager: &QueueManagerStatus) -> Vec<Row> {
    let of = |instance: &crate::admin::v1::InstanceStatus| {
        let is_active = instance.node == manager.active_node;
        row(
            INSTANCE,
            &[
                ("INSTANCE", instance.node.clone()),
                ("TYPE", "NATIVEHA".into()),
                ("ROLE", if is_active { "ACTIVE" } else { "REPLICA" }.into()),
                ("REPLADDR", instance.peer_address.clone()),
                ("CONNACTV", yes(instance.reason != "not connected")),
                ("INSYNC", yes(instance.in_sync)),
                ("BACKLOG", instance.backlog_bytes.div_ceil(1024).to_string()),
                ("HASTATUS", if instance.in_sync { "NORMAL".into() } else { instance.reason.to_uppercase() }),
            ],
        )
    };
    manager.instances.iter().map(of).collect()
}
