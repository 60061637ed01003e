//! What goes wrong in a run, and when: a swarm of fault kinds drawn from the seed, each with its own appetite.

use std::collections::BTreeMap;
use std::time::Duration;

use trimaran_node::replica::{FailBack, Placement};
use trimaran_node::types::NodeId;

use super::rng::Rng;

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $text:literal)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name),* }

        impl Fault {
            pub const ALL: &'static [Fault] = &[$(Fault::$name),*];

            pub fn name(self) -> &'static str {
                match self { $(Fault::$name => $text),* }
            }
        }
    };
}

faults! {
    KillProcess "process killed"
    KillLeader "leader killed"
    KillAll "all processes killed"
    PowerCut "power cut of one"
    PowerCutAll "power cut of all"
    Pause "process paused"
    PauseLeader "leader paused"
    /// Everything that a node does takes long.
    SlowNode "node slow"
    Isolate "node isolated"
    /// Anybody here, the others there.
    Split "split in two"
    Bridge "bridge partition"
    OneWay "one-way cut"
    CutClients "clients cut from a node"
    Swizzle "links stopped one by one"
    SlowLinks "links slow"
    Loss "messages lost"
    Duplicates "messages duplicated"
    Reorders "messages reordered"
    DiskCallFails "call to the disk fails"
    /// Up to seconds for a sync: a disk that hangs.
    SlowDisk "disk slow"
    DamagedRows "rows damaged"
    ShortLog "log shortened by a flipped bit"
    LostDisk "disk lost"
    LostStore "message store lost"
    /// The newest state is gone, an older one is there.
    OldDisk "disk restored from a backup"
    DiskLow "disk nearly full"
    StoreFull "message store full"
    WallJump "wall clock jumped"
    Drift "clock drifts"
    MoveLeader "leadership moved"
    Drain "node drained and restarted"
    ReplaceNode "node replaced"
    AddRemoveNode "node added, another removed"
    BreakSessions "client connections reset"
    /// The next release is started in place of the one before, or the other way round.
    ChangeRelease "release changed"
    RaiseVersion "version raised"
    Maintain "maintenance begun or ended"
}

impl Fault {
    pub fn is_of_releases(self) -> bool {
        matches!(self, Fault::ChangeRelease | Fault::RaiseVersion)
    }

    /// Only in worlds that place their queue managers.
    pub fn is_of_placement(self) -> bool {
        self == Fault::Maintain
    }

    /// A node loses what it acknowledged: one at a time, and nobody else goes down until it has caught up.
    pub fn loses_data(self) -> bool {
        matches!(
            self,
            Fault::ShortLog | Fault::LostDisk | Fault::OldDisk | Fault::ReplaceNode | Fault::LostStore
        )
    }

    /// Takes nodes away from the group for a while.
    pub fn takes_nodes(self) -> bool {
        matches!(
            self,
            Fault::KillProcess
                | Fault::KillLeader
                | Fault::KillAll
                | Fault::PowerCut
                | Fault::PowerCutAll
                | Fault::DiskCallFails
                | Fault::Drain
                | Fault::ChangeRelease
                | Fault::AddRemoveNode
        ) || self.loses_data()
    }
}

/// The faults of one run.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub enabled: Vec<Fault>,
    pub gap_us_min: u64,
    pub gap_us_max: u64,
    pub length_us_max: u64,
}

/// A quarter of the runs has two releases.
const TWO_RELEASES_PER_MILLE: u64 = 250;

impl Schedule {
    /// Swarm testing (Groce et al.): each run has a subset, so that no kind always hides behind another.
    pub fn draw(rng: &mut Rng, allowed: &[Fault]) -> Schedule {
        let share = *rng.pick(&[150, 350, 700]).expect("not empty");
        let is_drawn_here = |fault: &Fault| !fault.is_of_releases() && !fault.is_of_placement();
        let drawn = allowed.iter().copied().filter(is_drawn_here);
        let mut enabled: Vec<Fault> = drawn.filter(|_| rng.chance(share)).collect();
        if enabled.is_empty() {
            enabled.extend(rng.pick(allowed));
        }
        let gap = *rng.pick(&[150_000, 500_000, 1_500_000]).expect("not empty");
        let length_us_max = *rng.pick(&[300_000, 1_500_000, 5_000_000]).expect("not empty");
        Schedule { enabled, gap_us_min: gap / 5, gap_us_max: gap * 2, length_us_max }
    }

    /// Perhaps the nodes' releases change, too. Drawn apart, so that a seed is the run that it was before there were two.
    pub fn draw_releases(&mut self, seed: u64) {
        if Rng::new(seed ^ 0x7265_6C65_6173_6573).chance(TWO_RELEASES_PER_MILLE) {
            self.enabled.extend(Fault::ALL.iter().filter(|fault| fault.is_of_releases()));
        }
    }
}

/// Where queue managers should be, and how long units of work may hold up a move.
#[derive(Clone, Debug)]
pub struct Places {
    pub placements: Vec<Placement>,
    pub units_within: Duration,
    pub tenure: Duration,
}

/// A fifth of the runs places its queue managers.
const PLACED_PER_MILLE: u64 = 200;

impl Places {
    /// In some runs. Drawn apart, so that a seed without is the run that it was before there were any.
    pub fn draw(seed: u64, queue_managers: usize, nodes: u64) -> Option<Places> {
        let mut rng = Rng::new(seed ^ 0x706C_6163_656D_656E);
        if !rng.chance(PLACED_PER_MILLE) {
            return None;
        }
        let mut placement = || {
            let preferred = rng.chance(800).then(|| NodeId(rng.between(1, nodes)));
            let from = rng.below(24 * 60) as u16;
            let window = FailBack::Within { from, until: (from + 12 * 60) % (24 * 60) };
            let choices = [FailBack::Never, FailBack::Now, FailBack::Now, window];
            Placement { preferred, fail_back: *rng.pick(&choices).expect("not empty") }
        };
        let placements = (0..queue_managers).map(|_| placement()).collect();
        let units_within = Duration::from_millis(*rng.pick(&[0, 200, 2_000]).expect("not empty"));
        let tenure = Duration::from_millis(*rng.pick(&[1_000, 5_000]).expect("not empty"));
        Some(Places { placements, units_within, tenure })
    }
}

/// What ends a fault, later.
#[derive(Clone, Debug)]
pub enum FaultEnd {
    Start {
        node: u64,
    },
    Mend {
        cuts: Vec<(u64, u64)>,
    },
    MendClients {
        node: u64,
    },
    RestoreQuality {
        links: Vec<(u64, u64)>,
    },
    SlowNode {
        node: u64,
    },
    SlowDisk {
        node: u64,
    },
    GoodCalls {
        node: u64,
    },
    GoodRows {
        node: u64,
    },
    DiskRoom {
        node: u64,
    },
    StoreRoom {
        node: u64,
    },
    NoDrift {
        node: u64,
    },
    /// The drained node has had time enough.
    Drained {
        node: u64,
    },
    /// A membership change is asked for once its new node runs, then the old one goes.
    Retire {
        node: u64,
        replaced_by: u64,
        asked: bool,
    },
}

/// How often each kind was injected.
#[derive(Clone, Debug, Default)]
pub struct FaultCounts(pub BTreeMap<Fault, u64>);

impl FaultCounts {
    pub fn count(&mut self, fault: Fault) {
        *self.0.entry(fault).or_default() += 1;
    }

    pub fn merge(&mut self, other: &FaultCounts) {
        for (fault, count) in &other.0 {
            *self.0.entry(*fault).or_default() += count;
        }
    }
}
