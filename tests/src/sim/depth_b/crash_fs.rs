//! A file system in memory that is honest about crashes, for raft-engine and the mark.
//!
//! The rules: a sync that returned keeps everything the file had. What was written since may be there after a power
//! cut in any mixture of sectors, newer over older only; the death of the process alone loses nothing. Names follow
//! a journal: creations, renames and removals survive in order, all of those before a sync of any file among them. A
//! sync that failed leaves pages that look written and are not (they are gone with the next power cut, whatever is
//! synced later): that is what Linux does. Every call can be made to fail, to stop half-way, or to be the last one.
//!
//! raft-engine lists directories by itself, so every file also exists by name, and empty, in the real directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use raft_engine::env::{FileSystem, Handle, Permission, WriteExt};

use crate::sim::disk::{DiskFailed, Failure, Sites};
use crate::sim::rng::Rng;

const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Change {
    Write {
        at: usize,
        bytes: Vec<u8>,
    },
    /// Shorter or longer; longer is zeros.
    Length(usize),
}

fn carry_out(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes: new } => {
            if bytes.len() < at + new.len() {
                bytes.resize(at + new.len(), 0);
            }
            bytes[*at..at + new.len()].copy_from_slice(new);
        }
        Change::Length(length) => bytes.resize(*length, 0),
    }
}

#[derive(Clone, Debug, Default)]
struct FileData {
    /// As processes see it.
    current: Vec<u8>,
    /// As the device has it.
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// Where a sync failed: `current` has there what the device never gets, until it is written again.
    lost: Vec<Range<usize>>,
}

impl FileData {
    fn change(&mut self, change: Change) {
        if let Change::Write { at, bytes } = &change {
            self.lost = self.lost.iter().flat_map(|lost| without(lost, *at..at + bytes.len())).collect();
        }
        carry_out(&mut self.current, &change);
        self.unsynced.push(change);
    }

    fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && self.lost.is_empty()
    }

    /// Pages whose write failed count as written from here on, and are not.
    fn fail_sync(&mut self) {
        let written = self.unsynced.drain(..).filter_map(|change| match change {
            Change::Write { at, bytes } => Some(at..at + bytes.len()),
            Change::Length(_) => None,
        });
        self.lost.extend(written);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            carry_out(&mut self.durable, &change);
        }
    }

    /// Each sector has what some moment since the last sync had, or what was synced.
    fn cut_power(&mut self, rng: &mut Rng) {
        let changes = std::mem::take(&mut self.unsynced);
        let count = changes.len() as u64;
        let whole = rng.below(count + 1);
        let mode = rng.below(4);
        let longest = changes.iter().filter_map(|change| match change {
            Change::Write { at, bytes } => Some(at + bytes.len()),
            Change::Length(_) => None,
        });
        let sectors = longest.max().unwrap_or(0).div_ceil(SECTOR);
        let torn_at = rng.below(sectors as u64 + 1) as usize;
        // How many of the changes each sector has seen.
        let upto: Vec<u64> = (0..sectors)
            .map(|sector| match mode {
                0 => 0,
                1 => whole,
                2 if sector < torn_at => (whole + 1).min(count),
                2 => whole,
                _ => rng.below(count + 1),
            })
            .collect();
        let length_upto = if mode == 3 {
            rng.below(count + 1)
        } else if mode == 0 {
            0
        } else {
            whole
        };
        for (number, change) in (1..).zip(&changes) {
            match change {
                Change::Length(_) if number > length_upto => {}
                Change::Length(_) => carry_out(&mut self.durable, change),
                Change::Write { at, bytes } => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let sector = (at + from) / SECTOR;
                        let until = bytes.len().min((sector + 1) * SECTOR - at);
                        if upto[sector] >= number {
                            let bytes = bytes[from..until].to_vec();
                            carry_out(&mut self.durable, &Change::Write { at: at + from, bytes });
                        }
                        from = until;
                    }
                }
            }
        }
        self.current = self.durable.clone();
        self.lost.clear();
    }
}

/// What is left of the first on either side of the second.
fn without(one: &Range<usize>, other: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let before = one.start..one.end.min(other.start);
    let behind = one.start.max(other.end)..one.end;
    [before, behind].into_iter().filter(|left| !left.is_empty())
}

/// A change of names that the journal may still forget.
#[derive(Clone, Debug)]
enum Naming {
    Created(PathBuf),
    Renamed { from: PathBuf, to: PathBuf, replaced: Option<u64> },
    Deleted { path: PathBuf, file: u64 },
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    files: BTreeMap<u64, FileData>,
    file_last: u64,
    journal: Vec<Naming>,
    /// Handles of processes that ended reach nothing.
    process: u64,
    dead: bool,
    /// Calls after which the process is dead, in the middle of what it does.
    dies_in: Option<u64>,
    calls: u64,
    sites: Sites,
    failure: Option<(u64, Failure)>,
    failed: Option<DiskFailed>,
    /// Draws what a failure leaves.
    rng: u64,
}

/// What one call may do.
enum Verdict {
    Go,
    /// This much of a write, then the end of it.
    Half(io::Error),
    Fail(io::Error),
}

/// What the system says; of no kind that a program could take for its own.
fn input_output_error() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

impl State {
    fn chance(&mut self, per_mille: u64) -> bool {
        let mut rng = Rng::new(self.rng);
        self.rng = rng.number();
        rng.chance(per_mille)
    }

    fn call(&mut self, process: u64, call: &'static str) -> Verdict {
        if self.dead || process != self.process {
            return Verdict::Fail(input_output_error());
        }
        if let Some(left) = &mut self.dies_in {
            if *left == 0 {
                self.dead = true;
                return Verdict::Half(input_output_error());
            }
            *left -= 1;
        }
        self.calls += 1;
        self.sites.note(call, self.calls);
        let Some((_, how)) = self.failure.filter(|(number, _)| *number == self.calls) else {
            return Verdict::Go;
        };
        self.failed = Some(DiskFailed { call, how });
        match how {
            Failure::Error => Verdict::Fail(input_output_error()),
            Failure::NoSpace => Verdict::Fail(io::Error::from(io::ErrorKind::StorageFull)),
            Failure::ShortWrite => Verdict::Half(input_output_error()),
            Failure::Crash => {
                self.dead = true;
                Verdict::Half(input_output_error())
            }
        }
    }

    fn check(&mut self, process: u64, call: &'static str) -> io::Result<()> {
        match self.call(process, call) {
            Verdict::Go => Ok(()),
            Verdict::Fail(error) | Verdict::Half(error) => Err(error),
        }
    }

    fn find(&self, path: &Path) -> io::Result<u64> {
        // Moved away behind our back, with its directory.
        let known = self.names.get(path).copied().filter(|_| path.exists());
        known.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    fn commit_journal(&mut self) {
        for naming in std::mem::take(&mut self.journal) {
            match naming {
                Naming::Deleted { file, .. } | Naming::Renamed { replaced: Some(file), .. }
                    if !self.names.values().any(|named| *named == file) =>
                {
                    self.files.remove(&file);
                }
                _ => {}
            }
        }
    }

    fn forget_names(&mut self, from: usize) {
        for naming in self.journal.split_off(from).into_iter().rev() {
            match naming {
                Naming::Created(path) => {
                    self.names.remove(&path);
                    let _ = fs::remove_file(&path);
                }
                Naming::Renamed { from, to, replaced } => {
                    let _ = fs::rename(&to, &from);
                    if let Some(file) = self.names.remove(&to) {
                        self.names.insert(from, file);
                    }
                    if let Some(file) = replaced {
                        let _ = fs::File::create(&to);
                        self.names.insert(to, file);
                    }
                }
                Naming::Deleted { path, file } => {
                    let _ = fs::File::create(&path);
                    self.names.insert(path, file);
                }
            }
        }
    }
}

/// Clones are the same file system.
#[derive(Clone, Debug)]
pub struct CrashFs {
    state: Arc<Mutex<State>>,
    process: u64,
}

impl CrashFs {
    pub fn new(seed: u64) -> CrashFs {
        CrashFs { state: Arc::new(Mutex::new(State { rng: seed, ..State::default() })), process: 0 }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics with it")
    }

    /// For a new process; handles of the one before reach nothing from now on.
    pub fn for_process(&self) -> CrashFs {
        let mut state = self.state();
        state.process += 1;
        (state.dead, state.dies_in, state.failed) = (false, None, None);
        CrashFs { state: self.state.clone(), process: state.process }
    }

    /// The process does not come further than `calls` calls from here.
    pub fn die_in(&self, calls: u64) {
        self.state().dies_in = Some(calls);
    }

    pub fn kill(&self) {
        self.state().dead = true;
    }

    pub fn cut_power(&self, rng: &mut Rng) {
        let state = &mut *self.state();
        let kept = rng.below(state.journal.len() as u64 + 1) as usize;
        state.forget_names(kept);
        state.commit_journal();
        state.files.values_mut().for_each(|file| file.cut_power(rng));
    }

    /// What processes see of this file is on the device.
    pub fn is_synced(&self, path: &Path) -> bool {
        let state = self.state();
        state.names.get(path).and_then(|file| state.files.get(file)).is_none_or(FileData::is_synced)
    }

    /// Everything that processes see is on the device.
    pub fn is_clean(&self) -> bool {
        self.state().files.values().all(FileData::is_synced)
    }

    pub fn plan_failure(&self, call: u64, how: Failure) {
        self.state().failure = Some((call, how));
    }

    /// The failure that happened last, once; a crash until the power is back, because every later call fails with it.
    pub fn take_failed(&self) -> Option<DiskFailed> {
        let state = &mut *self.state();
        if state.dead { state.failed.clone() } else { state.failed.take() }
    }

    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    pub fn is_failure_due(&self) -> bool {
        let state = self.state();
        state.failure.is_some_and(|(number, _)| number > state.calls)
    }

    pub fn sites(&self) -> Sites {
        self.state().sites.clone()
    }

    /// A call that is not to this file system counts as well, and may fail.
    pub fn count_call(&self, call: &'static str) -> Result<(), DiskFailed> {
        let mut state = self.state();
        state.calls += 1;
        let number = state.calls;
        state.sites.note(call, number);
        match state.failure.filter(|(number, _)| *number == state.calls) {
            Some((_, how)) => Err(DiskFailed { call, how }),
            None => Ok(()),
        }
    }

    /// Of files that are there, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, usize)> {
        let state = self.state();
        let length = |file: &u64| state.files.get(file).map_or(0, |file| file.durable.len());
        state
            .names
            .iter()
            .filter(|(path, _)| path.exists())
            .map(|(path, file)| (path.clone(), length(file)))
            .collect()
    }

    /// What lies there changes, on the device, without anybody being told.
    pub fn flip(&self, path: &Path, offset: usize, bits: u8) -> bool {
        let state = &mut *self.state();
        let Some(file) = state.names.get(path).and_then(|file| state.files.get_mut(file)) else {
            return false;
        };
        for bytes in [&mut file.current, &mut file.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= bits;
            }
        }
        offset < file.durable.len()
    }

    /// The durable bytes of a file.
    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        let file = state.names.get(path).and_then(|file| state.files.get(file));
        file.map(|file| file.durable.clone()).unwrap_or_default()
    }

    /// What the device has, by name.
    pub fn copy(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let named = state.names.iter().filter(|(path, _)| path.exists());
        named
            .filter_map(|(path, file)| Some((path.clone(), state.files.get(file)?.durable.clone())))
            .collect()
    }

    /// Makes it what `copy` was. The directories are there already.
    pub fn restore(&self, copy: &BTreeMap<PathBuf, Vec<u8>>) {
        let state = &mut *self.state();
        for path in std::mem::take(&mut state.names).into_keys() {
            let _ = fs::remove_file(path);
        }
        state.files.clear();
        state.journal.clear();
        for (path, bytes) in copy {
            state.file_last += 1;
            let file = state.file_last;
            let _ = fs::File::create(path);
            state.names.insert(path.clone(), file);
            let data = FileData { current: bytes.clone(), durable: bytes.clone(), ..FileData::default() };
            state.files.insert(file, data);
        }
    }

    fn handle(&self, file: u64) -> CrashHandle {
        CrashHandle { fs: self.clone(), file }
    }
}

impl FileSystem for CrashFs {
    type Handle = CrashHandle;
    type Reader = CrashFile;
    type Writer = CrashFile;

    fn create<P: AsRef<Path>>(&self, path: P) -> io::Result<CrashHandle> {
        let path = path.as_ref();
        let state = &mut *self.state();
        state.check(self.process, "log: create a file")?;
        if let Ok(file) = state.find(path) {
            return Ok(self.handle(file));
        }
        fs::File::create(path)?;
        state.file_last += 1;
        let file = state.file_last;
        state.names.insert(path.to_path_buf(), file);
        state.files.insert(file, FileData::default());
        state.journal.push(Naming::Created(path.to_path_buf()));
        Ok(self.handle(file))
    }

    fn open<P: AsRef<Path>>(&self, path: P, _: Permission) -> io::Result<CrashHandle> {
        let state = &mut *self.state();
        state.check(self.process, "log: open a file")?;
        Ok(self.handle(state.find(path.as_ref())?))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> io::Result<()> {
        let path = path.as_ref().to_path_buf();
        let state = &mut *self.state();
        state.check(self.process, "log: delete a file")?;
        let file = state.find(&path)?;
        fs::remove_file(&path)?;
        state.names.remove(&path);
        state.journal.push(Naming::Deleted { path, file });
        Ok(())
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> io::Result<()> {
        let (from, to) = (from.as_ref().to_path_buf(), to.as_ref().to_path_buf());
        let state = &mut *self.state();
        state.check(self.process, "log: rename a file")?;
        let file = state.find(&from)?;
        fs::rename(&from, &to)?;
        state.names.remove(&from);
        let replaced = state.names.insert(to.clone(), file);
        state.journal.push(Naming::Renamed { from, to, replaced });
        Ok(())
    }

    fn new_reader(&self, handle: Arc<CrashHandle>) -> io::Result<CrashFile> {
        Ok(CrashFile { handle, at: 0 })
    }

    fn new_writer(&self, handle: Arc<CrashHandle>) -> io::Result<CrashFile> {
        Ok(CrashFile { handle, at: 0 })
    }
}

pub struct CrashHandle {
    fs: CrashFs,
    file: u64,
}

impl CrashHandle {
    fn set_length(&self, length: usize) -> io::Result<()> {
        let state = &mut *self.fs.state();
        state.check(self.fs.process, "log: truncate a file")?;
        if let Some(file) = state.files.get_mut(&self.file)
            && file.current.len() != length
        {
            file.change(Change::Length(length));
        }
        Ok(())
    }
}

impl Handle for CrashHandle {
    fn truncate(&self, offset: usize) -> io::Result<()> {
        self.set_length(offset)
    }

    fn file_size(&self) -> io::Result<usize> {
        Ok(self.fs.state().files.get(&self.file).map_or(0, |file| file.current.len()))
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.fs.state();
        match state.call(self.fs.process, "log: sync a file") {
            Verdict::Go => {
                state.commit_journal();
                if let Some(file) = state.files.get_mut(&self.file) {
                    file.sync();
                }
                Ok(())
            }
            Verdict::Fail(error) | Verdict::Half(error) => {
                let dead = state.dead;
                let lost = state.chance(700);
                if let Some(file) = state.files.get_mut(&self.file)
                    && !dead
                    && lost
                {
                    file.fail_sync();
                }
                Err(error)
            }
        }
    }
}

/// An open file with a place in it.
pub struct CrashFile {
    handle: Arc<CrashHandle>,
    at: usize,
}

impl Read for CrashFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let fs = &self.handle.fs;
        let state = &mut *fs.state();
        state.check(fs.process, "log: read a file")?;
        let Some(file) = state.files.get(&self.handle.file) else { return Ok(0) };
        let from = self.at.min(file.current.len());
        let count = into.len().min(file.current.len() - from);
        into[..count].copy_from_slice(&file.current[from..from + count]);
        self.at = from + count;
        Ok(count)
    }
}

impl Write for CrashFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fs = &self.handle.fs;
        let state = &mut *fs.state();
        let (count, result) = match state.call(fs.process, "log: write a file") {
            Verdict::Go => (bytes.len(), Ok(bytes.len())),
            Verdict::Half(error) => (bytes.len() / 2, Err(error)),
            Verdict::Fail(error) => return Err(error),
        };
        if let Some(file) = state.files.get_mut(&self.handle.file) {
            file.change(Change::Write { at: self.at, bytes: bytes[..count].to_vec() });
        }
        self.at += count;
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for CrashFile {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let end = self.handle.file_size()?;
        let to = match position {
            SeekFrom::Start(at) => at as i64,
            SeekFrom::Current(by) => self.at as i64 + by,
            SeekFrom::End(by) => end as i64 + by,
        };
        self.at = usize::try_from(to).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        Ok(self.at as u64)
    }
}

impl WriteExt for CrashFile {
    fn truncate(&mut self, offset: usize) -> io::Result<()> {
        self.handle.set_length(offset)?;
        self.at = offset;
        Ok(())
    }

    fn allocate(&mut self, offset: usize, size: usize) -> io::Result<()> {
        if self.handle.file_size()? < offset + size {
            self.handle.set_length(offset + size)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(fs: &CrashFs, path: &Path, pieces: &[(&[u8], bool)]) {
        let handle = Arc::new(fs.create(path).unwrap());
        let mut writer = fs.new_writer(handle.clone()).unwrap();
        for (bytes, sync) in pieces {
            writer.write_all(bytes).unwrap();
            if *sync {
                handle.sync().unwrap();
            }
        }
    }

    #[test]
    fn a_power_cut_keeps_what_was_synced_and_tears_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1");
        let (mut none, mut all, mut torn) = (0, 0, 0);
        for seed in 0..200 {
            let fs = CrashFs::new(seed).for_process();
            written(&fs, &path, &[(&[1; 600], true), (&[2; 3000], false)]);
            fs.kill();
            fs.cut_power(&mut Rng::new(seed));
            let bytes = fs.bytes(&path);
            assert!(bytes.len() >= 600 && bytes[..600] == [1; 600]);
            match bytes[600..].iter().filter(|byte| **byte == 2).count() {
                0 => none += 1,
                3000 => all += 1,
                _ => torn += 1,
            }
            let _ = fs::remove_file(&path);
        }
        assert!(none > 20 && all > 20 && torn > 20, "{none} {all} {torn}");
    }

    #[test]
    fn the_death_of_a_process_loses_nothing_and_its_handles_reach_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1");
        let device = CrashFs::new(1);
        let fs = device.for_process();
        written(&fs, &path, &[(&[1; 100], false)]);
        let old = fs.open(&path, Permission::ReadWrite).unwrap();
        fs.kill();
        let next = device.for_process();
        assert_eq!(next.open(&path, Permission::ReadOnly).unwrap().file_size().unwrap(), 100);
        assert!(old.truncate(0).is_err() && old.sync().is_err());
        assert!(!next.is_clean());
    }

    #[test]
    fn names_are_forgotten_in_order_and_never_once_something_was_synced() {
        let directory = tempfile::tempdir().unwrap();
        let [one, two, three] = ["1", "2", "3"].map(|name| directory.path().join(name));
        for seed in 0..50 {
            let fs = CrashFs::new(seed).for_process();
            written(&fs, &one, &[(&[1; 10], true)]);
            fs.rename(&one, &two).unwrap();
            written(&fs, &three, &[(&[3; 10], false)]);
            fs.cut_power(&mut Rng::new(seed));
            match (one.exists(), two.exists(), three.exists()) {
                (true, false, false) | (false, true, _) => {}
                other => panic!("{other:?}"),
            }
            for path in [&one, &two, &three] {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// A file of a thousand bytes that are on the device, and a thousand whose sync failed.
    fn failed_sync(seed: u64, path: &Path) -> (CrashFs, Arc<CrashHandle>) {
        let fs = CrashFs::new(seed).for_process();
        written(&fs, path, &[(&[1; 1000], true), (&[2; 1000], false)]);
        let handle = Arc::new(fs.open(path, Permission::ReadWrite).unwrap());
        fs.plan_failure(fs.calls() + 1, Failure::Error);
        assert!(handle.sync().is_err());
        assert_eq!(fs.take_failed().map(|failed| failed.call), Some("log: sync a file"));
        handle.sync().unwrap();
        (fs, handle)
    }

    #[test]
    fn what_a_failed_sync_left_is_gone_with_the_next_power_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1");
        let mut lost = 0;
        for seed in 0..40 {
            let (fs, handle) = failed_sync(seed, &path);
            assert_eq!(handle.file_size().unwrap(), 2000);
            fs.cut_power(&mut Rng::new(seed));
            lost += u64::from(fs.bytes(&path).len() < 2000);
            let _ = fs::remove_file(&path);
        }
        assert!((10..40).contains(&lost), "{lost}");
    }

    #[test]
    fn what_a_failed_sync_left_is_there_once_it_is_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1");
        let mut lost = 0;
        for seed in 0..40 {
            let (fs, handle) = failed_sync(seed, &path);
            let was_lost = !fs.is_synced(&path);
            lost += u64::from(was_lost);
            let mut writer = fs.new_writer(handle.clone()).unwrap();
            writer.write_all(&[3; 1500]).unwrap();
            handle.sync().unwrap();
            assert_eq!(fs.is_synced(&path), !was_lost, "the last quarter was not written again");
            writer.write_all(&[3; 500]).unwrap();
            handle.sync().unwrap();
            assert!(fs.is_clean());
            fs.cut_power(&mut Rng::new(seed));
            assert_eq!(fs.bytes(&path), [3; 2000]);
            let _ = fs::remove_file(&path);
        }
        assert!((10..40).contains(&lost), "{lost}");
    }
}
