//! The `trimaran-node` command as it is typed, without a cluster.

use std::process::{Command, Output};

fn node(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trimaran-node"))
        .args(arguments)
        .env_remove("TRIMARAN_CONFIG")
        .env_remove("TRIMARAN_NODE")
        .output()
        .unwrap()
}

fn objects(output: &Output) -> Vec<serde_json::Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect()
}

#[test]
fn check_says_for_programs_what_it_says_for_people() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.toml");
    let text = "cluster = \"check\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\nclient = \"127.0.0.1:2\"\n\
                http = \"127.0.0.1:3\"\n[[queue_managers]]\nname = \"QM\"\nid = 1\n[directories]\nlog = \"log\"\ndata = \"data\"\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let (said, shown) = (
        node(&["check", "--config", file, "--node", "a", "--json"]),
        node(&["check", "--config", file, "--node", "a"]),
    );
    let findings = objects(&said);
    let words: Vec<&str> = findings.iter().filter_map(|of| of["finding"].as_str()).collect();
    assert_eq!(words.len(), findings.len());
    assert!(words.iter().all(|word| ["ok", "warning", "wrong"].contains(word)), "{words:?}");
    assert!(words.contains(&"warning"), "one node is not highly available");
    assert_eq!(said.status.code(), shown.status.code());
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert_eq!(shown.lines().count(), findings.len());
    let log = format!("log directory {}", directory.path().join("log").display());
    assert!(shown.contains(&log), "relative paths begin where the file is: {shown}");
}

#[test]
fn an_inspection_names_the_directory_it_could_not_look_into() {
    for (what, wanted) in [("inspect-log", "the log directory"), ("inspect-store", "the data directory")] {
        for directory in ["/no/such/directory", "/proc"] {
            let output = node(&[what, directory, "--json"]);
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{what}: {text}");
            let said = format!("inspect {directory}: there is no ");
            assert!(text.contains(&said) && text.contains(wanted), "{what}: {text}");
        }
    }
}

#[test]
fn a_node_that_is_refused_for_its_certificates_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("cluster.toml");
    let text = "cluster = \"typo\"\n[[nodes]]\nname = \"a\"\nid = 1\npeer = \"127.0.0.1:1\"\nclient = \"127.0.0.1:2\"\n\
                http = \"127.0.0.1:3\"\n[directories]\nlog = \"log\"\ndata = \"data\"\n\
                [tls]\nca = \"ca.pem\"\ncertificate = \"a.pem\"\nkey = \"a.key\"\n";
    std::fs::write(&file, text).unwrap();
    let output = node(&["run", "--config", file.to_str().unwrap(), "--node", "a"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(10), "{said}");
    assert!(said.contains("ca.pem: No such file or directory") && !said.contains("I/O"), "{said}");
    assert!(!directory.path().join("log").exists(), "a name that was wrong would stay in it");
}
