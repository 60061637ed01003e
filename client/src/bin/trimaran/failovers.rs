//! `failovers`: which node began to serve when and why, as all nodes have it.

use std::{
    cmp::Reverse,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use trimaran_client::{
    KeptFailovers, Tls,
    proto::{
        admin::v1::{Failover, moment::Step},
        chain::{self, Link},
        failover,
    },
};

use crate::{
    arguments::{FailoversArgs, FailoversCommand, Global},
    output::{self, Failure, Outcome, patiently, timestamp},
    say, status,
    talk::plural,
};

/// Nodes that follow one that serves hear of it more often than that.
const UNSERVED_MIN_MS: u64 = 1_500;
const NO_RECORDS: &str = "which keeps no records";

pub async fn run(global: &Global, args: FailoversArgs) -> Outcome {
    match args.command {
        Some(FailoversCommand::Show { number }) => {
            let kept = kept(global).await?;
            let record = kept.records.iter().find(|record| record.number == number);
            let record = record.ok_or_else(|| {
                Failure::Check(format!("there is no record {number}{}", known(&kept.records)))
            })?;
            show(global, &kept, record);
            Ok(())
        }
        Some(FailoversCommand::Verify) => verify(global).await,
        Some(FailoversCommand::Classify { number, class, because }) => {
            let connection = global.connect().await?;
            patiently("saying it", connection.admin().classify(number, class, because)).await?;
            match global.json {
                true => say!("{}", json!({ "ok": true, "number": number, "class": class.word() })),
                false => say!("record {number} of {} counts as {class}", connection.queue_manager()),
            }
            Ok(())
        }
        None => {
            let kept = kept(global).await?;
            let first = if args.all { 0 } else { kept.records.len().saturating_sub(args.last as usize) };
            list(global, &kept, &kept.records[first..]);
            Ok(())
        }
    }
}

fn known(kept: &[Failover]) -> String {
    match (kept.first(), kept.last()) {
        (Some(first), Some(last)) => format!(": from {} to {} are kept", first.number, last.number),
        _ => ", nor any other".to_string(),
    }
}

/// A node, and what it answered.
pub struct Heard {
    pub node: String,
    pub address: String,
    pub version: u32,
    /// How far it has come.
    applied: u64,
    /// It leads, as far as it knows.
    leads: bool,
    /// For how long it has heard of nobody who serves, or has not served itself; None where the queue manager was ended.
    unserved_ms: Option<u64>,
}

/// What the first of these nodes gives: all have the same. Who has come furthest is asked first: whoever looks for what he was just told
/// to be done finds it.
pub async fn first_given<T>(
    mut heard: Vec<Heard>,
    ask: impl AsyncFn(&Heard) -> Result<T, Failure>,
) -> Result<T, Failure> {
    heard.sort_by_key(|heard| Reverse(heard.applied));
    let mut last = None;
    for heard in &heard {
        match ask(heard).await {
            Ok(given) => return Ok(given),
            Err(failure) => last = Some(failure),
        }
    }
    Err(last.expect("a node was asked"))
}

/// The nodes that answer for the queue manager that is meant. `why` says what is lacking before it has this version.
pub async fn nodes(global: &Global, since: u32, why: &str) -> Result<(String, Vec<Heard>), Failure> {
    let answers = patiently("asking the nodes", status::ask(global)).await?;
    status::check_answered(&answers)?;
    let names = status::queue_managers(&answers);
    let name = match (&global.queue_manager, names.len()) {
        (Some(name), _) if !name.is_empty() => name.clone(),
        (_, 1) => names.into_iter().next().expect("one"),
        (_, 0) => return Err(Failure::Check(status::NONE_THERE.to_string())),
        _ => {
            let all = names.into_iter().collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!("say which with --queue-manager: {all}")));
        }
    };
    let heard = answers.iter().filter_map(|(address, answer)| {
        let status = answer.as_ref().ok()?;
        let manager = status.queue_managers.iter().find(|manager| manager.name == name)?;
        Some(Heard {
            node: status.node.clone(),
            address: address.clone(),
            version: manager.version,
            applied: manager.applied_index,
            leads: manager.role == "active",
            unserved_ms: (!status::is_ended(manager)).then_some(manager.unserved_ms),
        })
    });
    let heard: Vec<Heard> = heard.collect();
    if heard.is_empty() {
        return Err(Failure::Check(format!("no node that answers has {name}; look with `trimaran status`")));
    }
    if heard.iter().all(|heard| heard.version < since) {
        return Err(Failure::Check(format!(
            "{name} has version {}, {why}: raise it with `trimaran cluster upgrade`",
            heard[0].version
        )));
    }
    Ok((name, heard))
}

async fn kept(global: &Global) -> Result<KeptFailovers, Failure> {
    kept_and_unserved(global).await.map(|(kept, _)| kept)
}

/// As [`first_given`]; and since when nobody serves, in milliseconds since 1970, where nobody does just now.
pub async fn kept_and_unserved(global: &Global) -> Result<(KeptFailovers, Option<i64>), Failure> {
    // Those that answer do so at once, those that do not are waited for.
    let asked = now_ms();
    let (name, heard) = nodes(global, failover::SINCE, NO_RECORDS).await?;
    let unserved_since = unserved_ms(&heard).map(|ms| asked - ms as i64);
    let tls = global.tls()?;
    let kept = first_given(heard, async |heard| ask(global, heard, &name, tls.as_ref()).await).await?;
    Ok((kept, unserved_since))
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Whoever heard last of one that served knows best.
fn unserved_ms(heard: &[Heard]) -> Option<u64> {
    let least = heard.iter().map(|heard| heard.unserved_ms.unwrap_or(0)).min()?;
    // Whoever leads knows to the instant until when it served.
    let is_known = least >= UNSERVED_MIN_MS || (least > 0 && heard.iter().any(|heard| heard.leads));
    is_known.then_some(least)
}

async fn ask(
    global: &Global,
    heard: &Heard,
    queue_manager: &str,
    tls: Option<&Tls>,
) -> Result<KeptFailovers, Failure> {
    let asking = trimaran_client::failovers(&heard.address, tls, queue_manager, global.patience());
    Ok(patiently("reading the records", asking).await?)
}

/// Every node has the same chain, as far as it has come.
async fn verify(global: &Global) -> Outcome {
    let (name, heard) = nodes(global, failover::SINCE, NO_RECORDS).await?;
    let tls = global.tls()?;
    let mut chains: Vec<(&Heard, Vec<Failover>)> = Vec::new();
    for heard in &heard {
        let records = ask(global, heard, &name, tls.as_ref()).await?.records;
        chains.push((heard, records));
    }
    let longest = verified(&chains)?;
    say_verified(global, &name, &chains, longest);
    Ok(())
}

/// The longest of these chains, of which each other one is a part.
pub fn verified<'a, L: Link>(chains: &'a [(&Heard, Vec<L>)]) -> Result<&'a [L], Failure> {
    for (heard, records) in chains {
        if let Err(broken) = chain::verify(records) {
            return Err(Failure::Check(format!("on node {}, {broken}", heard.node)));
        }
    }
    let longest = chains.iter().max_by_key(|(_, records)| records.last().map_or(0, Link::number));
    let (best, longest) = longest.expect("a node answers");
    for (heard, records) in chains {
        if let Some(record) = chain::differs(longest, records) {
            return Err(Failure::Check(format!(
                "record {} of node {} is not the one of node {}",
                record.number(),
                heard.node,
                best.node
            )));
        }
    }
    Ok(longest)
}

pub fn say_verified<L: Link>(global: &Global, name: &str, chains: &[(&Heard, Vec<L>)], longest: &[L]) {
    let count = longest.len() as u64;
    if global.json {
        let seal = longest.iter().map(Link::seal).rfind(|seal| !seal.is_empty());
        let nodes: Vec<&str> = chains.iter().map(|(heard, _)| heard.node.as_str()).collect();
        say!(
            "{}",
            json!({ "queue_manager": name, "records": count, "nodes": nodes, "seal": seal.map(|seal| hex(seal)) })
        );
        return;
    }
    let nodes = chains.len() as u64;
    say!(
        "{count} {} of {name}: sealed one to the other, and the same on {nodes} {}",
        plural(count, "record"),
        plural(nodes, "node")
    );
}

fn list(global: &Global, kept: &KeptFailovers, records: &[Failover]) {
    if global.json {
        return records.iter().for_each(|record| say!("{}", as_json(kept, record)));
    }
    if records.is_empty() {
        return say!("no record yet: one is made when a node begins to serve");
    }
    let row = |record: &Failover| {
        let account = record.account.as_ref();
        vec![
            record.number.to_string(),
            timestamp(served_ms(record)),
            of_node(account.map(|account| account.before_name.as_str()), record.before),
            of_node(account.map(|account| account.node_name.as_str()), record.node),
            record.cause_in_words().to_string(),
            format!("{}{}", kept.class_of(record), if kept.said_of(record).is_some() { "*" } else { "" }),
            nobody_served(record),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    output::table(&["NO", "SERVES SINCE", "BEFORE", "NODE", "WHY", "CLASS", "NOBODY SERVED"], &rows);
}

pub fn served_ms(record: &Failover) -> i64 {
    record.account.as_ref().map_or(record.at_ms, |account| account.served_ms)
}

fn of_node(name: Option<&str>, id: u64) -> String {
    match (name, id) {
        (Some(name), _) if !name.is_empty() => name.to_string(),
        (_, 0) => "-".to_string(),
        (_, id) => format!("id {id}"),
    }
}

fn nobody_served(record: &Failover) -> String {
    match &record.account {
        None => "not known".to_string(),
        Some(_) if record.has_bound_only() => format!("at most {}", span(record.outage_us())),
        Some(_) => span(record.outage_us()),
    }
}

/// Microseconds, for people.
pub fn span(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.2} s", us as f64 / 1e6),
        _ => format!("{:.1} min", us as f64 / 6e7),
    }
}

fn show(global: &Global, kept: &KeptFailovers, record: &Failover) {
    if global.json {
        return say!("{}", as_json(kept, record));
    }
    let account = record.account.clone().unwrap_or_default();
    say!("record      {}, term {}", record.number, record.term);
    say!(
        "node        {}, after {}",
        of_node(Some(&account.node_name), record.node),
        of_node(Some(&account.before_name), record.before)
    );
    say!("why         {} ({})", record.cause_in_words(), record.class());
    if let Some(said) = kept.said_of(record) {
        let (because, user) = (output::visible(&said.because), output::visible(&said.user));
        say!("counts as   {}: {because} ({user}, {})", kept.class_of(record), timestamp(said.at_ms));
    }
    if let Some(planned) = &record.planned {
        let by = if planned.user.is_empty() { String::new() } else { format!(" by {}", planned.user) };
        say!("announced   {}{by}", timestamp(planned.at_ms));
    }
    if record.account.is_none() {
        say!("account     none: records began while the node served");
    } else {
        if record.seal.is_empty() {
            say!("so far      it is looked for 30 s what becomes of the programs and of the node before");
        }
        say!("serves      since {}", timestamp(account.served_ms));
        say!("nobody      served for {}", nobody_served(record));
        for moment in &account.moments {
            say!("  {:>10}  {}", span(moment.after_us), failover::step_in_words(moment.step()));
        }
        say!(
            "programs    {} before, {} when this was written",
            account.clients_before,
            account.clients_after
        );
        say!("backed out  {} open {}", account.units_backed_out, plural(account.units_backed_out, "unit"));
        for dropped in &account.dropped {
            say!("dropped     {} not persistent on {}", dropped.messages, output::visible(&dropped.queue));
        }
    }
    let seal = if record.seal.is_empty() { "none yet".to_string() } else { hex(&record.seal) };
    say!("seal        {seal}");
}

pub fn hex(bytes: &[u8]) -> String {
    trimaran_client::hex(bytes)
}

fn as_json(kept: &KeptFailovers, record: &Failover) -> Value {
    let account = record.account.as_ref().map(|account| {
        let moments: Vec<Value> = account
            .moments
            .iter()
            .map(|moment| json!({ "step": word(moment.step()), "after_us": moment.after_us }))
            .collect();
        let dropped: Vec<Value> = account
            .dropped
            .iter()
            .map(|dropped| json!({ "queue": dropped.queue, "messages": dropped.messages }))
            .collect();
        json!({
            "served": timestamp(account.served_ms), "node": account.node_name, "before": account.before_name,
            "moments": moments, "units_backed_out": account.units_backed_out, "dropped": dropped,
            "clients_before": account.clients_before, "clients_after": account.clients_after,
            "last_index": account.last_index, "outage_us": record.outage_us(), "outage_is_bound": record.has_bound_only(),
        })
    });
    let planned = record.planned.as_ref().map(
        |planned| json!({ "to": planned.to, "user": planned.user, "announced": timestamp(planned.at_ms) }),
    );
    let said = kept.said_of(record).map(
        |said| json!({ "because": said.because, "user": said.user, "at": timestamp(said.at_ms), "instead_of": record.class().word() }),
    );
    json!({
        "number": record.number, "term": record.term, "node_id": record.node, "before_id": record.before,
        "why": record.cause_in_words(), "class": kept.class_of(record).word(), "classified": said, "planned": planned, "account": account,
        "sealed_before": hex(&record.sealed_before), "seal": hex(&record.seal),
    })
}

fn word(step: Step) -> String {
    step.as_str_name().trim_start_matches("STEP_").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_serves_where_a_leader_says_so_or_all_others_have_heard_of_nobody_for_long() {
        let heard = |leads, unserved_ms| Heard {
            node: "a".into(),
            address: String::new(),
            version: 1,
            applied: 1,
            leads,
            unserved_ms,
        };
        let follower = |ms| heard(false, Some(ms));
        assert_eq!(unserved_ms(&[heard(true, Some(0)), follower(40)]), None);
        assert_eq!(unserved_ms(&[follower(300), follower(1_000)]), None, "an election may be under way");
        assert_eq!(unserved_ms(&[follower(9_000), follower(8_000)]), Some(8_000));
        assert_eq!(
            unserved_ms(&[heard(true, Some(200))]),
            Some(200),
            "its lease is over, and nobody else answers"
        );
        assert_eq!(unserved_ms(&[heard(false, None), follower(8_000)]), None, "it was ended");
        assert_eq!(unserved_ms(&[]), None);
    }
}
