//! Seeds that once found a bug (`tests/seeds/regressions.txt`) keep every promise now.

use std::path::Path;

use trimaran_tests::sim::disk::Depth;
use trimaran_tests::sim::run::{Knobs, quiet_panics, run};

#[test]
fn seeds_that_found_a_bug_find_none() {
    quiet_panics();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/regressions.txt");
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
    let mut again = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let seed: u64 =
            words.next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no seed: {line}"));
        let ticks = words.next().and_then(|word| word.strip_prefix("ticks=")?.parse().ok()).unwrap_or(2000);
        let depth = if line.contains(" depth=b ") { Depth::B } else { Depth::A };
        let verdict = run(seed, &Knobs { depth, ticks, ..Knobs::default() });
        if let Some(violation) = verdict.violation {
            again.push(format!("{line}\n  {}: {}", violation.checker, violation.sentence));
        }
    }
    // Not in the assertion: panics of simulated nodes are kept quiet here.
    again.iter().for_each(|line| println!("{line}"));
    assert!(again.is_empty());
}
