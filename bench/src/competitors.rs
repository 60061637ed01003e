//! Other systems: where they are installed, and how.
//!
//! RabbitMQ and NATS come from Debian unstable in a folder of their own, which the system's package manager never
//! sees. Unstable moves every day, so every report names versions. Kafka and Artemis come from Maven Central and run on
//! the Java that is installed; their versions are pinned here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

const PACKAGES: &str = "rabbitmq-server,nats-server,erlang-base,erlang-crypto,erlang-ssl,procps";
const INSTALL: &str = "install it with `trimaran-bench peers install` (Debian or Ubuntu, as root)";
const INSTALL_JAVA: &str = "install it with `trimaran-bench peers install` (needs java 17 and mvn)";

pub const KAFKA_VERSION: &str = "4.4.0";
pub const ARTEMIS_VERSION: &str = "2.56.0";
/// Kafka has no archive on Maven Central: its libraries are what a project that depends on it gets. `kafka-tools-api`
/// is named by Kafka's own description, was never published for this version, and is not needed to run a broker.
const KAFKA_PROJECT: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>trimaran</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>VERSION</version>
      <exclusions>
        <exclusion><groupId>org.apache.kafka</groupId><artifactId>kafka-tools-api</artifactId></exclusion>
      </exclusions>
    </dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#;

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

/// The folder with Kafka's libraries.
pub fn kafka_libraries() -> Result<PathBuf> {
    let folder = directory()?.join(format!("kafka-{KAFKA_VERSION}"));
    ensure!(folder.join("installed").is_file(), "Kafka is not installed: {INSTALL_JAVA}");
    Ok(folder.join("libraries"))
}

/// The folder with Artemis's programs.
pub fn artemis_home() -> Result<PathBuf> {
    let folder = directory()?.join(format!("artemis-{ARTEMIS_VERSION}"));
    ensure!(folder.join("installed").is_file(), "Artemis is not installed: {INSTALL_JAVA}");
    Ok(folder.join(format!("apache-artemis-{ARTEMIS_VERSION}")))
}

/// Where the library for asynchronous IO lies that Artemis wants, when it could be installed.
pub fn libaio() -> Option<PathBuf> {
    let folder = directory().ok()?.join("libaio/usr/lib/x86_64-linux-gnu");
    folder.join("libaio.so.1").exists().then_some(folder)
}

pub fn java_version() -> String {
    let output = Command::new("java").arg("-version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or("no Java").to_string()
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

/// Everything that is missing and that this machine lets in. What it does not is named with the reason; false then.
pub fn install() -> Result<bool> {
    fs::create_dir_all(directory()?)?;
    let parts: [(&str, fn() -> Result<()>); 4] = [
        ("RabbitMQ and NATS", install_sid),
        ("Kafka", install_kafka),
        ("libaio", install_libaio),
        ("Artemis", install_artemis),
    ];
    let mut complete = true;
    for (what, install) in parts {
        if let Err(error) = install() {
            println!("{what} cannot be installed here: {error:#}");
            complete = false;
        }
    }
    list()?;
    Ok(complete)
}

/// Debian unstable with the servers, about three minutes and 700 MB.
fn install_sid() -> Result<()> {
    let sid = sid()?;
    if nats_server().is_ok() && rabbitmq_root().is_ok() {
        return Ok(());
    }
    // SAFETY: asks for the user's number.
    ensure!(
        unsafe { libc::geteuid() } == 0,
        "only root can install them: a Debian in a folder has files of many users"
    );
    let (program, library) = debootstrap(&directory()?)?;
    let mirror = mirror();
    // Made beside its place, so that an installation that was broken off is not taken for a whole one.
    let unfinished = directory()?.join("sid.unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    println!("installing {PACKAGES} from {mirror} sid into {} ...", sid.display());
    let mut command = Command::new(program);
    if let Some(library) = library {
        command.env("DEBOOTSTRAP_DIR", library);
    }
    command
        .args(["--variant=minbase", &format!("--include={PACKAGES}"), "sid"])
        .arg(&unfinished)
        .arg(&mirror);
    let log = directory()?.join("install.log");
    let status = command.stdout(fs::File::create(&log)?).status()?;
    ensure!(status.success(), "debootstrap failed; {} says why", log.display());
    if sid.exists() {
        fs::remove_dir_all(&sid)?;
    }
    Ok(fs::rename(unfinished, sid)?)
}

fn install_kafka() -> Result<()> {
    if kafka_libraries().is_ok() {
        return Ok(());
    }
    let folder = directory()?.join(format!("kafka-{KAFKA_VERSION}"));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("pom.xml"), KAFKA_PROJECT.replace("VERSION", KAFKA_VERSION))?;
    println!("installing Kafka {KAFKA_VERSION} from Maven Central into {} ...", folder.display());
    let libraries = format!("-DoutputDirectory={}", folder.join("libraries").display());
    maven(&folder, &["dependency:copy-dependencies", &libraries])?;
    Ok(fs::write(folder.join("installed"), "")?)
}

fn install_artemis() -> Result<()> {
    if artemis_home().is_ok() {
        return Ok(());
    }
    let folder = directory()?.join(format!("artemis-{ARTEMIS_VERSION}"));
    fs::create_dir_all(&folder)?;
    println!("installing Artemis {ARTEMIS_VERSION} from Maven Central into {} ...", folder.display());
    let artifact = format!("-Dartifact=org.apache.artemis:apache-artemis:{ARTEMIS_VERSION}:tar.gz:bin");
    maven(&folder, &["dependency:copy", &artifact, &format!("-DoutputDirectory={}", folder.display())])?;
    let archive = format!("apache-artemis-{ARTEMIS_VERSION}-bin.tar.gz");
    let status = Command::new("tar").current_dir(&folder).args(["-xzf", &archive]).status()?;
    ensure!(status.success(), "{} cannot be unpacked", folder.join(&archive).display());
    fs::remove_file(folder.join(archive))?;
    Ok(fs::write(folder.join("installed"), "")?)
}

/// Artemis works without, on slower files.
fn install_libaio() -> Result<()> {
    if libaio().is_some() {
        return Ok(());
    }
    let script = format!(
        "set -e; cd '{}'; apt-get -q download libaio1 >/dev/null; dpkg -x libaio1_*.deb libaio; rm libaio1_*.deb; \
         mkdir -p libaio/usr/lib; if [ -d libaio/lib ]; then cp -a libaio/lib/. libaio/usr/lib/; fi",
        directory()?.display()
    );
    let status = Command::new("sh").args(["-c", &script]).status()?;
    ensure!(status.success(), "the package libaio1 cannot be downloaded; Artemis does without");
    Ok(())
}

fn maven(folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("mvn");
    command.current_dir(folder).args(["-q", "-B"]).args(arguments);
    let status = command.status().context("start mvn (Debian's package maven)")?;
    ensure!(status.success(), "mvn failed; it said why above");
    Ok(())
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
    match kafka_libraries() {
        Ok(_) => println!("  Kafka     {KAFKA_VERSION}, {}", java_version()),
        Err(error) => println!("  Kafka     {error}"),
    }
    match artemis_home() {
        Ok(_) => {
            let journal = if libaio().is_some() { "libaio" } else { "no libaio" };
            println!("  Artemis   {ARTEMIS_VERSION}, {}, {journal}", java_version());
        }
        Err(error) => println!("  Artemis   {error}"),
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
