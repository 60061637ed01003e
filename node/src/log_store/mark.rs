//! What this node acknowledged, kept beside the log and not in it (reliability rules 1, 3 and 5).
//!
//! A log that lost its end looks like a log that never had it. The mark is how a restart tells the two apart. It is
//! lazy: written after the log's sync, so that it never says more than the log had, and synced some time later.
//!
//! ```text
//! slots of 4096 bytes; a queue manager has slots 2k and 2k+1, written in turn, the higher valid sequence counts
//!   0  "TRMARK01"        16 sequence      40 term      64 term when it became recovering
//!   8  queue manager     24 last term     48 vote      72 vote when it became recovering
//!  12  flags             32 last index    56 commit    80 CRC-32C of 0..80
//!
//!  84 leader that it parted from   100 first entry that differs  116 term of that there, all ones: nobody can say
//!  92 in which term that led       108 term of that here         124 commit then     132 CRC-32C of 0..132
//! flags: 1 voted, 2 recovering, 4 voted when it became recovering, 8 recovering, and the mark before it was lost,
//!        16 it parted from a leader, and 84..136 say how: who does not know that flag writes none, and may go back and forth
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_engine::env::{FileSystem, Handle, Permission};

use super::LogError;
use super::fs::read_file;
use crate::consensus::{HardState, Parted};
use crate::types::{Index, NodeId, QueueManagerId, Term};

const SLOT: usize = 4096;
const USED: usize = 136;
/// The part that every slot has.
const BASE: usize = 84;
const MAGIC: &[u8; 8] = b"TRMARK01";

/// What one queue manager's log must not fall short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// Highest (term, index) ever acknowledged, in Raft's order of logs: an overwritten end does not lower it,
    /// because the entry that overwrites has a higher term.
    pub last: (Term, Index),
    pub hard_state: HardState,
    /// Term and vote at the moment the node found its log wanting. Until it caught up it refuses votes, so a vote
    /// given since then says that it did.
    pub recovering: Option<(Term, Option<NodeId>)>,
    /// While it is recovering: an earlier mark was lost, and it may have acknowledged more than `last`.
    pub forgot: bool,
    /// What is committed here is not what a leader had, and nobody decided yet.
    pub parted: Option<Parted>,
}

impl Acknowledged {
    pub fn is_recovering(&self) -> bool {
        let now = (self.hard_state.term, self.hard_state.vote);
        self.recovering.is_some_and(|then| now.1.is_none() || now == then)
    }

    fn encode(&self, queue_manager: QueueManagerId, sequence: u64) -> [u8; USED] {
        let recovering = self.recovering.filter(|_| self.is_recovering());
        let voted = |vote: Option<NodeId>| vote.map_or(0, |node| node.0);
        let mut flags = 0u32;
        flags |= u32::from(self.hard_state.vote.is_some());
        flags |= u32::from(recovering.is_some()) << 1;
        flags |= u32::from(recovering.is_some_and(|(_, vote)| vote.is_some())) << 2;
        flags |= u32::from(recovering.is_some() && self.forgot) << 3;
        flags |= u32::from(self.parted.is_some()) << 4;
        let mut slot = [0; USED];
        slot[..8].copy_from_slice(MAGIC);
        slot[8..12].copy_from_slice(&queue_manager.0.to_le_bytes());
        slot[12..16].copy_from_slice(&flags.to_le_bytes());
        let numbers = [
            sequence,
            self.last.0.0,
            self.last.1.0,
            self.hard_state.term.0,
            voted(self.hard_state.vote),
            self.hard_state.commit.0,
            recovering.map_or(0, |(term, _)| term.0),
            recovering.map_or(0, |(_, vote)| voted(vote)),
        ];
        put(&mut slot[16..80], &numbers);
        let crc = crc32c::crc32c(&slot[..80]);
        slot[80..BASE].copy_from_slice(&crc.to_le_bytes());
        if let Some(Parted { leader, term, index, own, theirs, commit }) = self.parted {
            let theirs = theirs.map_or(NOT_KNOWN, |term| term.0);
            put(&mut slot[BASE..132], &[leader.0, term.0, index.0, own.0, theirs, commit.0]);
            let crc = crc32c::crc32c(&slot[..132]);
            slot[132..].copy_from_slice(&crc.to_le_bytes());
        }
        slot
    }

    fn decode(slot: &[u8]) -> Option<(QueueManagerId, u64, Acknowledged)> {
        let word =
            |at: usize| slot.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().expect("4 bytes")));
        let long =
            |at: usize| slot.get(at..at + 8).map(|b| u64::from_le_bytes(b.try_into().expect("8 bytes")));
        if slot.get(..8)? != MAGIC || word(80)? != crc32c::crc32c(slot.get(..80)?) {
            return None;
        }
        let flags = word(12)?;
        let vote = |flag: u32, at: usize| Some((flags & flag != 0).then_some(NodeId(long(at)?)));
        let parted = match flags & 16 != 0 {
            true if word(132)? != crc32c::crc32c(slot.get(..132)?) => return None,
            true => Some(Parted {
                leader: NodeId(long(84)?),
                term: Term(long(92)?),
                index: Index(long(100)?),
                own: Term(long(108)?),
                theirs: Some(long(116)?).filter(|theirs| *theirs != NOT_KNOWN).map(Term),
                commit: Index(long(124)?),
            }),
            false => None,
        };
        let acknowledged = Acknowledged {
            parted,
            last: (Term(long(24)?), Index(long(32)?)),
            hard_state: HardState { term: Term(long(40)?), vote: vote(1, 48)?, commit: Index(long(56)?) },
            recovering: if flags & 2 != 0 { Some((Term(long(64)?), vote(4, 72)?)) } else { None },
            forgot: flags & 8 != 0,
        };
        Some((QueueManagerId(word(8)?), long(16)?, acknowledged))
    }
}

/// No term.
const NOT_KNOWN: u64 = u64::MAX;

fn put(slot: &mut [u8], numbers: &[u64]) {
    for (place, number) in slot.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
}

/// One queue manager's mark in memory.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    pub acknowledged: Acknowledged,
    sequence: u64,
    pair: usize,
    dirty: bool,
}

/// The file of all marks of a node.
pub struct MarkFile<F: FileSystem> {
    path: PathBuf,
    handle: Arc<F::Handle>,
    writer: F::Writer,
    marks: BTreeMap<QueueManagerId, Mark>,
    /// Pairs of slots in the file; those no mark points at are free or were damaged.
    pairs: usize,
    /// Those of which both slots are damaged: somebody's mark was there. The second slot is written when the first is durable, so a
    /// crash leaves one.
    lost: BTreeSet<usize>,
    /// Written since the last sync.
    unsynced: bool,
}

impl<F: FileSystem> MarkFile<F> {
    /// Opens or begins the file. What could not be read is told in `sentences`.
    pub fn open(fs: &F, path: &Path, sentences: &mut Vec<String>) -> io::Result<MarkFile<F>> {
        let mut bytes = Vec::new();
        let existed = path.exists();
        let handle = if existed {
            read_file(fs, path, &mut bytes)?;
            fs.open(path, Permission::ReadWrite)?
        } else {
            fs.create(path)?
        };
        let handle = Arc::new(handle);
        let mut marks: BTreeMap<QueueManagerId, Mark> = BTreeMap::new();
        let pairs = bytes.len().div_ceil(2 * SLOT);
        let mut damaged: Vec<usize> = Vec::new();
        for slot in 0..bytes.len().div_ceil(SLOT) {
            let at = slot * SLOT;
            let used = &bytes[at..bytes.len().min(at + USED)];
            let Some((queue_manager, sequence, acknowledged)) = Acknowledged::decode(used) else {
                damaged.extend(used.iter().any(|byte| *byte != 0).then_some(slot));
                continue;
            };
            let mark = Mark { acknowledged, sequence, pair: slot / 2, dirty: false };
            if marks.get(&queue_manager).is_none_or(|other| other.sequence < sequence) {
                marks.insert(queue_manager, mark);
            }
        }
        let lost: BTreeSet<usize> =
            damaged.iter().filter(|slot| damaged.contains(&(**slot ^ 1))).map(|slot| slot / 2).collect();
        for slot in damaged.iter().filter(|slot| !lost.contains(&(**slot / 2)) || **slot % 2 == 0) {
            let told = match lost.contains(&(slot / 2)) {
                true => "and its twin are damaged: what was acknowledged is not known",
                false => "is damaged; its twin is used",
            };
            let (path, at) = (path.display(), slot * SLOT);
            sentences.push(format!("mark of acknowledged entries {path}: the slot at offset {at} {told}"));
        }
        let writer = fs.new_writer(handle.clone())?;
        let mut file: MarkFile<F> =
            MarkFile { path: path.to_path_buf(), handle, writer, marks, pairs, lost, unsynced: false };
        // What was read is on the device before the log is touched: a start that ends in between, and the power with it, would
        // leave a log that lost its end beside a mark that does not know of it.
        file.handle.sync()?;
        if !existed {
            path.parent().map_or(Ok(()), sync_names)?;
            file.unsynced = false;
        }
        Ok(file)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn get(&self, queue_manager: QueueManagerId) -> Option<&Acknowledged> {
        self.marks.get(&queue_manager).map(|mark| &mark.acknowledged)
    }

    /// Whether somebody's mark was here, and it is not known whose, as both its slots are damaged.
    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    pub fn queue_managers(&self) -> impl Iterator<Item = QueueManagerId> {
        self.marks.keys().copied()
    }

    /// Changes a mark in memory; `write` brings it to the file.
    pub fn update(&mut self, queue_manager: QueueManagerId, change: impl FnOnce(&mut Acknowledged)) {
        let mark = self.marks.get_mut(&queue_manager).expect("recover came before the first write");
        let before = mark.acknowledged;
        change(&mut mark.acknowledged);
        mark.dirty |= before != mark.acknowledged;
    }

    /// Sets a mark in both slots: for what must survive the damage of either. The first is durable before the second is
    /// touched.
    pub fn set(&mut self, queue_manager: QueueManagerId, acknowledged: Acknowledged) -> io::Result<()> {
        if !self.marks.contains_key(&queue_manager) {
            let taken = |pair| self.marks.values().any(|mark| mark.pair == pair);
            let pair = (0..self.pairs).find(|pair| !taken(*pair)).unwrap_or(self.pairs);
            self.pairs = self.pairs.max(pair + 1);
            self.lost.remove(&pair);
            self.marks.insert(queue_manager, Mark { acknowledged, sequence: 0, pair, dirty: true });
        }
        for _ in 0..2 {
            let mark = self.marks.get_mut(&queue_manager).expect("inserted above");
            mark.acknowledged = acknowledged;
            mark.dirty = true;
            self.write()?;
            self.sync()?;
        }
        Ok(())
    }

    /// Of a queue manager that is deleted: both slots are free, and say so on the device.
    pub fn forget(&mut self, queue_manager: QueueManagerId) -> io::Result<()> {
        let Some(mark) = self.marks.remove(&queue_manager) else { return Ok(()) };
        self.writer.seek(SeekFrom::Start((2 * mark.pair * SLOT) as u64))?;
        self.writer.write_all(&[0; 2 * SLOT])?;
        self.unsynced = true;
        self.sync()
    }

    /// Every queue manager's log lost something, or is about to: it does not count until it caught up.
    pub fn distrust(&mut self) -> io::Result<()> {
        for queue_manager in self.queue_managers().collect::<Vec<_>>() {
            let Some(mark) = self.get(queue_manager).copied().filter(|mark| !mark.is_recovering()) else {
                continue;
            };
            let recovering = Some((mark.hard_state.term, mark.hard_state.vote));
            self.set(queue_manager, Acknowledged { recovering, forgot: false, ..mark })?;
        }
        Ok(())
    }

    /// Writes the marks that changed, each into the slot that does not have its newest one. What is used of a slot lies
    /// in one sector, which a device writes whole or not at all: a slot is what it was or what it is to be, also when
    /// neither of the two was synced.
    pub fn write(&mut self) -> io::Result<()> {
        for (queue_manager, mark) in self.marks.iter_mut().filter(|(_, mark)| mark.dirty) {
            let sequence = mark.sequence + 1;
            let slot = mark.acknowledged.encode(*queue_manager, sequence);
            let at = (2 * mark.pair + (sequence % 2) as usize) * SLOT;
            self.writer.seek(SeekFrom::Start(at as u64))?;
            self.writer.write_all(&slot)?;
            (mark.sequence, mark.dirty) = (sequence, false);
            self.unsynced = true;
        }
        Ok(())
    }

    /// Makes what was written durable.
    pub fn sync(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.unsynced) {
            self.handle.sync()?;
        }
        Ok(())
    }

    /// Hands the sync of all that was written to somebody else.
    pub(super) fn sync_elsewhere(&mut self) -> MarkSync<F> {
        self.unsynced = false;
        MarkSync { handle: self.handle.clone(), path: self.path.clone() }
    }

    pub fn is_unsynced(&self) -> bool {
        self.unsynced || self.marks.values().any(|mark| mark.dirty)
    }
}

/// What is needed to sync the file, and nothing else.
pub struct MarkSync<F: FileSystem> {
    handle: Arc<F::Handle>,
    path: PathBuf,
}

impl<F: FileSystem> MarkSync<F> {
    /// After an error the process must end.
    pub fn sync(self) -> Result<(), LogError> {
        self.handle.sync().map_err(|error| LogError::mark(&self.path, error))
    }
}

/// A file that was just made is found again only when its directory is on disk too.
pub(super) fn sync_names(directory: &Path) -> io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use raft_engine::env::DefaultFileSystem;

    use super::*;

    fn acknowledged(term: u64, index: u64) -> Acknowledged {
        Acknowledged {
            last: (Term(term), Index(index)),
            hard_state: HardState { term: Term(term), vote: Some(NodeId(2)), commit: Index(index - 1) },
            recovering: None,
            forgot: false,
            parted: None,
        }
    }

    #[test]
    fn where_it_parted_from_a_leader_is_remembered_and_marks_from_before_are_read() {
        let parted = |theirs| Parted {
            leader: NodeId(3),
            term: Term(6),
            index: Index(5),
            own: Term(4),
            theirs,
            commit: Index(8),
        };
        for theirs in [Some(Term(0)), Some(Term(6)), None] {
            let mark = Acknowledged { parted: Some(parted(theirs)), ..acknowledged(4, 9) };
            let mut slot = mark.encode(QueueManagerId(1), 7);
            assert_eq!(Acknowledged::decode(&slot), Some((QueueManagerId(1), 7, mark)));
            slot[100] ^= 1;
            assert_eq!(Acknowledged::decode(&slot), None, "its twin is used");
        }
        // A slot of an older program has no more than this, and one that it wrote over ours has ours behind it.
        let mut old = acknowledged(4, 9).encode(QueueManagerId(1), 7).to_vec();
        old.truncate(BASE);
        let read = Acknowledged::decode(&old).unwrap().2;
        assert_eq!(read, acknowledged(4, 9));
        let ours = Acknowledged { parted: Some(parted(None)), ..acknowledged(4, 8) };
        old.extend_from_slice(&ours.encode(QueueManagerId(1), 6)[BASE..]);
        assert_eq!(Acknowledged::decode(&old).unwrap().2, acknowledged(4, 9));
    }

    #[test]
    fn the_newer_slot_counts_and_its_twin_stands_in() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("mark");
        let mut sentences = Vec::new();
        let (one, two) = (QueueManagerId(1), QueueManagerId(2));
        let mut file = MarkFile::open(&DefaultFileSystem, &path, &mut sentences).unwrap();
        file.set(one, acknowledged(1, 5)).unwrap();
        file.set(two, acknowledged(3, 50)).unwrap();
        file.update(one, |mark| *mark = acknowledged(1, 6));
        file.write().unwrap();
        drop(file);

        let file = MarkFile::open(&DefaultFileSystem, &path, &mut sentences).unwrap();
        assert_eq!(file.get(one), Some(&acknowledged(1, 6)));
        assert_eq!(file.get(two), Some(&acknowledged(3, 50)));
        assert!(sentences.is_empty());
        drop(file);

        let mut bytes = std::fs::read(&path).unwrap();
        let newest = (0..2).find(|slot| bytes[slot * SLOT + 32] == 6).unwrap();
        bytes[newest * SLOT + 33] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let file = MarkFile::open(&DefaultFileSystem, &path, &mut sentences).unwrap();
        assert_eq!(file.get(one), Some(&acknowledged(1, 5)));
        assert!(sentences.len() == 1 && sentences[0].ends_with("its twin is used"), "{sentences:?}");
        assert!(!file.has_lost());
        drop(file);

        // Both of one that was there, which is nobody that is new.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[(newest ^ 1) * SLOT + 33] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let mut sentences = Vec::new();
        let mut file = MarkFile::open(&DefaultFileSystem, &path, &mut sentences).unwrap();
        assert!(file.get(one).is_none() && file.has_lost());
        assert!(sentences.len() == 1 && sentences[0].contains("is not known"), "{sentences:?}");
        file.set(one, acknowledged(1, 7)).unwrap();
        assert!(!file.has_lost(), "its place is taken");
    }

    #[test]
    fn a_vote_given_after_it_became_recovering_ends_it() {
        let mut mark = acknowledged(4, 9);
        mark.recovering = Some((Term(4), Some(NodeId(2))));
        mark.forgot = true;
        assert!(mark.is_recovering());
        let slot = mark.encode(QueueManagerId(1), 7);
        assert_eq!(Acknowledged::decode(&slot).unwrap().2, mark);
        mark.hard_state = HardState { term: Term(5), vote: None, commit: Index(9) };
        assert!(mark.is_recovering());
        mark.hard_state.vote = Some(NodeId(1));
        assert!(!mark.is_recovering());
        let slot = mark.encode(QueueManagerId(1), 7);
        let decoded = Acknowledged::decode(&slot).unwrap().2;
        assert_eq!((decoded.recovering, decoded.forgot), (None, false));
    }
}
