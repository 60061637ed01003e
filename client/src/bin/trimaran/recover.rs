//! `recover`: too many logs are damaged for an election; a person decides to go on with the best one.
//!
//! Every node that is left is asked how far its log goes. What is printed before anything is done: which node has
//! most, and which entries may be lost with the others. Entries that a majority never acknowledged were never
//! acknowledged to a client either, so the loss ends where the majority's promises end.
//!
//! A leader may live and not serve, because the others lost their logs and what they acknowledge commits nothing: then it
//! is the best one, and vouches for them. Only where a node serves there is nothing to do.
//!
//! Where every node lost its log and its message store, and notes beside them may be all that is left, there is no best log:
//! copies of the directories are put back, or a person decides to begin anew.

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal, Write},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::{Value, json};
use trimaran_client::{QueueManagerStatus, RecoverRequest};

use crate::{
    arguments::{Global, RecoverArgs},
    output::{Failure, Outcome, patiently},
    say, status,
    talk::plural,
};

/// One node that answers, for one queue manager.
#[derive(Clone)]
struct NodeCopy {
    node: String,
    address: String,
    view: QueueManagerStatus,
}

impl NodeCopy {
    /// Each node knows its own.
    fn id(&self) -> u64 {
        let own = self.view.instances.iter().find(|instance| instance.node == self.node);
        own.map_or(0, |instance| instance.id)
    }

    fn end(&self) -> (u64, u64) {
        (self.view.last_term, self.view.last_index)
    }

    /// Neither its log nor its message store has anything: both are lost, or it is new.
    fn has_nothing(&self) -> bool {
        self.view.last_index <= 1
    }

    /// The highest entry that it knows to have acknowledged; None where it may have forgotten.
    fn promise(&self) -> Option<u64> {
        self.view.acknowledged_index.filter(|index| !self.has_nothing() || *index > 1)
    }

    /// Nothing is missing that it acknowledged.
    fn has_all(&self) -> bool {
        self.view.acknowledged_index.is_some_and(|index| index <= self.view.last_index)
    }

    /// What it says of itself while nobody leads.
    fn has_another_history(&self) -> bool {
        self.view
            .instances
            .iter()
            .any(|instance| instance.node == self.node && instance.reason.starts_with(OTHER_HISTORY))
    }

    fn as_line(&self) -> String {
        let (term, index) = self.end();
        let what = match self.view.acknowledged_index {
            Some(acknowledged) if self.has_nothing() && acknowledged > 1 => format!(
                "has nothing that it can use, and acknowledged entries up to {acknowledged}: its log or its message store is gone or \
                 damaged, and its error log says which"
            ),
            _ if self.has_nothing() => "has nothing: it is new, or lost its disk".to_owned(),
            None => format!(
                "has entries up to {index} of term {term}; what it acknowledged nobody knows, because its mark was lost or is \
                 older than its message store, or it began with empty disks and has not caught up since"
            ),
            Some(acknowledged) if acknowledged > index => format!(
                "has entries up to {index} of term {term}, and acknowledged up to {acknowledged}: its log is damaged"
            ),
            Some(_) => format!("has entries up to {index} of term {term}, all that it ever acknowledged"),
        };
        match self.has_another_history() {
            true => format!(
                "{what}. It has another history than a leader had: its error log says from which entry on"
            ),
            false => what,
        }
    }
}

/// Nodes that have what the one that serves does not have.
fn other_histories(serving: &QueueManagerStatus) -> Vec<String> {
    let parted = serving.instances.iter().filter(|instance| instance.reason.starts_with(OTHER_HISTORY));
    let sentence = |node: &str| {
        format!(
            "{node} has another history and counts for nothing; its error log says from which entry on. To give up what \
             only it has, stop it, move its directories away, keep them, and start it empty."
        )
    };
    parted.map(|instance| sentence(&instance.node)).collect()
}

/// What is left of one queue manager, and what going on with it costs.
struct Plan {
    name: String,
    copies: Vec<NodeCopy>,
    best: usize,
    /// Who leads and does not serve, if somebody does.
    leader: Option<String>,
    /// Voters that do not answer.
    silent: Vec<String>,
    loss: Loss,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    Nothing,
    /// Entries from `first` on; not behind `last` when that is known.
    Entries {
        first: u64,
        last: Option<u64>,
    },
}

/// How the reason of an instance begins that a person must decide about.
const OTHER_HISTORY: &str = "has another history";

pub async fn run(global: &Global, args: RecoverArgs) -> Outcome {
    let answers = patiently("asking the nodes", status::ask(global)).await?;
    status::check_answered(&answers)?;
    let mut plans = Vec::new();
    let mut names = status::queue_managers(&answers);
    names.retain(|name| global.queue_manager.as_ref().is_none_or(|only| only == name));
    if names.is_empty() {
        let name = global.queue_manager.as_deref().unwrap_or("at all");
        return Err(Failure::Check(format!(
            "no node that answers has a queue manager {name}; `trimaran status` shows them"
        )));
    }
    for name in names {
        let mut copies = Vec::new();
        for (address, answer) in &answers {
            let Ok(status) = answer else { continue };
            let view = status.queue_managers.iter().find(|manager| manager.name == name);
            copies.extend(view.map(|view| NodeCopy {
                node: status.node.clone(),
                address: address.clone(),
                view: view.clone(),
            }));
        }
        match copies.iter().find(|copy| copy.view.role == "active") {
            Some(copy) if global.json => {
                say!(
                    "{}",
                    json!({ "queue_manager": name, "active_node": copy.view.active_node, "needed": false })
                )
            }
            Some(copy) => {
                let parted = other_histories(&copy.view);
                let active = &copy.view.active_node;
                match parted.is_empty() {
                    true => say!("{name} is served by {active}: nothing has to be given up."),
                    false => say!("{name} is served by {active}, and goes on without a decision. But:"),
                }
                parted.iter().for_each(|sentence| say!("{sentence}"));
            }
            None => plans.extend(Plan::of(name, copies)),
        }
    }
    let unknown = |node: &&String| !plans.is_empty() && plans.iter().all(|plan| !plan.knows(node));
    if let Some(stranger) = args.without.iter().find(unknown) {
        let voters: BTreeSet<String> =
            plans.iter().flat_map(|plan| plan.copies[plan.best].view.voters.clone()).collect();
        return Err(Failure::Check(format!(
            "--without {stranger}: there is no node of that name; the nodes that vote are {}",
            Vec::from_iter(voters).join(", ")
        )));
    }
    let answering: BTreeSet<&str> =
        answers.iter().filter_map(|(_, answer)| Some(answer.as_ref().ok()?.node.as_str())).collect();
    for plan in plans {
        plan.check_known(&answering)?;
        plan.check(&args)?;
        match global.json {
            true => say!("{}", plan.as_json()),
            false => plan.show(),
        }
        plan.confirm(global, &args)?;
        plan.carry_out(global, args.begin_anew).await?;
    }
    Ok(())
}

impl Plan {
    fn of(name: String, copies: Vec<NodeCopy>) -> Option<Plan> {
        let leader = copies.iter().map(|copy| &copy.view.active_node).find(|node| !node.is_empty()).cloned();
        let leads = leader.as_ref().and_then(|leader| copies.iter().position(|copy| copy.node == *leader));
        // Whoever leads has everything that was committed before.
        let rank = |place: &usize| (copies[*place].end(), copies[*place].has_all());
        let best = leads.or_else(|| (0..copies.len()).max_by_key(rank))?;
        // The best node's word on who votes: it has applied most.
        let voters: BTreeSet<&String> = copies[best].view.voters.iter().collect();
        let answering = |voter: &str| copies.iter().any(|copy| copy.node == voter);
        let silent = voters.iter().filter(|voter| !answering(voter)).map(|voter| voter.to_string()).collect();
        let promises: Vec<Option<u64>> = voters
            .iter()
            .map(|voter| copies.iter().find(|copy| copy.node == **voter).and_then(NodeCopy::promise))
            .collect();
        let loss = loss(&promises, copies[best].view.last_index);
        Some(Plan { name, copies, best, leader, silent, loss })
    }

    /// Voters that answer and whose word counts.
    fn able(&self) -> usize {
        let voters = &self.copies[self.best].view.voters;
        self.copies
            .iter()
            .filter(|copy| voters.contains(&copy.node) && copy.view.role != "recovering")
            .count()
    }

    /// A node that lost its disk knows those queue managers that its cluster file names; of those that were created the records tell it.
    fn check_known(&self, answering: &BTreeSet<&str>) -> Outcome {
        let strangers: Vec<&str> =
            self.silent.iter().map(String::as_str).filter(|node| answering.contains(node)).collect();
        if strangers.is_empty() {
            return Ok(());
        }
        let (verbs, cluster) = match strangers.len() {
            1 => ("answers, and has", trimaran_client::CLUSTER),
            _ => ("answer, and have", trimaran_client::CLUSTER),
        };
        Err(Failure::Check(format!(
            "{} {verbs} nothing of {}, not even its name: the records of {cluster} say which queue managers were created.              First `trimaran recover -m {cluster}`, where nobody leads it; then say this again",
            strangers.join(" and "),
            self.name
        )))
    }

    fn check(&self, args: &RecoverArgs) -> Outcome {
        let best = &self.copies[self.best];
        let voters = best.view.voters.len();
        match &self.leader {
            Some(leader) if *leader != best.node => {
                return Err(Failure::Check(format!(
                    "{leader} leads {}, does not serve, and does not answer: name it with --connect; or, if it hangs, stop \
                     it, and say this again",
                    self.name
                )));
            }
            Some(leader) if status::is_ended(&best.view) => {
                return Err(Failure::Check(format!(
                    "{leader} leads {name}, which was ended: nothing has to be given up, and `strmqm {name}` starts it",
                    name = self.name
                )));
            }
            Some(leader) if self.able() > voters / 2 => {
                return Err(Failure::Check(format!(
                    "{leader} leads {} and does not serve yet. {} of {voters} voters can confirm it, so nothing has to be \
                     given up: wait a moment and look with `trimaran status`",
                    self.name,
                    self.able()
                )));
            }
            _ => {}
        }
        let unnamed: Vec<&str> =
            self.silent.iter().filter(|node| !args.without.contains(node)).map(String::as_str).collect();
        if !unnamed.is_empty() {
            let (names, without) = (unnamed.join(" and "), unnamed.join(" --without "));
            return Err(Failure::Check(match unnamed.len() {
                1 => format!(
                    "{names} does not answer, and may have more than the others. Start it; or, if it is lost for good, name it \
                     with --without {without} and never start it again with the files it has"
                ),
                _ => format!(
                    "{names} do not answer, and may have more than the others. Start them; or, if they are lost for good, name \
                     them with --without {without} and never start them again with the files they have"
                ),
            }));
        }
        for copy in &self.copies {
            let has_history = copy.node != best.node && !copy.has_nothing();
            if has_history && copy.has_another_history() != best.has_another_history() {
                return Err(Failure::Check(another_history(copy, best)));
            }
            let is_outside = !best.view.voters.contains(&copy.node) && copy.view.role != "removed";
            if is_outside && !args.without.contains(&copy.node) {
                return Err(Failure::Check(format!(
                    "{} runs {}, and does not vote by what {} has: it was never added, or {} is from before it was, and may have been \
                     removed since. Start the nodes that voted with it; or, to go on with what {} has all the same, name it with \
                     --without {}",
                    copy.node, self.name, best.node, best.node, best.node, copy.node
                )));
            }
        }
        match (best.has_nothing(), args.begin_anew) {
            (true, false) => return Err(Failure::Check(self.ways_out())),
            (false, true) => {
                return Err(Failure::Check(format!(
                    "{} has entries of {} up to {}, and --begin-anew would give them up: say this again without it",
                    best.node, self.name, best.view.last_index
                )));
            }
            _ => {}
        }
        let answering = voters - self.silent.len();
        if answering <= voters / 2 {
            return Err(Failure::Check(format!(
                "{answering} of {voters} voters of {} answer: start more of them, empty ones if they lost their \
                 disks, so that a majority can elect {}",
                self.name, best.node
            )));
        }
        Ok(())
    }

    /// Whether a node of that name votes by what the best one has, or answers.
    fn knows(&self, node: &String) -> bool {
        self.copies[self.best].view.voters.contains(node) || self.copies.iter().any(|copy| copy.node == *node)
    }

    /// What a person can do where no node that answers has anything.
    fn ways_out(&self) -> String {
        let name = &self.name;
        let remembers = |copy: &NodeCopy| copy.promise().map(|index| format!("{} up to {index}", copy.node));
        let remember: Vec<String> = self.copies.iter().filter_map(remembers).collect();
        let what = match remember.is_empty() {
            true => format!(
                "no node that answers has anything of {name}, or remembers that it had. New nodes begin by themselves when all of \
                 {} are there: start those that are missing. If they had something and lost it, there are two ways out",
                self.copies[self.best].view.voters.join(", ")
            ),
            false => format!(
                "no node that answers has anything of {name} left: the logs are gone, nothing is in the message stores, and only the \
                 notes beside them remember entries ({}). What was acknowledged, all messages and definitions, is gone with them, unless \
                 there are copies. There are two ways out",
                remember.join(", ")
            ),
        };
        format!(
            "{what}. To get it back: stop all nodes, put copies of the log and the data directory of as many \
             nodes as you can in their places (both of one node from the same moment; what a node set aside lies there as \
             engine.damaged-N and store.damaged-N), start all nodes, and say this again. To give it up: say this again with \
             --begin-anew --confirm {name}, and it begins empty on the nodes of the cluster files"
        )
    }

    fn show(&self) {
        let best = &self.copies[self.best];
        match &self.leader {
            None => say!("Queue manager {}: nobody leads.", self.name),
            Some(leader) => say!(
                "Queue manager {}: {leader} leads and does not serve. The others lost what they had, and nobody but you can say \
                 that {leader} was not replaced meanwhile.",
                self.name
            ),
        }
        self.copies.iter().for_each(|copy| say!("  {:12} {}", copy.node, copy.as_line()));
        self.silent.iter().for_each(|node| say!("  {node:12} does not answer, and is given up"));
        say!("");
        if best.has_nothing() {
            say!("To begin anew, with nothing:");
            say!("  LOST: all messages and all definitions of {}, whatever was acknowledged.", self.name);
            say!(
                "  Programs that repeat a put, or ask for an outcome, find a queue manager that knows nothing of it."
            );
            return;
        }
        say!("To go on with what {} has:", best.node);
        match self.loss {
            Loss::Nothing => {
                say!("  nothing is lost: a majority never acknowledged more than {} has.", best.node);
                return;
            }
            Loss::Entries { first, last: Some(last) } => {
                let which = match last - first {
                    0 => format!("entry {last}"),
                    more => format!("entries {first} to {last}, which are {} entries", more + 1),
                };
                say!(
                    "  LOST, if committed: {which}. An entry holds what one turn of the leader had to say: up to some hundred \
                     puts, gets and commits."
                );
            }
            Loss::Entries { first, last: None } => say!(
                "  LOST, if committed: all entries from {first} on. How many there are nobody knows: nodes \
                 that had them lost their disks or marks, or do not answer."
            ),
        }
        say!(
            "  What was got may come back, what was put may be gone, and repeated puts may be stored twice."
        );
    }

    /// What `show` says. `lost_last` is null when nobody knows how far the loss goes.
    fn as_json(&self) -> Value {
        let node = |copy: &NodeCopy| {
            let (term, index) = copy.end();
            json!({
                "node": copy.node,
                "last_term": term,
                "last_index": index,
                "acknowledged_index": copy.view.acknowledged_index,
                "blank": copy.has_nothing(),
                "another_history": copy.has_another_history(),
            })
        };
        let mut value = json!({
            "queue_manager": self.name,
            "needed": true,
            "best_node": self.copies[self.best].node,
            "begins_anew": self.copies[self.best].has_nothing(),
            "leader": self.leader,
            "nodes": self.copies.iter().map(node).collect::<Vec<_>>(),
            "given_up": self.silent,
            "lost": self.loss != Loss::Nothing,
        });
        if let Loss::Entries { first, last } = self.loss {
            value["lost_first"] = json!(first);
            value["lost_last"] = json!(last);
        }
        value
    }

    fn confirm(&self, global: &Global, args: &RecoverArgs) -> Outcome {
        if let Some(confirmed) = &args.confirm {
            return match *confirmed == self.name {
                true => Ok(()),
                false => Err(Failure::Check(format!(
                    "--confirm {confirmed} is not {}: nothing was done",
                    self.name
                ))),
            };
        }
        if global.json || !std::io::stdin().is_terminal() {
            return Err(Failure::Check(format!(
                "nothing was done: to accept this, say it again with --confirm {}",
                self.name
            )));
        }
        print!("Type the name of the queue manager to accept this: ");
        let _ = std::io::stdout().flush();
        let mut typed = String::new();
        let _ = std::io::stdin().lock().read_line(&mut typed);
        match typed.trim() == self.name {
            true => Ok(()),
            false => Err(Failure::Check("nothing was done".into())),
        }
    }

    async fn carry_out(&self, global: &Global, begins_anew: bool) -> Outcome {
        let best = &self.copies[self.best];
        let (last_term, last_index) = best.end();
        let mut term = self.copies.iter().map(|copy| copy.view.term).max().unwrap_or_default();
        if begins_anew {
            // No copy of what was given up may look like a part of what begins now: its terms are behind all that there were.
            term += SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        }
        let request = RecoverRequest {
            queue_manager: self.name.clone(),
            from_node: best.node.clone(),
            last_term,
            last_index,
            term,
            from_id: best.id(),
        };
        let tls = global.tls()?;
        // Those that vote first, so that the best one is heard.
        let others = (0..self.copies.len()).filter(|place| *place != self.best);
        for place in others.chain([self.best]) {
            let address = &self.copies[place].address;
            let asked = trimaran_client::recover(address, tls.as_ref(), request.clone(), global.patience());
            patiently("telling the nodes", asked).await?;
            if !global.json {
                let node = &self.copies[place].node;
                match (&self.leader, place == self.best) {
                    (None, true) => say!("{node} stands for election with what it has."),
                    (None, false) => say!("{node} may vote for {}.", best.node),
                    (Some(_), true) => say!("{node} goes on leading."),
                    (Some(_), false) => say!("{node} counts for {} again.", best.node),
                }
            }
        }
        let begun = Instant::now();
        let serves = async {
            loop {
                let answers = status::ask(global).await?;
                let picture = status::Picture::of(&answers, Some(&self.name));
                // It may have been ended before: then it is led, and served again when somebody starts it.
                if let Some(led) = picture.led(&self.name) {
                    return Ok::<_, Failure>((led.active_node.clone(), status::is_ended(led)));
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let serves = tokio::time::timeout(global.patience().max(Duration::from_secs(15)), serves);
        match patiently("waiting for the node to serve", serves).await {
            Ok(led) => {
                let ((node, is_ended), ms) = (led?, begun.elapsed().as_millis() as u64);
                let name = &self.name;
                match (global.json, is_ended) {
                    (true, _) => say!(
                        "{}",
                        json!({ "ok": true, "queue_manager": name, "active_node": node, "ended": is_ended, "ms": ms })
                    ),
                    (false, true) => {
                        say!(
                            "{name} is whole again after {ms} ms. It was ended before: `strmqm {name}` starts it."
                        );
                    }
                    (false, false) => say!("{name} is served by {node} now, after {ms} ms."),
                }
                Ok(())
            }
            Err(_) => {
                let silent = self.silent.len();
                Err(Failure::Check(format!(
                    "nobody serves {} yet, with {silent} {} silent; look with `trimaran status`, and say this again \
                     if it stays so",
                    self.name,
                    plural(silent as u64, "voter")
                )))
            }
        }
    }
}

/// One of the two has what the other does not have, and only a person knows which is to go on.
fn another_history(one: &NodeCopy, other: &NodeCopy) -> String {
    let (parted, other) = if one.has_another_history() { (one, other) } else { (other, one) };
    format!(
        "{} has another history than {}: both have entries that the other does not have, and the error log of {} says from which \
         entry on. To give up what only {} has, stop it, move its directories away, keep them, start it empty, and say this again. To \
         keep that, do so with the others",
        parted.node, other.node, parted.node, parted.node
    )
}

/// `promises`: the highest entry each voter ever acknowledged, None where nobody knows. What a majority acknowledged
/// may have been committed.
fn loss(promises: &[Option<u64>], best: u64) -> Loss {
    let mut highest: Vec<u64> = promises.iter().map(|promise| promise.unwrap_or(u64::MAX)).collect();
    highest.sort_unstable_by(|a, b| b.cmp(a));
    let majority = promises.len() / 2 + 1;
    match highest.get(majority - 1) {
        Some(last) if *last <= best => Loss::Nothing,
        Some(&u64::MAX) | None => Loss::Entries { first: best + 1, last: None },
        Some(last) => Loss::Entries { first: best + 1, last: Some(*last) },
    }
}

#[cfg(test)]
mod tests {
    use trimaran_client::InstanceStatus;

    use super::*;

    #[test]
    fn the_loss_ends_where_the_promises_of_a_majority_end() {
        // Nobody knows what two of them acknowledged: their marks were lost, or they are blank.
        assert_eq!(loss(&[None, None, Some(10)], 10), Loss::Entries { first: 11, last: None });
        // Two acknowledged 12, so it may have been committed; the best has 10.
        assert_eq!(loss(&[Some(12), Some(12), Some(5)], 10), Loss::Entries { first: 11, last: Some(12) });
        // One alone acknowledged more: no client was told.
        assert_eq!(loss(&[Some(12), Some(10), Some(5)], 10), Loss::Nothing);
        assert_eq!(loss(&[Some(12), Some(10), None], 10), Loss::Entries { first: 11, last: Some(12) });
        assert_eq!(loss(&[Some(10), None, None], 10), Loss::Entries { first: 11, last: None });
        assert_eq!(
            loss(&[Some(10), Some(10), None, None, Some(11)], 10),
            Loss::Entries { first: 11, last: Some(11) }
        );
    }

    fn copy(node: &str, role: &str, active_node: &str, last_index: u64) -> NodeCopy {
        let view = QueueManagerStatus {
            name: "q".into(),
            role: role.into(),
            active_node: active_node.into(),
            last_index,
            last_term: 3,
            acknowledged_index: Some(last_index),
            voters: ["a", "b", "c"].map(String::from).to_vec(),
            ..Default::default()
        };
        NodeCopy { node: node.into(), address: format!("{node}:1"), view }
    }

    fn args() -> RecoverArgs {
        RecoverArgs { from_best: true, without: Vec::new(), begin_anew: false, confirm: None }
    }

    fn refusal(copies: Vec<NodeCopy>) -> String {
        let plan = Plan::of("q".into(), copies).unwrap();
        match plan.check(&args()) {
            Err(Failure::Check(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_leader_that_does_not_serve_is_the_best_when_the_others_lost_what_they_had() {
        let copies = vec![
            copy("a", "recovering", "c", 12),
            copy("b", "recovering", "c", 1),
            copy("c", "no-quorum", "c", 11),
        ];
        let plan = Plan::of("q".into(), copies).unwrap();
        assert_eq!(plan.copies[plan.best].node, "c");
        assert!(plan.check(&args()).is_ok());
    }

    #[test]
    fn nothing_is_given_up_while_a_majority_can_still_serve_or_the_leader_is_silent() {
        let text = refusal(vec![
            copy("a", "replica", "c", 12),
            copy("b", "recovering", "c", 1),
            copy("c", "no-quorum", "c", 12),
        ]);
        assert!(text.contains("2 of 3 voters can confirm it"), "{text}");
        let text = refusal(vec![copy("a", "recovering", "c", 12), copy("b", "recovering", "c", 1)]);
        assert!(text.contains("c leads q, does not serve, and does not answer"), "{text}");
    }

    /// A node that lost its log and its message store; its mark says how much it acknowledged.
    fn with_its_mark_only(node: &str, acknowledged: Option<u64>) -> NodeCopy {
        let mut copy = copy(node, "recovering", "", 1);
        copy.view.acknowledged_index = acknowledged;
        copy
    }

    #[test]
    fn what_nodes_with_empty_disks_acknowledged_nobody_knows_and_so_something_may_be_lost() {
        let empty = |node: &str| {
            let mut copy = copy(node, "recovering", "c", 11);
            copy.view.acknowledged_index = None;
            copy
        };
        let plan =
            Plan::of("q".into(), vec![empty("a"), empty("b"), copy("c", "no-quorum", "c", 11)]).unwrap();
        assert_eq!(plan.as_json()["lost"], true);
        let line = plan.copies[0].as_line();
        assert!(line.contains("what it acknowledged nobody knows"), "{line}");
    }

    #[test]
    fn where_every_log_is_gone_both_ways_out_are_said_and_a_person_may_begin_anew() {
        let left = || ["a", "b", "c"].map(|node| with_its_mark_only(node, Some(204))).into();
        let text = refusal(left());
        for part in [
            "remember entries (a up to 204, b up to 204, c up to 204)",
            "all messages and definitions, is gone",
            "put copies of the log and the data directory",
            "--begin-anew --confirm q",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let plan = Plan::of("q".into(), left()).unwrap();
        assert_eq!(plan.loss, Loss::Entries { first: 2, last: Some(204) });
        let anew = RecoverArgs { begin_anew: true, ..args() };
        assert!(plan.check(&anew).is_ok());
        assert_eq!(plan.as_json()["begins_anew"], true);

        // Disks that were lost as a whole remember nothing; new nodes need no decision.
        let blank = ["a", "b", "c"].map(|node| with_its_mark_only(node, Some(1))).into();
        let text = refusal(blank);
        assert!(text.contains("New nodes begin by themselves when all of a, b, c are there"), "{text}");

        // One that still has something is not given up in passing, and one that is silent not at all.
        let mut some: Vec<NodeCopy> = left();
        some[2] = copy("c", "recovering", "", 12);
        let Err(Failure::Check(text)) = Plan::of("q".into(), some).unwrap().check(&anew) else { panic!() };
        assert!(text.contains("c has entries of q up to 12"), "{text}");
        let mut two: Vec<NodeCopy> = left();
        two.truncate(2);
        let Err(Failure::Check(text)) = Plan::of("q".into(), two).unwrap().check(&anew) else { panic!() };
        assert!(text.contains("c does not answer"), "{text}");
        let mut one: Vec<NodeCopy> = left();
        one.truncate(1);
        let Err(Failure::Check(text)) = Plan::of("q".into(), one).unwrap().check(&anew) else { panic!() };
        assert!(
            text.starts_with("b and c do not answer") && text.contains("--without b --without c"),
            "{text}"
        );
    }

    #[test]
    fn nodes_that_lost_what_says_which_queue_managers_were_created_are_not_called_silent() {
        let plan = Plan::of("q".into(), vec![copy("a", "no-leader", "", 11)]).unwrap();
        assert!(plan.check_known(&BTreeSet::from(["a"])).is_ok(), "they do not answer");
        let refused = |answering: &[&str]| match plan.check_known(&answering.iter().copied().collect()) {
            Err(Failure::Check(text)) => text,
            _ => panic!("they answer"),
        };
        let text = refused(&["a", "b", "c"]);
        assert!(text.starts_with("b and c answer, and have nothing of q, not even its name"), "{text}");
        assert!(text.contains("First `trimaran recover -m SYSTEM.CLUSTER`"), "{text}");
        assert!(refused(&["a", "c"]).starts_with("c answers, and has nothing of q"));
    }

    #[test]
    fn copies_that_were_emptied_do_not_stand_in_the_way_of_the_history_that_is_kept() {
        let mut kept = copy("a", "recovering", "", 12);
        let reason = OTHER_HISTORY.to_string();
        kept.view.instances = vec![InstanceStatus { node: "a".into(), reason, ..InstanceStatus::default() }];
        let plan = |others: [NodeCopy; 2]| {
            let [b, c] = others;
            Plan::of("q".into(), vec![kept.clone(), b, c]).unwrap()
        };
        let both = plan([copy("b", "recovering", "", 11), with_its_mark_only("c", None)]);
        let Err(Failure::Check(text)) = both.check(&args()) else { panic!("b has entries that a has not") };
        assert!(text.contains("a has another history than b"), "{text}");
        assert!(plan([with_its_mark_only("b", None), with_its_mark_only("c", None)]).check(&args()).is_ok());
    }

    #[test]
    fn a_node_with_another_history_is_named_whether_somebody_serves_or_not() {
        let says = |node: &str, reason: &str| InstanceStatus {
            node: node.into(),
            reason: reason.into(),
            ..InstanceStatus::default()
        };
        let other = "has another history; see the error log";
        let mut serving = copy("a", "active", "a", 12).view;
        serving.instances = vec![says("a", ""), says("b", "catching up"), says("c", other)];
        let said = other_histories(&serving);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("c has another history and counts for nothing;"), "{said:?}");
        assert!(
            said[0].contains("stop it, move its directories away, keep them, and start it empty"),
            "{said:?}"
        );

        let mut parted = copy("c", "recovering", "", 9);
        assert!(!parted.as_line().contains("another history"));
        parted.view.instances = vec![says("c", other)];
        assert!(
            parted.as_line().contains("It has another history than a leader had"),
            "{}",
            parted.as_line()
        );
        let plan = Plan::of("q".into(), vec![copy("a", "no-leader", "", 12), parted]).unwrap();
        assert_eq!(plan.as_json()["nodes"][1]["another_history"], true);
    }

    #[test]
    fn of_two_histories_nobody_but_a_person_chooses() {
        let mut parted = copy("a", "recovering", "", 20);
        parted.view.instances = vec![InstanceStatus {
            node: "a".into(),
            reason: OTHER_HISTORY.into(),
            ..InstanceStatus::default()
        }];
        for end in [12, 40] {
            let text = refusal(vec![
                parted.clone(),
                copy("b", "recovering", "", end),
                copy("c", "recovering", "", end),
            ]);
            assert!(
                text.contains("a has another history than b")
                    || text.contains("a has another history than c"),
                "{text}"
            );
            assert!(text.contains("stop it, move its directories away"), "{text}");
        }
    }

    #[test]
    fn who_runs_beside_the_voters_of_the_best_copy_shows_that_the_copy_may_be_old() {
        let copies = || ["a", "b", "c", "d"].map(|node| copy(node, "recovering", "", 12)).into();
        let text = refusal(copies());
        assert!(text.starts_with("d runs q, and does not vote") && text.contains("--without d"), "{text}");
        let without = RecoverArgs { without: vec!["d".into()], ..args() };
        assert!(Plan::of("q".into(), copies()).unwrap().check(&without).is_ok());
        let mut removed: Vec<NodeCopy> = copies();
        removed[3].view.role = "removed".into();
        assert!(Plan::of("q".into(), removed).unwrap().check(&args()).is_ok());
    }
}
