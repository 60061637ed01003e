//! What a node makes of damaged files, without its process: the very code that a node recovers with, over copies of a
//! stopped node's directories.
//!
//! Three answers are right. *Whole*: everything is there, byte for byte (the damage hit what nobody needs, or what is
//! kept twice). *Repaired*: the node says what is damaged and where, keeps what is good, and has the rest from its log
//! or does not vote and fetches it from its peers; a message store whose rows cannot be read is begun again for that, as
//! `runtime::again` does. *Refused*: it does not start, and says where. Everything else is silent damage.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use trimaran_node::config::Config;
use trimaran_node::consensus::{Entry, HardState};
use trimaran_node::log_store::{LogOptions, LogStore, RaftEngineLog};
use trimaran_node::message_store::{RocksStore, StoreOptions};
use trimaran_node::qmgr::{Family, RowSource};
use trimaran_node::runtime::recover::{self, Expected};
use trimaran_node::types::{Index, QueueManagerId, SnapshotMeta};

use super::faults::{self, Chance, Damage, What, copy_directory};

/// What the files of a stopped node say when nothing is wrong with them.
pub struct Truth {
    /// The files of a directory with `log` and `data`, as far as they were written.
    files: Vec<Kept>,
    expected: Vec<Expected>,
    id: QueueManagerId,
    hard_state: HardState,
    store: SnapshotMeta,
    rows: Rows,
    entries: BTreeMap<Index, Entry>,
    last: Index,
}

struct Kept {
    path: PathBuf,
    length: u64,
    bytes: Vec<u8>,
}

type Rows = BTreeMap<(u32, Bytes), Bytes>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Whole,
    Repaired {
        sentences: Vec<String>,
    },
    Refused {
        sentences: Vec<String>,
    },
    /// The one thing that must not be, and why it is that.
    Silent {
        why: String,
    },
}

/// How many of each.
#[derive(Debug, Default)]
pub struct Tally {
    pub whole: u64,
    pub repaired: u64,
    pub refused: u64,
    /// Of repaired and refused: those whose sentences name the very file that was damaged,
    pub named: u64,
    /// and those that say at which offset of it.
    pub placed: u64,
    pub silent: Vec<String>,
}

impl Tally {
    pub fn count(&mut self, damages: &[Damage], verdict: &Verdict) {
        let sentences = match verdict {
            Verdict::Whole => {
                self.whole += 1;
                return;
            }
            Verdict::Silent { why } => return self.silent.push(format!("{}: {why}", listed(damages))),
            Verdict::Repaired { sentences } => {
                self.repaired += 1;
                sentences
            }
            Verdict::Refused { sentences } => {
                self.refused += 1;
                sentences
            }
        };
        let names = |damage: &Damage| {
            let name = damage.file.file_name().unwrap_or_default().to_string_lossy();
            sentences.iter().any(|sentence| sentence.contains(&*name))
        };
        self.named += u64::from(damages.iter().any(names));
        self.placed += u64::from(damages.iter().any(|damage| says_offset(sentences, damage)));
        // A sentence that says nothing of where is as good as none.
        let place =
            |damage: &Damage| damage.file.parent().map(|at| at.display().to_string()).unwrap_or_default();
        let says_where = damages.iter().any(|damage| {
            let place = place(damage);
            sentences.iter().any(|sentence| sentence.contains(place.trim_end_matches("/store")))
        });
        if !says_where {
            self.silent.push(format!("{}: no sentence says where: {sentences:?}", listed(damages)));
        }
    }

    pub fn add(&mut self, other: Tally) {
        self.whole += other.whole;
        self.repaired += other.repaired;
        self.refused += other.refused;
        self.named += other.named;
        self.placed += other.placed;
        self.silent.extend(other.silent);
    }
}

/// A record is named by its beginning, which is not behind the damage.
fn says_offset(sentences: &[String], damage: &Damage) -> bool {
    let (What::Flip { at, .. } | What::Truncate { at }) = damage.what;
    let name = damage.file.file_name().unwrap_or_default().to_string_lossy();
    let offsets =
        sentences.iter().filter_map(|sentence| sentence.split_once(&*name)).filter_map(|(_, rest)| {
            let (_, number) = rest.split_once("offset ")?;
            number.split(|c: char| !c.is_ascii_digit()).next()?.parse::<u64>().ok()
        });
    offsets.into_iter().any(|offset| offset <= at)
}

fn listed(damages: &[Damage]) -> String {
    damages.iter().map(Damage::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { whole, repaired, refused, named, placed, silent } = self;
        let all = whole + repaired + refused + silent.len() as u64;
        write!(
            f,
            "{all} damages: whole {whole} / repaired {repaired} / refused {refused} / silent {} (sentences that name the \
             file: {named}, and the offset: {placed}, of {})",
            silent.len(),
            repaired + refused
        )
    }
}

impl Truth {
    /// Reads a copy of the directories of a stopped node; the copy is made in `scratch`.
    pub fn read(cluster_file: &Path, node: &str, base: &Path, scratch: &Path) -> Truth {
        let config = Config::load(cluster_file, Some(node), &[]).expect("the cluster file is good");
        let expected: Vec<Expected> = config
            .queue_managers
            .iter()
            .map(|(id, name)| Expected {
                id: *id,
                name: name.clone(),
                initial: config.first_snapshot(*id),
                speaks: config.speaks,
            })
            .collect();
        let id = expected[0].id;
        copy_directory(base, scratch).expect("there is room for a copy");
        let mut log = RaftEngineLog::open(log_options(scratch)).expect("the log is good");
        let (store, started, sentences) = recover::start(&mut log, store_options(scratch), &expected)
            .expect("a stopped node can be recovered");
        assert!(sentences.is_empty(), "nothing is wrong yet: {sentences:?}");
        let recovered = &started[0].recovered;
        assert!(!recovered.recovering, "a node that was stopped in good order is whole");
        let last = recovered.entries.last().map_or(recovered.snapshot.index, |entry| entry.index);
        let mut entries: BTreeMap<Index, Entry> =
            recovered.entries.iter().map(|entry| (entry.index, entry.clone())).collect();
        // Those below the store's state too: a store that is lost is rebuilt from them.
        for index in 2..=recovered.snapshot.index.0 {
            let index = Index(index);
            let run = log.read(id, index, index.next(), 1).expect("the log is good");
            entries.extend(run.into_iter().map(|entry| (entry.index, entry)));
        }
        let truth = Truth {
            files: keep(base),
            id,
            hard_state: recovered.hard_state,
            store: recovered.snapshot.clone(),
            rows: rows_of(&store, id).expect("the store is good"),
            entries,
            last,
            expected,
        };
        drop((log, store));
        fs::remove_dir_all(scratch).expect("the copy can go");
        truth
    }

    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// A fresh copy in `scratch`, one damage in the files below `part` (empty for all), and what the node makes of it.
    pub fn try_one(&self, scratch: &Path, part: &str, chance: &mut Chance) -> (Damage, Verdict) {
        let mut files = Vec::new();
        for Kept { path, length, bytes } in &self.files {
            let path = scratch.join(path);
            fs::create_dir_all(path.parent().expect("it lies below")).expect("a copy can be made");
            let file = File::create(&path).expect("a copy can be made");
            file.set_len(*length)
                .and_then(|()| file.write_all_at(bytes, 0))
                .expect("there is room for a copy");
            if is_data(&path) && path.starts_with(scratch.join(part)) {
                files.push((path, bytes.len() as u64));
            }
        }
        let damage = faults::damage(chance, &files).expect("the copy can be damaged");
        let verdict = catch_unwind(AssertUnwindSafe(|| self.judge(scratch))).unwrap_or_else(|_| {
            Verdict::Silent { why: "recovery panics in place of saying what is wrong".into() }
        });
        let _ = fs::remove_dir_all(scratch);
        (damage, verdict)
    }

    fn judge(&self, scratch: &Path) -> Verdict {
        match self.judge_start(scratch, &[]) {
            Verdict::Refused { sentences } if scratch.join("data/store.condemned").exists() => {
                self.judge_start(scratch, &sentences)
            }
            verdict => verdict,
        }
    }

    /// What the node makes of its files when it starts, and when every row is then read. `before` was said by an
    /// earlier start.
    fn judge_start(&self, scratch: &Path, before: &[String]) -> Verdict {
        let mut log = match RaftEngineLog::open(log_options(scratch)) {
            Ok(log) => log,
            Err(error) => return Verdict::Refused { sentences: vec![error.to_string()] },
        };
        let (store, started, said) = match recover::start(&mut log, store_options(scratch), &self.expected) {
            Ok(started) => started,
            Err(error) => return Verdict::Refused { sentences: vec![error.to_string()] },
        };
        let sentences = [before, &said].concat();
        let recovered = &started[0].recovered;
        let silent = |why: String| Verdict::Silent { why };

        // Whatever came back must be what was written, also on a node that says that something is missing.
        let mut index = recovered.snapshot.index;
        for entry in &recovered.entries {
            if entry.index != index.next() {
                return silent(format!("entry {} follows entry {index}", entry.index));
            }
            index = entry.index;
            match self.entries.get(&index) {
                Some(written) if written == entry => {}
                Some(_) => return silent(format!("entry {index} is not what was written")),
                None => return silent(format!("entry {index} was never written, or was given up")),
            }
        }
        let rows = match rows_of(&store, self.id) {
            Ok(rows) => rows,
            Err(text) => return Verdict::Refused { sentences: vec![text] },
        };
        if recovered.snapshot.index == self.store.index {
            if recovered.snapshot != self.store {
                return silent("the store's state carries another membership or term".into());
            }
            if rows != self.rows {
                return silent(format!("{} rows in place of {}, or others", rows.len(), self.rows.len()));
            }
        } else if recovered.snapshot.index > self.store.index {
            return silent(format!("the store is at {}, where it never was", recovered.snapshot.index));
        }

        if recovered.recovering {
            return match said.is_empty() {
                true => silent("the node lost something and does not say what".into()),
                false => Verdict::Repaired { sentences },
            };
        }
        if index != self.last {
            return silent(format!(
                "the log ends at {index} in place of {}, and the node would vote",
                self.last
            ));
        }
        let (now, then) = (&recovered.hard_state, &self.hard_state);
        if (now.term, now.vote) != (then.term, then.vote) {
            return silent(format!("term and vote are {now:?} in place of {then:?}"));
        }
        match sentences.is_empty() {
            true => Verdict::Whole,
            false => Verdict::Repaired { sentences },
        }
    }
}

fn keep(base: &Path) -> Vec<Kept> {
    let files = faults::files_below(base).expect("a stopped node's files can be read");
    let keep = |file: PathBuf| {
        let mut bytes = fs::read(&file).expect("a stopped node's files can be read");
        let length = bytes.len() as u64;
        bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        Kept { path: file.strip_prefix(base).expect("it lies below").to_path_buf(), length, bytes }
    };
    files.into_iter().filter(|file| !file.ends_with("ballast")).map(keep).collect()
}

/// What a node's promise rests on: not the lock files, and not the file that only holds room.
fn is_data(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    !name.starts_with("trimaran.") && name != "LOCK" && !name.contains("ballast") && !name.starts_with("LOG")
}

fn log_options(directory: &Path) -> LogOptions {
    LogOptions { ballast_bytes: 0, recovery_threads: 1, ..LogOptions::new(directory.join("log")) }
}

fn store_options(directory: &Path) -> StoreOptions {
    StoreOptions::new(directory.join("data"), Arc::new(|_| Ok(1 << 40)))
}

fn rows_of(store: &RocksStore, id: QueueManagerId) -> Result<Rows, String> {
    let mut rows = Rows::new();
    for family in Family::ALL {
        let mut add = |key: &[u8], value: &[u8]| {
            rows.insert((family as u32, Bytes::copy_from_slice(key)), Bytes::copy_from_slice(value));
        };
        store.rows(id).scan(family, &mut add).map_err(|error| error.to_string())?;
    }
    Ok(rows)
}
