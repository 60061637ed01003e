//! What commands mean, and what is shown of them.

use super::*;
use crate::admin::v1::set_request::Action;
use crate::admin::v1::{
    Attribute, Condition, ListenerStatus, ObjectDetails, Passed, QueueManagerStatus, SessionDetails,
    StatusResponse,
};
use crate::attribute::Kind;
use crate::queue::v1::QueueStatus;

/// The segment and the reason of a command that is not understood.
fn fault(text: &str) -> (String, String) {
    let fault = parse(text).expect_err(text);
    (text[..fault.until].to_string(), fault.why)
}

fn queue(name: &str, attributes: &[(&str, &str)]) -> ObjectDetails {
    let attribute =
        |(name, value): &(&str, &str)| Attribute { name: name.to_string(), value: value.to_string() };
    ObjectDetails {
        kind: "QLOCAL".into(),
        name: name.into(),
        attributes: attributes.iter().map(attribute).collect(),
        created_ms: 1_745_290_868_000,
        altered_ms: 1_745_290_868_000,
        status: Some(QueueStatus { depth: 3, open_input: 1, oldest_age_s: 7, ..QueueStatus::default() }),
        altered_by: None,
    }
}

fn shown(text: &str, objects: Vec<ObjectDetails>) -> String {
    let command = parse(text).expect(text);
    Answer::of(&command, Some(&Reply::Objects(objects)), "QM1").lines.join("\n")
}

#[test]
fn the_lines_of_the_walkthrough_are_understood() {
    assert_eq!(
        parse("define qlocal (HA.QUEUE)"),
        Ok(Command::Define {
            kind: Kind::LocalQueue,
            name: "HA.QUEUE".into(),
            like: String::new(),
            replace: false,
            said: Vec::new()
        })
    );
    let said = vec![("CHLTYPE", "SVRCONN".into()), ("TRPTYPE", "TCP".into()), ("MCAUSER", "mqm".into())];
    assert_eq!(
        parse("define channel(HA.CHANNEL) chltype(svrconn) trptype(tcp) mcauser('mqm')"),
        Ok(Command::Define {
            kind: Kind::Channel,
            name: "HA.CHANNEL".into(),
            like: String::new(),
            replace: false,
            said
        })
    );
    assert_eq!(parse("end"), Ok(Command::End));
}

#[test]
fn short_forms_are_those_of_mq_and_no_others() {
    for (short, long) in [
        ("DEF QL(A)", "DEFINE QLOCAL(A)"),
        ("ALT QA(A) TARGQ(B)", "ALTER QALIAS(A) TARGET(B)"),
        ("DIS Q(*)", "DISPLAY QUEUE(*)"),
        ("DIS CHL(*)", "DISPLAY CHANNEL(*)"),
        ("DIS QS(A)", "DISPLAY QSTATUS(A)"),
        ("DIS CHS(*)", "DISPLAY CHSTATUS(*)"),
        ("REF SEC", "REFRESH SECURITY"),
    ] {
        assert_eq!(parse(short), parse(long));
    }
    for text in ["DEFI QLOCAL(A)", "DEF QLOC(A)", "DEL QL(A)", "DISP Q(*)"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_fault_shows_how_far_the_command_made_sense() {
    for (text, until, why) in [
        ("DEFINE BOGUS('X')", "DEFINE BOGUS('X')", ""),
        ("DISPLAY QMGR LOGTYPE DEADQ", "DISPLAY QMGR LOGTYPE", ""),
        ("DEFINE QLOCAL(A) FOO(1) MAXDEPTH(5)", "DEFINE QLOCAL(A) FOO", ""),
        (
            "DEFINE QLOCAL(A) MAXDEPTH(1000000000)",
            "DEFINE QLOCAL(A) MAXDEPTH(1000000000)",
            "MAXDEPTH is 0 to 999999999, not 1000000000.",
        ),
        (
            "DEFINE QLOCAL(A) PUT(NO) GET(NO)",
            "DEFINE QLOCAL(A) PUT(NO)",
            "PUT is ENABLED or DISABLED, not NO.",
        ),
        ("DEFINE QLOCAL(A) SHARE NOSHARE", "DEFINE QLOCAL(A) SHARE NOSHARE", "SHARE is there twice."),
        ("DEFINE QLOCAL(A) REPLACE NOREPLACE", "DEFINE QLOCAL(A) REPLACE NOREPLACE", ""),
        ("DEFINE QLOCAL(A) CURDEPTH(1)", "DEFINE QLOCAL(A) CURDEPTH", ""),
        ("DEFINE QLOCAL", "DEFINE QLOCAL", ""),
        ("DEFINE CHANNEL(A) TRPTYPE(TCP)", "DEFINE CHANNEL(A)", "CHLTYPE must be said."),
        ("DEFINE", "DEFINE", ""),
        ("DISPLAY QLOCAL(A*B*)", "DISPLAY QLOCAL(A*B*)", "A name may end in * and have none in it."),
        (
            "DISPLAY QLOCAL(A) WHERE(NOSUCH EQ 1)",
            "DISPLAY QLOCAL(A) WHERE(NOSUCH EQ 1)",
            "There is no attribute NOSUCH.",
        ),
        (
            "DISPLAY Q(*) WHERE(PUT EQ NONSENSE) DESCR",
            "DISPLAY Q(*) WHERE(PUT EQ NONSENSE)",
            "PUT is ENABLED or DISABLED, not NONSENSE.",
        ),
        (
            "DISPLAY QLOCAL(*) WHERE(MAXDEPTH EQ abc)",
            "DISPLAY QLOCAL(*) WHERE(MAXDEPTH EQ abc)",
            "MAXDEPTH is 0 to 999999999, not ABC.",
        ),
        (
            "DISPLAY QLOCAL(*) WHERE(MAXDEPTH LK 5*)",
            "DISPLAY QLOCAL(*) WHERE(MAXDEPTH LK 5*)",
            "MAXDEPTH is no text, which LK and NL are for.",
        ),
        (
            "DISPLAY QS(*) WHERE(CURDEPTH GT many)",
            "DISPLAY QS(*) WHERE(CURDEPTH GT many)",
            "CURDEPTH is a number, not MANY.",
        ),
        (
            "DISPLAY QS(*) TYPE(HANDLE) WHERE(INPUT EQ YES)",
            "DISPLAY QS(*) TYPE(HANDLE) WHERE(INPUT EQ YES)",
            "INPUT is one of NO, SHARED, EXCL, not YES.",
        ),
    ] {
        assert_eq!(fault(text), (until.to_string(), why.to_string()));
    }
}

/// A queue manager with one listener, in this state and for this reason.
fn with_listener(state: &str, reason: &str) -> Reply {
    let listener = ListenerStatus {
        name: "APP".into(),
        state: state.into(),
        port: 1415,
        control: "QMGR".into(),
        backlog: 1024,
        pid: 4711,
        started_ms: 1_745_290_868_000,
        reason: reason.into(),
        ..ListenerStatus::default()
    };
    let manager =
        QueueManagerStatus { name: "QM1".into(), listeners: vec![listener], ..QueueManagerStatus::default() };
    Reply::Status(StatusResponse { queue_managers: vec![manager], ..StatusResponse::default() })
}

#[test]
fn a_listener_that_runs_is_not_started_and_one_that_does_not_is_not_stopped() {
    for (text, state, reason, says) in [
        ("START LISTENER(APP)", "running", "", Some("AMQ8730W: Listener already active.")),
        ("START LISTENER(APP)", "stopped", "", None),
        ("START LISTENER(APP)", "retrying", "The port is taken.", None),
        ("START LISTENER(APP)", "starting", "", Some("AMQ8730W: Listener already active.")),
        ("START LISTENER(APP)", "stopping", "", None),
        ("STOP LISTENER(APP)", "starting", "", None),
        ("STOP LISTENER(APP)", "stopping", "", Some("AMQ8731W: Listener not active.")),
        ("START LISTENER(OTHER)", "running", "", None),
        ("STOP LISTENER(APP)", "running", "", None),
        ("STOP LISTENER(APP)", "stopped", "", Some("AMQ8731W: Listener not active.")),
        ("STOP LISTENER(APP)", "stopped", "It may not run.", None),
    ] {
        let (command, reply) = (parse(text).expect(text), with_listener(state, reason));
        let asked = command.requests();
        assert!(matches!(asked[..], [Request::Status, Request::Alter(_)]), "{asked:?}");
        assert_eq!(command.ends_with(&reply, "QM1"), says.is_some(), "{text}, {state}, {reason}");
        if let Some(says) = says {
            let answer = Answer { lines: vec![says.into()], failed: true, found_nothing: false };
            assert_eq!(Answer::of(&command, Some(&reply), "QM1"), answer);
        }
    }
    let command = parse("STOP LISTENER(APP) IGNSTATE(YES)").expect("it is understood");
    assert!(matches!(command.requests()[..], [Request::Alter(_)]), "{command:?}");
    let answer = Answer::of(&command, Some(&Reply::Done), "QM1");
    assert_eq!(answer.lines, ["AMQ8706I: Request to stop IBM MQ listener accepted."]);
}

#[test]
fn the_status_of_a_listener_has_the_fields_of_mq_and_a_reason() {
    let shown = |text: &str, reason: &str| {
        let command = parse(text).expect(text);
        Answer::of(&command, Some(&with_listener("running", reason)), "QM1").lines.join("\n")
    };
    assert_eq!(
        shown("DIS LSSTATUS(*)", ""),
        "AMQ8631I: Display listener status details.\n   \
         LISTENER(APP)                           STATUS(RUNNING)\n   \
         PID(4711)"
    );
    assert!(shown("DIS LSSTATUS(*)", "Because.").contains("REASON(Because.)"));
    assert_eq!(
        shown("DIS LSSTATUS(APP)", "Because."),
        "AMQ8631I: Display listener status details.\n   \
         LISTENER(APP)                           STATUS(RUNNING)\n   \
         PID(4711)                               STARTDA(2025-04-22)\n   \
         STARTTI(03.01.08)                       DESCR( )\n   \
         TRPTYPE(TCP)                            CONTROL(QMGR)\n   \
         IPADDR(*)                               PORT(1415)\n   \
         BACKLOG(1024)                           REASON(Because.)"
    );
    assert_eq!(shown("DIS LSSTATUS(*) WHERE(PORT NE 1415)", ""), "AMQ8147E: IBM MQ object * not found.");
}

#[test]
fn several_names_and_both_ways_are_several_records() {
    let text =
        "SET AUTHREC PROFILE('DEV.**') PRINCIPAL('app','joe') OBJTYPE(QUEUE) AUTHADD(GET,PUT) AUTHRMV(INQ)";
    let Ok(Command::Set { profile, steps, .. }) = parse(text) else { panic!("{text}") };
    let told: Vec<String> = steps
        .iter()
        .map(|(action, said)| {
            let values: Vec<&str> = said.iter().map(|(_, value)| value.as_str()).collect();
            format!("{action:?} {}", values.join(" "))
        })
        .collect();
    assert_eq!(profile, "DEV.**");
    assert_eq!(
        told,
        [
            "Add QUEUE PRINCIPAL app GET,PUT",
            "Add QUEUE PRINCIPAL joe GET,PUT",
            "Remove QUEUE PRINCIPAL app INQ",
            "Remove QUEUE PRINCIPAL joe INQ"
        ]
    );
    let Ok(Command::Set { profile, steps, .. }) =
        parse("SET AUTHREC GROUP('ops') OBJTYPE(QMGR) AUTHADD(ALLADM)")
    else {
        panic!("a record of the queue manager")
    };
    assert_eq!((profile.as_str(), steps[0].0), ("SELF", Action::Add));
    assert_eq!(steps[0].1[3].1, "CHG,CTRL,DLT,DSP");
}

#[test]
fn a_display_has_two_columns_in_mqs_order() {
    let attributes =
        [("MAXDEPTH", "5000"), ("DESCR", ""), ("TRIGGER", "NO"), ("SHARE", "YES"), ("PUT", "ENABLED")];
    let all = shown("DIS QL(A)", vec![queue("A", &attributes)]);
    assert_eq!(
        all,
        "AMQ8409I: Display Queue details.\n   \
         QUEUE(A)                                TYPE(QLOCAL)\n   \
         ALTDATE(2025-04-22)                     ALTTIME(03.01.08)\n   \
         CRDATE(2025-04-22)                      CRTIME(03.01.08)\n   \
         CURDEPTH(3)                             DEFTYPE(PREDEFINED)\n   \
         DESCR( )                                IPPROCS(1)\n   \
         MAXDEPTH(5000)                          NOTRIGGER\n   \
         OPPROCS(0)                              PUT(ENABLED)\n   \
         SHARE"
    );
    let some = shown("DIS Q(*) WHERE(CURDEPTH GT 2) DESCR", vec![queue("A", &attributes)]);
    assert_eq!(
        some,
        "AMQ8409I: Display Queue details.\n   \
         QUEUE(A)                                TYPE(QLOCAL)\n   \
         CURDEPTH(3)                             DESCR( )"
    );
    let none = shown("DIS Q(A*) WHERE(CURDEPTH GT 3)", vec![queue("A", &attributes)]);
    assert_eq!(none, "AMQ8147E: IBM MQ object A* not found.");
    let command = parse("DIS QL(*) WHERE(CURDEPTH GT 3)").expect("it is understood");
    let [Request::Display(asked)] = &command.requests()[..] else { panic!("{command:?}") };
    assert_eq!(
        asked.conditions.iter().map(Filter::of).collect::<Vec<_>>(),
        [Filter::of(&Condition { attribute: "CURDEPTH".into(), operator: "GT".into(), value: "3".into() })]
    );
    let status = shown("DIS QS(A) MSGAGE IPPROCS", vec![queue("A", &attributes)]);
    assert_eq!(
        status,
        "AMQ8450I: Display queue status details.\n   \
         QUEUE(A)                                TYPE(QUEUE)\n   \
         CURDEPTH(3)                             IPPROCS(1)\n   \
         MSGAGE(7)"
    );
    let times = "DIS QS(A) LGETDATE LGETTIME LPUTTIME QTIME";
    assert_eq!(
        shown(times, vec![queue("A", &attributes)]),
        "AMQ8450I: Display queue status details.\n   \
         QUEUE(A)                                TYPE(QUEUE)\n   \
         CURDEPTH(3)                             LGETDATE( )\n   \
         LGETTIME( )                             LPUTTIME( )\n   \
         QTIME( , )"
    );
    let mut used = queue("A", &attributes);
    let status = used.status.as_mut().expect("a queue has one");
    (status.last_put_ms, status.last_get_ms) = (1_745_290_867_000, 1_745_290_868_000);
    (status.lain_short_us, status.lain_long_us) = (900_000, 812_500);
    assert_eq!(
        shown(times, vec![used]),
        "AMQ8450I: Display queue status details.\n   \
         QUEUE(A)                                TYPE(QUEUE)\n   \
         CURDEPTH(3)                             LGETDATE(2025-04-22)\n   \
         LGETTIME(03.01.08)                      LPUTTIME(03.01.07)\n   \
         QTIME(900000,812500)"
    );
}

#[test]
fn a_dump_is_read_as_what_was_dumped() {
    let attributes = [("MAXDEPTH", "7"), ("DESCR", "don't"), ("SHARE", "NO"), ("PUT", "ENABLED")];
    let text = dump(&queue("lower.case", &attributes), false, true);
    assert_eq!(text, "DEFINE QLOCAL('lower.case') DESCR('don''t') MAXDEPTH(7) NOSHARE REPLACE");
    let Ok(Command::Define { name, said, replace, .. }) = parse(&text) else { panic!("{text}") };
    assert_eq!((name.as_str(), replace), ("lower.case", true));
    assert_eq!(said, [("DESCR", "don't".to_string()), ("MAXDEPTH", "7".into()), ("SHARE", "NO".into())]);
}

#[test]
fn a_script_has_numbers_and_counts() {
    let mut script = Script::default();
    let mut shown = Vec::new();
    let mut refused = Vec::new();
    for line in
        ["* queues", "define qlocal(A) +", "   descr('x')", "define foo", "", "clear ql(A)", "end", "never"]
    {
        match script.line(line, &mut shown) {
            Step::Next => {}
            Step::Ask(command) => {
                let reply = match command {
                    Command::Clear { .. } => Reply::Refused { reason: 2042, text: "busy".into() },
                    _ => Reply::Done,
                };
                script.answer(&command, Some(&reply), "QM1", &mut shown);
                refused.push(command);
            }
            Step::End => break,
        }
    }
    shown.extend(script.trailer());
    let help = shown.iter().position(|line| line.starts_with("AMQ8426I")).expect("valid commands are listed");
    let after = shown.iter().position(|line| line == "       :").expect("an empty line is shown");
    shown.drain(help..after);
    assert_eq!(
        shown,
        [
            "       : * queues",
            "     1 : define qlocal(A) +",
            "       :    descr('x')",
            "AMQ8006I: IBM MQ queue created.",
            "     2 : define foo",
            "AMQ8405I: Syntax error detected at or near end of command segment below:-",
            "define foo",
            "",
            "       :",
            "     3 : clear ql(A)",
            "AMQ8148E: IBM MQ object in use.",
            "     4 : end",
            "3 MQSC commands read.",
            "One command has a syntax error.",
            "One valid MQSC command could not be processed.",
        ]
    );
    assert_eq!((script.exit_code(), refused.len()), (10, 2));
}

#[test]
fn nothing_that_is_typed_makes_it_panic() {
    for text in [
        "",
        "(",
        ")",
        "''",
        "?",
        ",",
        ";",
        "ä(",
        "DEF QL(ä)",
        "DIS Q(é*) ALL",
        "DEF QL(A) DESCR('",
        "* x",
        "+",
        "-",
    ] {
        let mut script = Script::default();
        let mut shown = Vec::new();
        script.line(text, &mut shown);
        script.end(&mut shown);
    }
}

#[test]
fn a_command_that_is_not_whole_when_the_input_ends_is_not_done() {
    let mut script = Script::new(true, false);
    let mut shown = Vec::new();
    assert_eq!(script.line("DEFINE QLOCAL(A) +", &mut shown), Step::Next);
    assert_eq!((script.end(&mut shown), script.exit_code()), (Step::End, 10));
    assert!(shown.iter().any(|line| line.contains("The input ends here")), "{shown:?}");
}

#[test]
fn exit_and_quit_end_as_end_does() {
    for word in ["end", "EXIT", "quit"] {
        assert_eq!(Script::default().line(word, &mut Vec::new()), Step::End, "{word}");
    }
}

#[test]
fn a_listener_is_dumped_as_mq_defines_it_and_not_as_it_is_just_now() {
    let said = [("TRPTYPE", "TCP"), ("PORT", "1415"), ("STATE", "STARTED")];
    let mut listener = queue("APP", &said);
    listener.kind = "LISTENER".into();
    assert_eq!(dump(&listener, false, true), "DEFINE LISTENER('APP') PORT(1415) TRPTYPE(TCP) REPLACE");
}

#[test]
fn a_dump_has_no_password() {
    let said = [("AUTHTYPE", "IDPWLDAP"), ("CONNAME", "ldap"), ("LDAPPWD", "********")];
    let mut server = queue("LDAP", &said);
    server.kind = "AUTHINFO".into();
    let text = dump(&server, true, true);
    assert!(text.contains("CONNAME('ldap')") && !text.contains("LDAPPWD"), "{text}");
}

#[test]
fn the_queue_manager_of_a_dump_has_a_name() {
    let mut manager = queue("QM1", &[("DEADQ", "DLQ")]);
    manager.kind = "QMGR".into();
    let text = dump(&manager, false, false);
    assert!(text.starts_with("* QMNAME(QM1) ALTDATE("), "{text}");
}

#[test]
fn a_queue_that_nobody_has_open_is_no_queue_that_is_not_there() {
    let said = |text: &str, reply: Reply| Answer::of(&parse(text).expect(text), Some(&reply), "QM1");
    let none = said("DIS QS(A) TYPE(HANDLE)", Reply::Sessions(Vec::new()));
    assert_eq!(none.lines, ["AMQ8450I: Display queue status details.", "   Nobody has A open."]);
    assert!(!none.failed);
    let missing = said("DIS QS(A) TYPE(HANDLE)", Reply::Objects(Vec::new()));
    assert_eq!(missing.lines, ["AMQ8147E: IBM MQ object A not found."]);
    assert!(missing.failed);
}

#[test]
fn what_is_displayed_otherwise_or_not_at_all_is_said() {
    for (text, words) in [
        ("DISPLAY CONN(*) TYPE(HANDLE)", "DISPLAY QSTATUS(*) TYPE(HANDLE)"),
        ("DISPLAY CONN(*) TYPE(ALL)", "DISPLAY QSTATUS(*) TYPE(HANDLE)"),
        ("DISPLAY CHLAUTH(APP) MATCH(RUNCHECK) ADDRESS('10.0.0.1')", "not obeyed yet"),
        ("DISPLAY CHLAUTH(APP) MATCH(EXACT)", "MATCH(GENERIC)"),
        ("DISPLAY AUTHREC PROFILE(Q) MATCH(MEMBERSHIP) PRINCIPAL('ann')", "groups"),
    ] {
        let Ok(Command::NotHere(why)) = parse(text) else { panic!("{text} is taken") };
        assert!(why.contains(words), "{why}");
    }
    for text in [
        "DISPLAY CONN(*) TYPE(CONN)",
        "DISPLAY CHLAUTH(APP*) MATCH(GENERIC)",
        "DISPLAY AUTHREC PROFILE(Q) MATCH(PROFILE)",
    ] {
        assert!(matches!(parse(text), Ok(Command::Display(_))), "{text}");
    }
    assert!(parse("DISPLAY CONN(*) TYPE(SHELF)").is_err());
    let manager = || {
        let said = [("DEADQ", "DLQ"), ("CMDEV", "ENABLED"), ("REPOS", "")];
        ObjectDetails { kind: "QMGR".into(), ..queue("QM1", &said) }
    };
    let system = shown("DISPLAY QMGR SYSTEM", vec![manager()]);
    assert!(
        system.contains("DEADQ(DLQ)") && !system.contains("CMDEV") && !system.contains("REPOS"),
        "{system}"
    );
}

#[test]
fn an_instance_of_a_channel_says_what_went_through_it_and_nothing_is_saved() {
    let passed = Passed {
        began_ms: 1_745_290_868_000,
        calls: 12,
        bytes_sent: 300,
        bytes_received: 400,
        buffers_sent: 5,
        buffers_received: 6,
        last_call_ms: 0,
    };
    let instance = SessionDetails {
        channel: "APP".into(),
        instance: true,
        passed: Some(passed),
        ..SessionDetails::default()
    };
    let said = |text: &str| {
        let reply = Reply::Sessions(vec![instance.clone()]);
        Answer::of(&parse(text).expect(text), Some(&reply), "QM1").lines.join("\n")
    };
    let all = said("DISPLAY CHSTATUS(APP) ALL");
    for field in
        ["MSGS(12)", "BYTSSENT(300)", "BYTSRCVD(400)", "BUFSSENT(5)", "BUFSRCVD(6)", "CHSTADA(2025-04-22)"]
    {
        assert!(all.contains(field), "{field} is missing in\n{all}");
    }
    assert!(all.contains("LSTMSGDA( )"), "no call came: {all}");
    assert!(said("DISPLAY CHSTATUS(*) MSGS WHERE(MSGS GT 11)").contains("MSGS(12)"));
    assert_eq!(said("DISPLAY CHSTATUS(APP) SAVED"), "AMQ8420I: Channel Status not found.");
}

#[test]
fn a_record_may_say_that_somebody_may_do_nothing() {
    let Ok(Command::Set { steps, .. }) =
        parse("SET AUTHREC PROFILE(Q) OBJTYPE(QUEUE) PRINCIPAL('ann') AUTHADD(NONE)")
    else {
        panic!("it is a record")
    };
    assert_eq!(steps.len(), 1);
    assert!(steps[0].0 == Action::Add && steps[0].1.iter().all(|(name, _)| *name != "AUTHLIST"), "{steps:?}");
}
