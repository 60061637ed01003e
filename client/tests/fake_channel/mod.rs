//! A queue manager that speaks the protocol of channels, as far as `send` needs it. It keeps nothing.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use trimaran_client::proto::mq::call::Call;
use trimaran_client::proto::mq::control::Status;
use trimaran_client::proto::mq::segment::SEGMENT_BYTES_MAX;
use trimaran_client::proto::mq::{Flow, Segment, Text, flags, types};

/// How a connection is dealt with.
#[derive(Clone, Copy)]
pub enum Manner {
    HangsUp,
    /// With a code of `control::status`.
    Refuses(u32),
    /// Answers everything, and hangs up in place of an answer to the next commit after so many.
    Commits(usize),
}

pub struct FakeChannel {
    pub port: String,
    connections: Arc<AtomicUsize>,
}

impl FakeChannel {
    /// One connection after the other has the next of these manners, and those behind have the last.
    pub fn new(manners: &'static [Manner]) -> FakeChannel {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = counted.fetch_add(1, Ordering::SeqCst);
                serve(stream.unwrap(), manners[number.min(manners.len() - 1)]);
            }
        });
        FakeChannel { port, connections }
    }

    /// Connections until now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, manner: Manner) {
    let (mut received, mut commits) = (BytesMut::new(), 0);
    while let Some(asked) = next(&mut stream, &mut received) {
        let segment = asked.header.segment;
        let (answer, flow) = match (manner, Flow::read(&asked).unwrap()) {
            (Manner::HangsUp, _) => return,
            (Manner::Refuses(code), _) => (types::STATUS, Flow::Status(Some(Status { code, value: None }))),
            (_, Flow::Initial(mut offer)) => {
                offer.fields.queue_manager = Text::new("QM1");
                (segment, Flow::Initial(offer))
            }
            (Manner::Commits(most), Flow::Call(call)) => {
                commits += usize::from(segment == types::CMIT);
                if commits > most {
                    return;
                }
                (segment | types::REPLY, Flow::Call(Call { handle: 1, ..call }))
            }
            _ => continue,
        };
        let header = asked.header.answer(answer, flags::WHOLE);
        let body = flow.body(answer, header.order);
        let mut out = BytesMut::new();
        Segment { header, body }.encode(&mut out);
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

/// The next segment; None when the other end is gone.
fn next(stream: &mut TcpStream, received: &mut BytesMut) -> Option<Segment> {
    loop {
        if let Some(segment) = Segment::take(received, SEGMENT_BYTES_MAX).unwrap() {
            return Some(segment);
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(read @ 1..) => received.extend_from_slice(&bytes[..read]),
            _ => return None,
        }
    }
}
