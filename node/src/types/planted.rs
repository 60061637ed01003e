//! Bugs that tests switch on to see that the simulator finds them (feature `planted-bugs`, never in a release).
//! Without the feature nothing is planted and the compiler drops the question.

/// What is done wrong while it is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// A log write counts as persisted as soon as it is asked for.
    AckBeforeSync,
    /// A leader serves on without its lease.
    ServeWithoutLease,
    /// Now and then an entry's commands are applied twice.
    ApplyTwice,
    /// A get takes what another unit of work has reserved.
    NoOwnerCheck,
    /// The log is cut where the store was asked to move to, before the store has flushed that.
    CutLogEarly,
    /// A repeated put is stored again.
    SecondCopy,
    /// A write into the middle of a log file puts zeros in the place of what follows it, and a start writes the header
    /// of a file before its content.
    ZerosOverContent,
    /// A leader that lacks what is committed here is followed as if it had it.
    FollowAnyHistory,
    /// The time of the log is what the leader's own clock says.
    OwnClock,
    /// A unit whose outcome was forgotten is said to be backed out.
    SealForgotten,
    /// A producer that was forgotten counts as one that never put.
    ForgetProducers,
    /// What has expired stays where it is.
    LateExpiry,
    /// A message that became free is offered to one who waits, and to nobody else if that one cannot have it.
    OneOffer,
    /// A turn goes on for as long as there is anything to do.
    EndlessTurn,
    /// An ALTER carries every attribute as it was when it was asked for, also those that nobody wants changed.
    AlterWhole,
    /// The version is raised without asking what the others speak.
    RaiseEarly,
    /// No record is kept of another node that takes over.
    ForgetFailover,
    /// No record is kept of what is deleted.
    ForgetDeletion,
    /// A node in maintenance stands for election and leads as others do.
    LeadInMaintenance,
    /// Who is in maintenance already is not counted as gone when one more node is to be.
    ForgetMaintenance,
    /// A fail-back does not wait until the leader has served for a while.
    FailBackAtOnce,
    /// An outage is what one canary missed, whatever the others saw.
    CanaryAlone,
    /// In a planned move the floating address goes while gets wait that came by it.
    CutWaitsOff,
    /// A put over a channel is there at once, whatever it says of syncpoint.
    ChannelSyncpoint,
    /// Read ahead takes persistent messages as it takes others.
    AheadForGood,
    /// A channel takes one connection more than MAXINST says.
    OnePlaceMore,
    /// Who creates a queue manager that is there is told that it was created.
    CreateTwice,
    /// A start follows its records though its log has deletions that are not applied yet.
    BeginDeleted,
    /// An address that was given up is another queue manager's before every node has followed.
    GiveAwayAtOnce,
    /// A command server puts its replies beside the unit of work in which it got the command.
    ReplyBeside,
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// For the replicas that run on this thread.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.with(|planted| planted.set(bug));
    }

    /// Whether it is what was planted on this thread.
    pub fn is(bug: Bug) -> bool {
        PLANTED.with(|planted| planted.get() == Some(bug))
    }
}

#[cfg(feature = "planted-bugs")]
pub use switch::{is, plant};

/// Nothing is planted without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub const fn is(_: Bug) -> bool {
    false
}
