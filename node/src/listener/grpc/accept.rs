//! What gRPC adds to the gate: the client rides in the extensions of a request, and a refusal is a `Status`.

use tonic::{Extensions, Request, Status};

use crate::listener::Client;
use crate::listener::gate::{Admission, Gate, NotAdmitted};
use crate::types::definition::Tongue;

/// Says that a client took MQSC to calls of this service, for the audit trail.
const TONGUE: &str = "trimaran-tongue";

/// Decides whether the caller may have a session at all.
pub fn admit(gate: &Gate, extensions: &Extensions) -> Result<Admission, Status> {
    gate.admit(client(extensions)).map_err(status_of)
}

/// The same of a program that puts, gets or browses.
pub fn admit_program(gate: &Gate, extensions: &Extensions) -> Result<Admission, Status> {
    gate.admit_program(client(extensions)).map_err(status_of)
}

/// The same of who wants a definition changed, in the language in which a person said it.
pub fn admit_to_change<T>(gate: &Gate, request: &Request<T>) -> Result<Admission, Status> {
    let mut admission = admit(gate, request.extensions())?;
    if request.metadata().get(TONGUE).is_some_and(|tongue| tongue == "mqsc") {
        admission.client.identity.tongue = Tongue::Mqsc;
    }
    Ok(admission)
}

fn client(extensions: &Extensions) -> Client {
    let mut client = extensions.get::<Client>().cloned().unwrap_or_default();
    client.identity.tongue = Tongue::Grpc;
    client
}

fn status_of(refused: NotAdmitted) -> Status {
    match refused {
        NotAdmitted::Stopping => Status::unavailable(refused.to_string()),
        NotAdmitted::NoUser(sentence) => Status::permission_denied(format!("2035: {sentence}")),
        NotAdmitted::TooMany { .. } | NotAdmitted::Crowded => {
            Status::resource_exhausted(format!("2025: {refused}"))
        }
    }
}
