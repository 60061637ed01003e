//! The log and data directories: made, closed to other users, locked, and marked with whose they are.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use trimaran_proto::replica::v1::Registered;

use super::fatal::{Fatal, FatalReason};
use crate::config::{Config, LOCK_FILE, OWNER_COPY, OWNER_FILE, Owner};
use crate::qmgr::register::contradicts;
use crate::types::QueueManagerId;

/// How long a process that was killed may take to be gone: it frees its memory first, its files and ports last.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Held while the process lives: nobody else may use the directories.
#[derive(Debug)]
pub struct Directories {
    _locks: Vec<File>,
    /// Which disk the log is on.
    pub disk: u64,
}

/// Where this node's files are. What is removed while it runs is still there for the process, and for nobody after it.
#[derive(Debug)]
pub struct Places {
    known: Vec<(PathBuf, u64)>,
    /// Of the log's files: names grow, the newest is the one that is written, and only older ones are purged.
    engine: PathBuf,
    newest: Option<(PathBuf, u64)>,
    /// Of the message store: it always has one.
    current: Option<PathBuf>,
}

impl Places {
    /// As they are now; log and message store are open.
    pub fn of(config: &Config) -> Places {
        let (log, data) = (&config.log_directory, &config.data_directory);
        let paths = [
            log.join(LOCK_FILE),
            log.join("engine"),
            log.join("mark"),
            data.join(LOCK_FILE),
            data.join("store"),
        ];
        let known = |path: PathBuf| Some((path.clone(), fs::metadata(path).ok()?.ino()));
        let (engine, current) = (log.join("engine"), data.join("store/CURRENT"));
        Places {
            known: paths.into_iter().filter_map(known).collect(),
            // What cannot be looked at now is known as of the first look that can.
            newest: newest_file(&engine).ok().flatten(),
            engine,
            current: current.exists().then_some(current),
        }
    }

    /// One that is not there any more, or is another one.
    ///
    /// # Errors
    /// When one could not be looked at: a device does not answer, or this process has no descriptor left. Nothing is known then.
    pub fn gone(&mut self) -> io::Result<Option<&Path>> {
        let newest = newest_file(&self.engine)?;
        match (&self.newest, newest) {
            // It is written still, or another one is in its place, and what was written before may be purged.
            (Some((path, inode)), Some((other, found)))
                if other > *path || (other == *path && found == *inode) =>
            {
                self.newest = Some((other, found));
            }
            (Some(_), _) => return Ok(self.newest.as_ref().map(|(path, _)| path.as_path())),
            (None, newest) => self.newest = newest,
        }
        if let Some(current) = &self.current
            && inode(current)?.is_none()
        {
            return Ok(Some(current));
        }
        for (path, known) in &self.known {
            if inode(path)? != Some(*known) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// Which file it is; None when there is none.
fn inode(path: &Path) -> io::Result<Option<u64>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(found.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file of the log with the highest name, and which one it is; None when there is none.
fn newest_file(engine: &Path) -> io::Result<Option<(PathBuf, u64)>> {
    let entries = match fs::read_dir(engine) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut newest = None;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|of| of == "raftlog") {
            newest = newest.max(Some(path));
        }
    }
    let Some(newest) = newest else { return Ok(None) };
    Ok(inode(&newest)?.map(|inode| (newest, inode)))
}

/// `make_room`: a reserve is given up, if one is left. Asked when the directories are this process's and there is no room to say
/// so in them.
pub fn prepare(config: &Config, make_room: &dyn Fn() -> bool) -> Result<Directories, Fatal> {
    prepare_within(config, PATIENCE, make_room)
}

/// Waits so long for a process that has them and may be about to end.
fn prepare_within(
    config: &Config,
    patience: Duration,
    make_room: &dyn Fn() -> bool,
) -> Result<Directories, Fatal> {
    let mut locks = Vec::new();
    let directories = [&config.log_directory, &config.data_directory];
    for directory in directories {
        make_private(directory).map_err(|error| {
            let text = format!(
                "create directory {}: {error}; create it and give it to the user who runs the node",
                directory.display()
            );
            Fatal::new(FatalReason::Directory, text)
        })?;
        locks.push(lock(directory, patience)?);
    }
    // Only when neither objects: a name that one of them learned now, and the other refuses, would stay there.
    let owners = config.owners().map_err(|text| Fatal::new(FatalReason::Directory, text.join("; ")))?;
    for (directory, owner) in directories.into_iter().zip(&owners) {
        mark(directory, owner, make_room)?;
    }
    let log = &config.log_directory;
    let disk = disk_number(log, make_room).map_err(|error| {
        Fatal::new(FatalReason::Directory, format!("write {}: {error}", log.join(DISK_FILE).display()))
    })?;
    Ok(Directories { _locks: locks, disk })
}

/// In the log directory: a number that was drawn when nothing else was in it.
const DISK_FILE: &str = "trimaran.disk";

/// The number of this disk. Whoever has it still has had the disk ever since: queue managers that are younger were never here where
/// there is nothing of them (`replica/registering.rs`). A directory without a log is another disk, whatever else is in it.
fn disk_number(log: &Path, make_room: &dyn Fn() -> bool) -> io::Result<u64> {
    let path = log.join(DISK_FILE);
    let is_empty = ["engine", "mark"].iter().any(|name| !log.join(name).exists());
    let known = match fs::read_to_string(&path) {
        Ok(text) => u64::from_str_radix(text.trim(), 16).ok().filter(|number| *number != 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
        Err(error) => return Err(error),
    };
    if let Some(number) = known.filter(|_| !is_empty) {
        return Ok(number);
    }
    let drawn = RandomState::new().hash_one(std::process::id()).max(1);
    with_room(make_room, || replace(log, &path, &format!("{drawn:016x}\n")))?;
    Ok(drawn)
}

/// What this process makes from now on is its user's alone: files 0600, directories 0700. Messages lie in them.
pub fn keep_to_ourselves() {
    // SAFETY: it only sets a number of the process, and cannot fail. Nothing else runs yet that makes files.
    unsafe { libc::umask(0o077) };
}

/// Makes the directory, or takes it from the others who might read it.
fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mode = fs::metadata(directory)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    match fs::set_permissions(directory, Permissions::from_mode(mode & 0o7700)) {
        Ok(()) => tracing::info!(directory = %directory.display(), "others could read it: made 0700"),
        Err(error) => tracing::warn!(directory = %directory.display(), %error, "others can read it"),
    }
    Ok(())
}

fn lock(directory: &Path, patience: Duration) -> Result<File, Fatal> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| {
        let text = format!(
            "open {}: {error}; the directory must belong to the user who runs the node",
            path.display()
        );
        Fatal::new(FatalReason::Directory, text)
    })?;
    let until = Instant::now() + patience;
    let mut waits = false;
    // SAFETY: the descriptor belongs to `file`.
    while unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        if Instant::now() >= until {
            let text =
                format!("{} is in use by another node: is this one running already?", directory.display());
            return Err(Fatal::new(FatalReason::Directory, text));
        }
        if !waits {
            waits = true;
            tracing::info!(directory = %directory.display(), within_s = patience.as_secs(), "another process has it: waiting for its end");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(file)
}

/// From now on the directory is this node's, and its queue managers have these names. A crash leaves what was there, or
/// all of it; the second file is touched when the first is durable, so that one of them is good at any moment.
fn mark(directory: &Path, owner: &Owner, make_room: &dyn Fn() -> bool) -> Result<(), Fatal> {
    if let Some(text) = &owner.repaired {
        tracing::warn!("{text}");
    }
    for (name, is_due) in [OWNER_FILE, OWNER_COPY].into_iter().zip(owner.write) {
        if is_due {
            let path = directory.join(name);
            with_room(make_room, || replace(directory, &path, &owner.text)).map_err(|error| {
                Fatal::new(FatalReason::Directory, format!("write {}: {error}", path.display()))
            })?;
        }
    }
    Ok(())
}

/// The cluster's records know better: what one of them contradicts is named no more in the directories of this process. A cluster file
/// that had a wrong id, or named one that was deleted since, would bar that name under its right id for ever.
pub fn forget(config: &Config, records: &[Registered]) {
    let is_wrong =
        |id: u32, name: &str| records.iter().any(|record| contradicts(record, QueueManagerId(id), name));
    // Whoever runs has passed them.
    let Ok(owners) = config.owners() else { return };
    for (directory, owner) in [&config.log_directory, &config.data_directory].into_iter().zip(owners) {
        let Some(owner) = owner.without(&is_wrong) else { continue };
        if let Err(fatal) = mark(directory, &owner, &|| false) {
            tracing::warn!("{}", fatal.text);
        }
    }
}

/// Tries again for as long as that is all that is missing, and somebody makes some.
fn with_room(make_room: &dyn Fn() -> bool, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match work() {
            Err(error) if is_want_of_room(&error) && make_room() => {}
            done => return done,
        }
    }
}

fn is_want_of_room(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn replace(directory: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_added_extension("new");
    let mut file = File::create(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(config: &Config) -> Result<Directories, Fatal> {
        super::prepare(config, &|| false)
    }

    fn config(directory: &Path, node: &str) -> Config {
        config_with(directory, node, "QM")
    }

    fn config_with(directory: &Path, node: &str, queue_manager: &str) -> Config {
        let mut text = "cluster = \"demo\"\n".to_owned();
        for (id, name) in [(1, "a"), (2, "b")] {
            text += &format!(
                "[[nodes]]\nname = \"{name}\"\nid = {id}\npeer = \"127.0.0.1:1{id}\"\nclient = \"127.0.0.1:2{id}\"\n\
                 http = \"127.0.0.1:3{id}\"\n"
            );
        }
        let directory = directory.display();
        text += &format!(
            "[[queue_managers]]\nname = \"{queue_manager}\"\nid = 1\n[directories]\nlog = \"{directory}/log\"\n\
             data = \"{directory}/data\"\n"
        );
        Config::parse(&text, Some(node)).unwrap()
    }

    #[test]
    fn directories_belong_to_one_running_node() {
        let directory = tempfile::tempdir().unwrap();
        let held = prepare(&config(directory.path(), "a")).unwrap();
        let second = prepare_within(&config(directory.path(), "a"), Duration::ZERO, &|| false).unwrap_err();
        assert!(second.text.contains("in use by another node"), "{}", second.text);
        drop(held);
        let other = prepare(&config(directory.path(), "b")).unwrap_err();
        assert!(other.text.contains("belongs to cluster demo, node 1 a"), "{}", other.text);
        prepare(&config(directory.path(), "a")).unwrap();
    }

    #[test]
    fn a_process_that_is_about_to_be_gone_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let held = prepare(&config(directory.path(), "a")).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| prepare(&config(directory.path(), "a")));
            // Whether it has begun to wait by now or not: it must come in.
            std::thread::yield_now();
            drop(held);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn nobody_else_looks_into_the_directories() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        DirBuilder::new().mode(0o755).create(&data).unwrap();
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        let _held = prepare(&config(directory.path(), "a")).unwrap();
        for path in [data, directory.path().join("log")] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700, "{path:?}");
        }
    }

    #[test]
    fn a_queue_manager_keeps_the_name_of_its_first_start() {
        let directory = tempfile::tempdir().unwrap();
        let owner = |of: &str| fs::read_to_string(directory.path().join(of).join(OWNER_FILE)).unwrap();
        drop(prepare(&config(directory.path(), "a")).unwrap());
        assert!(owner("log").starts_with("cluster demo\nnode 1 a\nformat 1\nqueue manager 1 QM\nchecksum "));
        assert_eq!(owner("data"), owner("log"));

        // Where one directory knows the name, the other does not learn a new one.
        fs::write(directory.path().join("log").join(OWNER_FILE), "cluster demo\nnode 1 a\n").unwrap();
        let renamed = prepare(&config_with(directory.path(), "a", "OTHER")).unwrap_err();
        assert!(renamed.text.contains("queue manager 1 is named QM in"), "{}", renamed.text);
        prepare(&config(directory.path(), "a")).unwrap();
        assert_eq!(owner("log"), owner("data"));
    }

    #[test]
    fn a_name_that_the_records_know_under_another_id_is_free_for_it() {
        let directory = tempfile::tempdir().unwrap();
        let wrong = config(directory.path(), "a");
        let right = Config {
            queue_managers: [(QueueManagerId(65_536), wrong.queue_managers[&QueueManagerId(1)].clone())]
                .into(),
            ..wrong.clone()
        };
        let record =
            |id, name: &str, deleted| Registered { id, name: name.into(), deleted, ..Registered::default() };
        for known in [record(65_536, "QM", false), record(1, "QM", true), record(1, "OTHER", false)] {
            drop(prepare(&wrong).unwrap());
            forget(&wrong, &[record(1, "QM", false), record(2, "QM", true), record(65_536, "OTHER", false)]);
            let refused = prepare(&right).unwrap_err();
            assert!(refused.text.contains("has the id 1 in"), "{}", refused.text);
            forget(&wrong, &[known]);
            drop(prepare(&right).unwrap());
            forget(&right, &[record(65_536, "QM", true)]);
        }
    }

    #[test]
    fn directories_that_lost_the_file_are_nobody_elses_for_the_taking() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        drop(prepare(&config(directory.path(), "a")).unwrap());
        fs::create_dir(log.join("engine")).unwrap();
        fs::remove_file(log.join(OWNER_FILE)).unwrap();
        drop(prepare(&config(directory.path(), "a")).unwrap());
        assert!(log.join(OWNER_FILE).exists(), "it came back from its copy");

        for name in [OWNER_FILE, OWNER_COPY] {
            fs::remove_file(log.join(name)).unwrap();
        }
        for node in ["a", "b"] {
            let refused = prepare(&config(directory.path(), node)).unwrap_err();
            assert!(refused.text.contains("has files of a node (engine)"), "{}", refused.text);
        }
        fs::write(log.join(OWNER_FILE), "cluster demo\nnode 1 a\n").unwrap();
        drop(prepare(&config(directory.path(), "a")).unwrap());
        assert_eq!(fs::read(log.join(OWNER_FILE)).unwrap(), fs::read(log.join(OWNER_COPY)).unwrap());
    }

    #[test]
    fn what_is_removed_or_replaced_while_the_node_runs_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "a");
        let _held = prepare(&config).unwrap();
        let (engine, mark) = (directory.path().join("log/engine"), directory.path().join("log/mark"));
        fs::create_dir(&engine).unwrap();
        fs::write(&mark, "1").unwrap();
        let mut places = Places::of(&config);
        assert_eq!(places.gone().unwrap(), None);
        fs::rename(&engine, directory.path().join("elsewhere")).unwrap();
        assert_eq!(places.gone().unwrap(), Some(engine.as_path()));
        fs::rename(directory.path().join("elsewhere"), &engine).unwrap();
        assert_eq!(places.gone().unwrap(), None);
        fs::write(directory.path().join("other"), "1").unwrap();
        fs::rename(directory.path().join("other"), &mark).unwrap();
        assert_eq!(places.gone().unwrap(), Some(mark.as_path()));
    }

    #[test]
    fn the_file_that_the_log_is_written_to_is_missed_and_older_ones_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "a");
        let _held = prepare(&config).unwrap();
        let (engine, store) = (directory.path().join("log/engine"), directory.path().join("data/store"));
        fs::create_dir(&engine).unwrap();
        fs::create_dir(&store).unwrap();
        let file = |number: u32| engine.join(format!("{number:016}.raftlog"));
        fs::write(file(9), "1").unwrap();
        fs::write(store.join("CURRENT"), "1").unwrap();
        let mut places = Places::of(&config);
        fs::write(file(10), "1").unwrap();
        assert_eq!(places.gone().unwrap(), None);
        fs::remove_file(file(9)).unwrap();
        assert_eq!(places.gone().unwrap(), None, "it was purged");
        fs::write(directory.path().join("copy"), "1").unwrap();
        fs::rename(directory.path().join("copy"), file(10)).unwrap();
        assert_eq!(places.gone().unwrap(), Some(file(10).as_path()), "it is another one");
        let mut places = Places::of(&config);
        fs::remove_file(file(10)).unwrap();
        assert_eq!(places.gone().unwrap(), Some(file(10).as_path()));
        fs::write(file(11), "1").unwrap();
        let mut places = Places::of(&config);
        fs::remove_file(store.join("CURRENT")).unwrap();
        assert_eq!(places.gone().unwrap(), Some(store.join("CURRENT").as_path()));
    }

    #[test]
    fn what_cannot_be_looked_at_is_not_taken_for_removed() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "a");
        let _held = prepare(&config).unwrap();
        let engine = directory.path().join("log/engine");
        fs::create_dir(&engine).unwrap();
        fs::write(engine.join("0000000000000001.raftlog"), "1").unwrap();
        let mut places = Places::of(&config);
        // An error as any other, EMFILE for one, that says nothing of what is there: a name that no file can have.
        let unseen = directory.path().join("n".repeat(300));
        let engine = std::mem::replace(&mut places.engine, unseen.clone());
        assert!(places.gone().is_err());
        places.engine = engine;
        places.known.push((unseen.clone(), 7));
        assert!(places.gone().is_err());
        places.known.pop();
        let current = places.current.replace(unseen);
        assert!(places.gone().is_err());
        places.current = current;
        assert_eq!(places.gone().unwrap(), None);
    }

    #[test]
    fn an_empty_directory_beside_one_that_has_something_is_none_of_this_node() {
        for (content, missing, key) in [("log/engine", "data", "data"), ("data/store", "log", "log")] {
            let directory = tempfile::tempdir().unwrap();
            let config = config(directory.path(), "a");
            drop(prepare(&config).unwrap());
            fs::create_dir(directory.path().join(content)).unwrap();
            let missing = directory.path().join(missing);
            fs::rename(&missing, directory.path().join("elsewhere")).unwrap();
            let refused = prepare(&config).unwrap_err();
            assert!(refused.text.contains("Is its file system mounted"), "{}", refused.text);
            assert!(refused.text.contains(&format!("`{key}` in the cluster file")), "{}", refused.text);
            assert!(!missing.join(OWNER_FILE).exists(), "it does not become this node's");
            fs::remove_dir_all(&missing).unwrap();
            fs::rename(directory.path().join("elsewhere"), &missing).unwrap();
            drop(prepare(&config).unwrap());
            // Both are gone: a node with empty disks.
            let full = directory.path().join(content);
            fs::remove_dir_all(full.parent().unwrap()).unwrap();
            fs::remove_dir_all(&missing).unwrap();
            drop(prepare(&config).unwrap());
        }
    }

    #[test]
    fn directories_that_were_exchanged_do_not_pass_for_empty_ones() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), "a");
        drop(prepare(&config).unwrap());
        let [log, data] = ["log", "data"].map(|name| directory.path().join(name));
        fs::create_dir(log.join("engine")).unwrap();
        fs::create_dir(data.join("store")).unwrap();
        drop(prepare(&config).unwrap());
        let aside = directory.path().join("aside");
        for (from, to) in [(&log, &aside), (&data, &log), (&aside, &data)] {
            fs::rename(from, to).unwrap();
        }
        let refused = prepare(&config).unwrap_err();
        assert!(
            refused.text.contains("log is `log` in the cluster file and has store in it"),
            "{}",
            refused.text
        );
        assert!(refused.text.contains("the two were exchanged, in the file or where"), "{}", refused.text);
    }

    #[test]
    fn a_reserve_is_given_up_for_as_long_as_room_is_what_is_missing() {
        let left = std::cell::Cell::new(2);
        let make_room = || left.replace(left.get().max(1) - 1) > 0;
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        assert!(with_room(&make_room, || if left.get() > 0 { Err(full()) } else { Ok(()) }).is_ok());
        let error = with_room(&make_room, || Err(full())).unwrap_err();
        assert!(is_want_of_room(&error), "nothing is left to give up");
        left.set(2);
        assert!(with_room(&make_room, || Err(io::ErrorKind::PermissionDenied.into())).is_err());
        assert_eq!(left.get(), 2, "room is not what is missing");
    }
}
