//! What the world does to a node: chance, files that change behind its back, a disk that fills.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Chance with a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    #[allow(clippy::should_implement_trait)] // a generator never ends: an Option would only be in the way
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to n - 1.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn between(&mut self, least_ms: u64, most_ms: u64) -> Duration {
        Duration::from_millis(least_ms + self.below(most_ms - least_ms + 1))
    }
}

/// One thing done to one file.
#[derive(Clone, Debug)]
pub struct Damage {
    pub file: PathBuf,
    pub what: What,
}

#[derive(Clone, Copy, Debug)]
pub enum What {
    /// One bit is not what was written.
    Flip { at: u64, bit: u8 },
    /// The file ends here.
    Truncate { at: u64 },
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.what {
            What::Flip { at, bit } => write!(f, "{} bit {bit} of byte {at} flipped", self.file.display()),
            What::Truncate { at } => write!(f, "{} cut off at byte {at}", self.file.display()),
        }
    }
}

/// Flips a bit or cuts off an end somewhere in these files, each byte that is in use as likely as the other. `used` is as
/// [`used_bytes`] says: a flip in room that was never written is no damage to anybody.
pub fn damage(chance: &mut Chance, files: &[(PathBuf, u64)]) -> io::Result<Damage> {
    let all: u64 = files.iter().map(|(_, used)| used).sum();
    let mut at = chance.below(all);
    let (file, at) = files
        .iter()
        .find_map(|(file, used)| match at < *used {
            true => Some((file, at)),
            false => {
                at -= used;
                None
            }
        })
        .ok_or_else(|| io::Error::other("there is no file with anything in it"))?;
    let open = OpenOptions::new().read(true).write(true).open(file)?;
    let what = if chance.one_in(3) {
        open.set_len(at)?;
        What::Truncate { at }
    } else {
        let bit = chance.below(8) as u8;
        let mut byte = [0];
        open.read_exact_at(&mut byte, at)?;
        byte[0] ^= 1 << bit;
        open.write_all_at(&byte, at)?;
        What::Flip { at, bit }
    };
    Ok(Damage { file: file.clone(), what })
}

/// Every file below a directory with the number of its bytes up to the last one that is not zero.
pub fn used_bytes(directory: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for file in files_below(directory)? {
        let bytes = fs::read(&file)?;
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
        found.push((file, used));
    }
    Ok(found)
}

/// In the order of their names.
pub fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { waiting.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    files.sort();
    Ok(files)
}

/// A copy of a directory in which room that was never written takes none.
pub fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in files_below(from)? {
        let target = to.join(file.strip_prefix(from).expect("it lies below"));
        fs::create_dir_all(target.parent().expect("it lies below"))?;
        let bytes = fs::read(&file)?;
        let copy = File::create(&target)?;
        copy.set_len(bytes.len() as u64)?;
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        copy.write_all_at(&bytes[..used], 0)?;
    }
    Ok(())
}

/// Takes all the room that is left on the device of a directory. Gives back the file to remove.
pub fn fill_device(directory: &Path) -> io::Result<PathBuf> {
    let path = directory.join("somebody-elses-file");
    let file = File::create(&path)?;
    let (mut size, mut step) = (0_i64, 1_i64 << 30);
    while step >= 4096 {
        // SAFETY: the descriptor belongs to `file`; no memory is passed.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), size, step) } {
            0 => size += step,
            libc::ENOSPC => step /= 2,
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_changes_exactly_one_thing_and_says_which() {
        let directory = tempfile::tempdir().unwrap();
        let original: Vec<u8> = (1..=100).chain(std::iter::repeat_n(0, 100)).collect();
        let file = directory.path().join("deep/file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let mut chance = Chance::new(7);
        for _ in 0..50 {
            fs::write(&file, &original).unwrap();
            let used = used_bytes(directory.path()).unwrap();
            assert_eq!(used, [(file.clone(), 100)]);
            let damage = damage(&mut chance, &used).unwrap();
            let found = fs::read(&file).unwrap();
            match damage.what {
                What::Truncate { at } => assert_eq!(found, original[..at as usize], "{damage}"),
                What::Flip { at, bit } => {
                    let mut expected = original.clone();
                    expected[at as usize] ^= 1 << bit;
                    assert!(at < 100);
                    assert_eq!(found, expected, "{damage}");
                }
            }
        }
    }

    #[test]
    fn a_copy_is_the_same_to_a_reader() {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir_all(from.join("below")).unwrap();
        let bytes: Vec<u8> = [1, 2, 3].into_iter().chain(std::iter::repeat_n(0, 10_000)).collect();
        fs::write(from.join("below/file"), &bytes).unwrap();
        copy_directory(&from, &to).unwrap();
        assert_eq!(fs::read(to.join("below/file")).unwrap(), bytes);
    }
}
