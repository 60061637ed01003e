//! What a search for harmful bytes found once (`tests/fuzz/<target>/`), its seeds, and seeds that are damaged.

use std::path::Path;

use trimaran_tests::fuzz::TARGETS;
use trimaran_tests::sim::rng::Rng;

#[test]
fn bytes_that_did_harm_once_do_none() {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for target in TARGETS {
        let Ok(entries) = std::fs::read_dir(below.join(target.name)) else { continue };
        for entry in entries {
            let path = entry.expect("a folder that can be read").path();
            println!("{}", path.display());
            (target.run)(&std::fs::read(&path).expect("a file that can be read"));
        }
    }
}

#[test]
fn every_kept_input_is_one_of_a_target() {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for entry in std::fs::read_dir(below).into_iter().flatten() {
        let name = entry.expect("a folder that can be read").file_name();
        assert!(TARGETS.iter().any(|target| name == target.name), "no target has the name {name:?}");
    }
}

#[test]
fn seeds_and_what_damage_makes_of_them_do_no_harm() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{} has seeds", target.name);
        let mut rng = Rng::new(7);
        for seed in &seeds {
            (target.run)(seed);
        }
        for _ in 0..500 {
            let mut bytes = seeds[rng.below(seeds.len() as u64) as usize].clone();
            for _ in 0..=rng.below(6) {
                damage(&mut bytes, &mut rng);
            }
            (target.run)(&bytes);
        }
    }
}

fn damage(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if bytes.is_empty() {
        return;
    }
    let at = rng.below(bytes.len() as u64) as usize;
    match rng.below(5) {
        0 => bytes.truncate(at),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, rng.below(256) as u8),
        3 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF][rng.below(5) as usize],
        _ => bytes[at] = rng.below(256) as u8,
    }
}
