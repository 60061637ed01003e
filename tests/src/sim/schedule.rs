//! What goes wrong in a run, and when: a swarm of fault kinds drawn from the seed, each with its own appetite.

use std::collections::BTreeMap;

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
    SwitchLeader "leadership moved"
    Drain "node drained and restarted"
    ReplaceNode "node replaced"
    AddRemoveNode "node added, another removed"
    BreakSessions "client connections reset"
    /// The next release is started in place of the one before, or the other way round.
    ChangeRelease "release changed"
    RaiseVersion "version raised"
}

impl Fault {
    pub fn is_of_releases(self) -> bool {
        matches!(self, Fault::ChangeRelease | Fault::RaiseVersion)
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
        let drawn = allowed.iter().copied().filter(|fault| !fault.is_of_releases());
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
