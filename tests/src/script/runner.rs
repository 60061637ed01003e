//! Plays a script against a simulated cluster and writes down what comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use trimaran_node::mqi::{
    Admin, ArrangeRequest, Call, CloseOption, Completion, CreateRequest, Data, Get, GetMode, KeptFailovers,
    KeptTrail, MembershipRequest, ObjectView, OpenOptions, Operate, Put, PutTarget, QueueView, RunRequest,
    Selection, UnitState, Wait,
};
use trimaran_node::replica::{Event, FailBack, Placement, TURN_WORK};
use trimaran_node::types::definition::{
    Changes, INHIBIT_GET, INHIBIT_PUT, ObjectKind, ObjectRef, RecordAction,
};
use trimaran_node::types::{
    CorrelationId, Descriptor, GroupId, HandleId, Message, MessageId, MessageSelector, NodeId, ObjectName,
    Persistence, ProducerId, ProducerSequence, Reason, ReportOptions, Token, UnitId, Version, message_flags,
};
use trimaran_node::vip::Mode;
use trimaran_proto::admin::v1::{AuditRecord, CanaryGap, Classified};
use trimaran_proto::audit::{tongue_in_words, verb_in_words};
use trimaran_proto::chain;
use trimaran_proto::failover::Class;
use trimaran_proto::message::v1 as wire;
use trimaran_proto::mq::rfh2;
use trimaran_proto::mqsc::{Reply, Request};
use trimaran_proto::pcf::event;
use trimaran_proto::replica::v1::Registered;

use super::events;
use super::mqsc::{self, Mqsc};
use super::parser::{Block, words};
use super::puppet::Puppet;
use crate::model::app::{Input, Output};
use crate::sim::node::queue_manager_id;
use crate::sim::run::Knobs;
use crate::sim::schedule::FaultEnd;
use crate::sim::trace::Trace;
use crate::sim::world::{Paused, Plan, Program, Step, World, new_node, node_info};

pub const HELP: &str = r#"
cluster nodes=3 seed=7 [queue_managers=1] [window=BYTES] [retain=BYTES] [turn=LOOKS] [system] [before]
        [preferred=NODE] [tenure=30s]               the first line of every script
define QUEUE [ATTRIBUTE=VALUE ...] [fifo] [move] [noput] [noget] [noshare] [nodefpsist]
alter QUEUE [the same, and put, get, priority]      delete QUEUE [purge]      clear QUEUE
deadq QUEUE|none      maxumsgs N      show PATTERN
: LINE                                              a line of MQSC, as runmqsc has it; the syntax it offers is left out
mqsc define|alter|delete|display|set KIND NAME [ATTRIBUTE=VALUE ...] [like=NAME] [replace] [purge] [remove] [removeall]
app A put QUEUE "body" [syncpoint] [priority=N] [expiry=TENTHS] [correl=X] [group=X] [id=X] [sequence=N] [deadletter]
                       [notpersistent] [size=BYTES] [usr="<color>red</color>"] [logical] [grouped] [last] [number=N]
                       [segment] [segmentation]
                       [report=coa,cod+data,expiration+all,exception,pass_ids,discard,pass_expiry] [replyto=QUEUE[@QMGR]]
app A get QUEUE [syncpoint] [wait=2s|wait=forever] [correl=X] [group=X] [id=X] [max=BYTES] [truncate] [cursor]
                       [logical] [whole] [number=N] [ahead] [extended]
app A browse QUEUE [next] [under] [lock] [correl=X] [wait=2s] [logical] [whole]      app A unlock QUEUE
app A commit [unit=X]      app A backout      app A outcome X      app A inquire QUEUE      app A cancel
app A open QUEUE [output] [input] [exclusive] [browse] [inquire] [dynamic=NAME] [selector="color = 'red'"]
app A close QUEUE [delete] [purge]
app A disconnect      app A qm=2 ...      (any app command, for the second queue manager)
crash leader|N|all    power leader|N|all    pause leader|N 2s    pause-agent leader|N 2s    isolate leader|N    cut-clients leader|N    mend
start N|all           drain leader|N|all      add N [N ...]        remove leader|N     replace OLD NEW
move [N] [units=2s] [later (its answer comes when it comes)]
maintain leader|N [force]                   resume N            raise
endmqm [now]        strmqm
crtmqm NAME [preferred=N] [fail_back=WHEN]        dltmqm NAME        dspmq (the records, as each node has them)
canary leader|follower|N 3s (a good round each second, for so long)
classify N CLASS "because"                  failovers      audit
lose-disk N           lose-store N          lose-log N|all (the mark beside it stays)
full leader|N        store-full leader|N room
wait 2s               settle                serving              depth QUEUE
"#;

pub struct Runner {
    world: World,
    apps: BTreeMap<String, usize>,
    out: Vec<String>,
    crashed: Vec<u64>,
    /// When the canary of a node got through last.
    canaries: BTreeMap<u64, u64>,
    /// What `: ...` lines are typed into.
    mqsc: Mqsc,
}

/// How long a call may take before the script goes on without its answer.
const ANSWER_US: u64 = 400_000;
const CONNECT_US_MAX: u64 = 20_000_000;

/// What comes back for each block, in order. A sentence when the script itself makes no sense.
pub fn run(blocks: &[Block]) -> Result<Vec<Vec<String>>, String> {
    let first = blocks.first().and_then(|block| block.commands.first()).ok_or("the script is empty")?;
    let mut runner = Runner::new(&words(first)).map_err(|text| format!("line {}: {text}", blocks[0].line))?;
    let mut results = Vec::new();
    for block in blocks {
        for (offset, command) in block.commands.iter().enumerate() {
            let done = match command.strip_prefix(':') {
                Some(line) => runner.type_mqsc(line.strip_prefix(' ').unwrap_or(line)),
                None => runner.command(&words(command)),
            };
            done.map_err(|text| format!("line {}: {command}: {text}", block.line + offset))?;
            if let Some(violation) = runner.world.violations.first() {
                return Err(format!(
                    "line {}: {}: {}",
                    block.line + offset,
                    violation.checker,
                    violation.sentence
                ));
            }
        }
        runner.collect(30_000);
        results.push(std::mem::take(&mut runner.out));
    }
    Ok(results)
}

fn setting<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
}

/// Addresses between commas; `none` for none.
fn listed(text: &str) -> Vec<String> {
    text.split(',').filter(|word| *word != "none").map(str::to_owned).collect()
}

fn number(words: &[String], name: &str) -> Result<Option<u64>, String> {
    setting(words, name)
        .map(|text| text.parse().map_err(|_| format!("{name} wants a number, not {text}")))
        .transpose()
}

fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|other| other == word)
}

fn duration_us(text: &str) -> Result<u64, String> {
    let (value, unit) =
        text.split_at(text.find(|c: char| c.is_alphabetic()).ok_or("a time wants a unit, as in 2s")?);
    let value: f64 = value.parse().map_err(|_| format!("{text} is no time"))?;
    match unit {
        "s" => Ok((value * 1e6) as u64),
        "ms" => Ok((value * 1e3) as u64),
        _ => Err(format!("{unit} is no unit of time; there are s and ms")),
    }
}

fn object(name: &str) -> Result<ObjectName, String> {
    ObjectName::new(name).map_err(|error| format!("{name}: {error}"))
}

impl Runner {
    fn new(words: &[String]) -> Result<Runner, String> {
        if words.first().is_none_or(|word| word != "cluster") {
            return Err("a script begins with cluster".to_string());
        }
        let seed = number(words, "seed")?.unwrap_or(1);
        let mut plan = Plan::draw(seed, &Knobs::default()).unplaced();
        plan.nodes = number(words, "nodes")?.unwrap_or(3);
        plan.setup.queue_managers = number(words, "queue_managers")?.unwrap_or(1) as usize;
        plan.setup.initial = crate::sim::world::initial_membership(plan.nodes);
        plan.setup.window_bytes = number(words, "window")?.unwrap_or(64 << 20) as usize;
        plan.setup.log_retain_bytes = number(words, "retain")?.unwrap_or(64 << 20) as usize;
        (plan.setup.fast_timing, plan.setup.address_mode) = (true, Mode::Kernel);
        plan.setup.system_objects = has(words, "system");
        plan.setup.turn_work = number(words, "turn")?.unwrap_or(TURN_WORK);
        if has(words, "before") {
            plan.newest = Version::FIRST;
        }
        if has(words, "places") {
            plan.newest = Version::PLACES;
        }
        if let Some(preferred) = number(words, "preferred")? {
            let placement = Placement { preferred: Some(NodeId(preferred)), fail_back: FailBack::Now };
            plan.setup.placements = vec![placement; plan.setup.queue_managers];
        }
        plan.setup.tenure =
            Duration::from_micros(setting(words, "tenure").map_or(Ok(30_000_000), duration_us)?);
        plan.look_us = 0;
        plan.drift_ppm_max = 0;
        plan.sync_us = (200, 900);
        plan.flush_us = (5_000, 20_000);
        plan.stream_timeout_us = 500_000;
        plan.restart_us = (100_000, 200_000);
        let mut world = World::new(plan, Trace::new(0, false));
        // Where records have addresses, nodes follow them.
        world.registers = has(words, "places").then(Default::default);
        let mut runner = Runner {
            world,
            apps: BTreeMap::new(),
            out: Vec::new(),
            crashed: Vec::new(),
            canaries: BTreeMap::new(),
            mqsc: Mqsc::default(),
        };
        runner.settle();
        Ok(runner)
    }

    fn command(&mut self, words: &[String]) -> Result<(), String> {
        let rest = &words[1..];
        let argument = |place: usize| rest.get(place).map(String::as_str).ok_or("a word is missing");
        match words[0].as_str() {
            "cluster" => Ok(()),
            "app" => self.app(rest),
            "define" => {
                let (object, changes) =
                    (local(argument(0)?)?, attributes(ObjectKind::LocalQueue, &rest[1..])?);
                self.admin(Admin::Define { object, like: String::new(), replace: false, changes }, "defined")
            }
            "alter" => {
                let (object, changes) =
                    (local(argument(0)?)?, attributes(ObjectKind::LocalQueue, &rest[1..])?);
                self.admin(Admin::Alter { object, changes }, "altered")
            }
            "delete" => {
                let object = local(argument(0)?)?;
                self.admin(Admin::Delete { object, purge: has(rest, "purge") }, "deleted")
            }
            "clear" => self.admin(Admin::Clear { queue: object(argument(0)?)? }, "cleared"),
            "mqsc" => self.mqsc(rest),
            "deadq" => {
                let name = if argument(0)? == "none" { "" } else { argument(0)? };
                self.alter_manager(&[format!("deadq={name}")])
            }
            "maxumsgs" => self.alter_manager(&[format!("maxumsgs={}", argument(0)?)]),
            "show" => self.admin(Admin::display_local(argument(0)?), "shown"),
            "move" => {
                let to = rest.iter().find(|word| !word.contains('=') && *word != "later");
                let to = to.map(|word| self.node(word).map(NodeId)).transpose()?;
                let units_within = setting(rest, "units").map(duration_us).transpose()?;
                let units_within = units_within.map(Duration::from_micros);
                let call = Operate::Move { to, units_within };
                if has(rest, "later") {
                    return self.admin_later(call);
                }
                self.admin(call, "moved")
            }
            "maintain" | "resume" => {
                let (begins, force) = (words[0] == "maintain", has(rest, "force"));
                let node = NodeId(self.node(argument(0)?)?);
                self.admin(Operate::Maintain { node, begins, force }, "done")
            }
            "endmqm" if has(rest, "now") => {
                self.operate(RunRequest::EndImmediately { reconnect: false }, "ended")
            }
            "endmqm" => self.operate(RunRequest::EndControlled, "quiesce request accepted"),
            "strmqm" => self.operate(RunRequest::Start, "started"),
            "crtmqm" => {
                let request = CreateRequest {
                    name: object(argument(0)?)?,
                    preferred: setting(rest, "preferred").map_or(String::new(), |node| format!("n{node}")),
                    fail_back: setting(rest, "fail_back").unwrap_or_default().to_owned(),
                    dead_letter_queue: String::new(),
                    port: 0,
                    addresses: setting(rest, "address").map_or(Vec::new(), listed),
                    canary: has(rest, "canary"),
                };
                self.admin(Operate::Create(Box::new(request)), "created")
            }
            "place" => {
                let canary = setting(rest, "canary").map(|written| written == "true");
                let request = ArrangeRequest {
                    name: object(argument(0)?)?,
                    addresses: setting(rest, "address").map(listed),
                    preferred: setting(rest, "preferred").map(|node| match node {
                        "none" => String::new(),
                        node => format!("n{node}"),
                    }),
                    fail_back: setting(rest, "fail_back").map(str::to_owned),
                    canary,
                };
                self.admin(Operate::Arrange(Box::new(request)), "placed")
            }
            "dltmqm" => self.admin(Operate::Delete { name: object(argument(0)?)? }, "deleted"),
            "dspmq" => {
                self.out.extend(self.world.nodes.iter().filter_map(|(id, node)| {
                    let state = node.process.as_ref()?.minds[0].replica.queue_manager();
                    let shown = |record: &Registered| {
                        let deleted = if record.deleted { " deleted" } else { "" };
                        let at: String = record.addresses.iter().map(|at| format!(" at {at}")).collect();
                        format!(", {} {}{deleted}{at}", record.id, record.name)
                    };
                    Some(format!("node {id}{}", state.register().iter().map(shown).collect::<String>()))
                }));
                Ok(())
            }
            "canary" => {
                let (id, us) = (self.node(argument(0)?)?, duration_us(argument(1)?)?);
                for _ in 0..us / 1_000_000 {
                    let silent = self.canaries.insert(id, self.world.now).map(|at| self.world.now - at);
                    let silent = silent.map(Duration::from_micros);
                    self.world.checks.canaries.on_good(0, id, self.world.now);
                    self.world.hand_in(id, 0, Event::CanaryGood { silent });
                    self.pass(1_000_000)?;
                }
                Ok(())
            }
            "classify" => {
                let said = Classified {
                    number: argument(0)?.parse().map_err(|_| "which record?")?,
                    class: Class::parse(argument(1)?).map_or(0, |class| class.to_wire().into()),
                    because: argument(2)?.trim_matches('"').to_string(),
                    ..Classified::default()
                };
                self.admin(Operate::Classify(said), "noted")
            }
            "failovers" => self.admin(Operate::Failovers { after: 0 }, "failovers"),
            "audit" => self.admin(Operate::Trail { after: 0 }, "audit"),
            "raise" => self.admin(Operate::Raise { to: None }, "raised"),
            "add" => {
                for word in rest {
                    let id = self.new_node(word)?;
                    let request = MembershipRequest::Add { node: NodeId(id), info: node_info(id) };
                    self.admin(Operate::Members(request), &format!("node {id} added"))?;
                    self.world.members.insert(id);
                }
                Ok(())
            }
            "remove" => {
                let id = self.node(argument(0)?)?;
                let request = MembershipRequest::Remove { node: NodeId(id) };
                self.admin(Operate::Members(request), "node removed")?;
                self.world.members.remove(&id);
                Ok(())
            }
            "replace" => {
                let old = self.node(argument(0)?)?;
                let id = self.new_node(argument(1)?)?;
                let request =
                    MembershipRequest::Replace { old: NodeId(old), node: NodeId(id), info: node_info(id) };
                self.admin(Operate::Members(request), &format!("node {old} replaced by {id}"))?;
                self.world.members.remove(&old);
                self.world.members.insert(id);
                Ok(())
            }
            "crash" | "power" => {
                for id in self.some_nodes(argument(0)?)? {
                    self.world.crash(id, words[0] == "power");
                    self.crashed.push(id);
                    self.canaries.remove(&id);
                }
                self.pass(5_000)
            }
            "start" => {
                let ids =
                    if argument(0)? == "all" { self.crashed.clone() } else { vec![self.node(argument(0)?)?] };
                for id in ids {
                    self.world.start_node(id);
                    self.crashed.retain(|crashed| *crashed != id);
                }
                self.pass(5_000)
            }
            "pause" => {
                let (id, us) = (self.node(argument(0)?)?, duration_us(argument(1)?)?);
                let until = self.world.now + us;
                self.world.pause(Paused::Process(id), until);
                Ok(())
            }
            "pause-agent" => {
                let (id, us) = (self.node(argument(0)?)?, duration_us(argument(1)?)?);
                let until = self.world.now + us;
                self.world.pause(Paused::Agents(id), until);
                Ok(())
            }
            "isolate" => {
                let id = self.node(argument(0)?)?;
                let now = self.world.now;
                for other in self.world.nodes.keys().copied().filter(|other| *other != id).collect::<Vec<_>>()
                {
                    self.world.net.cut(id, other, now);
                    self.world.net.cut(other, id, now);
                }
                Ok(())
            }
            "cut-clients" => {
                let id = self.node(argument(0)?)?;
                self.world.net.cut_clients(id);
                Ok(())
            }
            "mend" => {
                self.world.net.mend_all();
                Ok(())
            }
            "drain" => {
                for id in self.some_nodes(argument(0)?)? {
                    for mind in 0..self.world.plan.setup.queue_managers {
                        self.world.hand_in(id, mind, Event::Drain);
                    }
                }
                self.pass(500_000)
            }
            "lose-disk" | "lose-store" => {
                let id = self.node(argument(0)?)?;
                self.world.crash(id, true);
                let disk = &mut self.world.node_mut(id).disk;
                if words[0] == "lose-disk" {
                    disk.lose_everything()
                } else {
                    disk.lose_store()
                }
                self.world.checks.on_damage(id, &self.world.nodes);
                self.crashed.push(id);
                Ok(())
            }
            "lose-log" => {
                for id in self.some_nodes(argument(0)?)? {
                    self.world.crash(id, true);
                    for number in 0..self.world.plan.setup.queue_managers {
                        self.world.node_mut(id).disk.shorten_log(queue_manager_id(number), u64::MAX);
                    }
                    self.world.checks.on_damage(id, &self.world.nodes);
                    self.crashed.push(id);
                }
                Ok(())
            }
            "full" => {
                let id = self.node(argument(0)?)?;
                self.world.set_disk_low(id, true);
                self.pass(5_000)
            }
            "store-full" => {
                let id = self.node(argument(0)?)?;
                self.world.set_store_full(id, true);
                self.pass(5_000)
            }
            "room" => {
                for id in self.world.nodes.keys().copied().collect::<Vec<_>>() {
                    self.world.set_disk_low(id, false);
                    self.world.set_store_full(id, false);
                }
                self.pass(100_000)
            }
            "wait" => {
                let us = duration_us(argument(0)?)?;
                self.pass(us)
            }
            "settle" => {
                self.settle();
                Ok(())
            }
            "serving" => {
                let serving =
                    (0..self.world.plan.setup.queue_managers).map(|number| self.world.serving(number));
                let text =
                    serving.map(|node| node.map_or("nobody", |_| "one node")).collect::<Vec<_>>().join(", ");
                self.out.push(format!("served by {text}"));
                Ok(())
            }
            other => Err(format!("{other} is no command; there are:\n{HELP}")),
        }
    }

    fn pass(&mut self, us: u64) -> Result<(), String> {
        let until = self.world.now + us;
        self.world.run_until(until);
        Ok(())
    }

    /// Until every running node has applied the same and somebody serves, or 20 s.
    fn settle(&mut self) {
        let until = self.world.now + CONNECT_US_MAX;
        while self.world.now < until && self.world.violations.is_empty() {
            let next = self.world.now + 50_000;
            self.world.run_until(next);
            let running: Vec<u64> =
                self.world.members.iter().copied().filter(|id| self.world.node(*id).is_running()).collect();
            let settled = (0..self.world.plan.setup.queue_managers).all(|number| {
                let Some(leader) = self.world.serving(number) else { return false };
                let applied = |id: u64| {
                    self.world.node(id).process.as_ref().map(|process| process.minds[number].applied)
                };
                running.iter().all(|id| applied(*id) == applied(leader))
            });
            if settled {
                return;
            }
        }
        self.out.push("NOT SETTLED".to_string());
    }

    fn node(&self, word: &str) -> Result<u64, String> {
        if word == "leader" {
            return self.world.serving(0).ok_or("nobody serves just now".to_string());
        }
        if word == "follower" {
            let leader = self.world.serving(0);
            return self
                .world
                .members
                .iter()
                .copied()
                .find(|id| Some(*id) != leader && self.world.node(*id).is_running())
                .ok_or("there is no follower".to_string());
        }
        if word == "crashed" {
            return self.crashed.last().copied().ok_or("no node is down".to_string());
        }
        let id = word.parse().map_err(|_| format!("{word} is no node"))?;
        self.world.nodes.contains_key(&id).then_some(id).ok_or(format!("there is no node {id}"))
    }

    fn some_nodes(&self, word: &str) -> Result<Vec<u64>, String> {
        if word == "all" {
            Ok(self.world.members.iter().copied().collect())
        } else {
            Ok(vec![self.node(word)?])
        }
    }

    fn new_node(&mut self, word: &str) -> Result<u64, String> {
        let id = word.parse().map_err(|_| format!("{word} is no number for a node"))?;
        if self.world.nodes.contains_key(&id) {
            return Err(format!("node {id} is there already; ids are never used again"));
        }
        let mut rng = self.world.rng.fork(id);
        let node = new_node(id, &self.world.plan, &mut rng);
        self.world.nodes.insert(id, node);
        self.world.schedule(self.world.now, Step::FaultEnds(FaultEnd::Start { node: id }));
        self.pass(100_000)?;
        Ok(id)
    }

    /// A line typed into runmqsc. Empty lines of what it shows are left out, because they end a block of a script.
    fn type_mqsc(&mut self, line: &str) -> Result<(), String> {
        let mut shown = Vec::new();
        if let Some(command) = self.mqsc.line(line, &mut shown) {
            let mut reply = None;
            for request in command.requests() {
                let answered = self.ask_mqsc(request);
                let is_last = matches!(answered, Reply::Refused { .. })
                    || command.ends_with(&answered, super::mqsc::QUEUE_MANAGER);
                reply = Some(answered);
                if is_last {
                    break;
                }
            }
            self.mqsc.answer(&command, reply.as_ref(), &mut shown);
        }
        self.out.extend(shown.into_iter().filter(|line| !line.is_empty()));
        Ok(())
    }

    fn ask_mqsc(&mut self, mut request: Request) -> Reply {
        loop {
            let completion = match self.ask_mqsc_once(request.clone()) {
                Ok(completion) => completion,
                Err(refused) => return refused,
            };
            match (&completion.data, &mut request) {
                (Data::Refreshed { upto: Some(upto) }, Request::Refresh(refresh)) => {
                    refresh.after.clone_from(upto);
                }
                _ => return mqsc::reply_of(completion),
            }
        }
    }

    fn ask_mqsc_once(&mut self, request: Request) -> Result<Completion, Reply> {
        let call = match mqsc::call_of(request) {
            Ok(call) => call,
            Err(fault) => {
                return Err(Reply::Refused { reason: fault.reason.number(), text: fault.text });
            }
        };
        let program = self.program("runmqsc", 0);
        if !self.connect(program) {
            return Err(Reply::Refused {
                reason: Reason::QMgrNotAvailable.number(),
                text: "Nobody serves.".into(),
            });
        }
        // An end of an earlier connection is no answer to this call.
        self.puppet(program).heard.clear();
        let token = self.call(program, call, true);
        Ok(self.answered(program, token))
    }

    /// What comes back for one call, and nothing that others hear meanwhile is shown.
    fn answered(&mut self, program: usize, token: Token) -> Completion {
        let until = self.world.now + 20_000_000;
        while self.world.now < until {
            let next = self.world.now + 2_000;
            self.world.run_until(next);
            for (_, input) in std::mem::take(&mut self.puppet(program).heard) {
                match input {
                    Input::Answer { token: of, completion, .. } if of == token => {
                        self.puppet(program).shown.remove(&token);
                        return completion;
                    }
                    Input::Broken { reason } => return Completion::failed(reason),
                    _ => {}
                }
            }
        }
        Completion::failed(Reason::QMgrNotAvailable)
    }

    // --- programs ---

    fn program(&mut self, name: &str, queue_manager: usize) -> usize {
        let world = &mut self.world;
        *self
            .apps
            .entry(name.to_string())
            .or_insert_with(|| world.add_program(Program::Puppet(Puppet::new(queue_manager))))
    }

    fn puppet(&mut self, program: usize) -> &mut Puppet {
        match &mut self.world.programs[program] {
            Program::Puppet(puppet) => puppet,
            _ => unreachable!("scripts add puppets only"),
        }
    }

    /// Connects when there is no connection; false when nobody serves for 20 s.
    fn connect(&mut self, program: usize) -> bool {
        let until = self.world.now + CONNECT_US_MAX;
        while self.world.now < until {
            let puppet = self.puppet(program);
            if puppet.connected {
                return true;
            }
            if !puppet.connecting {
                puppet.connecting = true;
                let hint = puppet.hint.take();
                self.world.carry(program, Output::Connect { node: hint });
            }
            let next = self.world.now + 5_000;
            self.world.run_until(next);
        }
        false
    }

    fn call(&mut self, program: usize, call: Call, shown: bool) -> Token {
        let token = self.puppet(program).token(shown);
        self.world.carry(program, Output::Call { token, call });
        token
    }

    /// Until the call is answered or its time is over.
    fn answer(&mut self, program: usize, token: Token, us_max: u64) {
        let until = self.world.now + us_max;
        while self.world.now < until && self.puppet(program).asked.contains_key(&token) {
            let next = self.world.now + 2_000;
            self.world.run_until(next);
            self.hear();
        }
    }

    /// Turns what programs heard into lines.
    fn hear(&mut self) {
        for (name, program) in self.apps.clone() {
            let puppet = self.puppet(program);
            let heard: Vec<_> = puppet.heard.drain(..).collect();
            for (_, input) in heard {
                match input {
                    Input::Answer { token, completion, .. } => {
                        if matches!(completion.data, Data::Progress { .. }) {
                            continue;
                        }
                        let shown = self.puppet(program).shown.remove(&token);
                        if shown || completion.is_failed() {
                            self.out.push(format!("{name} {}", answer_text(&completion)));
                        }
                    }
                    Input::Broken { reason } => self.out.push(format!("{name} {}", reason_text(reason))),
                    _ => {}
                }
            }
        }
    }

    fn collect(&mut self, us: u64) {
        let until = self.world.now + us;
        self.world.run_until(until);
        self.hear();
    }

    fn alter_manager(&mut self, words: &[String]) -> Result<(), String> {
        let changes = attributes(ObjectKind::QueueManager, words)?;
        self.admin(Admin::Alter { object: ObjectRef::manager(), changes }, "altered")
    }

    /// `mqsc define|alter|delete|display|set KIND NAME ...`: objects of every kind.
    fn mqsc(&mut self, words: &[String]) -> Result<(), String> {
        let word = |place: usize| words.get(place).map(String::as_str).ok_or("mqsc VERB KIND NAME ...");
        let kind = ObjectKind::named(word(1)?).ok_or_else(|| format!("{} is no kind", words[1]))?;
        let named = usize::from(kind != ObjectKind::QueueManager);
        let name = words.get(2).filter(|_| named == 1).cloned().unwrap_or_default();
        let rest = words.get(2 + named..).unwrap_or_default();
        let is_attribute = |word: &&String| !OPTIONS.contains(&word.as_str()) && !word.starts_with("like=");
        let wanted: Vec<String> = rest.iter().filter(is_attribute).cloned().collect();
        let changes = match attributes(kind, &wanted) {
            Ok(changes) => changes,
            Err(text) => {
                self.out.push(text);
                return Ok(());
            }
        };
        let object = match kind {
            ObjectKind::QueueManager => ObjectRef::manager(),
            kind if kind.is_record() => ObjectRef::record(kind, name.clone(), &changes),
            kind => ObjectRef::new(kind, name.clone()),
        };
        let (replace, purge) = (has(rest, "replace"), has(rest, "purge"));
        let like = setting(rest, "like").unwrap_or_default().to_string();
        match word(0)? {
            "define" => self.admin(Admin::Define { object, like, replace, changes }, "defined"),
            "alter" => self.admin(Admin::Alter { object, changes }, "altered"),
            "delete" => self.admin(Admin::Delete { object, purge }, "deleted"),
            "display" => self.admin(
                Admin::Display { kinds: vec![kind], pattern: name, after: String::new() },
                "displayed",
            ),
            "set" => {
                let action = match (has(rest, "remove"), has(rest, "removeall")) {
                    (true, _) => RecordAction::Remove,
                    (_, true) => RecordAction::RemoveAll,
                    _ if replace => RecordAction::Replace,
                    _ => RecordAction::Add,
                };
                self.admin(Admin::SetRecord { record: object, action, changes }, "set")
            }
            other => Err(format!("{other} is no verb")),
        }
    }

    /// A change of members is asked for again when the queue manager moved meanwhile, as an administrator would.
    fn admin(&mut self, call: impl Into<Call>, done: &str) -> Result<(), String> {
        let call = call.into();
        let changes_members = matches!(call, Call::Operate(Operate::Members(_)));
        for _ in 0..5 {
            let before = self.out.len();
            self.admin_once(call.clone(), done)?;
            let moved = self.out[before..]
                .iter()
                .any(|line| line.starts_with("admin 2161") || line.starts_with("admin 2009"));
            if !changes_members || !moved || self.out[before..].iter().any(|line| line == done) {
                break;
            }
            self.pass(1_000_000)?;
        }
        Ok(())
    }

    /// By an operator, whom a queue manager that was ended lets in.
    fn operate(&mut self, request: RunRequest, done: &str) -> Result<(), String> {
        let world = &mut self.world;
        let operator = self.apps.entry("operator".to_string());
        operator.or_insert_with(|| world.add_program(Program::Puppet(Puppet::operator())));
        self.ask_as("operator", Operate::Run(request).into(), done)
    }

    /// Its answer is one of those that come while the script goes on.
    fn admin_later(&mut self, call: impl Into<Call>) -> Result<(), String> {
        let program = self.program("admin", 0);
        if !self.connect(program) {
            return Err("nobody serves".to_string());
        }
        self.call(program, call.into(), true);
        self.pass(20_000)
    }

    fn admin_once(&mut self, call: Call, done: &str) -> Result<(), String> {
        self.ask_as("admin", call, done)
    }

    fn ask_as(&mut self, who: &str, call: Call, done: &str) -> Result<(), String> {
        let program = self.program(who, 0);
        let before = self.out.len();
        if !self.connect(program) {
            self.out.push(format!("{who} finds nobody who serves"));
            return Ok(());
        }
        let token = self.call(program, call, true);
        self.answer(program, token, 20_000_000);
        if self.puppet(program).asked.contains_key(&token) {
            self.out.push(format!("{who} gets no answer"));
        }
        for line in &mut self.out[before..] {
            if *line == format!("{who} ok") {
                *line = done.to_string();
            }
        }
        Ok(())
    }

    fn handle(
        &mut self,
        program: usize,
        queue: &str,
        options: Option<OpenOptions>,
    ) -> Result<HandleId, String> {
        match self.puppet(program).handles.get(queue) {
            Some(handle) => Ok(*handle),
            None => self.handle_of(program, queue, options, "", None),
        }
    }

    /// `dynamic`: the name for a queue that is made from a model, by which the script calls it from then on.
    fn handle_of(
        &mut self,
        program: usize,
        queue: &str,
        options: Option<OpenOptions>,
        dynamic: &str,
        selector: Option<Arc<MessageSelector>>,
    ) -> Result<HandleId, String> {
        let shown = options.is_some();
        let options = options.unwrap_or(OpenOptions {
            output: true,
            input: true,
            browse: true,
            inquire: true,
            ..OpenOptions::default()
        });
        let puppet = self.puppet(program);
        puppet.handle_last += 1;
        let handle = HandleId(puppet.handle_last);
        let called = if dynamic.is_empty() { queue } else { dynamic };
        puppet.handles.insert(called.to_string(), handle);
        let open =
            Call::Open { handle, queue: object(queue)?, options, dynamic: dynamic.to_string(), selector };
        let token = self.call(program, open, shown);
        self.answer(program, token, ANSWER_US);
        Ok(handle)
    }

    fn app(&mut self, words: &[String]) -> Result<(), String> {
        let name = words.first().ok_or("which app?")?.clone();
        let words: Vec<String> = words[1..].to_vec();
        let queue_manager = number(&words, "qm")?.map_or(0, |number| number as usize - 1);
        let words: Vec<String> = words.into_iter().filter(|word| !word.starts_with("qm=")).collect();
        let program = self.program(&name, queue_manager);
        let verb = words.first().ok_or("what shall the app do?")?.clone();
        let rest = &words[1..];
        if verb == "disconnect" {
            self.world.carry(program, Output::Disconnect);
            self.puppet(program).forget();
            return self.pass(5_000);
        }
        if !self.connect(program) {
            self.out.push(format!("{name} finds nobody who serves"));
            return Ok(());
        }
        let queue = rest.first().cloned();
        let queue = || queue.clone().ok_or("which queue?".to_string());
        let call = match verb.as_str() {
            "put" => {
                let handle = self.handle(program, &queue()?, None)?;
                Call::Put(put(handle, &name, rest)?)
            }
            "put1" => {
                let mut put = put(HandleId(0), &name, rest)?;
                put.to = PutTarget::Queue(object(&queue()?)?);
                Call::Put(put)
            }
            "get" | "browse" => {
                let handle = self.handle(program, &queue()?, None)?;
                Call::Get(get(handle, verb == "browse", rest)?)
            }
            "unlock" => {
                let handle = self.handle(program, &queue()?, None)?;
                Call::Get(Get { mode: GetMode::Unlock, ..get(handle, false, rest)? })
            }
            "commit" => Call::Commit { unit: setting(rest, "unit").map(unit), units_decided: None },
            "backout" => Call::Backout,
            "outcome" => Call::UnitOutcome {
                unit: unit(rest.first().ok_or("which unit?")?),
                units_decided: number(rest, "decided")?.unwrap_or(0),
            },
            "inquire" => Call::Inquire { handle: self.handle(program, &queue()?, None)? },
            "ping" => Call::Ping,
            "cancel" => {
                let waiting = self.puppet(program).asked.keys().next().copied();
                Call::CancelGet { token: waiting.ok_or("there is nothing to cancel")? }
            }
            "open" => {
                let options = OpenOptions {
                    output: has(rest, "output"),
                    input: has(rest, "input"),
                    exclusive: has(rest, "exclusive"),
                    browse: has(rest, "browse"),
                    inquire: has(rest, "inquire"),
                    ..OpenOptions::default()
                };
                let dynamic = setting(rest, "dynamic").unwrap_or_default();
                let text = setting(rest, "selector").unwrap_or_default().trim_matches('"');
                match MessageSelector::new(text) {
                    Ok(selector) => {
                        self.handle_of(program, &queue()?, Some(options), dynamic, selector)?;
                    }
                    // As a listener has it.
                    Err(error) => self.out.push(format!("{name} {} {error}", reason_text(error.reason()))),
                }
                return Ok(());
            }
            "close" => {
                let handle = self.puppet(program).handles.remove(&queue()?).ok_or("it is not open")?;
                let close = match (has(rest, "delete"), has(rest, "purge")) {
                    (_, true) => CloseOption::Purge,
                    (true, false) => CloseOption::Delete,
                    (false, false) => CloseOption::Keep,
                };
                Call::Close { handle, close }
            }
            other => return Err(format!("{other} is nothing an app does; there is:\n{HELP}")),
        };
        let token = self.call(program, call, true);
        self.answer(program, token, ANSWER_US);
        if self.puppet(program).asked.contains_key(&token) {
            self.out.push(format!("{name} waits"));
        }
        Ok(())
    }
}

fn unit(name: &str) -> UnitId {
    UnitId(Bytes::from(name.to_string()))
}

/// Words of `mqsc` that are no attributes.
const OPTIONS: [&str; 4] = ["replace", "purge", "remove", "removeall"];

/// Short words that scripts like, and what they say.
const SHORT: [(&str, &str, &str); 10] = [
    ("fifo", "MSGDLVSQ", "FIFO"),
    ("priority", "MSGDLVSQ", "PRIORITY"),
    ("put", "PUT", "ENABLED"),
    ("noput", "PUT", "DISABLED"),
    ("get", "GET", "ENABLED"),
    ("noget", "GET", "DISABLED"),
    ("defpsist", "DEFPSIST", "YES"),
    ("nodefpsist", "DEFPSIST", "NO"),
    ("move", "BACKOUT_MOVE", "YES"),
    ("nomove", "BACKOUT_MOVE", "NO"),
];

/// Attributes by their MQSC names, as `name=value` or a flag's name.
fn attributes(kind: ObjectKind, words: &[String]) -> Result<Changes, String> {
    let said = words.iter().map(|word| match SHORT.iter().find(|(short, ..)| short == word) {
        Some((_, name, value)) => (*name, *value),
        None => word.split_once('=').unwrap_or((word.as_str(), "")),
    });
    Changes::parse(kind, said).map_err(|fault| format!("admin {} {}", reason_text(fault.reason), fault.text))
}

fn local(name: &str) -> Result<ObjectRef, String> {
    object(name).map(|name| ObjectRef::local_queue(&name))
}

fn put(handle: HandleId, program: &str, words: &[String]) -> Result<Put, String> {
    let text = words.iter().find(|word| word.starts_with('"')).ok_or("a put wants a body in quotes")?;
    let mut body = text.trim_matches('"').as_bytes().to_vec();
    if let Some(size) = number(words, "size")? {
        body.resize(size as usize, b'.');
    }
    let mut descriptor = Descriptor {
        priority: number(words, "priority")?.map(|value| value as u8),
        expiry: number(words, "expiry")?.map(|value| value as u32),
        persistence: if has(words, "notpersistent") {
            Persistence::NotPersistent
        } else {
            Persistence::AsQueue
        },
        ..Descriptor::default()
    };
    if let Some(text) = setting(words, "correl") {
        descriptor.correlation_id = CorrelationId::from_slice(text.as_bytes()).ok_or("24 bytes at most")?;
    }
    if let Some(text) = setting(words, "group") {
        descriptor.group_id = GroupId::from_slice(text.as_bytes()).ok_or("24 bytes at most")?;
    }
    descriptor.sequence_number = number(words, "number")?.unwrap_or(0) as u32;
    if has(words, "grouped") {
        descriptor.message_flags |= message_flags::MSG_IN_GROUP;
    }
    if has(words, "last") {
        descriptor.message_flags |= message_flags::LAST_MSG_IN_GROUP;
    }
    if has(words, "segment") {
        descriptor.message_flags |= message_flags::SEGMENT;
    }
    if has(words, "segmentation") {
        descriptor.message_flags |= message_flags::SEGMENTATION_ALLOWED;
    }
    if let Some(text) = setting(words, "id") {
        descriptor.message_id = MessageId::from_slice(text.as_bytes()).ok_or("24 bytes at most")?;
    }
    let producer = number(words, "sequence")?.map(|sequence| ProducerSequence {
        producer: ProducerId(Bytes::from(format!("producer-{program}"))),
        sequence,
        repeated: has(words, "repeated"),
    });
    let (queue, manager) = setting(words, "replyto")
        .unwrap_or("")
        .split_once('@')
        .unwrap_or_else(|| (setting(words, "replyto").unwrap_or(""), ""));
    descriptor.report = ReportOptions(setting(words, "report").map_or(Ok(0), report_options)?);
    let mut rest = wire::Descriptor {
        reply_to_queue: queue.into(),
        reply_to_queue_manager: manager.into(),
        ..wire::Descriptor::default()
    };
    if let Some(properties) = setting(words, "usr") {
        let folder = format!("<usr>{}</usr>", properties.trim_matches('"'));
        let header = rfh2::encode("MQSTR", &[&folder]);
        rest.format = rfh2::FORMAT.into();
        body.splice(0..0, header);
    }
    descriptor.set_rest(&rest);
    let body_crc = crc32c::crc32c(&body);
    Ok(Put {
        to: PutTarget::Handle(handle),
        message: Box::new(Message { descriptor, body: Bytes::from(body).into(), body_crc }),
        syncpoint: has(words, "syncpoint"),
        logical_order: has(words, "logical"),
        producer,
        dead_letter: has(words, "deadletter"),
        context: Default::default(),
    })
}

/// MQRO_*, in short.
fn report_options(words: &str) -> Result<u32, String> {
    let bits = |word: &str| {
        let (name, data) = word.split_once('+').unwrap_or((word, ""));
        let bit = match name {
            "coa" => 0x100,
            "cod" => 0x800,
            "expiration" => 0x0020_0000,
            "exception" => 0x0100_0000,
            "pass_ids" => 0xC0,
            "discard" => 0x0800_0000,
            "pass_expiry" => 0x4000,
            _ => return u32::from_str_radix(word, 16).map_err(|_| format!("{word} is no report option")),
        };
        Ok(bit
            * match data {
                "data" => 3,
                "all" => 7,
                _ => 1,
            })
    };
    words.split(',').map(bits).try_fold(0, |all, bits| Ok(all | bits?))
}

fn get(handle: HandleId, browse: bool, words: &[String]) -> Result<Get, String> {
    let mode = match (browse, has(words, "next"), has(words, "under"), has(words, "cursor")) {
        (false, ..) if has(words, "ahead") => GetMode::Ahead,
        (true, true, _, _) => GetMode::BrowseNext,
        (true, _, true, _) => GetMode::BrowseUnderCursor,
        (true, ..) => GetMode::BrowseFirst,
        (false, _, _, true) => GetMode::UnderCursor,
        (false, ..) => GetMode::Destructive,
    };
    let wait = match setting(words, "wait") {
        None => Wait::No,
        Some("forever") => Wait::Forever,
        Some(text) => Wait::For(Duration::from_micros(duration_us(text)?)),
    };
    let selection = Selection {
        message_id: setting(words, "id").and_then(|text| MessageId::from_slice(text.as_bytes())),
        correlation_id: setting(words, "correl").and_then(|text| CorrelationId::from_slice(text.as_bytes())),
        group_id: setting(words, "group").and_then(|text| GroupId::from_slice(text.as_bytes())),
        sequence_number: number(words, "number")?.map(|value| value as u32),
        logical_order: has(words, "logical"),
        whole_groups: has(words, "whole"),
    };
    Ok(Get {
        handle,
        syncpoint: has(words, "syncpoint"),
        wait,
        mode,
        selection,
        syncpoint_if_persistent: false,
        max_length: number(words, "max")?.map(|value| value as usize),
        accept_truncated: has(words, "truncate"),
        extended: has(words, "extended"),
        lock: has(words, "lock"),
    })
}

fn reason_text(reason: Reason) -> String {
    format!("{} {}", reason.number(), reason.name())
}

fn answer_text(completion: &Completion) -> String {
    let data = match &completion.data {
        Data::NotAhead => "persistent".to_string(),
        Data::Nothing | Data::TooLong { .. } | Data::Progress { .. } | Data::Status(_) => String::new(),
        Data::Placed { duplicate: true, only_id_known: true, .. } => {
            "stored before, no more is known".to_string()
        }
        Data::Placed { duplicate: true, in_group: Some(group), .. } => {
            let last = if group.is_last { ", the last" } else { "" };
            format!("stored before as number {} of its group{last}", group.sequence_number)
        }
        Data::Placed { duplicate: true, .. } => "stored before".to_string(),
        Data::Placed { .. } => String::new(),
        Data::Opened(opened) => opened.made.as_ref().map_or(String::new(), |made| format!("opened {made}")),
        Data::Got { message, body_length } => {
            let mut body = message.body.to_bytes();
            if let Ok(header) = rfh2::Header::read(&body) {
                body = body.slice(header.bytes.min(body.len())..);
            }
            let of_event = (message.descriptor.rest().format == event::FORMAT).then(|| events::text(&body));
            let mut text = if let Some(text) = of_event {
                text
            } else if body.starts_with(b"DLH ") && body.len() > 172 {
                let reason = u32::from_le_bytes([body[8], body[9], body[10], body[11]]);
                format!("dead letter (reason {reason}) {}", body_text(&body[172..]))
            } else {
                body_text(&body)
            };
            if *body_length != message.body.len() {
                text.push_str(&format!(" of {body_length} bytes"));
            }
            if let Some(priority) = message.descriptor.priority.filter(|priority| *priority > 0) {
                text.push_str(&format!(" priority={priority}"));
            }
            if message.descriptor.backout_count > 0 {
                text.push_str(&format!(" backout_count={}", message.descriptor.backout_count));
            }
            let rest = message.descriptor.rest();
            if rest.message_type == Some(4) {
                let about = String::from_utf8_lossy(message.descriptor.correlation_id.trimmed()).into_owned();
                let about = if about.starts_with("AMQ ") { "a message" } else { &about };
                text.push_str(&format!(" reports {} of {about}", rest.feedback));
            }
            text
        }
        Data::Unit { state: UnitState::Committed, .. } => "committed".to_string(),
        Data::Unit { state: UnitState::BackedOut, .. } => "backed out".to_string(),
        Data::Unit { state: UnitState::Forgotten, .. } => "forgotten".to_string(),
        Data::Inquired(object) => object.queue.as_ref().map(queue_text).unwrap_or_default(),
        Data::Objects(page) => page.objects.iter().map(object_text).collect::<Vec<_>>().join("; "),
        Data::Sessions(page) => format!("{} sessions", page.sessions.len()),
        Data::Refreshed { upto } => format!("refreshed up to {}", upto.as_deref().unwrap_or("the end")),
        Data::Failovers(kept) => failovers_text(kept),
        Data::Trail(kept) => trail_text(kept),
        Data::NotServing { .. } => "not serving".to_string(),
    };
    match (completion.reason, data.is_empty()) {
        (Reason::None, true) => "ok".to_string(),
        (Reason::None, false) => data,
        (reason, true) => reason_text(reason),
        (reason, false) => format!("{} {data}", reason_text(reason)),
    }
}

fn body_text(body: &[u8]) -> String {
    match body.len() {
        201.. => format!("{} bytes that begin \"{}\"", body.len(), String::from_utf8_lossy(&body[..10])),
        _ => format!("\"{}\"", String::from_utf8_lossy(body)),
    }
}

/// The nodes are left out: which one leads is the seed's.
fn failovers_text(kept: &KeptFailovers) -> String {
    let mut parts: Vec<String> = Vec::new();
    for record in &kept.records {
        let said = kept.classified.iter().find(|said| said.number == record.number);
        let class = record.class();
        let counts_as = said
            .and_then(|said| Class::from_wire(said.class()))
            .map_or(String::new(), |class| class.to_string());
        let because = said.map_or("", |said| said.because.as_str());
        parts.push(
            format!("{} {} {class} {counts_as} {because}", record.number, record.cause_in_words())
                .trim()
                .into(),
        );
    }
    if let Some(canary) = &kept.canary {
        let seconds = |ms: i64| (ms + 500) / 1000;
        let gap = |gap: &CanaryGap| {
            format!(
                "{} {} s",
                if gap.unwatched { "unwatched" } else { "down" },
                seconds(gap.to_ms - gap.from_ms)
            )
        };
        let gaps: Vec<String> = canary.gaps.iter().map(gap).collect();
        parts.push(format!("canaries: {}", if gaps.is_empty() { "no gap".into() } else { gaps.join(", ") }));
    }
    parts.join("; ")
}

/// Who, in which language, and what is not as it was; that the records are a chain is looked at.
fn trail_text(kept: &KeptTrail) -> String {
    let of_record = |record: &AuditRecord| {
        let changes = record.changes_in_words().map(|(name, before, after)| {
            let [before, after] = [before, after].map(|value| value.unwrap_or_else(|| "-".into()));
            format!(" {name} {before} > {after}")
        });
        let (tongue, verb) = (tongue_in_words(record.tongue()), verb_in_words(record.verb()));
        format!("{} {tongue} {verb} {}{}", record.number, record.object(), changes.collect::<String>())
    };
    let broken = chain::verify(&kept.records).err().map(|broken| broken.to_string());
    kept.records.iter().map(of_record).chain(broken).collect::<Vec<_>>().join("; ")
}

/// What is not as it is by default.
fn object_text(object: &ObjectView) -> String {
    if let Some(queue) = &object.queue {
        return queue_text(queue);
    }
    let definition = &object.definition;
    let set = definition.settings.iter();
    let set = set.filter_map(|(selector, value)| Some(definition.kind().attribute(selector)?.display(value)));
    std::iter::once(definition.object.to_string()).chain(set).collect::<Vec<_>>().join(" ")
}

fn queue_text(queue: &QueueView) -> String {
    let definition = &queue.definition;
    let mut text = format!("{} depth={}", definition.object.name, queue.depth);
    if queue.uncommitted > 0 {
        text.push_str(&format!(" uncommitted={}", queue.uncommitted));
    }
    if queue.not_persistent > 0 {
        text.push_str(&format!(" not_persistent={}", queue.not_persistent));
    }
    if definition.number(INHIBIT_PUT) == 1 {
        text.push_str(" noput");
    }
    if definition.number(INHIBIT_GET) == 1 {
        text.push_str(" noget");
    }
    text
}
