//! `switch`, `node add|remove|replace` and `outcome`.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use trimaran_client::{
    Connection, ConnectionState, MembershipProgress, Result as ClientResult, UnitOutcome, hex,
    proto::admin::v1::{NodeAddRequest, NodeReplaceRequest},
};

use crate::{
    arguments::{Global, NodeArgs, NodeCommand, OutcomeArgs, SwitchArgs},
    output::{Failure, Outcome, patiently},
    say,
};

pub async fn switch(global: &Global, args: SwitchArgs) -> Outcome {
    let connection = global.connect().await?;
    let before = serving_node(&connection);
    let started = Instant::now();
    let target = args.to.clone().unwrap_or_default();
    patiently("switching", connection.admin().switch(&target)).await?;
    // The node that serves next is known when it answers.
    let mut state = connection.state();
    let arrived = |state: &ConnectionState| match state {
        ConnectionState::Connected { node, .. } => {
            if target.is_empty() {
                Some(node.as_str()) != before.as_deref()
            } else {
                *node == target
            }
        }
        _ => false,
    };
    let waited = tokio::time::timeout(global.within, state.wait_for(arrived)).await;
    let node = match waited {
        Ok(Ok(state)) => match &*state {
            ConnectionState::Connected { node, .. } => node.clone(),
            _ => unreachable!("waited for it to be connected"),
        },
        _ => {
            let text = format!(
                "the switch was accepted, and {} serves still; look with `trimaran status`",
                serving_node(&connection).unwrap_or("nobody".into())
            );
            return Err(Failure::Check(text));
        }
    };
    let ms = started.elapsed().as_millis() as u64;
    if global.json {
        say!("{}", json!({ "ok": true, "active_node": node, "before": before, "ms": ms }));
    } else {
        say!("{} is served by {node} now, after {ms} ms", connection.queue_manager());
    }
    Ok(())
}

fn serving_node(connection: &Connection) -> Option<String> {
    match &*connection.state().borrow() {
        ConnectionState::Connected { node, .. } => Some(node.clone()),
        _ => None,
    }
}

pub async fn run(global: &Global, command: NodeCommand) -> Outcome {
    let connection = global.connect().await?;
    let admin = connection.admin();
    let progress = Progress::new(global.json);
    let on_progress = |step: &MembershipProgress| progress.show(step);
    let (done, what): (ClientResult<()>, String) = match command {
        NodeCommand::Add { name, node: NodeArgs { id, peer, client } } => {
            let text = format!("node {name} added");
            let request = NodeAddRequest { name, id, peer_address: peer, client_address: client };
            (admin.add_node(request, on_progress).await, text)
        }
        NodeCommand::Remove { name } => {
            (admin.remove_node(&name, on_progress).await, format!("node {name} removed"))
        }
        NodeCommand::Replace { old, name, node: NodeArgs { id, peer, client } } => {
            let text = format!("node {old} replaced by {name}");
            let request =
                NodeReplaceRequest { old_name: old, name, id, peer_address: peer, client_address: client };
            (admin.replace_node(request, on_progress).await, text)
        }
    };
    progress.bar.finish_and_clear();
    done?;
    if global.json {
        say!("{}", json!({ "ok": true, "what": what }));
    } else {
        say!("{what}");
    }
    Ok(())
}

struct Progress {
    bar: ProgressBar,
    json: bool,
}

impl Progress {
    fn new(json: bool) -> Progress {
        let bar = if json { ProgressBar::hidden() } else { ProgressBar::new(1000) };
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} {wide_bar} {percent} %").expect("a valid template"),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress { bar, json }
    }

    fn show(&self, step: &MembershipProgress) {
        if self.json {
            let value = json!({
                "queue_manager": step.queue_manager, "step": step.step, "fraction": step.fraction,
            });
            say!("{value}");
            return;
        }
        self.bar.set_message(format!("{}: {}", step.queue_manager, step.step));
        self.bar.set_position((step.fraction.clamp(0.0, 1.0) * 1000.0) as u64);
    }
}

pub async fn outcome(global: &Global, args: OutcomeArgs) -> Outcome {
    let connection = global.connect().await?;
    let outcome = patiently("asking", connection.unit_outcome(&args.unit)).await?;
    if global.json {
        let committed = outcome == UnitOutcome::Committed;
        say!(
            "{}",
            json!({ "unit": hex(&args.unit), "committed": committed, "outcome": outcome.to_string() })
        );
    } else {
        say!("{outcome}");
    }
    Ok(())
}
