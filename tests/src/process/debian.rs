//! A bare Debian to install the package in: the smallest that debootstrap makes, and a pager for manual pages. It is made once and
//! kept in `$TRIMARAN_CACHE`; what is done in it goes to a layer in memory, which is gone with the process that holds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::namespace::{Holder, is_root};
use super::tools::{cache, check};

pub struct Debian {
    root: PathBuf,
    holder: Holder,
}

impl Debian {
    /// A Debian that nothing was done in, or what this machine lacks for one.
    pub fn bare() -> Result<Debian, String> {
        if !is_root() {
            return Err("a Debian to install packages in can only be made by root: sudo".into());
        }
        let below = made()?;
        let root = tempfile::tempdir().map_err(|error| error.to_string())?.keep();
        // No way out: what is installed is in the package, and in nothing that it fetches.
        let setup = "mount -t tmpfs trimaran \"$2\" && mkdir \"$2/upper\" \"$2/work\" \"$2/root\" && \
                     mount -t overlay -o \"lowerdir=$1,upperdir=$2/upper,workdir=$2/work\" trimaran \"$2/root\" && \
                     mount -t proc proc \"$2/root/proc\" && mount --rbind /dev \"$2/root/dev\" && ip link set lo up";
        let holder = Holder::start(&["--mount", "--net"], setup, &[&below, &root]);
        Ok(Debian { root, holder })
    }

    /// Runs lines of bash in it, as root.
    pub fn run(&self, script: &str) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.holder.id().to_string(), "--mount", "--net", "chroot"])
            .arg(self.root.join("root"))
            .args(["bash", "-euc", script])
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect("nsenter starts (package util-linux)")
    }

    /// What lines of bash print that must succeed.
    pub fn ok(&self, script: &str) -> String {
        let output = self.run(script);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {}\n{text}{error}", output.status);
        text
    }

    /// Where a file of it is for this process.
    pub fn path(&self, file: &str) -> PathBuf {
        let inside = self.root.join("root").join(file.trim_start_matches('/'));
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), inside.display()))
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Only the place where it was mounted: the mounts are in another namespace.
        let _ = fs::remove_dir(&self.root);
    }
}

/// The directory that debootstrap made, now or before: the same release as this machine's, whose libraries the programs want.
fn made() -> Result<PathBuf, String> {
    let system =
        fs::read_to_string("/etc/os-release").map_err(|error| format!("/etc/os-release: {error}"))?;
    let release = system.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let release = release.ok_or("/etc/os-release does not say which Debian this is")?;
    let cache = cache()?;
    let directory = cache.join(format!("debian-{release}"));
    if directory.exists() {
        return Ok(directory);
    }
    fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
    let unfinished = tempfile::tempdir_in(&cache).map_err(|error| error.to_string())?;
    let making = unfinished.path().join("root");
    println!("debootstrap makes a Debian in {}: a minute or two, once", directory.display());
    let output = Command::new("debootstrap")
        .args(["--variant=minbase", "--include=man-db", release])
        .arg(&making)
        .output()
        .map_err(|error| format!("debootstrap: {error}; install it (Debian: apt install debootstrap)"))?;
    check(&output, "debootstrap fails; it needs a way to a mirror of Debian")?;
    keep(&making, &directory)?;
    Ok(directory)
}

fn keep(made: &Path, directory: &Path) -> Result<(), String> {
    match fs::rename(made, directory) {
        // Another process was faster.
        Err(_) if directory.exists() => Ok(()),
        outcome => outcome.map_err(|error| format!("{}: {error}", directory.display())),
    }
}
