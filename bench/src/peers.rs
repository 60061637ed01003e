//! Other systems: where they are installed, and how.
//!
//! RabbitMQ and NATS come from Debian unstable in a folder of their own, which the system's package manager never
//! sees. Unstable moves every day, so every report names versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const PACKAGES: &str = "rabbitmq-server,nats-server,erlang-base,erlang-crypto,erlang-ssl,procps";
const INSTALL: &str = "install it with `trimaran-bench peers install` (Debian or Ubuntu, as root)";

/// Where other systems are: in the cache, beside what the build keeps there.
pub fn directory() -> Result<PathBuf> {
    let cache = match std::env::var_os("TRIMARAN_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?).join(".cache/trimaran"),
    };
    Ok(cache.join("peers"))
}

/// The folder with Debian unstable.
pub fn sid() -> Result<PathBuf> {
    Ok(directory()?.join("sid"))
}

/// A static binary that runs outside of its folder.
pub fn nats_server() -> Result<PathBuf> {
    let path = sid()?.join("usr/sbin/nats-server");
    ensure!(path.is_file(), "nats-server is not installed: {INSTALL}");
    Ok(path)
}

/// The folder that RabbitMQ runs in, as its root.
pub fn rabbitmq_root() -> Result<PathBuf> {
    let root = sid()?;
    ensure!(
        root.join("usr/lib/rabbitmq/bin/rabbitmq-server").is_file(),
        "RabbitMQ is not installed: {INSTALL}"
    );
    // SAFETY: asks for the user's number.
    ensure!(
        unsafe { libc::geteuid() } == 0,
        "RabbitMQ runs in a folder as its root, which only root may start"
    );
    Ok(root)
}

/// Version of a package in the folder.
pub fn version_of(package: &str) -> String {
    let status =
        sid().and_then(|sid| Ok(fs::read_to_string(sid.join("var/lib/dpkg/status"))?)).unwrap_or_default();
    find_version(&status, package).unwrap_or_else(|| "unknown".into())
}

fn find_version(status: &str, package: &str) -> Option<String> {
    let paragraph =
        status.split("\n\n").find(|text| text.lines().any(|line| line == format!("Package: {package}")))?;
    paragraph.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_string)
}

/// Debian unstable with the servers, about three minutes and 700 MB.
pub fn install() -> Result<()> {
    let directory = directory()?;
    fs::create_dir_all(&directory)?;
    let sid = sid()?;
    if nats_server().is_ok() && sid.join("usr/lib/rabbitmq/bin/rabbitmq-server").is_file() {
        println!("already installed in {}", sid.display());
        return list();
    }
    // SAFETY: asks for the user's number.
    ensure!(
        unsafe { libc::geteuid() } == 0,
        "only root can install: a Debian in a folder has files of many users"
    );
    let (program, library) = debootstrap(&directory)?;
    let mirror = mirror();
    println!("installing {PACKAGES} from {mirror} sid into {} ...", sid.display());
    let mut command = Command::new(program);
    if let Some(library) = library {
        command.env("DEBOOTSTRAP_DIR", library);
    }
    command.args(["--variant=minbase", &format!("--include={PACKAGES}"), "sid"]).arg(&sid).arg(&mirror);
    ensure!(
        command.status()?.success(),
        "debootstrap failed; {} says why",
        sid.join("debootstrap/debootstrap.log").display()
    );
    list()
}

/// debootstrap of the system, or one unpacked beside it without installing anything.
fn debootstrap(directory: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    let system = Path::new("/usr/sbin/debootstrap");
    if system.is_file() {
        return Ok((system.into(), None));
    }
    let unpacked = directory.join("debootstrap");
    let script = format!(
        "set -e; cd '{0}'; apt-get download debootstrap; dpkg -x debootstrap_*.deb debootstrap; rm debootstrap_*.deb",
        directory.display()
    );
    let status = Command::new("sh").args(["-c", &script]).status()?;
    if !status.success() {
        bail!("debootstrap cannot be downloaded: this needs Debian or Ubuntu with apt-get and a mirror");
    }
    Ok((unpacked.join("usr/sbin/debootstrap"), Some(unpacked.join("usr/share/debootstrap"))))
}

/// The mirror this machine uses.
fn mirror() -> String {
    let sources = fs::read_to_string("/etc/apt/sources.list.d/debian.sources").unwrap_or_default();
    let uri = sources.lines().find_map(|line| line.strip_prefix("URIs:"));
    uri.and_then(|uris| uris.split_whitespace().next()).unwrap_or("http://deb.debian.org/debian").to_string()
}

pub fn list() -> Result<()> {
    println!("{}:", directory()?.display());
    match nats_server() {
        Ok(_) => println!("  NATS      {}", version_of("nats-server")),
        Err(error) => println!("  NATS      {error}"),
    }
    match rabbitmq_root() {
        Ok(_) => {
            println!("  RabbitMQ  {}, Erlang {}", version_of("rabbitmq-server"), version_of("erlang-base"))
        }
        Err(error) => println!("  RabbitMQ  {error}"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_its_paragraph() {
        let status = "Package: a\nVersion: 1\n\nPackage: nats-server\nDepends: x\nVersion: 2.15.1-1\n\nPackage: b\nVersion: 3\n";
        assert_eq!(find_version(status, "nats-server").as_deref(), Some("2.15.1-1"));
        assert_eq!(find_version(status, "nats"), None);
    }
}
