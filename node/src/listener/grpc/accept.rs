//! What gRPC adds to the gate: the client rides in the extensions of a request, and a refusal is a `Status`.

use tonic::{Extensions, Request, Status};

use crate::listener::Client;
use crate::listener::gate::{Admission, Gate, NotAdmitted};
use crate::types::definition::Tongue;

/// Says that a client took MQSC to calls of this service, for the audit trail.
const TONGUE: &str = "trimaran-tongue";

/// Decides whether the caller may have a session at all.
pub fn admit(gate: &Gate, extensions: &Extensions) -> Result<Admission, Status> {
    let mut client = extensions.get::<Client>().cloned().unwrap_or_default();
    client.identity.tongue = Tongue::Grpc;
    gate.admit(client).map_err(|refused| match refused {
        NotAdmitted::Stopping => Status::unavailable(refused.to_string()),
        NotAdmitted::NoUser(sentence) => Status::permission_denied(format!("2035: {sentence}")),
        NotAdmitted::TooMany { .. } => Status::resource_exhausted(format!("2025: {refused}")),
    })
}

/// The same of who wants a definition changed, in the language in which a person said it.
pub fn admit_to_change<T>(gate: &Gate, request: &Request<T>) -> Result<Admission, Status> {
    let mut admission = admit(gate, request.extensions())?;
    if request.metadata().get(TONGUE).is_some_and(|tongue| tongue == "mqsc") {
        admission.client.identity.tongue = Tongue::Mqsc;
    }
    Ok(admission)
}
