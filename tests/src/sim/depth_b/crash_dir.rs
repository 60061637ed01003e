//! What a crash leaves of a RocksDB directory.
//!
//! Closing a database flushes what it has in memory, which a crash does not. So the directory is looked at before,
//! and taken back afterwards to some moment of that flush: nothing of it, tables that nobody lists and that may be
//! torn, a torn record in the manifest, or all of it. RocksDB syncs its tables before it lists them, so a table is
//! whole once a byte of its record is there.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sim::rng::Rng;

/// How far the flush under way had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    Nothing,
    Tables,
    /// Per mille of the manifest's new bytes.
    Manifest(u64),
    All,
}

impl Reached {
    pub fn draw(rng: &mut Rng) -> Reached {
        match rng.below(4) {
            0 => Reached::Nothing,
            1 => Reached::Tables,
            2 => Reached::Manifest(rng.between(1, 999)),
            _ => Reached::All,
        }
    }
}

/// A directory as it was.
#[derive(Clone, Debug)]
pub struct Before {
    directory: PathBuf,
    files: BTreeSet<PathBuf>,
    /// CURRENT and the manifest it names.
    current: Vec<u8>,
    manifest: PathBuf,
    listed: Vec<u8>,
}

fn files_in(directory: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

fn is_table(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst" || extension == "blob")
}

fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("MANIFEST"))
}

/// Tables in the order of their numbers.
pub fn tables(directory: &Path) -> Vec<PathBuf> {
    files_in(directory).into_iter().filter(|path| is_table(path)).collect()
}

impl Before {
    pub fn look(directory: &Path) -> io::Result<Before> {
        let current = fs::read(directory.join("CURRENT"))?;
        let manifest = directory.join(String::from_utf8_lossy(&current).trim());
        let listed = fs::read(&manifest)?;
        let files = files_in(directory);
        Ok(Before { directory: directory.to_path_buf(), files, current, manifest, listed })
    }

    /// The database is closed.
    pub fn take_back(&self, reached: Reached, rng: &mut Rng) -> io::Result<()> {
        // A table goes only after a synced record has unlisted it: nothing before that moment can come back.
        let gone = self.files.iter().any(|path| is_table(path) && !path.exists());
        if reached == Reached::All || gone {
            return Ok(());
        }
        let now = fs::read(&self.manifest).unwrap_or_default();
        let new = now.strip_prefix(&self.listed[..]).unwrap_or_default();
        let kept = match reached {
            Reached::Manifest(per_mille) => (new.len() as u64 * per_mille / 1000) as usize,
            _ => 0,
        };
        fs::write(&self.manifest, [&self.listed, &new[..kept]].concat())?;
        fs::write(self.directory.join("CURRENT"), &self.current)?;
        for path in files_in(&self.directory).difference(&self.files) {
            if is_manifest(path) {
                fs::remove_file(path)?;
            } else if is_table(path) && kept == 0 {
                let torn = rng.between(0, 1000);
                if reached == Reached::Nothing || torn == 0 {
                    fs::remove_file(path)?;
                } else {
                    let file = fs::OpenOptions::new().write(true).open(path)?;
                    file.set_len(file.metadata()?.len() * torn / 1000)?;
                }
            }
        }
        Ok(())
    }
}

/// Copies the files that make the database.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for path in files_in(from) {
        let name = path.file_name().expect("it was listed by its name");
        let belongs =
            is_table(&path) || is_manifest(&path) || ["CURRENT", "IDENTITY"].iter().any(|own| name == *own);
        // A file that goes meanwhile is one that the manifest does not list any more.
        if belongs && path.exists() {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
