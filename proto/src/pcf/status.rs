//! What is known of queues, connections, channels and nodes at the moment: fields of MQSC's displays as parameters.

use super::attributes::{bytes_of, named};
use super::numbers::parameter;
use super::structure::{Parameter, Value};
use crate::mqsc::Subject;

/// A field of a display, and the parameter that says the same.
struct Field {
    name: &'static str,
    id: i32,
    how: How,
    /// It is told whatever is asked for.
    always: bool,
}

/// How a field is told. What is blank and is no text is not told.
enum How {
    Text {
        filled: usize,
    },
    Number,
    /// One of these words.
    Word(&'static [(&'static str, i32)]),
    /// The same for all.
    Always(i32),
    /// Two numbers with a comma between; MQMON_NOT_AVAILABLE where there are none yet.
    Pair,
    /// Hexadecimal digits, behind those of the field before.
    Identifier {
        behind: &'static str,
    },
}

/// MQOT_CURRENT_CHANNEL.
pub const CURRENT_CHANNEL: i32 = 1011;
const NO_YES: &[(&str, i32)] = &[("NO", 0), ("YES", 1)];
const OPEN_FOR_INPUT: &[(&str, i32)] = &[("NO", 0), ("SHARED", 1), ("EXCL", 2)];
const MONITORED: &[(&str, i32)] = &[("QMGR", -3), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)];
const SERVICE: &[(&str, i32)] =
    &[("STOPPED", 0), ("STARTING", 1), ("RUNNING", 2), ("STOPPING", 3), ("RETRYING", 4)];
const CONTROLLED: &[(&str, i32)] = &[("QMGR", 0), ("STARTONLY", 1), ("MANUAL", 2)];
const PROTOCOL: &[(&str, i32)] = &[("NONE", 0), ("SSLV30", 1), ("TLSV10", 2), ("TLSV12", 4), ("TLSV13", 8)];
/// MQAT_USER.
const USER: &[(&str, i32)] = &[("USER", 25), ("SYSTEM", 35)];
const MANAGER: &[(&str, i32)] = &[("STARTING", 1), ("RUNNING", 2), ("QUIESCING", 3), ("STANDBY", 4)];
const ROLE: &[(&str, i32)] = &[("UNKNOWN", 0), ("ACTIVE", 1), ("REPLICA", 2)];

const fn field(name: &'static str, id: i32, how: How) -> Field {
    Field { name, id, how, always: false }
}

const fn text(name: &'static str, id: i32, filled: usize) -> Field {
    field(name, id, How::Text { filled })
}

const fn number(name: &'static str, id: i32) -> Field {
    field(name, id, How::Number)
}

const fn word(name: &'static str, id: i32, words: &'static [(&'static str, i32)]) -> Field {
    field(name, id, How::Word(words))
}

const fn constant(name: &'static str, id: i32, value: i32) -> Field {
    field(name, id, How::Always(value))
}

impl Field {
    const fn always(self) -> Field {
        Field { always: true, ..self }
    }
}

const QUEUE: &[Field] = &[
    text("QUEUE", 2016, 48).always(),
    constant("TYPE", parameter::Q_STATUS_TYPE, parameter::Q_STATUS).always(),
    number("CURDEPTH", 3),
    number("CURFSIZE", 1437),
    number("CURMAXFS", 1438),
    number("IPPROCS", 17),
    text("LGETDATE", 3130, 12),
    text("LGETTIME", 3131, 8),
    text("LPUTDATE", 3128, 12),
    text("LPUTTIME", 3129, 8),
    text("MEDIALOG", 3073, 24),
    word("MONQ", 123, MONITORED),
    number("MSGAGE", 1227),
    number("OPPROCS", 18),
    field("QTIME", 1226, How::Pair),
    word("UNCOM", 1027, NO_YES),
];
const HANDLE: &[Field] = &[
    text("QUEUE", 2016, 48).always(),
    constant("TYPE", parameter::Q_STATUS_TYPE, parameter::Q_HANDLE).always(),
    text("APPLDESC", 3174, 64),
    text("APPLTAG", 3058, 28),
    word("APPLTYPE", 1, USER),
    word("BROWSE", 1102, NO_YES),
    text("CHANNEL", 3501, 20),
    text("CONNAME", 3506, 264),
    word("HSTATE", 1028, &[("INACTIVE", 0), ("ACTIVE", 1)]),
    word("INPUT", 1098, OPEN_FOR_INPUT),
    word("INQUIRE", 1101, NO_YES),
    word("OUTPUT", 1099, NO_YES),
    number("PID", 1024),
    word("SET", 1100, NO_YES),
    constant("TID", 1025, 0),
    text("USERID", 3025, 12),
];
const QUEUE_MANAGER: &[Field] = &[
    text("QMNAME", 2015, 48).always(),
    constant("TYPE", parameter::Q_MGR_STATUS_INFO_TYPE, parameter::Q_MGR_STATUS_INFO_Q_MGR).always(),
    word("STATUS", 1149, MANAGER).always(),
    word("CHINIT", 1232, SERVICE),
    word("CMDSERV", 1233, SERVICE),
    number("CONNS", 1230),
    text("HOSTNAME", 3191, 48),
    text("INSTNAME", 2116, 16),
    word("STANDBY", 1325, &[("NOPERMIT", 0), ("PERMIT", 1)]),
];
const INSTANCE: &[Field] = &[
    text("INSTANCE", 3211, 48).always(),
    constant("TYPE", parameter::Q_MGR_STATUS_INFO_TYPE, parameter::Q_MGR_STATUS_INFO_NHA).always(),
    word("ROLE", 1460, ROLE).always(),
    text("REPLADDR", 3220, 48),
    word("CONNACTV", 1457, NO_YES),
    word("INSYNC", 1459, NO_YES).always(),
    number("BACKLOG", 1458),
];
const CONNECTION: &[Field] = &[
    field("CONN", parameter::CONNECTION_ID, How::Identifier { behind: "EXTCONN" }).always(),
    constant("TYPE", parameter::CONN_INFO_TYPE, parameter::CONN_INFO_CONN).always(),
    text("APPLDESC", 3174, 64),
    text("APPLTAG", 3058, 28),
    word("APPLTYPE", 1, USER),
    text("CHANNEL", 3501, 20),
    text("CONNAME", 3506, 264),
    number("PID", 1024),
    constant("TID", 1025, 0),
    text("USERID", 3025, 12),
];
const CHANNEL: &[Field] = &[
    text("CHANNEL", 3501, 20).always(),
    word("CHLTYPE", parameter::CHANNEL_TYPE, &[("SVRCONN", 7)]).always(),
    number("BUFSRCVD", 1539),
    number("BUFSSENT", 1538),
    number("BYTSRCVD", 1536),
    number("BYTSSENT", 1535),
    text("CHSTADA", 3529, 12),
    text("CHSTATI", 3528, 8),
    text("CONNAME", 3506, 264).always(),
    constant("CURRENT", parameter::CHANNEL_INSTANCE_TYPE, CURRENT_CHANNEL).always(),
    number("CURSHCNV", 1617),
    text("LSTMSGDA", 3525, 12),
    text("LSTMSGTI", 3524, 8),
    text("MCAUSER", 3527, 12),
    number("MSGS", 1534),
    text("RAPPLTAG", 3548, 28),
    word("SECPROT", 1645, PROTOCOL),
    text("SSLCIPH", 3544, 32),
    text("SSLPEER", 3547, 0),
    word("STATUS", parameter::CHANNEL_STATUS, &[("RUNNING", 3)]).always(),
    word("SUBSTATE", 1609, &[("RECEIVE", 300)]),
];
const LISTENER: &[Field] = &[
    text("LISTENER", 3554, 48).always(),
    word("STATUS", 1599, SERVICE).always(),
    number("PID", 1024),
    text("STARTDA", 3556, 12),
    text("STARTTI", 3557, 8),
    text("DESCR", 3555, 64),
    word("TRPTYPE", 1501, &[("TCP", 2)]),
    word("CONTROL", 1601, CONTROLLED),
    text("IPADDR", 3552, 48),
    number("PORT", 1522),
    number("BACKLOG", 1602),
];

fn fields(subject: Subject) -> &'static [Field] {
    match subject {
        Subject::QueueStatus => QUEUE,
        Subject::QueueHandles => HANDLE,
        Subject::ManagerStatus => QUEUE_MANAGER,
        Subject::Instances => INSTANCE,
        Subject::Connections => CONNECTION,
        Subject::ChannelStatus => CHANNEL,
        Subject::ListenerStatus => LISTENER,
        Subject::Object(_) | Subject::Queues => &[],
    }
}

/// The field of this number, and what is compared with it, as MQSC has it; None when there is none, or none of this type.
pub fn compared(subject: Subject, id: i32, value: &Value) -> Option<(&'static str, String)> {
    let field = fields(subject).iter().find(|field| field.id == id)?;
    let text = match (&field.how, value) {
        (How::Text { .. }, Value::TextFilter(_, text)) => text.clone(),
        (How::Number, Value::NumberFilter(_, number)) => number.to_string(),
        (How::Word(words), Value::NumberFilter(_, number)) => words
            .iter()
            .find(|(_, of)| of == number)
            .map_or_else(|| number.to_string(), |(word, _)| word.to_string()),
        _ => return None,
    };
    Some((field.name, text))
}

/// The fields of one row of a display, as parameters: what is always told, and of the rest what is `wanted`, None for all.
pub fn parameters(
    subject: Subject,
    row: &[(&'static str, String)],
    wanted: Option<&[i32]>,
) -> Vec<Parameter> {
    let value =
        |name: &str| row.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value.as_str());
    let is_told = |field: &&Field| field.always || wanted.is_none_or(|ids| ids.contains(&field.id));
    fields(subject).iter().filter(is_told).filter_map(|field| told(field, value)).collect()
}

fn told<'a>(field: &Field, value_of: impl Fn(&str) -> &'a str) -> Option<Parameter> {
    let (id, value) = (field.id, value_of(field.name).trim());
    match &field.how {
        How::Text { filled } => Some(named(id, value, *filled)),
        How::Number => Some(Parameter::number(id, clamped(value)?)),
        How::Word(words) => {
            let found = words.iter().find(|(word, _)| *word == value);
            found.map(|(_, number)| Parameter::number(id, *number))
        }
        How::Always(number) => Some(Parameter::number(id, *number)),
        How::Pair => {
            const NOT_AVAILABLE: i32 = -1;
            let numbers = value.split(',').map(|number| clamped(number).unwrap_or(NOT_AVAILABLE));
            Some(Parameter { id, value: Value::Numbers(numbers.collect()) })
        }
        How::Identifier { behind } => {
            let digits = format!("{}{value}", value_of(behind));
            Some(Parameter { id, value: Value::Bytes(bytes_of(&digits)) })
        }
    }
}

/// What is more than PCF can say is the most that it can.
fn clamped(text: &str) -> Option<i32> {
    let number = text.parse::<i128>().ok()?;
    Some(i32::try_from(number).unwrap_or(i32::MAX))
}
