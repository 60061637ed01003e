//! What a source names: paths within its own crate, and those that begin with another one.

use super::Module;
use super::tokens::Kind::{Sign, Word};
use super::tokens::{Token, inline_modules, kind, kinds};

/// A path that a source names, without what it is relative to.
pub struct Name {
    pub path: Vec<String>,
    pub line: usize,
}

/// Everything of the own crate that a module names: `crate::…`, and `super::…` and `self::…` resolved.
pub fn names_in(module: &Module) -> Vec<Name> {
    let mut found = Vec::new();
    for (at, inline) in inline_modules(&module.tokens).into_iter().enumerate() {
        let Word(first) = &module.tokens[at].kind else { continue };
        if !starts_path(&module.tokens, at) {
            continue;
        }
        let here: Vec<String> = module.path.iter().chain(&inline).cloned().collect();
        let base = match first.as_str() {
            "crate" => root_of(module),
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
            // `super::*` right below the root names no module.
            if !name.path.is_empty() {
                found.push(name);
            }
        }
    }
    found
}

/// What `crate` means there: a binary is a crate of its own.
pub(super) fn root_of(module: &Module) -> Vec<String> {
    let length = match module.path.first().map(String::as_str) {
        Some("main" | "build") => 1,
        Some("bin" | "tests" | "examples" | "benches") => 2,
        _ => 0,
    };
    module.path[..length.min(module.path.len())].to_vec()
}

/// Paths that start with any other word, such as the name of a crate; also in `use`, where no `::` need follow.
pub fn outer_names_in(module: &Module) -> Vec<Name> {
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::sources::tokens::tokens_of;

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
        let text = "use raft::{eraftpb::Entry, RawNode as R}; use raft; fn f() -> ::raft::Ready { crate::raft::x() }";
        let found: Vec<String> =
            outer_names_in(&module_of("peer", text)).into_iter().map(|n| n.path.join("::")).collect();
        assert!(found.contains(&"raft::eraftpb::Entry".into()), "{found:?}");
        assert!(found.contains(&"raft::RawNode".into()), "{found:?}");
        assert!(found.contains(&"raft".into()), "{found:?}");
        assert!(found.contains(&"crate::raft::x".into()), "{found:?}");
    }
}
