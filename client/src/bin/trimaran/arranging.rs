//! `place`: where a queue manager that was created should be is shown, and changed while it is served.
//!
//! The records are those of SYSTEM.CLUSTER, as for `crtmqm`. What is asked for says all that it is about, so it may be said again.

use std::time::{Duration, Instant};

use serde_json::json;
use trimaran_client::{
    ArrangeQueueManagerRequest, QueueManagerStatus,
    proto::admin::v1::arrange_queue_manager_request::Addresses, reason,
};

use crate::{
    arguments::{Global, PlaceArgs},
    creating::{again, leader, nobody_leads},
    output::{Failure, Outcome, patiently},
    running::{LOOK_EVERY, NO_SUCH},
    say,
    status::{self, Picture},
};

/// A leader that has not answered by then may hang, and another one is looked for: what is asked for may be said again.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

pub async fn run(global: &Global, args: PlaceArgs) -> Outcome {
    let request = request_of(args);
    if is_nothing(&request) {
        show(global, &look(global, &request.name).await?);
        return Ok(());
    }
    let (begun, tls) = (Instant::now(), global.tls()?);
    loop {
        let told = match leader(global).await? {
            Some(address) => {
                let (request, patience) = (request.clone(), global.patience().min(ANSWERS_WITHIN));
                trimaran_client::arrange_queue_manager(&address, tls.as_ref(), request, patience).await
            }
            None => Err(nobody_leads()),
        };
        let Err(failed) = told else { break };
        if failed.reason() == Some(reason::Q_MGR_NAME_ERROR) {
            return Err(no_such());
        }
        again(&failed, begun, global)?;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    // Whoever follows the records is an instant behind.
    loop {
        let manager = look(global, &request.name).await?;
        if is_so(&manager, &request) || begun.elapsed() >= global.patience() {
            show(global, &manager);
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn request_of(args: PlaceArgs) -> ArrangeQueueManagerRequest {
    let PlaceArgs { name, addresses, no_address, preferred, no_preferred, fail_back, canary, no_canary } =
        args;
    let is_said = no_address || !addresses.is_empty();
    ArrangeQueueManagerRequest {
        name,
        addresses: is_said.then_some(Addresses { addresses }),
        preferred: preferred.or_else(|| no_preferred.then(String::new)),
        fail_back,
        canary: (canary || no_canary).then_some(canary),
    }
}

fn is_nothing(request: &ArrangeQueueManagerRequest) -> bool {
    let ArrangeQueueManagerRequest { name: _, addresses, preferred, fail_back, canary } = request;
    addresses.is_none() && preferred.is_none() && fail_back.is_none() && canary.is_none()
}

/// Whether the node that serves it, or knows most of it, has heard of what was asked for.
fn is_so(manager: &QueueManagerStatus, request: &ArrangeQueueManagerRequest) -> bool {
    let known: Vec<&str> = manager.addresses.iter().map(|floating| floating.address.as_str()).collect();
    let bare = |written: &String| written.split('/').next().unwrap_or_default().to_owned();
    let has =
        |wanted: &Addresses| wanted.addresses.iter().map(bare).eq(known.iter().map(ToString::to_string));
    request.addresses.as_ref().is_none_or(has)
        && request.preferred.as_ref().is_none_or(|wanted| *wanted == manager.preferred)
        && request.canary.is_none_or(|wanted| wanted == manager.canary)
}

async fn look(global: &Global, name: &str) -> Result<QueueManagerStatus, Failure> {
    let only = Global { queue_manager: Some(name.to_owned()), ..global.clone() };
    let answers = patiently("asking the nodes", status::ask(&only)).await?;
    status::check_answered(&answers)?;
    let found = Picture::of(&answers, Some(name)).into_managers().into_iter().next();
    found.ok_or_else(no_such)
}

fn show(global: &Global, manager: &QueueManagerStatus) {
    let addresses: Vec<&str> = manager.addresses.iter().map(|floating| floating.address.as_str()).collect();
    if global.json {
        say!(
            "{}",
            json!({
                "queue_manager": manager.name, "addresses": addresses, "preferred": manager.preferred,
                "fail_back": manager.fail_back, "canary": manager.canary,
            })
        );
        return;
    }
    let or = |text: &str, none: &str| if text.is_empty() { none.to_owned() } else { text.to_owned() };
    say!("address    {}", or(&addresses.join(" "), "none"));
    say!("preferred  {}", or(&manager.preferred, "any node"));
    say!("fail_back  {}", or(&manager.fail_back, "never"));
    say!("canary     {}", if manager.canary { "yes" } else { "no" });
}

fn no_such() -> Failure {
    let text = "AMQ8118E: IBM MQ queue manager does not exist.".to_owned();
    Failure::Control { code: NO_SUCH, text }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Cli, Command};

    fn asked(words: &str) -> ArrangeQueueManagerRequest {
        match Cli::try_parse_from(words.split(' ')).unwrap().command {
            Command::Place(args) => request_of(args),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_not_said_is_not_asked_for() {
        assert!(is_nothing(&asked("trimaran place QM1")));
        let some = asked("trimaran place --address 10.0.0.60/24 --no-preferred QM1");
        assert_eq!(some.addresses.map(|wanted| wanted.addresses), Some(vec!["10.0.0.60/24".to_owned()]));
        assert_eq!((some.preferred.as_deref(), some.fail_back, some.canary), (Some(""), None, None));
        let none = asked("trimaran place --no-address --no-canary QM1");
        assert_eq!(none.addresses.map(|wanted| wanted.addresses.len()), Some(0));
        assert_eq!(none.canary, Some(false));
        assert!(Cli::try_parse_from(["trimaran", "place", "--canary", "--no-canary", "QM1"]).is_err());
    }
}
