//! `dspmq`: the queue managers of the cluster, in the fields that MQ has for them.

use trimaran_client::{InstanceStatus, QueueManagerStatus, RunState};

use crate::{
    arguments::{DspmqArgs, Global},
    dspmqver::installation,
    output::{Failure, Outcome, patiently},
    say,
    status::{self, Picture},
};

/// MQ's exit code of `-a`: a queue manager runs.
const RUNNING: i32 = 5;
/// MQ's exit codes: no such queue manager, and none that answers.
const NAME_ERROR: i32 = 72;
const UNEXPECTED: i32 = 71;

pub async fn run(global: &Global, args: DspmqArgs) -> Outcome {
    let answers = patiently("asking the nodes", status::ask(global)).await?;
    let picture = Picture::of(&answers, global.queue_manager.as_deref());
    let mut shown = 0;
    for manager in picture.managers().filter(|manager| !args.active || runs(manager)) {
        shown += 1;
        lines(manager, &args).iter().for_each(|line| say!("{line}"));
    }
    match (shown, &global.queue_manager) {
        (1.., _) if args.active => Err(Failure::Control { code: RUNNING, text: String::new() }),
        (0, _) if answers.iter().all(|(_, answer)| answer.is_err()) => {
            let text = "AMQ8101S: IBM MQ error: no node answers; see `trimaran status`.".to_string();
            Err(Failure::Control { code: UNEXPECTED, text })
        }
        (0, Some(_)) => {
            let text = "AMQ8118E: IBM MQ queue manager does not exist.".to_string();
            Err(Failure::Control { code: NAME_ERROR, text })
        }
        _ => Ok(()),
    }
}

fn runs(manager: &QueueManagerStatus) -> bool {
    manager.role == "active" && matches!(manager.run_state(), RunState::Running | RunState::Quiescing)
}

fn lines(manager: &QueueManagerStatus, args: &DspmqArgs) -> Vec<String> {
    let details: Vec<String> = args.details.iter().map(|detail| detail.to_lowercase()).collect();
    let asks = |name: &str| details.iter().any(|detail| detail == name || detail == "all");
    let is_active = manager.role == "active";
    let mut fields = vec![format!("{:57}", format!("QMNAME({})", manager.name))];
    if details.is_empty() || asks("status") {
        let status = match (manager.run_state(), is_active) {
            (RunState::Running, true) => "Running",
            (RunState::Quiescing, true) => "Quiescing",
            (RunState::EndedNormally, _) => "Ended normally",
            (RunState::EndedImmediately, _) => "Ended immediately",
            (RunState::Running | RunState::Quiescing, false) => "Status not available",
        };
        fields.push(format!("STATUS({})", told(status, args.untranslated)));
    }
    if asks("default") {
        fields.push("DEFAULT(no)".to_string());
    }
    if asks("standby") {
        // There are instances of other nodes in place of standbys.
        fields.push("STANDBY(Not permitted)".to_string());
    }
    if asks("installation") {
        let [name, path, version] = installation();
        fields.push(format!("INSTNAME({name}) INSTPATH({path}) INSTVER({version})"));
    }
    if asks("nativeha") {
        let in_sync =
            manager.instances.iter().any(|instance| instance.node == manager.active_node && instance.in_sync);
        fields.push(format!("ROLE({})", if is_active { "Active" } else { "Unknown" }));
        fields.push(format!("INSTANCE({})", manager.active_node));
        fields.push(format!("INSYNC({})", yes(in_sync)));
        fields.push(format!("QUORUM({}/{})", manager.quorum_live, manager.quorum_of));
    }
    if asks("place") {
        let addresses: Vec<&str> =
            manager.addresses.iter().map(|floating| floating.address.as_str()).collect();
        fields.push(format!("ADDRESS({})", addresses.join(",")));
        fields.push(format!("PREFERRED({})", manager.preferred));
        let fail_back = if manager.fail_back.is_empty() { "never" } else { &manager.fail_back };
        fields.push(format!("FAILBACK({fail_back})"));
        fields.push(format!("CANARY({})", yes(manager.canary)));
    }
    let mut lines = vec![fields.join(" ").trim_end().to_string()];
    if args.instances {
        let is_long = asks("nativeha");
        lines.extend(manager.instances.iter().map(|instance| of_instance(manager, instance, is_long)));
    }
    lines
}

/// BACKLOG is in KB, as MQ has it.
fn of_instance(manager: &QueueManagerStatus, instance: &InstanceStatus, is_long: bool) -> String {
    let role = if instance.node == manager.active_node { "Active" } else { "Replica" };
    if !is_long {
        return format!(" INSTANCE({}) MODE({role})", instance.node);
    }
    let status = if instance.in_sync { "Normal" } else { instance.reason.as_str() };
    format!(
        " INSTANCE({}) ROLE({role}) REPLADDR({}) CONNACTV({}) INSYNC({}) BACKLOG({}) HASTATUS({status})",
        instance.node,
        instance.peer_address,
        yes(instance.reason != "not connected"),
        yes(instance.in_sync),
        instance.backlog_bytes.div_ceil(1024),
    )
}

fn yes(is: bool) -> &'static str {
    if is { "yes" } else { "no" }
}

fn told(status: &str, untranslated: bool) -> String {
    if untranslated { status.to_uppercase() } else { status.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager() -> QueueManagerStatus {
        let instance = |node: &str, reason: &str| InstanceStatus {
            node: node.into(),
            peer_address: format!("{node}:7101"),
            in_sync: reason.is_empty(),
            reason: reason.into(),
            ..InstanceStatus::default()
        };
        QueueManagerStatus {
            name: "QM1".into(),
            role: "active".into(),
            active_node: "a".into(),
            quorum_live: 2,
            quorum_of: 3,
            instances: vec![instance("a", ""), instance("b", "not connected")],
            ..QueueManagerStatus::default()
        }
    }

    #[test]
    fn scripts_find_the_fields_where_mq_has_them() {
        let args = |details: &[&str], instances, untranslated| DspmqArgs {
            details: details.iter().map(|detail| detail.to_string()).collect(),
            instances,
            untranslated,
            active: false,
        };
        let plain = lines(&manager(), &args(&[], false, false));
        assert_eq!(plain, [format!("{:58}STATUS(Running)", "QMNAME(QM1)")]);
        let long = lines(&manager(), &args(&["nativeha"], true, false));
        assert!(long[0].ends_with("ROLE(Active) INSTANCE(a) INSYNC(yes) QUORUM(2/3)"), "{}", long[0]);
        assert_eq!(
            long[2],
            " INSTANCE(b) ROLE(Replica) REPLADDR(b:7101) CONNACTV(no) INSYNC(no) BACKLOG(0) HASTATUS(not connected)"
        );
        let [name, path, version] = installation();
        let installed = lines(&manager(), &args(&["installation"], false, false));
        let fields = format!(" INSTNAME({name}) INSTPATH({path}) INSTVER({version})");
        assert!(installed[0].ends_with(&fields), "{}", installed[0]);
        let placed = QueueManagerStatus { preferred: "b".into(), fail_back: "now".into(), ..manager() };
        let placed = lines(&placed, &args(&["place"], false, false));
        assert!(placed[0].ends_with(" ADDRESS() PREFERRED(b) FAILBACK(now) CANARY(no)"), "{}", placed[0]);
        assert!(lines(&manager(), &args(&["status"], false, true))[0].ends_with("STATUS(RUNNING)"));
        for (state, role, status) in [
            (RunState::Quiescing, "active", "STATUS(QUIESCING)"),
            (RunState::EndedNormally, "ended", "STATUS(ENDED NORMALLY)"),
            (RunState::EndedImmediately, "replica", "STATUS(ENDED IMMEDIATELY)"),
            (RunState::Running, "no-leader", "STATUS(STATUS NOT AVAILABLE)"),
        ] {
            let ended = QueueManagerStatus { run_state: state.into(), role: role.into(), ..manager() };
            let line = &lines(&ended, &args(&["status"], false, true))[0];
            assert!(line.ends_with(status), "{line}");
            assert_eq!(runs(&ended), state == RunState::Quiescing && role == "active");
        }
    }
}
