//! The queue manager itself.

use super::Kind::QueueManager;
use super::State::{Obeyed, Refused, Stored};
use super::*;

const OF: &[Kind] = &[QueueManager];
const RECORDED: Words = &[("DISABLED", 0), ("QUEUE", 1), ("MSG", 2)];
const MONITORED: Words = &[("NONE", -1), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)];
const COLLECTED: Words = &[("NONE", -1), ("OFF", 0), ("ON", 1)];
const CONTROLLED: Words = &[("QMGR", 0), ("MANUAL", 2)];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    text(2014, "DESCR", OF, 64, Stored, "What the queue manager is for, at most 64 characters."),
    name(2006, "DEADQ", OF, Obeyed, "Queue for messages that cannot be placed."),
    number(33, "MAXUMSGS", OF, (1, MOST), 10_000, Obeyed, "Messages a unit of work holds at most."),
    number(11, "MAXHANDS", OF, (1, MOST), 256, Obeyed, "Handles a connection has open at most; never more than 256."),
    // MQ's own default is 4 MiB: the limit of each queue is what counts here.
    number(13, "MAXMSGL", OF, (32_768, MESSAGE_MOST), MESSAGE_MOST, Obeyed, "Longest message in bytes; each queue has its own MAXMSGL besides."),
    number(192, "MAXPROPL", OF, (0, MESSAGE_MOST), -1, Stored, "Longest properties of a message in bytes.").or(&[("NOLIMIT", -1)]),
    number(68, "MARKINT", OF, (0, MOST), 5000, Stored, "Milliseconds a browse mark lasts.").or(&[("NOLIMIT", -1)]),
    number(276, "CAPEXPRY", OF, (1, MOST), -1, Refused("Expiry is as programs ask for it; it is not capped yet."), "Longest expiry of a message in tenths of a second.").or(&[("NOLIMIT", -1)]),
    number(2, "CCSID", OF, (1, 65_535), 1208, Refused("Names and texts are UTF-8."), "Character set of the queue manager."),
    // Rights and TLS.
    word(248, "CHLAUTH", OF, DISABLED_ENABLED, 1, Stored, "Whether channel authentication records are looked at; they are not enforced yet."),
    name(2125, "CONNAUTH", OF, Stored, "Authentication information that is used; it is not enforced yet.").usually("SYSTEM.DEFAULT.AUTHINFO.IDPWOS"),
    text(2121, "CERTLABL", OF, 64, Stored, "Label of the certificate."),
    word(252, "CERTVPOL", OF, &[("ANY", 0), ("RFC5280", 1)], 0, Stored, "How certificates are checked."),
    text(2049, "SSLKEYR", OF, 256, Stored, "Key repository; here the node's configuration names its files."),
    name(2050, "SSLCRLNL", OF, Stored, "Namelist of where to ask for revoked certificates."),
    text(2051, "SSLCRYP", OF, 256, Stored, "Cryptographic hardware."),
    word(92, "SSLFIPS", OF, NO_YES, 0, Stored, "Whether only certified algorithms are used."),
    number(76, "SSLRKEYC", OF, (0, MOST), 0, Stored, "Bytes after which the key is negotiated again."),
    text(247, "SUITEB", OF, 64, Stored, "Suite B strength.").usually("NONE"),
    word(254, "REVDNS", OF, &[("ENABLED", 0), ("DISABLED", 1)], 0, Stored, "Whether names of hosts are looked up."),
    // Channels and clusters.
    word(55, "CHAD", OF, DISABLED_ENABLED, 0, Refused("Channels are not defined by themselves."), "Whether unknown receiver channels are defined by themselves."),
    word(56, "CHADEV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether channels that define themselves are an event."),
    text(2026, "CHADEXIT", OF, 128, Refused(NO_EXITS), "Exit that is asked before a channel defines itself."),
    name(2025, "DEFXMITQ", OF, Refused(NOT_BETWEEN), "Transmission queue for what no other has."),
    word(250, "DEFCLXQ", OF, &[("SCTQ", 0), ("CHANNEL", 1)], 0, Stored, "Which transmission queue cluster-sender channels use."),
    number(97, "CLWLMRUC", OF, (1, MOST), MOST, Stored, "Cluster channels that are considered."),
    word(98, "CLWLUSEQ", OF, &[("LOCAL", 0), ("ANY", 1)], 0, Stored, "Whether puts use other instances of a cluster queue."),
    number(58, "CLWLLEN", OF, (0, MOST), 100, Stored, "Bytes of a message that the workload exit sees."),
    text(2034, "CLWLDATA", OF, 32, Stored, "Data of the workload exit."),
    text(2033, "CLWLEXIT", OF, 128, Refused(NO_EXITS), "Exit that chooses a cluster queue."),
    name(2035, "REPOS", OF, Refused(NO_MQ_CLUSTERS), "MQ cluster whose repository this is."),
    name(2036, "REPOSNL", OF, Refused(NO_MQ_CLUSTERS), "Namelist of the MQ clusters whose repository this is."),
    name(2102, "PARENT", OF, Refused(NOT_BETWEEN), "Parent in a hierarchy of publish/subscribe."),
    word(119, "SCHINIT", OF, CONTROLLED, 0, Stored, "Whether the channel initiator starts with the queue manager."),
    word(120, "SCMDSERV", OF, CONTROLLED, 0, Obeyed, "Whether commands are taken as messages (PCF) from SYSTEM.ADMIN.COMMAND.QUEUE."),
    // Publish/subscribe.
    word(187, "PSMODE", OF, &[("DISABLED", 0), ("COMPAT", 1), ("ENABLED", 2)], 2, Stored, "Whether publish/subscribe is on."),
    word(249, "PSCLUS", OF, DISABLED_ENABLED, 1, Stored, "Whether topics may be in an MQ cluster."),
    word(203, "PSNPMSG", OF, &[("DISCARD", 2), ("KEEP", 3)], 2, Stored, "What becomes of a command message that cannot be processed."),
    word(205, "PSNPRES", OF, &[("NORMAL", 0), ("SAFE", 1), ("DISCARD", 2), ("KEEP", 3)], 0, Stored, "What becomes of an answer that cannot be delivered."),
    number(206, "PSRTYCNT", OF, (0, MOST), 5, Stored, "How often a command message is tried again."),
    word(207, "PSSYNCPT", OF, &[("YES", 0), ("IFPER", 1)], 1, Stored, "Which command messages are processed under syncpoint."),
    number(183, "TREELIFE", OF, (0, 604_000), 1800, Stored, "Seconds an unused topic lasts."),
    // Events.
    word(47, "AUTHOREV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether a refused right is an event."),
    word(48, "INHIBTEV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether an inhibited put or get is an event."),
    word(49, "LOCALEV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether a local error is an event."),
    word(50, "REMOTEEV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether a remote error is an event."),
    word(52, "STRSTPEV", OF, DISABLED_ENABLED, 1, Stored, "Whether start and stop are events; none is written yet."),
    word(53, "PERFMEV", OF, DISABLED_ENABLED, 0, Obeyed, "Whether queues that are full, high or low again are events."),
    word(73, "CHLEV", OF, &[("DISABLED", 0), ("ENABLED", 1), ("EXCEPTION", 2)], 0, Refused(NO_EVENTS), "Whether channels write events."),
    word(75, "SSLEV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether TLS writes events."),
    word(51, "CONFIGEV", OF, DISABLED_ENABLED, 0, Obeyed, "Whether a changed definition is an event."),
    word(99, "CMDEV", OF, &[("DISABLED", 0), ("ENABLED", 1), ("NODISPLAY", 3)], 0, Obeyed, "Whether a command is an event."),
    word(94, "LOGGEREV", OF, DISABLED_ENABLED, 0, Refused(NO_EVENTS), "Whether the log writes events."),
    // Figures.
    word(133, "ACCTMQI", OF, OFF_ON, 0, Refused(NO_ACCOUNTING), "Whether calls are accounted for."),
    word(134, "ACCTQ", OF, COLLECTED, 0, Refused(NO_ACCOUNTING), "Whether the use of queues is accounted for."),
    number(135, "ACCTINT", OF, (1, 604_800), 1800, Stored, "Seconds between accounting messages."),
    word(136, "ACCTCONO", OF, DISABLED_ENABLED, 0, Stored, "Whether programs may decide about accounting."),
    word(240, "ACTVTRC", OF, OFF_ON, 0, Refused(NO_ACCOUNTING), "Whether each call is traced."),
    word(239, "ACTVCONO", OF, DISABLED_ENABLED, 0, Stored, "Whether programs may decide about the trace."),
    word(138, "ACTIVREC", OF, RECORDED, 2, Stored, "Whether activity reports are written."),
    word(137, "ROUTEREC", OF, RECORDED, 2, Stored, "Whether the route of messages is recorded."),
    word(122, "MONCHL", OF, MONITORED, 0, Stored, "How closely channels are watched; figures are always collected here."),
    word(123, "MONQ", OF, MONITORED, 0, Stored, "How closely queues are watched; figures are always collected here."),
    word(124, "MONACLS", OF, &[("QMGR", -3), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)], -3, Stored, "How closely cluster-sender channels are watched."),
    word(127, "STATMQI", OF, OFF_ON, 0, Refused(NO_ACCOUNTING), "Whether statistics of calls are collected."),
    word(128, "STATQ", OF, COLLECTED, 0, Refused(NO_ACCOUNTING), "Whether statistics of queues are collected."),
    word(129, "STATCHL", OF, &[("NONE", -1), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)], 0, Refused(NO_ACCOUNTING), "Whether statistics of channels are collected."),
    word(130, "STATACLS", OF, &[("QMGR", -3), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)], -3, Stored, "Whether statistics of cluster-sender channels are collected."),
    number(131, "STATINT", OF, (1, 604_800), 1800, Stored, "Seconds between statistics messages."),
    // Media images.
    number(269, "IMGINTVL", OF, (1, MOST), 60, Stored, "Minutes between media images; here the other nodes are the images.").or(&[("OFF", 0)]),
    number(270, "IMGLOGLN", OF, (1, MOST), 0, Stored, "Megabytes of log between media images.").or(&[("OFF", 0)]),
    word(268, "IMGSCHED", OF, &[("MANUAL", 0), ("AUTO", 1)], 0, Stored, "Whether media images are written by themselves."),
    word(271, "IMGRCOVO", OF, NO_YES, 1, Stored, "Whether objects can be recovered from a media image."),
    word(272, "IMGRCOVQ", OF, NO_YES, 1, Stored, "Whether queues can be recovered from a media image."),
    number(25, "TRIGINT", OF, (0, MOST), MOST, Stored, "Milliseconds between triggers."),
    text(2119, "CUSTOM", OF, 128, Stored, "Attributes that had no name of their own."),
    // Facts.
    fact_text(2032, "QMID", OF, 48, "Identifier of the queue manager, the same on every node."),
    name(2003, "COMMANDQ", OF, State::Live, "Queue of the command server.").usually("SYSTEM.ADMIN.COMMAND.QUEUE"),
    constant(31, "CMDLEVEL", OF, CMDLEVEL, "Level of the commands."),
    word(32, "PLATFORM", OF, &[("UNIX", 3)], 3, State::Live, "Kind of the operating system."),
    constant(14, "MAXPRTY", OF, 9, "Highest priority."),
    word(30, "SYNCPT", OF, NO_YES, 1, State::Live, "Whether there are units of work."),
    word(34, "DISTL", OF, NO_YES, 0, State::Live, "Whether there are distribution lists."),
    word(243, "XRCAP", OF, NO_YES, 0, State::Live, "Whether MQTT is there."),
    word(265, "AMQPCAP", OF, NO_YES, 0, State::Live, "Whether AMQP is there."),
    word(251, "SPLCAP", OF, DISABLED_ENABLED, 0, State::Live, "Whether messages can be protected by a policy."),
    word(273, "ADVCAP", OF, DISABLED_ENABLED, 0, State::Live, "Whether advanced features are there."),
    fact_text(2120, "VERSION", OF, 8, "Version of the product."),
    fact_text(2116, "INSTNAME", OF, 16, "Name of the installation."),
    fact_text(2115, "INSTDESC", OF, 64, "Description of the installation."),
    fact_text(2117, "INSTPATH", OF, 256, "Path of the installation."),
    fact_text(2004, "CRDATE", OF, DAY, "Day it was created, UTC."),
    fact_text(2005, "CRTIME", OF, TIME, "Time it was created, UTC."),
    fact_text(2027, "ALTDATE", OF, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", OF, TIME, "Time of the last change, UTC."),
];
