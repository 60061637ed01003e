//! Programs of others that tests want from this machine, and where what they made is kept.

use std::path::PathBuf;
use std::process::Output;

/// Where things are kept that are costly to get and outlive a checkout: `TRIMARAN_CACHE`, as `.ci` has it.
pub fn cache() -> Result<PathBuf, String> {
    let named = std::env::var_os("TRIMARAN_CACHE").map(PathBuf::from);
    let own = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/trimaran"));
    named.or_else(own).ok_or_else(|| "neither TRIMARAN_CACHE nor HOME is set".into())
}

/// What a program that was needed said when it failed.
pub fn check(output: &Output, text: &str) -> Result<(), String> {
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{text}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
