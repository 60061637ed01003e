//! Administration by messages in PCF, at three real nodes: IBM's classes for it, unchanged, and a failover while commands are under way.
//!
//! Run with `--test-threads=1`; the programs must be built (`cargo build --workspace --bins`). Needs a JDK and Maven.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use trimaran_client::{Attributes, Connection, Message};
use trimaran_proto::mq::characters::Written;
use trimaran_proto::pcf::{self, Header, Parameter, commands, parameter};
use trimaran_tests::process::cluster::QUEUE_MANAGER;
use trimaran_tests::process::java::Java;
use trimaran_tests::process::{Cluster, Plan, run_program};

const COMMANDS: &str = "SYSTEM.ADMIN.COMMAND.QUEUE";
const REPLIES: &str = "PCF.REPLIES";
/// As messages of the client library are written that say nothing else.
const WRITTEN: Written = Written { ccsid: 1208, is_big: false };

async fn define(connection: &Connection, queue: &str) {
    connection.admin().create_queue(queue, Attributes::new()).await.expect("a new queue can be created");
}

fn mqsc(cluster: &Cluster, commands: &str) -> String {
    let connect = cluster.addresses().join(",");
    let output = run_program("trimaran", &["--connect", &connect, "runmqsc", "-e"], commands);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Until what a command displays has these words.
fn wait_for(cluster: &Cluster, command: &str, words: &str) {
    let begun = Instant::now();
    loop {
        let shown = mqsc(cluster, command);
        if shown.contains(words) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{words} is not in\n{shown}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_over_the_classes_for_pcf_administers_as_it_does_with_mq() {
    let java = Java::prepare().unwrap_or_else(|text| panic!("{text}"));
    let cluster = Cluster::start(Plan::default());
    let connection = cluster.connect().await;
    let admin = connection.admin();
    define(&connection, "DEAD.PCF").await;
    admin.alter("QMGR", "", Attributes::new().with("DEADQ", "DEAD.PCF")).await.expect("it can be altered");
    let server = Attributes::new().with("CHLTYPE", "SVRCONN");
    admin.define("CHANNEL", "APP.SVRCONN", "", false, server).await.expect("a channel can be defined");
    connection.close().await;
    let node = cluster.serving().expect("a node serves");
    let port = cluster.nodes[node].mq.rsplit(':').next().expect("an address has a port").to_string();
    let output = java.run("Administration", &[&port, QUEUE_MANAGER]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let printed: Vec<&str> = printed.lines().collect();
    assert!(output.status.success(), "{printed:#?}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        printed,
        [
            "connected to ha.queue.manager, level 943",
            "ping 1",
            "queue manager ha.queue.manager, units of 10000, suite B [1]",
            "of it 3, platform 3",
            "changed to Orders of the day",
            "status 2, command server 2",
            "queues PCF.A,PCF.ALIAS,PCF.B,PCF.C, types 1,3,1,1",
            "local PCF.A,PCF.B,PCF.C, 4 parameters, depth 10, made by a program",
            "of depth 20 PCF.B, put 1",
            "made so PCF.A,PCF.B,PCF.C",
            "names PCF.A,PCF.ALIAS,PCF.B,PCF.C,PCF.D [1, 3, 1, 1, 1]",
            "status of a queue: depth 2, input 1, output 1, uncommitted 0",
            "a handle: input 1, browse 0, channel APP.SVRCONN",
            "open 2042",
            "not empty 2055",
            "cleared to 0",
            "channel PCF.SVRCONN, instances 7",
            "changed to 8",
            "names PCF.SVRCONN",
            "status of a channel 3, 127.0.0.1",
            "no status 3065",
            "deleted 4032",
            "connections true, own 1, 24 bytes, true",
            "not started 3234",
            "listener at 127.0.0.1:0",
            "its status 0",
            "an address done 3337",
            "records 2, of type 1 for PCF.* joe,ann",
            "left 1, from 10.0.0.*",
            "none 3338",
            "authorities of joe with PCF.** [2, 11], object 1, in ha.queue.manager",
            "none 2085 2085",
            "AMQ8006I: IBM MQ queue created.",
            "shown 4, the last as",
            "AMQ8409I: Display Queue details.",
            "   QUEUE(PCF.E)                            TYPE(QLOCAL)",
            "   MAXDEPTH(5000)",
            "3008 AMQ8147E: IBM MQ object NONE not found.",
            "3008 AMQ8405I: Syntax error detected at or near end of command segment below:-",
            "3008 AMQ8405I: Syntax error detected at or near end of command segment below:-",
            "there already 4001",
            "replaced done",
            "not there 2085 2085 4032",
            "no value 4005",
            "no type 3022 3228",
            "no parameter 3015 3014",
            "no channel of that type 3034",
            "not done here 2298",
            "no command 3007 3007",
            "by hand in both orders and three character sets",
            "dead 3023 3016",
            "a reply without a place 2085",
            "event 45 2224 PCF.EVENTS, depth 2, put 2",
            "event 43 2368 1, object 5, configuration events 0",
            "event 43 2368 2, object 5, configuration events 1",
            "event 43 2367 1 PCF.EVENTS, object 1, origin 3, \"\"",
            "event 43 2368 1 PCF.EVENTS, object 1, origin 3, \"\"",
            "event 43 2368 2 PCF.EVENTS, object 1, origin 3, \"told\"",
            "event 43 2370 PCF.EVENTS, \"told\"",
            "not refreshed 3224 2298",
            "a pair true",
            "event 99 2413, command 11 with 5",
            "event 99 2413, command 8 with 3",
            "event 99 2413, command 16 with 2",
            "event 99 2413, command 1 with 4",
            "done",
        ]
    );
}

/// Each command is answered, by one node or the next; one that was carried out and whose answer was lost says so when it is carried
/// out again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_were_put_are_carried_out_after_a_failover() {
    const QUEUES: u32 = 60;
    let mut cluster = Cluster::start(Plan::default());
    let connection = cluster.connect().await;
    define(&connection, REPLIES).await;
    let commands = connection.queue(COMMANDS);
    for number in 0..QUEUES {
        let name = format!("MADE.{number}");
        let parameters =
            vec![Parameter::text(parameter::Q_NAME, name), Parameter::number(parameter::Q_TYPE, 1)];
        let create = pcf::Message { header: Header::command(commands::CREATE_Q), parameters };
        let mut message = Message::new(create.write(WRITTEN).freeze()).format("MQADMIN");
        message = message.message_id(format!("create {number}"));
        message.descriptor.message_type = Some(1);
        message.descriptor.reply_to_queue = REPLIES.into();
        message.descriptor.user_identifier = "harbour".into();
        message.descriptor.put_application_name = "maker".into();
        commands.put(message).await.expect("a command can be put");
        if number == QUEUES / 2 {
            cluster.kill(cluster.serving().expect("a node serves"));
        }
    }
    let replies = connection.queue(REPLIES);
    let mut reasons: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let all_ended = |reasons: &BTreeMap<String, Vec<i32>>| reasons.len() == QUEUES as usize;
    let mut last_ones = 0;
    while !all_ended(&reasons) || last_ones < QUEUES {
        let got = replies.get(Duration::from_secs(60)).await.expect("replies can be got");
        let got = got.unwrap_or_else(|| panic!("{} commands are answered", reasons.len()));
        let reply = pcf::read(&got.body, WRITTEN).expect("a reply is PCF");
        let of = String::from_utf8_lossy(&got.descriptor.correlation_id).into_owned();
        reasons.entry(of).or_default().push(reply.header.reason);
        last_ones += u32::from(reply.header.is_last);
    }
    assert_eq!(last_ones, QUEUES, "every command is answered once");
    for (command, reasons) in &reasons {
        assert!(matches!(reasons[..], [0] | [4001, 3008]), "{command}: {reasons:?}");
    }
    let made = connection.admin().show_queues("MADE.*").await.expect("they can be displayed");
    assert_eq!(made.len(), QUEUES as usize);
    for queue in &made {
        let by = queue.altered_by.clone().unwrap_or_default();
        assert_eq!(
            (&by.user[..], &by.application[..]),
            ("anonymous", "maker"),
            "whoever put the command made it, and not whom it names"
        );
    }
    connection.close().await;
}

/// Whoever cannot be told does not make a command be done again, nor those behind it wait: there is no dead-letter queue, it does
/// not exist, it is full, inhibited, or too small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_has_no_place_at_all_is_dropped_and_its_command_is_done_once() {
    let cluster = Cluster::start(Plan::default());
    let connection = cluster.connect().await;
    define(&connection, REPLIES).await;
    let made = mqsc(
        &cluster,
        "DEFINE QLOCAL(DEAD.FULL) MAXDEPTH(0)\nDEFINE QLOCAL(DEAD.SHUT) PUT(DISABLED)\n\
         DEFINE QLOCAL(DEAD.SMALL) MAXMSGL(1)\n",
    );
    assert!(made.contains("All valid MQSC commands were processed."), "{made}");
    let commands = connection.queue(COMMANDS);
    for dead in ["", "DEAD.NOWHERE", "DEAD.FULL", "DEAD.SHUT", "DEAD.SMALL", COMMANDS] {
        let admin = connection.admin();
        admin.alter("QMGR", "", Attributes::new().with("DEADQ", dead)).await.expect("it can be altered");
        for replies in ["NOWHERE", REPLIES] {
            let parameters = vec![Parameter::text(parameter::Q_NAME, "DEAD.FULL")];
            let clear = pcf::Message { header: Header::command(commands::CLEAR_Q), parameters };
            let mut message = Message::new(clear.write(WRITTEN).freeze()).format("MQADMIN");
            message.descriptor.message_type = Some(1);
            message.descriptor.reply_to_queue = replies.into();
            message.descriptor.user_identifier = "harbour".into();
            commands.put(message).await.expect("a command can be put");
        }
        let got = connection.queue(REPLIES).get(Duration::from_secs(20)).await.expect("replies can be got");
        let got = got.unwrap_or_else(|| panic!("{dead:?}: the next command is answered"));
        assert_eq!(pcf::read(&got.body, WRITTEN).expect("a reply is PCF").header.reason, 0, "{dead:?}");
    }
    wait_for(&cluster, &format!("DISPLAY QSTATUS({COMMANDS}) CURDEPTH UNCOM\n"), "CURDEPTH(0)");
    assert!(mqsc(&cluster, "DISPLAY QMSTATUS CMDSERV\n").contains("CMDSERV(RUNNING)"));
    let connect = cluster.addresses().join(",");
    let trail = run_program("trimaran", &["--connect", &connect, "audit", "--all"], "");
    let trail = String::from_utf8_lossy(&trail.stdout).into_owned();
    assert_eq!(trail.matches("CLEAR").count(), 12, "each is done once:\n{trail}");
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_server_is_no_client_and_can_be_switched_off() {
    let cluster = Cluster::start(Plan::default());
    let shown = "DISPLAY QMSTATUS CMDSERV CONNS\n";
    wait_for(&cluster, shown, "CMDSERV(RUNNING)");
    wait_for(&cluster, "DISPLAY CONN(*) ALL\n", "APPLTAG(amqpcsea)");
    let in_use = format!("DISPLAY QSTATUS({COMMANDS}) IPPROCS\n");
    assert!(mqsc(&cluster, &in_use).contains("IPPROCS(1)"));
    // Whoever asked before may be connected for a moment longer, at the first of the two commands or at both.
    let begun = Instant::now();
    loop {
        let both = mqsc(&cluster, "DISPLAY QMSTATUS CONNS\nDISPLAY CONN(*)\n");
        let others = both.matches("EXTCONN(").count() - 1;
        if both.contains(&format!("CONNS({others})")) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "it is connected and not counted:\n{both}");
    }
    mqsc(&cluster, "ALTER QMGR SCMDSERV(MANUAL)\n");
    wait_for(&cluster, shown, "CMDSERV(STOPPED)");
    assert!(mqsc(&cluster, &in_use).contains("IPPROCS(0)"));
    mqsc(&cluster, "ALTER QMGR SCMDSERV(QMGR)\n");
    wait_for(&cluster, shown, "CMDSERV(RUNNING)");
    // It keeps nobody from ending the queue manager.
    let connect = cluster.addresses().join(",");
    let ended = run_program("trimaran", &["--connect", &connect, "endmqm", "-w", QUEUE_MANAGER], "");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
