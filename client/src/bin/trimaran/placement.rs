//! Which node serves: `move`, and `node drain|resume` for maintenance.

use std::time::{Duration, Instant};

use serde_json::json;
use trimaran_client::{Connection, ConnectionState, InstanceStatus, MaintainRequest, QueueManagerStatus};

use crate::{
    arguments::{Global, MoveArgs},
    output::{Failure, Outcome, patiently},
    say,
    spared::why_it_is_needed,
    status::{self, Picture},
    upgrade,
};

/// A drain waits no longer than this for another node to serve, unless --within says how long.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(100);

// ---- move ----

pub async fn move_to(global: &Global, args: MoveArgs) -> Outcome {
    let (global, target) = places(global, &args.places).await?;
    let connection = global.connect().await?;
    let name = connection.queue_manager();
    let before = serving_node(&connection);
    let is_there = !target.is_empty() && before.as_deref() == Some(&target);
    if is_there {
        match global.json {
            true => {
                say!(
                    "{}",
                    json!({ "ok": true, "queue_manager": name, "moved": false, "active_node": target })
                )
            }
            false => say!("{name} is served by {target} already"),
        }
        return Ok(());
    }
    let started = Instant::now();
    patiently("moving", connection.admin().move_within(&target, args.units_within)).await?;
    // The node that serves next is known when it answers.
    let mut state = connection.state();
    let arrived = |state: &ConnectionState| match state {
        ConnectionState::Connected { node, .. } if target.is_empty() => Some(node) != before.as_ref(),
        ConnectionState::Connected { node, .. } => *node == target,
        _ => false,
    };
    let waited = tokio::time::timeout(global.patience(), state.wait_for(arrived)).await;
    if !matches!(waited, Ok(Ok(_))) {
        let text = format!(
            "the move was accepted, and did not come to that: {} serves; look with `trimaran status`",
            serving_node(&connection).unwrap_or("nobody".into())
        );
        return Err(Failure::Check(text));
    }
    drop(waited);
    let ms = started.elapsed().as_millis() as u64;
    let node = serving_node(&connection).unwrap_or(target);
    let from = before.unwrap_or_default();
    match global.json {
        true => say!(
            "{}",
            json!({
                "ok": true, "queue_manager": name, "moved": true, "from": from, "to": node, "active_node": node, "ms": ms,
            })
        ),
        false => say!("{name} moved from {from} to {node} in {ms} ms"),
    }
    Ok(())
}

/// What the words behind `move` name: the queue manager, the node, or both.
async fn places(global: &Global, places: &[String]) -> Result<(Global, String), Failure> {
    let named = global.queue_manager.clone().filter(|name| !name.is_empty());
    let of = |name: &String| Global { queue_manager: Some(name.clone()), ..global.clone() };
    match places {
        [] => Ok((global.clone(), String::new())),
        // What is typed here counts more than what may stand in the environment.
        [name, node] => Ok((of(name), node.clone())),
        [word] if named.as_ref() == Some(word) => Ok((global.clone(), String::new())),
        [node] if named.is_some() => Ok((global.clone(), node.clone())),
        [word, ..] => {
            let answers = patiently("asking the nodes", status::ask(global)).await?;
            status::check_answered(&answers)?;
            match status::queue_managers(&answers).contains(word) {
                true => Ok((of(word), String::new())),
                false => Ok((global.clone(), word.clone())),
            }
        }
    }
}

fn serving_node(connection: &Connection) -> Option<String> {
    match &*connection.state().borrow() {
        ConnectionState::Connected { node, .. } => Some(node.clone()),
        _ => None,
    }
}

// ---- maintenance ----

pub async fn drain(global: &Global, node: &str, force: bool) -> Outcome {
    let mut before = views_of(global, node).await?;
    // Whoever may refuse is asked first, so that nothing has been begun then.
    before.sort_by_key(|manager| why_it_is_needed(manager, node).is_none());
    let mut begun: Vec<&QueueManagerStatus> = Vec::new();
    for manager in &before {
        let asked = patiently("asking for maintenance", maintain(global, manager, node, true, force)).await;
        if let Err(failure) = asked {
            take_back(global, &begun, node).await;
            return Err(failure);
        }
        let text = match is_maintained(manager, node) {
            true => format!("node {node} is in maintenance already"),
            false => {
                begun.push(manager);
                format!("node {node} is in maintenance: it leads only where no other node could")
            }
        };
        tell(global, manager, &text);
    }
    let after = patiently("waiting until other nodes serve", wait_until_led_elsewhere(global, node)).await?;
    for manager in &before {
        let is = after.iter().find(|is| is.name == manager.name).unwrap_or(manager);
        let text = match (manager.active_node == node, is.active_node == manager.active_node) {
            (true, _) => format!("moved from {node} to {}", is.active_node),
            (false, true) if status::is_ended(is) => "it was ended, nothing to move".to_owned(),
            (false, true) => format!("served by {}, nothing to move", is.active_node),
            (false, false) => format!("served by {} now", is.active_node),
        };
        tell(global, is, &text);
    }
    let why_not = |manager| why_it_is_needed(manager, node).or_else(|| why_it_is_not_spared(manager, node));
    let outage =
        after.iter().find_map(why_not).map(|why| format!("cannot be stopped without an outage: {why}"));
    let why = match outage {
        None => why_it_has_not_let_go(global, node).await?,
        outage => outage,
    };
    match (why, force) {
        (None, _) => match global.json {
            true => say!("{}", json!({ "ok": true, "node": node, "can_be_stopped": true })),
            false => say!("node {node} can be stopped"),
        },
        (Some(why), true) => match global.json {
            true => say!("{}", json!({ "ok": true, "node": node, "can_be_stopped": false, "why": why })),
            false => say!("node {node} is in maintenance, and {why}"),
        },
        (Some(why), false) => {
            return Err(Failure::Check(format!("node {node} {why}")));
        }
    }
    Ok(())
}

/// A move waits for one call of the program that takes an address away, and no longer. What it left is the node's to undo.
async fn why_it_has_not_let_go(global: &Global, node: &str) -> Result<Option<String>, Failure> {
    let answers =
        patiently("asking the nodes", status::ask(&Global { queue_manager: None, ..global.clone() })).await?;
    let picture = Picture::of(&answers, None);
    let kept = picture.not_given_back_by_node(node).join(", ");
    Ok((!kept.is_empty()).then(|| {
        format!(
            "should not be stopped yet: it has not given back {kept}, and two machines may have it; `trimaran status` says why, and \
             `trimaran node drain {node}` again whether that is over"
        )
    }))
}

/// A node is stopped as a whole: where one queue manager needs it, it is in service for the others, too.
async fn take_back(global: &Global, begun: &[&QueueManagerStatus], node: &str) {
    for manager in begun {
        let ended = patiently("ending maintenance", maintain(global, manager, node, false, false)).await;
        match ended {
            Ok(()) => tell(global, manager, &format!("node {node} is in service again")),
            Err(_) => eprintln!(
                "trimaran: {node} is in maintenance for {}; `trimaran node resume {node}` undoes it",
                manager.name
            ),
        }
    }
}

pub async fn resume(global: &Global, node: &str) -> Outcome {
    for manager in &views_of(global, node).await? {
        patiently("ending maintenance", maintain(global, manager, node, false, false)).await?;
        let text = match is_maintained(manager, node) {
            true => format!("node {node} is in service again"),
            false => format!("node {node} is in service, nothing to do"),
        };
        tell(global, manager, &text);
    }
    if global.json {
        say!("{}", json!({ "ok": true, "node": node }));
    }
    Ok(())
}

/// Nobody connects to a queue manager that was ended: there it is said to the node that leads it.
async fn maintain(
    global: &Global,
    manager: &QueueManagerStatus,
    node: &str,
    begins: bool,
    force: bool,
) -> Outcome {
    if status::is_ended(manager) {
        let (queue_manager, node) = (manager.name.clone(), node.to_owned());
        let request = MaintainRequest { queue_manager, node, begins, force };
        let (tls, within) = (global.tls()?, global.patience());
        return Ok(trimaran_client::maintain(&manager.active_address, tls.as_ref(), request, within).await?);
    }
    let admin = of(global, manager).connect().await?.admin();
    match begins {
        true => admin.begin_maintenance(node, force).await?,
        false => admin.end_maintenance(node).await?,
    }
    Ok(())
}

fn tell(global: &Global, manager: &QueueManagerStatus, text: &str) {
    match global.json {
        true => say!("{}", json!({ "queue_manager": manager.name, "step": text })),
        false => say!("{}: {text}", manager.name),
    }
}

fn of(global: &Global, manager: &QueueManagerStatus) -> Global {
    Global { queue_manager: Some(manager.name.clone()), ..global.clone() }
}

fn instance<'a>(manager: &'a QueueManagerStatus, node: &str) -> Option<&'a InstanceStatus> {
    manager.instances.iter().find(|instance| instance.node == node)
}

/// Somebody else took it back meanwhile.
fn why_it_is_not_spared(manager: &QueueManagerStatus, node: &str) -> Option<String> {
    (!is_maintained(manager, node)).then(|| format!("it is in service for {} again", manager.name))
}

fn is_maintained(manager: &QueueManagerStatus, node: &str) -> bool {
    instance(manager, node).is_some_and(|instance| instance.in_maintenance)
}

/// The active node's view of each queue manager in which the node has a part, whichever one --queue-manager names: a node is
/// stopped as a whole.
async fn views_of(global: &Global, node: &str) -> Result<Vec<QueueManagerStatus>, Failure> {
    let mut managers = upgrade::views(global, None).await?;
    let mut known: Vec<String> = managers
        .iter()
        .flat_map(|manager| manager.instances.iter().map(|instance| instance.node.clone()))
        .collect();
    managers.retain(|manager| instance(manager, node).is_some());
    if managers.is_empty() {
        known.sort();
        known.dedup();
        return Err(Failure::Check(format!("there is no node {node}; the nodes are {}", known.join(", "))));
    }
    Ok(managers)
}

/// Until no queue manager is served by the node, with what is waited for when that takes too long.
async fn wait_until_led_elsewhere(global: &Global, node: &str) -> Result<Vec<QueueManagerStatus>, Failure> {
    let until = Instant::now() + global.within.unwrap_or(DRAIN_PATIENCE);
    loop {
        // While one moves nobody serves it, for a moment.
        let views = views_of(global, node).await;
        let late = Instant::now() >= until;
        match views {
            Ok(managers) => match managers.iter().find(|manager| manager.active_node == node) {
                None => return Ok(managers),
                Some(manager) if late => return Err(Failure::Check(still_serves(manager, node))),
                Some(_) => {}
            },
            Err(failure) if late => return Err(failure),
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn still_serves(manager: &QueueManagerStatus, node: &str) -> String {
    let others = manager.instances.iter().filter(|other| other.voter && other.node != node);
    let others: Vec<String> = others
        .map(|other| match (other.in_sync, other.in_maintenance) {
            (false, _) => format!("{} ({})", other.node, other.reason),
            (true, true) => format!("{} (in maintenance)", other.node),
            (true, false) => format!("{} (in sync)", other.node),
        })
        .collect();
    format!(
        "{} is served by {node} still, because no other node took over: {}. It moves as soon as one can; `trimaran node resume \
         {node}` takes the wish back",
        manager.name,
        if others.is_empty() { "there is none".to_string() } else { others.join(", ") }
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spared::tests::manager;

    #[test]
    fn what_keeps_a_queue_manager_where_it_is_is_said_of_each_node() {
        let text = still_serves(&manager(&[("a", true, true), ("b", false, false), ("c", true, true)]), "a");
        assert!(text.contains("no other node took over: b (catching up), c (in maintenance)."), "{text}");
    }
}
