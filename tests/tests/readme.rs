//! The README word by word: what it says to type is typed by a shell, in a fresh directory and a network of its own, where its ports
//! and addresses are free. And every command that README and pages name is one that there is.
//!
//! The programs must be built (`cargo build --workspace --bins`). Needs unshare, ip, openssl and curl.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use trimaran_tests::process::namespace::is_root;
use trimaran_tests::process::{program, run_program};
use trimaran_tests::sources::{read, root};

/// Code in a page, with the language that it says it is in.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let mut parts = page.split("\n```");
    parts.next();
    let inside = parts.step_by(2).filter_map(|part| part.split_once('\n'));
    inside.collect()
}

fn readme() -> String {
    format!("\n{}", read(&root().join("README.md")))
}

/// A directory with MQ's names for the command.
fn names() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let names = run_program("trimaran", &["generate", "names"], "");
    for name in String::from_utf8_lossy(&names.stdout).lines() {
        symlink(program("trimaran"), directory.path().join(name)).expect("a link");
    }
    directory
}

/// What a shell says that is given this, with the programs on its path; it ends at the first thing that fails, and nothing that it has
/// started outlives it.
fn typed(directory: &Path, script: &str) -> Output {
    let names = names();
    let programs = program("trimaran").parent().expect("it lies in a directory").to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = [names.path().to_path_buf(), programs].into_iter().chain(std::env::split_paths(&path));
    let as_root: &[&str] = if is_root() { &[] } else { &["--user", "--map-root-user"] };
    let mut shell = Command::new("unshare");
    for (variable, _) in std::env::vars() {
        if variable.starts_with("TRIMARAN_") || variable.to_lowercase().ends_with("_proxy") {
            shell.env_remove(variable);
        }
    }
    shell
        .args(as_root)
        .args(["--net", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .args(["bash", "-euo", "pipefail", "-c", &format!("exec 2>&1; ip link set lo up\n{script}")])
        .current_dir(directory)
        .env("PATH", std::env::join_paths(path).expect("paths"))
        .stdin(Stdio::null())
        .output()
        .expect("unshare starts (package util-linux)")
}

/// The parts of what was said, one for each block that was typed.
fn said_in_parts(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{said}", output.status);
    said.split("=== next\n").skip(1).map(str::to_owned).collect()
}

#[test]
fn the_walkthrough_works_as_it_is_written() {
    let page = readme();
    let (_, rest) = page.split_once("\n## Walkthrough").expect("there is one");
    let (walkthrough, _) = rest.split_once("\n## ").expect("there is more");
    let mut script = String::new();
    let mut count = 0;
    for (language, text) in blocks(walkthrough) {
        assert_eq!(language, "bash", "{text}");
        // A machine that does other things as well may take longer to bring a node back.
        let text = text.replace(
            "sleep 2; trimaran status --check",
            "until trimaran status --check > checked; do sleep 0.1; done; cat checked",
        );
        script += &format!("echo '=== next'\n{text}\n");
        count += 1;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let said = said_in_parts(&typed(directory.path(), &script));
    assert_eq!(said.len(), count);
    let all: [&[&str]; 7] = [
        &["cluster.toml written", "this is node a with id 1", "node a begins without any messages"],
        &[
            "queue HA.QUEUE created\n",
            "done: 5 persistent messages sent to HA.QUEUE",
            "5 messages on HA.QUEUE",
        ],
        &["AMQ8006I: IBM MQ queue created.", "CURDEPTH(5)", "All valid MQSC commands were processed."],
        &[
            "test\n  get it? (y/n) n\n4 of 5 messages received\n",
            "2033",
            "That is success.",
            "quorum       3/3",
        ],
        &["\n\ntest\n  get it? (y/n) n\n0 of 1 message received\n", "quorum       3/3"],
        &["node c replaced by d\n", "\n\ntest\n1 of 1 message received\n"],
        &["1 message put on HA.QUEUE\n", "secret"],
    ];
    for (said, wanted) in said.iter().zip(all) {
        wanted.iter().for_each(|part| assert!(said.contains(part), "{part:?} is missing in\n{said}"));
    }
    assert!(said[0].lines().all(|line| !line.starts_with("WRONG")), "{}", said[0]);
}

/// The cluster file that the README shows, and what it does with it: certificates, a channel with TLS, MQ's samples, a monitor.
#[test]
fn its_cluster_file_and_what_it_does_with_it_work_as_they_are_written() {
    let page = readme();
    let all = blocks(&page);
    let with = |language: &str, word: &str| {
        let found = all.iter().find(|(of, text)| *of == language && text.contains(word));
        found.unwrap_or_else(|| panic!("there is no code with {word}")).1
    };
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().display().to_string();
    // Where a test may write, and with ports for MQ's clients as the page says them.
    let mut file = with("toml", "[[queue_managers]]")
        .replace("/var/lib/trimaran", &place)
        .replace("/etc/trimaran/certs", &format!("{place}/certs"));
    for number in 1..=3 {
        let http = format!("http = \"10.0.0.{number}:7301\"");
        assert!(file.contains(&http), "{file}");
        let port = 1413 + number;
        file =
            file.replace(&http, &format!("{http}\nmq = {{ \"ha.queue.manager\" = \"127.0.0.1:{port}\" }}"));
    }
    std::fs::write(directory.path().join("cluster.toml"), file).expect("a file");
    let (certs, channel) = with("", "SSLPEER").split_once('\n').expect("three lines");
    let samples = with("", "MQSERVER");
    let script = format!(
        "for number in 1 2 3; do ip addr add 10.0.0.$number/32 dev lo; done
         {certs}
         for node in a b c; do trimaran-node run --config cluster.toml --node $node > $node.log & done
         export TRIMARAN_CONNECT=10.0.0.1:7201,10.0.0.2:7201,10.0.0.3:7201
         export TRIMARAN_TLS_CA=certs/ca.pem TRIMARAN_TLS_CERT=certs/user-app.pem TRIMARAN_TLS_KEY=certs/user-app.key
         trimaran queue create HA.QUEUE
         echo 'DEFINE CHANNEL(APP.SVRCONN) CHLTYPE(SVRCONN)' | trimaran runmqsc
         echo '=== next'
         {channel}
         openssl pkcs12 -in app.p12 -passin pass:secret -nokeys
         echo '=== next'
         {samples}
         echo '=== next'
         for path in health/live health/ready metrics; do curl --silent --show-error --fail --insecure https://10.0.0.1:7301/$path; done
         kill $(jobs -p); wait"
    );
    let said = said_in_parts(&typed(directory.path(), &script));
    for (said, wanted) in said.iter().zip([
        ["AMQ8014I: IBM MQ channel created.", "CN = app"],
        ["target queue is HA.QUEUE", "'Hello"],
        ["\"state\":\"live\"", "\ntrimaran_role{"],
    ]) {
        wanted.iter().for_each(|part| assert!(said.contains(part), "{part:?} is missing in\n{said}"));
    }
}

#[test]
fn every_command_that_a_page_names_is_there() {
    let docs = root().join("node/docs");
    let pages = std::fs::read_dir(&docs).expect("it is there").map(|entry| entry.expect("it is read").path());
    let others = ["README.md", "node/container/README.md", "client/samples/README.md"];
    let mut asked = 0;
    for path in pages.chain(others.iter().map(|name| root().join(name))) {
        let page = read(&path);
        let spans = page.split("```").step_by(2).flat_map(|text| text.split('`').skip(1).step_by(2));
        for span in spans.filter(|span| span.starts_with("trimaran ") || span.starts_with("trimaran-node ")) {
            let words: Vec<&str> =
                span.split_whitespace().take_while(|word| !["<", ">"].contains(word)).collect();
            let nowhere: &[&str] = match words[0] {
                "trimaran" => &["--connect", "127.0.0.1:1", "--within", "0s"],
                _ => &[],
            };
            let output = run_program(words[0], &[&words[1..], nowhere].concat(), "");
            let said = String::from_utf8_lossy(&output.stderr);
            for wrong in ["unexpected", "unrecognized", "invalid value", "no command and no topic"] {
                assert!(!said.contains(wrong), "{}: {span}: {said}", path.display());
            }
            asked += 1;
        }
    }
    assert!(asked > 30, "pages name commands: {asked}");
}
