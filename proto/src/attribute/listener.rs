//! Listeners: where the queue manager takes connections.

use super::Kind::Listener;
use super::State::{Obeyed, Refused, Stored};
use super::*;

const OF: &[Kind] = &[Listener];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    text(3555, "DESCR", OF, 64, Stored, "What the listener is for, at most 64 characters."),
    word(1501, "TRPTYPE", OF, &[("TCP", 2), ("LU62", 1), ("NETBIOS", 3), ("SPX", 4)], 2, Refused("Programs connect by TCP."), "Transport.").fixed(),
    word(1601, "CONTROL", OF, &[("QMGR", 0), ("STARTONLY", 1), ("MANUAL", 2)], 2, Obeyed, "Whether it starts with the queue manager; whoever does not serve it has no port open for it."),
    number(1522, "PORT", OF, (0, 65_535), 1414, Obeyed, "Port; 0 for 1414."),
    text(3552, "IPADDR", OF, 48, Obeyed, "Address it listens on, IPv4 or IPv6 and no name; all without it.").of_content(Content::Address),
    number(1602, "BACKLOG", OF, (0, MOST), 0, Obeyed, "Connections that may wait to be taken; 0 for 1024."),
    word(60_003, "STATE", OF, &[("CONTROL", 0), ("STARTED", 1), ("STOPPED", 2)], 0, Obeyed, "What START and STOP LISTENER said last, and as CONTROL says before (not in MQ)."),
    fact_text(2027, "ALTDATE", OF, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", OF, TIME, "Time of the last change, UTC."),
];
