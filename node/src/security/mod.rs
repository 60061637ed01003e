//! Who is this, and may anybody listen: TLS for clients and nodes, and the names in certificates (L3).
//!
//! What somebody *may do* is decided in the replica. Used by `config`, which looks whether the files have what is needed, and by
//! `runtime`, which accepts connections with it. `listener` is handed streams, and what their certificates say. So is `peer`, but for the
//! connections that it opens: for those it has rustls's configuration and does the handshake itself.

mod acceptor;
mod identity;
mod places;
mod tls;

#[cfg(test)]
mod security_test;

pub use acceptor::{AcceptLimits, Audience, Connection, ConnectionInfo, incoming};
pub use identity::{Principal, node_uri, principal, user_uri};
pub use tls::{CertificateState, Tls, TlsError, TlsOptions};
