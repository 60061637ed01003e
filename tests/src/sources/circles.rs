//! Files that name each other in a circle: none of them can be read first.
//!
//! A `mod.rs`, and the root of a crate, is the head of its folder: it names all that lies in it, and what lies there may name
//! it. Everywhere else it is a file as others are. Names that a head re-exports count for the file they come from. Tests
//! within a file do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Name, names_in, outer_names_in, root_of};
use super::tokens::Kind::Word;
use super::tokens::{inline_modules, kinds};
use super::{Module, is_test, shown};

/// A sentence for each group of files that can all be reached from each other.
pub fn circles(modules: &[Module]) -> Vec<String> {
    let files: Vec<&Module> = modules.iter().filter(|module| !is_test(module)).collect();
    let named: Vec<BTreeSet<usize>> = files
        .iter()
        .map(|module| {
            let others = own_names(module).into_iter().filter_map(|name| source_of(&name.path, modules, 0));
            let others = others.filter(|other| !is_head_of(module, other) && !is_head_of(other, module));
            let places = others.filter_map(|other| files.iter().position(|file| file.path == other.path));
            places.filter(|other| files[*other].path != module.path).collect()
        })
        .collect();
    let reached: Vec<BTreeSet<usize>> = (0..files.len()).map(|from| reachable(from, &named)).collect();
    let mut groups: BTreeMap<Vec<usize>, ()> = BTreeMap::new();
    for from in 0..files.len() {
        if reached[from].contains(&from) {
            let group = reached[from].iter().copied().filter(|other| reached[*other].contains(&from));
            groups.insert(group.collect(), ());
        }
    }
    groups
        .into_keys()
        .map(|group| {
            let names: Vec<String> = group.iter().map(|file| shown(&files[*file].file)).collect();
            format!("{} name each other in a circle", names.join(", "))
        })
        .collect()
}

/// Everything that can be reached from a file, itself only over others.
fn reachable(from: usize, named: &[BTreeSet<usize>]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut open: Vec<usize> = named[from].iter().copied().collect();
    while let Some(next) = open.pop() {
        if found.insert(next) {
            open.extend(named[next].iter().copied());
        }
    }
    found
}

fn is_head(module: &Module) -> bool {
    module.file.ends_with("mod.rs") || module.file.ends_with("lib.rs") || module.file.ends_with("main.rs")
}

/// Whether `other` lies in the folder that `module` is the head of.
fn is_head_of(module: &Module, other: &Module) -> bool {
    is_head(module) && other.path.starts_with(&module.path)
}

/// What a file names, its tests left out.
fn own_names(module: &Module) -> Vec<Name> {
    let around = inline_modules(&module.tokens);
    let tests = around.iter().position(|around| around.iter().any(|name| name == "tests"));
    let until = tests.map_or(usize::MAX, |at| module.tokens[at].line);
    names_in(module).into_iter().filter(|name| name.line < until).collect()
}

/// The file that a path leads to, over the re-exports of heads.
fn source_of<'a>(path: &[String], modules: &'a [Module], depth: usize) -> Option<&'a Module> {
    let within = |module: &&Module| path.starts_with(&module.path);
    let module = modules.iter().filter(within).max_by_key(|module| module.path.len())?;
    let Some(item) = path.get(module.path.len()) else { return Some(module) };
    if !is_head(module) || depth > 8 {
        return Some(module);
    }
    // `use child::Item;` and `use self::child::*;`: what lies there goes by the head's name, too.
    for used in outer_names_in(module) {
        let from = absolute(module, &used.path);
        match used.path.last() {
            Some(last) if last == item && used.path.len() > 1 && from != path => {
                return source_of(&from, modules, depth + 1);
            }
            Some(last) if last == "*" => {
                let from = &from[..from.len() - 1];
                let defined = modules.iter().find(|other| other.path == from && defines(other, item));
                if defined.is_some() {
                    return defined;
                }
            }
            _ => {}
        }
    }
    Some(module)
}

/// A path as it stands in a head, from the root of the crate on.
fn absolute(head: &Module, path: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let (base, rest) = match path.first().map(String::as_str) {
        Some("crate") => (root_of(head), &path[1..]),
        Some("self") => (head.path.clone(), &path[1..]),
        _ => (head.path[..head.path.len().saturating_sub(ups)].to_vec(), &path[ups..]),
    };
    [&base[..], rest].concat()
}

fn defines(module: &Module, item: &str) -> bool {
    const KEYWORDS: [&str; 7] = ["struct", "enum", "fn", "type", "const", "static", "trait"];
    (0..module.tokens.len()).any(|at| match kinds(&module.tokens, at) {
        [Word(keyword), Word(name), _] => name == item && KEYWORDS.contains(&keyword.as_str()),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::sources::tokens::tokens_of;

    fn file(file: &str, path: &str, text: &str) -> Module {
        let path = path.split("::").filter(|part| !part.is_empty()).map(String::from).collect();
        Module { file: PathBuf::from(file), path, text: text.into(), tokens: tokens_of(text) }
    }

    #[test]
    fn a_circle_over_re_exports_is_found_however_they_are_written() {
        for exports in
            ["pub use self::x::X;", "pub use crate::a::x::X;", "pub use self::x::*;", "use x::{X, Other};"]
        {
            let modules = [
                file("a/mod.rs", "a", &format!("mod x; mod y; {exports} pub use self::y::{{Y, Z as W}};")),
                file("a/x.rs", "a::x", "use super::Y; pub struct X;"),
                file("a/y.rs", "a::y", "use super::{y, X}; pub struct Y;"),
            ];
            assert_eq!(circles(&modules), ["a/x.rs, a/y.rs name each other in a circle"], "{exports}");
        }
    }

    #[test]
    fn a_head_with_code_is_a_file_as_others_are_but_in_its_own_folder() {
        let modules = [
            file("a/mod.rs", "a", "mod x; use self::x::X; use crate::b::y::Y; pub struct A(X, Y);"),
            file("a/x.rs", "a::x", "use super::A; pub struct X; impl A {}"),
            file("b/mod.rs", "b", "pub mod y; pub mod z;"),
            file("b/y.rs", "b::y", "use super::z::Z; pub struct Y;"),
            file("b/z.rs", "b::z", "use crate::a::A; pub struct Z;"),
        ];
        assert_eq!(circles(&modules), ["a/mod.rs, b/y.rs, b/z.rs name each other in a circle"]);
        assert_eq!(circles(&modules[..2]), Vec::<String>::new());
    }

    #[test]
    fn a_circle_over_a_list_and_a_third_file_is_found() {
        let modules = [
            file("a/mod.rs", "a", "mod x; mod y; mod z; pub use x::X; pub use y::*;"),
            file("a/x.rs", "a::x", "use super::Y; pub struct X;"),
            file("a/y.rs", "a::y", "use super::z; pub struct Y;"),
            file("a/z.rs", "a::z", "use crate::a::X;"),
        ];
        assert_eq!(circles(&modules), ["a/x.rs, a/y.rs, a/z.rs name each other in a circle"]);
    }

    #[test]
    fn what_tests_name_and_what_lists_name_is_no_circle() {
        let modules = [
            file("a/mod.rs", "a", "mod x; mod y; pub use x::X;"),
            file("a/x.rs", "a::x", "use super::y; pub struct X;"),
            file("a/y.rs", "a::y", "pub struct Y; mod tests { use super::super::X; }"),
        ];
        assert_eq!(circles(&modules), Vec::<String>::new());
    }
}
