//! What all clusters have in common: a directory that goes with them, addresses and ports, servers that start together, are
//! waited for, and never stay behind.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use crate::network::Network;
use crate::process::{Server, free_ports, listener_of};

/// How long one attempt to reach a cluster may take before the next one is made.
const ATTEMPT: Duration = Duration::from_secs(5);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
const SERVERS_MAX: usize = 3;

pub struct Cluster {
    directory: TempDir,
    servers: Vec<Server>,
    /// Chosen once, so that servers that start again find each other.
    ports: Vec<u16>,
    /// Of its own; none: all on the loopback interface.
    network: Option<Network>,
}

impl Cluster {
    /// Without servers, in a fresh directory within `parent`, which is removed with the cluster. Its servers can be `apart`,
    /// in a network where each of them can be cut off.
    pub fn within(parent: &Path, name: &str, apart: bool) -> Result<Cluster> {
        std::fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        let directory = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(parent)?;
        let network = apart.then(|| Network::make(SERVERS_MAX)).transpose()?;
        Ok(Cluster { directory, servers: Vec::new(), ports: Vec::new(), network })
    }

    /// The address of the server with this number.
    pub fn host(&self, server: usize) -> String {
        self.network.as_ref().map_or_else(|| "127.0.0.1".into(), |network| network.address(server))
    }

    pub fn is_apart(&self) -> bool {
        self.network.is_some()
    }

    /// Nothing reaches the server any more, and nothing comes from it.
    pub fn cut(&self, server: usize) -> Result<()> {
        self.network.as_ref().context("the servers share one network")?.cut(server)
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The same ones each time. The first call says how many.
    pub fn ports(&mut self, count: usize) -> Result<Vec<u16>> {
        if self.ports.is_empty() {
            self.ports = free_ports(count)?;
        }
        Ok(self.ports.clone())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Starts one more server, or once more the one with this number. Its output goes to the end of `NAME.log`.
    pub fn start(&mut self, server: usize, name: &str, mut command: Command) -> Result<()> {
        self.move_in(server, &mut command)?;
        let started = Server::start(command, self.file(&format!("{name}.log")))?;
        if server < self.servers.len() {
            self.servers[server] = started;
        } else {
            assert_eq!(server, self.servers.len(), "servers are started in the order of their numbers");
            self.servers.push(started);
        }
        Ok(())
    }

    /// A command that runs where the server with this number is.
    pub fn move_in(&self, server: usize, command: &mut Command) -> Result<()> {
        self.network.as_ref().map_or(Ok(()), |network| network.move_in(server, command))
    }

    /// Stops one server, asked first. The others are to go on without it.
    pub fn stop_one(&mut self, server: usize) -> Result<()> {
        self.servers[server].stop()
    }

    /// Asks again and again until the answer is good. Fails when a server ended or the time is over.
    pub async fn until<T, F>(
        &mut self,
        what: &str,
        patience: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let started = Instant::now();
        loop {
            // Some systems never answer what they are asked before they have a leader.
            let answer = tokio::time::timeout(ATTEMPT, attempt()).await;
            match answer.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", ATTEMPT.as_secs()))) {
                Ok(value) => return Ok(value),
                Err(error) if started.elapsed() > patience => {
                    let tails: Vec<String> =
                        self.servers.iter().map(|server| crate::process::tail(&server.log)).collect();
                    return Err(error.context(format!(
                        "{what} after {} s. The ends of the servers' logs:\n{}",
                        patience.as_secs(),
                        tails.join("\n---\n")
                    )));
                }
                Err(_) => tokio::time::sleep(BETWEEN_ATTEMPTS).await,
            }
            self.check_alive()?;
        }
    }

    /// Fails, with the end of its log, when a server ended.
    pub fn check_alive(&mut self) -> Result<()> {
        self.servers.iter_mut().try_for_each(Server::check_alive)
    }

    /// Whoever listens on this port is what the server with this number is measured and killed by, in place of the
    /// program that was started for it.
    pub fn adopt_listener(&mut self, index: usize, port: u16) -> Result<()> {
        let server = &mut self.servers[index];
        server.adopt(listener_of(port, server.pid())?);
        Ok(())
    }

    /// In the order they were started.
    pub fn pids(&self) -> Vec<u32> {
        self.servers.iter().map(Server::pid).collect()
    }

    /// Stops all servers, asked first; their files stay.
    pub fn stop(&mut self) -> Result<()> {
        // All are asked before any is waited for: some wait for the others in turn.
        self.servers.iter_mut().try_for_each(Server::ask_to_stop)?;
        self.servers.iter_mut().try_for_each(Server::stop)?;
        self.servers.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    }

    #[test]
    fn ports_stay_while_servers_come_and_go() {
        let parent = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::within(parent.path(), "x", false).unwrap();
        let ports = cluster.ports(3).unwrap();
        cluster.start(0, "a", sleeper()).unwrap();
        cluster.stop().unwrap();
        assert!(cluster.pids().is_empty());
        assert_eq!(cluster.ports(3).unwrap(), ports);
    }

    #[test]
    fn a_server_that_was_stopped_on_purpose_is_not_missed_and_keeps_its_number() {
        let parent = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::within(parent.path(), "x", false).unwrap();
        cluster.start(0, "a", sleeper()).unwrap();
        cluster.start(1, "b", sleeper()).unwrap();
        let before = cluster.pids();
        cluster.stop_one(0).unwrap();
        cluster.check_alive().unwrap();
        cluster.start(0, "a", sleeper()).unwrap();
        let after = cluster.pids();
        assert_ne!(before[0], after[0]);
        assert_eq!(before[1], after[1]);
        cluster.stop().unwrap();
    }

    #[test]
    fn a_directory_goes_with_its_cluster() {
        let parent = tempfile::tempdir().unwrap();
        let cluster = Cluster::within(parent.path(), "x", false).unwrap();
        let path = cluster.path().to_path_buf();
        assert!(path.is_dir());
        drop(cluster);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_server_that_ends_ends_the_wait() {
        let parent = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::within(parent.path(), "x", false).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo disk on fire; exit 7"]);
        cluster.start(0, "a", command).unwrap();
        let waited =
            cluster.until("not there", Duration::from_secs(60), || async { Err::<(), _>(anyhow!("no")) });
        let error = waited.await.unwrap_err().to_string();
        assert!(error.contains("disk on fire"), "{error}");
    }

    #[tokio::test]
    async fn an_adopted_process_is_the_one_that_counts() {
        let parent = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::within(parent.path(), "x", false).unwrap();
        cluster.start(0, "a", sleeper()).unwrap();
        let started = cluster.pids()[0];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        cluster.adopt_listener(0, listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(cluster.pids(), [std::process::id()]);
        assert_ne!(started, std::process::id());
        // The test itself shall not be asked to stop.
        cluster.servers[0].adopt(started);
        cluster.stop().unwrap();
    }
}
