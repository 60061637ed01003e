//! Who is this, and may anybody listen: TLS for clients and nodes, and the names in certificates (L3).
//!
//! What somebody *may do* is decided in the replica. Used by `listener` and `runtime`; `peer` is handed streams.

mod acceptor;
mod identity;
mod places;
mod tls;

#[cfg(test)]
mod security_test;

pub use acceptor::{AcceptLimits, Audience, Connection, ConnectionInfo, incoming};
pub use identity::{Principal, node_uri, principal, user_uri};
pub use tls::{CertificateState, Tls, TlsError, TlsOptions};
