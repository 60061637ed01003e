//! A small device of a node's own, which outlives the node's process: a tmpfs in a mount namespace that another process
//! holds. Gone with that process.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::namespace::{Holder, is_root};

pub struct SmallDisk {
    directory: PathBuf,
    holder: Holder,
}

impl SmallDisk {
    /// Of so many bytes, to be found below `directory`.
    pub fn new(directory: &Path, bytes: u64) -> SmallDisk {
        std::fs::create_dir_all(directory).expect("the directory can be written");
        let namespaces: &[&str] = match is_root() {
            true => &["--mount"],
            false => &["--user", "--map-root-user", "--mount"],
        };
        let mount = "mount -t tmpfs -o size=\"$1\" trimaran \"$2\"";
        let holder = Holder::start(namespaces, mount, &[bytes.to_string().as_ref(), directory.as_os_str()]);
        SmallDisk { directory: directory.to_path_buf(), holder }
    }

    /// The program, where it sees the device.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program);
        command
    }

    /// Its content, as this process sees it.
    pub fn path(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.directory.strip_prefix("/").unwrap_or(&self.directory))
    }
}
