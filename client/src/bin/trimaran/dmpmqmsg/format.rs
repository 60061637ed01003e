//! The file of dmpmqmsg: descriptors and bodies as lines of text (IBM MQ Administration, "Using the dmpmqmsg utility";
//! "Meaning of three letter codes in dmpmqmsg output file").
//!
//! ```text
//! * DMPMQMSG Version:...        a comment; the first line
//! A FMT MQSTR                   an attribute of the descriptor
//! X 48656C6C6F                  bytes of the body in hexadecimal
//! S "a ~"text~" "               characters of the body, with ~ in front of " and ~
//! T a whole line                a line of the body, and its end
//! N                             a message without attributes
//! ```
//!
//! A message begins with its attributes, or N, and ends with its last line of data. One kind of line is ours: MQ writes control
//! characters in names as they are, and cannot read them again, so `*X RTQ 0A...` has such a text in hexadecimal. To MQ it is a comment.

use std::io::BufRead;

use bytes::Bytes;
use trimaran_client::{Descriptor, Message, Persistence, hex, unhex};
use trimaran_proto::{calendar::Moment, plain};

use super::display::{Body, Display};

/// How a field of the descriptor stands on its line.
enum Form {
    Number(fn(&Descriptor) -> i64, fn(&mut Descriptor, i64)),
    /// Padded with blanks to so many bytes.
    Text(usize, fn(&Descriptor) -> String, fn(&mut Descriptor, String)),
    /// The same in hexadecimal, where -dc does not ask for characters; and the code that it has then.
    Either(usize, &'static str, fn(&Descriptor) -> String, fn(&mut Descriptor, String)),
    /// In hexadecimal, padded with zeros to so many bytes.
    Bytes(usize, fn(&Descriptor) -> &Bytes, fn(&mut Descriptor, Bytes)),
}

struct Field {
    code: &'static str,
    form: Form,
}

const fn field(code: &'static str, form: Form) -> Field {
    Field { code, form }
}

/// In the order of MQMD, which is that of MQ's files. What MQMD_DEFAULT says is left out of a descriptor here.
#[rustfmt::skip]
const FIELDS: &[Field] = &[
    field("VER", Form::Number(|_| 2, |_, _| {})),
    field("RPT", Form::Number(|md| number(md.report), |md, n| md.report = n as u32)),
    field("MST", Form::Number(|md| md.message_type.map_or(8, number), |md, n| md.message_type = unless(8, n))),
    field("EXP", Form::Number(|md| md.expiry.map_or(-1, number), |md, n| md.expiry = unless(-1, n))),
    field("FDB", Form::Number(|md| number(md.feedback), |md, n| md.feedback = n as u32)),
    field("ENC", Form::Number(|md| md.encoding.unwrap_or(ENCODING).into(), |md, n| md.encoding = unless(ENCODING.into(), n).map(|n| n as i32))),
    field("CCS", Form::Number(|md| md.coded_character_set.unwrap_or(CCSID).into(), |md, n| md.coded_character_set = unless(CCSID.into(), n).map(|n| n as i32))),
    field("FMT", Form::Text(8, |md| md.format.clone(), |md, text| md.format = text)),
    field("PRI", Form::Number(|md| md.priority.map_or(-1, number), |md, n| md.priority = unless(-1, n))),
    field("PER", Form::Number(persistence, |md, n| md.persistence = persistence_of(n) as i32)),
    field("MSI", Form::Bytes(24, |md| &md.message_id, |md, id| md.message_id = id)),
    field("COI", Form::Bytes(24, |md| &md.correlation_id, |md, id| md.correlation_id = id)),
    field("BOC", Form::Number(|md| number(md.backout_count), |md, n| md.backout_count = n as u32)),
    field("RTQ", Form::Text(48, |md| md.reply_to_queue.clone(), |md, text| md.reply_to_queue = text)),
    field("RTM", Form::Text(48, |md| md.reply_to_queue_manager.clone(), |md, text| md.reply_to_queue_manager = text)),
    field("USR", Form::Text(12, |md| md.user_identifier.clone(), |md, text| md.user_identifier = text)),
    field("ACC", Form::Bytes(32, |md| &md.accounting_token, |md, token| md.accounting_token = token)),
    field("AID", Form::Either(32, "AIX", |md| md.application_identity_data.clone(), |md, text| md.application_identity_data = text)),
    field("PAT", Form::Number(|md| number(md.put_application_type), |md, n| md.put_application_type = n as u32)),
    field("PAN", Form::Text(28, |md| md.put_application_name.clone(), |md, text| md.put_application_name = text)),
    field("PTD", Form::Text(8, put_date, set_put_date)),
    field("PTT", Form::Text(8, put_time, add_put_time)),
    field("AOD", Form::Either(4, "AOX", |md| md.application_origin_data.clone(), |md, text| md.application_origin_data = text)),
    field("GRP", Form::Bytes(24, |md| &md.group_id, |md, id| md.group_id = id)),
    field("MSQ", Form::Number(|md| md.message_sequence_number.map_or(1, number), |md, n| md.message_sequence_number = unless(1, n))),
    field("OFF", Form::Number(|md| number(md.offset), |md, n| md.offset = n as u32)),
    field("MSF", Form::Number(|md| number(md.message_flags), |md, n| md.message_flags = n as u32)),
    field("ORL", Form::Number(|md| md.original_length.map_or(-1, number), |md, n| md.original_length = unless(-1, n))),
];

/// MQENC_NATIVE and the character set of a message that says nothing of them.
const ENCODING: i32 = 546;
const CCSID: i32 = 1208;
const DAY_MS: i64 = 86_400_000;

/// MQ's numbers are signed.
fn number(of: u32) -> i64 {
    i64::from(of as i32)
}

fn unless(default: i64, said: i64) -> Option<u32> {
    (said != default).then_some(said as u32)
}

fn persistence(md: &Descriptor) -> i64 {
    match md.persistence() {
        Persistence::NotPersistent => 0,
        Persistence::Persistent => 1,
        Persistence::AsQueue => 2,
    }
}

fn persistence_of(number: i64) -> Persistence {
    match number {
        0 => Persistence::NotPersistent,
        1 => Persistence::Persistent,
        _ => Persistence::AsQueue,
    }
}

fn put_date(md: &Descriptor) -> String {
    let Moment { year, month, day, .. } = Moment::of(md.put_time_ms);
    if md.put_time_ms == 0 { String::new() } else { format!("{year:04}{month:02}{day:02}") }
}

/// To hundredths of a second.
fn put_time(md: &Descriptor) -> String {
    let Moment { hour, minute, second, millisecond, .. } = Moment::of(md.put_time_ms);
    match md.put_time_ms {
        0 => String::new(),
        _ => format!("{hour:02}{minute:02}{second:02}{:02}", millisecond / 10),
    }
}

/// When a message was put decides which are chosen by age, and nothing else: who puts it again gives it a new time.
fn set_put_date(md: &mut Descriptor, text: String) {
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    let day = Moment::parse(&format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8)));
    md.put_time_ms = day.unwrap_or_default();
}

fn add_put_time(md: &mut Descriptor, text: String) {
    let part = |at: usize| text.get(at..at + 2).and_then(|digits| digits.parse::<i64>().ok());
    if let (Some(hour), Some(minute), Some(second), Some(hundredths)) = (part(0), part(2), part(4), part(6)) {
        let in_day = ((hour * 60 + minute) * 60 + second) * 1000 + hundredths * 10;
        md.put_time_ms += in_day.clamp(0, DAY_MS - 1);
    }
}

// ---- writing ----

/// The first lines of a file. `queue` and its queue manager where messages come from one.
pub fn write_header(out: &mut Vec<u8>, now_ms: i64, from: Option<(&str, &str)>) {
    let created = crate::output::timestamp(now_ms);
    let version = env!("CARGO_PKG_VERSION");
    out.extend_from_slice(format!("* DMPMQMSG Version:{version} Trimaran Created:{created}\n").as_bytes());
    if let Some((queue_manager, queue)) = from {
        out.extend_from_slice(format!("* Qmgr  = {queue_manager}\n* Queue = {queue}\n").as_bytes());
    }
    out.push(b'\n');
}

/// `number` counts what is written, from 1 on.
pub fn write_message(out: &mut Vec<u8>, display: &Display, number: u64, message: &Message) {
    if display.index {
        out.extend_from_slice(format!("* Index {number}\n").as_bytes());
    }
    match display.descriptor {
        true => FIELDS.iter().for_each(|field| write_field(out, display, field, &message.descriptor)),
        false => out.extend_from_slice(b"N\n"),
    }
    write_body(out, display, &message.body);
    out.push(b'\n');
}

fn write_field(out: &mut Vec<u8>, display: &Display, field: &Field, md: &Descriptor) {
    let mut line = |code: &str, value: &str| {
        out.extend_from_slice(format!("A {code} {value}\n").as_bytes());
    };
    let padded = |text: &str, length: usize| {
        let blanks = length.saturating_sub(text.len());
        format!("{text}{}", " ".repeat(blanks))
    };
    match &field.form {
        Form::Number(get, _) => line(field.code, &get(md).to_string()),
        Form::Bytes(length, get, _) => {
            let mut bytes = get(md).to_vec();
            bytes.resize(*length, 0);
            line(field.code, &hex(&bytes).to_uppercase());
        }
        Form::Either(length, code, get, _) if !display.characters => {
            line(code, &hex(padded(&get(md), *length).as_bytes()).to_uppercase());
        }
        Form::Text(length, get, _) | Form::Either(length, _, get, _) => {
            let text = get(md);
            let shown: String = text.chars().map(|c| if c.is_control() { '.' } else { c }).collect();
            line(field.code, &padded(&shown, *length));
            if shown != text {
                let digits = hex(text.as_bytes()).to_uppercase();
                out.extend_from_slice(format!("*X {} {digits}\n", field.code).as_bytes());
            }
        }
    }
}

fn write_body(out: &mut Vec<u8>, display: &Display, body: &[u8]) {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~');
    match display.body {
        Body::Hex => return write_hex(out, display, body),
        // A body without a character still has a line.
        Body::Text | Body::Characters if body.is_empty() => {
            out.extend_from_slice(if display.body == Body::Text { b"T \n" } else { b"S \"\"\n" });
        }
        Body::Characters => {}
        Body::Text => return write_text(out, display, body),
    }
    let mut rest = body;
    while !rest.is_empty() {
        let length = rest.iter().take_while(|byte| is_text(byte)).count();
        write_characters(out, display, &rest[..length]);
        rest = &rest[length..];
        let length = rest.iter().take_while(|byte| !is_text(byte)).count();
        if length > 0 {
            write_hex(out, display, &rest[..length]);
        }
        rest = &rest[length..];
    }
}

fn write_hex(out: &mut Vec<u8>, display: &Display, bytes: &[u8]) {
    if bytes.is_empty() {
        out.extend_from_slice(b"X \n");
    }
    for line in bytes.chunks(display.width) {
        let digits = hex(line).to_uppercase();
        out.extend_from_slice(format!("X {digits}").as_bytes());
        if display.columns {
            let blanks = 2 * (display.width + 1 - line.len());
            out.extend(std::iter::repeat_n(b' ', blanks));
            out.push(b'<');
            out.extend(line.iter().map(|byte| if matches!(byte, b' '..=b'~') { *byte } else { b'.' }));
            out.push(b'>');
        }
        out.push(b'\n');
    }
}

fn write_characters(out: &mut Vec<u8>, display: &Display, characters: &[u8]) {
    for line in characters.chunks(display.width * 2 - 2) {
        out.extend_from_slice(b"S \"");
        for byte in line {
            if matches!(byte, b'"' | b'~') {
                out.push(b'~');
            }
            out.push(*byte);
        }
        out.extend_from_slice(b"\"\n");
    }
}

/// A line of the body on a line of the file, and what cannot be printed in hexadecimal. When it is read again each T ends a line, so
/// what did not end one does then: as MQ's it is for reading.
fn write_text(out: &mut Vec<u8>, display: &Display, body: &[u8]) {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~');
    let mut rest = body;
    while !rest.is_empty() {
        let length = rest.iter().take_while(|byte| is_text(byte)).count();
        let (line, behind) = rest.split_at(length);
        let ends = match behind {
            [b'\r', b'\n', ..] | [b'\n', b'\r', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        if length > 0 || ends > 0 {
            out.extend_from_slice(&[b"T ", line, b"\n"].concat());
        }
        rest = &behind[ends..];
        if ends == 0 {
            let length = rest.iter().take_while(|byte| !is_text(byte)).count();
            if length > 0 {
                write_hex(out, display, &rest[..length]);
            }
            rest = &rest[length..];
        }
    }
}

// ---- reading ----

/// Messages of a file, one after the other.
pub struct Reader<R> {
    from: R,
    line: Vec<u8>,
    /// Of `line`, from 1 on.
    number: usize,
    ended: bool,
}

impl<R: BufRead> Reader<R> {
    /// # Errors
    /// What is no file of dmpmqmsg, and what cannot be read.
    pub fn new(from: R) -> Result<Reader<R>, String> {
        let mut reader = Reader { from, line: Vec::new(), number: 0, ended: false };
        let mut first = true;
        while reader.next_line()? {
            let line = reader.line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let is_comment = line.starts_with(b"*");
            if first && is_comment && !line.starts_with(b"* QLOAD") && !line.starts_with(b"* DMPMQMSG") {
                return Err("it is no file of dmpmqmsg: such a file begins with * DMPMQMSG or * QLOAD".into());
            }
            if line.starts_with(b"AMQSBCG0") {
                return Err(
                    "it was written by amqsbcg, which is not read here; dmpmqmsg writes its own".into()
                );
            }
            first = false;
            if !is_comment {
                break;
            }
        }
        Ok(reader)
    }

    /// The next message and the number of its first line; None at the end.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn next(&mut self) -> Result<Option<(usize, Message)>, String> {
        if self.ended {
            return Ok(None);
        }
        let begun = self.number;
        if !matches!(self.line.first(), Some(b'A' | b'N')) {
            return Err(self.fault("a message begins with a line of A (an attribute) or N"));
        }
        let mut message = Message::default();
        if self.line.starts_with(b"N") {
            self.step()?;
        }
        while self.line.starts_with(b"A") || self.line.starts_with(b"*X") {
            self.attribute(&mut message.descriptor)?;
            self.step()?;
        }
        if self.ended || !matches!(self.line.first(), Some(b'X' | b'S' | b'T')) {
            return Err(self.fault("the data of the message is missing: lines of X, S or T"));
        }
        let mut body = Vec::new();
        while !self.ended && matches!(self.line.first(), Some(b'X' | b'S' | b'T')) {
            self.data(&mut body)?;
            self.step()?;
        }
        message.body = body.into();
        trim(&mut message.descriptor);
        Ok(Some((begun, message)))
    }

    fn fault(&self, what: &str) -> String {
        if self.ended { format!("at the end: {what}") } else { format!("line {}: {what}", self.number) }
    }

    /// To the next line that says something.
    fn step(&mut self) -> Result<(), String> {
        while self.next_line()? {
            let is_comment = self.line.starts_with(b"*") && !self.line.starts_with(b"*X ");
            if !self.line.is_empty() && !is_comment {
                break;
            }
        }
        Ok(())
    }

    fn next_line(&mut self) -> Result<bool, String> {
        self.line.clear();
        let read = self.from.read_until(b'\n', &mut self.line);
        let read = read.map_err(|error| format!("it cannot be read: {}", plain::error(error)))?;
        self.ended = read == 0;
        if self.line.ends_with(b"\n") {
            self.line.pop();
        }
        if self.line.ends_with(b"\r") {
            self.line.pop();
        }
        self.number += usize::from(read > 0);
        Ok(!self.ended)
    }

    fn attribute(&self, md: &mut Descriptor) -> Result<(), String> {
        let is_hidden = self.line.starts_with(b"*X");
        let rest = self.line.get(if is_hidden { 3.. } else { 2.. }).unwrap_or_default();
        let code = rest.get(..3).unwrap_or_default();
        // A value may be left out.
        let value = rest.get(4..).unwrap_or_default();
        let found = FIELDS.iter().find_map(|field| {
            let is_code = field.code.as_bytes() == code;
            match &field.form {
                Form::Either(_, other, ..) if other.as_bytes() == code => Some((field, true)),
                _ => is_code.then_some((field, is_hidden)),
            }
        });
        let Some((field, in_hex)) = found else {
            let code = String::from_utf8_lossy(code).into_owned();
            return Err(self.fault(&format!("there is no attribute {code}")));
        };
        if value.is_empty() {
            return Ok(());
        }
        let wrong = |what: &str| self.fault(&format!("{} is {what}", field.code));
        let too_long = |length: usize| wrong(&format!("longer than its {length} bytes"));
        match &field.form {
            Form::Number(_, set) => {
                let text = std::str::from_utf8(value).unwrap_or_default().trim();
                let range = i64::from(i32::MIN)..=i64::from(u32::MAX);
                let number = text.parse().ok().filter(|number| range.contains(number));
                set(md, number.ok_or_else(|| wrong("no number of MQ"))?);
            }
            Form::Bytes(length, _, set) => {
                let digits = std::str::from_utf8(value).unwrap_or("-").trim();
                let bytes = unhex(digits).ok_or_else(|| wrong("not hexadecimal"))?;
                if bytes.len() > *length {
                    return Err(too_long(*length));
                }
                set(md, bytes.into());
            }
            Form::Text(length, _, set) | Form::Either(length, _, _, set) => {
                let bytes = match in_hex {
                    true => std::str::from_utf8(value).ok().and_then(|digits| unhex(digits.trim())),
                    false => Some(value.to_vec()),
                };
                let bytes = bytes.ok_or_else(|| wrong("not hexadecimal"))?;
                let text = std::str::from_utf8(&bytes).map_err(|_| wrong("no text in UTF-8"))?;
                let text = text.trim_end_matches([' ', '\0']);
                if text.len() > *length {
                    return Err(too_long(*length));
                }
                set(md, text.to_string());
            }
        }
        Ok(())
    }

    fn data(&self, body: &mut Vec<u8>) -> Result<(), String> {
        let rest = &self.line[1..];
        match self.line[0] {
            b'X' => self.hexadecimal(rest.trim_ascii_start(), body),
            b'S' => self.characters(rest.trim_ascii_start(), body),
            _ => {
                body.extend_from_slice(rest.get(1..).unwrap_or_default());
                body.push(b'\n');
                Ok(())
            }
        }
    }

    /// Up to what is no digit: the columns of -da stand behind a blank.
    fn hexadecimal(&self, rest: &[u8], body: &mut Vec<u8>) -> Result<(), String> {
        let length = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, behind) = rest.split_at(length);
        let bytes = std::str::from_utf8(digits).ok().and_then(unhex);
        match bytes.filter(|_| behind.is_empty() || behind.starts_with(b" ")) {
            Some(bytes) => body.extend_from_slice(&bytes),
            None => return Err(self.fault("the data is not hexadecimal, two digits a byte")),
        }
        Ok(())
    }

    /// In quotes, or as it is up to its last character that is no blank.
    fn characters(&self, rest: &[u8], body: &mut Vec<u8>) -> Result<(), String> {
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            body.extend_from_slice(rest.trim_ascii_end());
            return Ok(());
        };
        let mut bytes = quoted.iter();
        while let Some(byte) = bytes.next() {
            match byte {
                b'"' => return Ok(()),
                b'~' => match bytes.next() {
                    Some(escaped @ (b'"' | b'~')) => body.push(*escaped),
                    _ => return Err(self.fault("behind ~ stands \" or ~")),
                },
                byte => body.push(*byte),
            }
        }
        Err(self.fault("the closing \" is missing"))
    }
}

/// Ids of zeros are none.
fn trim(md: &mut Descriptor) {
    for id in [&mut md.message_id, &mut md.correlation_id, &mut md.group_id, &mut md.accounting_token] {
        let length = id.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        id.truncate(length);
    }
}
