//! The version of what is written and said: one number for log entries, rows of the message store, snapshots and frames
//! between nodes.
//!
//! A program *speaks* a range of versions; a queue manager *has* one, a replicated fact. Its leader writes what that one
//! allows and nothing newer, so that the release before can still read everything, and take over; an operator raises it
//! when every node speaks the next one, and from then on there is no way back (`replica/raising.rs`). What a version adds
//! is said here, and `qmgr::Command::since` says it of commands. What a program may pass over without harm when it does not
//! know it needs no version: a field of a frame beside its messages (`PeerFrame.clients`).

use std::fmt;

/// What a queue manager has, and what is written of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// The oldest that is spoken; what a queue manager has until its leader knows that all of its nodes speak more.
    pub const FIRST: Version = Version(2);
    /// A leader says who it is when it begins to serve, and records of failovers are kept
    /// (`qmgr/failovers.rs`), with what people said of them and what canaries saw (`qmgr/canary.rs`). Messages that ask for reports get
    /// them (`replica/reports.rs`). Queue managers are created and deleted while the nodes run (`qmgr/register.rs`).
    pub const RECORDS: Version = Version(3);
    /// What administrators change is kept in a trail (`qmgr/trail.rs`), and changes say in which language they were asked for.
    pub const TRAIL: Version = Version(4);
    /// Records of queue managers that were created have floating addresses and canaries, and are changed (`qmgr/register.rs`).
    pub const PLACES: Version = Version(5);
}

const _: () = assert!(
    Version::FIRST.0 < Version::RECORDS.0
        && Version::RECORDS.0 < Version::TRAIL.0
        && Version::TRAIL.0 < Version::PLACES.0,
    "what is new comes after what there was"
);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions that a program can read and write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaks {
    /// What is older is not read any more.
    pub oldest: Version,
    /// What is newer is not understood, and ends the program with a sentence.
    pub newest: Version,
}

impl Speaks {
    /// What this release speaks: everything that this code can read.
    pub const RELEASE: Speaks = Speaks { oldest: Version::FIRST, newest: Version::PLACES };

    /// As a release that speaks nothing newer than that: tests run it beside this one.
    pub fn up_to(newest: Version) -> Speaks {
        assert!(Speaks::RELEASE.has(newest), "version {newest} is not in this code");
        Speaks { newest, ..Speaks::RELEASE }
    }

    /// Whether it is spoken.
    pub fn has(self, version: Version) -> bool {
        (self.oldest..=self.newest).contains(&version)
    }

    /// Whether two programs have a version in common.
    pub fn meets(self, other: Speaks) -> bool {
        debug_assert!(self.oldest <= self.newest, "this program's own range goes upwards");
        self.oldest <= other.newest && other.oldest <= self.newest
    }

    /// That this program can go on with something of this version.
    ///
    /// # Errors
    /// A sentence that says what was found, what this program speaks, and what to do.
    pub fn check(self, what: impl fmt::Display, version: Version) -> Result<(), NotSpoken> {
        match self.has(version) {
            true => Ok(()),
            false => Err(NotSpoken { what: what.to_string(), version, speaks: self }),
        }
    }
}

impl fmt::Display for Speaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.oldest == self.newest {
            true => write!(f, "version {}", self.newest),
            false => write!(f, "versions {} to {}", self.oldest, self.newest),
        }
    }
}

/// Something was written by a program that this one does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} has version {version}, and this program speaks {speaks}: {}", way_out(*.version, *.speaks))]
pub struct NotSpoken {
    /// The file, entry, row or frame, for a sentence.
    pub what: String,
    /// The one that was found.
    pub version: Version,
    /// What this program reads.
    pub speaks: Speaks,
}

fn way_out(version: Version, speaks: Speaks) -> &'static str {
    debug_assert!(!speaks.has(version), "what is spoken needs no way out");
    match version > speaks.newest {
        true => "start the newer release that this node ran, or that the other nodes run",
        false => "start a release that speaks both first; upgrade one release at a time",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_spoken_is_named_with_the_way_out() {
        let old = Speaks::up_to(Version::FIRST);
        let newer = old.check("entry 7", Version::RECORDS).unwrap_err().to_string();
        assert_eq!(
            newer,
            "entry 7 has version 3, and this program speaks version 2: start the newer release that this node ran, or \
             that the other nodes run"
        );
        let older = Speaks::RELEASE.check("the message store", Version(1)).unwrap_err().to_string();
        assert!(older.contains("speaks versions 2 to 5: start a release that speaks both"), "{older}");
        assert_eq!(old.check("entry 7", Version::FIRST), Ok(()));
    }

    #[test]
    fn programs_meet_where_their_ranges_do() {
        let of = |oldest, newest| Speaks { oldest: Version(oldest), newest: Version(newest) };
        for (one, other, meet) in [((3, 3), (3, 4), true), ((3, 4), (4, 5), true), ((3, 3), (4, 5), false)] {
            let (one, other) = (of(one.0, one.1), of(other.0, other.1));
            assert_eq!((one.meets(other), other.meets(one)), (meet, meet), "{one} and {other}");
        }
    }
}
