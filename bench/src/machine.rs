//! What the kernel knows: CPU, memory and switches of processes, and what reached the block device.
//!
//! `write_bytes` of a process counts pages it made dirty, also those that never reach a disk; it is reported, and marked,
//! beside the counters of the device, which are the truth for the machine as a whole.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Counters of one process and all of its threads, also of those that ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSample {
    pub cpu_s: f64,
    /// Of the threads that are alive.
    pub switches: u64,
    pub resident_bytes: u64,
    pub dirtied_bytes: u64,
}

pub fn sample_process(pid: u32) -> Result<ProcessSample> {
    let at = PathBuf::from(format!("/proc/{pid}"));
    let stat = fs::read_to_string(at.join("stat"))
        .with_context(|| format!("process {pid} has ended; its log says why"))?;
    let mut sample = ProcessSample { cpu_s: cpu_seconds(&stat)?, ..ProcessSample::default() };
    for line in fs::read_to_string(at.join("status"))?.lines() {
        if let Some(value) = line.strip_prefix("VmRSS:") {
            sample.resident_bytes = first_number(value) * 1024;
        }
    }
    // Threads may end while they are counted.
    for task in fs::read_dir(at.join("task"))?.flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        sample.switches += status
            .lines()
            .filter(|line| line.contains("voluntary_ctxt_switches"))
            .map(|line| first_number(line.rsplit(':').next().unwrap_or_default()))
            .sum::<u64>();
    }
    for line in fs::read_to_string(at.join("io")).unwrap_or_default().lines() {
        if let Some(value) = line.strip_prefix("write_bytes:") {
            sample.dirtied_bytes = first_number(value);
        }
    }
    Ok(sample)
}

/// Fields 14 and 15 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses.
fn cpu_seconds(stat: &str) -> Result<f64> {
    let (_, rest) = stat.rsplit_once(')').context("/proc/PID/stat has no process name")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<u64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).context("/proc/PID/stat has no CPU times")?;
    // SAFETY: asks for a constant of the system.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Ok((user + system) as f64 / per_second as f64)
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Counters of the block device that a directory lies on.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeviceSample {
    pub written_bytes: u64,
    pub writes: u64,
    pub flushes: u64,
}

pub struct Device {
    stat: PathBuf,
    pub name: String,
}

impl Device {
    /// None where the directory is not on a block device, for example on tmpfs.
    pub fn under(directory: &Path) -> Option<Device> {
        let device = fs::metadata(directory).ok()?.dev();
        let link = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
        let path = fs::canonicalize(link).ok()?;
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some(Device { stat: path.join("stat"), name })
    }

    pub fn sample(&self) -> DeviceSample {
        let text = fs::read_to_string(&self.stat).unwrap_or_default();
        let fields: Vec<u64> = text.split_whitespace().map(first_number).collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or(0);
        DeviceSample { writes: field(4), written_bytes: field(6) * 512, flushes: field(15) }
    }
}

/// Everything at one moment.
pub struct Sample {
    pub at: std::time::Instant,
    pub servers: Vec<ProcessSample>,
    pub device: DeviceSample,
    pub client_cpu_s: f64,
}

pub fn sample(pids: &[u32], device: Option<&Device>) -> Result<Sample> {
    Ok(Sample {
        at: std::time::Instant::now(),
        servers: pids.iter().map(|pid| sample_process(*pid)).collect::<Result<_>>()?,
        device: device.map(Device::sample).unwrap_or_default(),
        client_cpu_s: own_cpu_seconds(),
    })
}

fn own_cpu_seconds() -> f64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel fills the structure that is given, and zeroes are valid should it not.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr());
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// What a piece of work cost, between two samples.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    pub seconds: f64,
    pub server_cpu_s: f64,
    /// In the order of the server processes.
    pub server_cpu_each_s: Vec<f64>,
    pub client_cpu_s: f64,
    pub switches: u64,
    /// At the end, all servers.
    pub resident_bytes: u64,
    /// Of the whole machine.
    pub device_bytes: u64,
    pub device_writes: u64,
    pub device_flushes: u64,
    /// Pages made dirty by the servers; not what reached the disk.
    pub dirtied_bytes: u64,
}

impl Cost {
    pub fn between(before: &Sample, after: &Sample) -> Cost {
        let pairs = || before.servers.iter().zip(&after.servers);
        let each: Vec<f64> = pairs().map(|(old, new)| new.cpu_s - old.cpu_s).collect();
        Cost {
            seconds: (after.at - before.at).as_secs_f64(),
            server_cpu_s: each.iter().sum(),
            server_cpu_each_s: each,
            client_cpu_s: after.client_cpu_s - before.client_cpu_s,
            switches: pairs().map(|(old, new)| new.switches.saturating_sub(old.switches)).sum(),
            resident_bytes: after.servers.iter().map(|server| server.resident_bytes).sum(),
            device_bytes: after.device.written_bytes - before.device.written_bytes,
            device_writes: after.device.writes - before.device.writes,
            device_flushes: after.device.flushes - before.device.flushes,
            dirtied_bytes: pairs().map(|(old, new)| new.dirtied_bytes - old.dirtied_bytes).sum(),
        }
    }
}

/// Bytes of the disk that the files below a directory take. Files may go while they are counted.
pub fn disk_bytes(directory: &Path) -> u64 {
    let mut sum = 0;
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { disk_bytes(&entry.path()) } else { metadata.blocks() * 512 };
    }
    sum
}

/// Resident memory of these processes.
pub fn resident_bytes(pids: &[u32]) -> u64 {
    let resident = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).ok();
    let texts = pids.iter().filter_map(resident);
    texts
        .filter_map(|text| text.lines().find_map(|line| line.strip_prefix("VmRSS:").map(first_number)))
        .sum::<u64>()
        * 1024
}

/// A line about this machine, for reports.
pub fn describe() -> String {
    let cpus = std::thread::available_parallelism().map_or(0, |count| count.get());
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease").trim().to_string();
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown CPU", |(_, name)| name.trim())
        .to_string();
    let memory = read("/proc/meminfo")
        .lines()
        .next()
        .map_or(0, |line| first_number(line.trim_start_matches("MemTotal:")) / 1024 / 1024);
    let load = read("/proc/loadavg").split_whitespace().next().unwrap_or("?").to_string();
    format!("{cpus} CPUs ({model}), {memory} GiB, Linux {kernel}, load {load} at the start, {}", now())
}

/// The time, to the minute, for people.
fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() as libc::time_t;
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: the C library fills the structure that is given, and zeroes are valid should it not.
    let parts = unsafe {
        libc::gmtime_r(&seconds, parts.as_mut_ptr());
        parts.assume_init()
    };
    let (year, month) = (parts.tm_year + 1900, parts.tm_mon + 1);
    format!("{year}-{month:02}-{:02} {:02}:{:02} UTC", parts.tm_mday, parts.tm_hour, parts.tm_min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_a_strange_name_is_read_right() {
        let stat = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 250 150 0 0 20 0 1 0 9 9 9";
        assert_eq!(cpu_seconds(stat).unwrap(), 4.0);
        assert!(cpu_seconds("42").is_err());
    }

    #[test]
    fn files_in_folders_are_counted_by_their_blocks() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::write(directory.path().join("below/file"), vec![1; 100_000]).unwrap();
        let bytes = disk_bytes(directory.path());
        assert!((100_000..200_000).contains(&bytes), "{bytes}");
        assert_eq!(disk_bytes(Path::new("/nonexistent")), 0);
    }

    #[test]
    fn this_process_can_be_sampled() {
        let before = sample(&[std::process::id()], None).unwrap();
        let mut sum = 0u64;
        while own_cpu_seconds() - before.client_cpu_s < 0.05 {
            sum = std::hint::black_box(sum + 1);
        }
        let cost = Cost::between(&before, &sample(&[std::process::id()], None).unwrap());
        assert!(cost.server_cpu_s > 0.02 && cost.client_cpu_s >= 0.05, "{cost:?}");
        assert!(cost.resident_bytes > 0 && resident_bytes(&[std::process::id()]) > 0);
    }
}
