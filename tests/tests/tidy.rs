//! Keeps the shape of the tree: who may name whom, what lies where, and that nothing is left lying about.
//!
//! Reads the sources as text and as tokens; no build of the node is looked at, except for the tables that it exports.
//! Everything that may want to change with the design is data, here at the top.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use trimaran_node::config::Config;
use trimaran_node::metrics::catalog;
use trimaran_node::types::Reason;

/// The levels of `node`. A module names only modules on lower levels. The longest matching prefix counts, and what has
/// the same prefix is one unit whose parts may name each other.
const LEVELS: &[(&str, u8)] = &[
    ("types", 0),
    ("jobs", 0),
    ("mqi", 1),
    ("qmgr", 1),
    ("consensus", 1),
    ("vip::policy", 1),
    ("replica", 2),
    ("admin", 2),
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
    ("bin", 6),
];

/// Pairs that may name each other's way although the levels say no: (who, whom, why).
const EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Crates that only some modules of `node` may name: (path, modules, why).
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("raft", &["consensus"], "raft-rs can be replaced while its names stay in one folder"),
    ("raft::eraftpb", &["consensus", "log_store"], "the log keeps entries as raft-rs encodes them"),
    ("raft_engine", &["log_store"], "nobody else knows how the log lies on disk"),
    ("rocksdb", &["message_store"], "nobody else knows how the store lies on disk"),
];

/// The modules of `node` that deny clocks, threads, IO and unordered maps (see `.clippy.toml`).
const PURE: &[&str] = &["types", "mqi", "qmgr", "consensus", "replica", "vip::policy", "admin"];
const WALL: &str = "#![deny(clippy::disallowed_methods, clippy::disallowed_types)]";

/// What must not be left in the sources. Written in halves, because this file is read as well.
const LEFTOVERS: &[&str] =
    &[concat!("to", "do!"), concat!("unimpl", "emented!"), concat!("TO", "DO"), concat!("FIX", "ME")];

const CRATES: &[&str] = &["proto", "node", "client", "bench", "tests"];

#[test]
fn modules_name_only_what_lies_below_them() {
    let mut wrong = Vec::new();
    for module in node_modules() {
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
        // A module that does not exist yet has nothing to guard.
        let Some(module) = modules.iter().find(|module| module.path.join("::") == *pure) else { continue };
        if !module.text.contains(WALL) {
            wrong.push(format!("{}:1: wants `{WALL}` at its head", module.shown()));
        }
    }
    nothing(wrong, "pure modules deny what would make two runs differ");
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

// ---- modules and files ----

/// One file of a crate and the module that it is.
struct Module {
    file: PathBuf,
    path: Vec<String>,
    text: String,
    tokens: Vec<Token>,
}

impl Module {
    fn shown(&self) -> String {
        shown(&self.file)
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests crate lies in the workspace")
        .to_path_buf()
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
}

fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.expect("list a folder of the checkout").path();
        if path.is_dir() {
            // `fuzz` is a workspace of its own, `target` may be left by it.
            if !path.ends_with("target") && !path.ends_with("fuzz") {
                found.extend(sources_below(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn node_modules() -> Vec<Module> {
    modules_of("node").into_iter().filter(|module| module.file.starts_with(root().join("node/src"))).collect()
}

/// All files of a crate that `mod` declarations reach, from every root that cargo knows.
fn modules_of(crate_name: &str) -> Vec<Module> {
    let folder = root().join(crate_name);
    let mut roots = vec![(folder.join("build.rs"), vec!["build".into()])];
    roots.push((folder.join("src/lib.rs"), Vec::new()));
    roots.push((folder.join("src/main.rs"), vec!["main".into()]));
    for (kind, name) in
        [("src/bin", "bin"), ("tests", "tests"), ("examples", "examples"), ("benches", "benches")]
    {
        for entry in fs::read_dir(folder.join(kind)).into_iter().flatten() {
            let path = entry.expect("list a folder of the checkout").path();
            let stem =
                path.file_stem().expect("an entry of a folder has a name").to_string_lossy().into_owned();
            let file = if path.is_dir() { path.join("main.rs") } else { path };
            if file.extension().is_some_and(|extension| extension == "rs") {
                roots.push((file, vec![name.to_string(), stem]));
            }
        }
    }
    let mut found = Vec::new();
    for (file, path) in roots {
        if file.is_file() {
            let children = file.parent().expect("a root lies in a folder").to_path_buf();
            collect(file, path, children, &mut found);
        }
    }
    found
}

/// Adds `file` and everything that it declares with `mod name;`, which rustc looks for in `children`.
fn collect(file: PathBuf, path: Vec<String>, children: PathBuf, found: &mut Vec<Module>) {
    let text = read(&file);
    let tokens = tokens_of(&text);
    for (name, inline, given) in declared_modules(&tokens) {
        let folder = inline.iter().fold(children.clone(), |folder, name| folder.join(name));
        let beside = file.parent().expect("a source lies in a folder");
        let candidates = match given {
            Some(given) => vec![beside.join(given)],
            None => vec![folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")],
        };
        if let Some(child) = candidates.into_iter().find(|candidate| candidate.is_file()) {
            let grandchildren = if child.ends_with("mod.rs") {
                child.parent().map(Path::to_path_buf)
            } else {
                Some(folder.join(&name))
            };
            let child_path = path.iter().chain(&inline).cloned().chain([name]).collect();
            collect(child, child_path, grandchildren.expect("a source lies in a folder"), found);
        }
    }
    found.push(Module { file, path, text, tokens });
}

/// The `mod name;` of a file: the name, the inline modules around it, and what `#[path = "…"]` says.
fn declared_modules(tokens: &[Token]) -> Vec<(String, Vec<String>, Option<String>)> {
    let mut found = Vec::new();
    for (at, inline) in inline_modules(tokens).into_iter().enumerate() {
        let [Word(keyword), Word(name), Sign(';')] = kinds(tokens, at) else { continue };
        if keyword != "mod" {
            continue;
        }
        // Attributes stand before the word `mod` and after the end of the item before.
        let head =
            tokens[..at].iter().rposition(|token| matches!(token.kind, Sign(';' | '{' | '}'))).unwrap_or(0);
        let given = (head..at).find_map(|at| match kinds(tokens, at) {
            [Word(path), Sign('='), Text(given)] if path == "path" => Some(given.clone()),
            _ => None,
        });
        found.push((name.clone(), inline, given));
    }
    found
}

// ---- names ----

/// A path that a source names, without what it is relative to.
struct Name {
    path: Vec<String>,
    line: usize,
}

/// Everything of the own crate that a module names: `crate::…`, and `super::…` and `self::…` resolved.
fn names_in(module: &Module) -> Vec<Name> {
    let mut found = Vec::new();
    for (at, inline) in inline_modules(&module.tokens).into_iter().enumerate() {
        let Word(first) = &module.tokens[at].kind else { continue };
        if !starts_path(&module.tokens, at) {
            continue;
        }
        let here: Vec<String> = module.path.iter().chain(&inline).cloned().collect();
        let base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => here,
            "super" => here[..here.len().saturating_sub(1)].to_vec(),
            _ => continue,
        };
        for mut name in path_tree(&module.tokens, at + 3) {
            let mut base = base.clone();
            while name.path.first().is_some_and(|first| first == "super") {
                base.pop();
                name.path.remove(0);
            }
            name.path.splice(0..0, base);
            if name.path.last().is_some_and(|last| last == "*") {
                name.path.pop();
            }
            // `super::*` right below the root, and what a binary calls `crate`, name no module.
            if !name.path.is_empty()
                && module.path.first().is_none_or(|first| first != "main" && first != "bin")
            {
                found.push(name);
            }
        }
    }
    found
}

/// Paths that start with any other word, such as the name of a crate; also in `use`, where no `::` need follow.
fn outer_names_in(module: &Module) -> Vec<Name> {
    let tokens = &module.tokens;
    let starts = (0..tokens.len())
        .filter(|&at| starts_path(tokens, at) || matches!(&tokens[at].kind, Word(w) if w == "use"));
    starts
        .flat_map(|at| match &tokens[at].kind {
            Word(word) if word == "use" => path_tree(tokens, at + 1),
            _ => path_tree(tokens, at),
        })
        .collect()
}

/// Whether the word at `at` is the first of a path `word::…`.
fn starts_path(tokens: &[Token], at: usize) -> bool {
    let after_colons = at >= 2 && matches!(kinds(tokens, at - 2), [Sign(':'), Sign(':'), _]);
    !after_colons && matches!(kinds(tokens, at), [Word(_), Sign(':'), Sign(':')])
}

/// All paths of the tree that begins at `at`: `a::b`, `a::{b, c::d}`, `a::*`.
fn path_tree(tokens: &[Token], at: usize) -> Vec<Name> {
    fn tree(tokens: &[Token], at: &mut usize, before: &[String], found: &mut Vec<Name>) {
        let mut path = before.to_vec();
        let line = tokens.get(*at).map_or(0, |token| token.line);
        loop {
            match kind(tokens, *at) {
                Some(Word(word)) => path.push(word.clone()),
                Some(Sign('*')) => path.push("*".into()),
                Some(Sign('{')) => {
                    *at += 1;
                    while !matches!(kind(tokens, *at), Some(Sign('}')) | None) {
                        tree(tokens, at, &path, found);
                        // Over `as name`, and whatever a macro has put there.
                        while !matches!(kind(tokens, *at), Some(Sign(',' | '}')) | None) {
                            *at += 1;
                        }
                        if let Some(Sign(',')) = kind(tokens, *at) {
                            *at += 1;
                        }
                    }
                    *at += 1;
                    return;
                }
                _ => break,
            }
            *at += 1;
            if !matches!(kinds(tokens, *at), [Sign(':'), Sign(':'), _]) {
                break;
            }
            *at += 2;
        }
        if path.len() > before.len() {
            found.push(Name { path, line });
        }
    }
    let mut found = Vec::new();
    let mut at = at;
    tree(tokens, &mut at, &[], &mut found);
    found
}

// ---- tokens ----

use Kind::{Sign, Text, Word};

struct Token {
    kind: Kind,
    line: usize,
}

enum Kind {
    Word(String),
    Text(String),
    Sign(char),
}

fn kind(tokens: &[Token], at: usize) -> Option<&Kind> {
    tokens.get(at).map(|token| &token.kind)
}

/// The kinds of three tokens from `at` on; behind the end there are blanks.
fn kinds(tokens: &[Token], at: usize) -> [&Kind; 3] {
    [0, 1, 2].map(|next| tokens.get(at + next).map_or(&Sign(' '), |token| &token.kind))
}

/// For every token the names of the inline modules around it.
fn inline_modules(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut open: Vec<Option<String>> = Vec::new();
    let mut around = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if matches!(token.kind, Sign('}')) {
            open.pop();
        }
        around.push(open.iter().flatten().cloned().collect());
        if matches!(token.kind, Sign('{')) {
            open.push(match at.checked_sub(2).map(|before| kinds(tokens, before)) {
                Some([Word(keyword), Word(name), _]) if keyword == "mod" => Some(name.clone()),
                _ => None,
            });
        }
    }
    around
}

/// Words, string literals and signs. Comments and white space are gone; numbers count as words.
fn tokens_of(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some((length, inside)) = string_literal(rest) {
            tokens.push(Token { kind: Text(inside), line });
            length
        } else if first == '\'' {
            // A character, or a lifetime, which is a sign and a word.
            let length = character_literal(rest).unwrap_or(1);
            tokens.push(Token { kind: Sign(first), line });
            length
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token { kind: Word(rest[..length].into()), line });
            length
        } else {
            if !first.is_whitespace() {
                tokens.push(Token { kind: Sign(first), line });
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// `"…"`, `r#"…"#` and the same after `b` or `c`: how long it is, and what stands in it.
fn string_literal(text: &str) -> Option<(usize, String)> {
    let prefix = text.find(|c: char| !matches!(c, 'b' | 'c' | 'r')).filter(|length| *length <= 2)?;
    let hashes = text[prefix..].bytes().take_while(|byte| *byte == b'#').count();
    let raw = text[..prefix].ends_with('r');
    let start = prefix + hashes + 1;
    if (hashes > 0 && !raw) || !text[prefix + hashes..].starts_with('"') {
        return None;
    }
    let end = if raw {
        start + text[start..].find(&format!("\"{}", "#".repeat(hashes))).unwrap_or(text.len() - start)
    } else {
        let mut escaped = false;
        let found = text[start..].find(|c: char| match c {
            _ if std::mem::take(&mut escaped) => false,
            '\\' => {
                escaped = true;
                false
            }
            c => c == '"',
        });
        start + found.unwrap_or(text.len() - start)
    };
    Some(((end + 1 + hashes).min(text.len()), text[start..end].into()))
}

/// How long the character literal is that begins here; none if it is a lifetime.
fn character_literal(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    let (_, first) = chars.next()?;
    if first != '\\' {
        let (at, last) = chars.next()?;
        return (last == '\'').then_some(at + 1);
    }
    chars.next()?;
    chars.find(|(_, c)| *c == '\'').map(|(at, _)| at + 1)
}

// ---- the test's own tests: a rule that finds nothing must not pass for a tidy tree ----

fn module_of(path: &str, text: &str) -> Module {
    let path = path.split("::").map(String::from).collect();
    Module { file: PathBuf::new(), path, text: text.into(), tokens: tokens_of(text) }
}

fn names(path: &str, text: &str) -> Vec<String> {
    names_in(&module_of(path, text))
        .into_iter()
        .map(|name| format!("{}:{}", name.line, name.path.join("::")))
        .collect()
}

#[test]
fn names_are_found_in_every_spelling() {
    let text = r##"
        use crate::types::{Index, ids::{NodeId as N, Term}, *};
        // use crate::listener::http;
        /* crate::config /* crate::runtime */ */
        fn f<'a>(x: &'a str) -> crate::mqi::Call { let _ = ('"', '\'', "crate::peer", r#"crate::"peer"#); super::g() }
        pub(crate) mod tests { use super::*; fn h() { $crate::qmgr::apply::<u8>(super::super::i) } }
    "##;
    assert_eq!(
        names("replica::calls", text),
        [
            "2:types::Index",
            "2:types::ids::NodeId",
            "2:types::ids::Term",
            "2:types",
            "5:mqi::Call",
            "5:replica::g",
            "6:replica::calls",
            "6:qmgr::apply",
            "6:replica::i",
        ]
    );
}

#[test]
fn crates_are_found_in_every_spelling() {
    let text =
        "use raft::{eraftpb::Entry, RawNode as R}; use raft; fn f() -> ::raft::Ready { crate::raft::x() }";
    let found: Vec<String> =
        outer_names_in(&module_of("peer", text)).into_iter().map(|n| n.path.join("::")).collect();
    assert!(found.contains(&"raft::eraftpb::Entry".into()), "{found:?}");
    assert!(found.contains(&"raft::RawNode".into()), "{found:?}");
    assert!(found.contains(&"raft".into()), "{found:?}");
    assert!(found.contains(&"crate::raft::x".into()), "{found:?}");
}

#[test]
fn modules_are_found_with_their_paths() {
    let tokens = tokens_of("mod a; #[cfg(test)] #[path = \"b_test.rs\"] mod b; mod c { pub mod d; }");
    let found = declared_modules(&tokens);
    let expected = [
        ("a".to_string(), vec![], None),
        ("b".to_string(), vec![], Some("b_test.rs".to_string())),
        ("d".to_string(), vec!["c".to_string()], None),
    ];
    assert_eq!(found, expected);
}
