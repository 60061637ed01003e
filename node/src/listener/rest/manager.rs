//! What is said of queue managers, and of the installation, to whoever asks any node.

use serde_json::{Map, Value, json};

use super::problem::Problem;
use crate::listener::Listener;
use crate::mqi::StatusView;
use crate::replica::Inbox;
use crate::types::{Reason, Role};

const EXTENDED: &str = "extended";
const STATUS: &str = "status";
const NATIVE_HA: &str = "nativeHA";
const GROUPS: [&str; 3] = [EXTENDED, STATUS, NATIVE_HA];
/// What IBM's API calls an installation.
const INSTALLATION: &str = "Trimaran";

/// The state as IBM's API says it.
fn state(role: Role) -> &'static str {
    match role {
        Role::Active => "running",
        Role::Replica => "runningElsewhere",
        Role::Ended => "ended",
        Role::Starting => "starting",
        Role::HandingOver | Role::NoQuorum | Role::Recovering | Role::NoLeader | Role::Removed => {
            "stateNotAvailable"
        }
    }
}

/// Those that this node has a part in.
pub fn all(listener: &Listener) -> Value {
    let managers = listener.node.queue_managers();
    let managers: Vec<Value> = managers.values().map(|inbox| one(listener, inbox)).collect();
    json!({ "qmgr": managers })
}

fn one(listener: &Listener, inbox: &Inbox) -> Value {
    json!({ "name": inbox.name().as_str(), "state": state(listener.node.role(inbox).role()) })
}

/// Groups of attributes that are asked for: `*` for all.
///
/// # Errors
/// 400 for one that there is not.
pub fn groups(asked: &[String]) -> Result<Vec<&'static str>, Problem> {
    if asked.iter().any(|asked| asked == "*") {
        return Ok(GROUPS.to_vec());
    }
    let group = |asked: &String| {
        let found = GROUPS.into_iter().find(|group| group == asked);
        found.ok_or_else(|| {
            let detail = format!("There are no attributes {asked:?}; there are *, {}.", GROUPS.join(", "));
            Problem::bad(Reason::OptionsError, detail)
        })
    };
    asked.iter().map(group).collect()
}

/// One of them, with these groups of attributes.
pub fn described(listener: &Listener, inbox: &Inbox, groups: &[&str], status: Option<&StatusView>) -> Value {
    let mut described = one(listener, inbox);
    for group in groups {
        described[*group] = match (*group, status) {
            (EXTENDED, _) => {
                let is_default = listener.node.queue_managers().len() == 1;
                json!({ "installationName": INSTALLATION, "isDefaultQmgr": is_default })
            }
            (STATUS, Some(status)) => json!({ "connectionCount": status.sessions }),
            (_, Some(status)) => native_ha(listener, status),
            (_, None) => Value::Object(Map::new()),
        };
    }
    json!({ "qmgr": [described] })
}

fn native_ha(listener: &Listener, status: &StatusView) -> Value {
    let name = |info: &crate::types::NodeInfo| Value::from(info.name.clone());
    let active = status.leader.and_then(|leader| status.membership.nodes.get(&leader)).map(name);
    let quorum = (status.quorum_live > 0).then(|| format!("{}/{}", status.quorum_live, status.quorum_of));
    let mut said = json!({ "instance": listener.node.name, "role": status.role.as_str() });
    if let Some(active) = active {
        said["activeInstance"] = active;
    }
    if let Some(quorum) = quorum {
        said["quorum"] = quorum.into();
    }
    said
}

/// What is installed here.
pub fn installation(listener: &Listener) -> Value {
    let version = listener.node.version;
    json!({ "installation": [{ "name": INSTALLATION, "platform": "unix", "version": version }] })
}
