//! What a program begins and does not end: units, bodies, frames, answers that it does not read.
//!
//! Whoever holds something until the node hangs up on it begins again at once. What the node says to that is not of
//! interest: the victim is.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::{BufMut, Bytes, BytesMut};
use futures::future::join_all;
use hyper::body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep};
use tonic::client::GrpcService;
use tonic::transport::Channel;
use trimaran_proto::message::v1::{Descriptor, Message, Persistence};
use trimaran_proto::queue::v1::{self as wire, call::Call};

use super::attacker::{Attacker, HANDLE, frame, get, opened};
use crate::system::trimaran::{Stream, channel};

const MIB: usize = 1024 * 1024;
/// What is held is let go after this time, and held again.
const HOLD: Duration = Duration::from_secs(30);
/// A session frame of the largest size, and what does not come of it.
const FRAME_BYTES: usize = 4 * MIB - 1024;
const MISSING_BYTES: usize = 100 * 1024;

pub async fn browse_and_not_read(attacker: &mut Attacker, count: usize) -> Result<()> {
    let first = || Call::Get(wire::Get { browse: wire::Browse::First.into(), ..get() });
    let calls = (0..count).map(|_| wire::Call { token: attacker.stream.token(), call: Some(first()) });
    let calls = calls.collect();
    attacker.stream.send(calls)?;
    attacker.hold(HOLD).await;
    attacker.begin_again().await
}

/// Gets of an empty queue, as far as the node takes them. With a time they all end when it is over, and none waits for less.
pub async fn wait_in_many(
    attacker: &mut Attacker,
    sessions: usize,
    gets: usize,
    time: Option<Duration>,
) -> Result<()> {
    let end = time.map(|time| Instant::now() + time);
    let mut open = Vec::new();
    for _ in 0..sessions {
        let mut stream = opened(attacker.address(), &attacker.queue).await?;
        let left = |end: Instant| end.saturating_duration_since(Instant::now()).as_millis() as i32;
        let wait_ms = end.map_or(-1, left);
        let waits = || Call::Get(wire::Get { wait_ms, ..get() });
        let calls = (0..gets).map(|_| wire::Call { token: stream.token(), call: Some(waits()) }).collect();
        stream.send(calls)?;
        open.push(stream);
    }
    attacker.hold(time.map_or(Duration::MAX, |time| time + Duration::from_secs(1))).await;
    Ok(())
}

/// Each with so many mebibytes, as far as the node takes them.
pub async fn open_units(attacker: &mut Attacker, sessions: usize, mebibytes: usize) -> Result<()> {
    let mut open = Vec::new();
    for _ in 0..sessions {
        let mut stream = opened(attacker.address(), &attacker.queue).await?;
        put_all(&mut stream, mebibytes, true, None).await?;
        open.push(stream);
    }
    attacker.hold(Duration::MAX).await;
    Ok(())
}

/// Half of them in units that stay open, half outside of syncpoint.
pub async fn put_not_persistent(attacker: &mut Attacker, sessions: usize, mebibytes: usize) -> Result<()> {
    let mut open = Vec::new();
    for session in 0..2 * sessions {
        let mut stream = opened(attacker.address(), &attacker.queue).await?;
        let persistence = Persistence::NotPersistent.into();
        let descriptor = Descriptor { persistence, ..Descriptor::default() };
        put_all(&mut stream, mebibytes, session % 2 == 0, Some(descriptor)).await?;
        open.push(stream);
    }
    attacker.hold(Duration::MAX).await;
    Ok(())
}

/// One put after the other, so that the first refusal ends it.
async fn put_all(
    stream: &mut Stream,
    mebibytes: usize,
    syncpoint: bool,
    descriptor: Option<Descriptor>,
) -> Result<()> {
    let body = Bytes::from(vec![7; MIB - 1024]);
    for _ in 0..mebibytes {
        let descriptor = descriptor.clone().map(Box::new);
        let message = Message { descriptor, body: body.clone(), body_crc32c: None };
        let to = Some(wire::put::To::Handle(HANDLE));
        let put = wire::Put { to, message: Some(message), syncpoint, ..wire::Put::default() };
        frame(stream, vec![Call::Put(put)]).await?;
    }
    Ok(())
}

pub async fn half_sent_puts(attacker: &mut Attacker, connections: usize) -> Result<()> {
    let length = 100 * MIB;
    let puts = (0..connections).map(|_| async {
        let channel = channel(attacker.address()).await?;
        begin(channel, "Put", Begun::stopping(length, length - MIB)).await
    });
    until_hung_up(attacker, join_all(puts)).await
}

pub async fn half_sent_frames(attacker: &mut Attacker, connections: usize, streams: usize) -> Result<()> {
    let mut sessions = Vec::new();
    for _ in 0..connections {
        let channel = channel(attacker.address()).await?;
        let frame = || Begun::stopping(FRAME_BYTES, FRAME_BYTES - MISSING_BYTES);
        sessions.extend((0..streams).map(|_| begin(channel.clone(), "Session", frame())));
    }
    until_hung_up(attacker, join_all(sessions)).await
}

pub async fn stopped_bodies(attacker: &mut Attacker, sessions: usize, trickles: usize) -> Result<()> {
    let mut stopped = Vec::new();
    for _ in 0..sessions {
        let stream = opened(attacker.address(), &attacker.queue).await?;
        let data = Bytes::from(vec![7; MIB]);
        for _ in 0..90 {
            let part = Call::BodyPart(wire::BodyPart { number: 1, data: data.clone() });
            stream.send(vec![wire::Call { token: 0, call: Some(part) }])?;
        }
        stopped.push(stream);
    }
    let puts = (0..trickles).map(|_| async {
        let channel = channel(attacker.address()).await?;
        begin(channel, "Put", Begun::trickling(50 * MIB, Duration::from_secs(10))).await
    });
    until_hung_up(attacker, join_all(puts)).await?;
    attacker.hold(HOLD / 3).await;
    Ok(())
}

/// All of them, however they end; none is waited for longer than [`HOLD`].
async fn until_hung_up(attacker: &Attacker, all: impl Future<Output = Vec<Result<()>>>) -> Result<()> {
    tokio::select! {
        ended = all => {
            // Whoever is hung up on at once, or refused, shall not keep its own machine busy with that.
            let _ = ended;
            sleep(Duration::from_millis(100)).await;
        }
        () = attacker.hold(HOLD) => {}
    }
    Ok(())
}

/// Begins a call and waits for its end.
async fn begin(mut channel: Channel, call: &str, body: Begun) -> Result<()> {
    let request = http::Request::post(format!("http://node/trimaran.queue.v1.Queue/{call}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(tonic::body::Body::new(body))?;
    std::future::poll_fn(|context| GrpcService::poll_ready(&mut channel, context)).await?;
    let answer = GrpcService::call(&mut channel, request).await?;
    let mut answer = answer.into_body();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut answer).poll_frame(context)).await {
        frame?;
    }
    Ok(())
}

/// The body of a call with one message: so many bytes of it come at once, then one now and then, or nothing.
struct Begun {
    ready: Bytes,
    left: usize,
    trickle: Option<Duration>,
    next: Pin<Box<Sleep>>,
}

impl Begun {
    /// Of a message of so many bytes this many come.
    fn stopping(length: usize, coming: usize) -> Begun {
        let mut head = BytesMut::new();
        head.put_u8(0);
        head.put_u32(length as u32);
        Begun { ready: head.freeze(), left: coming, trickle: None, next: Box::pin(sleep(Duration::ZERO)) }
    }

    fn trickling(length: usize, every: Duration) -> Begun {
        Begun { trickle: Some(every), ..Begun::stopping(length, 0) }
    }
}

impl Body for Begun {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        static SEVENS: [u8; 64 * 1024] = [7; 64 * 1024];
        let head = std::mem::take(&mut self.ready);
        if !head.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        if self.left > 0 {
            let bytes = self.left.min(SEVENS.len());
            self.left -= bytes;
            return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&SEVENS[..bytes])))));
        }
        let Some(every) = self.trickle else { return Poll::Pending };
        std::task::ready!(self.next.as_mut().poll(context));
        self.next.as_mut().reset(Instant::now() + every);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&SEVENS[..1])))))
    }
}
