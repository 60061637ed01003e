//! Subscriptions that an administrator defines.

use super::Kind::Subscription;
use super::State::{Live, Stored};
use super::*;

const OF: &[Kind] = &[Subscription];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    text(2094, "TOPICSTR", OF, 10_240, Stored, "Topic string, behind that of TOPICOBJ.").fixed(),
    name(2092, "TOPICOBJ", OF, Stored, "Topic object.").fixed(),
    name(3154, "DEST", OF, Stored, "Queue for the publications."),
    name(3153, "DESTQMGR", OF, Stored, "Queue manager of that queue."),
    word(1273, "DESTCLAS", OF, &[("MANAGED", 1), ("PROVIDED", 2)], 2, Stored, "Whether the queue manager makes the queue."),
    text(7015, "DESTCORL", OF, 48, Stored, "Correlation id of the publications, hexadecimal."),
    number(1244, "EXPIRY", OF, (0, MOST), -1, Stored, "Tenths of a second the subscription lasts.").or(&[("UNLIMITED", -1)]),
    text(7010, "PUBACCT", OF, 64, Stored, "Accounting token of the publications, hexadecimal."),
    text(3135, "PUBAPPID", OF, 32, Stored, "Identity data of the publications."),
    number(1283, "PUBPRTY", OF, (0, 9), -3, Stored, "Priority of the publications.").or(&[("ASPUB", -3), ("ASQDEF", -1)]),
    word(1271, "PSPROP", OF, &[("NONE", 0), ("COMPAT", 1), ("RFH2", 2), ("MSGPROP", 3)], 3, Stored, "How properties are added to the publications."),
    word(1280, "REQONLY", OF, NO_YES, 0, Stored, "Whether publications come only when asked for.").fixed(),
    text(3160, "SELECTOR", OF, 10_240, Stored, "Which publications are wanted.").fixed(),
    number(1307, "SUBLEVEL", OF, (0, 9), 1, Stored, "Level at which the subscription intercepts.").fixed(),
    word(1275, "SUBSCOPE", OF, &[("ALL", 0), ("QMGR", 4)], 0, Stored, "How far the subscription goes.").fixed(),
    text(3156, "SUBUSER", OF, 64, Stored, "User whose rights count."),
    text(3159, "USERDATA", OF, 10_240, Stored, "Data for the subscriber."),
    word(1277, "VARUSER", OF, &[("FIXED", 1), ("ANY", 2)], 2, Stored, "Whether other users may take the subscription over."),
    word(1288, "WSCHEMA", OF, &[("CHAR", 1), ("TOPIC", 2)], 2, Stored, "How wildcards in the topic string are meant.").fixed(),
    word(1274, "DURABLE", OF, &[("YES", 1), ("NO", 2)], 1, Live, "Whether it outlives its program."),
    word(1289, "SUBTYPE", OF, &[("API", 1), ("ADMIN", 2), ("PROXY", 3)], 2, Live, "Who made it."),
    fact_text(7016, "SUBID", OF, 48, "Its identifier, hexadecimal."),
    fact_text(2004, "CRDATE", OF, DAY, "Day it was defined, UTC."),
    fact_text(2005, "CRTIME", OF, TIME, "Time it was defined, UTC."),
    fact_text(2027, "ALTDATE", OF, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", OF, TIME, "Time of the last change, UTC."),
];
