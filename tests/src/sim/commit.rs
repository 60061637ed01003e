//! Which sources a run was made with.

/// The commit the sources are at, as git says; "unknown" outside a checkout.
pub fn commit() -> String {
    std::process::Command::new("git")
        .args(["-C", env!("CARGO_MANIFEST_DIR"), "rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or("unknown".to_string(), |hash| hash.trim().to_string())
}
