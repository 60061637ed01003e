//! The log and data directories: made, locked, and marked with whose they are.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::fatal::{Fatal, FatalReason};
use crate::config::{Config, OWNER_FILE};

const LOCK_FILE: &str = "trimaran.lock";

/// Held while the process lives: nobody else may use the directories.
#[derive(Debug)]
pub struct Directories {
    _locks: Vec<File>,
}

pub fn prepare(config: &Config) -> Result<Directories, Fatal> {
    let mut locks = Vec::new();
    for directory in [&config.log_directory, &config.data_directory] {
        fs::create_dir_all(directory).map_err(|error| {
            let text = format!(
                "create directory {}: {error}; create it and give it to the user who runs the node",
                directory.display()
            );
            Fatal::new(FatalReason::Directory, text)
        })?;
        locks.push(lock(directory)?);
        if let Some(text) = config.foreign_owner(directory) {
            return Err(Fatal::new(FatalReason::Directory, text));
        }
        mark(directory, &config.owner())?;
    }
    Ok(Directories { _locks: locks })
}

fn lock(directory: &Path) -> Result<File, Fatal> {
    let path = directory.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|error| {
        let text = format!(
            "open {}: {error}; the directory must belong to the user who runs the node",
            path.display()
        );
        Fatal::new(FatalReason::Directory, text)
    })?;
    // SAFETY: the descriptor belongs to `file`.
    if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
        let text = format!("{} is in use by another node: is this one running already?", directory.display());
        return Err(Fatal::new(FatalReason::Directory, text));
    }
    Ok(file)
}

/// From now on the directory is this node's.
fn mark(directory: &Path, owner: &str) -> Result<(), Fatal> {
    let path = directory.join(OWNER_FILE);
    if path.exists() {
        return Ok(());
    }
    let write = || {
        let mut file = File::create(&path)?;
        file.write_all(owner.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| Fatal::new(FatalReason::Directory, format!("write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path, node: &str) -> Config {
        let mut text = "cluster = \"demo\"\n".to_owned();
        for (id, name) in [(1, "a"), (2, "b")] {
            text += &format!(
                "[[nodes]]\nname = \"{name}\"\nid = {id}\npeer = \"127.0.0.1:1{id}\"\nclient = \"127.0.0.1:2{id}\"\n\
                 http = \"127.0.0.1:3{id}\"\n"
            );
        }
        let directory = directory.display();
        text += &format!(
            "[[queue_managers]]\nname = \"QM\"\nid = 1\n[directories]\nlog = \"{directory}/log\"\n\
             data = \"{directory}/data\"\n"
        );
        Config::parse(&text, Some(node)).unwrap()
    }

    #[test]
    fn directories_belong_to_one_running_node() {
        let directory = tempfile::tempdir().unwrap();
        let held = prepare(&config(directory.path(), "a")).unwrap();
        let second = prepare(&config(directory.path(), "a")).unwrap_err();
        assert!(second.text.contains("in use by another node"), "{}", second.text);
        drop(held);
        let other = prepare(&config(directory.path(), "b")).unwrap_err();
        assert!(other.text.contains("belongs to cluster demo, node 1 a"), "{}", other.text);
        prepare(&config(directory.path(), "a")).unwrap();
    }
}
