//! Records: channel authentication (SET CHLAUTH) and authorities (SET AUTHREC). Their names are profiles, and their
//! key attributes tell records of one profile apart.

use super::Kind::{Authority, ChannelAuth};
use super::State::Stored;
use super::*;

const CHANNEL: &[Kind] = &[ChannelAuth];
const AUTHORITY: &[Kind] = &[Authority];
// How many members a list has: IBM MQ Reference, "SET CHLAUTH", USERLIST and ADDRLIST. MQ has fewer authorities than 64.
const CHECKED: Words = &[("OPTIONAL", 0), ("REQDADM", 2), ("REQUIRED", 3), ("ASQMGR", 4)];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    word(1352, "TYPE", CHANNEL, &[("BLOCKUSER", 1), ("BLOCKADDR", 2), ("SSLPEERMAP", 3), ("ADDRESSMAP", 4), ("USERMAP", 5), ("QMGRMAP", 6)], 1, Stored, "What the record looks at.").needed().key(),
    text(3506, "ADDRESS", CHANNEL, 264, Stored, "Address or pattern of addresses.").key(),
    text(3567, "CLNTUSER", CHANNEL, 64, Stored, "User that the client says it is.").key(),
    text(3545, "SSLPEER", CHANNEL, 1024, Stored, "Name or pattern of names in the certificate.").key(),
    text(3550, "SSLCERTI", CHANNEL, 1024, Stored, "Name of the certificate's issuer.").key(),
    name(2017, "QMNAME", CHANNEL, Stored, "Queue manager at the other end.").key(),
    text(2118, "DESCR", CHANNEL, 64, Stored, "What the record is for, at most 64 characters."),
    word(1638, "USERSRC", CHANNEL, &[("MAP", 0), ("NOACCESS", 1), ("CHANNEL", 2)], 0, Stored, "Whose rights count, or that nobody has access."),
    text(3527, "MCAUSER", CHANNEL, 64, Stored, "User whose rights count with USERSRC(MAP)."),
    list(3568, "USERLIST", CHANNEL, (100, 64), Stored, "Users that are refused, at most 100."),
    list(3566, "ADDRLIST", CHANNEL, (256, 48), Stored, "Addresses that are refused, at most 256."),
    word(258, "CHCKCLNT", CHANNEL, CHECKED, 4, Stored, "Whether a password is needed."),
    word(1639, "WARN", CHANNEL, NO_YES, 0, Stored, "Whether what would be refused is only reported."),
    text(2119, "CUSTOM", CHANNEL, 128, Stored, "Attributes that had no name of their own."),
    word(1016, "OBJTYPE", AUTHORITY, &[("QUEUE", 1), ("NAMELIST", 2), ("PROCESS", 3), ("QMGR", 5), ("CHANNEL", 6), ("AUTHINFO", 7), ("TOPIC", 8), ("COMMINFO", 9), ("LISTENER", 11), ("SERVICE", 12), ("CLNTCONN", 1014), ("RQMNAME", 1017)], 1, Stored, "Kind of the objects.").needed().key(),
    word(1118, "ENTTYPE", AUTHORITY, &[("PRINCIPAL", 1), ("GROUP", 2)], 1, Stored, "Whether a user or a group is meant.").needed().key(),
    text(3068, "ENTITY", AUTHORITY, 64, Stored, "The user or group.").needed().key(),
    list(1115, "AUTHLIST", AUTHORITY, (64, 16), Stored, "What it may do with the objects, at most 64 words."),
    fact_text(2027, "ALTDATE", &[ChannelAuth, Authority], DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", &[ChannelAuth, Authority], TIME, "Time of the last change, UTC."),
];
