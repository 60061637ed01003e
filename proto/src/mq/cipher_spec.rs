//! MQ's names for what protects a channel (SSLCIPH), and what of TLS each of them lets through.
//!
//! A CipherSpec is the name of one suite, or one of five names that stand for several (IBM MQ, "Enabling CipherSpecs"). Only
//! suites with forward secrecy and authenticated encryption are here; what MQ has besides is refused by name when a channel
//! is defined, and not when its first client comes.

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

/// A suite that both ends can agree on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// IANA's number.
    pub code: u16,
    /// MQ's name. The two with more than 32 characters are ours: MQ has no TLS 1.2 with ChaCha20.
    pub name: &'static str,
    pub version: Version,
}

/// What a channel demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CipherSpec {
    /// Any suite of these versions.
    Any {
        name: &'static str,
        versions: &'static [Version],
    },
    One(&'static Suite),
}

use Version::{Tls12, Tls13};

const ANY: &[(&str, &[Version])] = &[
    ("ANY", &[Tls12, Tls13]),
    ("ANY_TLS12", &[Tls12]),
    ("ANY_TLS12_OR_HIGHER", &[Tls12, Tls13]),
    ("ANY_TLS13", &[Tls13]),
    ("ANY_TLS13_OR_HIGHER", &[Tls13]),
];

const SUITES: &[Suite] = &[
    suite(0xC02B, "ECDHE_ECDSA_AES_128_GCM_SHA256", Tls12),
    suite(0xC02C, "ECDHE_ECDSA_AES_256_GCM_SHA384", Tls12),
    suite(0xCCA9, "ECDHE_ECDSA_CHACHA20_POLY1305_SHA256", Tls12),
    suite(0xC02F, "ECDHE_RSA_AES_128_GCM_SHA256", Tls12),
    suite(0xC030, "ECDHE_RSA_AES_256_GCM_SHA384", Tls12),
    suite(0xCCA8, "ECDHE_RSA_CHACHA20_POLY1305_SHA256", Tls12),
    suite(0x1301, "TLS_AES_128_GCM_SHA256", Tls13),
    suite(0x1302, "TLS_AES_256_GCM_SHA384", Tls13),
    suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256", Tls13),
];

const fn suite(code: u16, name: &'static str, version: Version) -> Suite {
    Suite { code, name, version }
}

impl Version {
    /// As SECPROT of a channel's status has it.
    pub fn name(self) -> &'static str {
        match self {
            Tls12 => "TLSV12",
            Tls13 => "TLSV13",
        }
    }
}

impl Suite {
    /// The suite with IANA's number; None for one that no channel lets through.
    pub fn numbered(code: u16) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.code == code)
    }

    /// The suite with MQ's name.
    pub fn named(name: &str) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.name.eq_ignore_ascii_case(name))
    }
}

impl CipherSpec {
    /// The CipherSpec of this name, in any case.
    pub fn named(name: &str) -> Option<CipherSpec> {
        let any = ANY.iter().find(|(any, _)| any.eq_ignore_ascii_case(name));
        let any = any.map(|&(name, versions)| CipherSpec::Any { name, versions });
        any.or_else(|| Suite::named(name).map(CipherSpec::One))
    }

    /// All names, those that stand for several first.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ANY.iter().map(|(name, _)| *name).chain(SUITES.iter().map(|suite| suite.name))
    }

    pub fn name(&self) -> &'static str {
        match *self {
            CipherSpec::Any { name, .. } => name,
            CipherSpec::One(suite) => suite.name,
        }
    }

    /// Whether a connection that agreed on this suite is one that the channel demands.
    pub fn allows(&self, suite: &Suite) -> bool {
        match self {
            CipherSpec::Any { versions, .. } => versions.contains(&suite.version),
            CipherSpec::One(one) => one.code == suite.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(name: &str) -> Vec<u16> {
        let spec = CipherSpec::named(name).unwrap();
        SUITES.iter().filter(|suite| spec.allows(suite)).map(|suite| suite.code).collect()
    }

    #[test]
    fn a_name_lets_its_suites_through_and_no_others() {
        let tls12 = [0xC02B, 0xC02C, 0xCCA9, 0xC02F, 0xC030, 0xCCA8];
        let tls13 = [0x1301, 0x1302, 0x1303];
        assert_eq!(allowed("ANY_TLS12"), tls12);
        assert_eq!(allowed("ANY_TLS13"), tls13);
        assert_eq!(allowed("ANY_TLS13_OR_HIGHER"), tls13);
        let all = [&tls12[..], &tls13[..]].concat();
        assert_eq!((allowed("ANY_TLS12_OR_HIGHER"), allowed("any")), (all.clone(), all));
        assert_eq!(allowed("ecdhe_rsa_aes_256_gcm_sha384"), [0xC030]);
        assert_eq!(allowed("TLS_AES_128_GCM_SHA256"), [0x1301]);
    }

    #[test]
    fn a_name_is_found_by_itself_and_old_suites_are_not() {
        for name in CipherSpec::names() {
            assert_eq!(CipherSpec::named(name).map(|spec| spec.name()), Some(name));
        }
        for old in
            ["", "TLS_RSA_WITH_AES_128_CBC_SHA256", "ECDHE_RSA_AES_128_CBC_SHA256", "TLS_AES_128_CCM_SHA256"]
        {
            assert_eq!(CipherSpec::named(old), None, "{old}");
        }
    }
}
