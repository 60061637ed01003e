//! `status`: every node is asked, and one picture is made of the answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use trimaran_client::{
    ClocksDiffer, Error, InstanceStatus, MemoryShare, QueueManagerStatus, RunState, StatusResponse,
    proto::{
        admin::v1::{FloatingAddress, ListenerStatus},
        failover,
    },
    reason,
};

use crate::{
    arguments::{Global, StatusArgs},
    output::{self, Failure, Outcome, patiently},
    say,
    spared::{how_it_is, why_it_is_needed},
    talk::plural,
};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// As early as a node warns of its own.
const CERTIFICATE_WARNING: Duration = Duration::from_secs(14 * 24 * 3600);

/// Why nothing is known of an instance.
const NO_ANSWER: &str = "no answer";
const NOT_ASKED: &str = "not asked";
/// Of a node and a floating address.
const NOT_GIVEN_BACK: &str = "has not given it back, and two may have it";

/// What was heard, by address.
type Answers = Vec<(String, Result<StatusResponse, Error>)>;

pub async fn run(global: &Global, args: StatusArgs) -> Outcome {
    let within = global.within.unwrap_or(PATIENCE);
    loop {
        let answers = patiently("asking the nodes", ask_within(global, within)).await?;
        let mut picture = Picture::of(&answers, global.queue_manager.as_deref());
        picture.warnings.extend(own_certificate(global)?);
        if args.watch && output::stdout_is_terminal() && !global.json {
            // Home, and clear what is below: less flicker than clearing first.
            output::write(b"\x1b[H\x1b[J");
        }
        let nobody_answers = picture.nodes.values().all(|node| node.is_err());
        if global.json {
            say!("{}", picture.as_json());
        } else if args.watch || !nobody_answers {
            // Otherwise the error at the end says the same.
            picture.print();
            if picture.managers.is_empty() && global.queue_manager.is_none() {
                say!("");
                say!("T{}", &NONE_THERE[1..]);
            }
        }
        if !args.watch {
            if nobody_answers {
                return Err(unreachable(&answers, within));
            }
            if let Some(name) = &global.queue_manager
                && let Some(unknown) = picture.lacks(name, &queue_managers(&answers))
            {
                return Err(Failure::Client(unknown));
            }
            let mut wrong = picture.what_is_wrong();
            if args.check && wrong.is_empty() && global.queue_manager.is_none() {
                wrong = wrong_with_cluster(global, within).await?;
            }
            if args.check && !wrong.is_empty() {
                return Err(Failure::Check(wrong.join("; ")));
            }
            return Ok(());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// What is wrong with the nodes' own queue manager, once it has begun: who takes a node away while another one has nothing of it yet
/// takes its majority.
async fn wrong_with_cluster(global: &Global, within: Duration) -> Result<Vec<String>, Failure> {
    let of_cluster = Global { queue_manager: Some(trimaran_client::CLUSTER.into()), ..global.clone() };
    let answers = patiently("asking the nodes", ask_within(&of_cluster, within)).await?;
    let views = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let mut views =
        views.flat_map(|status| &status.queue_managers).filter(|view| view.name == trimaran_client::CLUSTER);
    match views.any(|view| view.role != "recovering") {
        true => Ok(Picture::of(&answers, Some(trimaran_client::CLUSTER)).what_is_wrong()),
        false => Ok(Vec::new()),
    }
}

/// They were all deleted, or none was created yet.
pub const NONE_THERE: &str = "there is no queue manager: `trimaran crtmqm NAME` creates one";

/// The nodes that were named, and those that they know of. No node is waited for long, whatever --within says: who
/// calls this asks again.
pub async fn ask(global: &Global) -> Result<Answers, Failure> {
    ask_within(global, global.patience().min(PATIENCE)).await
}

async fn ask_within(global: &Global, within: Duration) -> Result<Answers, Failure> {
    let tls = global.tls()?;
    let mut answers: Answers = Vec::new();
    let mut asked: BTreeSet<String> = BTreeSet::new();
    let mut next = global.addresses()?;
    while !next.is_empty() {
        next.retain(|address| asked.insert(address.clone()));
        let heard = match global.queue_manager.as_deref() == Some(trimaran_client::CLUSTER) {
            true => trimaran_client::status_with_cluster(&next, tls.as_ref(), within).await,
            false => trimaran_client::status(&next, tls.as_ref(), within).await,
        };
        next = heard
            .iter()
            .filter_map(|(_, answer)| answer.as_ref().ok())
            .flat_map(known_addresses)
            .filter(|address| !address.is_empty() && !asked.contains(*address))
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        answers.extend(heard);
    }
    // One node may be known under two addresses.
    let mut seen = BTreeSet::new();
    answers.retain(|(_, answer)| match answer {
        Ok(status) => seen.insert(status.node.clone()),
        Err(_) => true,
    });
    Ok(answers)
}

/// Where a node says that others are. One that does not serve knows who does, and of the instances its own.
fn known_addresses(status: &StatusResponse) -> impl Iterator<Item = &String> {
    status.queue_managers.iter().flat_map(|manager| {
        let instances = manager.instances.iter().map(|instance| &instance.client_address);
        instances.chain([&manager.active_address])
    })
}

/// What is to be said of the certificate of the user who asks.
fn own_certificate(global: &Global) -> Result<Option<String>, Failure> {
    let expires = global.tls()?.and_then(|tls| tls.certificate_expires());
    let known = global.tls_cert.as_deref().zip(expires);
    Ok(known.and_then(|(file, expires)| expires_soon(file, expires, SystemTime::now())))
}

fn expires_soon(file: &Path, expires: SystemTime, now: SystemTime) -> Option<String> {
    let left = expires.duration_since(now).unwrap_or_default();
    (left < CERTIFICATE_WARNING).then(|| {
        let when = match left.as_secs() / 86_400 {
            0 => "less than a day".to_string(),
            days => format!("{days} {}", plural(days, "day")),
        };
        format!(
            "your certificate {} expires in {when}: have your authority make a new one, or move it away with its key \
             and run `trimaran certs add`",
            file.display()
        )
    })
}

/// Names of the queue managers that were heard of.
pub fn queue_managers(answers: &Answers) -> BTreeSet<String> {
    let statuses = answers.iter().filter_map(|(_, answer)| answer.as_ref().ok());
    let managers = statuses.flat_map(|status| &status.queue_managers);
    managers.map(|manager| manager.name.clone()).collect()
}

/// That somebody answers; otherwise what stood in the way at each node.
pub fn check_answered(answers: &Answers) -> Outcome {
    match answers.iter().any(|(_, answer)| answer.is_ok()) {
        true => Ok(()),
        false => Err(unreachable(answers, Duration::ZERO)),
    }
}

/// Of nodes of which none answers. Without a time they were asked once, each as long as it took.
fn unreachable(answers: &Answers, within: Duration) -> Failure {
    Failure::Client(one_refusal(answers).unwrap_or_else(|| Error::Unreachable {
        queue_manager: "a queue manager".to_string(),
        within_s: within.as_secs_f64(),
        is_lasting: false,
        text: all_errors(answers),
    }))
}

/// What all nodes that answer refuse, if it is the same: they were reached, and that is not to be looked for.
fn one_refusal(answers: &Answers) -> Option<Error> {
    let refused = answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
    let mut refused =
        refused.filter(|error| error.reason().is_some_and(|of| of != reason::CONNECTION_BROKEN));
    let first = refused.next()?;
    refused.all(|error| error.reason() == first.reason()).then(|| first.clone())
}

fn all_errors(answers: &Answers) -> String {
    let errors = answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
    let texts: Vec<String> = errors.map(plain).collect();
    texts.join("; ")
}

fn plain(error: &Error) -> String {
    match error {
        Error::Refused { text, .. } => text.clone(),
        other => other.to_string(),
    }
}

pub struct Picture {
    cluster: String,
    /// By name, or by address where there was no answer.
    nodes: BTreeMap<String, Result<StatusResponse, String>>,
    /// The view of the active node, else of the one that has applied most; and whether it is active.
    managers: BTreeMap<String, QueueManagerStatus>,
    warnings: Vec<String>,
}

impl Picture {
    pub fn of(answers: &Answers, only: Option<&str>) -> Picture {
        let mut picture = Picture {
            cluster: String::new(),
            nodes: BTreeMap::new(),
            managers: BTreeMap::new(),
            warnings: Vec::new(),
        };
        for (address, answer) in answers {
            match answer {
                Err(error) => {
                    picture.nodes.insert(address.clone(), Err(plain(error)));
                }
                Ok(status) => picture.add(status, only),
            }
        }
        picture.gather_instances();
        picture
    }

    /// Where nobody leads, every node speaks for itself alone, and those that vote and do not answer are known by name.
    fn gather_instances(&mut self) {
        let answers: Vec<&StatusResponse> =
            self.nodes.values().filter_map(|answer| answer.as_ref().ok()).collect();
        for manager in
            self.managers.values_mut().filter(|manager| manager.role != "active" && manager.role != "ended")
        {
            let mut instances = BTreeMap::new();
            for status in &answers {
                let view = status.queue_managers.iter().find(|view| view.name == manager.name);
                let own = view.and_then(|view| view.instances.iter().find(|of| of.node == status.node));
                instances.extend(own.map(|own| (own.node.clone(), own.clone())));
            }
            // A node that was not added yet knows of the others, and not where clients reach them.
            let reason = match instances.values().any(|instance| instance.voter) {
                true => NO_ANSWER,
                false => NOT_ASKED,
            };
            for voter in &manager.voters {
                instances.entry(voter.clone()).or_insert_with(|| InstanceStatus {
                    node: voter.clone(),
                    voter: true,
                    reason: reason.into(),
                    ..InstanceStatus::default()
                });
            }
            manager.instances = instances.into_values().collect();
            if let Some(sentence) = too_few_may_vote(manager) {
                manager.waits = sentence;
            }
        }
    }

    fn add(&mut self, status: &StatusResponse, only: Option<&str>) {
        if self.cluster.is_empty() {
            self.cluster.clone_from(&status.cluster);
        } else if self.cluster != status.cluster {
            self.warnings.push(format!(
                "node {} belongs to cluster {}, the others to {}",
                status.node, status.cluster, self.cluster
            ));
        }
        for warning in &status.warnings {
            self.warnings.push(format!("{}: {warning}", status.node));
        }
        for manager in
            status.queue_managers.iter().filter(|manager| only.is_none_or(|name| name == manager.name))
        {
            let better = self.managers.get(&manager.name).is_none_or(|known| {
                let leads = |role: &str| role == "active" || role == "ended";
                let weight = |view: &QueueManagerStatus| (leads(&view.role), view.term, view.applied_index);
                weight(manager) > weight(known)
            });
            if better {
                self.managers.insert(manager.name.clone(), manager.clone());
            }
        }
        self.nodes.insert(status.node.clone(), Ok(status.clone()));
    }

    /// No node that answers has this queue manager; `names` are those that they have. As a connection to it is refused.
    fn lacks(&self, name: &str, names: &BTreeSet<String>) -> Option<Error> {
        if names.contains(name) {
            return None;
        }
        let silent = self.nodes.values().filter(|node| node.is_err()).count() as u64;
        let silence = match silent {
            0 => String::new(),
            1 => "; 1 address does not answer".to_owned(),
            _ => format!("; {silent} addresses do not answer"),
        };
        let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        let text = match names.as_str() {
            "" => format!("No node that answers has a queue manager{silence}."),
            _ => format!(
                "No node that answers has a queue manager {name}; they have {names}{silence}. Names are case-sensitive."
            ),
        };
        Some(Error::refused(reason::Q_MGR_NAME_ERROR, text))
    }

    /// As [`Picture::managers`], to keep.
    pub fn into_managers(self) -> Vec<QueueManagerStatus> {
        self.managers.into_values().collect()
    }

    /// By name, as the one that serves each sees it.
    pub fn managers(&self) -> impl Iterator<Item = &QueueManagerStatus> {
        self.managers.values()
    }

    /// The node that serves a queue manager, if one does.
    pub fn active(&self, manager: Option<&str>) -> Option<(&str, &QueueManagerStatus)> {
        let mut managers = self.managers.values();
        let found = match manager {
            None => managers.next(),
            Some(name) => managers.find(|manager| manager.name == name),
        }?;
        (found.role == "active").then_some((found.active_node.as_str(), found))
    }

    /// As the node sees it that leads it, whether it serves or was told not to.
    pub fn led(&self, manager: &str) -> Option<&QueueManagerStatus> {
        let found = self.managers.get(manager)?;
        (found.role == "active" || found.role == "ended").then_some(found)
    }

    /// The nodes that may have it beside whoever has it.
    fn not_given_back_by(&self, manager: &str, address: &str) -> Vec<&str> {
        let has = |status: &&StatusResponse| {
            let mut views = status.queue_managers.iter().filter(|view| view.name == manager);
            let is_kept = |one: &FloatingAddress| one.address == address && one.not_given_back;
            views.any(|view| view.addresses.iter().any(is_kept))
        };
        let answers = self.nodes.values().filter_map(|answer| answer.as_ref().ok());
        answers.filter(has).map(|status| status.node.as_str()).collect()
    }

    /// Floating addresses that the node may have beside whoever has them, also of queue managers that have them no more.
    pub fn not_given_back_by_node(&self, node: &str) -> Vec<&str> {
        let Some(Ok(status)) = self.nodes.get(node) else { return Vec::new() };
        let of_managers = status.queue_managers.iter().flat_map(|view| &view.addresses);
        let kept = of_managers.filter(|one| one.not_given_back).map(|one| one.address.as_str());
        kept.chain(status.addresses_not_given_back.iter().map(String::as_str)).collect()
    }

    /// The node that has the queue manager's first floating address.
    pub fn address_of(&self, manager: &str) -> Option<String> {
        let mut nodes = self.nodes.values().filter_map(|answer| answer.as_ref().ok());
        let has = |view: &QueueManagerStatus| {
            view.name == manager && view.addresses.first().is_some_and(|address| address.is_here)
        };
        nodes.find(|node| node.queue_managers.iter().any(has)).map(|node| node.node.clone())
    }

    pub fn what_is_wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for status in self.nodes.values().filter_map(|answer| answer.as_ref().ok()) {
            let sentence = |address| {
                format!(
                    "address {address}, which no queue manager has any more: {} {NOT_GIVEN_BACK}",
                    status.node
                )
            };
            wrong.extend(status.addresses_not_given_back.iter().map(sentence));
        }
        for manager in self.managers.values() {
            for floating in &manager.addresses {
                let nodes = self.not_given_back_by(&manager.name, &floating.address);
                let sentence =
                    |node| format!("{}: address {}: {node} {NOT_GIVEN_BACK}", manager.name, floating.address);
                wrong.extend(nodes.into_iter().map(sentence));
            }
            if is_ended(manager) {
                wrong.push(format!("{} was ended: `strmqm {}` starts it", manager.name, manager.name));
                continue;
            }
            if manager.role != "active" {
                let waits = if manager.waits.is_empty() { "" } else { ": " };
                let nobody = match manager.instances.iter().any(|instance| instance.reason == NOT_ASKED) {
                    true => "no node that was asked serves",
                    false => "nobody serves",
                };
                wrong.push(format!(
                    "{nobody} {}{waits}{}",
                    manager.name,
                    manager.waits.trim_end_matches('.')
                ));
                continue;
            }
            for floating in manager.addresses.iter().filter(|one| !one.is_here && !one.is_dry_run) {
                let place = place_of(floating, manager);
                wrong.push(format!("{}: address {} is {place}", manager.name, floating.address));
            }
            let live = format!("{}/{}", manager.quorum_live, manager.quorum_of);
            if manager.quorum_live < manager.quorum_of {
                wrong.push(format!("{}: quorum {live}", manager.name));
            }
            for instance in manager.instances.iter().filter(|instance| !instance.in_sync) {
                wrong.push(format!(
                    "{}: {} is not in sync ({})",
                    manager.name, instance.node, instance.reason
                ));
            }
            for instance in manager.instances.iter().filter(|instance| instance.in_maintenance) {
                let needed = why_it_is_needed(manager, &instance.node).filter(|_| instance.in_sync);
                let needed = needed
                    .map_or(String::new(), |why| format!(", and cannot be stopped without an outage: {why}"));
                wrong.push(format!("{}: {} is in maintenance{needed}", manager.name, instance.node));
            }
            for instance in manager.instances.iter().filter(|instance| instance.clock_off_seconds != 0.0) {
                let off_s = instance.clock_off_seconds;
                wrong
                    .push(format!("{}: the clock of {} is off by {off_s:.1} s", manager.name, instance.node));
            }
            wrong.extend(
                manager
                    .clocks_differ
                    .as_ref()
                    .map(|differ| format!("{}: {}", manager.name, clocks_differ(differ))),
            );
            for listener in manager.listeners.iter().filter(|listener| lacks_its_port(listener)) {
                wrong.push(format!(
                    "{}: listener {} is {}: {}",
                    manager.name,
                    listener.name,
                    listener.state,
                    listener.reason.trim_end_matches('.')
                ));
            }
            if !manager.puts_refused.is_empty() {
                wrong.push(format!("{}: puts are refused ({})", manager.name, manager.puts_refused));
            }
        }
        if self.managers.is_empty() {
            // What nodes that do not answer have is not known.
            let is_known = self.nodes.values().any(|node| node.is_ok());
            wrong.push(if is_known { NONE_THERE } else { "no node answers" }.to_string());
        }
        wrong
    }

    /// One line on how a queue manager is, for the demonstration.
    pub fn summary(&self) -> String {
        let Some((node, manager)) = self.active(None) else {
            return "nobody serves just now".to_string();
        };
        let in_sync = manager.instances.iter().filter(|instance| instance.in_sync).count();
        format!(
            "{} serves for {}, quorum {}/{}, {in_sync} of {} in sync, {} {}",
            node,
            output::duration(manager.serving_for_s),
            manager.quorum_live,
            manager.quorum_of,
            manager.instances.len(),
            manager.messages,
            plural(manager.messages, "message"),
        )
    }

    fn print(&self) {
        if !self.cluster.is_empty() {
            say!("Cluster {}", self.cluster);
        }
        for manager in self.managers.values() {
            self.print_manager(manager);
        }
        let silent: Vec<&String> =
            self.nodes.iter().filter(|(_, node)| node.is_err()).map(|(name, _)| name).collect();
        if !silent.is_empty() {
            if !self.cluster.is_empty() {
                say!("");
            }
            for name in silent {
                if let Some(Err(text)) = self.nodes.get(name) {
                    let text = text.strip_prefix(&format!("{name}: ")).unwrap_or(text);
                    match self.has_no_node_at(name) {
                        true => {
                            say!("No node of the cluster is at {name}: take it out of --connect ({text})")
                        }
                        false => say!("No answer from {name}: {text}"),
                    }
                }
            }
        }
        self.print_memory();
        if !self.warnings.is_empty() {
            say!("");
            self.warnings.iter().for_each(|warning| say!("Warning: {warning}"));
        }
    }

    /// Whether those that serve know of no node at this address: it may have been that of one that was replaced.
    fn has_no_node_at(&self, address: &str) -> bool {
        let mut managers = self.managers.values();
        let knows = |manager: &QueueManagerStatus| {
            manager.role != "active" || manager.instances.iter().any(|of| of.client_address == address)
        };
        !self.managers.is_empty() && !managers.any(knows)
    }

    /// What was ever held for clients, node by node.
    fn print_memory(&self) {
        let answers = self.nodes.values().filter_map(|node| node.as_ref().ok());
        let shares = answers.flat_map(|status| status.memory.iter().map(|share| (&status.node, share)));
        let rows: Vec<Vec<String>> = shares
            .filter(|(_, share)| share.peak_bytes > 0 || share.refused > 0)
            .map(|(node, share)| {
                let bytes = [share.used_bytes, share.share_bytes, share.peak_bytes].map(output::bytes);
                let [used, most, peak] = bytes;
                vec![format!("  {node}"), share.kind.clone(), used, most, peak, share.refused.to_string()]
            })
            .collect();
        if !rows.is_empty() {
            say!("");
            say!("Memory held for clients and other nodes");
            output::table(&["  NODE", "KIND", "USED", "SHARE", "PEAK", "REFUSED"], &rows);
        }
    }

    fn print_manager(&self, manager: &QueueManagerStatus) {
        say!("");
        say!("Queue manager {}", manager.name);
        if manager.role == "active" {
            say!(
                "  active on    {} at {}, for {}",
                manager.active_node,
                manager.active_address,
                output::duration(manager.serving_for_s)
            );
        } else if is_ended(manager) {
            say!("  active on    no node: it was ended, and `strmqm {}` starts it", manager.name);
        } else {
            say!("  active on    no node ({})", manager.role);
        }
        if manager.run_state() == RunState::Quiescing {
            say!(
                "  ends         when the last program has left; `endmqm -i {}` disconnects them",
                manager.name
            );
        }
        if !manager.waits.is_empty() {
            say!("  {}", manager.waits);
        }
        for floating in &manager.addresses {
            let place = place_of(floating, manager);
            let others = self.not_given_back_by(&manager.name, &floating.address).join(", ");
            let too = if others.is_empty() { String::new() } else { format!("; {others} {NOT_GIVEN_BACK}") };
            say!("  address      {} {place}{too}", floating.address);
        }
        for listener in &manager.listeners {
            let why = if lacks_its_port(listener) { format!(": {}", listener.reason) } else { String::new() };
            say!("  listener     {} on port {}, {}{why}", listener.name, listener.port, listener.state);
        }
        if !manager.preferred.is_empty() {
            let back = match manager.fail_back.as_str() {
                "" => "does not move back by itself".to_owned(),
                "now" => "moves back as soon as it can".to_owned(),
                within => format!("moves back {within} UTC"),
            };
            say!("  prefers      {}, and {back}", manager.preferred);
        }
        if manager.canary {
            say!("  canary       tries it each second, from every node that does not serve");
        }
        say!("  quorum       {}/{}", manager.quorum_live, manager.quorum_of);
        say!("  version      {}", manager.version);
        let queues = plural(manager.queues, "queue");
        if manager.role == "active" {
            say!(
                "  messages     {} on {} {queues}, {} that a failover would lose",
                manager.messages,
                manager.queues,
                manager.not_persistent
            );
            say!("  sessions     {}", manager.sessions);
        } else {
            say!(
                "  messages     not known while nobody serves; {} on {} {queues} up to entry {} of the log",
                manager.messages,
                manager.queues,
                manager.applied_index
            );
        }
        if !manager.dead_letter_queue.is_empty() {
            say!("  dead letters {}", manager.dead_letter_queue);
        }
        if !manager.puts_refused.is_empty() {
            say!("  puts refused {}", manager.puts_refused);
        }
        for instance in manager.instances.iter().filter(|instance| instance.in_maintenance) {
            let how = how_it_is(manager, &instance.node);
            say!("  maintenance  {} {how} (`trimaran node resume {}`)", instance.node, instance.node);
        }
        for instance in manager.instances.iter().filter(|instance| instance.clock_off_seconds != 0.0) {
            say!("  clock off    {} by {:.1} s", instance.node, instance.clock_off_seconds);
        }
        if let Some(differ) = &manager.clocks_differ {
            say!("  clocks       {}", clocks_differ(differ));
        }
        let rows: Vec<Vec<String>> =
            manager.instances.iter().map(|instance| self.instance_row(manager, instance)).collect();
        if !rows.is_empty() {
            say!("");
            output::table(&["  NODE", "ROLE", "IN SYNC", "BACKLOG", "ADDRESS"], &rows);
        }
    }

    fn instance_row(&self, manager: &QueueManagerStatus, instance: &InstanceStatus) -> Vec<String> {
        let active = manager.role == "active" && instance.node == manager.active_node;
        let own_view = match self.nodes.get(&instance.node) {
            Some(Ok(status)) => status.queue_managers.iter().find(|view| view.name == manager.name),
            _ => None,
        };
        let role = match own_view {
            _ if active => "active",
            Some(view) => view.role.as_str(),
            None if [NO_ANSWER, NOT_ASKED].contains(&instance.reason.as_str()) => "-",
            None if instance.voter => "replica",
            None => "joining",
        };
        let in_sync = if instance.in_sync { "yes".to_string() } else { format!("no: {}", instance.reason) };
        let backlog = if active || instance.backlog_bytes == 0 && instance.backlog_seconds < 1.0 {
            "-".to_string()
        } else {
            format!("{}, {:.1} s", output::bytes(instance.backlog_bytes), instance.backlog_seconds)
        };
        vec![
            format!("  {}", instance.node),
            role.to_string(),
            in_sync,
            backlog,
            instance.client_address.clone(),
        ]
    }

    fn as_json(&self) -> Value {
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|(name, node)| match node {
                Ok(status) => json!({
                    "node": name, "answers": true, "version": status.version, "uptime_s": status.uptime_s,
                    "memory": status.memory.iter().map(share_json).collect::<Vec<_>>(),
                    "roles": status.queue_managers.iter()
                        .map(|manager| (manager.name.clone(), json!(manager.role)))
                        .collect::<serde_json::Map<_, _>>(),
                }),
                Err(text) => json!({ "address": name, "answers": false, "error": text }),
            })
            .collect();
        let managers = self.managers.values().map(|manager| {
            let mut value = manager_json(manager);
            let addresses = manager.addresses.iter().map(|floating| {
                let kept_by = self.not_given_back_by(&manager.name, &floating.address);
                json!({
                    "address": floating.address, "held": floating.is_here && !floating.is_dry_run,
                    "dry_run": floating.is_dry_run, "not_given_back_by": kept_by,
                })
            });
            value["addresses"] = addresses.collect();
            value
        });
        let managers: Vec<Value> = managers.collect();
        json!({
            "cluster": self.cluster, "queue_managers": managers, "nodes": nodes, "warnings": self.warnings,
            "wrong": self.what_is_wrong(),
        })
    }
}

/// As whoever leads it sees it.
fn place_of(floating: &FloatingAddress, manager: &QueueManagerStatus) -> String {
    let place = match (floating.is_here, manager.role.as_str()) {
        (true, _) => format!("on {}", manager.active_node),
        (false, "active") => format!("not held by {}, which serves", manager.active_node),
        (false, _) => "on no node".to_owned(),
    };
    if floating.is_dry_run { format!("{place} (dry-run)") } else { place }
}

/// Where nobody leads, each node knows only of itself that its log lacks something; here all are seen together.
fn too_few_may_vote(manager: &QueueManagerStatus) -> Option<String> {
    let voters = || manager.instances.iter().filter(|instance| instance.voter);
    let recovering: Vec<&str> =
        voters().filter(|of| of.reason == "recovering").map(|of| of.node.as_str()).collect();
    let others = voters().filter(|of| of.reason != "recovering" && of.reason != NO_ANSWER).count();
    let is_for_all_of_them = voters().all(|of| of.reason != NO_ANSWER && of.reason != NOT_ASKED);
    let all = voters().count();
    (is_for_all_of_them && !recovering.is_empty() && others <= all / 2 && !manager.waits.starts_with("Waits for")).then(|| {
        format!(
            "{} of {all} nodes ({}) do not vote, because their logs lack entries, and the others are no majority. If that lasts \
             for more than a few seconds, `trimaran recover` says what each node has and what can be done.",
            recovering.len(),
            recovering.join(", ")
        )
    })
}

/// Whether a listener that should run does not.
pub fn is_ended(manager: &QueueManagerStatus) -> bool {
    matches!(manager.run_state(), RunState::EndedNormally | RunState::EndedImmediately)
}

fn lacks_its_port(listener: &ListenerStatus) -> bool {
    listener.state != "running" && !listener.reason.is_empty()
}

/// With two clocks nobody knows which is wrong, so none is accused.
fn clocks_differ(differ: &ClocksDiffer) -> String {
    let until = match differ.unheard_nodes.is_empty() {
        true => "a majority of clocks agrees".to_owned(),
        false => format!("the clock of {} is heard", differ.unheard_nodes.join(" or ")),
    };
    format!(
        "the clock of {} is {:.1} s ahead of the one of {}, and neither can be said to be right until {until}: look at both, and \
         start a time service (chrony) on every node",
        differ.ahead_node, differ.seconds, differ.behind_node
    )
}

fn share_json(share: &MemoryShare) -> Value {
    json!({
        "kind": share.kind, "used_bytes": share.used_bytes, "share_bytes": share.share_bytes,
        "peak_bytes": share.peak_bytes, "refused": share.refused,
    })
}

fn manager_json(manager: &QueueManagerStatus) -> Value {
    let mut sorted: Vec<&InstanceStatus> = manager.instances.iter().collect();
    sorted.sort_by(|left, right| left.node.cmp(&right.node));
    let instances: Vec<Value> = sorted
        .into_iter()
        .map(|instance| {
            json!({
                "node": instance.node, "id": instance.id, "voter": instance.voter, "in_sync": instance.in_sync,
                "reason": instance.reason, "backlog_bytes": instance.backlog_bytes,
                "backlog_entries": instance.backlog_entries, "backlog_seconds": instance.backlog_seconds,
                "clock_off_seconds": instance.clock_off_seconds, "oldest_version": instance.oldest_version,
                "newest_version": instance.newest_version, "in_maintenance": instance.in_maintenance, "peer_address": instance.peer_address, "client_address": instance.client_address,
            })
        })
        .collect();
    let listeners: Vec<Value> = manager
        .listeners
        .iter()
        .map(|listener| {
            json!({
                "listener": listener.name, "state": listener.state, "address": listener.address, "port": listener.port,
                "reason": listener.reason,
            })
        })
        .collect();
    let active = manager.role == "active";
    // Counts of a node that does not serve are those of the entries it happens to have.
    let counted = |count: u64| if active { json!(count) } else { Value::Null };
    json!({
        "queue_manager": manager.name, "served": active,
        "active_node": if active { json!(manager.active_node) } else { Value::Null },
        "active_address": if active { json!(manager.active_address) } else { Value::Null },
        "serving_for_s": manager.serving_for_s, "term": manager.term, "commit_index": manager.commit_index,
        "applied_index": manager.applied_index, "version": manager.version,
        "takeovers": (manager.version >= failover::SINCE).then_some(manager.takeovers), "quorum_live": manager.quorum_live, "quorum_of": manager.quorum_of,
        "queues": counted(manager.queues), "messages": counted(manager.messages),
        "not_persistent": counted(manager.not_persistent), "sessions": counted(manager.sessions),
        "dead_letter_queue": manager.dead_letter_queue,
        "clocks_differ": manager.clocks_differ.as_ref().map(|differ| json!({
            "ahead_node": differ.ahead_node, "behind_node": differ.behind_node, "seconds": differ.seconds,
            "unheard_nodes": differ.unheard_nodes,
        })),
        "puts_refused": manager.puts_refused, "instances": instances,
        "preferred": manager.preferred, "fail_back": manager.fail_back, "canary": manager.canary,
        "listeners": listeners, "waits": manager.waits, "run_state": manager.run_state().as_str_name().to_lowercase(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_a_node_could_not_give_back_is_said_to_be_on_two() {
        let status = |node: &str, role: &str, not_given_back: bool| {
            let floating = FloatingAddress {
                address: "10.0.0.50".into(),
                is_here: role == "active",
                not_given_back,
                ..Default::default()
            };
            let manager = QueueManagerStatus {
                name: "q".into(),
                role: role.into(),
                active_node: "a".into(),
                addresses: vec![floating],
                ..Default::default()
            };
            let status =
                StatusResponse { node: node.into(), queue_managers: vec![manager], ..Default::default() };
            (node.to_owned(), Ok(status))
        };
        let picture = |is_kept: bool| {
            Picture::of(&vec![status("a", "active", false), status("b", "replica", is_kept)], None)
        };
        assert_eq!(picture(false).what_is_wrong(), [""; 0]);
        let kept = picture(true);
        assert_eq!(
            kept.what_is_wrong(),
            ["q: address 10.0.0.50: b has not given it back, and two may have it"]
        );
        assert_eq!(
            (kept.not_given_back_by_node("a").len(), kept.not_given_back_by_node("b")),
            (0, vec!["10.0.0.50"])
        );
        let (address, answer) = view("c", "active", 8);
        let mut answer = answer.unwrap();
        answer.addresses_not_given_back.push("10.0.0.60".into());
        let former = Picture::of(&vec![(address, Ok(answer))], None);
        let wrong = former.what_is_wrong();
        assert!(
            wrong.contains(
                &"address 10.0.0.60, which no queue manager has any more: c has not given it back, and two may have it".into()
            ),
            "{wrong:?}"
        );
        assert_eq!(former.not_given_back_by_node("c"), ["10.0.0.60"]);
        let addresses = kept.as_json()["queue_managers"][0]["addresses"].clone();
        let expected =
            json!([{ "address": "10.0.0.50", "held": true, "dry_run": false, "not_given_back_by": ["b"] }]);
        assert_eq!(addresses, expected);
    }

    #[test]
    fn an_address_that_who_serves_does_not_have_is_wrong_unless_it_is_only_tried() {
        let wrong = |is_here, is_dry_run| {
            let (address, answer) = view("a", "active", 8);
            let mut answer = answer.unwrap();
            let manager = &mut answer.queue_managers[0];
            manager.instances[1].in_sync = true;
            let floating =
                FloatingAddress { address: "10.0.0.50".into(), is_here, is_dry_run, ..Default::default() };
            manager.addresses = vec![floating];
            Picture::of(&vec![(address, Ok(answer))], None).what_is_wrong()
        };
        assert_eq!(wrong(false, false), ["q: address 10.0.0.50 is not held by a, which serves"]);
        for (is_here, is_dry_run) in [(true, false), (true, true), (false, true)] {
            assert_eq!(wrong(is_here, is_dry_run), [""; 0]);
        }
    }

    #[test]
    fn an_address_of_a_dry_run_is_said_to_be_one() {
        let manager =
            QueueManagerStatus { role: "active".into(), active_node: "a".into(), ..Default::default() };
        let floating = |is_dry_run| FloatingAddress { is_here: true, is_dry_run, ..Default::default() };
        assert_eq!(place_of(&floating(true), &manager), "on a (dry-run)");
        assert_eq!(place_of(&floating(false), &manager), "on a");
    }

    #[test]
    fn a_certificate_that_expires_soon_is_warned_of() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let said =
            |hours: u64| expires_soon(Path::new("joe.pem"), now + Duration::from_secs(hours * 3600), now);
        assert_eq!(said(14 * 24), None);
        for (hours, when) in [(5, "in less than a day:"), (30, "in 1 day:"), (13 * 24, "in 13 days:")] {
            let text = said(hours).unwrap();
            assert!(text.starts_with("your certificate joe.pem expires ") && text.contains(when), "{text}");
        }
    }

    fn view(node: &str, role: &str, term: u64) -> (String, Result<StatusResponse, Error>) {
        let instance = |name: &str, in_sync| InstanceStatus {
            node: name.into(),
            voter: true,
            in_sync,
            reason: if in_sync { "".into() } else { "catching up".into() },
            ..Default::default()
        };
        let manager = QueueManagerStatus {
            name: "q".into(),
            role: role.into(),
            term,
            active_node: "a".into(),
            quorum_live: 2,
            quorum_of: 2,
            instances: vec![instance("a", true), instance("b", false)],
            voters: vec!["b".into(), "c".into()],
            ..Default::default()
        };
        let status = StatusResponse {
            cluster: "demo".into(),
            node: node.into(),
            queue_managers: vec![manager],
            memory: vec![MemoryShare {
                kind: "units".into(),
                used_bytes: 7,
                peak_bytes: 9,
                ..Default::default()
            }],
            ..Default::default()
        };
        (format!("{node}:1"), Ok(status))
    }

    #[test]
    fn the_active_node_is_believed_before_a_replica() {
        let picture = Picture::of(&vec![view("b", "replica", 9), view("a", "active", 8)], None);
        assert_eq!(picture.active(None).unwrap().0, "a");
        assert_eq!(picture.active(Some("other")).map(|(node, _)| node), None);
        assert_eq!(picture.what_is_wrong(), ["q: b is not in sync (catching up)"]);
    }

    #[test]
    fn two_clocks_that_differ_are_both_named_and_neither_is_accused() {
        let (address, answer) = view("a", "active", 8);
        let mut answer = answer.unwrap();
        let manager = &mut answer.queue_managers[0];
        manager.instances[1].in_sync = true;
        manager.clocks_differ = Some(ClocksDiffer {
            ahead_node: "a".into(),
            behind_node: "b".into(),
            seconds: 86_400.0,
            unheard_nodes: vec!["c".into()],
        });
        let picture = Picture::of(&vec![(address, Ok(answer))], None);
        let wrong = picture.what_is_wrong();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].starts_with(
                "q: the clock of a is 86400.0 s ahead of the one of b, and neither can be said to be right until the clock of c is \
                 heard:"
            ),
            "{wrong:?}"
        );
        assert_eq!(picture.as_json()["queue_managers"][0]["clocks_differ"]["seconds"], 86_400.0);
    }

    #[test]
    fn a_replica_leads_to_the_node_that_serves() {
        let (_, replica) = view("b", "replica", 9);
        let mut replica = replica.unwrap();
        replica.queue_managers[0].instances.truncate(1);
        replica.queue_managers[0].instances[0].client_address = "b:1".into();
        replica.queue_managers[0].active_address = "d:1".into();
        assert_eq!(known_addresses(&replica).collect::<Vec<_>>(), ["b:1", "d:1"]);
        let names = queue_managers(&vec![view("b", "replica", 9)]);
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["q"]);
    }

    #[test]
    fn a_refusal_that_all_nodes_agree_on_is_said_once() {
        let refused = |reason| {
            let text = "no".to_string();
            ("a:1".to_string(), Err(Error::Refused { code: 2, reason, name: "", text }))
        };
        let (no_user, broken) = (reason::NOT_AUTHORIZED, reason::CONNECTION_BROKEN);
        let one = |reasons: &[u32]| {
            let answers: Answers = reasons.iter().map(|reason| refused(*reason)).collect();
            one_refusal(&answers).and_then(|error| error.reason())
        };
        assert_eq!(one(&[no_user, no_user, no_user]), Some(no_user));
        assert_eq!(one(&[broken, no_user]), Some(no_user), "who could be reached said so");
        assert_eq!(one(&[broken, broken]), None);
        assert_eq!(one(&[no_user, reason::MAX_CONNS_LIMIT_REACHED]), None);
    }

    #[test]
    fn a_queue_manager_that_nobody_has_is_refused_as_a_connection_to_it_is() {
        let answers = vec![view("b", "replica", 9), ("c:1".to_string(), Err(Error::Closed))];
        let lacks = |name: &str| Picture::of(&answers, Some(name)).lacks(name, &queue_managers(&answers));
        assert!(lacks("q").is_none());
        let refused = lacks("Q").expect("names are case-sensitive");
        assert_eq!(refused.reason(), Some(reason::Q_MGR_NAME_ERROR));
        let text = refused.to_string();
        assert!(text.contains("a queue manager Q; they have q; 1 address does not answer."), "{text}");
    }

    #[test]
    fn an_address_that_no_node_has_any_more_is_told_from_a_node_that_does_not_answer() {
        let (address, active) = view("a", "active", 8);
        let mut active = active.unwrap();
        active.queue_managers[0].instances[1].client_address = "b:1".into();
        let answers = vec![
            (address, Ok(active)),
            ("b:1".to_string(), Err(Error::Closed)),
            ("c:1".to_string(), Err(Error::Closed)),
        ];
        let picture = Picture::of(&answers, None);
        assert_eq!(["b:1", "c:1"].map(|address| picture.has_no_node_at(address)), [false, true]);
        let nobody_serves = Picture::of(&vec![view("b", "replica", 9)], None);
        assert!(!nobody_serves.has_no_node_at("c:1"), "who does not serve does not know all");
    }

    /// A node that does not serve, and speaks for itself only.
    fn alone(node: &str, voter: bool, reason: &str) -> (String, Result<StatusResponse, Error>) {
        let (address, answer) = view(node, "recovering", 1);
        let mut answer = answer.unwrap();
        let manager = &mut answer.queue_managers[0];
        manager.instances.truncate(1);
        let own = &mut manager.instances[0];
        (own.node, own.voter, own.reason) = (node.into(), voter, reason.into());
        own.in_sync = reason.is_empty();
        manager.voters = ["a", "b", "c"].map(String::from).into();
        (address, Ok(answer))
    }

    #[test]
    fn where_too_many_logs_are_damaged_status_says_so_and_names_the_way_out() {
        let of = |reasons: [&str; 3]| {
            let nodes = ["a", "b", "c"].into_iter().zip(reasons);
            Picture::of(&nodes.map(|(node, reason)| alone(node, true, reason)).collect(), None)
        };
        let wrong = of(["", "recovering", "recovering"]).what_is_wrong();
        assert!(wrong[0].starts_with("nobody serves q: 2 of 3 nodes (b, c) do not vote"), "{wrong:?}");
        assert!(wrong[0].contains("`trimaran recover`"), "{wrong:?}");
        assert_eq!(
            of(["", "", "recovering"]).what_is_wrong(),
            ["nobody serves q"],
            "an election takes no time"
        );
    }

    #[test]
    fn a_node_that_was_not_added_does_not_say_that_the_others_do_not_answer() {
        let picture = Picture::of(&vec![alone("d", false, "nobody leads")], None);
        let instances = &picture.managers["q"].instances;
        let told: Vec<_> = instances.iter().map(|of| (of.node.as_str(), of.reason.as_str())).collect();
        assert_eq!(told, [("a", "not asked"), ("b", "not asked"), ("c", "not asked"), ("d", "nobody leads")]);
        assert_eq!(picture.what_is_wrong(), ["no node that was asked serves q"]);
    }

    #[test]
    fn a_listener_without_its_port_is_wrong_and_says_why() {
        let (address, answer) = view("a", "active", 8);
        let mut answer = answer.unwrap();
        let manager = &mut answer.queue_managers[0];
        manager.instances[1].in_sync = true;
        let listener = |name: &str, state: &str, reason: &str| ListenerStatus {
            name: name.into(),
            state: state.into(),
            reason: reason.into(),
            ..Default::default()
        };
        manager.listeners = vec![
            listener("L1", "running", "As the file says."),
            listener("L2", "stopped", "Because."),
            listener("L3", "stopped", ""),
        ];
        let picture = Picture::of(&vec![(address, Ok(answer))], None);
        assert_eq!(picture.what_is_wrong(), ["q: listener L2 is stopped: Because"]);
        assert_eq!(picture.as_json()["queue_managers"][0]["listeners"][1]["reason"], "Because.");
        assert_eq!(
            picture.as_json()["queue_managers"][0]["takeovers"],
            Value::Null,
            "version 0 does not count them"
        );
    }

    #[test]
    fn of_nodes_that_do_not_answer_nobody_knows_what_they_have() {
        let dead = ("c:1".to_string(), Err(Error::Closed));
        assert_eq!(Picture::of(&vec![dead.clone()], None).as_json()["wrong"], json!(["no node answers"]));
        let (address, answer) = view("a", "active", 8);
        let empty = StatusResponse { queue_managers: Vec::new(), ..answer.unwrap() };
        let picture = Picture::of(&vec![(address, Ok(empty)), dead], None);
        assert_eq!(picture.what_is_wrong(), [NONE_THERE]);
    }

    #[test]
    fn a_cluster_without_an_active_node_is_wrong() {
        let dead = ("c:1".to_string(), Err(Error::Closed));
        let picture = Picture::of(&vec![view("b", "replica", 9), dead], None);
        assert!(picture.active(None).is_none());
        assert_eq!(picture.what_is_wrong(), ["nobody serves q"]);
        let instances = &picture.managers["q"].instances;
        let told: Vec<_> = instances.iter().map(|of| (of.node.as_str(), of.reason.as_str())).collect();
        assert_eq!(told, [("b", "catching up"), ("c", "no answer")]);
        assert_eq!(picture.as_json()["nodes"][0]["answers"], true);
        let memory = &picture.as_json()["nodes"][0]["memory"][0];
        assert_eq!((&memory["kind"], &memory["peak_bytes"]), (&json!("units"), &json!(9)));
    }
}
