//! `audit`: who changed what, as all nodes have it.

use trimaran_client::proto::{
    admin::v1::AuditRecord,
    audit::{SINCE, tongue_in_words, verb_in_words},
};

use crate::{
    arguments::{AuditArgs, AuditCommand, Global},
    failovers::{Heard, first_given, hex, nodes, say_verified, verified},
    output::{self, Failure, Outcome, patiently, timestamp, visible},
    say,
};

pub async fn run(global: &Global, args: AuditArgs) -> Outcome {
    let mut global = global.clone();
    if args.cluster {
        global.queue_manager = Some(trimaran_client::CLUSTER.to_string());
    }
    let global = &global;
    match args.command {
        Some(AuditCommand::Show { number }) => {
            let records = kept(global).await?;
            let record = records.iter().find(|record| record.number == number);
            let known = match (records.first(), records.last()) {
                (Some(first), Some(last)) => format!(": from {} to {} are kept", first.number, last.number),
                _ => ", nor any other".to_string(),
            };
            let record =
                record.ok_or_else(|| Failure::Check(format!("there is no record {number}{known}")))?;
            show(global, record);
            Ok(())
        }
        Some(AuditCommand::Verify) => {
            let (name, heard) = heard(global).await?;
            let mut chains = Vec::new();
            for heard in &heard {
                chains.push((heard, ask(global, heard, &name).await?));
            }
            let longest = verified(&chains)?;
            say_verified(global, &name, &chains, longest);
            Ok(())
        }
        None => {
            let mut records = kept(global).await?;
            records.retain(|record| is_meant(&args, record));
            let first = if args.all { 0 } else { records.len().saturating_sub(args.last as usize) };
            list(global, &records[first..]);
            Ok(())
        }
    }
}

async fn heard(global: &Global) -> Result<(String, Vec<Heard>), Failure> {
    nodes(global, SINCE, "which keeps no trail of what is changed").await
}

/// As [`first_given`].
async fn kept(global: &Global) -> Result<Vec<AuditRecord>, Failure> {
    let (name, heard) = heard(global).await?;
    first_given(heard, async |heard| ask(global, heard, &name).await).await
}

async fn ask(global: &Global, heard: &Heard, queue_manager: &str) -> Result<Vec<AuditRecord>, Failure> {
    let tls = global.tls()?;
    let asking = trimaran_client::audit(&heard.address, tls.as_ref(), queue_manager, global.patience());
    Ok(patiently("reading the audit trail", asking).await?)
}

fn is_meant(args: &AuditArgs, record: &AuditRecord) -> bool {
    let is_named = args.object.as_ref().is_none_or(|wanted| match wanted.strip_suffix('*') {
        Some(prefix) => record.name.starts_with(prefix),
        None => record.name == *wanted || record.object() == *wanted,
    });
    is_named
        && args.user.as_ref().is_none_or(|user| record.user == *user)
        && args.from.is_none_or(|from| record.at_ms >= from)
        && args.to.is_none_or(|to| record.at_ms < to)
}

fn list(global: &Global, records: &[AuditRecord]) {
    if global.json {
        return records.iter().for_each(|record| say!("{}", record.as_json()));
    }
    if records.is_empty() {
        return say!("no record of that: one is made when something is changed");
    }
    let row = |record: &AuditRecord| {
        let from = if record.address.is_empty() { &record.application } else { &record.address };
        vec![
            record.number.to_string(),
            timestamp(record.at_ms),
            or_dash(&record.user),
            or_dash(from),
            tongue_in_words(record.tongue()).to_string(),
            verb_in_words(record.verb()).to_string(),
            visible(&record.object()),
            changes(record)
                .map(|(name, before, after)| format!("{name} {before} > {after}"))
                .collect::<Vec<_>>()
                .join(", "),
        ]
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    output::table(&["NO", "WHEN", "WHO", "FROM", "BY", "COMMAND", "OBJECT", "CHANGES"], &rows);
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_string() } else { visible(text) }
}

/// For people: what is not there is a dash, and what is empty two quotes.
fn changes(record: &AuditRecord) -> impl Iterator<Item = (String, String, String)> {
    let shown = |value: Option<String>| match value.as_deref() {
        None => "-".to_string(),
        Some("") => "''".to_string(),
        Some(text) => visible(text),
    };
    record.changes_in_words().map(move |(name, before, after)| (name, shown(before), shown(after)))
}

fn show(global: &Global, record: &AuditRecord) {
    if global.json {
        return say!("{}", record.as_json());
    }
    say!("record      {}", record.number);
    say!("when        {}", timestamp(record.at_ms));
    say!("who         {}", or_dash(&record.user));
    say!("program     {}", or_dash(&record.application));
    say!("from        {}", or_dash(&record.address));
    if !record.channel.is_empty() {
        say!("channel     {}", visible(&record.channel));
    }
    say!("by          {}", tongue_in_words(record.tongue()));
    say!("command     {} {}", verb_in_words(record.verb()), visible(&record.object()));
    for (name, before, after) in changes(record) {
        say!("  {name}: {before} > {after}");
    }
    say!("seal        {}", hex(&record.seal));
}
