//! What serves clients of channels, whichever port they come to, and who they are.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::net::TcpListener;

use crate::listener::{self, Accepted, Client, Listener};
use crate::mqi::Identity;
use crate::security::{self, AcceptLimits, Audience, ConnectionInfo, Principal, Tls};
use crate::types::ObjectName;

/// A program in Java loads its half of TLS within the first handshake, and its machine may be busy.
const HANDSHAKE: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub struct Channels {
    pub listener: Listener,
    pub tls: Option<Arc<Tls>>,
    /// Who shows no certificate is believed who it is, whichever machine it comes from.
    pub insecure: bool,
    pub cluster: String,
    /// Places are those of all clients.
    pub limits: AcceptLimits,
}

impl Channels {
    /// Until `closing`, or nobody comes any more and the last has gone.
    pub async fn serve(
        self,
        queue_manager: ObjectName,
        socket: TcpListener,
        no_more: impl Future,
        closing: impl Future<Output = ()>,
    ) {
        let limits = AcceptLimits { handshake: HANDSHAKE, ..self.limits };
        let incoming = security::incoming(socket, self.tls, Audience::Channels, limits);
        let insecure = self.insecure;
        let accepted = move |connection: security::Connection| {
            let info = connection.info();
            let (client, local) = (client(info, insecure), info.local);
            Accepted::new(connection, client).at(local)
        };
        let incoming = incoming.map(move |incoming| incoming.map(&accepted)).take_until(no_more);
        let terms = listener::mq::Terms::new(queue_manager, &self.cluster);
        listener::mq::serve(self.listener, terms, incoming, closing).await;
    }
}

/// Whoever has no certificate says who it is, and is believed on this machine, or everywhere where an operator has accepted
/// that. What a channel demands is the channel's, and is asked first.
fn client(info: &ConnectionInfo, insecure: bool) -> Client {
    const STRANGER: &str = "It comes from another machine and shows no certificate, so that it could say to be anybody: give it a \
                            CipherSpec and the certificate of a user; or accept it with [tls] insecure = true.";
    let is_near = info.remote.is_none_or(|remote| remote.ip().is_loopback());
    let client = match (&info.principal, info.identity()) {
        (Principal::Anonymous, _) if is_near || insecure => Client::new(info.remote, Identity::default()),
        (Principal::Anonymous, _) => Client::refused(info.remote, STRANGER),
        (_, Ok(identity)) => Client::new(info.remote, identity),
        (_, Err(sentence)) => Client::refused(info.remote, sentence),
    };
    let identity = Identity { secured: info.secured.clone(), ..client.identity.clone() };
    client.with_identity(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str, principal: Principal) -> ConnectionInfo {
        ConnectionInfo {
            remote: Some(address.parse().unwrap()),
            principal,
            cluster: "demo".into(),
            ..ConnectionInfo::default()
        }
    }

    #[test]
    fn who_shows_no_certificate_is_believed_on_this_machine_or_where_that_was_accepted() {
        for (address, insecure, is_let_in) in [
            ("127.0.0.1:5000", false, true),
            ("[::1]:5000", false, true),
            ("10.0.0.1:5000", false, false),
            ("10.0.0.1:5000", true, true),
        ] {
            let client = client(&from(address, Principal::Anonymous), insecure);
            assert_eq!(client.refusal().is_none(), is_let_in, "{address} {insecure}");
            assert!(client.refusal().is_none_or(|why| why.contains("comes from another machine")));
        }
    }

    #[test]
    fn the_name_in_a_certificate_is_the_identity_from_any_machine() {
        let user = |cluster: &str| Principal::User { cluster: cluster.into(), name: "ann".into() };
        let ann = client(&from("10.0.0.1:5000", user("demo")), false);
        assert_eq!((ann.identity.user.as_str(), ann.refusal()), ("ann", None));
        for stranger in [user("other"), Principal::Node { cluster: "demo".into(), name: "a".into() }] {
            let refused = client(&from("127.0.0.1:5000", stranger), true);
            assert!(refused.refusal().is_some_and(|why| why.starts_with("The certificate")), "{refused:?}");
        }
    }
}
