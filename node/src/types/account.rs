//! One account of memory a node: what its clients and peers make it hold, by what it is for, and how much of each
//! there may be.
//!
//! Whoever is about to hold something on behalf of somebody else takes it from its share first. What does not fit waits,
//! is refused with 2102, or costs the connection; that is the holder's to decide. The mind takes from it as well: with an
//! account of its own, as in the simulator, it does the same thing twice when told the same thing twice.
//!
//! What a queue manager holds on every node (what is read, staged and remembered) is counted here and bounded where it is
//! decided: a node that refused what is in the log would have another state than the others.
//!
//! The whole is `limits.memory_bytes`. It is not all that a process takes: the message store's cache, the log's window and
//! the heads of queued messages have settings of their own, and what is freed comes back to the system after a minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What memory is held for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Share {
    /// Clients' connections, [`CONNECTION_BYTES`] each, and what is remembered of those to other nodes.
    Connections,
    /// Frames and short requests of which a part has arrived.
    Receiving,
    /// Long bodies on their way in, and those whose put is not answered.
    Bodies,
    /// Bodies of calls that wait for their answer.
    Calls,
    /// Messages on their way to clients, and every answer, encoded, until the system has taken it from the connection.
    Answers,
    /// Bodies that were put in units of work that are open.
    Units,
    /// Messages that are not persistent.
    NotPersistent,
    /// Chunks of snapshots, in both directions.
    Snapshots,
    /// Selectors of handles, translated. A share of its own: they may stay for as long as their sessions do, and must not keep out who
    /// is not connected.
    Selectors,
    /// Handles that are open, [`HANDLE_BYTES`] each: as long as they are, they stay.
    Handles,
    /// Bodies that were read from the message store for those who get and browse, one copy each, for as long as they
    /// stay. The oldest leave when they are more than `limits.window_bytes`; never refused.
    Loaded,
    /// Bodies and large units in the log that no message has yet, on every node. Whoever sends them took their bytes from
    /// [`Share::Bodies`], [`Share::Calls`] or [`Share::Units`] of the node that serves; never refused.
    Staged,
    /// What is remembered of programs' sequences, so that a repeated put is stored once. The same on every node, so it has
    /// bounds of its own (`qmgr::Retention`); never refused.
    Producers,
    /// Definitions of objects and records, on every node: what they weigh. Beside the whole; the leader refuses what would
    /// be more.
    Definitions,
}

/// What an idle connection takes: buffers of TLS and HTTP/2, and its task. What waits to be sent, whatever keeps it, is in
/// [`Share::Answers`].
pub const CONNECTION_BYTES: u64 = 32 * 1024;

/// What an open handle takes, with what the listener of its connection keeps of it.
pub const HANDLE_BYTES: u64 = 1280;

/// Each share and its part of the whole in percent.
const PARTS: [(Share, &str, u64); 14] = [
    (Share::Connections, "connections", 10),
    (Share::Receiving, "receiving", 7),
    (Share::Bodies, "bodies", 12),
    (Share::Calls, "calls", 12),
    (Share::Answers, "answers", 12),
    (Share::Units, "units", 12),
    (Share::NotPersistent, "not-persistent", 12),
    (Share::Snapshots, "snapshots", 5),
    (Share::Selectors, "selectors", 2),
    (Share::Handles, "handles", 3),
    (Share::Loaded, "loaded", 4),
    (Share::Staged, "staged", 4),
    (Share::Producers, "producers", 5),
    (Share::Definitions, "definitions", 0),
];

impl Share {
    /// As metrics and status name it.
    pub fn name(self) -> &'static str {
        let (share, name, _) = PARTS[self as usize];
        debug_assert_eq!(share, self, "a share is where its number says");
        name
    }

    /// Whether somebody waits or is refused where it has no room. The others have bounds of their own.
    pub fn is_refused(self) -> bool {
        !matches!(self, Share::Loaded | Share::Staged | Share::Producers)
    }

    /// How many bytes of a whole of `total` bytes this share has. At least one body of the largest size fits into those
    /// that hold bodies.
    pub fn of(self, total: u64) -> u64 {
        debug_assert_eq!(PARTS[self as usize].0, self, "a share is where its number says");
        if self == Share::Definitions {
            return (total / 4).clamp(4 << 20, super::limits::DEFINITIONS_BYTES_MAX as u64);
        }
        let part = total / 100 * PARTS[self as usize].2;
        let least = match self {
            Share::Bodies | Share::Calls | Share::Answers | Share::Units | Share::NotPersistent => LARGEST,
            _ => 16 << 20,
        };
        part.max(least)
    }
}

const _: () = assert!(PARTS.len() == Share::Definitions as usize + 1, "the last share has the last part");

/// A body of the largest size, and what is around it.
const LARGEST: u64 = super::limits::BODY_BYTES_MAX as u64 + (1 << 20);

/// The account. Shared by everybody who holds something.
#[derive(Debug)]
pub struct Account {
    total: u64,
    entries: [Entry; PARTS.len()],
}

#[derive(Debug)]
struct Entry {
    share: Share,
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
    refused: AtomicU64,
}

/// One line of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Whose bytes these are.
    pub share: Share,
    /// Bytes held now.
    pub used: u64,
    /// Bytes that may be held.
    pub limit: u64,
    /// The most that was held since the node began.
    pub peak: u64,
    /// How often something did not fit.
    pub refused: u64,
}

impl Account {
    /// Of so many bytes for all shares together.
    pub fn new(total: u64) -> Arc<Account> {
        assert_eq!(PARTS.iter().map(|(.., percent)| percent).sum::<u64>(), 100, "the shares are the whole");
        let entries = PARTS.map(|(share, ..)| Entry {
            share,
            limit: share.of(total),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        });
        debug_assert!(
            entries.iter().fold(100u64, |sum, entry| sum.saturating_add(entry.limit)) >= total,
            "what is no share's is less than a hundredth"
        );
        Arc::new(Account { total, entries })
    }

    /// The whole, in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that the share may hold.
    pub fn limit(&self, share: Share) -> u64 {
        let entry = &self.entries[share as usize];
        debug_assert_eq!(entry.share, share, "a share is where its number says");
        entry.limit
    }

    /// Bytes that it holds now.
    pub fn used(&self, share: Share) -> u64 {
        self.entries[share as usize].used.load(Relaxed)
    }

    /// More than three quarters of what anybody may take of a share are held: whoever is slow with what it holds should lose it.
    pub fn is_tight(&self, share: Share) -> bool {
        let limit = self.limit(share);
        let is_waited_for = matches!(share, Share::Bodies | Share::Receiving);
        let left = if is_waited_for { limit / LEFT } else { 0 };
        debug_assert!(left < limit, "what is left to others is a part");
        self.used(share) > (limit - left) / 4 * 3
    }

    /// Whether there is room for so many bytes more of something that is `whole` long with them, by the rule of
    /// [`Held::hold_beside`].
    pub fn has_room_beside(&self, share: Share, bytes: u64, whole: u64) -> bool {
        fits_beside(self.used(share), bytes, whole, self.limit(share))
    }

    /// False, and counted, when the share has no room for so many bytes more.
    #[must_use]
    pub fn take(&self, share: Share, bytes: u64) -> bool {
        let entry = &self.entries[share as usize];
        entry.take(bytes, |used| used.checked_add(bytes).is_some_and(|used| used <= entry.limit))
    }

    /// Something had no room that is counted elsewhere.
    pub fn note_refused(&self, share: Share) {
        let entry = &self.entries[share as usize];
        debug_assert_eq!(entry.share, share, "a share is where its number says");
        entry.refused.fetch_add(1, Relaxed);
    }

    fn take_beside(&self, share: Share, bytes: u64, whole: u64) -> bool {
        let entry = &self.entries[share as usize];
        entry.take(bytes, |used| fits_beside(used, bytes, whole, entry.limit))
    }

    /// Counts what is held already and cannot be refused any more.
    pub fn add(&self, share: Share, bytes: u64) {
        if bytes > 0 {
            let entry = &self.entries[share as usize];
            let before = entry.used.fetch_add(bytes, Relaxed);
            entry.note_peak(before + bytes);
        }
    }

    /// Gives back what was taken or added.
    pub fn give(&self, share: Share, bytes: u64) {
        if bytes > 0 {
            let before = self.entries[share as usize].used.fetch_sub(bytes, Relaxed);
            assert!(before >= bytes, "{} gives back {bytes} of {before} bytes", share.name());
        }
    }

    /// Of every share, for status and metrics.
    pub fn figures(&self) -> impl Iterator<Item = Figure> + '_ {
        self.entries.iter().map(|entry| Figure {
            share: entry.share,
            used: entry.used.load(Relaxed),
            limit: entry.limit,
            peak: entry.peak.load(Relaxed),
            refused: entry.refused.load(Relaxed),
        })
    }
}

/// The part of a share that is left to those who need little.
const LEFT: u64 = 4;

/// How much of `limit` may be held at most where there is room for so many bytes more of something that is `whole` long with
/// them, by the rule of [`Held::hold_beside`]. None: there never is.
pub fn most_beside(bytes: u64, whole: u64, limit: u64) -> Option<u64> {
    debug_assert!(bytes <= whole, "a part is not longer than the whole");
    let others_and_whole = limit.checked_sub(bytes)?;
    // Of what is nearly as long as all there is, half of the rest: else it would have to wait until nobody has anything.
    let leaves = whole.saturating_mul(2).min(limit / LEFT).min(limit.saturating_sub(whole) / 2);
    let is_alone = (whole - bytes).min(others_and_whole);
    Some(is_alone.max(others_and_whole.saturating_sub(leaves)))
}

fn fits_beside(used: u64, bytes: u64, whole: u64, limit: u64) -> bool {
    most_beside(bytes, whole, limit).is_some_and(|most| used <= most)
}

impl Entry {
    fn take(&self, bytes: u64, fits: impl Fn(u64) -> bool) -> bool {
        let more = |used: u64| fits(used).then(|| used + bytes);
        let taken = self.used.fetch_update(Relaxed, Relaxed, more);
        match taken {
            Ok(before) => self.note_peak(before + bytes),
            Err(_) => drop(self.refused.fetch_add(1, Relaxed)),
        }
        taken.is_ok()
    }

    fn note_peak(&self, used: u64) {
        // Mostly it is no peak, and a load is cheaper than an exchange.
        if used > self.peak.load(Relaxed) {
            self.peak.fetch_max(used, Relaxed);
        }
    }
}

/// Something that is held; given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    account: Arc<Account>,
    share: Share,
    bytes: u64,
}

impl Held {
    /// To hold bytes of the share with later.
    pub fn nothing(account: Arc<Account>, share: Share) -> Held {
        Held { account, share, bytes: 0 }
    }

    /// That are held.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds so many bytes more; false when there is no room for them.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let taken = self.account.take(self.share, bytes);
        self.bytes += if taken { bytes } else { 0 };
        debug_assert!(self.account.used(self.share) >= self.bytes, "what is held is counted");
        taken
    }

    /// Holds exactly so many bytes where others may be waited for; false, and as before, when there is no room for more. Whoever
    /// has much leaves room to those who need little: twice what it has, up to a quarter of the share. Who is alone may
    /// have all of it.
    #[must_use]
    pub fn hold_beside(&mut self, bytes: u64) -> bool {
        let Some(more) = bytes.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return self.hold(bytes);
        };
        let taken = self.account.take_beside(self.share, more, bytes);
        self.bytes += if taken { more } else { 0 };
        debug_assert!(self.account.used(self.share) >= self.bytes, "what is held is counted");
        taken
    }

    /// Holds so many bytes more of something that is `whole` long with them and with what others hold for it, by the rule of
    /// [`Held::hold_beside`].
    #[must_use]
    pub fn grow_beside(&mut self, bytes: u64, whole: u64) -> bool {
        let taken = self.account.take_beside(self.share, bytes, whole);
        self.bytes += if taken { bytes } else { 0 };
        debug_assert!(self.account.used(self.share) >= self.bytes, "what is held is counted");
        taken
    }

    /// Holds exactly so many bytes; false, and as before, when there is no room for more.
    #[must_use]
    pub fn hold(&mut self, bytes: u64) -> bool {
        if bytes > self.bytes {
            return self.grow(bytes - self.bytes);
        }
        self.account.give(self.share, self.bytes - bytes);
        self.bytes = bytes;
        debug_assert!(self.account.used(self.share) >= bytes, "what is held is counted");
        true
    }

    /// Holds exactly so many bytes, room or not: they are there already.
    pub fn set(&mut self, bytes: u64) {
        if bytes > self.bytes {
            self.account.add(self.share, bytes - self.bytes);
        } else {
            self.account.give(self.share, self.bytes - bytes);
        }
        self.bytes = bytes;
        debug_assert!(self.account.used(self.share) >= bytes, "what is held is counted");
    }

    /// Gives all of it back.
    pub fn clear(&mut self) {
        debug_assert!(self.account.used(self.share) >= self.bytes, "what is held is counted");
        self.account.give(self.share, std::mem::take(&mut self.bytes));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_whole_and_in_the_order_of_their_names() {
        assert_eq!(PARTS.iter().map(|(.., percent)| percent).sum::<u64>(), 100);
        for (at, (share, name, _)) in PARTS.iter().enumerate() {
            assert_eq!((*share as usize, share.name()), (at, *name));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_dropped_fits_again() {
        let account = Account::new(2 << 30);
        let limit = account.limit(Share::Bodies);
        assert_eq!(limit, (2 << 30) / 100 * 12);
        let mut held = Held::nothing(account.clone(), Share::Bodies);
        assert!(held.grow(limit - 10) && held.grow(10) && !held.grow(1));
        assert!(account.is_tight(Share::Bodies) && !account.is_tight(Share::Units));
        let figure = account.figures().find(|figure| figure.share == Share::Bodies).unwrap();
        assert_eq!((figure.used, figure.refused), (limit, 1));
        drop(held);
        account.add(Share::Bodies, 1);
        account.give(Share::Bodies, 1);
        let figure = account.figures().find(|figure| figure.share == Share::Bodies).unwrap();
        assert_eq!((figure.used, figure.peak), (0, limit));
        assert!(account.used(Share::Bodies) == 0 && account.take(Share::Bodies, limit));
    }

    #[test]
    fn long_bodies_leave_room_to_short_ones() {
        const MIB: u64 = 1 << 20;
        let account = Account::new(2 << 30);
        let limit = account.limit(Share::Bodies);
        let mut all: Vec<Held> = (0..10).map(|_| Held::nothing(account.clone(), Share::Bodies)).collect();
        let taken = all.iter_mut().filter_map(|held| held.hold_beside(100 * MIB).then_some(())).count();
        assert_eq!(taken, 1, "two would leave less than a quarter");
        // Those that are not announced grow until they have to leave twice what they have.
        let mut growing = Held::nothing(account.clone(), Share::Bodies);
        while growing.hold_beside(growing.bytes() + MIB) {}
        assert!(account.used(Share::Bodies) <= limit / 4 * 3, "a quarter is left");
        assert!(account.is_tight(Share::Bodies));
        let mut short: Vec<Held> = (0..20).map(|_| Held::nothing(account.clone(), Share::Bodies)).collect();
        assert!(short.iter_mut().all(|held| held.hold_beside(3 * MIB / 2)), "and taken by who needs little");
        assert!(!account.has_room_beside(Share::Bodies, 40 * MIB, 40 * MIB));
    }

    #[test]
    fn what_is_nearly_as_long_as_the_share_goes_beside_those_who_need_little() {
        const MIB: u64 = 1 << 20;
        assert_eq!(most_beside(100 * MIB, 100 * MIB, 101 * MIB), Some(MIB / 2));
        assert_eq!(most_beside(MIB, MIB, 101 * MIB), Some(98 * MIB));
        assert_eq!(most_beside(MIB, 60 * MIB, 100 * MIB), Some(79 * MIB));
        assert_eq!(most_beside(102 * MIB, 102 * MIB, 101 * MIB), None);
    }

    #[test]
    fn the_largest_body_fits_whatever_the_whole_is() {
        let account = Account::new(64 << 20);
        assert!(Held::nothing(account.clone(), Share::Bodies).hold_beside(LARGEST));
        assert!(account.take(Share::Bodies, LARGEST));
        assert!(!account.take(Share::Bodies, u64::MAX));
    }
}
