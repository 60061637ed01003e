//! What is written is read again as it was, also where MQ wrote it.

use std::io::Cursor;

use trimaran_client::{Descriptor, Message, Persistence};

use super::display::Display;
use super::format::{Reader, write_header, write_message};

/// Numbers by chance, the same ones at each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.below(256) as u8).collect()
    }

    /// Fields of zeros are empty ones, and so are zeros at an end.
    fn id(&mut self, most: u64) -> Vec<u8> {
        let mut id = self.bytes(most);
        id.truncate(id.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
        id
    }

    /// At most so many bytes of what nobody would write, too.
    fn text(&mut self, most: usize) -> String {
        const LETTERS: [&str; 12] = ["A", "z", "7", ".", " ", "~", "\"", "\n", "\u{0}", "\u{1b}", "é", "€"];
        let mut text = String::new();
        for _ in 0..self.below(most as u64 + 1) {
            let letter = LETTERS[self.below(12) as usize];
            if text.len() + letter.len() <= most {
                text.push_str(letter);
            }
        }
        text.trim_end_matches([' ', '\0']).to_string()
    }

    /// With what is said of it, and nothing that MQMD_DEFAULT says by itself.
    fn number(&mut self, default: i32) -> Option<i32> {
        let number = match self.below(4) {
            0 => i32::MAX,
            1 => i32::MIN,
            _ => self.below(1000) as i32,
        };
        (self.below(2) == 0 && number != default).then_some(number)
    }

    fn message(&mut self) -> Message {
        let persistence = [Persistence::AsQueue, Persistence::Persistent, Persistence::NotPersistent];
        let descriptor = Descriptor {
            report: self.number(0).unwrap_or_default() as u32,
            message_type: self.number(8).map(|number| number as u32),
            expiry: self.number(-1).map(|number| number as u32),
            feedback: self.number(0).unwrap_or_default() as u32,
            encoding: self.number(546),
            coded_character_set: self.number(1208),
            format: self.text(8),
            priority: self.number(-1).map(|number| number as u32),
            persistence: persistence[self.below(3) as usize] as i32,
            message_id: self.id(24).into(),
            correlation_id: self.id(24).into(),
            backout_count: self.below(10) as u32,
            reply_to_queue: self.text(48),
            reply_to_queue_manager: self.text(48),
            user_identifier: self.text(12),
            accounting_token: self.id(32).into(),
            application_identity_data: self.text(32),
            put_application_type: self.number(0).unwrap_or_default() as u32,
            put_application_name: self.text(28),
            // To hundredths of a second.
            put_time_ms: self.below(4_000_000_000_000) as i64 / 10 * 10,
            application_origin_data: self.text(4),
            put_date_and_time: None,
            group_id: self.id(24).into(),
            message_sequence_number: self.number(1).map(|number| number as u32),
            offset: self.number(0).unwrap_or_default() as u32,
            message_flags: self.number(0).unwrap_or_default() as u32,
            original_length: self.number(-1).map(|number| number as u32),
        };
        let body = match self.below(3) {
            0 => self.bytes(300),
            1 => self.text(300).into_bytes(),
            _ => b"plain ~text~ with \"quotes\"".repeat(self.below(10) as usize),
        };
        Message { descriptor, body: body.into() }
    }
}

fn written(display: &Display, messages: &[Message]) -> Vec<u8> {
    let mut file = Vec::new();
    if display.header {
        write_header(&mut file, 1_795_239_000_001, Some(("QM1", "ORDERS")));
    }
    (1..).zip(messages).for_each(|(number, message)| write_message(&mut file, display, number, message));
    file
}

fn read(file: &[u8]) -> Result<Vec<Message>, String> {
    let mut reader = Reader::new(Cursor::new(file))?;
    let mut messages = Vec::new();
    while let Some((_, message)) = reader.next()? {
        messages.push(message);
    }
    Ok(messages)
}

#[test]
fn messages_of_all_fields_are_read_as_they_were_written() {
    let mut chance = Chance(88_172_645_463_325_252);
    for letters in ["", "a", "A", "p", "c", "i", "Hw10", "acipw77"] {
        let display = Display::parse(letters).unwrap();
        for _ in 0..100 {
            let messages: Vec<Message> = (0..chance.below(5)).map(|_| chance.message()).collect();
            let file = written(&display, &messages);
            let again = read(&file).unwrap_or_else(|why| panic!("-d{letters}: {why}"));
            assert_eq!(again, messages, "-d{letters}:\n{}", String::from_utf8_lossy(&file));
        }
    }
}

#[test]
fn a_message_stands_in_the_file_as_mq_writes_it() {
    let mut message = Message::text("Hello ~").priority(4).message_id([0x41, 0x4d, 0x51]).correlation_id([1]);
    message.descriptor.put_time_ms = 1_795_239_000_010;
    message.descriptor.user_identifier = "mqm".into();
    let file = String::from_utf8(written(&Display::parse("A").unwrap(), &[message])).unwrap();
    let expected = [
        "* DMPMQMSG Version:",
        "\n* Qmgr  = QM1\n* Queue = ORDERS\n\nA VER 2\nA RPT 0\nA MST 8\nA EXP -1\nA FDB 0\nA ENC 546\nA CCS 1208\nA FMT MQSTR   \n",
        "A PRI 4\nA PER 1\nA MSI 414D51000000000000000000000000000000000000000000\nA COI 01",
        "A BOC 0\nA RTQ                                                 \n",
        "A USR mqm         \nA ACC 00",
        "A AIX 2020",
        "A PAT 0\nA PAN                             \nA PTD 20261121\nA PTT 05300001\nA AOX 20202020\nA GRP 00",
        "A MSQ 1\nA OFF 0\nA MSF 0\nA ORL -1\nS \"Hello ~~\"\n\n",
    ];
    for part in expected {
        assert!(file.contains(part), "{part}\nis missing in\n{file}");
    }
}

#[test]
fn a_file_of_mqs_own_is_read() {
    // As MQ 9 writes it with -d a, with a comment and a short message by hand behind it.
    let file = b"\r\n* QLOAD Version:9.1 Created:Tue Mar 13 10:12:32 2018\n* Qmgr  = QM1\n* Queue = Q1\n\n\
        A VER 1\nA RPT 0\nA MST 8\nA EXP -1\nA FDB 0\nA ENC 273\nA CCS 850\nA FMT MQSTR   \nA PRI 0\nA PER 0\n\
        A MSI 414D5120514D312020202020202020205AA52BAE22A6B101\nA BOC 0\nA AIX\n\
        X 48656C6C6F                                          <Hello>\n\n* by hand\nN\nS  quoted by nothing  \nT a line\n";
    let messages = read(file).unwrap();
    assert_eq!(messages.len(), 2);
    let md = &messages[0].descriptor;
    assert_eq!(
        (&messages[0].body[..], md.encoding, md.coded_character_set),
        (&b"Hello"[..], Some(273), Some(850))
    );
    assert_eq!(
        (md.format.as_str(), md.priority, md.persistence()),
        ("MQSTR", Some(0), Persistence::NotPersistent)
    );
    assert_eq!((md.message_id.len(), md.original_length, md.message_type), (24, None, None));
    assert_eq!(&messages[1].body[..], b"quoted by nothinga line\n");
}

#[test]
fn lines_of_text_are_for_reading() {
    let message = Message::text("one\ntwo\r\n\n\u{1}three").priority(1);
    let file = String::from_utf8(written(&Display::parse("tHN").unwrap(), &[message])).unwrap();
    assert_eq!(file, "N\nT one\nT two\nT \nX 01\nT three\n\n");
    assert_eq!(read(file.as_bytes()).unwrap()[0].body, b"one\ntwo\n\n\x01three\n"[..]);
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (file, why) in [
        ("* something else\nA VER 1\n", "it is no file of dmpmqmsg"),
        ("AMQSBCG0 - starts here\n", "it was written by amqsbcg"),
        ("* DMPMQMSG\nX 00\n", "line 2: a message begins with"),
        ("* DMPMQMSG\nA VER 1\nA FOO 1\n", "line 3: there is no attribute FOO"),
        ("* DMPMQMSG\nA PRI high\n", "line 2: PRI is no number of MQ"),
        ("* DMPMQMSG\nA MSI 4\n", "line 2: MSI is not hexadecimal"),
        ("* DMPMQMSG\nA FMT 123456789\n", "line 2: FMT is longer than its 8 bytes"),
        ("* DMPMQMSG\nA AIX FF\n", "line 2: AID is no text in UTF-8"),
        ("* DMPMQMSG\nA VER 1\n", "at the end: the data of the message is missing"),
        ("* DMPMQMSG\nA VER 1\n\nA RPT 0\nN\n", "line 5: the data of the message is missing"),
        ("* DMPMQMSG\nN\nX 0\n", "line 3: the data is not hexadecimal"),
        ("* DMPMQMSG\nN\nX 00;\n", "line 3: the data is not hexadecimal"),
        ("* DMPMQMSG\nN\nS \"no end\n", "line 3: the closing \" is missing"),
        ("* DMPMQMSG\nN\nS \"~n\"\n", "line 3: behind ~ stands \" or ~"),
    ] {
        let said = read(file.as_bytes()).expect_err(file);
        assert!(said.starts_with(why), "{file}: {said}");
    }
    assert_eq!(read(b"").unwrap(), []);
    assert_eq!(read(b"* DMPMQMSG Version:1\n").unwrap(), []);
}
