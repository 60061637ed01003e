//! What selectors say, as a table; and what is none.

use trimaran_proto::message::v1::Descriptor as Rest;
use trimaran_proto::mq::rfh2;

use super::parser::parse;
use super::program::Op;
use super::selector::{MessageSelector, SelectorError};
use crate::types::{
    Body, CorrelationId, Descriptor, GroupId, Message, MessageId, Persistence, Reason, Selection, WallTime,
    limits,
};

const USR: &str = "<usr><color>red</color><n dt='i4'>5</n><big dt='i8'>9223372036854775807</big>\
    <price dt='r8'>2.5</price><flag dt='boolean'>1</flag><off dt='boolean'>0</off><empty></empty>\
    <nul xsi:nil='true'/><quote>it's</quote><odd>abc_d%f</odd><raw dt='bin.hex'>0AFC23</raw>\
    <color>blue</color><nan dt='r8'>NaN</nan><tele>12x3</tele></usr>";

fn message() -> Message {
    let jms =
        "<jms><Cid>order 7</Cid><Tms>1700000000000</Tms><Dlv>2</Dlv><Gid>g</Gid><Seq dt='i4'>3</Seq></jms>";
    let mcd = "<mcd><Msd>jms_text</Msd><Type>car</Type></mcd>";
    let mut bytes = rfh2::encode("MQHRF2", &[mcd, jms, USR]);
    bytes.extend(rfh2::encode("MQSTR", &["<mqps><Top>a/b</Top></mqps>"]));
    bytes.extend(b"the body");
    let rest = Rest {
        format: "MQHRF2".into(),
        message_type: Some(1),
        feedback: 258,
        reply_to_queue: "ANSWERS".into(),
        user_identifier: "alice".into(),
        put_application_name: "orders".into(),
        ..Rest::default()
    };
    let mut descriptor = Descriptor {
        message_id: MessageId([0xAB; 24]),
        correlation_id: CorrelationId([1; 24]),
        group_id: GroupId([2; 24]),
        priority: Some(7),
        persistence: Persistence::Persistent,
        expiry: Some(100),
        backout_count: 2,
        put_at: WallTime(1_709_210_096_780),
        ..Descriptor::default()
    };
    descriptor.set_rest(&rest);
    Message { descriptor, body: Body::from(bytes::Bytes::from(bytes)), body_crc: 0 }
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
/// Unknown.
const U: Option<bool> = None;

const TABLE: &[(&str, Option<bool>)] = &[
    // Comparisons
    ("color = 'red'", T),
    ("color <> 'red'", F),
    ("color = 'RED'", F),
    ("usr.color = 'red'", T),
    ("'red' = color", T),
    ("Color = 'red'", U),
    ("n = 5", T),
    ("n = 5.0", T),
    ("n <> 5", F),
    ("n < 6 and n > 4", T),
    ("n <= 5 AND n >= 5", T),
    ("n > 5", F),
    ("n = '5'", F),
    ("n <> '5'", F),
    ("color = 5", F),
    ("color < 5", F),
    ("price = 2.5", T),
    ("price > 2", T),
    ("price = 25e-1", T),
    ("empty = ''", T),
    ("quote = 'it''s'", T),
    ("big = 9223372036854775807", T),
    ("big = 0x7FFFFFFFFFFFFFFF", T),
    ("n > -9223372036854775808", T),
    ("n = 05", T),
    ("n = 5L", T),
    ("n = +5", T),
    ("n = - -5", T),
    ("price = 2.5d", T),
    ("price > .5", T),
    ("price < 7.", T),
    ("nan = nan", F),
    ("nan <> nan", T),
    ("raw = \"0x0AFC23\"", T),
    ("raw = \"0x0afc2300\"", F),
    ("raw <> \"0X00\"", T),
    ("raw = '0AFC23'", F),
    // Conditions by themselves
    ("flag", T),
    ("NOT flag", F),
    ("off", F),
    ("flag = TRUE", T),
    ("flag <> true", F),
    ("off = FALSE", T),
    ("flag = 1", F),
    ("n", U),
    ("missing", U),
    ("flag AND TRUE", T),
    ("TRUE", T),
    ("(((flag)))", T),
    // What is not there
    ("missing = 1", U),
    ("missing <> 1", U),
    ("nul = 'x'", U),
    ("nul IS NULL", T),
    ("missing IS NULL", T),
    ("missing IS NOT NULL", F),
    ("color IS NULL", F),
    ("color is not null", T),
    ("empty IS NULL", F),
    ("NOT missing = 1", U),
    ("missing + 1 > 0", U),
    ("missing = missing", U),
    ("missing = 1 AND flag", U),
    ("missing = 1 AND off", F),
    ("off AND missing = 1", F),
    ("missing = 1 OR flag", T),
    ("flag OR missing = 1", T),
    ("missing = 1 OR off", U),
    ("missing = 1 OR missing = 2", U),
    ("missing = 1 AND missing = 2", U),
    ("NOT (missing = 1 AND off)", T),
    ("missing IN ('a')", U),
    ("missing NOT IN ('a')", U),
    ("missing LIKE 'a'", U),
    ("missing NOT LIKE 'a'", U),
    ("missing BETWEEN 1 AND 2", U),
    ("n BETWEEN missing AND 4", F),
    ("n NOT BETWEEN missing AND 4", T),
    ("n BETWEEN missing AND 6", U),
    // Precedence
    ("flag OR off AND off", T),
    ("(flag OR off) AND off", F),
    ("NOT off AND flag", T),
    ("NOT (off AND flag)", T),
    ("NOT NOT flag", T),
    ("n = 1 + 2 * 2", T),
    ("n = (1 + 2) * 2 - 1", T),
    ("n - 1 - 1 = 3", T),
    ("n * 2 / 4 = 2", T),
    ("20 / 2 / 2 = n", T),
    ("-n = -5", T),
    ("- (n + 1) = -6", T),
    ("+n = 5", T),
    ("n / 2 = 2", T),
    ("n / 2.0 = 2.5", T),
    ("n / 0 = 1", U),
    ("n / 0.0 > 1", T),
    ("big + 1 > 0", U),
    ("big + 1.0 > 0", T),
    ("color + 1 = 2", U),
    ("flag - 1 = 0", U),
    ("price * 2 = n", T),
    // BETWEEN, IN, LIKE
    ("n BETWEEN 5 AND 5", T),
    ("n BETWEEN 6 AND 4", F),
    ("n NOT BETWEEN 6 AND 7", T),
    ("n BETWEEN 1 AND 2 OR flag", T),
    ("n + 1 BETWEEN 3 * 2 AND 6", T),
    ("color BETWEEN 1 AND 2", F),
    ("color NOT BETWEEN 1 AND 2", F),
    ("color IN ('blue', 'red')", T),
    ("color IN ('blue')", F),
    ("color NOT IN ('blue')", T),
    ("n IN ('5')", F),
    ("n NOT IN ('5')", F),
    ("color LIKE 'r_d'", T),
    ("color LIKE 'r__d'", F),
    ("color LIKE '%'", T),
    ("color LIKE 'r%'", T),
    ("color LIKE '%d'", T),
    ("color LIKE '%e%'", T),
    ("color LIKE '%x%'", F),
    ("color LIKE ''", F),
    ("empty LIKE ''", T),
    ("empty LIKE '%%'", T),
    ("empty LIKE '_'", F),
    ("color NOT LIKE 'b%'", T),
    ("tele LIKE '12%3'", T),
    ("tele NOT LIKE '12%3'", F),
    ("tele LIKE '1%2%3%'", T),
    ("tele LIKE '1%3%2'", F),
    ("odd LIKE 'abc\\_%' ESCAPE '\\'", T),
    ("odd LIKE '%d!%_' ESCAPE '!'", T),
    ("color LIKE 'r!_d' ESCAPE '!'", F),
    ("odd LIKE '_bc__%f'", T),
    ("n LIKE '5'", F),
    ("n NOT LIKE '5'", F),
    // What JMS and the descriptor have
    ("JMSPriority = 7", T),
    ("JMSPriority > 3 AND color IN ('red')", T),
    ("JMSDeliveryMode = 'PERSISTENT'", T),
    ("JMSDeliveryMode = 2", T),
    ("JMSDeliveryMode <> 'NON_PERSISTENT'", T),
    ("JMSDeliveryMode IN ('PERSISTENT')", T),
    ("JMSMessageID = 'ID:abababababababababababababababababababababababab'", T),
    ("JMSMessageID LIKE 'ID:ab%'", T),
    ("JMSCorrelationID = 'order 7'", T),
    ("JMSCorrelationID IN ('order 6', 'order 7')", T),
    ("jms.Cid = 'order 7'", T),
    ("JMSTimestamp = 1700000000000", T),
    ("JMSType = 'car'", T),
    ("mcd.Msd = 'jms_text'", T),
    ("JMSXDeliveryCount = 3", T),
    ("JMSRedelivered", T),
    ("JMSXGroupID = 'g'", T),
    ("JMSXGroupSeq = 3", T),
    ("JMSXUserID = 'alice'", T),
    ("JMSXAppID = 'orders'", T),
    ("JMSExpiration = 1709210106780", T),
    ("JMSXnothing = 1", U),
    ("Root.MQMD.MsgType = 1", T),
    ("Root.MQMD.Feedback = 258", T),
    ("Root.MQMD.ReplyToQ = 'ANSWERS'", T),
    ("Root.MQMD.Format LIKE 'MQ%'", T),
    ("Root.MQMD.Persistence = 1", T),
    ("Root.MQMD.BackoutCount = 2", T),
    ("Root.MQMD.CorrelId = \"0x010101010101010101010101010101010101010101010101\"", T),
    ("Root.MQMD.GroupId = \"0x02\"", F),
    ("Root.MQMD.PutDate = '20240229' AND Root.MQMD.PutTime = '12345678'", T),
    ("Root.MQMD.Expiry = 100", T),
    ("Root.MQMD.Encoding = 546", T),
    ("Root.MQMD.MsgSeqNumber = 1", T),
    ("mqps.Top = 'a/b'", T),
    ("mqps.Top IS NULL", F),
];

fn truth(text: &str, message: &Message) -> Option<bool> {
    let (program, properties) = parse(text).unwrap_or_else(|mistake| panic!("{text}: {mistake:?}"));
    program.run(&properties.of(message).0?, &mut 100_000)
}

#[test]
fn a_selector_says_what_its_text_says() {
    let message = message();
    for (text, expected) in TABLE {
        assert_eq!(truth(text, &message), *expected, "{text}");
        if let Ok(Some(selector)) = MessageSelector::new(text) {
            assert_eq!(selector.judge(&message).selects, *expected == T, "{text}");
        }
    }
    assert!(TABLE.len() >= 100);
}

#[test]
fn what_is_no_selector_says_where_and_why() {
    let wrong = [
        ("color =", 8),
        ("= 'red'", 1),
        ("color = 'red", 9),
        ("color == 'red'", 8),
        ("color != 'red'", 7),
        ("color = \"red\"", 9),
        ("color = \"0x1\"", 9),
        ("color = red blue", 13),
        ("color", 0),
        ("5", 1),
        ("'red'", 1),
        ("n + 1", 1),
        ("(n = 1", 7),
        ("n = 1)", 6),
        ("()", 2),
        ("n = 1 AND", 10),
        ("n = 1 AND OR flag", 11),
        ("AND", 1),
        ("NOT", 4),
        ("n = 1 NOT", 7),
        ("n NOT = 1", 7),
        ("n NOT 1", 7),
        ("color > 'a'", 9),
        ("'a' < color", 1),
        ("flag >= TRUE", 9),
        ("color + 'a' = 'b'", 9),
        ("TRUE + 1 = 2", 1),
        ("-'a' = 1", 2),
        ("(n = 1) = (n = 2)", 1),
        ("(n = 1) + 1 = 2", 1),
        ("n = 1 = 1", 7),
        ("n = NULL", 5),
        ("NULL IS NULL", 1),
        ("n IS 5", 6),
        ("5 IS NULL", 1),
        ("n BETWEEN 1", 12),
        ("n BETWEEN 1 AND", 16),
        ("n BETWEEN 'a' AND 'b'", 11),
        ("'a' BETWEEN 1 AND 2", 1),
        ("n IN 'a'", 6),
        ("n IN ()", 7),
        ("n IN ('a',)", 11),
        ("n IN ('a' 'b')", 11),
        ("n IN (1)", 7),
        ("'a' IN ('a')", 1),
        ("n LIKE a", 8),
        ("n LIKE '%' ESCAPE 'ab'", 19),
        ("n LIKE 'a!' ESCAPE '!'", 8),
        ("'a' LIKE 'a'", 1),
        ("n = 09", 5),
        ("n = 0x", 5),
        ("n = 0xG", 5),
        ("n = 1e", 5),
        ("n = 1e999", 5),
        ("n = 5abc", 5),
        ("n = 1.2.3", 5),
        ("n = 9223372036854775808", 5),
        ("n = 99999999999999999999", 5),
        ("n # 1", 3),
        ("n = .", 5),
        ("usr..color = 1", 1),
        ("usr. = 1", 1),
        ("Root.XMLNSC.a = 1", 1),
        ("Root.MQMD.Nothing = 1", 1),
        ("é = 'ü' or ~", 12),
    ];
    for (text, character) in wrong {
        match (MessageSelector::new(text), character) {
            (Ok(Some(_)), 0) => {}
            (Err(SelectorError::Syntax { character: at, what }), _) => {
                assert_eq!(at, character, "{text}: {what}");
            }
            (other, _) => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn what_is_blank_selects_all_and_what_selects_nothing_is_refused() {
    for blank in ["", "  ", "\t\n"] {
        assert!(MessageSelector::new(blank).unwrap().is_none());
    }
    for nothing in ["FALSE", "1 = 2", "1 / 0 = 1", "TRUE <> TRUE", "1 = 'a'", "NOT TRUE"] {
        let error = MessageSelector::new(nothing).unwrap_err();
        assert_eq!(
            (error.reason(), &error),
            (Reason::SelectorAlwaysFalse, &SelectorError::AlwaysFalse),
            "{nothing}"
        );
    }
    let long = format!("{}n = 1", " ".repeat(10_240));
    assert_eq!(MessageSelector::new(&long).unwrap_err().reason(), Reason::SelectionStringError);
}

#[test]
fn how_deep_a_selector_is_nested_is_bounded_and_how_long_it_is_costs_no_stack() {
    let nested = |depth: usize| format!("{}flag{}", "(".repeat(depth), ")".repeat(depth));
    assert!(MessageSelector::new(&nested(64)).is_ok());
    for deep in [nested(65), nested(5_000), "NOT ".repeat(2_000) + "flag", "- ".repeat(4_000) + "n = 1"] {
        let error = MessageSelector::new(&deep).unwrap_err();
        assert_eq!(error.reason(), Reason::SelectorSyntaxError);
    }
    let message = message();
    let sum = format!("n > 0{}", "+0".repeat(5_000));
    let row = format!("off{}", " OR off".repeat(1_400)) + " OR flag";
    for long in [sum, row] {
        let selector = MessageSelector::new(&long).unwrap().unwrap();
        assert!(selector.judge(&message).selects);
        assert!(selector.weight() < 300_000, "{}", selector.weight());
    }
}

#[test]
fn a_property_has_one_number_whatever_it_is_called() {
    let text = "colour = usr.colour OR JMSPriority = Root.MQMD.Priority OR JMSType = mcd.Type OR jms.Cid = JMSCorrelationID";
    let (program, _) = parse(text).unwrap();
    let named = |op: &Op| match op {
        Op::Property(number) => Some(*number),
        _ => None,
    };
    // What the folder says and what the field is are two things.
    assert_eq!(program.ops().iter().filter_map(named).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2, 3, 4]);
    let message = message();
    assert_eq!(truth("jms.Cid IS NULL AND JMSCorrelationID IS NULL", &message), Some(false));
}

/// Names are looked for where they are in order, and texts are read once.
#[test]
fn the_longest_selectors_take_no_more_memory_than_a_few_times_their_texts() {
    let of = |one: &dyn Fn(usize) -> String, between: &str| {
        let mut text = one(0);
        for at in 1.. {
            let more = format!("{between}{}", one(at));
            if text.len() + more.len() > limits::SELECTOR_BYTES_MAX {
                return text;
            }
            text += &more;
        }
        unreachable!()
    };
    for text in [
        of(&|at| format!("a{at}={at}"), " OR "),
        of(&|at| format!("{at:x}").replace(|c: char| c.is_ascii_digit(), "_"), "+ x"),
        of(&|_| "a=1".into(), " OR "),
    ] {
        if let Ok(Some(selector)) = MessageSelector::new(&text) {
            assert!(selector.weight() < 20 * text.len() as u64, "{} of {}", selector.weight(), text.len());
        }
    }
}

#[test]
fn a_message_that_would_take_too_long_is_not_selected() {
    let value = "a".repeat(60_000);
    let bytes = rfh2::encode("", &[&format!("<usr><v>{value}</v></usr>")]);
    let message = Message { body: Body::from(bytes::Bytes::from(bytes)), ..message() };
    let hard = format!("v NOT LIKE '%{}b'", "a_".repeat(2_000));
    let verdict = MessageSelector::new(&hard).unwrap().unwrap().judge(&message);
    assert!(!verdict.selects);
    assert!((20_000..40_000).contains(&verdict.looks), "{}", verdict.looks);
    let easy = MessageSelector::new("v LIKE 'a%'").unwrap().unwrap().judge(&message);
    assert!(easy.selects && easy.looks > 60_000 / 16);
}

#[test]
fn a_message_without_properties_is_asked_about_what_it_has() {
    let plain = |body: &'static [u8], format: &str| {
        let mut message = message();
        message.descriptor.set_rest(&Rest { format: format.into(), ..Rest::default() });
        Message { body: Body::from(bytes::Bytes::from_static(body)), ..message }
    };
    let selects =
        |text: &str, message: &Message| MessageSelector::new(text).unwrap().unwrap().judge(message).selects;
    for (body, format) in [(&b"RFH \0\0\0\x02"[..], "MQSTR"), (b"text", ""), (b"", "MQSTR")] {
        let message = plain(body, format);
        assert!(selects("JMSPriority = 7 AND color IS NULL", &message));
        assert!(!selects("color = 'red'", &message));
        let id = "01".repeat(24);
        assert!(selects(&format!("JMSCorrelationID = 'ID:{id}'"), &message));
        assert!(selects("JMSTimestamp = 1709210096780", &message));
    }
    // A header that cannot be read may say anything.
    for body in [&b"RFH "[..], b"text", b"RFH \0\0\0\x02\0\0\0\x90"] {
        let message = plain(body, "MQHRF2");
        assert!(!selects("color IS NULL OR TRUE", &message));
        assert!(selects("JMSPriority = 7", &message));
    }
}

#[test]
fn ids_that_a_message_must_have_are_known_before_it_is_looked_at() {
    let implied = |text: &str| *MessageSelector::new(text).unwrap().unwrap().implied();
    let (one, two) = ("0a".repeat(24), "0b".repeat(24));
    let message = Selection { message_id: Some(MessageId([10; 24])), ..Selection::default() };
    let correlation = Selection { correlation_id: Some(CorrelationId([11; 24])), ..Selection::default() };
    assert_eq!(implied(&format!("JMSMessageID = 'ID:{one}'")), message);
    assert_eq!(implied(&format!("'ID:{two}' = JMSCorrelationID")), correlation);
    assert_eq!(implied(&format!("Root.MQMD.CorrelId = \"0x{two}\"")), correlation);
    let both = format!("JMSMessageID = 'ID:{one}' AND (JMSCorrelationID = 'ID:{two}') AND n IN ('a')");
    assert_eq!(implied(&both), message.and(&correlation));
    let not = [
        format!("NOT JMSMessageID = 'ID:{one}'"),
        format!("JMSMessageID <> 'ID:{one}'"),
        format!("JMSMessageID = 'ID:{one}' OR flag"),
        format!("JMSMessageID = 'ID:{}'", &one[2..]),
        format!("JMSMessageID = '{one}'"),
        format!("JMSCorrelationID = 'ID:{}'", "00".repeat(24)),
        format!("JMSMessageID = \"0x{one}\""),
        "JMSCorrelationID = 'order 7'".into(),
        "n BETWEEN 1 AND 2 AND color LIKE 'a' OR color IS NULL".into(),
    ];
    for text in not {
        assert_eq!(implied(&text), Selection::default(), "{text}");
    }
}

/// Whatever is written, it is refused or judges, and takes no longer than it may.
#[test]
fn any_words_in_any_order_are_refused_or_judged() {
    const WORDS: [&str; 40] = [
        "n",
        "color",
        "flag",
        "missing",
        "5",
        "2.5",
        "'red'",
        "'%'",
        "\"0x0A\"",
        "(",
        ")",
        "(",
        ")",
        ",",
        "=",
        "<>",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "AND",
        "OR",
        "NOT",
        "BETWEEN",
        "AND",
        "IN",
        "('a','b')",
        "LIKE",
        "'a_'",
        "ESCAPE",
        "'!'",
        "IS",
        "NULL",
        "IS NOT NULL",
        "TRUE",
        "FALSE",
        "JMSPriority",
        "Root.MQMD.MsgId",
    ];
    let message = message();
    let mut seed = 7u64;
    let mut draw = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut selectors = 0;
    for _ in 0..40_000 {
        let words: Vec<&str> = (0..1 + draw(9)).map(|_| WORDS[draw(WORDS.len())]).collect();
        if let Ok(Some(selector)) = MessageSelector::new(&words.join(" ")) {
            assert!(selector.judge(&message).looks < 10_000);
            selectors += 1;
        }
    }
    assert!(selectors > 500, "{selectors}");
    for _ in 0..20_000 {
        let text: String = (0..draw(20)).map(|_| char::from_u32(draw(0x180) as u32).unwrap_or('x')).collect();
        let _ = MessageSelector::new(&text);
    }
}
