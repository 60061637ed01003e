//! What is written in blocks is what was written, and nothing beside it.

use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use ::raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission, WriteExt};

use super::blocks::{BLOCK, BlockFs, PREPARED};
use super::direct::{self, DirectFs};

/// Writes pieces of many lengths with a seek back in between, both ways.
fn fill<F: FileSystem>(fs: &F, path: &Path) {
    let handle = Arc::new(fs.create(path).unwrap());
    let mut writer = fs.new_writer(handle.clone()).unwrap();
    writer.allocate(0, 200_000).unwrap();
    let mut value = 0u32;
    let mut piece = |length: usize| -> Vec<u8> {
        let mut next = || {
            value = value.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (value >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    };
    let mut at = 0;
    for length in [69, 1, 4026, 4096, 5, 100_000, 1, 3 << 20, 4095, 1] {
        let bytes = piece(length);
        writer.write_all(&bytes).unwrap();
        at += length as u64;
        assert_eq!(writer.stream_position().unwrap(), at);
    }
    // The engine goes back to where the last good write ended.
    writer.seek(SeekFrom::Start(at - 4000)).unwrap();
    writer.write_all(&piece(9000)).unwrap();
    handle.sync().unwrap();
}

fn in_blocks() -> BlockFs<DefaultFileSystem> {
    BlockFs::over(DefaultFileSystem, |_| true)
}

#[test]
fn what_is_written_in_blocks_is_what_is_written_as_it_comes() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fill(&DefaultFileSystem, &path("1.raftlog"));
    fill(&in_blocks(), &path("2.raftlog"));
    fill(&direct::log_files(), &path("3.raftlog"));
    let expected = std::fs::read(path("1.raftlog")).unwrap();
    assert!(std::fs::read(path("2.raftlog")).unwrap() == expected);
    assert!(std::fs::read(path("3.raftlog")).unwrap() == expected);
}

#[test]
fn a_write_into_the_middle_changes_no_byte_but_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1.raftlog");
    let fs = in_blocks();
    for (at, length) in [(0, 69), (4000, 200), (8191, 1), (5000, 3 << 20)] {
        let mut expected = vec![7; 4 << 20];
        std::fs::write(&path, &expected).unwrap();
        let handle = Arc::new(fs.open(&path, Permission::ReadWrite).unwrap());
        let mut writer = fs.new_writer(handle).unwrap();
        writer.seek(SeekFrom::Start(at)).unwrap();
        writer.write_all(&vec![1; length]).unwrap();
        expected[at as usize..at as usize + length].fill(1);
        assert!(std::fs::read(&path).unwrap() == expected, "{length} bytes at {at}");
    }
}

#[test]
fn a_reader_sees_what_was_just_written() {
    let directory = tempfile::tempdir().unwrap();
    let fs = direct::log_files();
    let handle = Arc::new(fs.create(directory.path().join("1.raftlog")).unwrap());
    let mut writer = fs.new_writer(handle.clone()).unwrap();
    let mut reader = fs.new_reader(handle).unwrap();
    writer.allocate(0, 1 << 16).unwrap();
    for round in 1..20u8 {
        writer.write_all(&[round; 1000]).unwrap();
        let mut seen = [0; 1000];
        reader.read_exact(&mut seen).unwrap();
        assert_eq!(seen, [round; 1000]);
    }
}

/// Where the first block lies that was allocated and never written.
fn first_hole(path: &Path) -> u64 {
    use std::os::fd::AsRawFd;
    let file = std::fs::File::open(path).unwrap();
    // SAFETY: the descriptor is open as long as `file` is.
    let at = unsafe { libc::lseek(file.as_raw_fd(), 0, libc::SEEK_HOLE) };
    at as u64
}

#[test]
fn small_writes_find_blocks_that_were_written_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1.raftlog");
    let fs: BlockFs<DirectFs> = direct::log_files();
    let handle = Arc::new(fs.create(&path).unwrap());
    let mut writer = fs.new_writer(handle.clone()).unwrap();
    writer.allocate(0, 2 << 20).unwrap();
    writer.write_all(&[7; 1000]).unwrap();
    handle.sync().unwrap();
    let holes_show = handle.in_blocks && first_hole(&path) < 2 << 20;
    if holes_show {
        assert_eq!(first_hole(&path), PREPARED as u64);
    }
    // A large write that ends in fresh blocks prepares nothing.
    writer.write_all(&vec![7; PREPARED]).unwrap();
    handle.sync().unwrap();
    if holes_show {
        assert_eq!(first_hole(&path), (PREPARED + BLOCK) as u64);
    }
    let mut expected = vec![7; 1000 + PREPARED];
    expected.resize(2 << 20, 0);
    assert!(std::fs::read(&path).unwrap() == expected);
}

#[test]
fn nothing_lies_behind_the_last_byte() {
    let directory = tempfile::tempdir().unwrap();
    let fs = in_blocks();
    let handle = Arc::new(fs.create(directory.path().join("1.raftlog")).unwrap());
    let mut writer = fs.new_writer(handle.clone()).unwrap();
    writer.write_all(&[7; 5000]).unwrap();
    assert_eq!(handle.file_size().unwrap(), 5000);
}
