//! `node add|remove|replace` and `outcome`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use trimaran_client::{
    Admin, Connection, FOREVER, MembershipProgress, QueueManagerStatus, Result as ClientResult,
    StatusResponse, UnitOutcome, hex,
    proto::admin::v1::{NodeAddRequest, NodeReplaceRequest},
    reason,
};

use crate::{
    arguments::{Global, NodeArgs, NodeCommand, OutcomeArgs},
    output::{self, Failure, Outcome, patiently},
    placement, say, status,
    talk::plural,
};

pub async fn run(global: &Global, command: NodeCommand) -> Outcome {
    let command = match command {
        NodeCommand::Drain { name, force } => return placement::drain(global, &name, force).await,
        NodeCommand::Resume { name } => return placement::resume(global, &name).await,
        command => command,
    };
    let admin = connect_to_any(global).await?.admin();
    let mut progress = Progress::new(global.json);
    let changing = change(global, &admin, command, &mut progress);
    // What changes may take long, and is waited for to its end unless told otherwise.
    let changed = match global.within {
        Some(within) if within != FOREVER => tokio::time::timeout(within, changing).await,
        _ => Ok(changing.await),
    };
    progress.end();
    let Ok(changed) = changed else {
        return Err(Failure::Check(
            "not done within that time, and it goes on: give the same command again to see how far it is; to end what adds a node, \
             remove that node"
                .to_string(),
        ));
    };
    let what = changed?;
    if global.json {
        say!("{}", json!({ "ok": true, "what": what }));
    } else {
        say!("{what}");
    }
    Ok(())
}

/// What was done, in words.
async fn change(
    global: &Global,
    admin: &Admin,
    command: NodeCommand,
    progress: &mut Progress,
) -> Result<String, Failure> {
    if let Some(why) = ended(&admin.status().await?) {
        return Err(Failure::Check(why));
    }
    let on_progress = |step: &MembershipProgress| progress.show(step);
    let (done, what): (ClientResult<()>, String) = match command {
        NodeCommand::Add { name, node: NodeArgs { id, peer, client } } => {
            let text = format!("node {name} added");
            let request = NodeAddRequest { name, id, peer_address: peer, client_address: client };
            (admin.add_node(request, on_progress).await, text)
        }
        NodeCommand::Remove { name } => {
            for text in without_reserve(&admin.status().await?, &name) {
                output::warn(global.json, &text);
            }
            (admin.remove_node(&name, on_progress).await, format!("node {name} removed"))
        }
        NodeCommand::Replace { old, name, node: NodeArgs { id, peer, client } } => {
            let text = format!("node {old} replaced by {name}");
            let request =
                NodeReplaceRequest { old_name: old, name, id, peer_address: peer, client_address: client };
            (admin.replace_node(request, on_progress).await, text)
        }
        NodeCommand::Drain { .. } | NodeCommand::Resume { .. } => unreachable!("they are done above"),
    };
    done?;
    Ok(what)
}

/// Nodes are changed for one queue manager after the other, by whoever serves it.
fn ended(status: &StatusResponse) -> Option<String> {
    let ended = status.queue_managers.iter().filter(|manager| status::is_ended(manager));
    let names: Vec<&str> = ended.map(|manager| manager.name.as_str()).collect();
    let start: Vec<String> = names.iter().map(|name| format!("`trimaran strmqm {name}`")).collect();
    (!names.is_empty()).then(|| {
        format!(
            "nothing was changed: {} ended, and its nodes are changed while it runs. First {}",
            if names.len() == 1 {
                format!("{} was", names[0])
            } else {
                format!("{} were", names.join(" and "))
            },
            start.join(" and ")
        )
    })
}

/// Queue managers that no failure of a node may hit any more when one of their nodes has gone.
fn without_reserve(status: &StatusResponse, leaves: &str) -> Vec<String> {
    let managers = status.queue_managers.iter().filter(|manager| matches!(manager.quorum_of, 2 | 3));
    let managers = managers.filter(|manager| manager.voters.iter().any(|voter| voter == leaves));
    let text = |manager: &QueueManagerStatus| {
        let left = manager.quorum_of - 1;
        let nodes = plural(u64::from(left), "node");
        format!(
            "{} has {left} {nodes} after this, and stops when one of them fails; add one soon",
            manager.name
        )
    };
    managers.map(text).collect()
}

/// The change goes to every queue manager, so nobody has to name one.
async fn connect_to_any(global: &Global) -> Result<Connection, Failure> {
    let named = global.queue_manager.as_ref().is_some_and(|name| !name.is_empty());
    match global.connect().await {
        Err(Failure::Client(error)) if !named && error.reason() == Some(reason::Q_MGR_NAME_ERROR) => {}
        connected => return connected,
    }
    let answers = patiently("asking the nodes", status::ask(global)).await?;
    let queue_manager = status::queue_managers(&answers).pop_first();
    Global { queue_manager, ..global.clone() }.connect().await
}

/// How far a change is, told to a program, to a person at a terminal, or to a log.
enum Progress {
    /// The step that was printed last; the same one is reported several times a second.
    Json(String),
    Bar(ProgressBar),
    /// The step that was printed last.
    Lines(String),
}

impl Progress {
    fn new(json: bool) -> Progress {
        if json {
            return Progress::Json(String::new());
        }
        if !output::stderr_is_terminal() {
            return Progress::Lines(String::new());
        }
        let bar = ProgressBar::new(1000);
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} {wide_bar} {percent} %").expect("a valid template"),
        );
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress::Bar(bar)
    }

    fn show(&mut self, step: &MembershipProgress) {
        match self {
            Progress::Json(last) => {
                let text = format!("{}: {}", step.queue_manager, step.step);
                if text == *last && !step.done {
                    return;
                }
                *last = text;
                let value = json!({
                    "queue_manager": step.queue_manager, "step": step.step, "fraction": step.fraction,
                });
                say!("{value}");
            }
            // The command says itself what is done in the end.
            _ if step.done => {}
            Progress::Bar(bar) => {
                bar.set_message(format!("{}: {}", step.queue_manager, step.step));
                bar.set_position((step.fraction.clamp(0.0, 1.0) * 1000.0) as u64);
            }
            Progress::Lines(last) => {
                let title = title(step);
                if title != *last {
                    eprintln!("{}: {}", step.queue_manager, step.step);
                    *last = title;
                }
            }
        }
    }

    fn end(&self) {
        if let Progress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// What tells one step from the next. Figures stand behind a colon.
fn title(step: &MembershipProgress) -> String {
    let words = step.step.split(':').next().unwrap_or_default();
    format!("{}: {words}", step.queue_manager)
}

pub async fn outcome(global: &Global, args: OutcomeArgs) -> Outcome {
    let connection = global.connect().await?;
    let asked = connection.ask_outcome(&args.unit, args.units_decided.unwrap_or(0));
    let (outcome, sealed) = patiently("asking", asked).await?;
    if global.json {
        let committed = outcome == UnitOutcome::Committed;
        let outcome = outcome.to_string();
        say!(
            "{}",
            json!({ "unit": hex(&args.unit), "committed": committed, "outcome": outcome, "sealed": sealed })
        );
        return Ok(());
    }
    say!("{outcome}");
    if outcome == UnitOutcome::Forgotten {
        eprintln!(
            "The queue manager remembers its last 100,000 units that had an id. Look whether this one's effects are there."
        );
    } else if sealed {
        eprintln!(
            "Nobody has asked to commit a unit of this name. It can never be committed now; is the name the right one?"
        );
    } else if outcome == UnitOutcome::BackedOut {
        // After the first question nobody can tell the two apart.
        eprintln!(
            "It was backed out, or nobody had asked to commit a unit of this name when its outcome was asked for before. It \
             can never be committed now; is the name the right one?"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use trimaran_client::RunState;

    use super::*;

    #[test]
    fn nodes_are_not_changed_beside_a_queue_manager_that_was_ended() {
        let of = |states: &[RunState]| StatusResponse {
            queue_managers: (0..)
                .zip(states)
                .map(|(number, state)| QueueManagerStatus {
                    name: format!("QM{number}"),
                    run_state: (*state).into(),
                    ..QueueManagerStatus::default()
                })
                .collect(),
            ..StatusResponse::default()
        };
        assert_eq!(ended(&of(&[RunState::Running, RunState::Quiescing])), None);
        let one = ended(&of(&[RunState::Running, RunState::EndedNormally])).unwrap();
        assert!(one.contains("QM1 was ended") && one.ends_with("First `trimaran strmqm QM1`"), "{one}");
        let two = ended(&of(&[RunState::EndedImmediately, RunState::EndedNormally])).unwrap();
        assert!(two.contains("QM0 and QM1 were ended"), "{two}");
    }

    #[test]
    fn a_removal_that_leaves_no_reserve_is_said() {
        let of = |quorum_of| {
            let (name, voters) = ("QM1".into(), vec!["a".into(), "b".into()]);
            let manager = QueueManagerStatus { name, quorum_of, voters, ..QueueManagerStatus::default() };
            let status = StatusResponse { queue_managers: vec![manager], ..StatusResponse::default() };
            assert!(without_reserve(&status, "learner").is_empty(), "nobody misses it");
            without_reserve(&status, "b")
        };
        assert_eq!(of(3), ["QM1 has 2 nodes after this, and stops when one of them fails; add one soon"]);
        assert!(of(2)[0].contains("has 1 node after this"));
        assert!(of(5).is_empty() && of(4).is_empty());
    }

    #[test]
    fn a_step_that_only_counts_on_is_the_same_step() {
        let step = |queue_manager: &str, step: &str| {
            let (queue_manager, step) = (queue_manager.into(), step.into());
            title(&MembershipProgress { queue_manager, step, ..MembershipProgress::default() })
        };
        assert_eq!(step("QM1", "catching up: 3 of 9"), step("QM1", "catching up: 8 of 9"));
        assert_ne!(step("QM1", "catching up: 9 of 9"), step("QM1", "changing the voters"));
        assert_ne!(step("QM1", "changed"), step("QM2", "changed"));
    }
}
