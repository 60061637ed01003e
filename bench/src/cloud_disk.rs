//! A disk that is the same on every machine and for every system: a file in memory behind a loop device, throttled to what
//! a general-purpose cloud volume gives each of three servers. Write-back counts too, because it is the device that is
//! throttled. Needs root, and room in memory for what the servers write.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

/// 125 MB and 3,000 operations a second for each of three servers.
const BYTES_PER_SECOND: u64 = 375_000_000;
const OPERATIONS_PER_SECOND: u64 = 9_000;
const FILE_BYTES: u64 = 13 << 30;

/// Mounted until it is dropped.
pub struct CloudDisk {
    memory: PathBuf,
    device: String,
    mounted: PathBuf,
    throttle: Option<Throttle>,
}

/// The lines that lift the throttle again.
struct Throttle(Vec<(PathBuf, String)>);

impl CloudDisk {
    /// Mounts it below `directory`.
    pub fn mount(directory: &Path) -> Result<CloudDisk> {
        // SAFETY: asks who we are.
        ensure!(unsafe { libc::geteuid() } == 0, "--disk cloud mounts a loop device: run it as root");
        let memory = directory.join("cloud-memory");
        let mounted = directory.join("cloud");
        fs::create_dir_all(&memory)?;
        fs::create_dir_all(&mounted)?;
        let size = format!("size={}", FILE_BYTES + (64 << 20));
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", text(&memory)?])?;
        // From here on whatever fails is undone by dropping it.
        let mut disk = CloudDisk { memory, device: String::new(), mounted, throttle: None };
        let image = disk.memory.join("image");
        fs::File::create(&image)?.set_len(FILE_BYTES)?;
        disk.device = run("losetup", &["-f", "--show", text(&image)?])?.trim().to_string();
        run("mkfs.ext4", &["-q", "-E", "nodiscard", &disk.device])?;
        run("mount", &[&disk.device, text(&disk.mounted)?])?;
        disk.throttle = Some(Throttle::on(&disk.device)?);
        Ok(disk)
    }

    pub fn directory(&self) -> &Path {
        &self.mounted
    }
}

impl Drop for CloudDisk {
    fn drop(&mut self) {
        if let Some(Throttle(lines)) = self.throttle.take() {
            for (file, line) in lines {
                let _ = fs::write(file, line);
            }
        }
        let undo = [
            ("umount", self.mounted.as_os_str().to_owned()),
            ("losetup -d", self.device.clone().into()),
            ("umount", self.memory.as_os_str().to_owned()),
        ];
        for (command, on) in undo {
            let mut words = command.split(' ');
            let program = words.next().expect("a command has a word");
            let _ = Command::new(program).args(words).arg(on).output();
        }
        let _ = fs::remove_dir(&self.mounted);
        let _ = fs::remove_dir(&self.memory);
    }
}

impl Throttle {
    /// In the root group: that of a group of one's own does not see write-back.
    fn on(device: &str) -> Result<Throttle> {
        let number = fs::metadata(device).with_context(|| device.to_string())?.rdev();
        let number = format!("{}:{}", libc::major(number), libc::minor(number));
        let first = Path::new("/sys/fs/cgroup/blkio");
        let (on, off) = if first.join("blkio.throttle.write_bps_device").exists() {
            let line = |file: &str, value: u64| (first.join(file), format!("{number} {value}"));
            let (bytes, operations) = ("blkio.throttle.write_bps_device", "blkio.throttle.write_iops_device");
            (
                vec![line(bytes, BYTES_PER_SECOND), line(operations, OPERATIONS_PER_SECOND)],
                vec![line(bytes, 0), line(operations, 0)],
            )
        } else {
            let file = PathBuf::from("/sys/fs/cgroup/io.max");
            if !file.exists() {
                bail!("neither cgroup v1 (blkio) nor v2 (io.max of the root group) throttles devices here");
            }
            let on = format!("{number} wbps={BYTES_PER_SECOND} wiops={OPERATIONS_PER_SECOND}");
            (vec![(file.clone(), on)], vec![(file, format!("{number} wbps=max wiops=max"))])
        };
        for (file, line) in on {
            fs::write(&file, line).with_context(|| format!("throttle by {}", file.display()))?;
        }
        Ok(Throttle(off))
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program} {}: {}", arguments.join(" "), said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
