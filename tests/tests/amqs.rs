//! MQ's samples by their names, against three real nodes: what they print to the letter, how they end, and how they find a
//! queue manager.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`).

use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use trimaran_client::{Attributes, Message};
use trimaran_tests::process::cluster::{QUEUE_MANAGER, free_ports};
use trimaran_tests::process::{Cluster, Plan, program};

const QUEUE: &str = "HA.QUEUE";
const CHANNEL: &str = "APP.SVRCONN";
/// MQ's variables, and ours that would have a say.
const VARIABLES: [&str; 7] = [
    "MQSERVER",
    "MQCCDTURL",
    "MQCHLLIB",
    "MQCHLTAB",
    "MQSAMP_USER_ID",
    "TRIMARAN_CONNECT",
    "TRIMARAN_QUEUE_MANAGER",
];

/// Nodes, a directory with links of MQ's names, and where MQSERVER leads.
struct Shop {
    cluster: Cluster,
    directory: tempfile::TempDir,
    mqserver: String,
}

/// How a program ended: exit code, standard output, standard error.
struct Ended {
    code: i32,
    said: String,
    besides: String,
}

impl Shop {
    /// Three nodes with a queue, one that takes nothing, one that gives nothing, and a channel.
    async fn open() -> Shop {
        let cluster = Cluster::start(Plan::default());
        let connection = cluster.connect().await;
        let admin = connection.admin();
        for (queue, attributes) in [
            (QUEUE, Attributes::new()),
            ("NO.PUTS", Attributes::new().with("PUT", "DISABLED")),
            ("NO.GETS", Attributes::new().with("GET", "DISABLED")),
        ] {
            admin.create_queue(queue, attributes).await.expect("a new queue can be created");
        }
        let attributes = Attributes::new().with("CHLTYPE", "SVRCONN");
        admin.define("CHANNEL", CHANNEL, "", false, attributes).await.expect("a new channel can be defined");
        connection.close().await;
        let directory = tempfile::tempdir().expect("a directory");
        for name in
            ["amqsput", "amqsputc", "amqsget", "amqsgetc", "amqsgbr", "amqsgbrc", "amqsbcg", "amqsbcgc"]
        {
            symlink(program("trimaran"), directory.path().join(name)).expect("a link");
        }
        let addresses: Vec<String> =
            cluster.nodes.iter().map(|node| node.mq.replace(':', "(") + ")").collect();
        let mqserver = format!("{CHANNEL}/TCP/{}", addresses.join(","));
        Shop { cluster, directory, mqserver }
    }

    /// With MQSERVER.
    fn run(&self, command: &[&str], input: impl AsRef<[u8]>) -> Ended {
        self.run_with(&[("MQSERVER", &self.mqserver)], command, input)
    }

    fn run_with(&self, variables: &[(&str, &str)], command: &[&str], input: impl AsRef<[u8]>) -> Ended {
        let mut program = Command::new(self.directory.path().join(command[0]));
        VARIABLES.iter().for_each(|name| {
            program.env_remove(name);
        });
        let mut child = program
            .args(&command[1..])
            .envs(variables.iter().copied())
            .env("USER", "tester")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // One that ends early does not read.
        let _ = child.stdin.take().expect("it is piped").write_all(input.as_ref());
        let output = child.wait_with_output().expect("the program ends");
        Ended {
            code: output.status.code().expect("it ends by itself"),
            said: String::from_utf8(output.stdout).expect("text"),
            besides: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Standard output of a program that has nothing to say besides, and ends with 0.
    fn ok(&self, command: &[&str], input: impl AsRef<[u8]>) -> String {
        let ended = self.run(command, input);
        assert_eq!((ended.code, ended.besides.as_str()), (0, ""), "{command:?}: {}", ended.said);
        ended.said
    }
}

fn lines(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn messages_for(queue: &str) -> String {
    format!("Messages for {queue:48}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_are_put_browsed_and_got_until_none_comes() {
    let shop = Shop::open().await;
    let started = ["Sample AMQSPUT0 start", "target queue is HA.QUEUE", "Sample AMQSPUT0 end"];
    assert_eq!(
        shop.ok(&["amqsput", QUEUE, QUEUE_MANAGER], "Hello\n two words \n\nnot sent\n"),
        lines(&started)
    );
    // The end of the input ends it as well, and a queue manager need not be named.
    assert_eq!(shop.ok(&["amqsputc", QUEUE], "no newline"), lines(&started));
    assert_eq!(
        shop.ok(&["amqsputc", QUEUE, QUEUE_MANAGER, "16", "0"], ""),
        lines(&[started[0], started[1], "open  options are 16", "close options are 0", started[2]])
    );
    assert_eq!(
        shop.ok(
            &["amqsput", "SYSTEM.DEFAULT.MODEL.QUEUE", QUEUE_MANAGER, "16", "0", QUEUE_MANAGER, "MINE.*"],
            ""
        ),
        lines(&[
            "Sample AMQSPUT0 start",
            "target queue is SYSTEM.DEFAULT.MODEL.QUEUE",
            "target queue manager is ha.queue.manager",
            "dynamic queue name is MINE.*",
            "open  options are 16",
            "close options are 0",
            "Sample AMQSPUT0 end",
        ])
    );
    for name in ["amqsgbr", "amqsgbrc"] {
        assert_eq!(
            shop.ok(&[name, QUEUE, QUEUE_MANAGER], ""),
            lines(&[
                "Sample AMQSGBR0 (browse) start",
                QUEUE_MANAGER,
                &messages_for(QUEUE),
                "1 <Hello>",
                "2 < two words >",
                "3 <no newline>",
                "no more messages",
                "Sample AMQSGBR0 (browse) end",
            ])
        );
    }
    let got = [
        "Sample AMQSGET0 start",
        "message <Hello>",
        "message < two words >",
        "message <no newline>",
        "no more messages",
        "Sample AMQSGET0 end",
    ];
    let begun = std::time::Instant::now();
    assert_eq!(shop.ok(&["amqsget", QUEUE, QUEUE_MANAGER], ""), lines(&got));
    assert!(begun.elapsed().as_secs() >= 15, "it waits for 15 seconds");
    assert_eq!(
        shop.ok(&["amqsgbr", QUEUE], ""),
        lines(&["Sample AMQSGBR0 (browse) start", "", "no more messages", "Sample AMQSGBR0 (browse) end"])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn amqsbcg_shows_descriptors_and_bytes() {
    let shop = Shop::open().await;
    let empty = [
        "",
        "AMQSBCG0 - starts here",
        "**********************",
        " ",
        " MQOPEN - 'HA.QUEUE'",
        " ",
        " ",
        " ",
        " No more messages ",
        " MQCLOSE",
        " MQDISC",
    ];
    assert_eq!(shop.ok(&["amqsbcg", QUEUE, QUEUE_MANAGER], ""), lines(&empty));

    shop.ok(&["amqsput", QUEUE], "Hello\n");
    let connection = shop.cluster.connect().await;
    let bytes = b"RFH \0\x01\x7f\x80\xffabcdefgh\n";
    let binary = Message::new(&bytes[..]).persistent(false).message_id([0xAB; 24]).correlation_id("mine");
    connection.queue(QUEUE).put(binary.priority(0).reply_to("ANSWERS")).await.expect("it is put");
    let first = connection.queue(QUEUE).cursor().next().await.expect("it can be browsed");
    let id = first.expect("it is there").message_id_hex().to_uppercase();
    connection.close().await;

    let zeros = "0".repeat(48);
    let of_text = Descriptor {
        kind: 8,
        format: "MQSTR",
        persistence: 1,
        message_id: &id,
        correlation_id: &zeros,
        reply_to: "",
        user: "tester",
        application_type: 6,
        application: "amqsput",
    };
    let correlation_id = format!("{:0<48}", trimaran_client::hex(b"mine").to_uppercase());
    let of_bytes = Descriptor {
        kind: 1,
        format: "",
        message_id: &"AB".repeat(24),
        correlation_id: &correlation_id,
        reply_to: "ANSWERS",
        persistence: 0,
        user: "anonymous",
        application_type: 0,
        application: "process test",
    };
    let expected = [
        &["", "AMQSBCG0 - starts here", "**********************", " ", " MQOPEN - 'HA.QUEUE'", " "]
            .map(String::from)[..],
        &[" ".into(), " MQGET of message number 1, CompCode:0 Reason:0".into()],
        &of_text.lines(),
        &body(5),
        &[format!("00000000:  4865 6C6C 6F{}'Hello           '", " ".repeat(38))],
        &[" ".into(), " ".into(), " MQGET of message number 2, CompCode:0 Reason:0".into()],
        &of_bytes.lines(),
        &body(18),
        &[
            "00000000:  5246 4820 0001 7F80 FF61 6263 6465 6667           'RFH .....abcdefg'".into(),
            format!("00000010:  680A{}'h.              '", " ".repeat(46)),
        ],
        &[" ", " ", " ", " No more messages ", " MQCLOSE", " MQDISC"].map(String::from),
    ]
    .concat();
    let shown: Vec<String> = shop.ok(&["amqsbcgc", QUEUE], "").lines().map(without_time).collect();
    assert_eq!(shown, expected);
}

/// What differs in descriptors.
struct Descriptor<'a> {
    kind: u32,
    format: &'a str,
    persistence: u32,
    message_id: &'a str,
    correlation_id: &'a str,
    reply_to: &'a str,
    user: &'a str,
    application_type: u32,
    application: &'a str,
}

impl Descriptor<'_> {
    fn lines(&self) -> Vec<String> {
        let text = format!(
            "****Message descriptor****\n\
             \n\
             \x20 StrucId  : 'MD  '  Version : 2\n\
             \x20 Report   : 0  MsgType : {}\n\
             \x20 Expiry   : -1  Feedback : 0\n\
             \x20 Encoding : 546  CodedCharSetId : 1208\n\
             \x20 Format : '{:8}'\n\
             \x20 Priority : 0  Persistence : {}\n\
             \x20 MsgId : X'{}'\n\
             \x20 CorrelId : X'{}'\n\
             \x20 BackoutCount : 0\n\
             \x20 ReplyToQ       : '{:48}'\n\
             \x20 ReplyToQMgr    : '{:48}'\n\
             \x20 ** Identity Context\n\
             \x20 UserIdentifier : '{:12}'\n\
             \x20 AccountingToken : \n\
             \x20  X'{}'\n\
             \x20 ApplIdentityData : '{:32}'\n\
             \x20 ** Origin Context\n\
             \x20 PutApplType    : '{}'\n\
             \x20 PutApplName    : '{:28}'\n\
             \x20 PutDate  : 'DDDDDDDD'    PutTime  : 'TTTTTTTT'\n\
             \x20 ApplOriginData : '    '\n\
             \n\
             \x20 GroupId : X'{}'\n\
             \x20 MsgSeqNumber   : '1'\n\
             \x20 Offset         : '0'\n\
             \x20 MsgFlags       : '0'\n\
             \x20 OriginalLength : '-1'",
            self.kind,
            self.format,
            self.persistence,
            self.message_id,
            self.correlation_id,
            self.reply_to,
            "",
            self.user,
            "0".repeat(64),
            "",
            self.application_type,
            self.application,
            "0".repeat(48),
        );
        text.lines().map(String::from).collect()
    }
}

fn body(bytes: usize) -> Vec<String> {
    [" ", "****   Message      ****", " ", &format!(" length - {bytes} of {bytes} bytes"), " "]
        .map(String::from)
        .to_vec()
}

/// Eight digits of a date and of a time are what they are.
fn without_time(line: &str) -> String {
    let is_time = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    match line.split('\'').collect::<Vec<_>>()[..] {
        [before, date, between, time, behind] if is_time(date) && is_time(time) => {
            format!("{before}'DDDDDDDD'{between}'TTTTTTTT'{behind}")
        }
        _ => line.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_ends_with_mq_s_line_and_reason() {
    let shop = Shop::open().await;
    let nobody = format!("{CHANNEL}/TCP/127.0.0.1({})", free_ports(1)[0]);
    let unknown = shop.mqserver.replacen(CHANNEL, "NO.SVRCONN", 1);
    let good = shop.mqserver.clone();
    for (mqserver, queue_manager, reason, besides) in [
        (nobody.as_str(), QUEUE_MANAGER, 2538, "Connection refused"),
        (&unknown, QUEUE_MANAGER, 2540, "NO.SVRCONN: There is no channel of this name"),
        (&good, "NO.SUCH.QM", 2058, "NO.SUCH.QM: There is no queue manager of this name"),
        ("HA.CHANNEL", QUEUE_MANAGER, 2058, "write MQSERVER='CHANNEL/TCP/host(1414)'"),
    ] {
        for (program, start, call) in [
            ("amqsput", "Sample AMQSPUT0 start\n".to_string(), "MQCONNX"),
            ("amqsgetc", "Sample AMQSGET0 start\n".to_string(), "MQCONNX"),
            ("amqsgbr", format!("Sample AMQSGBR0 (browse) start\n{queue_manager}\n"), "MQCONN"),
        ] {
            let ended = shop.run_with(&[("MQSERVER", mqserver)], &[program, QUEUE, queue_manager], "one\n");
            assert_eq!(
                ended.said,
                format!("{start}{call} ended with reason code {reason}\n"),
                "{}",
                ended.besides
            );
            assert_eq!(ended.code, reason & 0xFF, "a shell sees the last eight bits");
            assert!(
                ended.besides.starts_with("trimaran: ") && ended.besides.contains(besides),
                "{}",
                ended.besides
            );
        }
        let ended = shop.run_with(&[("MQSERVER", mqserver)], &["amqsbcg", QUEUE, queue_manager], "");
        let failed = format!(" MQCONNX failed with CompCode:2, Reason:{reason}");
        let start = ["", "AMQSBCG0 - starts here", "**********************", " "];
        assert_eq!((ended.code, ended.said), (2, lines(&[&start[..], &[&failed]].concat())));
        assert!(ended.besides.contains(besides), "{}", ended.besides);
    }

    for (command, reason, expected) in [
        (
            &["amqsput", "NO.QUEUE"][..],
            2085,
            &[
                "Sample AMQSPUT0 start",
                "target queue is NO.QUEUE",
                "MQOPEN ended with reason code 2085",
                "unable to open queue for output",
                "Sample AMQSPUT0 end",
            ][..],
        ),
        (
            &["amqsput", "NO.PUTS"],
            2051,
            &[
                "Sample AMQSPUT0 start",
                "target queue is NO.PUTS",
                "MQPUT ended with reason code 2051",
                "Sample AMQSPUT0 end",
            ],
        ),
        (
            &["amqsget", "NO.QUEUE"],
            2085,
            &[
                "Sample AMQSGET0 start",
                "MQOPEN ended with reason code 2085",
                "unable to open queue for input",
                "Sample AMQSGET0 end",
            ],
        ),
        (
            &["amqsget", "NO.GETS"],
            2016,
            &["Sample AMQSGET0 start", "MQGET ended with reason code 2016", "Sample AMQSGET0 end"],
        ),
        (
            &["amqsgbr", "NO.QUEUE"],
            2085,
            &[
                "Sample AMQSGBR0 (browse) start",
                "",
                "MQOPEN ended with reason code 2085",
                "unable to open queue for input",
                "Sample AMQSGBR0 (browse) end",
            ],
        ),
        (
            &["amqsgbr", "NO.GETS"],
            2016,
            &[
                "Sample AMQSGBR0 (browse) start",
                "",
                "MQGET ended with reason code 2016",
                "Sample AMQSGBR0 (browse) end",
            ],
        ),
    ] {
        let ended = shop.run(command, "one\ntwo\n");
        assert_eq!((ended.code, ended.said), (0, lines(expected)), "{command:?}");
        assert!(ended.besides.contains(&format!("reason {reason} ")), "{}", ended.besides);
    }
    for (queue, properties, code, expected) in [
        (
            "NO.QUEUE",
            "0",
            2,
            &[" MQOPEN - 'NO.QUEUE'", " MQOPEN failed with CompCode:2, Reason:2085", " MQDISC"][..],
        ),
        (
            "NO.GETS",
            "0",
            2,
            &[
                " MQOPEN - 'NO.GETS'",
                " ",
                " MQGET 1, failed with CompCode:2 Reason:2016",
                " MQCLOSE",
                " MQDISC",
            ],
        ),
        (
            QUEUE,
            "1",
            2,
            &[
                " MQOPEN - 'HA.QUEUE'",
                " MQCRTMH",
                "  failed with CompCode:2, Reason:2298",
                " MQCLOSE",
                " MQDISC",
            ],
        ),
    ] {
        let ended = shop.run(&["amqsbcg", queue, QUEUE_MANAGER, properties], "");
        let start = ["", "AMQSBCG0 - starts here", "**********************", " "];
        assert_eq!((ended.code, ended.said), (code, lines(&[&start[..], expected].concat())), "{queue}");
        assert!(!ended.besides.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_too_long_is_cut_or_stays() {
    let shop = Shop::open().await;
    let long = "x".repeat(65_536);
    shop.ok(&["amqsput", QUEUE], format!("{long}\n"));
    assert_eq!(
        shop.ok(&["amqsgbr", QUEUE], ""),
        lines(&[
            "Sample AMQSGBR0 (browse) start",
            "",
            &messages_for(QUEUE),
            &format!("1 <{}>", &long[1..]),
            "  --- truncated",
            "no more messages",
            "Sample AMQSGBR0 (browse) end",
        ])
    );
    let ended = shop.run(&["amqsget", QUEUE], "");
    let expected = ["Sample AMQSGET0 start", "MQGET ended with reason code 2080", "Sample AMQSGET0 end"];
    assert_eq!((ended.code, ended.said), (0, lines(&expected)));
    assert!(ended.besides.contains("has 65536 bytes and stays on the queue"), "{}", ended.besides);
    assert!(shop.ok(&["amqsbcg", QUEUE], "").contains(" length - 65536 of 65536 bytes\n"));
}

/// No cluster: what is said before anybody is asked.
#[test]
fn a_queue_has_to_be_named() {
    for (command, code, expected) in [
        ("amqsput", 99, "Sample AMQSPUT0 start\nRequired parameter missing - queue name\n"),
        ("amqsget", 99, "Sample AMQSGET0 start\nRequired parameter missing - queue name\n"),
        ("amqsgbr", 99, "Sample AMQSGBR0 (browse) start\nRequired parameter missing - queue name\n"),
        (
            "amqsbcg",
            4,
            "\nAMQSBCG0 - starts here\n**********************\n Required parameter missing - queue name\n\n\
             \x20 Usage: amqsbcg QName [ QMgrName ] [ PropOption ]\n",
        ),
    ] {
        let output = Command::new(program("trimaran")).arg(command).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_channels_leads_to_the_queue_manager() {
    let shop = Shop::open().await;
    let nobody = format!(r#"{{"host": "127.0.0.1", "port": {}}}"#, free_ports(1)[0]);
    let nodes: Vec<String> = (shop.cluster.nodes.iter())
        .filter_map(|node| node.mq.rsplit_once(':'))
        .map(|(host, port)| format!(r#"{{"host": "{host}", "port": {port}}}"#))
        .collect();
    let nodes = nodes.join(", ");
    let file = shop.directory.path().join("ccdt.json");
    let entry = |name: &str, connections: &str, queue_manager: &str, more: &str| {
        format!(
            r#"{{"name": "{name}", "type": "clientConnection", {more} "clientConnection":
               {{"connection": [{connections}], "queueManager": "{queue_manager}"}}}}"#
        )
    };
    let tls = r#""transmissionSecurity": {"cipherSpecification": "ANY_TLS12_OR_HIGHER"},"#;
    let table = [
        entry(CHANNEL, &nodes, QUEUE_MANAGER, ""),
        entry("A.SVRCONN", &nobody, QUEUE_MANAGER, ""),
        entry(CHANNEL, &nodes, "SHOPS", ""),
        entry(CHANNEL, &nodes, "SECURE", tls),
        entry(CHANNEL, &nodes, "OTHER.QM", ""),
    ];
    let write = |entries: &[String]| {
        std::fs::write(&file, format!("{{\"channel\": [{}]}}", entries.join(", "))).expect("a file");
    };
    write(&table);
    let path = file.to_str().expect("a path in UTF-8");
    let directory = shop.directory.path().to_str().expect("a path in UTF-8");
    let url = format!("file://{path}");
    let put = ["Sample AMQSPUT0 start", "target queue is HA.QUEUE", "Sample AMQSPUT0 end"];
    for variables in [
        &[("MQCCDTURL", url.as_str())][..],
        &[("MQCCDTURL", path)],
        &[("MQCHLLIB", directory), ("MQCHLTAB", "ccdt.json")],
    ] {
        // Nobody is at the first by the alphabet; the next one is tried.
        for queue_manager in [QUEUE_MANAGER, "*SHOPS"] {
            let ended = shop.run_with(variables, &["amqsput", QUEUE, queue_manager], "one\n");
            assert_eq!((ended.code, ended.said), (0, lines(&put)), "{}", ended.besides);
        }
    }
    for (queue_manager, reason, besides) in [
        // The name that a program gives is checked, that of a group is not.
        ("OTHER.QM", 2058, "entry 5 (APP.SVRCONN)"),
        (
            "NO.SUCH.QM",
            2058,
            "has no entry for queue manager NO.SUCH.QM; its entries are for OTHER.QM, SECURE, SHOPS",
        ),
        ("*SECURE", 2381, "entry 4 (APP.SVRCONN) of "),
    ] {
        let ended = shop.run_with(&[("MQCCDTURL", &url)], &["amqsput", QUEUE, queue_manager], "");
        let said = format!("Sample AMQSPUT0 start\nMQCONNX ended with reason code {reason}\n");
        assert_eq!((ended.code, ended.said), (reason & 0xFF, said));
        assert!(ended.besides.contains(besides) && ended.besides.contains(path), "{}", ended.besides);
    }
    std::fs::write(&file, "{\"channel\": [").expect("a file");
    let ended = shop.run_with(&[("MQCCDTURL", &url)], &["amqsget", QUEUE], "");
    assert_eq!(ended.said, "Sample AMQSGET0 start\nMQCONNX ended with reason code 2058\n");
    assert!(ended.besides.contains(&format!("{path} is no JSON")), "{}", ended.besides);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_asked_for_the_password_before_anything_else_is_read() {
    let shop = Shop::open().await;
    let variables = [("MQSERVER", shop.mqserver.as_str()), ("MQSAMP_USER_ID", "app")];
    let ended = shop.run_with(&variables, &["amqsput", QUEUE], "passw0rd\none\n\n");
    let said = "Sample AMQSPUT0 start\nEnter password: target queue is HA.QUEUE\nSample AMQSPUT0 end\n";
    assert_eq!((ended.code, ended.said.as_str(), ended.besides.as_str()), (0, said, ""));
    let ended = shop.run_with(&variables, &["amqsbcg", QUEUE], "passw0rd\n");
    let start = "\nAMQSBCG0 - starts here\n**********************\n Enter password: \n MQOPEN - 'HA.QUEUE'\n";
    assert!(ended.said.starts_with(start), "{}", ended.said);
    assert!(ended.said.contains("\n****   Message      ****\n \n length - 3 of 3 bytes\n"), "{}", ended.said);
    assert!(!ended.said.contains("passw0rd"), "{}", ended.said);
}
