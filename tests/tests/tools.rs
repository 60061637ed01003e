//! Commands of MQ's administrators under their own names, against three real nodes: messages saved and restored, authorities, and a script
//! that is applied.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`). `TRIMARAN_SEED` says which messages.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio_stream::StreamExt;
use trimaran_client::{Attributes, Connection, Descriptor, GetOptions, Message, Persistence, hex, reason};
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::faults::Chance;
use trimaran_tests::process::{Cluster, Plan, Typed, seed};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn start(typed: &Typed, line: &str) -> Child {
    typed.command(line).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts")
}

/// How many messages a file of dmpmqmsg has, by now.
fn messages_in(typed: &Typed, file: &str) -> usize {
    let text = std::fs::read_to_string(typed.path(file)).unwrap_or_default();
    text.lines().filter(|line| line.starts_with("A VER ")).count()
}

async fn create(connection: &Connection, queue: &str) {
    let attributes = Attributes::new().with("MAXDEPTH", 100_000);
    connection.admin().create_queue(queue, attributes).await.expect("a new queue can be created");
}

async fn browse(connection: &Connection, queue: &str) -> Vec<Message> {
    let messages = connection.queue(queue).browse().collect::<Result<Vec<Message>, _>>().await;
    messages.expect("it can be browsed")
}

/// What is kept of a message that was saved and restored: all but when it was put, how often it was backed out, and how much of its time is
/// left.
fn lasting(messages: &[Message]) -> Vec<Message> {
    let lasting = |message: &Message| {
        let mut message = message.clone();
        let md = &mut message.descriptor;
        (md.put_time_ms, md.backout_count) = (0, 0);
        md.expiry = md.expiry.map(|_| 1);
        md.message_sequence_number = md.message_sequence_number.filter(|number| *number > 1);
        message
    };
    messages.iter().map(lasting).collect()
}

fn text(chance: &mut Chance, most: usize) -> String {
    const LETTERS: [&str; 8] = ["A", "z", "7", ".", "~", "\"", "\n", "é"];
    let mut text = String::new();
    for _ in 0..chance.below(most as u64 + 1) {
        let letter = LETTERS[chance.below(8) as usize];
        if text.len() + letter.len() <= most {
            text.push_str(letter);
        }
    }
    text
}

fn id(chance: &mut Chance, most: u64) -> Vec<u8> {
    let mut id: Vec<u8> = (0..chance.below(most + 1)).map(|_| chance.below(256) as u8).collect();
    // Zeros at the end are padding.
    id.truncate(id.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
    id
}

/// An MQRFH2 with properties, in front of a text.
fn with_properties(number: u64) -> Vec<u8> {
    let mut folder = format!("<usr><number dt='i8'>{number}</number></usr>").into_bytes();
    folder.resize(folder.len().next_multiple_of(4), b' ');
    let mut body = b"RFH ".to_vec();
    let length = 36 + 4 + folder.len() as u32;
    for value in [2, length, 546, 1208] {
        body.extend_from_slice(&u32::to_le_bytes(value));
    }
    body.extend_from_slice(b"MQSTR   ");
    for value in [0, 1208, folder.len() as u32] {
        body.extend_from_slice(&u32::to_le_bytes(value));
    }
    body.extend_from_slice(&folder);
    body.extend_from_slice(b"text");
    body
}

/// With every field that a program can set. Every third is not persistent; every fifth has the id of the one before.
fn message(chance: &mut Chance, number: u64) -> Message {
    let is_grouped = number.is_multiple_of(7);
    let has_properties = number.is_multiple_of(4);
    let body = match number % 4 {
        0 => with_properties(number),
        1 => (0..chance.below(5000)).map(|_| chance.below(256) as u8).collect(),
        2 => text(chance, 200).into_bytes(),
        _ => Vec::new(),
    };
    let number_of = |chance: &mut Chance| chance.below(1000) as u32;
    let descriptor = Descriptor {
        // MQRO_PASS_MSG_ID and MQRO_PASS_CORREL_ID: nothing is reported.
        report: if chance.below(2) == 0 { 0xc0 } else { 0 },
        message_type: [None, Some(1), Some(2), Some(4), Some(70_000)][chance.below(5) as usize],
        expiry: (chance.below(2) == 0).then(|| 36_000_000 + number_of(chance)),
        feedback: number_of(chance),
        encoding: (chance.below(2) == 0).then_some(273),
        coded_character_set: (chance.below(2) == 0).then_some(819),
        format: if has_properties { "MQHRF2".into() } else { text(chance, 8) },
        priority: Some(chance.below(10) as u32),
        persistence: if number.is_multiple_of(3) {
            Persistence::NotPersistent
        } else {
            Persistence::Persistent
        } as i32,
        message_id: [b"id ".to_vec(), (number - u64::from(number.is_multiple_of(5))).to_be_bytes().to_vec()]
            .concat()
            .into(),
        correlation_id: id(chance, 24).into(),
        reply_to_queue: format!("R{}", text(chance, 40)),
        reply_to_queue_manager: text(chance, 48),
        user_identifier: format!("u{}", text(chance, 10)),
        accounting_token: id(chance, 32).into(),
        application_identity_data: text(chance, 32),
        put_application_type: number_of(chance),
        put_application_name: format!("a{}", text(chance, 20)),
        application_origin_data: text(chance, 4),
        group_id: if is_grouped { (number + 1).to_be_bytes().to_vec() } else { Vec::new() }.into(),
        message_sequence_number: is_grouped.then(|| 2 + number_of(chance)),
        offset: number_of(chance),
        // In a group, and its last one.
        message_flags: if is_grouped { 0x18 } else { 0 },
        original_length: (chance.below(2) == 0).then(|| number_of(chance)),
        ..Descriptor::default()
    };
    Message { descriptor, body: body.into() }
}

/// Saved, restored, copied and moved: descriptors, properties and bytes are the same, in the same order, in each form of the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_saved_and_restored_as_they_were() {
    let mut chance = Chance::new(seed());
    let cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let connection = cluster.connect().await;
    for queue in ["A", "B"] {
        create(&connection, queue).await;
    }
    let a = connection.queue("A");
    for number in 1..=100 {
        a.put(message(&mut chance, number)).await.unwrap_or_else(|error| panic!("{number}: {error}"));
    }
    a.put(Message::new(vec![0xa5; 3 << 20])).await.expect("a big one is put");
    let put = browse(&connection, "A").await;
    assert_eq!(put.len(), 101);

    typed.expect(
        "dmpmqmsg -i A -f copy",
        0,
        &["Read    - Files:   0  Messages:   101", "Written - Files:   1  Messages:   101"],
    );
    assert_eq!(browse(&connection, "A").await.len(), 101, "who browses takes nothing");
    typed.expect("dmpmqmsg -i A -f copy", 160, &["copy is there; -F writes over it"]);
    typed.expect(&format!("dmpmqmsg -m {QUEUE_MANAGER} -c -I A -F copy -dA -t 7"), 0, &["Messages:   101"]);
    assert_eq!(browse(&connection, "A").await, [], "they are in the file");
    typed.expect("dmpmqmsg -o A -f copy -t 9", 0, &["Read    - Files:   1  Messages:   101"]);
    assert_eq!(lasting(&browse(&connection, "A").await), lasting(&put));

    typed.expect("dmpmqmsg -i A -o B -q", 0, &[]);
    assert_eq!(lasting(&browse(&connection, "B").await), lasting(&put));
    typed.expect("dmpmqmsg -IA -oB", 0, &["Written - Files:   0  Messages:   101"]);
    assert_eq!(browse(&connection, "A").await, []);
    let twice = browse(&connection, "B").await;
    assert_eq!(twice.len(), 202);

    // Chosen, to standard output, which is read again; one file each; and reformatted without a queue manager.
    let chosen = "0000000000000008";
    let shown =
        typed.expect(&format!("dmpmqmsg -i B -f stdout -q -gxm696420{chosen} -dA"), 0, &["\nA RTQ R"]);
    assert_eq!(shown.matches("A VER 2\n").count(), 2, "{shown}");
    typed.expect("dmpmqmsg -I B -f each.%N -r 3#2", 0, &["Written - Files:   2  Messages:     2"]);
    let third = std::fs::read_to_string(typed.path("each.00001")).expect("the first file");
    assert!(third.starts_with("* DMPMQMSG Version:") && third.matches("A VER 2").count() == 1, "{third}");
    assert_eq!(browse(&connection, "B").await.len(), 200);
    typed.expect("dmpmqmsg -o A -f each.%N", 0, &["Read    - Files:   2  Messages:     2"]);
    assert_eq!(lasting(&browse(&connection, "A").await), lasting(&twice[2..4]));
    typed.expect("dmpmqmsg -f copy -f other -dc", 0, &["Written - Files:   1  Messages:   101"]);
    typed.expect(
        "dmpmqmsg -I B -o A -x a5a5a5a5 -p",
        0,
        &["Read    - Files:   0  Messages:   200", "Messages:     2"],
    );
    assert_eq!((browse(&connection, "A").await.len(), browse(&connection, "B").await), (4, Vec::new()));
    typed.expect("dmpmqmsg -i A -ds", 0, &["Biggest  Message : 3.0 MiB", "Messages:     4"]);

    // Who waits takes what comes meanwhile, longer than a node may be silent to a call that does not wait.
    let waiting = start(&typed, "dmpmqmsg -I A -f waited -w 8");
    let begun = Instant::now();
    while !browse(&connection, "A").await.is_empty() {
        assert!(begun.elapsed() < seconds(30), "what was there is taken at once");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(seconds(4)).await;
    a.put(Message::text("late")).await.expect("it is put");
    let output = waiting.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("Written - Files:   1  Messages:     5"), "{said}");

    // Of several with one id those are taken that are meant.
    for number in ["one", "two", "three", "two"] {
        a.put(Message::text(number).message_id("twin")).await.expect("it is put");
    }
    typed.expect("dmpmqmsg -I A -f twins -s two", 0, &["Messages:     2"]);
    let left = browse(&connection, "A").await;
    let mut left: Vec<&str> = left.iter().filter_map(Message::as_text).collect();
    left.sort_unstable();
    assert_eq!(left, ["one", "three"]);

    // As MQ's own.
    typed.expect("dmpmqmsg -i NOPE -f none", 2085 % 256, &["2085 UNKNOWN_OBJECT_NAME"]);
    typed.expect("dmpmqmsg -i A -o A", 2, &["the queue would be read while it is written"]);
    typed.expect("dmpmqmsg -o A -f missing", 160, &["missing: No such file or directory"]);
}

/// A restore that ends in the middle says how far it came and how it goes on; then everything is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_that_ends_in_the_middle_says_where_it_goes_on() {
    let cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let connection = cluster.connect().await;
    create(&connection, "A").await;
    let a = connection.queue("A");
    for number in 0..100 {
        a.put(Message::text(format!("{number}")).persistent(number % 30 != 29)).await.expect("it is put");
    }
    let put = browse(&connection, "A").await;
    typed.expect("dmpmqmsg -I A -f saved", 0, &["Messages:   100"]);

    connection.admin().alter_queue("A", Attributes::new().with("MAXDEPTH", 47)).await.expect("it is altered");
    // Units of 10 end where persistence changes, so that order is kept: 10, 10, 9, 1, 10, then 7 of 10 would fit.
    let said = ["messages 41 to 50, from line", "of saved on:", "2053 Q_FULL", "-r 41.. goes on behind it"];
    typed.expect("dmpmqmsg -o A -f saved -t 10", 2053 % 256, &said);
    assert_eq!(browse(&connection, "A").await.len(), 40, "a unit of work is there as a whole or not at all");
    connection
        .admin()
        .alter_queue("A", Attributes::new().with("MAXDEPTH", 100))
        .await
        .expect("it is altered");
    typed.expect("dmpmqmsg -o A -f saved -r 41..", 0, &["Messages:    60"]);
    assert_eq!(lasting(&browse(&connection, "A").await), lasting(&put));

    // What is wrong in the file is said with its line, and what stands before it is there.
    let text = std::fs::read_to_string(typed.path("saved")).expect("a file");
    let at = text.match_indices("A VER").nth(50).expect("there are as many").0;
    std::fs::write(typed.path("broken"), format!("{}A VAR 2\n", &text[..at])).expect("a file");
    create(&connection, "B").await;
    typed.expect(
        "dmpmqmsg -o B -f broken",
        160,
        &["there is no attribute VAR", "50 messages were written", "-r 51.."],
    );
    assert_eq!(lasting(&browse(&connection, "B").await), lasting(&put[..50]));

    // MAXUMSGS is less than -t asks for.
    connection.admin().alter("QMGR", "", Attributes::new().with("MAXUMSGS", 8)).await.expect("it is altered");
    create(&connection, "C").await;
    typed.expect("dmpmqmsg -o C -f saved", 0, &["Messages:   100"]);
    typed.expect("dmpmqmsg -I C -F saved", 0, &["Messages:   100"]);
    assert_eq!((browse(&connection, "C").await, messages_in(&typed, "saved")), (Vec::new(), 100));
}

/// The active node is killed, and dmpmqmsg itself, while it takes messages: each is in the file or on its queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_is_lost_while_it_is_taken() {
    let mut cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let connection = cluster.connect().await;
    create(&connection, "A").await;
    for number in 0..400 {
        let message = Message::text(format!("{number}")).message_id(format!("m{number:03}"));
        connection.queue("A").put(message).await.expect("it is put");
    }
    let wait_for = |file: &str, messages: usize| {
        let begun = Instant::now();
        while messages_in(&typed, file) < messages {
            assert!(begun.elapsed() < seconds(30), "{} messages in {file}", messages_in(&typed, file));
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    // Each in a unit of work of its own, which takes a while.
    let child = start(&typed, "dmpmqmsg -I A -f first -D 2 -r #200");
    wait_for("first", 50);
    let serving = cluster.wait_serving(seconds(10));
    cluster.kill(serving);
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("Messages:   200"), "{said}");
    cluster.start_node(serving);
    cluster.wait_in_sync(serving, seconds(30)).await.unwrap_or_else(|text| panic!("{text}"));

    let mut child = start(&typed, "dmpmqmsg -I A -f second -D 2");
    wait_for("second", 50);
    child.kill().expect("it is killed");
    let _ = child.wait();
    let child = start(&typed, "dmpmqmsg -I A -f third -D 2");
    wait_for("third", 20);
    // SIGTERM: the unit of work that is under way ends.
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(130) && said.contains("Interrupted: "), "{said}");

    let connection = cluster.connect().await;
    let mut found = BTreeMap::<String, usize>::new();
    for message in browse(&connection, "A").await {
        *found.entry(message.message_id_hex()).or_default() += 1;
    }
    for file in ["first", "second", "third"] {
        let text = std::fs::read_to_string(typed.path(file)).expect("a file");
        for line in text.lines().filter_map(|line| line.strip_prefix("A MSI ")) {
            *found.entry(line[..8].to_lowercase()).or_default() += 1;
        }
    }
    let lost: Vec<u32> =
        (0..400).filter(|number| !found.contains_key(&hex(format!("m{number:03}").as_bytes()))).collect();
    assert!(lost.is_empty(), "neither in a file nor on the queue: {lost:?}");
    // Killed between the file and the commit, one can be in both.
    let twice = found.values().filter(|times| **times > 1).count();
    assert!(twice <= 1, "{twice} messages are in two places");
}

/// Messages are selected, groups come in their order, and a message that is locked is nobody else's.
#[tokio::test(flavor = "multi_thread")]
async fn messages_are_selected_grouped_and_locked() {
    let cluster = Cluster::start(Plan::default());
    let typed = Typed::of(&cluster);
    let connection = cluster.connect().await;
    create(&connection, "A").await;
    let queue = connection.queue("A");
    // Two groups, each in two pieces between those of the other, the second one without its end.
    let parts = [("g1", 1, false), ("g2", 1, false), ("g1", 2, true), ("g2", 2, false)];
    for (group, number, is_last) in parts {
        let mut message = Message::text(format!("{group}.{number}")).group_id(group).priority(3);
        message.descriptor.message_sequence_number = Some(number);
        message.descriptor.message_flags = if is_last { 24 } else { 8 };
        queue.put(message).await.expect("it is put");
    }
    queue.put(Message::text("urgent").priority(8)).await.expect("it is put");
    let urgent = "JMSPriority>4";
    typed.expect(&format!("trimaran browse A --bodies --selector {urgent}"), 0, &["urgent"]);
    typed.expect("trimaran browse A --selector JMSPriority>", 1, &["2459"]);
    typed.expect("trimaran browse A --bodies --logical-order", 0, &["urgent\ng1.1\ng1.2\ng2.1\ng2.2\n"]);
    let selected = queue.get_with(GetOptions::new().selector(urgent)).await.expect("a valid selector");
    assert_eq!(selected.expect("it is there").as_text(), Some("urgent"));
    assert!(queue.get_with(GetOptions::new().selector(urgent)).await.expect("as before").is_none());
    let delivery = queue.get_under_syncpoint(GetOptions::new().selector("JMSPriority = 3")).await;
    delivery.expect("a valid selector").expect("it is there").backout().await.expect("it comes back");

    let mut cursor = queue.cursor();
    assert!(cursor.lock().await.is_err_and(|error| error.reason() == Some(reason::NO_MSG_UNDER_CURSOR)));
    assert_eq!(cursor.next().await.expect("browsed").expect("the first").as_text(), Some("g1.1"));
    assert!(cursor.lock().await.expect("it is there"));
    let shown = typed.expect("trimaran browse A --bodies", 0, &["g2.1\ng1.2\ng2.2\n"]);
    assert!(!shown.contains("g1.1"), "{shown}");
    assert!(cursor.unlock().await.expect("what was locked") && !cursor.unlock().await.expect("once"));

    let whole = GetOptions::new().logical_order().all_messages_available();
    let mut unit = connection.unit_of_work().await.expect("a unit");
    for expected in ["g1.1", "g1.2"] {
        let message = unit.get("A", whole.clone()).await.expect("it can be got").expect("it is there");
        assert_eq!(message.as_text(), Some(expected));
    }
    unit.commit().await.expect("committed");
    let shown = typed.expect("trimaran get A --all --logical-order --all-available", 0, &[]);
    assert!(!shown.contains("g2"), "the end of that group is not there: {shown}");
    typed.expect("trimaran get A --all --logical-order", 0, &["g2.1\ng2.2\n"]);
}

/// Authorities are given, shown, dumped, made again from their dump, and taken away, and all three commands say what they are worth.
#[test]
fn authorities_are_set_and_shown_as_in_mq() {
    let mut cluster = Cluster::start(Plan::default());
    cluster.wait_serving(seconds(30));
    let typed = Typed::of(&cluster);
    let worth = "Authorities are kept and displayed, and not enforced yet.";
    let done = ["The setmqaut command completed successfully.", worth];
    typed.expect("trimaran queue create ORDERS.EUROPE", 0, &[]);

    typed.expect(
        &format!("setmqaut -m {QUEUE_MANAGER} -n ORDERS.** -t queue -g clerks -p joe +allmqi"),
        0,
        &done,
    );
    typed.expect("setmqaut -n ORDERS.EUROPE -t q -g clerks +get +browse", 0, &done);
    typed.expect("setmqaut -n ORDERS.** -t q -p joe -setall -setid -passall -passid +dsp", 0, &done);
    typed.expect("setmqaut -t qmgr -g clerks +connect +inq", 0, &done);

    let shown = typed.expect("dspmqaut -n ORDERS.EUROPE -t queue -p joe", 0, &[worth]);
    let entity = "Entity joe has the following authorizations for object ORDERS.EUROPE:\n";
    assert!(shown.starts_with(&format!("{entity}\tget\n\tbrowse\n\tput\n\tinq\n\tset\n\tdsp\n")), "{shown}");
    let shown = typed.expect("dspmqaut -n ORDERS.EUROPE -t q -g clerks", 0, &["\tget\n\tbrowse\n"]);
    assert!(!shown.contains("put"), "the profile that says more counts: {shown}");
    let own = format!(
        "Entity clerks has the following authorizations for object {QUEUE_MANAGER}:\n\tinq\n\tconnect\n"
    );
    typed.expect("dspmqaut -t qmgr -g clerks", 0, &[&own]);

    let shown = typed.expect("dmpmqaut -n ORDERS.EUROPE -t q", 0, &[
        "profile:     ORDERS.EUROPE\nobject type: queue\nentity:      clerks\nentity type: group\nauthority:   get browse\n- - -",
        "profile:     ORDERS.**\nobject type: queue\nentity:      joe\nentity type: principal\nauthority:   get browse put inq set dsp\n",
    ]);
    assert_eq!(shown.matches("profile:").count(), 3, "{shown}");
    assert_eq!(typed.expect("dmpmqaut -x -n ORDERS.EUROPE", 0, &[]).matches("profile:").count(), 1);
    typed.expect("dmpmqaut -l", 0, &["profile: ORDERS.**, type: queue\n", "profile: self, type: qmgr\n"]);

    let dumped = typed.expect("dmpmqaut -a", 0, &[worth]);
    for line in [
        "setmqaut -n ORDERS.** -t q -p joe -g clerks -remove",
        "setmqaut -n ORDERS.EUROPE -t q -g clerks -remove",
    ] {
        typed.expect(line, 0, &done);
    }
    typed.expect("setmqaut -n ORDERS.EUROPE -t q -g clerks -remove", 133, &["Unknown object name"]);
    typed.expect("setmqaut -t qmgr -g clerks -remove", 0, &done);
    assert!(!typed.run("dmpmqaut").1.contains("joe"));
    for line in dumped.lines().filter(|line| line.starts_with("setmqaut ")) {
        typed.expect(&line.replace('\'', ""), 0, &done);
    }
    assert_eq!(typed.expect("dmpmqaut -a", 0, &[]), dumped);

    for (line, code) in [
        ("setmqaut -n NOPE -t queue -g clerks +get", 133),
        ("setmqaut -n PROCESS -t process -g clerks +inq", 133),
        ("setmqaut -n A -t qmgr -g clerks +inq", 145),
        ("setmqaut -t queue -g clerks +get", 146),
        ("dspmqaut -n ORDERS.EUROPE -g clerks", 147),
        ("setmqaut -n A -t stone -g clerks +get", 148),
        ("dspmqaut -n ORDERS.EUROPE -t q", 149),
        ("setmqaut -n ORDERS.EUROPE -t q -g clerks", 150),
        ("setmqaut -n ORDERS.EUROPE -t q -g clerks +fly", 151),
        ("setmqaut -m NO.SUCH -t qmgr -g clerks +inq", 72),
    ] {
        typed.expect(line, code, &[]);
    }
    let nobody = "dspmqaut --connect 127.0.0.1:1 --within 100ms -t qmgr -g clerks";
    typed.expect(nobody, 40, &["AMQ8146E: IBM MQ queue manager not available."]);
}

/// A script with all kinds of objects: what would be changed, what was, and that a second time nothing is; nor by a dump of everything.
#[test]
fn a_script_of_all_kinds_is_applied_once() {
    let mut cluster = Cluster::start(Plan::default());
    cluster.wait_serving(seconds(30));
    let typed = Typed::of(&cluster);
    let script = "\
* all kinds
ALTER QMGR DESCR('the shop''s') DEADQ(SYSTEM.DEAD.LETTER.QUEUE) MAXUMSGS(500)
DEFINE QLOCAL(ORDERS) DESCR('orders') MAXDEPTH(7) NOSHARE DEFPSIST(YES)
DEFINE QLOCAL('Orders.like') LIKE(ORDERS) MAXDEPTH(9)
DEFINE QALIAS(ORDERS.ALIAS) TARGET(ORDERS)
DEFINE QREMOTE(ORDERS.REMOTE) RNAME(ORDERS) RQMNAME(OTHER)
DEFINE QMODEL(ORDERS.MODEL) DEFTYPE(PERMDYN) MAXDEPTH(3)
DEFINE CHANNEL(SHOP.SVRCONN) CHLTYPE(SVRCONN) MCAUSER('shop') HBINT(5)
DEFINE LISTENER(SHOP.LISTENER) TRPTYPE(TCP) PORT(0) CONTROL(MANUAL)
DEFINE TOPIC(SHOP.TOPIC) TOPICSTR('shop/orders')
DEFINE SUB('shop sub') TOPICSTR('shop/orders') DEST(ORDERS)
DEFINE AUTHINFO(SHOP.AUTH) AUTHTYPE(IDPWOS) CHCKCLNT(OPTIONAL)
SET CHLAUTH('SHOP.*') TYPE(ADDRESSMAP) ADDRESS('10.*') USERSRC(MAP) MCAUSER('shop')
SET CHLAUTH('SHOP.SVRCONN') TYPE(BLOCKUSER) USERLIST('guest','nobody')
SET AUTHREC PROFILE('ORDERS.**') OBJTYPE(QUEUE) GROUP('clerks') AUTHADD(GET,BROWSE,INQ)
SET AUTHREC OBJTYPE(QMGR) PRINCIPAL('joe','ann') AUTHADD(CONNECT,INQ)
";
    let commands = 15;
    std::fs::write(typed.path("shop.mqsc"), script).expect("a file");
    let would = typed.expect(
        "trimaran apply shop.mqsc --dry-run",
        0,
        &[&format!("{commands} would be changed, 0 unchanged")],
    );
    let twice = typed.expect("trimaran apply shop.mqsc --dry-run", 0, &[]);
    assert_eq!(would, twice, "nothing was changed by asking");
    let done = typed.expect("trimaran apply shop.mqsc", 0, &[&format!("{commands} changed, 0 unchanged")]);
    let foretold = |would: &str| would.replace("would be changed,", "changed,").replace("would be ", "");
    assert_eq!(done, foretold(&would), "what is done is what was said");
    typed.expect("trimaran apply shop.mqsc", 0, &[&format!("0 changed, {commands} unchanged")]);

    // What differs is changed, and nothing else; what is not said has its default.
    typed.expect("trimaran alter QLOCAL ORDERS MAXDEPTH=8 DEFPRTY=4", 0, &[]);
    typed.expect("trimaran set CHLAUTH SHOP.SVRCONN TYPE=BLOCKUSER USERLIST=guest --action replace", 0, &[]);
    let shown = typed.expect(
        "trimaran apply shop.mqsc",
        0,
        &[
            "changed QLOCAL(ORDERS): ",
            "MAXDEPTH(8) to \"7\"",
            "DEFPRTY(4) to \"0\"",
            "set CHLAUTH(SHOP.SVRCONN)",
        ],
    );
    assert!(shown.contains(&format!("2 changed, {} unchanged", commands - 2)), "{shown}");
    typed.expect("trimaran apply shop.mqsc", 0, &[&format!("0 changed, {commands} unchanged")]);

    // A dump of everything changes nothing.
    let dumped = typed.expect("dmpmqcfg -a", 0, &[]);
    std::fs::write(typed.path("all.mqsc"), &dumped).expect("a file");
    typed.expect("trimaran apply all.mqsc", 0, &["\n0 changed, ".trim_start()]);

    // Taken away, once.
    let gone = "DELETE SUB('shop sub')\nDELETE TOPIC(SHOP.TOPIC)\nDELETE LISTENER(SHOP.LISTENER)\nDELETE CHANNEL(SHOP.SVRCONN)\n\
        DELETE AUTHINFO(SHOP.AUTH)\nDELETE QALIAS(ORDERS.ALIAS)\nDELETE QREMOTE(ORDERS.REMOTE)\nDELETE QMODEL(ORDERS.MODEL)\n\
        DELETE QLOCAL('Orders.like')\nSET CHLAUTH('SHOP.*') TYPE(ADDRESSMAP) ADDRESS('10.*') ACTION(REMOVE)\n\
        SET CHLAUTH('SHOP.SVRCONN') TYPE(BLOCKUSER) ACTION(REMOVEALL)\n\
        SET AUTHREC OBJTYPE(QMGR) PRINCIPAL('joe') AUTHRMV(INQ)\n\
        DELETE AUTHREC PROFILE('ORDERS.**') OBJTYPE(QUEUE) GROUP('clerks')\n";
    std::fs::write(typed.path("gone.mqsc"), gone).expect("a file");
    typed.expect("trimaran apply gone.mqsc", 0, &["13 changed, 0 unchanged"]);
    typed.expect("trimaran apply gone.mqsc", 0, &["0 changed, 13 unchanged"]);

    // One command that is refused: what came before it is done, and said.
    std::fs::write(
        typed.path("half.mqsc"),
        "DEFINE QLOCAL(HALF)\nDEFINE QALIAS(ORDERS) TARGET(HALF)\nDEFINE QLOCAL(REST)\n",
    )
    .expect("a file");
    let said = ["defined QLOCAL(HALF)", "1 changed, 0 unchanged, then:", "not defined QALIAS(ORDERS)"];
    typed.expect("trimaran apply half.mqsc", 1, &said);

    // Commands that build on each other are asked about as they would be done.
    let chain = "DEFINE QLOCAL(ONE) MAXDEPTH(3)\nDEFINE QLOCAL(TWO) LIKE(ONE)\nALTER QLOCAL(ONE) MAXDEPTH(4)\nALTER QLOCAL(ONE) MAXDEPTH(4)\n\
        SET AUTHREC PROFILE(ONE) OBJTYPE(QUEUE) GROUP('clerks') AUTHADD(GET)\nSET AUTHREC PROFILE(ONE) OBJTYPE(QUEUE) GROUP('clerks') AUTHADD(GET)\n\
        SET AUTHREC PROFILE(ONE) OBJTYPE(QUEUE) GROUP('clerks') AUTHRMV(GET)\nDELETE QLOCAL(TWO)\nDELETE QLOCAL(TWO)\n";
    std::fs::write(typed.path("chain.mqsc"), chain).expect("a file");
    let would = typed.expect("trimaran apply chain.mqsc --dry-run", 0, &["6 would be changed, 2 unchanged"]);
    assert_eq!(
        typed.expect("trimaran apply chain.mqsc", 0, &[]),
        foretold(&would),
        "what is done is what was said"
    );
}
