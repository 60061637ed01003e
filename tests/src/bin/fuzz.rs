//! Looks for bytes that do to a border what they must not: `fuzz --seconds 60`, or `fuzz --target rows` alone.
//!
//! libFuzzer searches; coverage leads it where our own crates are compiled by `.ci/rustc-covered`, as the lane does. What it
//! learned is kept below the target directory and is where the next search begins. What it found is written to
//! `tests/fuzz/<target>/`, where it stays once it is mended.

use std::ffi::{CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;

use clap::Parser;
use trimaran_tests::fuzz::{TARGETS, Target};
use trimaran_tests::sources::root;

#[derive(Parser)]
#[command(about = "Looks for bytes that do to a border of the node what they must not")]
struct Arguments {
    /// How long for each target
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Nearly the same search each time, from the seeds alone: what it finds mostly came with a change. Else it is another one each
    /// time, and goes on from what was learned.
    #[arg(long)]
    repeatable: bool,
    /// Only this one; may be given more than once
    #[arg(long = "target")]
    targets: Vec<String>,
    /// In this process, with these arguments of libFuzzer
    #[arg(long, hide = true, num_args = 0.., allow_hyphen_values = true)]
    here: Option<Vec<String>>,
}

type Try = unsafe extern "C" fn(*const u8, usize) -> c_int;

unsafe extern "C" {
    /// libFuzzer as a library (LLVM's documentation, "Using libFuzzer as a library"). Returns when the time is up.
    fn LLVMFuzzerRunDriver(count: *mut c_int, arguments: *mut *mut *mut c_char, each: Try) -> c_int;
}

/// The border that this process tries.
static TARGET: std::sync::OnceLock<&Target> = std::sync::OnceLock::new();

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (TARGET.get().expect("chosen before the search begins").run)(bytes);
});

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let unknown = arguments.targets.iter().find(|name| TARGETS.iter().all(|target| target.name != **name));
    if let Some(unknown) = unknown {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        eprintln!("no target {unknown:?}; there are: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let is_chosen = |target: &&Target| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|name| name == target.name)
    };
    let chosen: Vec<&Target> = TARGETS.iter().filter(is_chosen).collect();
    if let (Some(given), [target]) = (&arguments.here, &chosen[..]) {
        return search_here(target, given);
    }
    let failed = search_all(&chosen, &arguments);
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!(
        "found in: {}. The bytes are in tests/fuzz; `cargo test --workspace --test fuzz` tries them again.",
        failed.join(", ")
    );
    ExitCode::FAILURE
}

/// As many at once as there are processors. The names of those that found something.
fn search_all(targets: &[&'static Target], arguments: &Arguments) -> Vec<&'static str> {
    let left = Mutex::new(targets.iter());
    let failed = Mutex::new(Vec::new());
    let next = || left.lock().expect("no search panics").next();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |count| count.get()) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if !search(target, arguments) {
                        failed.lock().expect("no search panics").push(target.name);
                    }
                }
            });
        }
    });
    failed.into_inner().expect("no search panics")
}

/// In a process of its own: what is found ends it. True when nothing was. What it says is printed when it is over, because others
/// search beside it.
fn search(target: &Target, arguments: &Arguments) -> bool {
    let Arguments { seconds, repeatable, .. } = arguments;
    let alone = tempfile::tempdir().unwrap_or_else(|error| panic!("make a directory in /tmp: {error}"));
    let below = if *repeatable { alone.path().to_path_buf() } else { learned_below() };
    let learned = folder(&below, target);
    let found = folder(&root().join("tests/fuzz"), target);
    for (number, seed) in (target.seeds)().iter().enumerate() {
        write(&learned.join(format!("seed-{number}")), seed);
    }
    let program = std::env::current_exe().expect("the system knows where this program lies");
    let searched = Command::new(program)
        .args(["--target", target.name, "--here", "--"])
        .arg(format!("-max_total_time={seconds}"))
        // 0 is another one each time.
        .arg(format!("-seed={}", u8::from(*repeatable)))
        .arg(format!("-artifact_prefix={}/", found.display()))
        .args(["-max_len=8192", "-timeout=10", "-rss_limit_mb=3000", "-print_final_stats=1", "-verbosity=1"])
        .args([&learned, &found])
        .output()
        .unwrap_or_else(|error| panic!("start this program once more: {error}"));
    // An empty folder is no part of the tree.
    let _ = std::fs::remove_dir(&found);
    let said = String::from_utf8_lossy(&searched.stderr);
    println!("-- {}: {}\n{}{said}", target.name, target.about, String::from_utf8_lossy(&searched.stdout));
    searched.status.success()
}

fn learned_below() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    target.join("fuzz")
}

fn folder(below: &Path, target: &Target) -> PathBuf {
    let folder = below.join(target.name);
    std::fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("make {}: {error}", folder.display()));
    folder
}

fn write(file: &Path, bytes: &[u8]) {
    std::fs::write(file, bytes).unwrap_or_else(|error| panic!("write {}: {error}", file.display()));
}

/// A panic ends the process, in a hook that `libfuzzer_sys` sets, and its bytes are written down.
unsafe extern "C" fn try_one(bytes: *const u8, length: usize) -> c_int {
    // SAFETY: libFuzzer gives so many bytes.
    unsafe { libfuzzer_sys::test_input_wrap(bytes, length) }
}

fn search_here(target: &'static Target, given: &[String]) -> ExitCode {
    TARGET.set(target).ok().expect("one target a process");
    let name = std::iter::once("fuzz".to_string());
    let arguments: Vec<CString> =
        name.chain(given.iter().cloned()).map(|word| CString::new(word).expect("no zeros")).collect();
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|word| word.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let mut count = arguments.len() as c_int;
    let mut first = pointers.as_mut_ptr();
    // SAFETY: count and pointers are those of `arguments`, which live until the search ends; libFuzzer only reads them.
    let ended = unsafe { LLVMFuzzerRunDriver(&mut count, &mut first, try_one) };
    ExitCode::from(ended as u8)
}
