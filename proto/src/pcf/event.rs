//! Event messages (IBM MQ Reference, "Event message reference"): what happened, as a message in PCF.

use super::attributes::{named, parameters};
use super::numbers::{command as number, parameter as id};
use super::structure::{Header, Message, Parameter, Value, kind};
use super::table::{COMMANDS, Verb};
use crate::admin::v1::{ObjectDetails, Tongue};
use crate::attribute::Kind;
use crate::mqsc::facts_of;

/// MQFMT_EVENT.
pub const FORMAT: &str = "MQEVENT";
/// MQRC of events.
pub const Q_FULL: i32 = 2053;
pub const Q_DEPTH_HIGH: i32 = 2224;
pub const Q_DEPTH_LOW: i32 = 2225;
const CONFIG_CREATE_OBJECT: i32 = 2367;
const CONFIG_CHANGE_OBJECT: i32 = 2368;
const CONFIG_DELETE_OBJECT: i32 = 2369;
const CONFIG_REFRESH_OBJECT: i32 = 2370;
const COMMAND_MQSC: i32 = 2412;
const COMMAND_PCF: i32 = 2413;

/// MQCMD.
const CONFIG_EVENT: i32 = 43;
const PERFM_EVENT: i32 = 45;
const COMMAND_EVENT: i32 = 99;
/// MQCC_WARNING, which all of these have.
const WARNING: i32 = 1;
/// MQCA_Q_MGR_NAME, MQCA_BASE_OBJECT_NAME, MQIA_TIME_SINCE_RESET, MQIA_HIGH_Q_DEPTH, MQIA_MSG_ENQ_COUNT, MQIA_MSG_DEQ_COUNT.
const Q_MGR_NAME: i32 = 2015;
const BASE_OBJECT_NAME: i32 = 2002;
const TIME_SINCE_RESET: i32 = 35;
const HIGH_Q_DEPTH: i32 = 36;
const MSG_ENQ_COUNT: i32 = 37;
const MSG_DEQ_COUNT: i32 = 38;
/// MQCACF_EVENT_*, MQIACF_EVENT_*, MQBACF_EVENT_*: who asked for it.
const EVENT_USER_ID: i32 = 3045;
const EVENT_Q_MGR: i32 = 3047;
const EVENT_APPL_IDENTITY: i32 = 3049;
const EVENT_APPL_NAME: i32 = 3050;
const EVENT_APPL_ORIGIN: i32 = 3051;
const EVENT_APPL_TYPE: i32 = 1010;
const EVENT_ORIGIN: i32 = 1011;
const EVENT_ACCOUNTING_TOKEN: i32 = 7001;
const EVENT_SECURITY_ID: i32 = 7002;
/// MQIACF_OBJECT_TYPE, MQIACF_COMMAND, MQGACF_COMMAND_CONTEXT, MQGACF_COMMAND_DATA.
const OBJECT_TYPE: i32 = 1016;
const COMMAND: i32 = 1021;
const COMMAND_CONTEXT: i32 = 8001;
const COMMAND_DATA: i32 = 8002;
/// MQAT_UNIX.
const UNIX: i32 = 6;
/// MQ_OBJECT_NAME_LENGTH, MQ_USER_ID_LENGTH, MQ_APPL_IDENTITY_DATA_LENGTH, MQ_APPL_NAME_LENGTH, MQ_APPL_ORIGIN_DATA_LENGTH; bytes of
/// MQ_SECURITY_ID and of MQ_ACCOUNTING_TOKEN.
const NAME: usize = 48;
const USER: usize = 12;
const IDENTITY: usize = 32;
const APPLICATION: usize = 28;
const ORIGIN: usize = 4;
const SECURITY_ID: usize = 40;
const ACCOUNTING_TOKEN: usize = 32;

/// Of a queue, since they were told last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub seconds: u64,
    /// The highest depth.
    pub highest: u64,
    /// Messages that came and that left.
    pub put: u64,
    pub got: u64,
}

/// A performance event: the depth of this queue is what the reason says.
pub fn of_depth(reason: i32, queue_manager: &str, queue: &str, figures: Figures) -> Message {
    let number = |id, number: u64| Parameter::number(id, i32::try_from(number).unwrap_or(i32::MAX));
    let parameters = vec![
        named(Q_MGR_NAME, queue_manager, NAME),
        named(BASE_OBJECT_NAME, queue, NAME),
        number(TIME_SINCE_RESET, figures.seconds),
        number(HIGH_Q_DEPTH, figures.highest),
        number(MSG_ENQ_COUNT, figures.put),
        number(MSG_DEQ_COUNT, figures.got),
    ];
    Message { header: header(PERFM_EVENT, 1, reason), parameters }
}

/// Of an event that is one message.
fn header(command: i32, version: i32, reason: i32) -> Header {
    Header { kind: kind::EVENT, version, command, sequence: 1, is_last: true, completion: WARNING, reason }
}

/// Who asked for what is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asker {
    pub queue_manager: String,
    pub user: String,
    pub application: String,
    pub tongue: Tongue,
}

impl Asker {
    fn parameters(&self) -> Vec<Parameter> {
        let bytes = |id, length| Parameter { id, value: Value::Bytes(vec![0; length]) };
        vec![
            named(EVENT_USER_ID, &self.user, USER),
            Parameter::number(EVENT_ORIGIN, self.origin()),
            named(EVENT_Q_MGR, &self.queue_manager, NAME),
            bytes(EVENT_ACCOUNTING_TOKEN, ACCOUNTING_TOKEN),
            named(EVENT_APPL_IDENTITY, "", IDENTITY),
            Parameter::number(EVENT_APPL_TYPE, UNIX),
            named(EVENT_APPL_NAME, &self.application, APPLICATION),
            named(EVENT_APPL_ORIGIN, "", ORIGIN),
        ]
    }

    /// MQEVO: MQEVO_OTHER where MQ has no word for it.
    fn origin(&self) -> i32 {
        match self.tongue {
            Tongue::Mqsc => 1,
            Tongue::Pcf => 3,
            Tongue::Channel => 4,
            Tongue::None => 5,
            Tongue::Grpc => 0,
            Tongue::Rest => 8,
        }
    }
}

/// What an object was before a command and is after it. None: it was not there, or is not any more.
pub struct Images<'a> {
    pub before: Option<&'a ObjectDetails>,
    pub after: Option<&'a ObjectDetails>,
}

/// A configuration event: one message, or two of an object that was changed.
pub fn of_object(asker: &Asker, images: &Images<'_>) -> Vec<Message> {
    let message = |reason, sequence, is_last, object: &ObjectDetails| {
        let message = of_image(asker, reason, object);
        Message { header: Header { sequence, is_last, ..message.header }, ..message }
    };
    match (images.before, images.after) {
        (None, None) => Vec::new(),
        (None, Some(after)) => vec![message(CONFIG_CREATE_OBJECT, 1, true, after)],
        (Some(before), None) => vec![message(CONFIG_DELETE_OBJECT, 1, true, before)],
        (Some(before), Some(after)) => vec![
            message(CONFIG_CHANGE_OBJECT, 1, false, before),
            message(CONFIG_CHANGE_OBJECT, 2, true, after),
        ],
    }
}

/// A configuration event about an object as it is, which somebody asked for.
pub fn of_refreshed(asker: &Asker, object: &ObjectDetails) -> Message {
    of_image(asker, CONFIG_REFRESH_OBJECT, object)
}

fn of_image(asker: &Asker, reason: i32, object: &ObjectDetails) -> Message {
    let mut parameters = asker.parameters();
    parameters.insert(1, Parameter { id: EVENT_SECURITY_ID, value: Value::Bytes(vec![0; SECURITY_ID]) });
    let facts = facts_of(object, &asker.queue_manager);
    parameters.push(Parameter::number(OBJECT_TYPE, object_type(facts.kind)));
    parameters.extend(super::attributes::parameters(&facts, None));
    Message { header: header(CONFIG_EVENT, 2, reason), parameters }
}

/// MQOT. A subscription has none.
fn object_type(kind: Kind) -> i32 {
    match kind {
        Kind::LocalQueue | Kind::AliasQueue | Kind::RemoteQueue | Kind::ModelQueue => 1,
        Kind::QueueManager => 5,
        Kind::Channel => 6,
        Kind::AuthInfo => 7,
        Kind::Topic => 8,
        Kind::Listener => 11,
        Kind::ChannelAuth => 1016,
        Kind::Authority => 1022,
        Kind::Subscription => 0,
    }
}

/// What a command was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Define {
        replace: bool,
    },
    Alter,
    Delete {
        purge: bool,
    },
    Clear,
    Set,
    /// All records of a profile go.
    RemoveAll,
    Display,
    DisplayConnections,
    /// Objects are told in events.
    Refresh,
}

impl Asked {
    pub fn is_display(self) -> bool {
        matches!(self, Asked::Display | Asked::DisplayConnections)
    }

    /// MQCMD.
    fn command(self, kind: Kind) -> i32 {
        let of = |verb| {
            let is_of = |of: Option<Kind>| of.map_or(kind.is_queue(), |of| of == kind);
            let found = COMMANDS.iter().find(|about| about.verb == verb && is_of(about.what.kind));
            found.map_or(0, |about| about.command)
        };
        match (self, kind) {
            (Asked::DisplayConnections, _) => number::INQUIRE_CONNECTION,
            (Asked::Refresh, _) => number::REFRESH_Q_MGR,
            (Asked::Clear, _) => number::CLEAR_Q,
            (Asked::Display, Kind::ChannelAuth) => number::INQUIRE_CHLAUTH_RECS,
            (Asked::Display, Kind::Authority) => number::INQUIRE_AUTH_RECS,
            (_, Kind::ChannelAuth) => number::SET_CHLAUTH_REC,
            (Asked::RemoveAll, _) => number::DELETE_AUTH_REC,
            (Asked::Set, _) => number::SET_AUTH_REC,
            (Asked::Define { .. }, _) => of(Verb::Create),
            (Asked::Alter, _) => of(Verb::Change),
            (Asked::Delete { .. }, _) => of(Verb::Delete),
            (Asked::Display, _) => of(Verb::Inquire),
        }
    }
}

/// A command event: somebody asked for this and it was done. `said` has what the command says of the object.
pub fn of_command(asker: &Asker, asked: Asked, said: &ObjectDetails) -> Message {
    let facts = facts_of(said, &asker.queue_manager);
    let selectors = said.attributes.iter().filter_map(|said| facts.kind.attribute_named(&said.name));
    let selectors: Vec<i32> = selectors.map(|attribute| attribute.selector as i32).collect();
    let mut data = match asked {
        Asked::DisplayConnections => Vec::new(),
        Asked::Refresh => {
            let name = if said.name.is_empty() { "*" } else { &said.name };
            vec![
                Parameter::number(id::REFRESH_TYPE, id::REFRESH_CONFIGURATION),
                named(id::OBJECT_NAME, name, NAME),
            ]
        }
        _ => parameters(&facts, Some(&selectors)),
    };
    match asked {
        Asked::Define { replace: true } => data.push(Parameter::number(id::REPLACE, 1)),
        Asked::Delete { purge: true } => data.push(Parameter::number(id::PURGE, 1)),
        _ => {}
    }
    let mut context = asker.parameters();
    context.push(Parameter::number(COMMAND, asked.command(facts.kind)));
    let reason = if asker.tongue == Tongue::Mqsc { COMMAND_MQSC } else { COMMAND_PCF };
    let group = |id, parameters| Parameter { id, value: Value::Group(parameters) };
    let parameters = vec![group(COMMAND_CONTEXT, context), group(COMMAND_DATA, data)];
    Message { header: header(COMMAND_EVENT, 3, reason), parameters }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::v1::Attribute;
    use crate::mq::characters::Written;
    use crate::pcf::read;

    const LITTLE: Written = Written { ccsid: 1208, is_big: false };

    fn joe() -> Asker {
        Asker {
            queue_manager: "QM1".into(),
            user: "joe".into(),
            application: "runmqsc".into(),
            tongue: Tongue::Mqsc,
        }
    }

    fn orders(maxdepth: &str) -> ObjectDetails {
        let attribute = Attribute { name: "MAXDEPTH".into(), value: maxdepth.into() };
        ObjectDetails {
            kind: "QLOCAL".into(),
            name: "ORDERS".into(),
            attributes: vec![attribute],
            ..ObjectDetails::default()
        }
    }

    fn value_of(parameters: &[Parameter], id: i32) -> Option<Value> {
        parameters.iter().find(|parameter| parameter.id == id).map(|parameter| parameter.trimmed().value)
    }

    #[test]
    fn an_event_is_a_header_of_its_kind_and_what_happened_in_mqs_order() {
        let figures = Figures { seconds: 12, highest: 80, put: 81, got: 1 };
        let event = of_depth(Q_DEPTH_HIGH, "QM1", "ORDERS", figures);
        let bytes = event.write(LITTLE);
        // MQCFT_EVENT, 36 bytes, version 1, command 45, the first and last, a warning, 2224, six parameters.
        let fields: Vec<i32> =
            bytes[..36].chunks(4).map(|four| i32::from_le_bytes(four.try_into().unwrap())).collect();
        assert_eq!(fields, [7, 36, 1, 45, 1, 1, 1, 2224, 6]);
        let ids: Vec<i32> = event.parameters.iter().map(|parameter| parameter.id).collect();
        assert_eq!(ids, [2015, 2002, 35, 36, 37, 38]);
        assert_eq!(event.parameters[1].trimmed().value, Value::Text("ORDERS".into()));
        assert!(matches!(&event.parameters[1].value, Value::Text(name) if name.len() == 48));
    }

    #[test]
    fn a_change_is_two_messages_and_what_came_or_went_is_one() {
        let (before, after) = (orders("100"), orders("200"));
        let told = |before, after| {
            let events = of_object(&joe(), &Images { before, after });
            let told = events.iter().map(|event| {
                let Header { version, command, sequence, is_last, completion, reason, .. } = event.header;
                assert_eq!((version, command, completion), (2, 43, 1));
                assert_eq!(value_of(&event.parameters, OBJECT_TYPE), Some(Value::Number(1)));
                (reason, sequence, is_last, value_of(&event.parameters, 15))
            });
            told.collect::<Vec<_>>()
        };
        let depth = |depth| Some(Value::Number(depth));
        assert_eq!(told(None, Some(&after)), [(2367, 1, true, depth(200))]);
        let change = [(2368, 1, false, depth(100)), (2368, 2, true, depth(200))];
        assert_eq!(told(Some(&before), Some(&after)), change);
        assert_eq!(told(Some(&before), None), [(2369, 1, true, depth(100))]);
        assert_eq!(told(None, None), []);
        let refreshed = of_refreshed(&joe(), &after);
        let Header { version, command, sequence, is_last, reason, .. } = refreshed.header;
        assert_eq!((version, command, sequence, is_last, reason), (2, 43, 1, true, 2370));
        assert_eq!(value_of(&refreshed.parameters, 15), depth(200));
    }

    #[test]
    fn who_asked_stands_in_front_of_the_object_in_mqs_order() {
        let event = of_object(&joe(), &Images { before: None, after: Some(&orders("5")) }).remove(0);
        let ids: Vec<i32> = event.parameters.iter().map(|parameter| parameter.id).collect();
        assert_eq!(ids[..11], [3045, 7002, 1011, 3047, 7001, 3049, 1010, 3050, 3051, 1016, 2016]);
        assert_eq!(event.parameters[2].value, Value::Number(1), "MQEVO_CONSOLE");
        let again = read(&event.write(LITTLE), LITTLE).unwrap();
        assert_eq!(again, event);
    }

    #[test]
    fn a_command_is_told_in_two_groups_with_what_it_said_and_no_more() {
        let event = of_command(&joe(), Asked::Define { replace: true }, &orders("5"));
        assert_eq!((event.header.version, event.header.command, event.header.reason), (3, 99, 2412));
        let groups: Vec<&[Parameter]> = event.parameters.iter().map(group).collect();
        assert_eq!(value_of(groups[0], COMMAND), Some(Value::Number(number::CREATE_Q)));
        let said: Vec<i32> = groups[1].iter().map(|parameter| parameter.id).collect();
        assert_eq!(said, [2016, 20, 15, 1006]);
        assert_eq!(read(&event.write(LITTLE), LITTLE).unwrap(), event);
        let by_pcf = Asker { tongue: Tongue::Pcf, ..joe() };
        assert_eq!(of_command(&by_pcf, Asked::Alter, &orders("5")).header.reason, 2413);
    }

    fn group(parameter: &Parameter) -> &[Parameter] {
        match &parameter.value {
            Value::Group(parameters) => parameters,
            other => panic!("{other:?} is no group"),
        }
    }

    #[test]
    fn every_command_has_mqs_number() {
        let of = |asked: Asked, kind| asked.command(kind);
        let define = Asked::Define { replace: false };
        let delete = Asked::Delete { purge: false };
        let queues = [Kind::LocalQueue, Kind::AliasQueue, Kind::RemoteQueue, Kind::ModelQueue];
        for kind in queues {
            assert_eq!(
                [define, Asked::Alter, delete, Asked::Display].map(|asked| of(asked, kind)),
                [11, 8, 12, 13]
            );
        }
        assert_eq!((of(Asked::Alter, Kind::QueueManager), of(Asked::Display, Kind::QueueManager)), (1, 2));
        assert_eq!((of(define, Kind::Channel), of(Asked::Alter, Kind::Listener)), (23, 93));
        assert_eq!((of(Asked::Set, Kind::ChannelAuth), of(Asked::RemoveAll, Kind::ChannelAuth)), (203, 203));
        assert_eq!((of(Asked::Set, Kind::Authority), of(Asked::RemoveAll, Kind::Authority)), (90, 89));
        assert_eq!(of(Asked::Refresh, Kind::QueueManager), 16);
        assert_eq!(
            (of(Asked::Clear, Kind::LocalQueue), of(Asked::DisplayConnections, Kind::LocalQueue)),
            (9, 85)
        );
    }
}
