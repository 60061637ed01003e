//! What TLS made of a connection: a plain fact, for those who decide and those who display.

use trimaran_proto::mq::cipher_spec::Suite;
use trimaran_proto::mq::peer_name::PeerName;

/// How a connection through a channel is protected, as it was agreed on in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secured {
    /// What both ends agreed on.
    pub suite: &'static Suite,
    /// Whom the client's certificate names, if it showed one.
    pub peer: Option<PeerName>,
}
