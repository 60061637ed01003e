//! What flows over a port, read by somebody else: tshark captures it on the loopback interface, and its own dissector of MQ's
//! protocol says what it does not understand.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::tools::check;

/// For what has not come into the file yet: it is written within this time.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

pub struct Capture {
    port: String,
    directory: TempDir,
    tshark: Child,
}

/// What the dissector made of it.
#[derive(Debug)]
pub struct Dissected {
    /// Types of segments, as MQ numbers them.
    pub segments: BTreeSet<u8>,
    /// Frames that it calls malformed, a line each.
    pub malformed: Vec<String>,
}

impl Capture {
    /// From now on; or says what this machine lacks.
    pub fn begin(port: &str) -> Result<Capture, String> {
        let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
        let said = File::create(directory.path().join("said")).map_err(|error| error.to_string())?;
        let tshark = Command::new("tshark")
            .args(["-q", "-i", "lo", "-f", &format!("tcp port {port}"), "-w"])
            .arg(directory.path().join("capture"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .map_err(|error| format!("tshark: {error}; install it (Debian: apt install tshark)"))?;
        let mut capture = Capture { port: port.to_owned(), directory, tshark };
        let begun = Instant::now();
        while capture.length() == 0 {
            if begun.elapsed() > Duration::from_secs(20) || !matches!(capture.tshark.try_wait(), Ok(None)) {
                let said = fs::read_to_string(capture.directory.path().join("said")).unwrap_or_default();
                return Err(format!("tshark cannot capture on lo, which needs CAP_NET_RAW: {said}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(capture)
    }

    fn length(&self) -> u64 {
        fs::metadata(self.directory.path().join("capture")).map_or(0, |file| file.len())
    }

    /// Nothing flows any more: what was it?
    pub fn end(mut self) -> Result<Dissected, String> {
        let (mut length, mut since) = (self.length(), Instant::now());
        while since.elapsed() < WRITTEN_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
            if self.length() != length {
                (length, since) = (self.length(), Instant::now());
            }
        }
        // SAFETY: the child was not waited for, so its id still names it.
        unsafe { libc::kill(self.tshark.id() as libc::pid_t, libc::SIGINT) };
        self.tshark.wait().map_err(|error| error.to_string())?;
        let types = self.read(&["-Y", "mq", "-T", "fields", "-e", "mq.tsh.type"])?;
        let numbers = types.lines().flat_map(|line| line.split(','));
        let numbers =
            numbers.filter_map(|number| u8::from_str_radix(number.trim_start_matches("0x"), 16).ok());
        let segments = numbers.collect();
        let malformed = self.read(&["-Y", "_ws.malformed"])?.lines().map(str::to_owned).collect();
        Ok(Dissected { segments, malformed })
    }

    fn read(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("tshark")
            .arg("-r")
            .arg(self.directory.path().join("capture"))
            .args(["-d", &format!("tcp.port=={},mq", self.port)])
            .args(arguments)
            .output()
            .map_err(|error| format!("tshark: {error}"))?;
        check(&output, "tshark cannot read what it captured")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.tshark.kill();
        let _ = self.tshark.wait();
    }
}
