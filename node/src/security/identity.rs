//! Names in certificates: `trimaran://CLUSTER/node/NAME` and `trimaran://CLUSTER/user/NAME` as SAN URI.
//!
//! A node is only who has a node's name of this cluster; a user's certificate from the same authority is none. Nor is a
//! node's certificate a user's: it lies on a machine, where it is read by whoever runs the node.

use rustls_pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::mqi::Identity;

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
    /// A certificate of our authority without a name of ours: its common name.
    Other {
        name: String,
    },
    /// A certificate with several names of ours: it would be a matter of luck which one counts.
    Ambiguous,
}

impl Principal {
    /// The identity that sessions carry; its first 12 characters become UserIdentifier. Who is no user has none, and a
    /// sentence says why.
    pub fn identity(&self) -> Result<Identity, String> {
        match self {
            Principal::Anonymous => Ok(Identity::of("anonymous")),
            Principal::User { name, .. } | Principal::Other { name } => {
                Ok(Identity { certificate: Some(name.clone()), ..Identity::of(name) })
            }
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

/// Reads the names of a certificate that was verified before.
pub fn principal(certificate: &CertificateDer<'_>) -> Principal {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Principal::Anonymous };
    let mut ours = Vec::new();
    if let Ok(Some(names)) = certificate.subject_alternative_name() {
        for name in &names.value.general_names {
            let text = match name {
                GeneralName::URI(text) | GeneralName::DNSName(text) => text,
                _ => continue,
            };
            ours.extend(parse(text));
        }
    }
    match ours.len() {
        1 => ours.remove(0),
        0 => {
            let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
            name.map_or(Principal::Anonymous, |name| Principal::Other { name: name.to_owned() })
        }
        _ => Principal::Ambiguous,
    }
}

fn parse(uri: &str) -> Option<Principal> {
    let mut parts = uri.strip_prefix("trimaran://")?.split('/');
    let (cluster, kind, name) = (parts.next()?.to_owned(), parts.next()?, parts.next()?.to_owned());
    if cluster.is_empty() || name.is_empty() || parts.next().is_some() {
        return None;
    }
    match kind {
        "node" => Some(Principal::Node { cluster, name }),
        "user" => Some(Principal::User { cluster, name }),
        _ => None,
    }
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
        for wrong in
            ["trimaran://demo/node/", "trimaran:///node/a", "trimaran://demo/node/a/b", "https://demo/node/a"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
    #[test]
    fn a_node_has_no_identity_in_sessions() {
        let (cluster, name) = ("demo".to_owned(), "ann".to_owned());
        let user = Principal::User { cluster: cluster.clone(), name: name.clone() };
        assert_eq!(
            user.identity(),
            Ok(Identity { certificate: Some(name.clone()), ..Identity::of(name.clone()) })
        );
        let refused = Principal::Node { cluster, name }.identity().unwrap_err();
        assert!(refused.starts_with("The certificate of node ann of cluster demo is no user's"), "{refused}");
    }
}
