//! Every script in `tests/scripts`. `UPDATE=1 cargo test -p trimaran-tests --test scripts` rewrites what is expected.

use std::path::{Path, PathBuf};

use trimaran_tests::script::{parser, runner};

fn scripts() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("read {}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory that can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_script_gets_what_it_expects() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut wrong = Vec::new();
    let paths = scripts();
    assert!(paths.len() >= 40, "only {} scripts", paths.len());
    for path in &paths {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).expect("a script that can be read");
        let mut blocks = parser::parse(&text);
        let results = match runner::run(&blocks) {
            Ok(results) => results,
            Err(error) => {
                wrong.push(format!("{name}: {error}"));
                continue;
            }
        };
        for (block, result) in blocks.iter_mut().zip(results) {
            if block.expected != result && !update {
                wrong.push(format!(
                    "{name}, line {}:\n  {}\n expected\n  {}\n came\n  {}",
                    block.line,
                    block.commands.join("\n  "),
                    block.expected.join("\n  "),
                    result.join("\n  ")
                ));
                break;
            }
            block.expected = result;
        }
        if update {
            std::fs::write(path, parser::print(&blocks)).expect("a script that can be written");
        }
    }
    assert!(wrong.is_empty(), "{} of {} scripts:\n{}", wrong.len(), paths.len(), wrong.join("\n\n"));
}
