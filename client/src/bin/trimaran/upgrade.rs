//! `cluster upgrade`: what each node speaks, and the version of the queue managers raised to it.

use serde_json::{Value, json};
use trimaran_client::{InstanceStatus, QueueManagerStatus};

use crate::{
    arguments::Global,
    creating,
    output::{self, Failure, Outcome, patiently},
    say,
    status::{self, Picture},
};

pub async fn run(global: &Global, check: bool) -> Outcome {
    let named = global.queue_manager.clone().filter(|name| !name.is_empty());
    let before = views(global, named.as_deref()).await?;
    if check {
        before.iter().for_each(|manager| show(global, manager));
        return Ok(());
    }
    for manager in &before {
        let global = Global { queue_manager: Some(manager.name.clone()), ..global.clone() };
        let connection = global.connect().await?;
        patiently("asking every node what it speaks", connection.admin().upgrade()).await?;
    }
    if named.is_none() {
        creating::upgrade(global).await?;
    }
    for (was, is) in before.iter().zip(&views(global, named.as_deref()).await?) {
        let raised = is.version > was.version;
        if global.json {
            say!("{}", json!({ "queue_manager": is.name, "version": is.version, "raised": raised }));
        } else if raised {
            say!("{} has version {} now, after {}", is.name, is.version, was.version);
        } else {
            say!("{} has version {} already, and no node speaks a newer one", is.name, is.version);
        }
    }
    Ok(())
}

/// The leading node's view of each queue manager, or of the one that is named: it knows what each node speaks.
pub async fn views(global: &Global, only: Option<&str>) -> Result<Vec<QueueManagerStatus>, Failure> {
    let answers = patiently("asking the nodes", status::ask(global)).await?;
    let picture = Picture::of(&answers, only);
    let names = status::queue_managers(&answers).into_iter();
    let names: Vec<String> = names.filter(|name| only.is_none_or(|only| only == name)).collect();
    status::check_answered(&answers)?;
    if names.is_empty() {
        return Err(Failure::Check(match only {
            Some(name) => format!("no node that answers has {name}; look with `trimaran status`"),
            None => status::NONE_THERE.to_string(),
        }));
    }
    let view = |name: &String| match picture.led(name) {
        Some(manager) => Ok(manager.clone()),
        None => Err(Failure::Check(format!("nobody serves {name}; look with `trimaran status`"))),
    };
    names.iter().map(view).collect()
}

fn show(global: &Global, manager: &QueueManagerStatus) {
    if global.json {
        let nodes: Vec<Value> = manager.instances.iter().map(instance_json).collect();
        return say!(
            "{}",
            json!({ "queue_manager": manager.name, "version": manager.version, "nodes": nodes })
        );
    }
    say!("{} has version {}", manager.name, manager.version);
    let rows: Vec<Vec<String>> = manager
        .instances
        .iter()
        .map(|instance| vec![format!("  {}", instance.node), spoken(instance)])
        .collect();
    output::table(&["  NODE", "SPEAKS"], &rows);
}

fn instance_json(instance: &InstanceStatus) -> Value {
    json!({
        "node": instance.node, "oldest_version": instance.oldest_version, "newest_version": instance.newest_version,
        "reason": instance.reason,
    })
}

fn spoken(instance: &InstanceStatus) -> String {
    match (instance.oldest_version, instance.newest_version) {
        (_, 0) => format!("not known: {}", instance.reason),
        (oldest, newest) if oldest == newest => newest.to_string(),
        (oldest, newest) => format!("{oldest} to {newest}"),
    }
}
