//! `crtmqm` and `dltmqm`: queue managers are created and deleted while the nodes run, with the lines and exit codes of MQ's commands.
//!
//! The records are those of SYSTEM.CLUSTER, whichever nodes are asked: the one that leads it is told. A create whose answer was lost is
//! told once more, and one that is there then is the one that was asked for.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
    time::Instant,
};

use trimaran_client::{
    CLUSTER, CreateQueueManagerRequest, Error, QueueManagerStatus, RunState,
    proto::{attribute::SYSTEM_OBJECTS, plain},
    reason,
};

use crate::{
    arguments::{CrtmqmArgs, CrtmqmElsewhere, DltmqmArgs, Global},
    output::{Failure, Outcome, patiently},
    runmqsc,
    running::{IS_ENDING, LOOK_EVERY, NO_SUCH, RUNS_ALREADY, UNEXPECTED, Wanted, may_be_said_again},
    status::is_ended,
};

/// MQ's exit codes (IBM MQ Reference, "crtmqm", "dltmqm").
const EXISTS: i32 = 8;
const INVALID: i32 = 39;
const NAME_ERROR: i32 = 72;
const NOT_ALLOWED: i32 = 119;

// ---- crtmqm ----

pub async fn create(global: &Global, args: CrtmqmArgs) -> Outcome {
    let name = args.name.clone();
    check_name(&name)?;
    let port = args.port.unwrap_or_default();
    if args.port.is_some_and(|port| !(1..=65_535).contains(&port)) {
        return Err(error(INVALID, &format!("there is no port {port}: they are 1 to 65535")));
    }
    if let Some(file) = &args.script {
        readable(file)?;
    }
    let wanted = Wanted::of(global, Some(name.clone()), args.quiet);
    said_of(&args.elsewhere).iter().for_each(|line| wanted.say(line));
    let request = CreateQueueManagerRequest {
        name: name.clone(),
        preferred: args.preferred.unwrap_or_default(),
        fail_back: args.fail_back.unwrap_or_default(),
        dead_letter_queue: args.dead_letter_queue.unwrap_or_default(),
        port,
        addresses: args.addresses,
        canary: args.canary,
    };
    ask_for_it(global, &request).await?;
    wanted.say(&format!("IBM MQ queue manager '{name}' created."));
    wanted.say(&format!("Creating or replacing default objects for queue manager '{name}'."));
    let begun = Instant::now();
    let manager = loop {
        // Whoever is asked first may not have heard of it yet.
        match wanted.look().await {
            Ok(manager) if manager.role == "ended" => break manager,
            Ok(_) | Err(Failure::Control { code: NO_SUCH, .. }) if begun.elapsed() < global.patience() => {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(_) | Err(Failure::Control { code: NO_SUCH, .. }) => {
                let text = "it was created, and is not seen to be set up yet; see `trimaran status`";
                return Err(error(UNEXPECTED, text));
            }
            Err(failure) => return Err(failure),
        }
    };
    wanted.say(&format!(
        "Default objects statistics : {} created. 0 replaced. 0 failed.",
        SYSTEM_OBJECTS.len()
    ));
    wanted.say("Completing setup.");
    if let Some(file) = &args.script {
        set_up(global, &wanted, &name, file).await?;
    }
    wanted.say("Setup completed.");
    let nodes: Vec<&str> = manager.instances.iter().map(|instance| instance.node.as_str()).collect();
    wanted.say(&format!("    It is on nodes {}, and `strmqm {name}` starts it.", nodes.join(", ")));
    Ok(())
}

async fn ask_for_it(global: &Global, request: &CreateQueueManagerRequest) -> Outcome {
    let (begun, tls) = (Instant::now(), global.tls()?);
    let mut may_be_done = false;
    loop {
        let told = match leader(global).await? {
            Some(address) => {
                trimaran_client::create_queue_manager(
                    &address,
                    tls.as_ref(),
                    request.clone(),
                    global.patience(),
                )
                .await
            }
            None => Err(nobody_leads()),
        };
        let Err(failed) = told else { return Ok(()) };
        match failed.reason() {
            Some(reason::OBJECT_ALREADY_EXISTS) if may_be_done => return Ok(()),
            Some(reason::OBJECT_ALREADY_EXISTS) => {
                let text = "AMQ8110S: IBM MQ queue manager already exists.".to_owned();
                return Err(Failure::Control { code: EXISTS, text });
            }
            _ => {}
        }
        again(&failed, begun, global)?;
        may_be_done = true;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The queue manager is started for as long as its script takes.
async fn set_up(global: &Global, wanted: &Wanted<'_>, name: &str, file: &Path) -> Outcome {
    wanted.tell(RunState::Running, false).await?;
    let global = Global { queue_manager: Some(name.to_owned()), ..global.clone() };
    let connection = patiently("looking for the node that serves", global.builder()?.connect()).await?;
    let outcome = runmqsc::run_file(&connection, file).await;
    drop(connection);
    wanted.tell(RunState::EndedImmediately, false).await?;
    wanted.wait_until(global.patience(), is_ended).await?;
    outcome.map_err(|failure| {
        let text = format!("it was created, and some of what {} says was refused", file.display());
        match failure {
            Failure::Control { text: said, .. } if !said.is_empty() => error(UNEXPECTED, &said),
            _ => error(UNEXPECTED, &text),
        }
    })
}

/// Before anything is made. It is not read yet: a pipe can be read once.
fn readable(file: &Path) -> Outcome {
    let opened = std::fs::File::open(file).and_then(|opened| match opened.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(()),
    });
    opened.map_err(|why| error(INVALID, &format!("{}: {}", file.display(), plain::error(why))))
}

/// What has no meaning here, one line each.
fn said_of(given: &CrtmqmElsewhere) -> Vec<String> {
    let log = [
        given.circular,
        given.linear,
        given.linear_automatic,
        given.linear_manual,
        given.log_pages.is_some(),
        given.primary_logs.is_some(),
        given.secondary_logs.is_some(),
    ];
    let places = [given.log_directory.is_some(), given.data_directory.is_some()];
    let starts = [
        given.shared,
        given.shared_automatically,
        given.starts_automatically,
        given.starts_interactively,
        given.starts_as_service,
    ];
    let altered = [
        (given.description.is_some(), "DESCR"),
        (given.transmission_queue.is_some(), "DEFXMITQ"),
        (given.trigger_interval.is_some(), "TRIGINT"),
        (given.uncommitted.is_some(), "MAXUMSGS"),
    ];
    let altered: Vec<&str> =
        altered.into_iter().filter(|(is_given, _)| *is_given).map(|(_, name)| name).collect();
    let any = |given: &[bool]| given.iter().any(|is_given| *is_given);
    [
        (given.default, "    -q: there is no default queue manager here; who names none means the only one."),
        (any(&log), "    -lc, -ll, -lf, -lp, -ls: the log is the nodes' own, for all queue managers; it grows and shrinks by itself."),
        (given.instance.is_some(), "    -lr: every node of the cluster has an instance; --preferred names the one that should serve."),
        (any(&places), "    -ld, -md: where log and data are is in the cluster file, under [directories]."),
        (given.ini.is_some(), "    -ii: there is no qm.ini; what it says of limits and times is in the cluster file."),
        (any(&starts), "    -s…: a queue manager that was started is so over any restart, and one node serves it."),
        (
            given.group.is_some() || given.authorization.is_some(),
            "    -g, -oa: who may do what is said by AUTHREC, and not by groups of this machine.",
        ),
    ]
    .into_iter()
    .filter(|(is_given, _)| *is_given)
    .map(|(_, line)| line.to_owned())
    .chain((!altered.is_empty()).then(|| {
        format!("    {} is as it is by default: say it with ALTER QMGR when it is started.", altered.join(", "))
    }))
    .collect()
}

// ---- dltmqm ----

pub async fn delete(global: &Global, args: DltmqmArgs) -> Outcome {
    let name = args.name.clone();
    check_name(&name)?;
    let wanted = Wanted::of(global, Some(name.clone()), args.quiet);
    // Who follows may not know yet that it was ended.
    let is_known = |manager: &QueueManagerStatus| manager.role == "active" || is_ended(manager);
    let Some(manager) = wanted.wait_until(global.patience(), is_known).await? else {
        let text = format!("AMQ8101S: IBM MQ error: no node leads {name} just now; see `trimaran status`.");
        return Err(Failure::Control { code: UNEXPECTED, text });
    };
    if manager.run_state() == RunState::Quiescing {
        let text = format!("IBM MQ queue manager '{name}' ending.");
        return Err(Failure::Control { code: IS_ENDING, text });
    }
    if !is_ended(&manager) {
        let text = format!("IBM MQ queue manager '{name}' running.\n    End it first: `endmqm -i {name}`.");
        return Err(Failure::Control { code: RUNS_ALREADY, text });
    }
    confirm(&args, manager.messages)?;
    let (begun, tls) = (Instant::now(), global.tls()?);
    let mut may_be_done = false;
    loop {
        let told = match leader(global).await? {
            Some(address) => {
                trimaran_client::delete_queue_manager(&address, tls.as_ref(), &name, global.patience()).await
            }
            None => Err(nobody_leads()),
        };
        let Err(failed) = told else { break };
        match failed.reason() {
            Some(reason::Q_MGR_NAME_ERROR) if may_be_done => break,
            Some(reason::OBJECT_IN_USE) => {
                let text = format!("IBM MQ queue manager '{name}' running.");
                return Err(Failure::Control { code: RUNS_ALREADY, text });
            }
            Some(reason::Q_MGR_NAME_ERROR) => {
                let text = "AMQ8118E: IBM MQ queue manager does not exist.".to_owned();
                return Err(Failure::Control { code: NO_SUCH, text });
            }
            _ => {}
        }
        again(&failed, begun, global)?;
        may_be_done = true;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Nodes that follow the records are an instant behind, and whoever looks next should find it gone.
    while begun.elapsed() < global.patience() && wanted.look().await.is_ok() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    wanted.say(&format!("IBM MQ queue manager '{name}' deleted."));
    Ok(())
}

fn confirm(args: &DltmqmArgs, messages: u64) -> Outcome {
    let name = &args.name;
    match &args.confirm {
        Some(confirmed) if confirmed == name => return Ok(()),
        Some(confirmed) => {
            return Err(Failure::Check(format!("--confirm {confirmed} is not {name}: nothing was done")));
        }
        None => {}
    }
    if !io::stdin().is_terminal() {
        let text = format!(
            "nothing was done: all that {name} has is lost with it ({messages} messages); say it again with --confirm {name}"
        );
        return Err(Failure::Check(text));
    }
    print!("All that {name} has is lost with it ({messages} messages). Type its name to delete it: ");
    let _ = io::stdout().flush();
    let mut typed = String::new();
    let _ = io::stdin().lock().read_line(&mut typed);
    match typed.trim() == name {
        true => Ok(()),
        false => Err(Failure::Check("nothing was done".into())),
    }
}

// ---- what both need ----

/// The version of the nodes' own is raised with those of the others.
pub async fn upgrade(global: &Global) -> Outcome {
    let Some(address) = leader(global).await? else { return Ok(()) };
    let tls = global.tls()?;
    let raising = trimaran_client::upgrade_cluster(&address, tls.as_ref(), global.patience());
    Ok(patiently("asking every node what it speaks", raising).await?)
}

/// Where the node is that leads SYSTEM.CLUSTER. None: nobody does, or none of the nodes knows it.
pub async fn leader(global: &Global) -> Result<Option<String>, Failure> {
    let (addresses, tls) = (global.addresses()?, global.tls()?);
    let asking = trimaran_client::status_with_cluster(&addresses, tls.as_ref(), global.patience());
    let answers = patiently("asking the nodes", asking).await;
    if answers.iter().all(|(_, answer)| answer.is_err()) {
        let why = answers.into_iter().find_map(|(_, answer)| answer.err());
        let why = why.map_or_else(|| "no node answers".to_owned(), |why| why.to_string());
        return Err(error(UNEXPECTED, &why));
    }
    Ok(trimaran_client::cluster_leader(&answers))
}

pub fn nobody_leads() -> Error {
    Error::refused(
        reason::Q_MGR_NOT_AVAILABLE,
        "no node leads SYSTEM.CLUSTER just now, which has the records: it needs a majority of the nodes, and all of them once, \
         with this release",
    )
}

/// Whether it may be said again, or what it is refused for.
pub fn again(failed: &Error, begun: Instant, global: &Global) -> Outcome {
    let code = match failed.reason() {
        Some(reason::Q_MGR_NAME_ERROR) => NAME_ERROR,
        Some(reason::ATTR_VALUE_ERROR | reason::OBJECT_NAME_ERROR) => INVALID,
        Some(reason::NOT_AUTHORIZED) => NOT_ALLOWED,
        Some(reason::CALL_IN_PROGRESS) if begun.elapsed() < global.patience() => return Ok(()),
        _ if may_be_said_again(failed) && begun.elapsed() < global.patience() => return Ok(()),
        _ => UNEXPECTED,
    };
    Err(error(code, &failed.to_string()))
}

fn check_name(name: &str) -> Outcome {
    let is_of_one = |c: char| c.is_ascii_alphanumeric() || "._/%".contains(c);
    match !name.is_empty() && name.len() <= 48 && name.chars().all(is_of_one) && name != CLUSTER {
        true => Ok(()),
        false => Err(error(
            NAME_ERROR,
            &format!(
                "no queue manager can be called {name:?}: up to 48 letters, digits and . _ / %, and not {CLUSTER}"
            ),
        )),
    }
}

fn error(code: i32, why: &str) -> Failure {
    Failure::Control { code, text: format!("AMQ8101S: IBM MQ error: {why}") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::{
        arguments::{Cli, Command},
        control::by_own_name,
    };

    fn given(words: &str) -> CrtmqmArgs {
        let words = by_own_name(words.split(' ').map(Into::into));
        match Cli::try_parse_from(words).unwrap().command {
            Command::Crtmqm(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_of_mqs_scripts_are_taken_and_said_once() {
        let args =
            given("crtmqm -q -p 1415 -u DLQ -lf 4096 -lp 3 -ls 2 -lr one -sax -ic setup.mqsc -c text QM1");
        assert_eq!(
            (args.name.as_str(), args.port, args.dead_letter_queue.as_deref()),
            ("QM1", Some(1415), Some("DLQ"))
        );
        assert_eq!(args.script.as_deref(), Some(Path::new("setup.mqsc")));
        let said = said_of(&args.elsewhere);
        assert_eq!(said.len(), 5, "{said:?}");
        assert_eq!(said.iter().filter(|line| line.contains("-lf")).count(), 1);
        assert!(said[4].contains("DESCR is as it is by default"), "{said:?}");
        assert!(said_of(&given("crtmqm QM1").elsewhere).is_empty());
    }

    #[test]
    fn a_name_that_none_can_have_is_72() {
        for name in ["", "A B", "QM-1", &"A".repeat(49), "SYSTEM.CLUSTER"] {
            assert!(matches!(check_name(name), Err(Failure::Control { code: NAME_ERROR, .. })), "{name}");
        }
        assert!(check_name("ha.queue.manager").is_ok());
    }
}
