//! In which order MQ displays attributes, and which of them.

use crate::attribute::Kind;

/// Of kinds whose attributes are not in the order of the alphabet.
const LISTENER: &[&str] = &["CONTROL", "TRPTYPE", "PORT", "IPADDR", "BACKLOG", "DESCR", "ALTDATE", "ALTTIME"];
const TOPIC: &[&str] = &[
    "TYPE", "TOPICSTR", "DESCR", "CLROUTE", "CLUSTER", "DURSUB", "PUB", "SUB", "DEFPSIST", "DEFPRTY",
    "DEFPRESP", "ALTDATE", "ALTTIME", "PMSGDLV", "NPMSGDLV", "PUBSCOPE", "SUBSCOPE", "PROXYSUB", "WILDCARD",
    "MDURMDL", "MNDURMDL", "MCAST", "COMMINFO", "USEDLQ", "CUSTOM", "CAPEXPRY",
];
const SUBSCRIPTION: &[&str] = &[
    "TOPICSTR", "TOPICOBJ", "DEST", "DESTQMGR", "DESTCORL", "DESTCLAS", "DURABLE", "SUBSCOPE", "SUBUSER",
    "SUBTYPE", "VARUSER", "WSCHEMA", "EXPIRY", "PSPROP", "PUBACCT", "PUBAPPID", "PUBPRTY", "REQONLY",
    "SELECTOR", "SUBLEVEL", "USERDATA", "CRDATE", "CRTIME", "ALTDATE", "ALTTIME",
];
const AUTHINFO: &[&str] = &[
    "AUTHTYPE", "ADOPTCTX", "DESCR", "CONNAME", "CHCKCLNT", "CHCKLOCL", "CLASSGRP", "CLASSUSR", "FAILDLAY",
    "FINDGRP", "BASEDNG", "BASEDNU", "LDAPUSER", "LDAPPWD", "SHORTUSR", "GRPFIELD", "USRFIELD", "SECCOMM",
    "AUTHORMD", "AUTHENMD", "NESTGRP", "OCSPURL", "ALTDATE", "ALTTIME",
];
const CHANNEL_AUTH: &[&str] = &[
    "TYPE", "DESCR", "CUSTOM", "SSLPEER", "SSLCERTI", "ADDRESS", "CLNTUSER", "QMNAME", "USERLIST",
    "ADDRLIST", "MCAUSER", "USERSRC", "CHCKCLNT", "WARN", "ALTDATE", "ALTTIME",
];
const AUTHORITY: &[&str] = &["ENTITY", "ENTTYPE", "OBJTYPE", "AUTHLIST"];

/// In the order of the alphabet, except for these, which come behind others.
const BEHIND: &[(&str, &str)] =
    &[("CLCHNAME", "CLUSTER"), ("DEFPRESP", "DEFPSIST"), ("PROPCTL", "PUT"), ("PSCLUS", "PSMODE")];

fn listed(kind: Kind) -> Option<&'static [&'static str]> {
    match kind {
        Kind::Listener => Some(LISTENER),
        Kind::Topic => Some(TOPIC),
        Kind::Subscription => Some(SUBSCRIPTION),
        Kind::AuthInfo => Some(AUTHINFO),
        Kind::ChannelAuth => Some(CHANNEL_AUTH),
        Kind::Authority => Some(AUTHORITY),
        _ => None,
    }
}

/// By what attributes of a kind are sorted, by the word that is displayed (a flag has two).
pub fn place(kind: Kind, shown: &str) -> (usize, String) {
    if let Some(names) = listed(kind) {
        let place = names.iter().position(|name| *name == shown).unwrap_or(names.len());
        return (place, shown.to_string());
    }
    // The type of a queue or channel stands beside its name.
    let first = usize::from(!matches!(shown, "TYPE" | "CHLTYPE"));
    match BEHIND.iter().find(|(name, _)| *name == shown) {
        Some((name, before)) => (first, format!("{before}~{name}")),
        None => (first, shown.to_string()),
    }
}

/// Whether an attribute has a meaning for a record or object of this type; else it is not displayed.
pub fn applies(kind: Kind, of_type: &str, name: &str) -> bool {
    match kind {
        Kind::ChannelAuth => match name {
            "USERLIST" => of_type == "BLOCKUSER",
            "ADDRLIST" => of_type == "BLOCKADDR",
            "CLNTUSER" => of_type == "USERMAP",
            "SSLPEER" | "SSLCERTI" => of_type == "SSLPEERMAP",
            "QMNAME" => of_type == "QMGRMAP",
            "ADDRESS" => !of_type.starts_with("BLOCK"),
            "USERSRC" | "MCAUSER" | "CHCKCLNT" => !of_type.starts_with("BLOCK"),
            "WARN" => of_type.starts_with("BLOCK"),
            _ => true,
        },
        Kind::AuthInfo => match name {
            "OCSPURL" => of_type == "OCSP",
            "AUTHENMD" => of_type == "IDPWOS",
            "CHCKCLNT" | "CHCKLOCL" | "ADOPTCTX" | "FAILDLAY" => of_type.starts_with("IDPW"),
            "CONNAME" | "LDAPUSER" | "LDAPPWD" => of_type == "CRLLDAP" || of_type == "IDPWLDAP",
            "CLASSGRP" | "CLASSUSR" | "FINDGRP" | "BASEDNG" | "BASEDNU" | "SHORTUSR" | "GRPFIELD"
            | "USRFIELD" | "SECCOMM" | "AUTHORMD" | "NESTGRP" => of_type == "IDPWLDAP",
            _ => true,
        },
        _ => true,
    }
}

/// What is always shown beside the name, and what more of several objects when nothing else was asked for.
pub fn usual(kind: Kind) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        Kind::LocalQueue | Kind::AliasQueue | Kind::RemoteQueue | Kind::ModelQueue | Kind::Topic => {
            (&["TYPE"], &[])
        }
        Kind::Channel => (&["CHLTYPE"], &[]),
        Kind::AuthInfo => (&["AUTHTYPE"], &[]),
        Kind::Subscription => {
            (&[], &["TOPICSTR", "DEST", "DESTQMGR", "DESTCORL", "DURABLE", "SUBUSER", "SUBTYPE"])
        }
        Kind::ChannelAuth => (
            &["TYPE"],
            &["SSLPEER", "ADDRESS", "CLNTUSER", "QMNAME", "USERLIST", "ADDRLIST", "MCAUSER", "USERSRC"],
        ),
        Kind::Authority => (&["ENTITY", "ENTTYPE", "OBJTYPE", "AUTHLIST"], &[]),
        Kind::QueueManager | Kind::Listener => (&[], &[]),
    }
}
