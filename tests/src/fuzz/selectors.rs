//! Message selectors and the properties of messages, both from clients.

use bytes::Bytes;
use trimaran_node::types::{Body, Descriptor, Message, MessageSelector};
use trimaran_proto::message::v1::Descriptor as Rest;
use trimaran_proto::mq::rfh2;

use super::Target;
use super::pieces::{Pieces, joined};

pub const TARGET: Target =
    Target { name: "selectors", about: "message selectors over properties of messages", run, seeds };

/// A selector judges a message within what a turn has, about.
const LOOKS_MAX: u64 = 50_000;

/// Pieces: a selector, and messages that it judges.
fn run(bytes: &[u8]) {
    let mut pieces = Pieces(bytes);
    let Some(text) = pieces.next() else { return };
    let Ok(Some(selector)) = MessageSelector::new(&String::from_utf8_lossy(&text)) else { return };
    assert!(selector.weight() < 100 * text.len() as u64 + 1_000, "a selector takes what its text is worth");
    for piece in pieces {
        let mut descriptor = Descriptor::default();
        descriptor.set_rest(&Rest { format: rfh2::FORMAT.into(), ..Rest::default() });
        let message = Message { descriptor, body: Body::from(piece), body_crc: 0 };
        let verdict = selector.judge(&message);
        assert!(verdict.looks <= LOOKS_MAX, "{} looks", verdict.looks);
        assert_eq!(selector.judge(&message), verdict, "it says the same when it is asked again");
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let folder =
        "<usr><color>red</color><n dt='i4'>5</n><f dt='boolean'>1</f><g><h dt='r8'>1.5</h></g></usr>";
    let jms = "<jms><Cid>order 7</Cid><Tms>1700000000000</Tms></jms>";
    let message = Bytes::from(rfh2::encode("MQSTR", &["<mcd><Msd>jms_text</Msd></mcd>", jms, folder]));
    let selectors = [
        "color = 'red' AND n BETWEEN 1 AND 5",
        "NOT (color LIKE 'r!_%' ESCAPE '!') OR usr.g.h * 2 > 2.5e0",
        "color IN ('a', 'it''s') OR missing IS NOT NULL AND f",
        "JMSCorrelationID = 'order 7' AND JMSTimestamp > 0x10L",
        "Root.MQMD.MsgId = \"0x0A0B\" OR -n / 0 <> +1.",
    ];
    selectors.iter().map(|text| joined([text.as_bytes().to_vec(), message.to_vec()])).collect()
}
