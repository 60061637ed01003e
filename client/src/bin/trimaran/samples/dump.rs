//! amqsbcg: prints descriptor and body of each message that is there, the body in hexadecimal and as text, and leaves them.

use std::fmt::Write;

use trimaran_client::channel::{Channel, Got};
use trimaran_client::proto::mq::constants::{get, open};
use trimaran_client::proto::mq::message::Md;
use trimaran_client::proto::mq::{Raw, Text};
use trimaran_client::{Error, reason};

use super::input::Input;
use super::{connecting, cut, queue_manager, reason_of};
use crate::arguments::{AmqsbcgArgs, Global};
use crate::output::{self, Failure, Outcome};
use crate::say;
use crate::talk::print_prompt;

/// It ends with it when it is given no queue; otherwise with the completion code of what failed.
const NO_QUEUE: i32 = 4;
const FAILED: i32 = 2;
/// Bytes on a line of the dump.
const ROW: usize = 16;

pub async fn run(global: &Global, args: AmqsbcgArgs) -> Outcome {
    say!("\nAMQSBCG0 - starts here\n**********************");
    print_prompt(" ");
    let Some(queue) = args.queue.as_deref().map(cut) else {
        say!("Required parameter missing - queue name\n\n  Usage: amqsbcg QName [ QMgrName ] [ PropOption ]");
        return Err(Failure::Control { code: NO_QUEUE, text: String::new() });
    };
    let login = Input::login_alone().await?;
    say!("");
    let name = queue_manager(global, &args.name);
    let mut channel = match connecting::connect(global, "amqsbcg", name, login.as_ref()).await {
        Ok(channel) => channel,
        Err(refusal) => {
            say!(" MQCONNX failed with CompCode:{FAILED}, Reason:{}", refusal.reason);
            return Err(Failure::Control { code: FAILED, text: refusal.text });
        }
    };
    say!(" MQOPEN - '{queue}'");
    let (handle, done) = match channel.open(&queue, open::BROWSE).await {
        Ok(handle) => (Some(handle), dump_as(&mut channel, handle, args.properties).await),
        Err(error) => {
            say!(" MQOPEN failed with CompCode:{FAILED}, Reason:{}", reason_of(&error));
            (None, Err(error.to_string()))
        }
    };
    end(channel, handle).await;
    done.map_err(|error| Failure::Control { code: FAILED, text: format!("trimaran: {error}") })
}

/// With what PropOption asks for. Message properties as a handle (MQCRTMH) are not here.
async fn dump_as(channel: &mut Channel, handle: i32, properties: u8) -> Result<(), String> {
    let options = match properties {
        1 => {
            let reason = reason::FUNCTION_NOT_SUPPORTED;
            say!(" MQCRTMH\n  failed with CompCode:{FAILED}, Reason:{reason}");
            return Err("message properties as a handle are not here; 3 in place of 1 shows them in front of the body".into());
        }
        2 => get::NO_PROPERTIES,
        3 => get::PROPERTIES_FORCE_MQRFH2,
        4 => get::PROPERTIES_COMPATIBILITY,
        _ => 0,
    };
    say!(" ");
    dump_all(channel, handle, options).await.map_err(|error| error.to_string())
}

async fn dump_all(channel: &mut Channel, handle: i32, properties: u32) -> Result<(), Error> {
    for number in 1.. {
        if number > 1 {
            say!(" ");
        }
        match channel.get(handle, get::BROWSE_NEXT | properties, 0).await {
            Ok(Some(got)) => {
                let completion = u32::from(got.reason != reason::NONE);
                say!(" \n MQGET of message number {number}, CompCode:{completion} Reason:{}", got.reason);
                say!("{}", descriptor(&got.md));
                write_body(&got);
            }
            Ok(None) => {
                say!(" \n \n No more messages ");
                return Ok(());
            }
            Err(error) => {
                say!(" MQGET {number}, failed with CompCode:{FAILED} Reason:{}", reason_of(&error));
                return Err(error);
            }
        }
    }
    Ok(())
}

async fn end(mut channel: Channel, handle: Option<i32>) {
    let tell = |outcome: Result<(), Error>| {
        if let Err(error) = outcome {
            say!("  failed with CompCode:{FAILED}, Reason:{}", reason_of(&error));
        }
    };
    if let Some(handle) = handle {
        say!(" MQCLOSE");
        tell(channel.close(handle).await);
    }
    say!(" MQDISC");
    tell(channel.disconnect().await);
}

fn descriptor(md: &Md) -> String {
    let mut out = String::from("****Message descriptor****\n\n");
    // Numbers without a sign in the structure are printed with one, as MQLONG has it.
    let signed = |number: u32| number as i32;
    let mut line = |text: std::fmt::Arguments<'_>| writeln!(out, "{text}").expect("memory can be written to");
    line(format_args!("  StrucId  : 'MD  '  Version : {}", md.version));
    line(format_args!("  Report   : {}  MsgType : {}", signed(md.report), signed(md.message_type)));
    line(format_args!("  Expiry   : {}  Feedback : {}", md.expiry, signed(md.feedback)));
    line(format_args!("  Encoding : {}  CodedCharSetId : {}", md.encoding, md.ccsid));
    line(format_args!("  Format : '{}'", padded(&md.format)));
    line(format_args!("  Priority : {}  Persistence : {}", md.priority, md.persistence));
    line(format_args!("  MsgId : X'{}'", hex(&md.message_id)));
    line(format_args!("  CorrelId : X'{}'", hex(&md.correlation_id)));
    line(format_args!("  BackoutCount : {}", md.backout_count));
    line(format_args!("  ReplyToQ       : '{}'", padded(&md.reply_to_queue)));
    line(format_args!("  ReplyToQMgr    : '{}'", padded(&md.reply_to_queue_manager)));
    line(format_args!("  ** Identity Context"));
    line(format_args!("  UserIdentifier : '{}'", padded(&md.user)));
    line(format_args!("  AccountingToken : \n   X'{}'", hex(&md.accounting_token)));
    line(format_args!("  ApplIdentityData : '{}'", padded(&md.identity_data)));
    line(format_args!("  ** Origin Context"));
    line(format_args!("  PutApplType    : '{}'", md.put_application_type));
    line(format_args!("  PutApplName    : '{}'", padded(&md.put_application)));
    line(format_args!("  PutDate  : '{}'    PutTime  : '{}'", padded(&md.put_date), padded(&md.put_time)));
    line(format_args!("  ApplOriginData : '{}'\n", padded(&md.origin_data)));
    line(format_args!("  GroupId : X'{}'", hex(&md.group_id)));
    line(format_args!("  MsgSeqNumber   : '{}'", md.sequence_number));
    line(format_args!("  Offset         : '{}'", md.offset));
    line(format_args!("  MsgFlags       : '{}'", signed(md.message_flags)));
    line(format_args!("  OriginalLength : '{}'", md.original_length));
    out.truncate(out.trim_end_matches('\n').len());
    out
}

/// The whole field; what would do harm to a terminal is shown by its number.
fn padded<const N: usize>(text: &Text<N>) -> String {
    let shown = output::visible_bytes(text.trimmed());
    format!("{shown:N$}")
}

fn hex<const N: usize>(id: &Raw<N>) -> String {
    trimaran_client::hex(&id.0).to_uppercase()
}

/// In pieces: the dump of a large body is four times as large.
fn write_body(got: &Got) {
    say!(" \n****   Message      ****\n \n length - {} of {} bytes\n ", got.body.len(), got.message_bytes);
    const PIECE: usize = 4096 * ROW;
    for (number, piece) in got.body.chunks(PIECE).enumerate() {
        output::write(rows(number * PIECE, piece).as_bytes());
    }
    if got.body.is_empty() {
        output::write(row(0, &[]).as_bytes());
    }
}

fn rows(offset: usize, bytes: &[u8]) -> String {
    bytes.chunks(ROW).enumerate().map(|(number, bytes)| row(offset + number * ROW, bytes)).collect()
}

/// `00000000:  4865 6C6C 6F                                      'Hello           '`
fn row(offset: usize, bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.chunks(2).map(|pair| trimaran_client::hex(pair).to_uppercase()).collect();
    let text: String =
        bytes.iter().map(|byte| if (0x20..0x7F).contains(byte) { *byte as char } else { '.' }).collect();
    format!("{offset:08X}:  {:50}'{text:ROW$}'\n", pairs.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_sixteen_bytes_in_pairs_and_as_text() {
        assert_eq!(
            rows(0, b"RFH \0\0\0\x02\0\0\0\x9c\0\0\x01\x11\xff~\x7f"),
            "00000000:  5246 4820 0000 0002 0000 009C 0000 0111           'RFH ............'\n\
             00000010:  FF7E 7F                                           '.~.             '\n"
        );
        let nothing = format!("00000000:  {}'{}'\n", " ".repeat(50), " ".repeat(16));
        assert_eq!(row(0, &[]), nothing);
        assert!(rows(0x10_0000, b"x").starts_with("00100000:  78 "));
    }

    #[test]
    fn a_descriptor_is_printed_as_amqsbcg_prints_it() {
        let md = Md {
            version: 2,
            report: 0x8000_0000,
            message_type: 8,
            expiry: -1,
            encoding: 546,
            ccsid: 1208,
            format: Text::new("MQSTR"),
            persistence: 1,
            message_id: Raw::new(b"AMQ QM1"),
            reply_to_queue_manager: Text::new("QM1"),
            user: Text::new("mqm"),
            put_application_type: 6,
            put_application: Text::new("amqs\x1bput"),
            put_date: Text::new("20261129"),
            put_time: Text::new("14245461"),
            sequence_number: 1,
            original_length: -1,
            ..Md::default()
        };
        let zeros = |bytes: usize| "00".repeat(bytes);
        let expected = format!(
            "****Message descriptor****\n\
             \n\
             \x20 StrucId  : 'MD  '  Version : 2\n\
             \x20 Report   : -2147483648  MsgType : 8\n\
             \x20 Expiry   : -1  Feedback : 0\n\
             \x20 Encoding : 546  CodedCharSetId : 1208\n\
             \x20 Format : 'MQSTR   '\n\
             \x20 Priority : 0  Persistence : 1\n\
             \x20 MsgId : X'414D5120514D31{}'\n\
             \x20 CorrelId : X'{}'\n\
             \x20 BackoutCount : 0\n\
             \x20 ReplyToQ       : '{:48}'\n\
             \x20 ReplyToQMgr    : '{:48}'\n\
             \x20 ** Identity Context\n\
             \x20 UserIdentifier : 'mqm         '\n\
             \x20 AccountingToken : \n\
             \x20  X'{}'\n\
             \x20 ApplIdentityData : '{:32}'\n\
             \x20 ** Origin Context\n\
             \x20 PutApplType    : '6'\n\
             \x20 PutApplName    : '{:28}'\n\
             \x20 PutDate  : '20261129'    PutTime  : '14245461'\n\
             \x20 ApplOriginData : '    '\n\
             \n\
             \x20 GroupId : X'{}'\n\
             \x20 MsgSeqNumber   : '1'\n\
             \x20 Offset         : '0'\n\
             \x20 MsgFlags       : '0'\n\
             \x20 OriginalLength : '-1'",
            zeros(17),
            zeros(24),
            "",
            "QM1",
            zeros(32),
            "",
            r"amqs\x1bput",
            zeros(24),
        );
        assert_eq!(descriptor(&md), expected);
    }
}
