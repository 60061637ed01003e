//! `trimaran-node check`: looks at everything a node needs before it starts, and says what to do about what is wrong.
//!
//! Changes nothing but a file that it creates and removes in each directory. A node that runs already is recognised
//! and asked how it is, instead of being called in the way.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use trimaran_proto::plain;

use super::{Config, Descriptors, LOCK_FILE, Owner, canary, placement, reserves, resolve, voters_warning};
use crate::log_store::{filesystem, free_bytes};
use crate::peer::{self, PeerTls, ProbeError};
use crate::security::{Tls, TlsOptions};
use crate::types::{NodeId, QueueManagerId};
use crate::vip::netlink::Route;
use crate::vip::{self, Mode};

/// Clocks that differ by more are wrong: put times and expiry would be.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(2);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Fine(String),
    /// The node starts; somebody should look.
    Warning(String),
    /// The node does not start, or not well.
    Wrong(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub findings: Vec<Finding>,
}

impl CheckReport {
    pub fn is_fine(&self) -> bool {
        !self.findings.iter().any(|finding| matches!(finding, Finding::Wrong(_)))
    }

    fn fine(&mut self, text: impl fmt::Display) {
        self.findings.push(Finding::Fine(plain::error(text)));
    }

    fn warning(&mut self, text: impl fmt::Display) {
        self.findings.push(Finding::Warning(plain::error(text)));
    }

    fn wrong(&mut self, text: impl fmt::Display) {
        self.findings.push(Finding::Wrong(plain::error(text)));
    }
}

impl Config {
    /// What `security` is told; None without TLS.
    pub fn tls_options(&self) -> Option<TlsOptions> {
        self.tls.as_ref().map(|files| TlsOptions {
            cluster: self.cluster.clone(),
            node: self.name.clone(),
            ca: files.ca.clone(),
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            clients_required: files.clients_required,
        })
    }
}

/// How connections to peers are protected, for [`crate::peer`].
pub fn peer_tls(tls: Option<Arc<Tls>>) -> PeerTls {
    Arc::new(move |name| match &tls {
        None => Ok(None),
        Some(tls) => tls.client_for_peer(name).map(Some).map_err(|error| error.to_string()),
    })
}

/// Looks at everything; to be called within an async runtime.
pub async fn check(config: &Config) -> CheckReport {
    let mut report = CheckReport::default();
    let voters = config.first_voters();
    report.fine(format!(
        "cluster {} of {} nodes ({voters} vote at first), this is node {} with id {}; names, ids and addresses are unique",
        config.cluster,
        config.nodes.len(),
        config.name,
        config.node
    ));
    let warnings = config.standing_warnings().into_iter().chain(voters_warning(voters));
    warnings.for_each(|warning| report.warning(warning));

    placement::sentences(config).into_iter().for_each(|text| report.fine(text));
    for (text, is_fine) in canary::sentences(config) {
        if is_fine { report.fine(text) } else { report.wrong(text) }
    }

    let tls = check_tls(config, &mut report);
    let own = check_peers(config, tls, &mut report).await;
    check_ports(config, &own, &mut report);
    for (what, path) in [("log", &config.log_directory), ("data", &config.data_directory)] {
        check_directory(what, path, config.limits.disk_reserve_bytes, &mut report);
    }
    let directories = [&config.log_directory, &config.data_directory];
    match config.owners() {
        Err(texts) => texts.into_iter().for_each(|text| report.wrong(text)),
        Ok(owners) if owners.iter().all(Owner::is_new) => {
            let [log, data] = directories.map(|path| path.display());
            report.warning(format!(
                "{log} and {data} have nothing of a node yet: node {} begins without any messages. That is right before its first \
                 start; if it ran before, correct [directories] (what does not begin with / is beside the cluster file)",
                config.name
            ));
        }
        Ok(owners) => {
            for (id, name) in owners[0].queue_managers() {
                if !config.queue_managers.contains_key(&QueueManagerId(id)) {
                    report.fine(format!(
                        "queue manager {name} (id {id}) is in the directories and not in the cluster file, which does not delete \
                         it: `trimaran dltmqm` does"
                    ));
                }
            }
            owners.into_iter().filter_map(|owner| owner.repaired).for_each(|text| report.warning(text));
        }
    }
    if own != Own::Runs
        && let Some(path) = directories.iter().find(|path| is_in_use(path))
    {
        report.wrong(format!(
            "{} is in use by a node that runs, and that is not one at the addresses of this file: give each node directories of \
             its own, or stop that one",
            path.display()
        ));
    }
    if let Some(text) = reserves::lacking(&config.reserves(), free_bytes) {
        report.warning(text);
    }
    check_addresses(config, &mut report);
    check_descriptors(config, &mut report);
    report.fine(format!(
        "{} of memory for what clients and peers make the node hold (limits.memory_bytes)",
        bytes(config.limits.memory_bytes)
    ));
    check_clock(&mut report);
    report
}

fn check_tls(config: &Config, report: &mut CheckReport) -> Option<PeerTls> {
    let Some(options) = config.tls_options() else {
        report.fine(match config.insecure {
            true => "no TLS, as insecure = true says",
            false => "no TLS: every listener is on loopback",
        });
        return Some(peer_tls(None));
    };
    if let Ok(metadata) = fs::metadata(&options.key)
        && metadata.permissions().mode() & 0o077 != 0
    {
        report.warning(format!(
            "{} can be read by others than its owner: chmod 600 {}",
            options.key.display(),
            options.key.display()
        ));
    }
    match Tls::load(options) {
        Err(error) => {
            report.wrong(error.to_string());
            None
        }
        Ok(tls) => {
            let (state, now) = (tls.state(), SystemTime::now());
            match state.expires_soon(now) {
                Some(text) => {
                    report.warning(format!("{text}: renew it; nodes load the new one without a restart"));
                }
                None => {
                    let days = state.expires.duration_since(now).unwrap_or_default().as_secs() / 86_400;
                    report.fine(format!("certificate of {} is good for {days} days", state.subject));
                }
            }
            Some(peer_tls(Some(Arc::new(tls))))
        }
    }
}

/// Who is at this node's own peer address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Own {
    NotAsked,
    Nobody,
    /// This node, running.
    Runs,
    /// Somebody who was heard, and is not this node or does not say so.
    Refused(String),
    /// Nobody who was understood.
    Unheard(String),
}

/// Asks every node, this one too, and says who answers in its place.
async fn check_peers(config: &Config, tls: Option<PeerTls>, report: &mut CheckReport) -> Own {
    let Some(tls) = tls else {
        report.warning("peers were not asked: without a certificate they would refuse");
        return Own::NotAsked;
    };
    let ask = |id: NodeId| {
        let (info, tls) = (config.nodes[&id].info.clone(), tls.clone());
        async move {
            let asked = SystemTime::now();
            let answer = peer::probe(&config.cluster, config.node, config.speaks, id, &info, &tls).await;
            (id, info, answer, asked, SystemTime::now())
        }
    };
    let answers = futures::future::join_all(config.nodes.keys().map(|id| ask(*id))).await;
    let mut own = Own::NotAsked;
    for (id, info, answer, asked, answered) in answers {
        let (name, address) = (&info.name, &info.peer_address);
        match answer {
            Ok(ack) if id == config.node => {
                own = Own::Runs;
                report.fine(format!("node {name} runs already, release {}", ack.release));
            }
            Ok(ack) => {
                let theirs = UNIX_EPOCH + Duration::from_millis(ack.wall_ms.max(0) as u64);
                match clock_difference(theirs, asked, answered) {
                    Some(difference) if difference > CLOCK_DIFFERENCE_MAX => report.wrong(format!(
                        "the clock of node {name} differs by {:.1} s: start a time service (chrony) on both, expiry \
                         and put times depend on it",
                        difference.as_secs_f64()
                    )),
                    _ => report.fine(format!("node {name} answers at {address}, its clock agrees")),
                }
                let theirs = peer::spoken(&ack);
                if !config.speaks.meets(theirs) {
                    report.wrong(format!(
                        "node {name} speaks {theirs} and this one {}: upgrade one release at a time",
                        config.speaks
                    ));
                } else if ack.release != env!("CARGO_PKG_VERSION") {
                    report.warning(format!(
                        "node {name} runs release {}, this one is {}",
                        ack.release,
                        env!("CARGO_PKG_VERSION")
                    ));
                }
            }
            Err(ProbeError::NobodyThere) if id == config.node => own = Own::Nobody,
            Err(ProbeError::NobodyThere) => {
                report.warning(format!(
                    "node {name} does not run: nobody listens at {address}; start it, or take it out of the cluster file if it \
                     was removed or replaced"
                ));
            }
            Err(ProbeError::Refused(reason)) if id == config.node => own = Own::Refused(reason),
            Err(ProbeError::Refused(reason)) => {
                report.wrong(format!("node {name} at {address} refuses this node: {reason}"));
            }
            Err(ProbeError::Unreachable(reason)) if id == config.node => own = Own::Unheard(reason),
            Err(ProbeError::Unreachable(reason)) => report.wrong(format!(
                "node {name} is not reachable at {address}: {reason}; check address, network and firewall"
            )),
        }
    }
    own
}

/// How far a clock is off, at least, given when it was read; None when it is not.
fn clock_difference(theirs: SystemTime, asked: SystemTime, answered: SystemTime) -> Option<Duration> {
    let early = asked.duration_since(theirs).ok();
    let late = theirs.duration_since(answered).ok();
    early.or(late)
}

fn check_ports(config: &Config, own: &Own, report: &mut CheckReport) {
    if *own == Own::Runs {
        return;
    }
    let this = config.this();
    for (what, address) in this.listens() {
        if floats_elsewhere(address, &config.floating) {
            report.fine(format!("{what} address {address} is a floating address, and not here now"));
            continue;
        }
        let bound = resolve(address).and_then(|addresses| {
            TcpListener::bind(addresses.as_slice()).map_err(|error| match error.kind() {
                io::ErrorKind::AddrInUse => in_use(what, address, &config.name, own),
                io::ErrorKind::AddrNotAvailable => {
                    format!("{address} is not an address of this machine: ip address shows which it has")
                }
                io::ErrorKind::PermissionDenied => {
                    format!("{address} needs rights this user does not have: choose a port above 1023")
                }
                _ => format!("{address}: {error}"),
            })
        });
        match (bound, own) {
            (Ok(_), Own::Refused(reason)) if what == "peer" => report.wrong(format!(
                "{address} is free, and somebody else answers at this node's peer address {}: {reason}; correct the \
                 address in the cluster file",
                this.info.peer_address
            )),
            (Ok(_), _) => report.fine(format!("{what} address {address} is free")),
            (Err(reason), _) => report.wrong(format!("{what} address {reason}")),
        }
    }
}

/// Whether it is a floating address that another machine may have: it is listened on all the same, before it comes.
fn floats_elsewhere(address: &str, floating: &BTreeMap<IpAddr, QueueManagerId>) -> bool {
    let is_elsewhere = |one: &SocketAddr| {
        let nobody_here = || TcpListener::bind((one.ip(), 0)).map_err(|error| error.kind());
        floating.contains_key(&one.ip())
            && nobody_here().is_err_and(|kind| kind == io::ErrorKind::AddrNotAvailable)
    };
    resolve(address).is_ok_and(|all| !all.is_empty() && all.iter().all(is_elsewhere))
}

/// What is known of a port that somebody has.
fn in_use(what: &str, address: &str, node: &str, own: &Own) -> String {
    match own {
        Own::Refused(reason) | Own::Unheard(reason) if what == "peer" => format!(
            "{address} is in use, by something that does not pass for node {node} of this cluster: {reason}; if the node \
             runs already, then with another certificate or cluster file than this one, else ss -ltnp shows which \
             program it is: stop it or choose a port"
        ),
        Own::Nobody => {
            format!("{address} is taken by another program: ss -ltnp shows which; stop it or choose a port")
        }
        _ => format!("{address} is in use, by this node or by another program: ss -ltnp shows which"),
    }
}

fn check_directory(what: &str, path: &Path, reserve: u64, report: &mut CheckReport) {
    let Some(existing) = reserves::existing(path) else {
        report.wrong(format!("{what} directory {}: no part of the path exists", path.display()));
        return;
    };
    let existing = existing.as_path();
    let created = if existing == path { "" } else { " (created at the first start)" };
    if let Err(error) = try_write(existing) {
        report.wrong(format!(
            "{what} directory {}: {} cannot be written: {error}; create it and give it to the user who runs the node",
            path.display(),
            existing.display()
        ));
        return;
    }
    match filesystem(existing) {
        Err(error) => report.wrong(format!("{what} directory {}: {error}", path.display())),
        Ok(system) => {
            if existing == path && others_may_look(path) {
                report.warning(format!(
                    "{what} directory {}: other users of this machine can look into it; the node makes it 0700 when it \
                     starts",
                    path.display()
                ));
            }
            let place = format!(
                "{what} directory {}{created}: writable, on {} with {} free",
                path.display(),
                system.kind,
                bytes(system.free_bytes)
            );
            match system.kind.as_str() {
                "tmpfs" | "ramfs" => {
                    report.warning(format!("{place}; it forgets everything when the machine restarts"));
                }
                "nfs" | "cifs" | "fuse" | "overlay" => report.warning(format!(
                    "{place}; use a local ext4 or xfs: what a sync promises is not certain here"
                )),
                _ => report.fine(place),
            }
            if system.free_bytes < reserve {
                report.wrong(format!(
                    "{what} directory {} has {} free and disk_reserve_bytes is {}: puts would be refused; free space \
                     or set limits.disk_reserve_bytes",
                    path.display(),
                    bytes(system.free_bytes),
                    bytes(reserve)
                ));
            }
        }
    }
}

/// Whether a process holds the lock of a directory, as each node does while it lives.
fn is_in_use(directory: &Path) -> bool {
    let Ok(file) = fs::File::open(directory.join(LOCK_FILE)) else { return false };
    matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
}

fn others_may_look(directory: &Path) -> bool {
    fs::metadata(directory).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

fn try_write(directory: &Path) -> io::Result<()> {
    let path: PathBuf = directory.join(format!(".trimaran-check-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let written = file.write_all(b"check").and_then(|()| file.sync_all());
    fs::remove_file(&path)?;
    written
}

/// Whether this node could hold the floating addresses.
fn check_addresses(config: &Config, report: &mut CheckReport) {
    let Some(options) = &config.addresses else { return };
    match (options.mode, &options.program) {
        (Mode::Exec, Some(program)) => match why_not_run(program) {
            Some(why) => report.wrong(format!("addresses: program {}: {why}", program.display())),
            None => report.fine(format!("addresses: mode exec, by {}", program.display())),
        },
        (Mode::Exec | Mode::DryRun, _) => report.fine(format!("addresses: mode {}", options.mode.as_str())),
        (Mode::Kernel | Mode::Fast, _) => match Route::open().and_then(|mut route| route.interfaces()) {
            Err(error) => report.wrong(format!("addresses: interfaces cannot be listed: {error}")),
            Ok(interfaces) => {
                for address in &options.addresses {
                    match options.interface_of(address, &interfaces) {
                        Err(sentence) => report.wrong(sentence),
                        Ok(interface) if !interface.is_up => {
                            report.warning(format!(
                                "address {}: interface {} is down",
                                address.ip, interface.name
                            ));
                        }
                        Ok(interface) => report.fine(format!(
                            "address {} of queue manager {} belongs on interface {}",
                            address.ip, address.name, interface.name
                        )),
                    }
                }
            }
        },
    }
    if options.addresses.is_empty() {
        report.fine("addresses: none in this file; queue managers that are created may have some".to_owned());
    }
    if options.mode.is_kernels() && !vip::has_rights() {
        report.wrong(format!("addresses cannot be held by this user: {}", vip::HOW_TO_GET_RIGHTS));
    }
    if options.mode == Mode::Fast
        && let Err(sentence) = vip::fence::check()
    {
        report.wrong(sentence);
    }
    config.unheard_addresses().into_iter().for_each(|text| report.warning(text));
}

/// What keeps this user from running a program; None when nothing does that can be seen.
fn why_not_run(program: &Path) -> Option<String> {
    let found = match fs::metadata(program) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Some("there is none; a relative path begins where the cluster file is".to_owned());
        }
        Err(error) => return Some(error.to_string()),
    };
    if !found.is_file() {
        return Some("it is no file: write the path of a program".to_owned());
    }
    let path = CString::new(program.as_os_str().as_bytes()).ok()?;
    // SAFETY: the path ends with a zero byte and is only read.
    let may = unsafe { libc::access(path.as_ptr(), libc::X_OK) } == 0;
    (!may).then(|| format!("this user may not run it: chmod +x {}", program.display()))
}

fn check_descriptors(config: &Config, report: &mut CheckReport) {
    let configured = config.limits.connections;
    match Descriptors::look(configured) {
        Err(error) => report.warning(format!("how many files the node may open is not known: {error}")),
        Ok(descriptors) => match descriptors.shortage(configured) {
            Some(text) if descriptors.are_few() => report.warning(text),
            Some(text) => report.fine(text),
            None => report.fine(format!(
                "the node may open {} files: enough for {configured} connections of clients and {} ports of listeners",
                descriptors.limit, descriptors.ports
            )),
        },
    }
}

fn check_clock(report: &mut CheckReport) {
    // 2024-01-01: earlier than any release of this program.
    let sane = UNIX_EPOCH + Duration::from_secs(1_704_067_200);
    match SystemTime::now() < sane {
        true => report
            .wrong("the clock of this machine is years behind: set it, and start a time service (chrony)"),
        false => report.fine("the clock of this machine is plausible"),
    }
}

fn bytes(count: u64) -> String {
    match count {
        0..1_000_000_000 => format!("{} MB", count / 1_000_000),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_wrong_is_said_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let text = format!(
            "cluster = \"check\"\nnode = \"a\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\n\
             client = \"127.0.0.1:{port}\"\nhttp = \"127.0.0.1:65530\"\n[[queue_managers]]\nname = \"QM\"\nid = 1\n\
             [directories]\nlog = \"{d}/log\"\ndata = \"/proc/nowhere\"\n[limits]\ndisk_reserve_bytes = \"1MiB\"\n",
            d = directory.path().display(),
        );
        let config = Config::parse(&text, None).unwrap();
        let report = check(&config).await;
        assert!(!report.is_fine());
        let has = |part: &str| {
            report.findings.iter().any(|finding| match finding {
                Finding::Fine(text) | Finding::Warning(text) | Finding::Wrong(text) => text.contains(part),
            })
        };
        assert!(has("is taken by another program"), "{report:?}");
        assert!(has("data directory /proc/nowhere"), "{report:?}");
        assert!(has("(created at the first start): writable"), "{report:?}");
        assert!(has("have nothing of a node yet: node a begins without any messages"), "{report:?}");
        assert!(has("no TLS: every listener is on loopback"), "{report:?}");
    }

    #[test]
    fn an_address_that_floats_need_not_be_here() {
        let floating =
            ["198.51.100.7", "127.0.0.1"].map(|ip| (ip.parse().unwrap(), QueueManagerId(1))).into();
        assert!(floats_elsewhere("198.51.100.7:1414", &floating));
        assert!(!floats_elsewhere("198.51.100.8:1414", &floating), "another address does not float");
        assert!(!floats_elsewhere("127.0.0.1:1414", &floating), "it is here: its port can be looked at");
    }

    #[tokio::test]
    async fn a_queue_manager_that_the_file_does_not_name_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().display();
        for of in ["log", "data"] {
            fs::create_dir(directory.path().join(of)).unwrap();
            let lines = "cluster check\nnode 1 a\nqueue manager 7 OLD\n";
            fs::write(directory.path().join(of).join(super::super::OWNER_FILE), lines).unwrap();
        }
        let text = format!(
            "cluster = \"check\"\nnode = \"a\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\n\
             client = \"127.0.0.1:2\"\nhttp = \"127.0.0.1:3\"\n[directories]\nlog = \"{place}/log\"\ndata = \"{place}/data\"\n"
        );
        let report = check(&Config::parse(&text, None).unwrap()).await;
        let told = Finding::Fine(
            "queue manager OLD (id 7) is in the directories and not in the cluster file, which does not delete it: `trimaran dltmqm` \
             does"
                .to_owned(),
        );
        assert!(report.findings.contains(&told), "{report:?}");
    }

    #[test]
    fn a_program_that_cannot_be_run_is_told_why() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("move");
        assert!(why_not_run(&program).unwrap().contains("where the cluster file is"));
        assert!(why_not_run(directory.path()).unwrap().contains("it is no file"));
        fs::write(&program, "#!/bin/sh\n").unwrap();
        assert!(why_not_run(&program).unwrap().contains("chmod +x "));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(why_not_run(&program), None);
    }

    #[test]
    fn a_directory_of_a_node_that_runs_is_recognised() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!is_in_use(directory.path()));
        let lock = fs::File::create(directory.path().join(LOCK_FILE)).unwrap();
        assert!(!is_in_use(directory.path()), "a node that ended leaves the file");
        lock.try_lock().unwrap();
        assert!(is_in_use(directory.path()));
    }

    #[test]
    fn of_a_port_in_use_is_said_what_is_known() {
        let said = |what: &str, own: &Own| in_use(what, "127.0.0.1:7101", "a", own);
        let other = Own::Refused("invalid peer certificate: UnknownIssuer".into());
        let text = said("peer", &other);
        assert!(text.contains("pass for node a of this cluster: invalid peer certificate"), "{text}");
        assert!(text.contains("with another certificate"), "{text}");
        for (what, own) in [("client", &other), ("peer", &Own::NotAsked)] {
            assert!(said(what, own).contains("by this node or by another program"), "{what}");
        }
        assert!(said("client", &Own::Nobody).contains("taken by another program"));
    }

    #[test]
    fn a_clock_is_off_only_outside_of_the_time_it_was_read_in() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(clock_difference(at(105), at(100), at(110)), None);
        assert_eq!(clock_difference(at(90), at(100), at(110)), Some(Duration::from_secs(10)));
        assert_eq!(clock_difference(at(115), at(100), at(110)), Some(Duration::from_secs(5)));
    }
}
