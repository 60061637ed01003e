//! Queues: local, alias, remote, model.

use super::Kind::{AliasQueue as A, LocalQueue as L, ModelQueue as M, RemoteQueue as R};
use super::State::{Obeyed, Refused, Stored};
use super::*;

const ALL: &[Kind] = &[L, A, R, M];
const HOLDS: &[Kind] = &[L, M];
const GOT_FROM: &[Kind] = &[L, A, M];
const NAMED: &[Kind] = &[L, A, R];

const NO_TRIGGERS: &str = "Trigger messages are not written; a program waits for messages with a get.";
const MONITORED: Words = &[("QMGR", -3), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)];
const AS_MANAGER: Words = &[("QMGR", -3), ("OFF", 0), ("ON", 1)];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    text(2013, "DESCR", ALL, 64, Stored, "What the queue is for, at most 64 characters."),
    word(10, "PUT", ALL, &[("ENABLED", 0), ("DISABLED", 1)], 0, Obeyed, "Whether messages can be put."),
    word(9, "GET", GOT_FROM, &[("ENABLED", 0), ("DISABLED", 1)], 0, Obeyed, "Whether messages can be got."),
    number(6, "DEFPRTY", ALL, (0, 9), 0, Obeyed, "Priority of messages that do not say."),
    // MQ's own default is NO: to lose messages is something to ask for.
    word(5, "DEFPSIST", ALL, NO_YES, 1, Obeyed, "Whether messages that do not say are persistent."),
    word(184, "DEFPRESP", ALL, &[("SYNC", 1), ("ASYNC", 2)], 1, Obeyed, "How a put that does not say is answered."),
    word(188, "DEFREADA", GOT_FROM, &[("NO", 0), ("YES", 1), ("DISABLED", 2)], 0, Obeyed, "Whether a client reads ahead that does not say."),
    number(15, "MAXDEPTH", HOLDS, (0, MOST), 5000, Obeyed, "Messages the queue holds at most."),
    number(13, "MAXMSGL", HOLDS, (0, MESSAGE_MOST), 4_194_304, Obeyed, "Longest message in bytes."),
    word(16, "MSGDLVSQ", HOLDS, &[("PRIORITY", 0), ("FIFO", 1)], 0, Obeyed, "Order of delivery."),
    flag(23, ("SHARE", "NOSHARE"), HOLDS, 1, Obeyed, "Whether several programs may get from it at a time."),
    word(4, "DEFSOPT", HOLDS, &[("SHARED", 2), ("EXCL", 4)], 2, Obeyed, "How a program opens the queue for input that does not say."),
    number(22, "BOTHRESH", HOLDS, (0, MOST), 0, Obeyed, "Backouts after which a message is to be moved away; 0 for never."),
    name(2019, "BOQNAME", HOLDS, Obeyed, "Queue for messages that were backed out BOTHRESH times."),
    word(60_001, "BACKOUT_MOVE", HOLDS, NO_YES, 0, Obeyed, "The queue manager itself moves them, in place of the programs (not in MQ)."),
    flag(8, ("HARDENBO", "NOHARDENBO"), HOLDS, 1, Stored, "Backout counts always survive a failover."),
    word(12, "USAGE", HOLDS, &[("NORMAL", 0), ("XMITQ", 1)], 0, Refused(NOT_BETWEEN), "Whether the queue is a transmission queue."),
    word(78, "NPMCLASS", HOLDS, &[("NORMAL", 0), ("HIGH", 10)], 0, Refused("A failover loses messages that are not persistent; put persistent ones."), "Whether messages that are not persistent survive a failover."),
    number(276, "CAPEXPRY", ALL, (1, MOST), -1, Refused("Expiry is as programs ask for it; it is not capped yet."), "Longest expiry of a message in tenths of a second.").or(&[("NOLIMIT", -1)]),
    name(2138, "STREAMQ", HOLDS, Refused("Messages are not copied to a second queue yet."), "Queue that gets a copy of each message."),
    word(275, "STRMQOS", HOLDS, &[("BESTEF", 0), ("MUSTDUP", 1)], 0, Stored, "Whether a message must have its copy."),
    number(274, "MAXFSIZE", HOLDS, (20, 267_386_880), -1, Stored, "Size of a queue file in MB; here there are none.").or(&[("DEFAULT", -1)]),
    number(21, "RETINTVL", HOLDS, (0, MOST), MOST, Stored, "Hours after which the queue is no longer needed."),
    word(190, "PROPCTL", GOT_FROM, &[("COMPAT", 0), ("NONE", 1), ("ALL", 2), ("FORCE", 3), ("V6COMPAT", 4)], 0, Stored, "How message properties are given to programs; they come as they were put."),
    word(34, "DISTL", HOLDS, NO_YES, 0, Stored, "Whether the partner takes distribution lists."),
    word(45, "SCOPE", NAMED, &[("QMGR", 1), ("CELL", 2)], 1, Refused("There is no cell directory."), "Where the name is known."),
    // What other queue managers would see of it.
    name(2029, "CLUSTER", NAMED, Refused(NO_MQ_CLUSTERS), "MQ cluster the queue is in."),
    name(2030, "CLUSNL", NAMED, Refused(NO_MQ_CLUSTERS), "Namelist of the MQ clusters the queue is in."),
    number(96, "CLWLPRTY", NAMED, (0, 9), 0, Stored, "Priority in the choice of a cluster queue."),
    number(95, "CLWLRANK", NAMED, (0, 9), 0, Stored, "Rank in the choice of a cluster queue."),
    word(98, "CLWLUSEQ", &[L], &[("QMGR", -3), ("LOCAL", 0), ("ANY", 1)], -3, Stored, "Whether puts use other instances of a cluster queue."),
    row(2124, "CLCHNAME", HOLDS, Form::Text { most: 20 }, Initial::Text(""), Refused(NOT_BETWEEN), "Cluster-sender channels that use this transmission queue."),
    word(61, "DEFBIND", NAMED, &[("OPEN", 0), ("NOTFIXED", 1), ("GROUP", 2)], 0, Stored, "When a cluster queue is chosen."),
    // Triggering.
    flag(24, ("TRIGGER", "NOTRIGGER"), HOLDS, 0, Refused(NO_TRIGGERS), "Whether trigger messages are written."),
    word(28, "TRIGTYPE", HOLDS, &[("NONE", 0), ("FIRST", 1), ("EVERY", 2), ("DEPTH", 3)], 1, Stored, "When a trigger message is written."),
    number(29, "TRIGDPTH", HOLDS, (1, MOST), 1, Stored, "Depth that triggers."),
    number(26, "TRIGMPRI", HOLDS, (0, 9), 0, Stored, "Lowest priority that triggers."),
    text(2023, "TRIGDATA", HOLDS, 64, Stored, "Data of the trigger message."),
    name(2008, "INITQ", HOLDS, Stored, "Initiation queue."),
    name(2012, "PROCESS", HOLDS, Stored, "Process that is to be started."),
    // Events and figures.
    number(40, "QDEPTHHI", HOLDS, (0, 100), 80, Obeyed, "Percent of MAXDEPTH that count as high."),
    number(41, "QDEPTHLO", HOLDS, (0, 100), 20, Obeyed, "Percent of MAXDEPTH that count as low."),
    word(42, "QDPMAXEV", HOLDS, DISABLED_ENABLED, 1, Obeyed, "Whether a full queue is an event."),
    word(43, "QDPHIEV", HOLDS, DISABLED_ENABLED, 0, Obeyed, "Whether a high depth is an event."),
    word(44, "QDPLOEV", HOLDS, DISABLED_ENABLED, 0, Obeyed, "Whether a low depth is an event."),
    number(54, "QSVCINT", HOLDS, (0, MOST), MOST, Stored, "Milliseconds between a put and a get that count as in time."),
    word(46, "QSVCIEV", HOLDS, &[("NONE", 0), ("HIGH", 1), ("OK", 2)], 0, Stored, "Whether service in or out of time is an event."),
    word(123, "MONQ", HOLDS, MONITORED, -3, Stored, "How closely the queue is watched; figures are always collected here."),
    word(128, "STATQ", HOLDS, AS_MANAGER, -3, Stored, "Whether statistics are collected."),
    word(134, "ACCTQ", HOLDS, AS_MANAGER, -3, Stored, "Whether accounting data is collected."),
    word(272, "IMGRCOVQ", HOLDS, &[("QMGR", 2), ("NO", 0), ("YES", 1)], 2, Stored, "Whether the queue can be recovered from a media image; here from the other nodes."),
    // Of one kind each.
    word(7, "DEFTYPE", &[M], &[("PERMDYN", 2), ("TEMPDYN", 3)], 3, Obeyed, "What kind of queue is made from the model."),
    word(7, "DEFTYPE", &[L], &[("PREDEFINED", 1), ("PERMDYN", 2), ("TEMPDYN", 3)], 1, State::Live, "How the queue came to be."),
    name(2002, "TARGET", &[A], Obeyed, "Queue that is meant."),
    word(193, "TARGTYPE", &[A], &[("QUEUE", 1), ("TOPIC", 8)], 1, Refused(NO_PUBLISHING), "Whether a queue or a topic is meant."),
    name(2018, "RNAME", &[R], Obeyed, "Name of the queue on the other queue manager."),
    name(2017, "RQMNAME", &[R], Obeyed, "The other queue manager."),
    name(2024, "XMITQ", &[R], Stored, "Transmission queue for the messages."),
    text(2119, "CUSTOM", ALL, 128, Stored, "Attributes that had no name of their own."),
    // Facts.
    word(20, "TYPE", ALL, &[("QLOCAL", 1), ("QMODEL", 2), ("QALIAS", 3), ("QREMOTE", 6)], 1, State::Live, "Kind of the queue."),
    fact(3, "CURDEPTH", &[L], "Messages on the queue."),
    fact(17, "IPPROCS", &[L], "Handles that have it open for input."),
    fact(18, "OPPROCS", &[L], "Handles that have it open for output."),
    fact_text(2004, "CRDATE", &[L, M], DAY, "Day it was defined, UTC."),
    fact_text(2005, "CRTIME", &[L, M], TIME, "Time it was defined, UTC."),
    fact_text(2027, "ALTDATE", ALL, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", ALL, TIME, "Time of the last change, UTC."),
];
