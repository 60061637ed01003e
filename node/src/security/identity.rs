//! Names in certificates: `trimaran://CLUSTER/node/NAME` and `trimaran://CLUSTER/user/NAME` as SAN URI.
//!
//! A node is only who has a node's name of this cluster; a user's certificate from the same authority is none. Nor is a
//! node's certificate a user's: it lies on a machine, where it is read by whoever runs the node. A certificate without
//! such a name opens nothing, whatever else its authority says of its owner: an authority may be a whole company's.

use rustls_pki_types::CertificateDer;
use trimaran_proto::mq::peer_name::PeerName;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::mqi::Identity;
use crate::types::{Authenticated, Proof};

/// Of clusters, nodes and users.
const NAME_LENGTH_MAX: usize = 64;

/// Whom a connection belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Principal {
    /// No certificate was shown.
    #[default]
    Anonymous,
    Node {
        cluster: String,
        name: String,
    },
    User {
        cluster: String,
        name: String,
    },
    /// A certificate of our authority without a name of ours: its common name, or all that it says of its owner where it has
    /// none; perhaps nothing.
    Other {
        name: String,
    },
    /// A name that begins like one of ours and is none.
    Malformed {
        text: String,
    },
    /// A certificate with several names of ours: it would be a matter of luck which one counts.
    Ambiguous,
}

impl Principal {
    /// The identity that sessions with a node of cluster `own` carry; its first 12 characters become UserIdentifier. Who
    /// is no user of this cluster has none, and a sentence says why. Whether somebody may be anonymous was decided
    /// before, by `client_certificates`.
    pub fn identity(&self, own: &str) -> Result<Identity, String> {
        match self {
            Principal::Anonymous => Ok(Identity::of("anonymous")),
            Principal::User { cluster, name } if cluster == own => {
                let authenticated = Authenticated { user: name.clone(), how: Proof::Certificate };
                let (certificate, authenticated) = (Some(name.clone()), Some(authenticated));
                Ok(Identity { certificate, authenticated, ..Identity::of(name) })
            }
            Principal::User { cluster, name } => Err(format!(
                "The certificate is that of user {name} of cluster {cluster}, and this is cluster {own}: connect with a \
                 certificate of this cluster."
            )),
            Principal::Other { name } => Err(format!(
                "The certificate of {name:?} names no user of this cluster: connect with one whose alternative name is \
                 the URI {}, as trimaran certs add makes them.",
                user_uri(own, "NAME")
            )),
            Principal::Malformed { text } => Err(format!(
                "The certificate's name {text:?} is not {} with a name of at most {NAME_LENGTH_MAX} letters, digits, - _ \
                 . and @: make one with trimaran certs add.",
                user_uri(own, "NAME")
            )),
            Principal::Node { cluster, name } => Err(format!(
                "The certificate of node {name} of cluster {cluster} is no user's: connect with the certificate of a \
                 user, as trimaran certs add makes them."
            )),
            Principal::Ambiguous => {
                Err("The certificate has several trimaran:// names: connect with one that has the \
                                         name of one user, as trimaran certs add makes them."
                    .to_owned())
            }
        }
    }
}

pub fn node_uri(cluster: &str, name: &str) -> String {
    format!("trimaran://{cluster}/node/{name}")
}

pub fn user_uri(cluster: &str, name: &str) -> String {
    format!("trimaran://{cluster}/user/{name}")
}

/// Reads the names of a certificate that was verified before. Whoever showed one is never anonymous.
pub fn principal(certificate: &CertificateDer<'_>) -> Principal {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Principal::Other { name: String::new() };
    };
    let mut ours = Vec::new();
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            if let GeneralName::URI(text) = name {
                ours.extend(parse(text));
            }
        }
    }
    match ours.len() {
        1 => ours.remove(0),
        0 => {
            let subject = certificate.subject();
            let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok());
            Principal::Other { name: name.map_or_else(|| subject.to_string(), str::to_owned) }
        }
        _ => Principal::Ambiguous,
    }
}

/// Whom a certificate that was verified before names in MQ's words: what a channel's SSLPEER is about.
pub fn peer_name(certificate: &CertificateDer<'_>) -> Option<PeerName> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let attributes = certificate.subject().iter_attributes();
    let subject = attributes
        .filter_map(|attribute| Some((attribute.attr_type().to_id_string(), attribute.as_str().ok()?)));
    Some(PeerName::new(&certificate.raw_serial_as_string().to_uppercase(), subject))
}

/// None for a name that is not meant for us.
fn parse(uri: &str) -> Option<Principal> {
    let ours = uri.strip_prefix("trimaran://")?;
    let parts: Vec<&str> = ours.split('/').collect();
    let owned = |cluster: &str, name: &str| (cluster.to_owned(), name.to_owned());
    Some(match parts[..] {
        [cluster, "node", name] if is_name(cluster) && is_name(name) => {
            let (cluster, name) = owned(cluster, name);
            Principal::Node { cluster, name }
        }
        [cluster, "user", name] if is_name(cluster) && is_name(name) => {
            let (cluster, name) = owned(cluster, name);
            Principal::User { cluster, name }
        }
        _ => Principal::Malformed { text: uri.chars().take(200).collect() },
    })
}

/// Letters, digits, - _ . and @: what log lines, status and UserIdentifier show as it is.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    (1..=NAME_LENGTH_MAX).contains(&name.len()) && name.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_node_or_a_user_of_one_cluster() {
        let node = Principal::Node { cluster: "demo".into(), name: "a".into() };
        assert_eq!(parse(&node_uri("demo", "a")), Some(node));
        let user = Principal::User { cluster: "demo".into(), name: "ann".into() };
        assert_eq!(parse(&user_uri("demo", "ann")), Some(user));
        for wrong in [
            "trimaran://demo/node/",
            "trimaran:///node/a",
            "trimaran://demo/node/a/b",
            "trimaran://demo/admin/a",
            "trimaran://demo/user/ann\n2035",
            "trimaran://demo",
        ] {
            assert_eq!(parse(wrong), Some(Principal::Malformed { text: wrong.into() }), "{wrong}");
        }
        assert_eq!(parse("https://demo/node/a"), None);
    }

    #[test]
    fn only_a_user_of_this_cluster_has_an_identity() {
        let user = |cluster: &str| Principal::User { cluster: cluster.into(), name: "ann".into() };
        assert_eq!(user("demo").identity("demo").unwrap().user, "ann");
        for (stranger, sentence) in [
            (user("other"), "user ann of cluster other, and this is cluster demo"),
            (Principal::Other { name: "ann".into() }, "names no user of this cluster"),
            (Principal::Malformed { text: "trimaran://x".into() }, "is not trimaran://demo/user/NAME"),
            (Principal::Ambiguous, "several trimaran:// names"),
        ] {
            let refused = stranger.identity("demo").unwrap_err();
            assert!(refused.contains(sentence), "{refused}");
        }
    }

    #[test]
    fn a_node_has_no_identity_in_sessions() {
        let (cluster, name) = ("demo".to_owned(), "ann".to_owned());
        let user = Principal::User { cluster: cluster.clone(), name: name.clone() };
        let authenticated = Some(Authenticated { user: name.clone(), how: Proof::Certificate });
        let ann =
            Ok(Identity { certificate: Some(name.clone()), authenticated, ..Identity::of(name.clone()) });
        assert_eq!(user.identity("demo"), ann);
        let refused = Principal::Node { cluster, name }.identity("demo").unwrap_err();
        assert!(refused.starts_with("The certificate of node ann of cluster demo is no user's"), "{refused}");
    }
}
