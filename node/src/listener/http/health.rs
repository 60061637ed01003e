//! Whether this node lives, is ready, and serves.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Serialize;

use super::Watched;
use crate::types::Role;

/// What a balancer or an operator's probe is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Health {
    /// Serves.
    Active,
    /// Follows one that serves, and could take over.
    Replica,
    /// Leads one that was ended, and could serve it when it is started.
    Ended,
    /// No leader, an election, or a node that is still recovering.
    NotReady,
    /// Has no part in it any more.
    Removed,
}

impl Health {
    fn of(role: Role) -> Health {
        match role {
            Role::Active => Health::Active,
            Role::Replica => Health::Replica,
            Role::Ended => Health::Ended,
            Role::Removed => Health::Removed,
            Role::Starting | Role::NoQuorum | Role::HandingOver | Role::Recovering | Role::NoLeader => {
                Health::NotReady
            }
        }
    }
}

impl Health {
    /// Nothing is served where there is no queue manager; whether one could be is what the nodes' own is asked.
    fn without_any(watched: &Watched) -> Health {
        match watched.listener.node.cluster_inbox().map(|own| Health::of(own.role().role())) {
            Some(Health::Active | Health::Replica) => Health::Replica,
            Some(state) => state,
            None => Health::NotReady,
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    node: String,
    /// `not-ready` when one queue manager is not, else `active` when one is, else `replica`; `removed` when the node
    /// has no part in any. Where there are none: `replica` when this node would take part in one that is created.
    state: Health,
    stopping: bool,
    queue_managers: BTreeMap<String, Health>,
}

/// What is answered of a queue manager that is not there: it has no state.
#[derive(Debug, Serialize)]
struct NotThere {
    node: String,
    error: String,
}

impl Report {
    fn of(watched: &Watched) -> Report {
        let node = &watched.listener.node;
        let queue_managers: BTreeMap<String, Health> = node
            .queue_managers()
            .values()
            .map(|inbox| (inbox.name().to_string(), Health::of(node.role(inbox).role())))
            .collect();
        let states = || queue_managers.values();
        let stopping = watched.listener.is_stopping();
        let state = if stopping || states().any(|state| *state == Health::NotReady) {
            Health::NotReady
        } else {
            states().min().copied().unwrap_or_else(|| Health::without_any(watched))
        };
        Report { node: node.name.clone(), state, stopping, queue_managers }
    }
}

/// 200 while the process can answer at all.
pub async fn live(State(watched): State<Watched>) -> impl IntoResponse {
    Json(serde_json::json!({ "node": watched.listener.node.name, "state": "live" }))
}

/// 200 when every queue manager that this node has a part in is active, a replica or ended here, else 503.
pub async fn ready(State(watched): State<Watched>) -> impl IntoResponse {
    let report = Report::of(&watched);
    let code = match report.state {
        Health::Active | Health::Replica | Health::Ended => StatusCode::OK,
        Health::NotReady | Health::Removed => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, Json(report))
}

/// 200 when this node serves this queue manager, under a lease that is good now, 404 when it has none of that name, else 503.
pub async fn active_for(
    State(watched): State<Watched>,
    Path(queue_manager): Path<String>,
) -> impl IntoResponse {
    let report = Report::of(&watched);
    let code = match report.queue_managers.get(&queue_manager) {
        Some(Health::Active) => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
        None => {
            let names: Vec<&str> = report.queue_managers.keys().map(String::as_str).collect();
            let error =
                format!("there is no queue manager {queue_manager}; this node has {}", names.join(", "));
            return (StatusCode::NOT_FOUND, Json(NotThere { node: report.node, error })).into_response();
        }
    };
    (code, Json(report)).into_response()
}

/// 200 when this node serves at least one queue manager, as above, else 503: for balancers in front of the clients' port.
pub async fn active(State(watched): State<Watched>) -> impl IntoResponse {
    let report = Report::of(&watched);
    let active = report.queue_managers.values().any(|state| *state == Health::Active);
    (if active { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, Json(report))
}
