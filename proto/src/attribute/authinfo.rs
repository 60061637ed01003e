//! Authentication information: where passwords and revoked certificates are asked for.

use super::Kind::AuthInfo;
use super::State::Stored;
use super::*;

const OF: &[Kind] = &[AuthInfo];
const CHECKED: Words = &[("OPTIONAL", 0), ("NONE", 1), ("REQDADM", 2), ("REQUIRED", 3)];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    word(66, "AUTHTYPE", OF, &[("CRLLDAP", 1), ("OCSP", 2), ("IDPWOS", 3), ("IDPWLDAP", 4)], 3, Stored, "What is asked for, and where.").needed().fixed(),
    text(2046, "DESCR", OF, 64, Stored, "What it is for, at most 64 characters."),
    word(258, "CHCKCLNT", OF, CHECKED, 2, Stored, "Who must give a password over a channel."),
    word(257, "CHCKLOCL", OF, CHECKED, 0, Stored, "Who must give a password on the same machine."),
    number(259, "FAILDLAY", OF, (0, 60), 1, Stored, "Seconds a wrong password waits for its answer."),
    word(260, "ADOPTCTX", OF, NO_YES, 1, Stored, "Whether the user with the password is the one whose rights count."),
    word(266, "AUTHENMD", OF, &[("OS", 0), ("PAM", 1)], 0, Stored, "How the operating system checks a password."),
    text(2053, "CONNAME", OF, 264, Stored, "Host and port of the directory."),
    text(2047, "LDAPUSER", OF, 256, Stored, "Name by which the directory is asked."),
    text(2048, "LDAPPWD", OF, 32, Stored, "Password for that name."),
    word(261, "SECCOMM", OF, &[("NO", 0), ("YES", 1), ("ANON", 2)], 0, Stored, "Whether the directory is asked by TLS."),
    text(2126, "BASEDNU", OF, 1024, Stored, "Where users are looked for."),
    text(2132, "BASEDNG", OF, 1024, Stored, "Where groups are looked for."),
    text(2128, "CLASSUSR", OF, 128, Stored, "Object class of users."),
    text(2133, "CLASSGRP", OF, 128, Stored, "Object class of groups."),
    text(2129, "USRFIELD", OF, 128, Stored, "Field of a user by which a name is looked up."),
    text(2127, "SHORTUSR", OF, 128, Stored, "Field of a user that has the short name."),
    text(2134, "GRPFIELD", OF, 128, Stored, "Field of a group that has its name."),
    text(2135, "FINDGRP", OF, 128, Stored, "Field in which the members of a group are looked for."),
    word(263, "AUTHORMD", OF, &[("OS", 0), ("SEARCHGRP", 1), ("SEARCHUSR", 2), ("SRCHGRPSN", 3)], 0, Stored, "Where the groups of a user are found."),
    word(264, "NESTGRP", OF, NO_YES, 0, Stored, "Whether groups are in groups."),
    text(2109, "OCSPURL", OF, 256, Stored, "Where revoked certificates are asked for."),
    fact_text(2027, "ALTDATE", OF, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", OF, TIME, "Time of the last change, UTC."),
];
