//! The sources of the tree, read as text and as tokens: for rules about their shape.
//!
//! No build is looked at. [`modules_of`] follows `mod` declarations from every root that cargo knows; `names` has what a
//! module names; `circles` finds files that name each other in both directions; `measures` counts what is asserted.

mod circles;
mod measures;
mod names;
mod tokens;

pub use circles::circles;
pub use measures::Measures;
pub use names::{Name, names_in, outer_names_in};

use std::fs;
use std::path::{Path, PathBuf};

use tokens::Kind::{Sign, Text, Word};
use tokens::{Token, inline_modules, kinds, tokens_of};

/// One file of a crate and the module that it is.
pub struct Module {
    pub file: PathBuf,
    pub path: Vec<String>,
    pub text: String,
    pub tokens: Vec<Token>,
}

impl Module {
    pub fn shown(&self) -> String {
        shown(&self.file)
    }
}

/// Whether all of a file is tests.
fn is_test(module: &Module) -> bool {
    module.file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("_test"))
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests crate lies in the workspace")
        .to_path_buf()
}

pub fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

pub fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("read {}: {error}", file.display()))
}

pub fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.expect("list a folder of the checkout").path();
        if path.is_dir() {
            found.extend(sources_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn node_modules() -> Vec<Module> {
    modules_of("node").into_iter().filter(|module| module.file.starts_with(root().join("node/src"))).collect()
}

/// All files of a crate that `mod` declarations reach, from every root that cargo knows.
pub fn modules_of(crate_name: &str) -> Vec<Module> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
