//! Depth B: the production stores under the same world. The log is raft-engine over [`crash_fs`], a file system in
//! memory that forgets and gets the very writes that a device gets; the message store is RocksDB in a temporary
//! directory, which [`crash_dir`] takes back to what a crash may leave. [`stores`] puts the node's own code around them,
//! as `runtime/stores.rs` does with threads.

mod block_cache;
mod crash_dir;
mod crash_fs;
mod stores;

pub use self::crash_fs::CrashFs;
pub use self::stores::StoresOnDisk;
