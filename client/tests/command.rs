//! The `trimaran` command as it is typed, against the fake queue manager.

mod fake;
mod fake_channel;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use fake::{Cluster, Node};
use fake_channel::{FakeChannel, Manner};
use trimaran_client::proto::mq::control::status;

struct Shell {
    cluster: Cluster,
    nodes: Vec<Node>,
}

impl Shell {
    fn new() -> Shell {
        let (cluster, nodes) = Cluster::new(1);
        Shell { cluster, nodes }
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trimaran"))
            .env("TRIMARAN_CONNECT", &self.nodes[0].address)
            .env_remove("TRIMARAN_QUEUE_MANAGER")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that ends early closes its input; that is its right.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// `send` over a channel.
    fn send_over(&self, port: &str, within: &str, input: &str) -> Output {
        let given = ["--host", "127.0.0.1", "--port", port, "--channel", "C", "--within", within];
        self.run(&[&["send", "HA.QUEUE"], &given[..]].concat(), input)
    }

    /// Standard output of a command that must succeed.
    fn ok(&self, arguments: &[&str], input: &str) -> String {
        let output = self.run(arguments, input);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and standard error.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.run(arguments, "");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }
}

#[test]
fn the_walkthrough() {
    let shell = Shell::new();
    let given = ["send", "--queue-manager", "ha.queue.manager", "--channel", "HA.CHANNEL", "HA.QUEUE"];
    let sent = shell.ok(&given, "Hello\nThis\nis\na\ntest\n\nnot sent");
    for line in
        ["ha.queue.manager", "HA.CHANNEL", "HA.QUEUE", "127.0.0.1", "done: 5 persistent messages sent"]
    {
        assert!(sent.contains(line), "{line} is missing:\n{sent}");
    }
    assert!(shell.cluster.store().queues["HA.QUEUE"].iter().all(|message| {
        message.descriptor.as_ref().unwrap().persistence() == trimaran_client::Persistence::Persistent
    }));

    let received = shell.ok(&["receive", "HA.QUEUE"], "y\ny\ny\ny\nn\n");
    assert!(received.contains("Hello\n  get it? (y/n) y\nThis\n"), "{received}");
    assert!(received.contains("4 of 5 messages received"), "{received}");
    let end = "completion code 2, reason 2033 NO_MSG_AVAILABLE: nothing more to browse. That is success.\n";
    assert!(received.ends_with(end), "{received}");
    assert_eq!(shell.cluster.bodies("HA.QUEUE"), ["test"]);

    let received = shell.ok(&["receive", "HA.QUEUE", "--yes"], "");
    assert!(received.contains("\ntest\n1 of 1 message received\n"), "{received}");
    assert!(shell.cluster.bodies("HA.QUEUE").is_empty());
}

#[test]
fn receive_takes_that_very_message() {
    let shell = Shell::new();
    shell.ok(&["put", "HA.QUEUE", "--lines"], "one\ntwo\nthree\n");
    shell.ok(&["receive", "HA.QUEUE"], "n\nwhat?\ny\nn\n");
    assert_eq!(shell.cluster.bodies("HA.QUEUE"), ["one", "three"]);
    // The end of the input is no answer, so nothing more is taken.
    shell.ok(&["receive", "HA.QUEUE"], "");
    assert_eq!(shell.cluster.bodies("HA.QUEUE"), ["one", "three"]);
}

#[test]
fn put_takes_what_it_is_given() {
    let shell = Shell::new();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "from a file\n").unwrap();
    shell.ok(&["put", "HA.QUEUE"], "one line\r\n");
    shell.ok(&["put", "HA.QUEUE"], "two\nlines\n");
    shell.ok(&["put", "HA.QUEUE", "--message", "text", "--count", "2"], "");
    shell.ok(&["put", "HA.QUEUE", "-M", "first", "-M", "second"], "");
    shell.ok(&["put", "HA.QUEUE", "--file", file.to_str().unwrap()], "");
    shell.ok(&["put", "HA.QUEUE", "--json-lines"], "{\"text\":\"from json\",\"priority\":3}\n\n");
    assert_eq!(
        shell.cluster.bodies("HA.QUEUE"),
        ["one line", "two\nlines\n", "text", "text", "first", "second", "from a file\n", "from json"]
    );
    let browsed = shell.ok(&["browse", "HA.QUEUE", "--json-lines"], "");
    let last: serde_json::Value = serde_json::from_str(browsed.lines().last().unwrap()).unwrap();
    assert_eq!((&last["text"], &last["priority"]), (&"from json".into(), &3.into()));
}

#[test]
fn get_writes_bodies_json_or_files() {
    let shell = Shell::new();
    let numbers: String = (0..300).map(|n| format!("{n}\n")).collect();
    shell.ok(&["put", "HA.QUEUE", "--lines"], &numbers);
    assert_eq!(shell.ok(&["get", "HA.QUEUE"], ""), "0", "the body and nothing else");
    assert_eq!(shell.ok(&["get", "HA.QUEUE", "--count", "2", "--syncpoint"], ""), "1\n2\n");
    let json = shell.ok(&["get", "HA.QUEUE", "--json-lines"], "");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["text"], "3");

    let directory = tempfile::tempdir().unwrap();
    let to = directory.path().join("received");
    shell.ok(&["get", "HA.QUEUE", "--count", "2", "--to", to.to_str().unwrap()], "");
    let mut files: Vec<String> = std::fs::read_dir(to)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["4", "5"]);

    let rest: String = (6..300).map(|n| format!("{n}\n")).collect();
    assert_eq!(shell.ok(&["get", "HA.QUEUE", "--all"], ""), rest);
    assert_eq!(shell.ok(&["get", "HA.QUEUE", "--all"], ""), "");
}

#[test]
fn puts_and_gets_of_several_queues_are_one_unit() {
    let shell = Shell::new();
    shell.ok(&["put", "HA.QUEUE", "--lines", "--priority", "7"], "one\ntwo\nthree\n");
    let script = "get HA.QUEUE\nput OTHER first\nmove HA.QUEUE OTHER\n\n# done\ncommit\n";
    assert_eq!(shell.ok(&["unit"], script), "one\n");
    assert_eq!(shell.cluster.bodies("OTHER"), ["first", "two"]);
    assert_eq!(shell.cluster.bodies("HA.QUEUE"), ["three"]);
    for (script, code, said) in [
        ("get HA.QUEUE\nget HA.QUEUE\ncommit\n", 3, "no message on HA.QUEUE"),
        ("get HA.QUEUE\nput OTHER lost\n", 1, "ended without commit"),
        ("put OTHER lost\nput NO.SUCH.QUEUE x\ncommit\n", 1, "2085"),
        ("put OTHER lost\npush OTHER x\n", 2, "line 2 of standard input"),
        ("get HA.QUEUE\nput OTHER lost\nbackout\n", 0, "backed out: 1 put and 1 get"),
    ] {
        let output = shell.run(&["unit"], script);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{script}: {text}");
        assert!(text.contains(said), "{script}: {text}");
        assert_eq!(shell.cluster.bodies("OTHER"), ["first", "two"], "{script}");
        assert_eq!(shell.cluster.bodies("HA.QUEUE"), ["three"], "{script}");
    }
    let moved = shell.ok(&["get", "OTHER", "--count", "2", "--json-lines"], "");
    let moved: serde_json::Value = serde_json::from_str(moved.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&moved["text"], &moved["priority"]),
        (&"two".into(), &7.into()),
        "its descriptor goes with it"
    );
}

#[test]
fn a_producer_says_where_its_numbers_begin() {
    let shell = Shell::new();
    let numbered = |text: &str, more: &[&str]| {
        let output = shell.run(&[&["put", "HA.QUEUE", "-M", text, "--producer", "P"], more].concat(), "");
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, text) = numbered("a", &[]);
    assert!(code == Some(2) && text.contains("--producer wants --first-sequence"), "{text}");
    let put = |text, first| numbered(text, &["--first-sequence", first]);
    assert_eq!(put("a", "1"), (Some(0), "1 message put on HA.QUEUE\n".to_string()));
    assert_eq!(put("a", "1"), (Some(0), "0 messages put on HA.QUEUE, 1 had been put before\n".to_string()));
    assert_eq!(put("b", "2"), (Some(0), "1 message put on HA.QUEUE\n".to_string()));
    assert_eq!(shell.cluster.bodies("HA.QUEUE"), ["a", "b"]);
}

#[test]
fn a_priority_that_is_too_high_is_put_as_9_and_said() {
    let shell = Shell::new();
    for (arguments, input) in [
        (&["put", "HA.QUEUE", "-M", "a", "--priority", "10"][..], ""),
        (&["put", "HA.QUEUE", "--json-lines", "--quiet"], "{\"text\":\"a\",\"priority\":10}"),
        (&["unit"], "put-json HA.QUEUE {\"text\":\"a\",\"priority\":10}\ncommit\n"),
    ] {
        let output = shell.run(arguments, input);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success() && said.contains("reason 2049 PRIORITY_EXCEEDS_MAXIMUM"),
            "{arguments:?}: {said}"
        );
    }
    let json = shell.ok(&["--json", "unit"], "put-json HA.QUEUE {\"text\":\"a\",\"priority\":10}\ncommit\n");
    assert!(json.contains("\"warning\":2049"), "{json}");
}

/// A line for `put --json-lines`: text with a header that says it was meant for this queue.
fn dead_letter(queue: &str, text: &str) -> String {
    let mut body = b"DLH \x01\0\0\0".to_vec();
    body.extend_from_slice(&2053_u32.to_le_bytes());
    body.extend_from_slice(format!("{queue:<48}{:<48}", "QM1").as_bytes());
    body.extend_from_slice(b"\x22\x02\0\0\xb8\x04\0\0MQSTR   \x07\0\0\0");
    body.extend_from_slice(format!("{:<28}2026112105300012{text}", "trimaran").as_bytes());
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{{\"body_hex\":\"{hex}\",\"format\":\"MQDEAD\"}}\n")
}

#[test]
fn what_cannot_be_written_out_stays_on_its_queue() {
    let shell = Shell::new();
    let lines: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    shell.ok(&["put", "HA.QUEUE", "--lines"], &lines.join("\n"));
    let full_disk = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let nobody = || Stdio::from(std::io::pipe().unwrap().1);
    for arguments in [&["--all"][..], &["--count", "2"], &["--all", "--json-lines"], &["--wait", "1s"], &[]] {
        for (output, said) in [(full_disk(), "No space left"), (nobody(), "nobody reads standard output")] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_trimaran"));
            command.env("TRIMARAN_CONNECT", &shell.nodes[0].address).args(["get", "HA.QUEUE"]);
            let ended = command.args(arguments).stdout(output).stderr(Stdio::piped()).spawn().unwrap();
            let ended = ended.wait_with_output().unwrap();
            let text = String::from_utf8(ended.stderr).unwrap();
            assert!(ended.status.code() == Some(5) && text.contains(said), "{arguments:?}: {text}");
            assert!(text.contains("0 messages got before"), "{arguments:?}: {text}");
            assert_eq!(shell.cluster.bodies("HA.QUEUE"), lines, "{arguments:?}");
        }
    }
    assert_eq!(shell.ok(&["get", "HA.QUEUE", "--all", "--wait", "10ms"], "").lines().count(), 300);
}

#[test]
fn a_dead_letter_says_why_it_is_one_wherever_it_is_shown() {
    let shell = Shell::new();
    shell.ok(&["put", "DLQ", "--json-lines"], &dead_letter("ORDERS", "Hello"));
    let shown = "for ORDERS because of 2053 Q_FULL, since 2026-11-21 05:30:00: Hello\n";
    for arguments in [&["browse", "DLQ"][..], &["browse", "DLQ", "--bodies"], &["receive", "DLQ"]] {
        let told = shell.ok(arguments, "n\n");
        assert!(told.contains(shown), "{arguments:?}: {told}");
    }
    // On the same queue it would only lose its header.
    let before = shell.cluster.bodies("DLQ");
    let (code, text) = shell.fails(&["requeue", "DLQ", "--to", "DLQ"]);
    assert!(code == 2 && text.contains("name another queue with --to"), "{code}: {text}");
    shell.ok(&["put", "DLQ", "--json-lines"], &dead_letter("DLQ", "Hello"));
    shell.ok(&["requeue", "DLQ", "--of-queue", "DLQ"], "");
    assert_eq!(shell.cluster.bodies("DLQ").len(), 2);
    assert_eq!(shell.cluster.bodies("DLQ")[..1], before);
}

#[test]
fn units_of_work_follow_maxumsgs() {
    let shell = Shell::new();
    let numbers: String = (0..10).map(|n| format!("{n}\n")).collect();
    shell.ok(&["put", "HA.QUEUE", "--lines"], &numbers);
    shell.nodes[0].faults.unit_messages_max.store(3, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(shell.ok(&["get", "HA.QUEUE", "--all", "--syncpoint"], ""), numbers);

    let dead = dead_letter("OTHER", "");
    let none = "{\"text\":\"no header\"}\n".to_string();
    shell.ok(&["put", "DLQ", "--json-lines"], &[dead.repeat(5), none].concat());
    let output = shell.run(&["requeue", "DLQ", "--reason", "q_full"], "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "5 messages of DLQ requeued\n", "{said}");
    assert!(said.contains("1 message stays: it begins with no dead-letter header"), "{said}");
    assert_eq!((shell.cluster.bodies("OTHER").len(), shell.cluster.bodies("DLQ").len()), (5, 1));
}

#[test]
fn a_line_that_is_wrong_is_named_in_plain_words() {
    let shell = Shell::new();
    for (arguments, input, said) in [
        (
            &["put", "HA.QUEUE", "--json-lines"][..],
            "{\"text\":\"a\"}\n[1]\n",
            "line 2 of standard input: write one JSON object",
        ),
        (
            &["unit"],
            "put OTHER a\nput-json OTHER {\"text\":1}\n",
            "line 2 of standard input: put-json: text is text",
        ),
        (&["put", "HA.QUEUE", "-M", "a", "--priority", "high"], "", "it is no whole number from 0 on"),
        (&["unit"], "x\0".repeat(50_000).as_str(), "...\" is none of put"),
        (&["put", "HA.QUEUE", "-M", "a", "--priority", "-1"], "", "-1 is no number from 0 to"),
        (&["put", "HA.QUEUE", "-M", "a", "--count", "0"], "", "0 is less than 1"),
        (&["runmqsc", "-w", "x"], "", "it is no whole number from 0 on"),
        (&["runmqsc", "-y"], "", "unexpected argument '-y' found\n\nUsage"),
    ] {
        let output = shell.run(arguments, input);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
}

#[test]
fn a_channel_is_not_used_in_the_clear_by_mistake() {
    let shell = Shell::new();
    let (code, text) = shell.fails(&[
        "--tls-ca",
        "ca.pem",
        "send",
        "HA.QUEUE",
        "--host",
        "127.0.0.1",
        "--channel",
        "APP.SVRCONN",
    ]);
    assert!(code == 5 && text.contains("read ca.pem"), "who gives a CA wants TLS: {code}: {text}");
    // The port of gRPC clients is no port of channels.
    let (host, port) = shell.nodes[0].address.split_once(':').unwrap();
    let (code, text) =
        shell.fails(&["send", "HA.QUEUE", "--host", host, "--port", port, "--channel", "APP.SVRCONN"]);
    assert!(code == 4 && text.contains("port of gRPC clients") && !text.contains("0.0 s"), "{code}: {text}");
}

/// As in the moment of a failover.
#[test]
fn a_channel_that_nobody_serves_yet_is_tried_again() {
    let channel = FakeChannel::new(&[
        Manner::HangsUp,
        Manner::Refuses(status::QMGR_UNAVAILABLE),
        Manner::Refuses(status::STANDBY_QMGR),
        Manner::Commits(usize::MAX),
    ]);
    let output = Shell::new().send_over(&channel.port, "1m", "Hello\n\n");
    let (said, failed) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{failed}");
    assert!(
        said.contains("queue manager  QM1\n") && said.contains("done: 1 persistent message sent"),
        "{said}"
    );
    assert_eq!(channel.connections(), 4);
}

#[test]
fn a_channel_that_nobody_serves_in_time_is_told_with_the_last_error() {
    let shell = Shell::new();
    let channel = FakeChannel::new(&[Manner::HangsUp, Manner::Refuses(status::STANDBY_QMGR)]);
    let output = shell.send_over(&channel.port, "500ms", "");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("2543"), "{text}");
    assert!(channel.connections() > 2, "it tried {} times", channel.connections());
    // The port of a listener that is closed again.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let output = shell.send_over(&closed, "500ms", "");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(4) && text.contains("Connection refused"), "{text}");
    assert!(text.contains("within 0.5 s"), "{text}");
}

#[test]
fn what_waiting_does_not_mend_is_told_at_once() {
    let shell = Shell::new();
    for (code, reason) in [
        (status::SECURITY, "2035"),
        (status::NO_CHANNEL, "2540"),
        (status::CHANNEL_UNAVAILABLE, "2537"),
        (status::CIPHER_SPEC, "2393"),
    ] {
        let manners: &'static [Manner] = Box::leak(Box::new([Manner::Refuses(code)]));
        let channel = FakeChannel::new(manners);
        let output = shell.send_over(&channel.port, "1m", "");
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && text.contains(reason), "{reason}: {text}");
        assert_eq!(channel.connections(), 1, "{reason}");
    }
}

#[test]
fn send_that_ends_early_says_how_much_it_sent() {
    let channel = FakeChannel::new(&[Manner::Commits(2)]);
    let output = Shell::new().send_over(&channel.port, "1m", "one\ntwo\nthree\nfour\n\n");
    let text = String::from_utf8(output.stderr).unwrap();
    let (before, after) = text.split_once(", then:\n").expect("it says what was before");
    assert!(before.ends_with("2 persistent messages sent to HA.QUEUE"), "{text}");
    assert!(output.status.code() == Some(1) && after.contains("2549"), "{text}");
}

#[test]
fn a_queue_that_is_not_there_is_named() {
    let shell = Shell::new();
    for arguments in [
        &["put", "NO.SUCH", "-M", "a"][..],
        &["get", "NO.SUCH"],
        &["browse", "NO.SUCH"],
        &["requeue", "NO.SUCH"],
        &["send", "NO.SUCH"],
    ] {
        let (code, text) = shell.fails(arguments);
        assert!(
            code == 1 && text.contains("NO.SUCH") && text.contains("2085"),
            "{arguments:?}: {code} {text}"
        );
    }
}

#[test]
fn a_command_that_has_no_json_says_so_and_the_others_have_it() {
    let shell = Shell::new();
    for name in
        ["runmqsc", "dmpmqcfg", "dspmq", "strmqm", "endmqm", "amqsput", "amqsget", "amqsgbr", "amqsbcgc"]
    {
        let (code, text) = shell.fails(&["--json", name]);
        let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        assert!(code == 2 && report["text"].as_str().unwrap().contains("no JSON"), "{name}: {text}");
    }
    let json =
        |arguments: &[&str]| serde_json::from_str::<serde_json::Value>(&shell.ok(arguments, "")).unwrap();
    assert_eq!(json(&["--json", "mqrc", "2053"])["name"], "Q_FULL");
    assert_eq!(json(&["--json", "mqrc", "2090"])["name"], "WAIT_INTERVAL_ERROR");
    assert_eq!(json(&["--json", "dspmqver"])["name"], "Trimaran");
    let (code, text) = shell.fails(&["--json", "mqrc", "1"]);
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((code, &report["exit_code"]), (1, &1.into()));
}

#[test]
fn a_certificate_without_its_key_names_options_and_variables() {
    let shell = Shell::new();
    let (code, text) = shell.fails(&["--tls-ca", "ca.pem", "--tls-cert", "joe.pem", "get", "HA.QUEUE"]);
    assert!(code == 2 && text.contains("--tls-key") && text.contains("TRIMARAN_TLS_CERT"), "{code}: {text}");
    let (code, text) = shell.fails(&["--tls-cert", "joe.pem", "--tls-key", "joe.key", "get", "HA.QUEUE"]);
    assert!(code == 2 && text.contains("TRIMARAN_TLS_CA"), "{code}: {text}");
}

#[test]
fn every_node_that_was_asked_in_vain_is_named() {
    let shell = Shell::new();
    let (code, text) =
        shell.fails(&["--connect", "127.0.0.1:1,127.0.0.1:2", "--within", "300ms", "get", "HA.QUEUE"]);
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("127.0.0.1:1: Connection refused; 127.0.0.1:2: Connection refused"), "{text}");
    for command in [&["recover", "--from-best"][..], &["cluster", "upgrade", "--check"]] {
        let (code, text) =
            shell.fails(&[&["--connect", "127.0.0.1:1", "--within", "300ms"], command].concat());
        assert!(code == 4 && text.contains("127.0.0.1:1: Connection refused"), "{command:?}: {code} {text}");
    }
}

#[test]
fn a_change_of_nothing_is_not_said_to_be_made() {
    let shell = Shell::new();
    for words in [&["alter", "QMGR"][..], &["alter", "QALIAS", "A"], &["queue", "alter", "HA.QUEUE"]] {
        let (code, text) = shell.fails(words);
        assert_eq!(code, 2, "{words:?}: {text}");
        assert!(text.contains("name an attribute"), "{words:?}: {text}");
    }
}

#[test]
fn no_attribute_that_was_said_is_left_out() {
    let shell = Shell::new();
    for (words, said) in [
        (&["alter", "qlocal", "Q", "--maxdepth", "5", "maxdepth=6"][..], "say it once"),
        (&["alter", "qmgr", "--descr", "zzz", "DESCR=yyy"], "say it once"),
        (&["alter", "qmgr", "--maxdepth", "5"], "QMGR has no attribute MAXDEPTH"),
        (&["define", "qalias", "Q", "--maxdepth", "5"], "QALIAS has no attribute MAXDEPTH"),
        (&["set", "CHLAUTH", "C", "--descr", "a", "descr=b"], "say it once"),
    ] {
        let (code, text) = shell.fails(words);
        assert!(code == 2 && text.contains(said), "{words:?}: {code} {text}");
    }
}

#[test]
fn exit_codes_tell_what_happened() {
    let mut shell = Shell::new();
    let (code, text) = shell.fails(&["get", "HA.QUEUE"]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("reason 2033"), "{text}");
    let (code, text) = shell.fails(&["put", "NO.SUCH.QUEUE", "--message", "x"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("reason 2085 UNKNOWN_OBJECT_NAME"), "{text}");
    let (code, text) = shell.fails(&["--json", "put", "NO.SUCH.QUEUE", "--message", "x"]);
    let report: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!((code, &report["reason"], &report["exit_code"]), (1, &2085.into(), &1.into()));
    assert_eq!(shell.fails(&["--queue-manager", "other", "get", "HA.QUEUE"]).0, 1);
    assert_eq!(shell.fails(&["get"]).0, 2);
    assert_eq!(shell.fails(&["--connect", "not an address", "get", "HA.QUEUE"]).0, 2);
    assert_eq!(shell.fails(&["put", "HA.QUEUE", "--file", "/no/such/file"]).0, 5);
    assert_eq!(shell.fails(&["--tls-ca", "/no/such/file", "get", "HA.QUEUE"]).0, 5);
    shell.nodes[0].kill();
    let (code, text) = shell.fails(&["--within", "300ms", "get", "HA.QUEUE"]);
    assert_eq!(code, 4, "{text}");
}

#[test]
fn the_outcome_of_a_unit_can_be_asked_for() {
    let shell = Shell::new();
    let asked = || shell.run(&["outcome", "unit 1"], "");
    for output in [asked(), asked()] {
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "backed out\n");
        let hint = String::from_utf8(output.stderr).unwrap();
        assert!(hint.contains("is the name the right one?"), "{hint}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&shell.ok(&["--json", "outcome", "0x00ff"], "")).unwrap();
    assert_eq!((&json["unit"], &json["committed"]), (&"00ff".into(), &false.into()));
}

#[test]
fn help_has_topics() {
    let shell = Shell::new();
    let topics = shell.ok(&["help", "topics"], "");
    for line in topics.lines() {
        let topic = line.split_whitespace().next().unwrap();
        assert!(shell.ok(&["help", topic], "").len() > 100, "{topic}");
    }
    assert!(shell.ok(&["help", "queue", "create"], "").contains("--maxdepth"));
    assert_eq!(shell.fails(&["help", "nonsense"]).0, 2);
    let one = shell.ok(&["help", "reasons", "2033"], "");
    assert!(one.contains("MQRC_NO_MSG_AVAILABLE") && !one.contains("2035"), "{one}");
    assert!(shell.fails(&["help", "reasons", "nonsense"]).1.contains("is no reason"));
}
