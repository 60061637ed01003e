//! What gRPC adds to the gate: the client rides in the extensions of a request, and a refusal is a `Status`.

use tonic::{Extensions, Status};

use crate::listener::Client;
use crate::listener::gate::{Admission, Gate, NotAdmitted};

/// Decides whether the caller may have a session at all.
pub fn admit(gate: &Gate, extensions: &Extensions) -> Result<Admission, Status> {
    let client = extensions.get::<Client>().cloned().unwrap_or_default();
    gate.admit(client).map_err(|refused| match refused {
        NotAdmitted::Stopping => Status::unavailable(refused.to_string()),
        NotAdmitted::NoUser(sentence) => Status::permission_denied(format!("2035: {sentence}")),
        NotAdmitted::TooMany { .. } => Status::resource_exhausted(format!("2025: {refused}")),
    })
}
