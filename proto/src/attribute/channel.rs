//! Channels by which programs connect (CHLTYPE(SVRCONN)). Other types carry messages between queue managers.

use super::Kind::Channel;
use super::State::{Obeyed, Refused, Stored};
use super::*;

const OF: &[Kind] = &[Channel];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    word(1511, "CHLTYPE", OF, &[("SVRCONN", 7), ("SDR", 1), ("SVR", 2), ("RCVR", 3), ("RQSTR", 4), ("CLNTCONN", 6), ("CLUSRCVR", 8), ("CLUSSDR", 9), ("MQTT", 10), ("AMQP", 11)], 7, Refused("Only channels of type SVRCONN are there: messages do not travel between queue managers yet."), "Type of the channel.").fixed(),
    text(3502, "DESCR", OF, 64, Stored, "What the channel is for, at most 64 characters."),
    word(1501, "TRPTYPE", OF, &[("TCP", 2), ("LU62", 1), ("NETBIOS", 3), ("SPX", 4)], 2, Refused("Programs connect by TCP."), "Transport."),
    number(1618, "MAXINST", OF, (0, MOST), MOST, Obeyed, "Connections at most."),
    number(1619, "MAXINSTC", OF, (0, MOST), MOST, Obeyed, "Connections of one client at most."),
    number(1615, "SHARECNV", OF, (0, MOST), 10, Obeyed, "Conversations that share a connection at most."),
    number(1510, "MAXMSGL", OF, (0, MESSAGE_MOST), 4_194_304, Obeyed, "Longest message in bytes."),
    word(60_002, "STATE", OF, &[("STARTED", 0), ("STOPPED", 1)], 0, Obeyed, "Whether it takes connections; START and STOP CHANNEL say it (not in MQ)."),
    number(1563, "HBINT", OF, (0, 999_999), 300, Obeyed, "Seconds between heartbeats while nothing else is sent; 0 for none."),
    number(1503, "DISCINT", OF, (0, 999_999), 0, Stored, "Seconds an idle connection lasts; 0 for ever."),
    number(1566, "KAINT", OF, (0, 99_999), -1, Stored, "Seconds between keep-alive packets.").or(&[("AUTO", -1)]),
    text(3527, "MCAUSER", OF, 64, Obeyed, "User whose rights count on this channel."),
    text(3544, "SSLCIPH", OF, 36, Obeyed, "CipherSpec that clients must use; blank for no TLS.").of_content(Content::CipherSpec),
    word(1568, "SSLCAUTH", OF, &[("REQUIRED", 0), ("OPTIONAL", 1)], 0, Obeyed, "Whether a client of a channel with SSLCIPH must have a certificate."),
    text(3545, "SSLPEER", OF, 1024, Obeyed, "Names that a client's certificate must have, where the channel has SSLCIPH.").of_content(Content::PeerName),
    text(2121, "CERTLABL", OF, 64, Stored, "Label of the certificate."),
    word(1575, "COMPHDR", OF, &[("NONE", 0), ("SYSTEM", 8)], 0, Refused(NO_COMPRESSION), "How headers are compressed."),
    word(1576, "COMPMSG", OF, &[("NONE", 0), ("RLE", 1), ("ZLIBFAST", 2), ("ZLIBHIGH", 4), ("LZ4FAST", 16), ("LZ4HIGH", 32), ("ANY", 268_435_455)], 0, Refused(NO_COMPRESSION), "How messages are compressed."),
    word(122, "MONCHL", OF, &[("QMGR", -3), ("OFF", 0), ("LOW", 17), ("MEDIUM", 33), ("HIGH", 65)], -3, Stored, "How closely the channel is watched; figures are always collected here."),
    text(3508, "SCYEXIT", OF, 128, Refused(NO_EXITS), "Security exit."),
    text(3513, "SCYDATA", OF, 32, Stored, "Data of the security exit."),
    text(3510, "SENDEXIT", OF, 128, Refused(NO_EXITS), "Send exit."),
    text(3515, "SENDDATA", OF, 32, Stored, "Data of the send exit."),
    text(3511, "RCVEXIT", OF, 128, Refused(NO_EXITS), "Receive exit."),
    text(3516, "RCVDATA", OF, 32, Stored, "Data of the receive exit."),
    fact_text(2027, "ALTDATE", OF, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", OF, TIME, "Time of the last change, UTC."),
];
