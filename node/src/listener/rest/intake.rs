//! The body of a request on its way in: held in the node's account, and it has to arrive in time.
//!
//! A body says its length first, and its memory is taken before it is read: a short one from the share of what arrives, a long one from
//! that of long bodies, where it waits and keeps it until it is answered. One that does not say its length is a short one.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use hyper::body::Body;
use tokio::time::Instant;

use super::problem::Problem;
use crate::listener::arrival::{
    COUNTED_BYTES, LONG_BYTES, LOOK_EVERY, LOOK_FOR_ROOM_EVERY, ROOM_PATIENCE, is_too_slow,
};
use crate::types::{Account, Held, Reason, Share};

/// A body, and what is held for it.
pub struct Taken {
    pub bytes: Bytes,
    _held: Held,
}

/// Whether a body of this length waits for its memory.
pub fn is_long(body: &impl Body) -> bool {
    body.size_hint().exact().is_some_and(|length| length > LONG_BYTES as u64)
}

/// All of it. `reason` is MQ's for one of more than `most` bytes.
///
/// # Errors
/// 413, 411 for a long one that does not say how long it is, 408 when it comes too slowly, 503 when there is no memory for it, 400 when
/// it ends before its time.
pub async fn take_in<B>(
    mut body: B,
    most: usize,
    reason: Reason,
    account: &Arc<Account>,
) -> Result<Taken, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    if most == 0 {
        let held = Held::nothing(account.clone(), Share::Receiving);
        return Ok(Taken { bytes: Bytes::new(), _held: held });
    }
    let said = body.size_hint().exact();
    let length = match said {
        Some(length) if length > most as u64 => {
            let detail = format!("The body has {length} bytes, and {most} is the most.");
            return Err(Problem::because(StatusCode::PAYLOAD_TOO_LARGE, reason, detail));
        }
        Some(length) => length as usize,
        None => most.min(LONG_BYTES),
    };
    let share = if length > LONG_BYTES { Share::Bodies } else { Share::Receiving };
    let held = room(length, share, account).await?;
    let mut taken = BytesMut::with_capacity(said.map_or(0, |_| length));
    let began = Instant::now();
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let frame = tokio::select! {
            frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)) => frame,
            _ = look.tick() => {
                let tight = held.bytes() > 0 && account.is_tight(share);
                if is_too_slow(taken.len(), began.elapsed(), tight) {
                    let detail = "The body comes too slowly, or not at all.";
                    return Err(Problem::because(StatusCode::REQUEST_TIMEOUT, Reason::BufferLengthError, detail));
                }
                continue;
            }
        };
        match frame {
            None => return Ok(Taken { bytes: taken.freeze(), _held: held }),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if taken.len() + data.len() > length {
                    let detail =
                        format!("A body of more than {length} bytes says its length: Content-Length.");
                    return Err(Problem::because(
                        StatusCode::LENGTH_REQUIRED,
                        Reason::DataLengthError,
                        detail,
                    ));
                }
                taken.extend_from_slice(&data);
            }
            Some(Err(_)) => {
                return Err(Problem::bad(Reason::BufferLengthError, "The body ended before its time."));
            }
        }
    }
}

/// Waits until there is memory for so many bytes.
async fn room(length: usize, share: Share, account: &Arc<Account>) -> Result<Held, Problem> {
    let mut held = Held::nothing(account.clone(), share);
    let wanted = if length > COUNTED_BYTES { length as u64 } else { 0 };
    let until = Instant::now() + ROOM_PATIENCE;
    while !held.hold_beside(wanted) {
        if Instant::now() > until {
            let detail =
                "Too many unfinished messages are being sent to this node; send this one again later.";
            return Err(Problem::of(Reason::ResourceProblem, Some(detail.into())));
        }
        tokio::time::sleep(LOOK_FOR_ROOM_EVERY).await;
    }
    Ok(held)
}
