//! One run: from a seed to a verdict. Set up, work under faults, heal, drain, judge.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::address::Flaw;
use super::clock::TICK_US;
use super::commit::commit;
use super::counters::Counters;
use super::disk::{self, Depth, Failure, Sites};
use super::net::Quality;
use super::node::Setup;
use super::rng::Rng;
use super::schedule::{Fault, Places, Schedule};
use super::trace::Trace;
use super::world::{Plan, Program, Violation, World, initial_membership};
use crate::check::{self, log_time};
use crate::model::administrator::Administrator;
use crate::model::app::App;
use crate::model::history::History;
use crate::model::tongue::Tongue;
use crate::model::workload::{self, Habits};
use trimaran_node::mqi::{Admin, Operate};
use trimaran_node::qmgr::Retention;
use trimaran_node::replica::TURN_WORK;
use trimaran_node::types::Version;
use trimaran_node::vip::Mode;
use trimaran_proto::admin::v1::AuditRecord;
use trimaran_proto::admin::v1::audit_record::Verb;

/// What whoever starts a run may set; everything else comes from the seed.
#[derive(Clone, Debug)]
pub struct Knobs {
    pub depth: Depth,
    pub ticks: u64,
    /// Programs of each queue manager; None leaves it to the seed.
    pub programs: Option<u64>,
    /// Fault kinds that may happen at all.
    pub faults: Vec<Fault>,
    pub planted: Option<Planted>,
    /// Keep the newest lines of the trace.
    pub lines: usize,
    pub print: bool,
    pub day: Day,
}

/// What kind of day a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Day {
    /// Whatever the nemesis thinks of.
    #[default]
    Any,
    /// See `sim/old_image.rs`.
    OldImage,
    /// See `sim/reports.rs`.
    Reports,
    /// See `sim/events.rs`.
    Events,
    /// See `sim/registers.rs`.
    Registers,
    /// See `sim/commands.rs`.
    Commands,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs {
            depth: Depth::A,
            ticks: 2_000,
            programs: None,
            faults: Fault::ALL.to_vec(),
            planted: None,
            lines: 0,
            print: false,
            day: Day::Any,
        }
    }
}

/// Bugs that can be switched on to see that the harness finds them. Those of the node need the feature
/// `planted-bugs`; those of the simulator's own disk and address model do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    AckBeforeSync,
    ForgetTerm,
    ServeWithoutLease,
    ApplyTwice,
    NoOwnerCheck,
    CutLogEarly,
    SecondCopy,
    SealForgotten,
    ForgetProducers,
    LateExpiry,
    AlterWhole,
    KeepAddress,
    ZerosOverContent,
    FollowAnyHistory,
    OwnClock,
    OneOffer,
    EndlessTurn,
    RaiseEarly,
    ForgetFailover,
    ForgetDeletion,
    LeadInMaintenance,
    ForgetMaintenance,
    FailBackAtOnce,
    OpenFence,
    CanaryAlone,
    TrustAgent,
    ChannelSyncpoint,
    CutWaitsOff,
    AheadForGood,
    OnePlaceMore,
    CreateTwice,
    BeginDeleted,
    GiveAwayAtOnce,
    ReplyBeside,
}

impl Planted {
    pub const ALL: [(Planted, &'static str, &'static str); 34] = [
        (Planted::AckBeforeSync, "ack-before-sync", "a write counts as persisted before the disk said so"),
        (Planted::ForgetTerm, "forget-term", "term and vote are forgotten at a restart"),
        (Planted::ServeWithoutLease, "serve-without-lease", "a leader serves on without a lease"),
        (Planted::ApplyTwice, "apply-twice", "an entry is applied twice now and then"),
        (Planted::NoOwnerCheck, "no-owner-check", "a get takes what another unit has reserved"),
        (Planted::CutLogEarly, "cut-log-early", "the log is cut above what the store has flushed"),
        (Planted::SecondCopy, "second-copy", "a repeated put is stored again"),
        (Planted::SealForgotten, "seal-forgotten", "a unit that was forgotten is said to be backed out"),
        (Planted::ForgetProducers, "forget-producers", "a producer that was forgotten counts as a new one"),
        (Planted::LateExpiry, "late-expiry", "what has expired stays on its queue"),
        (Planted::AlterWhole, "alter-whole", "an alteration replaces what it did not want to change"),
        (Planted::KeepAddress, "keep-address", "the address stays after the lease is lost"),
        (
            Planted::ZerosOverContent,
            "zeros-over-content",
            "a start puts zeros in the place of a good log file before it writes the file again",
        ),
        (
            Planted::FollowAnyHistory,
            "follow-any-history",
            "a leader that lacks what is committed here is followed",
        ),
        (Planted::OwnClock, "own-clock", "the time of the log is the leader's own"),
        (
            Planted::OneOffer,
            "one-offer",
            "a free message is offered to one of those who wait and to nobody else",
        ),
        (Planted::EndlessTurn, "endless-turn", "a turn goes on for as long as there is anything to do"),
        (Planted::RaiseEarly, "raise-early", "the version is raised without asking what the others speak"),
        (Planted::ForgetFailover, "forget-failover", "no record is kept of another node that takes over"),
        (Planted::ForgetDeletion, "forget-deletion", "the audit trail has no record of what is deleted"),
        (Planted::LeadInMaintenance, "lead-in-maintenance", "a node in maintenance leads as others do"),
        (
            Planted::ForgetMaintenance,
            "forget-maintenance",
            "one node after the other is taken into maintenance, up to the last",
        ),
        (Planted::FailBackAtOnce, "fail-back-at-once", "a fail-back does not wait for the leader's tenure"),
        (
            Planted::OpenFence,
            "open-fence",
            "in mode fast the fence stays open while the kernel has the address",
        ),
        (
            Planted::CanaryAlone,
            "canary-alone",
            "what a canary missed counts although another one got through",
        ),
        (Planted::TrustAgent, "trust-agent", "a node serves on whose agent does not answer"),
        (
            Planted::ChannelSyncpoint,
            "channel-syncpoint",
            "a put over a channel is there at once, whatever it says of syncpoint",
        ),
        (
            Planted::CutWaitsOff,
            "cut-waits-off",
            "in a planned move the address goes while gets wait that came by it",
        ),
        (Planted::AheadForGood, "ahead-for-good", "a persistent message is got ahead of its program, too"),
        (Planted::OnePlaceMore, "one-place-more", "a channel takes one connection more than MAXINST says"),
        (
            Planted::CreateTwice,
            "create-twice",
            "who creates a queue manager that is there is told that it was created",
        ),
        (
            Planted::BeginDeleted,
            "begin-deleted",
            "a start follows records though its log has deletions that are not applied yet",
        ),
        (
            Planted::GiveAwayAtOnce,
            "give-away-at-once",
            "an address that was given up is another queue manager's before every node has followed",
        ),
        (
            Planted::ReplyBeside,
            "reply-beside",
            "a command server puts its replies beside the unit of work in which it got the command",
        ),
    ];

    /// Where the bug is, when it is not in what every depth has.
    pub fn depth(self) -> Option<Depth> {
        (self == Planted::ZerosOverContent).then_some(Depth::B)
    }

    pub fn from_name(name: &str) -> Option<Planted> {
        Planted::ALL.iter().find(|(_, own, _)| *own == name).map(|(planted, _, _)| *planted)
    }

    /// The kind of day that shows it.
    pub fn day(self) -> Day {
        match self {
            Planted::FollowAnyHistory => Day::OldImage,
            Planted::CreateTwice | Planted::BeginDeleted | Planted::GiveAwayAtOnce => Day::Registers,
            Planted::ReplyBeside => Day::Commands,
            _ => Day::Any,
        }
    }

    pub fn name(self) -> &'static str {
        Planted::ALL.iter().find(|(planted, _, _)| *planted == self).map_or("", |(_, name, _)| name)
    }
}

#[derive(Clone, Debug)]
pub struct Verdict {
    pub seed: u64,
    pub hash: u64,
    pub ticks: u64,
    pub virtual_us: u64,
    pub violation: Option<Violation>,
    pub counters: Counters,
    pub operations: usize,
    pub lines: Vec<String>,
    pub history: History,
}

/// How long the healed cluster may take for each step.
const EARLY_FAULTS_US: u64 = 5_000_000;
const SETUP_US_MAX: u64 = 60_000_000;
const FINISH_US_MAX: u64 = 60_000_000;
const SETTLE_US_MAX: u64 = 30_000_000;
/// Of each queue manager, at the same time.
const ADMINISTRATORS: u64 = 2;
const DRAIN_US_MAX: u64 = 60_000_000;
const PLACED_US: u64 = 15_000_000;

impl Plan {
    pub fn draw(seed: u64, knobs: &Knobs) -> Plan {
        let mut rng = Rng::new(seed ^ 0x706C_616E);
        let nodes = if rng.chance(100) { 5 } else { 3 };
        let setup = Setup {
            queue_managers: 2,
            initial: initial_membership(nodes),
            window_bytes: *rng.pick(&[4 << 10, 64 << 10, 64 << 20]).expect("not empty"),
            log_retain_bytes: *rng.pick(&[0, 16 << 10, 1 << 20, 64 << 20]).expect("not empty"),
            tail_bytes_max: *rng.pick(&[2 << 10, 64 << 10, 64 << 20]).expect("not empty"),
            retention: workload::retention(seed),
            fast_timing: rng.chance(300),
            address_mode: Mode::Kernel,
            forgets_term: knobs.planted == Some(Planted::ForgetTerm),
            turn_work: TURN_WORK,
            system_objects: false,
            units_within: Duration::ZERO,
            placements: Vec::new(),
            tenure: Duration::from_secs(30),
            canaries: false,
        };
        let mut schedule = Schedule::draw(&mut rng, Fault::ALL);
        schedule.draw_releases(seed);
        schedule.enabled.retain(|fault| knobs.faults.contains(fault));
        let sync = *rng.pick(&[100, 1_000, 5_000]).expect("not empty");
        let flush = *rng.pick(&[20_000, 200_000, 2_000_000]).expect("not empty");
        let mut plan = Plan {
            seed,
            depth: knobs.depth,
            nodes,
            setup,
            schedule,
            fault_ticks: knobs.ticks,
            quality: Quality::lan(),
            sync_us: (sync / 5, sync * 2),
            flush_us: (flush / 4, flush),
            drift_ppm_max: *rng.pick(&[0, 100, 4_000]).expect("not empty"),
            stream_timeout_us: rng.between(200_000, 2_000_000),
            look_us: 0,
            turn_us: (1, *rng.pick(&[5, 60, 400]).expect("not empty")),
            restart_us: *rng.pick(&[(50_000, 400_000), (500_000, 5_000_000)]).expect("not empty"),
            agents_flaw: match knobs.planted {
                Some(Planted::KeepAddress) => Flaw::KeepsAddress,
                Some(Planted::OpenFence) => Flaw::OpenFence,
                _ => Flaw::None,
            },
            agents_trusted: knobs.planted == Some(Planted::TrustAgent),
            session_calls_max: *rng.pick(&[2, 9, 10_000]).expect("not empty"),
            session_bytes_max: *rng.pick(&[1 << 10, 16 << 20]).expect("not empty"),
            victims: Vec::new(),
            disk_failure: None,
            newest: Version::FIRST,
        };
        // Most begin with what this release speaks; two releases side by side begin with the one before.
        if !plan.schedule.enabled.iter().any(|fault| fault.is_of_releases()) && !seed.is_multiple_of(4) {
            plan.newest = Version::TRAIL;
        }
        plan.place_queue_managers(knobs);
        plan.hold_addresses_fast();
        plan.draw_canaries();
        // Short turns that cost time, so that what a client asks for is done in parts; or long ones that cost none.
        (plan.setup.turn_work, plan.look_us) =
            *rng.pick(&[(256, 10), (1_024, 2), (TURN_WORK, 0)]).expect("not empty");
        plan
    }
}

impl Plan {
    fn place_queue_managers(&mut self, knobs: &Knobs) {
        if !knobs.faults.contains(&Fault::Maintain) {
            return;
        }
        let Some(places) = Places::draw(self.seed, self.setup.queue_managers, self.nodes) else { return };
        (self.setup.units_within, self.setup.tenure) = (places.units_within, places.tenure);
        (self.setup.placements, self.newest) = (places.placements, Version::TRAIL);
        let wanted = [Fault::Maintain, Fault::MoveLeader, Fault::Drain];
        let missing = wanted.iter().filter(|fault| knobs.faults.contains(fault));
        let missing: Vec<Fault> =
            missing.copied().filter(|fault| !self.schedule.enabled.contains(fault)).collect();
        self.schedule.enabled.extend(missing);
    }

    /// A sixth of the runs has fences around its addresses, most of them with short elections, as the fast profile has them. Drawn
    /// apart, so that a seed without is the run that it was before there were any.
    fn hold_addresses_fast(&mut self) {
        let mut rng = Rng::new(self.seed ^ 0x6665_6E63_6573);
        if rng.chance(170) {
            self.setup.address_mode = Mode::Fast;
            self.setup.fast_timing |= rng.chance(800);
        }
    }

    /// A tenth of the runs has canaries, which need the version that knows of them. Drawn apart, too.
    fn draw_canaries(&mut self) {
        if Rng::new(self.seed ^ 0x6361_6E61_7269).chance(100) {
            (self.setup.canaries, self.newest) = (true, Version::TRAIL);
        }
    }

    /// For days of another kind.
    pub fn unplaced(mut self) -> Plan {
        self.setup.canaries = false;
        self.setup.placements.clear();
        self.setup.units_within = Duration::ZERO;
        self.schedule.enabled.retain(|fault| !fault.is_of_placement());
        self
    }

    /// Maintenance and moves to preferred nodes are in it; the version that knows maintenance is raised at its beginning.
    pub fn is_placed(&self) -> bool {
        !self.setup.placements.is_empty()
    }

    /// Whether the version is raised at its beginning.
    fn is_raised(&self) -> bool {
        self.is_placed() || self.setup.canaries
    }
}

/// For runs in which one call to node 1's disk fails: short, and with what makes a node read its log, send a snapshot
/// and install one.
pub fn nth_call_knobs(knobs: &Knobs) -> Knobs {
    let faults = vec![Fault::LostDisk, Fault::KillProcess, Fault::MoveLeader];
    Knobs { ticks: knobs.ticks.min(300), faults, programs: Some(3), ..knobs.clone() }
}

/// Little is kept in memory, so that it has to be read, and the log is cut soon, so that a node without a disk needs a
/// snapshot. Of five nodes two may be without their data: the one whose disk is lost, and the one whose call fails.
pub fn nth_call_plan(seed: u64, knobs: &Knobs) -> Plan {
    let mut plan = Plan::draw(seed, knobs);
    plan.victims = vec![1, 2];
    plan.nodes = 5;
    plan.setup.initial = initial_membership(plan.nodes);
    (plan.setup.window_bytes, plan.setup.log_retain_bytes) = (4 << 10, 16 << 10);
    plan.setup.tail_bytes_max = 1 << 10;
    plan.schedule.enabled = knobs.faults.clone();
    (plan.schedule.gap_us_min, plan.schedule.gap_us_max) = (200_000, 600_000);
    (plan.flush_us, plan.restart_us) = ((5_000, 20_000), (50_000, 400_000));
    plan
}

/// A run that calls node 1's disk: which calls it makes of kinds that no earlier one made.
#[derive(Clone, Debug)]
pub struct NthCallRun {
    pub seed: u64,
    pub calls: Sites,
}

/// Runs from this seed on that make every kind of call between them; the first adds most.
pub fn nth_call_runs(from: u64, knobs: &Knobs) -> Result<Vec<NthCallRun>, Verdict> {
    const SEEDS: u64 = 1_000;
    let mut missing: BTreeSet<&str> = disk::calls(knobs.depth).iter().copied().collect();
    let mut runs = Vec::new();
    for seed in from..from + SEEDS {
        let (verdict, world) = run_plan(nth_call_plan(seed, knobs), knobs);
        if verdict.violation.is_some() {
            return Err(verdict);
        }
        let mut calls = world.nodes[&1].disk.sites();
        calls.0.retain(|kind, _| missing.remove(kind));
        if !calls.0.is_empty() {
            runs.push(NthCallRun { seed, calls });
        }
        if missing.is_empty() {
            return Ok(runs);
        }
    }
    panic!("no run of {SEEDS} makes these calls to a disk: {missing:?}");
}

/// The run of this seed in which one call to node 1's disk fails.
pub fn run_nth_call(seed: u64, call: u64, how: Failure, knobs: &Knobs) -> Verdict {
    let mut plan = nth_call_plan(seed, knobs);
    plan.disk_failure = Some((1, call, how));
    run_plan(plan, knobs).0
}

thread_local! {
    /// Where and why the last panic of this thread happened; filled by the hook of [`quiet_panics`].
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// What this thread runs.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Assertions of replicas are findings, reported with their seed: their panics are kept, not printed. A program that
/// was built to end at a panic, as releases are, can still name the seed.
pub fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        if cfg!(panic = "abort") {
            let (seed, commit) = (SEED.get(), commit());
            println!("seed {seed} FAILED\n  commit   {commit}\n  promise  assertion\n  {info}");
            println!(
                "  again: the same command with --replay {seed}, and without --release to see the last actions"
            );
            std::process::exit(1);
        }
        LAST_PANIC.with(|last| *last.borrow_mut() = Some(info.to_string()));
    }));
}

pub fn run(seed: u64, knobs: &Knobs) -> Verdict {
    run_plan(Plan::draw(seed, knobs), knobs).0
}

/// Runs a plan to its verdict, and hands the world back for whoever wants to look at it.
pub fn run_plan(plan: Plan, knobs: &Knobs) -> (Verdict, World) {
    run_day(plan, knobs, live)
}

/// The same with a day of another kind.
pub fn run_day(plan: Plan, knobs: &Knobs, live: impl FnOnce(&mut World, &Knobs)) -> (Verdict, World) {
    plant(knobs.planted);
    let seed = plan.seed;
    SEED.set(seed);
    let mut world = World::new(plan, Trace::new(knobs.lines, knobs.print));
    let result = catch_unwind(AssertUnwindSafe(|| {
        live(&mut world, knobs);
        for node in world.nodes.values() {
            for mind in node.process.iter().flat_map(|process| &process.minds) {
                world.counters.add_stats(mind.replica.stats());
            }
        }
    }));
    if let Err(payload) = result {
        let told = LAST_PANIC.with(|last| last.borrow_mut().take());
        let text = payload
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string()))
            .unwrap_or_default();
        world.fail("assertion", told.unwrap_or(text).replace('\n', " "));
    }
    plant(None);
    let verdict = Verdict {
        seed,
        hash: world.trace.hash(),
        ticks: world.now / TICK_US,
        virtual_us: world.now,
        violation: world.violations.first().cloned(),
        counters: world.counters.clone(),
        operations: world.history.operations.len(),
        lines: world.trace.lines(),
        history: std::mem::take(&mut world.history),
    };
    (verdict, world)
}

/// Those of the node; the others are the simulator's own and set in the plan.
#[cfg(feature = "planted-bugs")]
fn plant(planted: Option<Planted>) {
    use trimaran_node::types::planted::{Bug, plant};
    plant(planted.and_then(|planted| match planted {
        Planted::AckBeforeSync => Some(Bug::AckBeforeSync),
        Planted::ServeWithoutLease => Some(Bug::ServeWithoutLease),
        Planted::ApplyTwice => Some(Bug::ApplyTwice),
        Planted::NoOwnerCheck => Some(Bug::NoOwnerCheck),
        Planted::SecondCopy => Some(Bug::SecondCopy),
        Planted::SealForgotten => Some(Bug::SealForgotten),
        Planted::ForgetProducers => Some(Bug::ForgetProducers),
        Planted::LateExpiry => Some(Bug::LateExpiry),
        Planted::CutLogEarly => Some(Bug::CutLogEarly),
        Planted::ZerosOverContent => Some(Bug::ZerosOverContent),
        Planted::FollowAnyHistory => Some(Bug::FollowAnyHistory),
        Planted::OwnClock => Some(Bug::OwnClock),
        Planted::OneOffer => Some(Bug::OneOffer),
        Planted::EndlessTurn => Some(Bug::EndlessTurn),
        Planted::AlterWhole => Some(Bug::AlterWhole),
        Planted::RaiseEarly => Some(Bug::RaiseEarly),
        Planted::ForgetFailover => Some(Bug::ForgetFailover),
        Planted::ForgetDeletion => Some(Bug::ForgetDeletion),
        Planted::LeadInMaintenance => Some(Bug::LeadInMaintenance),
        Planted::ForgetMaintenance => Some(Bug::ForgetMaintenance),
        Planted::FailBackAtOnce => Some(Bug::FailBackAtOnce),
        Planted::CanaryAlone => Some(Bug::CanaryAlone),
        Planted::ChannelSyncpoint => Some(Bug::ChannelSyncpoint),
        Planted::CutWaitsOff => Some(Bug::CutWaitsOff),
        Planted::AheadForGood => Some(Bug::AheadForGood),
        Planted::OnePlaceMore => Some(Bug::OnePlaceMore),
        Planted::CreateTwice => Some(Bug::CreateTwice),
        Planted::BeginDeleted => Some(Bug::BeginDeleted),
        Planted::GiveAwayAtOnce => Some(Bug::GiveAwayAtOnce),
        Planted::ReplyBeside => Some(Bug::ReplyBeside),
        Planted::ForgetTerm | Planted::KeepAddress | Planted::OpenFence | Planted::TrustAgent => None,
    }));
}

#[cfg(not(feature = "planted-bugs"))]
fn plant(planted: Option<Planted>) {
    let own = [Planted::ForgetTerm, Planted::KeepAddress, Planted::OpenFence, Planted::TrustAgent];
    assert!(
        planted.is_none_or(|planted| own.contains(&planted)),
        "this bug is in the node: build with --features planted-bugs"
    );
}

/// Queues, and the facts that judges need of them.
pub(super) fn set_up(world: &mut World) {
    define_queues(world);
    world.history.queues = workload::facts(world.plan.setup.queue_managers);
    wait_for_queues(world);
}

fn wait_for_queues(world: &mut World) {
    wait(world, SETUP_US_MAX, "define the queues", |world| {
        (0..world.plan.setup.queue_managers).all(|number| world.operator(number).is_idle())
    });
}

fn live(world: &mut World, knobs: &Knobs) {
    let mut rng = world.rng.fork(77);
    define_queues(world);
    world.history.queues = workload::facts(world.plan.setup.queue_managers);
    world.history.promised = world.plan.setup.retention;
    world.add_canaries();
    if rng.chance(100) {
        // Some nodes never live long enough for anybody to define a queue, so these faults have an end of their own.
        world.kick_nemesis();
        world.run_until(world.now + EARLY_FAULTS_US);
        world.heal();
    }
    wait_for_queues(world);
    if !world.violations.is_empty() {
        return;
    }
    add_programs(world, knobs, &mut rng);
    under_faults(world);
    if !world.violations.is_empty() {
        return;
    }
    world.heal();
    settle(world, &mut rng);
    check_trails(world);
    judge(world);
}

/// For as long as the plan says.
pub(super) fn under_faults(world: &mut World) {
    world.kick_nemesis();
    let until = world.now + world.plan.fault_ticks * TICK_US;
    while world.now < until && world.violations.is_empty() {
        let next = (world.now + 250_000).min(until);
        world.run_until(next);
        check_replay(world);
    }
}

/// Every program finishes, every queue drains, every member comes to the same state.
pub(super) fn settle(world: &mut World, rng: &mut Rng) {
    wait(world, FINISH_US_MAX, "finish every program", |world| {
        let operators = (0..world.plan.setup.queue_managers).all(|number| world.operator(number).is_idle());
        operators && unfinished(world).is_none()
    });
    wait(world, SETTLE_US_MAX, "bring every member to the same index", |world| world.is_settled());
    compare_states(world);
    check_replay(world);
    if world.plan.is_placed() {
        // Time enough for whoever is in maintenance to hand over, and for its judge.
        let placed = world.healed_at.unwrap_or_default() + PLACED_US;
        world.run_until(world.now.max(placed));
    }
    // A connection that a fault has eaten from may hold messages until its node notices.
    wait(world, SETTLE_US_MAX, "end the sessions whose programs are gone", |world| {
        !world.has_stuck_sessions()
    });
    open_for_gets(world);
    drain(world, rng);
    have_the_time_logged(world);
    wait(world, SETTLE_US_MAX, "bring every member to the same index after the drain", |world| {
        world.is_settled()
    });
    compare_states(world);
    check_replay(world);
}

/// By an entry that a leader proposes when it has heard the clocks of the others.
fn have_the_time_logged(world: &mut World) {
    let heard = world.healed_at.unwrap_or_default() + log_time::HEARD_US;
    world.run_until(world.now.max(heard));
    let queue = workload::queue_name(workload::USED[0] as u32);
    for number in 0..world.plan.setup.queue_managers {
        world.ask_operator(number, Admin::alter_local(&queue, &[("GET", "ENABLED")]), false);
    }
    let altered_at = RefCell::new(vec![None; world.plan.setup.queue_managers]);
    wait(world, FINISH_US_MAX, "alter a queue after the drain", |world| {
        let mut altered_at = altered_at.borrow_mut();
        for (number, at) in altered_at.iter_mut().enumerate().filter(|(_, at)| at.is_none()) {
            *at = world.operator(number).is_idle().then_some(world.now);
        }
        altered_at.iter().all(Option::is_some)
    });
    let altered_at: Vec<u64> = altered_at.into_inner().into_iter().flatten().collect();
    if world.violations.is_empty()
        && let Some(sentence) = log_time::check(world.now, &altered_at, &world.nodes)
    {
        world.fail(log_time::NAME, sentence);
    }
}

fn define_queues(world: &mut World) {
    for number in 0..world.plan.setup.queue_managers {
        for definition in workload::definitions() {
            world.ask_operator(number, definition, false);
        }
        if Tongue::has_channels(world.plan.seed) {
            world.ask_operator(number, workload::channel(number), false);
        }
        world.ask_operator(number, Admin::alter_manager(&[("DEADQ", workload::QUEUES[5])]), false);
        let ready = Admin::alter_local(&workload::queue_name(0), &[("DESCR", "ready")]);
        world.ask_operator(number, ready, false);
        if world.plan.is_raised() {
            world.ask_operator(number, Operate::Raise { to: Some(Version::TRAIL) }, false);
        }
    }
}

/// Programs close queues for gets now and then, and may end before they open them again.
fn open_for_gets(world: &mut World) {
    for number in 0..world.plan.setup.queue_managers {
        for queue in workload::USED {
            let queue = workload::queue_name(queue as u32);
            world.ask_operator(number, Admin::alter_local(&queue, &[("GET", "ENABLED")]), false);
        }
    }
    wait(world, FINISH_US_MAX, "open every queue for gets", |world| {
        (0..world.plan.setup.queue_managers).all(|number| world.operator(number).is_idle())
    });
}

pub(super) fn add_programs(world: &mut World, knobs: &Knobs, rng: &mut Rng) {
    // Where no get is outside syncpoint and every commit can be asked for, every message can be accounted for.
    let exact = rng.chance(400);
    let large = rng.chance(60);
    let busy = rng.chance(100);
    for queue_manager in 0..world.plan.setup.queue_managers {
        for _ in 0..ADMINISTRATORS {
            let number = world.programs.len() as u32;
            let own = rng.fork(u64::from(number));
            let administrator = Administrator::new(number, queue_manager, own);
            world.add_and_wake(Program::Administrator(Box::new(administrator)));
        }
        let drawn = rng.between(2, 7);
        for _ in 0..knobs.programs.unwrap_or(drawn) {
            let number = world.programs.len() as u32;
            let mut own = rng.fork(u64::from(number));
            let mut habits = Habits::draw(&mut own, exact, large, busy);
            // Where names of producers are soon forgotten, a repetition that does not say so is stored again.
            habits.says_repeated |= world.plan.setup.retention != Retention::default();
            let tongue = Tongue::draw(world.plan.seed, number);
            world.add_app(App::new(number, queue_manager, habits, own).speaking(tongue));
        }
    }
}

fn drain(world: &mut World, rng: &mut Rng) {
    for queue_manager in 0..world.plan.setup.queue_managers {
        let number = world.programs.len() as u32;
        let own = rng.fork(u64::from(number));
        world.add_app(App::drainer(number, queue_manager, own));
    }
    wait(world, DRAIN_US_MAX, "drain every queue", |world| unfinished(world).is_none());
}

fn unfinished(world: &World) -> Option<String> {
    world.programs.iter().find_map(|program| match program {
        Program::App(app) if !app.finished => Some(app.state()),
        Program::Administrator(one) if !one.is_finished() => Some(one.state()),
        Program::Commander(one) if !one.is_finished => Some(one.state()),
        Program::Registrar(one) if !one.is_finished() => Some("a registrar waits for an answer".to_string()),
        _ => None,
    })
}

/// Virtual time passes until it is so; a cluster that cannot do it without faults is broken.
pub(super) fn wait(world: &mut World, us_max: u64, what: &str, mut done: impl FnMut(&mut World) -> bool) {
    let until = world.now + us_max;
    while world.violations.is_empty() && !done(world) {
        if world.now >= until {
            let state = why_not(world);
            world.fail("liveness", format!("within {} s nobody could {what}: {state}", us_max / 1_000_000));
            return;
        }
        let next = world.now + 50_000;
        world.run_until(next);
    }
}

fn why_not(world: &mut World) -> String {
    let mut text = unfinished(world).unwrap_or_default();
    for number in 0..world.plan.setup.queue_managers {
        if !world.operator(number).is_idle() {
            text.push_str(&format!("; {}", world.operator(number).state()));
        }
        let serving = world.serving(number);
        text.push_str(&format!("; queue manager {number} is served by {serving:?}"));
        for (id, node) in &world.nodes {
            match &node.process {
                Some(process) => {
                    let mind = &process.minds[number];
                    let role = match &mind.role {
                        trimaran_node::types::RoleView::Serving { term, .. } => {
                            format!("serving in term {term}")
                        }
                        other => format!("{other:?}"),
                    };
                    text.push_str(&format!(
                        ", node {id} applied {} commit {} {role}",
                        mind.applied, mind.commit
                    ));
                }
                None => text.push_str(&format!(", node {id} is down")),
            }
        }
    }
    text
}

/// Everybody is at the same index: the states are compared, whatever was compared on the way.
fn compare_states(world: &mut World) {
    if world.violations.is_empty()
        && let Some((checker, sentence)) = world.checks.compare_states(&world.nodes)
    {
        world.fail(checker, sentence);
    }
}

fn check_replay(world: &mut World) {
    for number in 0..world.plan.setup.queue_managers {
        let broken = world.checks.check_replay(number, &mut world.nodes);
        if let Some(sentence) = broken {
            world.fail("replay", sentence);
        }
    }
}

/// Of queue managers that begin with the version that keeps a trail.
fn check_trails(world: &mut World) {
    if world.plan.newest < Version::TRAIL {
        return;
    }
    for number in 0..world.plan.setup.queue_managers {
        let process = world.serving(number).and_then(|node| world.nodes[&node].process.as_ref());
        let Some(process) = process else { return };
        let state = process.minds[number].replica.queue_manager();
        let trail: Vec<AuditRecord> = state.trail(0).cloned().collect();
        let was_raised = trail.first().is_some_and(|first| first.verb() == Verb::Upgrade);
        if state.version() < Version::TRAIL || was_raised {
            continue;
        }
        match check::trail::check(&world.history, number, &trail) {
            Ok(changes) => world.counters.marks_add("changes found in the trail", changes),
            Err(sentence) => world.fail(check::trail::NAME, sentence),
        }
    }
}

pub(super) fn judge(world: &mut World) {
    if !world.violations.is_empty() {
        return;
    }
    world.counters.marks_add("fail-backs", world.checks.placements.looked_at);
    world.counters.marks_add("states compared", world.checks.states.compared);
    world.counters.marks_add("states loaded from rows", world.checks.replay.loads);
    world.counters.marks_add("terms with a leader", world.checks.leaders.terms_led() as u64);
    world.counters.marks_add("canaries' gaps looked at", world.checks.canaries.gaps);
    if let Some(sentence) = world.checks.canaries.at_the_end() {
        world.fail(check::canaries::NAME, sentence);
    }
    world.counters.marks_add("times without a good round", world.checks.canaries.silences);
    if !check::total::is_drained(&world.history) {
        world.fail("drain", "a queue is not empty after the drain".to_string());
    }
    for complaint in check::judge(&world.history) {
        world.fail(complaint.checker, complaint.sentence);
    }
}
