//! Keeps the shape of the tree: who may name whom, what lies where, and that nothing is left lying about.
//!
//! Reads the sources as text and as tokens; no build of the node is looked at, except for the tables that it exports.
//! Everything that may want to change with the design is data, here at the top.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use trimaran_node::config::Config;
use trimaran_node::metrics::catalog;
use trimaran_node::types::Reason;
use trimaran_proto::attribute::{Form, Kind, State};
use trimaran_tests::sources::{
    Measures, circles, modules_of, names_in, node_modules, outer_names_in, read, root, shown, sources_below,
};

/// The levels of `node`. A module names only modules on lower levels. The longest matching prefix counts, and what has
/// the same prefix is one unit whose parts may name each other.
const LEVELS: &[(&str, u8)] = &[
    ("types", 0),
    ("jobs", 0),
    ("mqi", 1),
    ("qmgr", 1),
    ("consensus", 1),
    ("vip::policy", 1),
    ("vip::keeper", 2),
    ("vip::pulse", 2),
    ("replica", 2),
    ("log_store", 3),
    ("message_store", 3),
    ("peer", 3),
    ("security", 3),
    ("metrics", 3),
    ("vip", 3),
    ("listener", 4),
    ("config", 5),
    ("runtime", 6),
    ("main", 6),
];

/// Pairs that may name each other's way although the levels say no: (who, whom, why).
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Files that still name each other in a circle. It should be empty.
const CIRCLES: &[&str] = &[];

/// Crates that only some modules of `node` may name: (path, modules, why).
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("raft", &["consensus"], "raft-rs can be replaced while its names stay in one folder"),
    ("raft::eraftpb", &["consensus", "log_store"], "the log keeps entries as raft-rs encodes them"),
    ("raft_engine", &["log_store"], "nobody else knows how the log lies on disk"),
    ("rocksdb", &["message_store"], "nobody else knows how the store lies on disk"),
];

/// The modules of `node` that deny clocks, threads, IO and unordered maps (see `.clippy.toml`).
const PURE: &[&str] =
    &["types", "mqi", "qmgr", "consensus", "replica", "vip::policy", "vip::keeper", "vip::pulse"];
const WALL: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";

/// How many assertions a hundred functions of a module have at least. It may only rise.
const ASSERTIONS: &[(&str, usize)] =
    &[("types", 50), ("mqi", 53), ("qmgr", 50), ("consensus", 50), ("replica", 50)];

/// What must not be left in the sources. Written in halves, because this file is read as well.
const LEFTOVERS: &[&str] =
    &[concat!("to", "do!"), concat!("unimpl", "emented!"), concat!("TO", "DO"), concat!("FIX", "ME")];

const CRATES: &[&str] = &["proto", "node", "client", "bench", "tests"];

#[test]
fn modules_name_only_what_lies_below_them() {
    let modules = node_modules();
    let is_there = |unit: &str| modules.iter().any(|module| module.path.join("::") == unit);
    let gone = LEVELS.iter().filter(|(unit, _)| !is_there(unit));
    let mut wrong: Vec<String> =
        gone.map(|(unit, _)| format!("`{unit}` is in the table of levels, and no module")).collect();
    for module in modules {
        // The list of modules itself, lib.rs, stands above all.
        if module.path.is_empty() {
            continue;
        }
        let Some((unit, level)) = level_of(&module.path) else {
            wrong.push(format!(
                "{}: module `{}` is not in the table of levels",
                module.shown(),
                module.path.join("::")
            ));
            continue;
        };
        for name in names_in(&module) {
            let Some((other, other_level)) = level_of(&name.path) else {
                wrong.push(format!(
                    "{}:{}: `crate::{}` is not in the table of levels",
                    module.shown(),
                    name.line,
                    name.path.join("::")
                ));
                continue;
            };
            let excepted = EXCEPTIONS.iter().any(|(who, whom, _)| *who == unit && *whom == other);
            if unit != other && other_level >= level && !excepted {
                wrong.push(format!(
                    "{}:{}: `{unit}` (L{level}) names `crate::{}` (L{other_level})",
                    module.shown(),
                    name.line,
                    name.path.join("::"),
                ));
            }
        }
    }
    nothing(wrong, "a module names only modules on lower levels");
}

#[test]
fn confined_crates_stay_where_they_are() {
    let mut wrong = Vec::new();
    for module in node_modules() {
        let unit = module.path.join("::");
        for name in outer_names_in(&module) {
            let path = name.path.join("::");
            let rule = CONFINED
                .iter()
                .filter(|(confined, ..)| is_within(&path, confined))
                .max_by_key(|(c, ..)| c.len());
            let Some((confined, allowed, why)) = rule else { continue };
            if !allowed.iter().any(|home| is_within(&unit, home)) {
                wrong.push(format!(
                    "{}:{}: `{confined}` belongs to {allowed:?}: {why}",
                    module.shown(),
                    name.line
                ));
            }
        }
    }
    nothing(wrong, "some crates are known to one module only");
}

#[test]
fn pure_modules_stand_behind_the_wall() {
    let modules = node_modules();
    let mut wrong = Vec::new();
    for pure in PURE {
        let Some(module) = modules.iter().find(|module| module.path.join("::") == *pure) else {
            wrong.push(format!("`{pure}` is not a module any more"));
            continue;
        };
        if !module.text.contains(WALL) {
            wrong.push(format!("{}:1: wants `{WALL}` at its head", module.shown()));
        }
    }
    nothing(wrong, "pure modules deny what would make two runs differ");
}

#[test]
fn pure_modules_assert_what_must_hold() {
    let modules = node_modules();
    let found = ASSERTIONS.iter().map(|(name, _)| (*name, Measures::of(&modules, name).per_hundred()));
    let wrong = found.zip(ASSERTIONS).filter(|((_, found), (_, floor))| found < floor);
    let wrong = wrong.map(|((name, found), (_, floor))| {
        format!("`{name}` has {found} assertions a hundred functions, and had {floor}")
    });
    nothing(wrong.collect(), "what holds is said where it could be seen not to");
}

#[test]
fn files_name_each_other_in_one_direction() {
    let found: BTreeSet<String> = CRATES.iter().flat_map(|name| circles(&modules_of(name))).collect();
    let known = CIRCLES.iter().map(|files| format!("{files} name each other in a circle"));
    // Also when one was mended: then its line goes.
    assert_eq!(found, known.collect(), "the files of a crate have an order in which they can be read");
}

#[test]
fn every_source_file_is_part_of_a_crate() {
    let mut wrong = Vec::new();
    for name in CRATES {
        let reached: BTreeSet<PathBuf> = modules_of(name).into_iter().map(|module| module.file).collect();
        for file in sources_below(&root().join(name)) {
            if !reached.contains(&file) {
                wrong.push(format!("{}:1: no `mod` leads here", shown(&file)));
            }
        }
    }
    nothing(wrong, "every .rs file is reached through `mod`");
}

#[test]
fn nothing_is_left_for_later() {
    let mut wrong = Vec::new();
    for name in CRATES {
        for file in sources_below(&root().join(name)) {
            for (number, line) in read(&file).lines().enumerate() {
                if let Some(leftover) = LEFTOVERS.iter().find(|leftover| line.contains(*leftover)) {
                    wrong.push(format!("{}:{}: {leftover}", shown(&file), number + 1));
                }
            }
        }
    }
    nothing(wrong, "what is not done is in the issue list, not in the code");
}

#[test]
fn every_reason_says_what_to_do() {
    let mut wrong = Vec::new();
    let mut names = BTreeMap::new();
    for reason in Reason::ALL {
        let (name, text) = (reason.name(), reason.text());
        if name.is_empty()
            || name.contains(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
        {
            wrong.push(format!("{}: `{name}` is not a name as MQ writes it", reason.number()));
        }
        if text.len() < 5 || !text.ends_with('.') || text.starts_with(|c: char| c.is_lowercase()) {
            wrong.push(format!("{reason}: the text is not a sentence: {text:?}"));
        }
        if let Some(other) = names.insert(name, reason.number()) {
            wrong.push(format!("{reason}: {other} has the same name"));
        }
    }
    nothing(wrong, "every reason code has a name and a sentence");
}

#[test]
fn every_attribute_has_a_number_of_its_own_and_says_what_it_is() {
    let mut wrong = Vec::new();
    for facts in Kind::ALL {
        let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
        for attribute in facts.kind.attributes() {
            let name = format!("{} {}", facts.name, attribute.name);
            if !numbers.insert(attribute.selector) {
                wrong.push(format!("{name}: selector {} is there twice", attribute.selector));
            }
            let off = match attribute.form {
                Form::Flag { off } => Some(off),
                _ => None,
            };
            for own in std::iter::once(attribute.name).chain(off) {
                if !names.insert(own) || own.contains(|c: char| !c.is_ascii_uppercase() && c != '_') {
                    wrong.push(format!("{name}: {own} is no name of its own as MQSC has them"));
                }
            }
            let refusal = match attribute.state {
                State::Refused(why) => Some(why),
                _ => None,
            };
            for sentence in std::iter::once(attribute.help).chain(refusal) {
                let begins = sentence.starts_with(|c: char| c.is_uppercase());
                if !begins || !sentence.ends_with('.') {
                    wrong.push(format!("{name}: not a sentence: {sentence:?}"));
                }
            }
        }
    }
    nothing(wrong, "the tables of attributes are in order");
}

#[test]
fn every_metric_has_a_help_line() {
    let mut wrong = Vec::new();
    let mut names = BTreeSet::new();
    for metric in catalog::ALL {
        if !metric.help.ends_with('.') || metric.help.len() < 5 {
            wrong.push(format!("{}: the help is not a sentence: {:?}", metric.name, metric.help));
        }
        if !names.insert(metric.name) {
            wrong.push(format!("{}: is there twice", metric.name));
        }
        if (metric.kind == catalog::Kind::Counter) != metric.name.ends_with("_total") {
            wrong.push(format!("{}: counters, and only they, end in _total", metric.name));
        }
    }
    nothing(wrong, "every metric says what it counts");
}

#[test]
fn the_page_of_what_is_missing_has_every_attribute_that_is_refused() {
    let page = read(&root().join("node/docs/mq.md"));
    let refused = Kind::ALL.iter().flat_map(|facts| facts.kind.attributes());
    let refused = refused.filter(|attribute| matches!(attribute.state, State::Refused(_)));
    let unsaid: BTreeSet<String> = refused
        .map(|attribute| format!("`{}`", attribute.name))
        .filter(|name| !page.contains(name))
        .collect();
    nothing(unsaid.into_iter().collect(), "node/docs/mq.md says all that is not done");
}

#[test]
fn the_cluster_file_of_the_readme_is_one() {
    let readme = read(&root().join("README.md"));
    let file = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let file = file.expect("the README shows a cluster file");
    Config::parse(file, Some("a")).expect("the cluster file of the README");
}

// ---- the table of levels ----

/// The unit that a module path belongs to, and its level.
fn level_of(path: &[String]) -> Option<(&'static str, u8)> {
    let path = path.join("::");
    LEVELS.iter().copied().filter(|(unit, _)| is_within(&path, unit)).max_by_key(|(unit, _)| unit.len())
}

fn is_within(path: &str, unit: &str) -> bool {
    path.strip_prefix(unit).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn nothing(mut wrong: Vec<String>, rule: &str) {
    wrong.sort();
    assert!(wrong.is_empty(), "{rule}:\n  {}\n", wrong.join("\n  "));
}

#[test]
fn the_library_has_the_reasons_of_the_node() {
    let of_node: BTreeMap<u32, &str> =
        Reason::ALL.iter().map(|reason| (reason.number(), reason.name())).collect();
    let of_library: BTreeMap<u32, &str> = trimaran_client::REASONS.iter().copied().collect();
    assert_eq!(of_library, of_node);
}
