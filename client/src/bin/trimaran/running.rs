//! `strmqm` and `endmqm`: a queue manager is started and ended on the cluster, with the lines and exit codes of MQ's commands.
//!
//! Whichever nodes are asked, the one that leads the queue manager is told; what it did is read from its status. To say something
//! again does no harm, so that a leader that goes in the middle is only looked for anew.

use std::time::{Duration, Instant};

use trimaran_client::{Error, QueueManagerStatus, RunRequest, RunState, reason};

use crate::{
    arguments::{EndmqmArgs, Global, StrmqmArgs, StrmqmElsewhere},
    output::{Failure, Outcome, patiently},
    say,
    status::{self, Picture, is_ended},
};

/// MQ's exit codes (IBM MQ Reference, "strmqm", "endmqm").
pub const RUNS_ALREADY: i32 = 5;
pub const NO_SUCH: i32 = 16;
const NOT_AVAILABLE: i32 = 40;
pub const IS_ENDING: i32 = 49;
pub const UNEXPECTED: i32 = 71;

pub const LOOK_EVERY: Duration = Duration::from_millis(100);

// ---- strmqm ----

pub async fn start(global: &Global, args: StrmqmArgs) -> Outcome {
    let wanted = Wanted::of(global, args.name, args.quiet);
    let manager = wanted.look().await?;
    let name = &manager.name;
    match manager.run_state() {
        RunState::Running if manager.role == "active" => {
            let text = format!("IBM MQ queue manager '{name}' running.");
            return Err(Failure::Control { code: RUNS_ALREADY, text });
        }
        RunState::Quiescing => {
            let text = format!(
                "IBM MQ queue manager '{name}' ending.\n    Start it when it has ended; `endmqm -i {name}` ends it at once."
            );
            return Err(Failure::Control { code: IS_ENDING, text });
        }
        _ => {}
    }
    wanted.say(&format!("IBM MQ queue manager '{name}' starting."));
    said_once(&args.elsewhere).iter().for_each(|line| wanted.say(&format!("    {line}")));
    wanted.tell(RunState::Running, false).await?;
    let serves = |manager: &QueueManagerStatus| manager.role == "active";
    let manager = wanted.wait_until(global.patience(), serves).await?.ok_or_else(|| {
        let text = "AMQ8101S: IBM MQ error: the queue manager was started, and no node serves it yet; see `trimaran status`.";
        Failure::Control { code: UNEXPECTED, text: text.into() }
    })?;
    wanted.say(&format!("IBM MQ queue manager '{name}' started using V{}.0.", env!("CARGO_PKG_VERSION")));
    wanted.say(&format!("    It is served by {}; {}.", manager.active_node, copies(&manager)));
    Ok(())
}

/// Options that have no meaning here, each with what is in its place.
fn said_once(elsewhere: &StrmqmElsewhere) -> Vec<String> {
    let told = [
        (
            elsewhere.activate || elsewhere.replay,
            "-a, -r: no node is a backup; each has all that is in the log",
        ),
        (
            elsewhere.default_objects,
            "-c: the system objects are made when a queue manager is created, and stay",
        ),
        (elsewhere.details.is_some(), "-d: what is worth a line is said"),
        (elsewhere.level.is_some(), "-e: `trimaran cluster upgrade` raises the version"),
        (elsewhere.force, "-f: nothing has to be forced; `trimaran recover` goes on where logs are damaged"),
        (elsewhere.interactively || elsewhere.as_service, "-si, -ss: nodes are started by the system"),
    ];
    told.iter().filter(|(said, _)| *said).map(|(_, text)| format!("{text}.")).collect()
}

// ---- endmqm ----

pub async fn end(global: &Global, args: EndmqmArgs) -> Outcome {
    let wanted = Wanted::of(global, args.name, args.quiet);
    let manager = wanted.look().await?;
    if args.standby {
        let text = format!(
            "AMQ8101S: IBM MQ error: an instance that stands by ends with its node: `trimaran node drain NODE`, then stop the node \
             there; {}.",
            copies(&manager)
        );
        return Err(Failure::Control { code: UNEXPECTED, text });
    }
    if manager.role != "active" {
        let why = match (manager.role.as_str(), manager.waits.as_str()) {
            ("ended", _) => "It was ended before.".to_owned(),
            (_, "") => "No node serves it just now; see `trimaran status`.".to_owned(),
            (_, waits) => waits.to_owned(),
        };
        let text = format!("AMQ8146E: IBM MQ queue manager not available.\n    {why}");
        return Err(Failure::Control { code: NOT_AVAILABLE, text });
    }
    if args.switch_over {
        let units_within = (args.immediately || args.preemptively).then_some(Duration::ZERO);
        return wanted.switch_over(&manager, units_within).await;
    }
    let target = args.target.or(args.target_preemptive).map(Duration::from_secs);
    if args.immediately || args.preemptively {
        return wanted.end_now(args.reconnect).await;
    }
    if args.reconnect && target.is_none() {
        wanted.say("    Programs leave by themselves here, so -r changes nothing; with -i they are told to connect again.");
    }
    wanted.tell(RunState::Quiescing, false).await?;
    wanted
        .say("Quiesce request accepted. The queue manager will stop when all outstanding work is complete.");
    if !args.wait && target.is_none() {
        return Ok(());
    }
    wanted.say(&format!("Waiting for queue manager '{}' to end.", manager.name));
    match wanted.wait_until(target.unwrap_or(Duration::MAX), is_ended).await? {
        Some(manager) => wanted.say_ended(&manager),
        None => return wanted.end_now(args.reconnect).await,
    }
    Ok(())
}

/// On which nodes it is, and which do not have all of it.
fn copies(manager: &QueueManagerStatus) -> String {
    let named = |in_sync| {
        let instances = manager.instances.iter().filter(|instance| instance.in_sync == in_sync);
        instances.map(|instance| instance.node.as_str()).collect::<Vec<_>>().join(", ")
    };
    match (named(true), named(false)) {
        (whole, lacking) if lacking.is_empty() => format!("in sync: {whole}"),
        (whole, lacking) => format!("in sync: {whole}; {lacking} learns it later"),
    }
}

/// The queue manager that a command is about.
pub struct Wanted<'a> {
    global: &'a Global,
    name: Option<String>,
    quiet: bool,
}

impl Wanted<'_> {
    pub fn of(global: &Global, name: Option<String>, quiet: bool) -> Wanted<'_> {
        let name = name.or_else(|| global.queue_manager.clone()).filter(|name| !name.is_empty());
        Wanted { global, name, quiet }
    }

    pub fn say(&self, line: &str) {
        if !self.quiet {
            say!("{line}");
        }
    }

    /// As the node sees it that leads it, or whoever knows most.
    pub async fn look(&self) -> Result<QueueManagerStatus, Failure> {
        let answers = patiently("asking the nodes", status::ask(self.global)).await?;
        let mut managers = Picture::of(&answers, self.name.as_deref()).into_managers();
        match (managers.len(), &self.name) {
            (1, _) => Ok(managers.remove(0)),
            (0, _) if answers.iter().all(|(_, answer)| answer.is_err()) => {
                let text = "AMQ8101S: IBM MQ error: no node answers; see `trimaran status`.".to_string();
                Err(Failure::Control { code: UNEXPECTED, text })
            }
            (0, _) => {
                let text = "AMQ8118E: IBM MQ queue manager does not exist.".to_string();
                Err(Failure::Control { code: NO_SUCH, text })
            }
            (_, _) => {
                let names: Vec<&str> = managers.iter().map(|manager| manager.name.as_str()).collect();
                Err(Failure::Usage(format!("name one of the queue managers {}", names.join(", "))))
            }
        }
    }

    /// Until it is as wanted. None: it is not, after so long.
    pub async fn wait_until(
        &self,
        within: Duration,
        is_so: impl Fn(&QueueManagerStatus) -> bool,
    ) -> Result<Option<QueueManagerStatus>, Failure> {
        let begun = Instant::now();
        let looking = async {
            loop {
                let manager = self.look().await?;
                if is_so(&manager) {
                    return Ok(Some(manager));
                }
                if begun.elapsed() >= within {
                    return Ok(None);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        patiently("waiting", looking).await
    }

    /// Tells whoever leads, until one has done it.
    pub async fn tell(&self, state: RunState, reconnect: bool) -> Outcome {
        let begun = Instant::now();
        let tls = self.global.tls()?;
        loop {
            let manager = self.look().await?;
            let (queue_manager, address) = (manager.name.clone(), manager.active_address.as_str());
            let request = RunRequest { queue_manager, state: state.into(), reconnect };
            let leads = ["active", "ended"].contains(&manager.role.as_str()) && !address.is_empty();
            let told = match leads {
                true => trimaran_client::run(address, tls.as_ref(), request, self.global.patience()).await,
                false => {
                    let why = match manager.waits.as_str() {
                        "" => "no node leads it just now; see `trimaran status`",
                        waits => waits,
                    };
                    Err(Error::refused(reason::Q_MGR_NOT_AVAILABLE, why))
                }
            };
            let Err(error) = told else { return Ok(()) };
            if !may_be_said_again(&error) || begun.elapsed() > self.global.patience() {
                let text = format!("AMQ8101S: IBM MQ error: {error}");
                return Err(Failure::Control { code: UNEXPECTED, text });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn end_now(&self, reconnect: bool) -> Outcome {
        let manager = self.look().await?;
        self.say(&format!("IBM MQ queue manager '{}' ending.", manager.name));
        self.tell(RunState::EndedImmediately, reconnect).await?;
        match self.wait_until(self.global.patience(), is_ended).await? {
            Some(manager) => self.say_ended(&manager),
            None => {
                let text = "AMQ8101S: IBM MQ error: it was told to end and is not seen to have; see `trimaran status`.";
                return Err(Failure::Control { code: UNEXPECTED, text: text.into() });
            }
        }
        Ok(())
    }

    fn say_ended(&self, manager: &QueueManagerStatus) {
        self.say(&format!("IBM MQ queue manager '{}' ended.", manager.name));
        self.say(&format!("    No node serves it until `strmqm {}`; {}.", manager.name, copies(manager)));
    }

    async fn switch_over(&self, manager: &QueueManagerStatus, units_within: Option<Duration>) -> Outcome {
        let name = &manager.name;
        self.say(&format!("IBM MQ queue manager '{name}' ending."));
        let global = Global { queue_manager: Some(name.clone()), ..self.global.clone() };
        let moving = async {
            let connection = global.builder()?.connect().await?;
            connection.admin().move_within("", units_within).await?;
            Ok::<_, Failure>(())
        };
        if let Err(failure) = patiently("moving", moving).await {
            let text = format!("AMQ8101S: IBM MQ error: {}", failure.text());
            return Err(Failure::Control { code: UNEXPECTED, text });
        }
        let before = manager.active_node.clone();
        let is_elsewhere = |now: &QueueManagerStatus| now.role == "active" && now.active_node != before;
        match self.wait_until(self.global.patience(), is_elsewhere).await? {
            Some(now) => {
                self.say(&format!(
                    "IBM MQ queue manager '{name}' ended, permitting switchover to a standby instance."
                ));
                self.say(&format!("    It ended on {before}, and {} serves it.", now.active_node));
                Ok(())
            }
            None => {
                let text =
                    "AMQ8101S: IBM MQ error: no other node is seen to serve it; see `trimaran status`.";
                Err(Failure::Control { code: UNEXPECTED, text: text.into() })
            }
        }
    }
}

/// Whoever led did not do it, or nobody knows: another one is asked.
pub fn may_be_said_again(error: &Error) -> bool {
    let reasons = [
        reason::CONNECTION_BROKEN,
        reason::CALL_INTERRUPTED,
        reason::STANDBY_Q_MGR,
        reason::Q_MGR_NOT_AVAILABLE,
        reason::Q_MGR_STOPPING,
    ];
    matches!(error, Error::Unreachable { .. }) || error.reason().is_some_and(|of| reasons.contains(&of))
}

#[cfg(test)]
mod tests {
    use trimaran_client::InstanceStatus;

    use super::*;

    #[test]
    fn a_node_that_is_away_is_named_as_one_that_learns_it_later() {
        let instance =
            |node: &str, in_sync| InstanceStatus { node: node.into(), in_sync, ..Default::default() };
        let of = |instances| QueueManagerStatus { instances, ..Default::default() };
        let all = of(vec![instance("a", true), instance("b", true)]);
        assert_eq!(copies(&all), "in sync: a, b");
        let one_is_away = of(vec![instance("a", true), instance("b", true), instance("c", false)]);
        assert_eq!(copies(&one_is_away), "in sync: a, b; c learns it later");
    }
}
