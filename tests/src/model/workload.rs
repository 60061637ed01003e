//! Which queues a run has and what each of its programs likes to do: drawn from the seed, different every time.

use trimaran_node::mqi::Admin;
use trimaran_node::qmgr::Retention;
use trimaran_node::types::ObjectName;
use trimaran_node::types::definition::{Changes, ObjectKind, ObjectRef};

use super::history::QueueFacts;
use crate::check::instances;
use crate::sim::rng::Rng;
use crate::sim::wire::CHANNEL;

/// The queues of each queue manager, in this order.
pub const QUEUES: [&str; 7] =
    ["ORDERS", "BILLS", "FIFO.LINE", "RETRIED", "RETRIED.PARKED", "DEAD.LETTERS", "SCRATCH"];
/// Programs use these; the others receive what the queue manager moves.
pub const USED: [usize; 4] = [0, 1, 2, 3];
pub const SCRATCH: usize = 6;
const FIFO: usize = 2;
const RETRIED: usize = 3;

pub fn queue_name(queue: u32) -> ObjectName {
    ObjectName::new(QUEUES[queue as usize % QUEUES.len()]).expect("the names above are valid")
}

/// Number of the queue in the history.
pub fn queue_number(queue_manager: usize, queue: usize) -> u32 {
    (queue_manager * QUEUES.len() + queue) as u32
}

/// Name and attributes of each.
pub fn definitions() -> Vec<Admin> {
    let mut definitions = Vec::new();
    for (number, name) in QUEUES.iter().enumerate() {
        let mut attributes = vec![("MAXDEPTH", "100000"), ("DEFPRTY", "4")];
        if number == FIFO {
            attributes.push(("MSGDLVSQ", "FIFO"));
        }
        if number == RETRIED {
            let moves = [("BOTHRESH", "3"), ("BOQNAME", QUEUES[RETRIED + 1]), ("BACKOUT_MOVE", "YES")];
            attributes.extend(moves);
        }
        definitions.push(Admin::define_local(&ObjectName::new(name).expect("valid"), &attributes));
    }
    definitions.extend(OBJECTS.map(|(kind, name, attributes)| Admin::Define {
        object: ObjectRef::new(kind, name),
        like: String::new(),
        replace: false,
        changes: Changes::parse(kind, attributes.iter().copied()).expect("valid"),
    }));
    definitions
}

/// The channel that programs come through, with fewer places than they would take.
pub fn channel(queue_manager: usize) -> Admin {
    let (maxinst, maxinstc) = instances::limits(queue_manager);
    let limits = [("MAXINST", maxinst.to_string()), ("MAXINSTC", maxinstc.to_string())];
    let attributes = limits.iter().map(|(name, value)| (*name, value.as_str()));
    Admin::Define {
        object: ObjectRef::new(ObjectKind::Channel, CHANNEL),
        like: String::new(),
        replace: false,
        changes: Changes::parse(ObjectKind::Channel, attributes).expect("valid"),
    }
}

/// Objects of every other kind, for administrators to alter.
pub const OBJECTS: [(ObjectKind, &str, &[(&str, &str)]); 8] = [
    (ObjectKind::AliasQueue, "ORDERS.ALIAS", &[("TARGET", "ORDERS")]),
    (ObjectKind::RemoteQueue, "ELSEWHERE", &[("RNAME", "ORDERS"), ("RQMNAME", "OTHER")]),
    (ObjectKind::ModelQueue, "MODEL", &[]),
    (ObjectKind::Channel, "APP.SVRCONN", &[]),
    (ObjectKind::Listener, "TCP", &[("PORT", "1414")]),
    (ObjectKind::Topic, "PRICES", &[("TOPICSTR", "prices/")]),
    (ObjectKind::Subscription, "PRICES.TO.BILLS", &[("TOPICOBJ", "PRICES"), ("DEST", "BILLS")]),
    (ObjectKind::AuthInfo, "PASSWORDS", &[("AUTHTYPE", "IDPWOS")]),
];

pub fn facts(queue_managers: usize) -> Vec<QueueFacts> {
    let mut facts = Vec::new();
    for queue_manager in 0..queue_managers {
        for (number, name) in QUEUES.iter().enumerate() {
            facts.push(QueueFacts {
                queue_manager: queue_manager as u32,
                name: format!("{name}@{queue_manager}"),
                ordered: USED.contains(&number) && number != RETRIED,
                fifo: number == FIFO,
                may_lose: number == SCRATCH,
            });
        }
    }
    facts
}

/// How much is remembered for programs that ask again: in half of the runs so little that they often ask too late.
pub fn retention(seed: u64) -> Retention {
    let mut rng = Rng::new(seed ^ 0x666F_7267_6574);
    if rng.chance(500) {
        return Retention::default();
    }
    let outcomes_min = *rng.pick(&[1, 2, 5, 50]).expect("not empty");
    let producers_min = *rng.pick(&[1, 2, 4]).expect("not empty");
    Retention {
        outcomes_min,
        outcomes_max: outcomes_min * *rng.pick(&[1, 2]).expect("not empty"),
        producers_min,
        producers_max: producers_min * *rng.pick(&[1, 2]).expect("not empty"),
        // Not less than a program has on its way at once.
        sequences_max: *rng.pick(&[40, 400]).expect("not empty"),
        sequences_in_all_max: *rng.pick(&[60, 1_000_000]).expect("not empty"),
        names_max: *rng.pick(&[0, 1, 4]).expect("not empty"),
        age_ms: *rng.pick(&[0, 500, 10_000]).expect("not empty"),
    }
}

/// Those of them that administrators also delete and define anew: nothing that programs do meets them.
pub const REMADE: [&str; 3] = ["ELSEWHERE", "PRICES", "PASSWORDS"];

/// Records for administrators to set: kind, profile, what tells it from others of the profile, its list and members for that.
pub const RECORDS: [Record; 2] = [
    Record {
        kind: ObjectKind::ChannelAuth,
        profile: "APP.SVRCONN",
        keys: &[("TYPE", "BLOCKUSER")],
        list: "USERLIST",
        members: ["alice", "bob", "carol"],
    },
    Record {
        kind: ObjectKind::Authority,
        profile: "ORDERS",
        keys: &[("OBJTYPE", "QUEUE"), ("ENTTYPE", "PRINCIPAL"), ("ENTITY", "app")],
        list: "AUTHLIST",
        members: ["BROWSE", "GET", "PUT"],
    },
];

pub struct Record {
    pub kind: ObjectKind,
    pub profile: &'static str,
    pub keys: &'static [(&'static str, &'static str)],
    pub list: &'static str,
    pub members: [&'static str; 3],
}

impl Record {
    pub fn of(object: &ObjectRef) -> Option<&'static Record> {
        RECORDS.iter().find(|record| record.kind == object.kind)
    }

    /// What is said to set it with these members.
    pub fn changes(&self, members: &[&str]) -> Changes {
        let members = members.join(",");
        let list = (!members.is_empty()).then_some((self.list, members.as_str()));
        Changes::parse(self.kind, self.keys.iter().copied().chain(list)).expect("valid")
    }

    fn object(&self) -> ObjectRef {
        ObjectRef::record(self.kind, self.profile, &self.changes(&[]))
    }
}

/// Everything that administrators alter.
pub fn altered_objects() -> Vec<ObjectRef> {
    let queues = USED.iter().map(|queue| ObjectRef::local_queue(&queue_name(*queue as u32)));
    let others = OBJECTS.iter().map(|(kind, name, _)| ObjectRef::new(*kind, *name));
    let records = RECORDS.iter().map(Record::object);
    queues.chain(others).chain([ObjectRef::manager()]).chain(records).collect()
}

/// What defines one of [`OBJECTS`].
pub fn definition_of(object: &ObjectRef) -> Changes {
    let (kind, _, attributes) =
        OBJECTS.iter().find(|(_, name, _)| *name == object.name).expect("it is one of those objects");
    Changes::parse(*kind, attributes.iter().copied()).expect("valid")
}

/// A change an administrator makes in the middle of a run, with a number that nobody else uses; it loses no message and
/// moves none. (On a FIFO queue every message has the default priority, so a change of that would order new messages
/// before old ones.)
pub fn harmless_change(rng: &mut Rng, object: &ObjectRef, number: u32) -> Vec<(&'static str, String)> {
    let descr = ("DESCR", format!("changed {number}"));
    let is_fifo = object.name == QUEUES[FIFO];
    let second = match object.kind {
        ObjectKind::LocalQueue if !is_fifo && rng.chance(400) => ("DEFPRTY", rng.below(10).to_string()),
        ObjectKind::LocalQueue => ("MAXDEPTH", (100_000 + number).to_string()),
        ObjectKind::QueueManager => ("MAXUMSGS", (10_000 + number).to_string()),
        ObjectKind::AliasQueue | ObjectKind::RemoteQueue => ("CUSTOM", format!("custom {number}")),
        ObjectKind::ModelQueue => ("RETINTVL", number.to_string()),
        ObjectKind::Channel => ("MAXINST", number.to_string()),
        ObjectKind::Listener => ("BACKLOG", number.to_string()),
        ObjectKind::Topic => ("CUSTOM", format!("custom {number}")),
        ObjectKind::Subscription => return vec![("USERDATA", format!("data {number}"))],
        _ => ("CONNAME", format!("host({number})")),
    };
    match rng.below(5) {
        0 | 1 => vec![descr],
        2 => vec![descr, second],
        _ => vec![second],
    }
}

/// What a program likes. Weights are relative to each other.
#[derive(Clone, Debug)]
pub struct Habits {
    pub put: u64,
    pub put_unit: u64,
    pub get: u64,
    pub get_unit: u64,
    pub transfer: u64,
    pub browse: u64,
    pub take_under_cursor: u64,
    pub get_by_id: u64,
    /// By group id, of which there are three.
    pub get_by_group: u64,
    /// Many calls at once that find nothing.
    pub flood: u64,
    /// Closes a queue for gets and opens it again.
    pub inhibit: u64,
    pub inquire: u64,
    pub administer: u64,
    pub ping: u64,
    /// Puts carry producer and sequence, and are repeated until answered.
    pub sequences: bool,
    /// Puts on their way at once.
    pub window: u64,
    /// Repetitions of these say that they are.
    pub says_repeated: bool,
    /// Commits name their unit, and ask for the outcome when the answer was lost.
    pub names_units: bool,
    /// They say how many units had been decided before, too.
    pub counts_units: bool,
    pub think_us_max: u64,
    pub disconnects_per_mille: u64,
    pub body_bytes_max: u64,
    pub large_per_mille: u64,
    pub not_persistent_per_mille: u64,
    pub expiry_per_mille: u64,
    /// Gets that take short messages only.
    pub short_per_mille: u64,
    pub backs_out_per_mille: u64,
}

impl Habits {
    /// MQ has no names for producers and units of work.
    pub fn over_a_channel(self) -> Habits {
        Habits { sequences: false, names_units: false, counts_units: false, ..self }
    }

    /// `busy` programs hardly ever rest. They cost so much to simulate that most runs have none.
    pub fn draw(rng: &mut Rng, exact: bool, large: bool, busy: bool) -> Habits {
        let kind = rng.below(8);
        let base = Habits {
            put: 0,
            put_unit: 0,
            get: 0,
            get_unit: 0,
            transfer: 0,
            browse: 1,
            take_under_cursor: 0,
            get_by_id: 0,
            get_by_group: 0,
            flood: 0,
            inhibit: 0,
            inquire: 1,
            administer: 0,
            ping: 1,
            sequences: exact || rng.chance(700),
            window: 1,
            names_units: exact || rng.chance(700),
            counts_units: rng.chance(700),
            says_repeated: rng.chance(500),
            think_us_max: if busy {
                2_000
            } else {
                *rng.pick(&[10_000, 50_000, 150_000, 400_000]).expect("not empty")
            },
            disconnects_per_mille: *rng.pick(&[0, 0, 20, 60]).expect("not empty"),
            body_bytes_max: *rng.pick(&[60, 300, 4_000]).expect("not empty"),
            large_per_mille: if large { 8 } else { 0 },
            not_persistent_per_mille: *rng.pick(&[0, 0, 100]).expect("not empty"),
            expiry_per_mille: *rng.pick(&[0, 0, 100]).expect("not empty"),
            short_per_mille: *rng.pick(&[0, 50, 300]).expect("not empty"),
            backs_out_per_mille: *rng.pick(&[50, 200, 500]).expect("not empty"),
        };
        let plain_gets = u64::from(!exact);
        match kind {
            0 => Habits { put: 20, window: *rng.pick(&[1, 4, 16]).expect("not empty"), ..base },
            1 => Habits { put: 5, put_unit: 20, ..base },
            2 => Habits { get: 20 * plain_gets, get_unit: 5, ..base },
            3 => Habits { get_unit: 20, ..base },
            4 => Habits { transfer: 20, put: 5, ..base },
            5 => Habits { browse: 20, take_under_cursor: 10, put: 10, ..base },
            6 => Habits { get_by_id: 10, get_by_group: 10, put: 10, get: 5 * plain_gets, ..base },
            _ => Habits {
                put: 10,
                put_unit: 10,
                get_unit: 10,
                get: 5 * plain_gets,
                transfer: 5,
                take_under_cursor: 3,
                get_by_id: 3,
                get_by_group: 3,
                flood: 1,
                inhibit: 1,
                administer: 2,
                ..base
            },
        }
    }
}
