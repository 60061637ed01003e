//! What a channel demands of TLS (SSLCIPH, SSLCAUTH, SSLPEER), and what is said of a connection that has something else.
//!
//! A channel with a CipherSpec is for TLS and one without is not, whoever comes: so it is in MQ, and whoever takes SSLCIPH away
//! opens the channel to plain connections and not to both. The numbers are those that MQ writes into its log. Asked by
//! `channels`, before there is an instance.

use trimaran_proto::mq::cipher_spec::CipherSpec;
use trimaran_proto::mq::peer_name::{Pattern, PeerName};

use crate::mqi::{Refusal, Secured};
use crate::types::Reason;
use crate::types::definition::{self as selector, Definition, ObjectKind};

/// # Errors
/// 2393 where the connection has no TLS, TLS that nobody asked for, or another suite; 2397 without a certificate, 2398 with
/// one of another name.
pub(super) fn check(channel: &Definition, secured: Option<&Secured>) -> Result<(), Refusal> {
    debug_assert_eq!(channel.kind(), ObjectKind::Channel, "what a channel demands");
    let name = &channel.object.name;
    let demanded = channel.text(selector::SSLCIPH).trim();
    let secured = match (demanded, secured) {
        ("", None) => return Ok(()),
        ("", Some(_)) => {
            return refuse(
                Reason::SslInitializationError,
                format!(
                    "AMQ9635E: Channel '{name}' did not specify a valid CipherSpec. The client uses TLS, and SSLCIPH of the \
                     channel is blank: ALTER CHANNEL({name}) CHLTYPE(SVRCONN) SSLCIPH(ANY_TLS12_OR_HIGHER), or take the \
                     CipherSpec from the client."
                ),
            );
        }
        (_, None) => {
            return refuse(
                Reason::SslInitializationError,
                format!(
                    "AMQ9639E: Remote channel '{name}' did not specify a CipherSpec. The channel demands SSLCIPH({demanded}), and \
                     the client uses no TLS: give it a CipherSpec."
                ),
            );
        }
        (_, Some(secured)) => secured,
    };
    match CipherSpec::named(demanded) {
        Some(spec) if spec.allows(secured.suite) => {}
        Some(_) => {
            return refuse(
                Reason::SslInitializationError,
                format!(
                    "AMQ9631E: The CipherSpec negotiated during the SSL handshake does not match the required CipherSpec for \
                     channel '{name}'. The channel demands SSLCIPH({demanded}), and {} was agreed on: name the same one at \
                     the client.",
                    secured.suite.name
                ),
            );
        }
        None => {
            return refuse(
                Reason::SslInitializationError,
                format!(
                    "AMQ9635E: Channel '{name}' did not specify a valid CipherSpec. SSLCIPH({demanded}) is not known here: \
                     ALTER CHANNEL({name}) CHLTYPE(SVRCONN) SSLCIPH(ANY_TLS12_OR_HIGHER)."
                ),
            );
        }
    }
    check_peer(channel, secured.peer.as_ref())
}

/// A pattern demands a certificate, whatever SSLCAUTH says: nobody without one has a name.
fn check_peer(channel: &Definition, peer: Option<&PeerName>) -> Result<(), Refusal> {
    const OPTIONAL: i32 = 1;
    let name = &channel.object.name;
    let demanded = channel.text(selector::SSLPEER).trim();
    let Some(peer) = peer else {
        if channel.number(selector::SSLCAUTH) == OPTIONAL && demanded.is_empty() {
            return Ok(());
        }
        let by =
            if demanded.is_empty() { "SSLCAUTH(REQUIRED)".into() } else { format!("SSLPEER({demanded})") };
        return refuse(
            Reason::JsseError,
            format!(
                "AMQ9637E: Channel is lacking a certificate. Channel '{name}' demands one ({by}), and the client showed none: \
                 give it a key store with the certificate of a user."
            ),
        );
    };
    if demanded.is_empty() {
        return Ok(());
    }
    match Pattern::read(demanded) {
        Ok(pattern) if pattern.matches(peer) => Ok(()),
        read => refuse(
            Reason::SslPeerNameMismatch,
            format!(
                "AMQ9636E: SSL distinguished name does not match peer name, channel '{name}'. The certificate is that of {peer}, \
                 and SSLPEER({demanded}) {}.",
                read.map_or_else(|why| format!("is no pattern: {why}"), |_| "does not match it".to_string())
            ),
        ),
    }
}

fn refuse(reason: Reason, detail: String) -> Result<(), Refusal> {
    Err(Refusal::because(reason, detail))
}

#[cfg(test)]
mod tests {
    use trimaran_proto::mq::cipher_spec::Suite;

    use super::*;
    use crate::types::definition::{Changes, ObjectRef};

    fn channel(attributes: &[(&str, &str)]) -> Definition {
        let channel = Definition::new(ObjectRef::new(ObjectKind::Channel, "APP"));
        channel.with(&Changes::parse(ObjectKind::Channel, attributes.iter().copied()).unwrap())
    }

    /// With a certificate of this common name, or none.
    fn tls(suite: &str, name: &str) -> Secured {
        let subject = [("2.5.4.3".to_string(), name)];
        let peer = (!name.is_empty()).then(|| PeerName::new("01", subject));
        Secured { suite: Suite::named(suite).unwrap(), peer }
    }

    fn said(attributes: &[(&str, &str)], secured: Option<Secured>) -> String {
        match check(&channel(attributes), secured.as_ref()) {
            Ok(()) => "let in".into(),
            Err(refusal) => format!("{} {}", refusal.reason.number(), refusal.detail.unwrap()),
        }
    }

    #[test]
    fn a_channel_is_for_tls_or_for_connections_without() {
        let gcm = "TLS_AES_256_GCM_SHA384";
        assert_eq!(said(&[], None), "let in");
        let unasked = said(&[], Some(tls(gcm, "ann")));
        assert!(
            unasked.starts_with("2393 AMQ9635E: Channel 'APP' did not specify a valid CipherSpec."),
            "{unasked}"
        );
        let plain = said(&[("SSLCIPH", "ANY_TLS12")], None);
        assert!(
            plain.starts_with("2393 AMQ9639E: Remote channel 'APP' did not specify a CipherSpec."),
            "{plain}"
        );
        assert!(plain.contains("SSLCIPH(ANY_TLS12)"), "{plain}");
    }

    #[test]
    fn the_suite_is_one_that_the_channel_demands() {
        let (gcm, old) = ("TLS_AES_256_GCM_SHA384", "ECDHE_ECDSA_AES_256_GCM_SHA384");
        for demanded in [gcm, "ANY", "ANY_TLS13", "ANY_TLS12_OR_HIGHER"] {
            assert_eq!(said(&[("SSLCIPH", demanded)], Some(tls(gcm, "ann"))), "let in", "{demanded}");
        }
        for demanded in [gcm, "ANY_TLS13_OR_HIGHER"] {
            let other = said(&[("SSLCIPH", demanded)], Some(tls(old, "ann")));
            assert!(other.starts_with("2393 AMQ9631E: The CipherSpec negotiated"), "{other}");
            assert!(other.contains(demanded) && other.contains(old), "{other}");
        }
        // As an older release may have kept it.
        let kept = Definition {
            settings: [(selector::SSLCIPH, crate::types::definition::Value::Text("RC4_MD5_US".into()))]
                .into_iter()
                .collect(),
            ..channel(&[])
        };
        let refused = check(&kept, Some(&tls(gcm, "ann"))).unwrap_err().detail.unwrap();
        assert!(refused.starts_with("AMQ9635E") && refused.contains("RC4_MD5_US"), "{refused}");
    }

    #[test]
    fn a_certificate_is_demanded_unless_it_is_optional() {
        let (demanded, gcm) = (("SSLCIPH", "ANY"), "TLS_AES_256_GCM_SHA384");
        let lacking = said(&[demanded], Some(tls(gcm, "")));
        assert!(lacking.starts_with("2397 AMQ9637E: Channel is lacking a certificate."), "{lacking}");
        assert_eq!(said(&[demanded, ("SSLCAUTH", "OPTIONAL")], Some(tls(gcm, ""))), "let in");
        let unnamed = said(&[demanded, ("SSLCAUTH", "OPTIONAL"), ("SSLPEER", "CN=*")], Some(tls(gcm, "")));
        assert!(unnamed.starts_with("2397") && unnamed.contains("SSLPEER(CN=*)"), "{unnamed}");
    }

    #[test]
    fn the_certificate_has_the_name_that_the_channel_demands() {
        let demanded = [("SSLCIPH", "ANY"), ("SSLPEER", "CN=ann*")];
        let gcm = "TLS_AES_256_GCM_SHA384";
        assert_eq!(said(&demanded, Some(tls(gcm, "anna"))), "let in");
        let other = said(&demanded, Some(tls(gcm, "joe")));
        assert!(
            other.starts_with("2398 AMQ9636E: SSL distinguished name does not match peer name"),
            "{other}"
        );
        assert!(
            other.contains("CN=joe") && other.ends_with("SSLPEER(CN=ann*) does not match it."),
            "{other}"
        );
    }
}
