//! A channel to one queue that is made anew when it breaks, for `send` and `receive`: at the same address, soon at first, so that a
//! program goes on where the queue manager and its address went.
//!
//! Each message is put or got in a unit of its own. What is not committed when the connection breaks is backed out, and is done
//! again; of a commit whose answer is lost nobody can say what became of it (2549), and it is not done again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use trimaran_client::channel::{Channel, datagram};
use trimaran_client::proto::mq::Text;
use trimaran_client::proto::mq::constants::{get, put};
use trimaran_client::proto::mq::message::Md;
use trimaran_client::{Error, Message, Result, Tls, reason};

/// Between tries, the last of them again and again: another node serves after a tenth of a second, or two.
const AGAIN_MS: [u64; 4] = [10, 20, 50, 100];
/// An address that does not answer for so long may be somewhere else by now: a connection that the old holder took in its last instant is
/// told nothing. The next try has twice the time, for lines that are slow.
const TRY_PATIENCE: Duration = Duration::from_millis(500);

/// Where a line leads.
pub struct Place {
    pub tls: Option<Tls>,
    /// `host:port`.
    pub address: String,
    pub channel: String,
    /// Empty for whichever is there.
    pub queue_manager: String,
    pub queue: String,
    /// MQOO_*.
    pub options: u32,
    /// For how long it is sought, at first and when it is lost.
    pub within: Duration,
}

/// See the module.
pub struct Line {
    place: Place,
    channel: Channel,
    handle: i32,
    /// Messages that were browsed since the beginning, and are there as far as is known; those of one id are counted.
    passed: HashMap<Mark, usize>,
    /// Of those the ones that the cursor has not come to yet, because it is a new one.
    ahead: HashMap<Mark, usize>,
    /// The cursor is before the first message.
    is_before_all: bool,
    /// The message that was browsed last, while it was not got.
    current: Option<Mark>,
}

/// By what a message is known again.
type Mark = (Vec<u8>, i64);

impl Line {
    /// Connects, and tries again as when the connection is lost. The queue is to be opened next.
    pub async fn connect(mut place: Place) -> Result<Line> {
        let channel = place.seek(None, Place::connect).await?;
        place.queue_manager = channel.queue_manager().to_owned();
        Ok(Line {
            place,
            channel,
            handle: 0,
            passed: HashMap::new(),
            ahead: HashMap::new(),
            is_before_all: true,
            current: None,
        })
    }

    /// Opens the queue.
    pub async fn open(&mut self) -> Result<()> {
        match self.channel.open(&self.place.queue, self.place.options).await {
            Ok(handle) => {
                self.handle = handle;
                Ok(())
            }
            Err(error) => self.again_after(error).await,
        }
    }

    pub fn queue_manager(&self) -> &str {
        &self.place.queue_manager
    }

    /// Puts a persistent message; its id.
    pub async fn put(&mut self, text: &str) -> Result<Vec<u8>> {
        loop {
            let md = Md { persistence: 1, format: Text::new("MQSTR"), ..datagram() };
            let options = put::SYNCPOINT | put::NEW_MSG_ID;
            let put = self.channel.put(self.handle, md, text.to_owned().into(), options).await;
            let put = match put {
                Ok(id) => self.commit("put").await.map(|()| id),
                Err(error) => Err(error),
            };
            match put {
                Ok(id) => return Ok(id.to_vec()),
                Err(error) => self.again_after(error).await?,
            }
        }
    }

    /// The next message from the front that was not browsed before; None when there is none.
    pub async fn browse(&mut self) -> Result<Option<Message>> {
        let found = loop {
            match self.browse_one().await {
                Ok(Some((mark, _))) if self.is_passed(&mark) => {}
                Ok(found) => break found,
                Err(error) => self.again_after(error).await?,
            }
        };
        let Some((mark, message)) = found else { return Ok(None) };
        *self.passed.entry(mark.clone()).or_default() += 1;
        self.current = Some(mark);
        Ok(Some(message))
    }

    /// Gets the message that was browsed; false when it is gone.
    pub async fn get_under_cursor(&mut self) -> Result<bool> {
        let Some(mark) = self.current.take() else { return Ok(false) };
        loop {
            let got = match self.find(&mark).await {
                Ok(false) => return Ok(false),
                Ok(true) => self.channel.get(self.handle, get::MSG_UNDER_CURSOR | get::SYNCPOINT, 0).await,
                Err(error) => Err(error),
            };
            let got = match got {
                Ok(Some(_)) => self.commit("taken").await.map(|()| true),
                Ok(None) => Ok(false),
                Err(error) if error.reason() == Some(reason::NO_MSG_UNDER_CURSOR) => Ok(false),
                Err(error) => Err(error),
            };
            match got {
                Ok(taken) => {
                    if taken && let Some(count) = self.passed.get_mut(&mark) {
                        *count = count.saturating_sub(1);
                    }
                    return Ok(taken);
                }
                Err(error) => self.again_after(error).await?,
            }
        }
    }

    /// MQCLOSE and MQDISC. Every call was answered before: whether these are too changes nothing.
    pub async fn leave(mut self) {
        if self.channel.close(self.handle).await.is_ok() {
            let _ = self.channel.disconnect().await;
        }
    }

    async fn commit(&mut self, what: &str) -> Result<()> {
        let Err(error) = self.channel.commit().await else { return Ok(()) };
        if !self.channel.is_broken() {
            return Err(error);
        }
        Err(Error::refused(
            reason::CALL_INTERRUPTED,
            format!(
                "The connection was lost while a message was {what}, and nobody can say whether it was: it is not {what} again. Look \
                 with `trimaran browse {}`.",
                self.place.queue
            ),
        ))
    }

    async fn browse_one(&mut self) -> Result<Option<(Mark, Message)>> {
        let options = if self.is_before_all { get::BROWSE_FIRST } else { get::BROWSE_NEXT };
        let got = self.channel.get(self.handle, options, 0).await?;
        self.is_before_all &= got.is_none();
        Ok(got.map(|got| {
            let message = got.into_message();
            let mark = (message.descriptor.message_id.to_vec(), message.descriptor.put_time_ms);
            (mark, message)
        }))
    }

    /// Whether a new cursor comes by a message that an earlier one came by.
    fn is_passed(&mut self, mark: &Mark) -> bool {
        let Some(count) = self.ahead.get_mut(mark) else { return false };
        let is_passed = *count > 0;
        *count = count.saturating_sub(1);
        is_passed
    }

    /// The cursor is before all messages, and is to come by those that it came by.
    fn begin_anew(&mut self) {
        (self.ahead, self.is_before_all) = (self.passed.clone(), true);
    }

    /// Brings a new cursor to a message that an earlier one was at; false when it is gone.
    async fn find(&mut self, mark: &Mark) -> Result<bool> {
        while self.ahead.get(mark).is_some_and(|count| *count > 0) {
            let Some((found, _)) = self.browse_one().await? else {
                // What lies behind it was not shown yet.
                self.begin_anew();
                return Ok(false);
            };
            self.is_passed(&found);
            if found == *mark {
                return Ok(true);
            }
        }
        Ok(true)
    }

    /// Connects anew, where that is what the error asks for.
    async fn again_after(&mut self, error: Error) -> Result<()> {
        let is_known = !error.is_interrupted();
        if !is_known || !(self.channel.is_broken() || is_worth_another_try(&error)) {
            return Err(error);
        }
        (self.channel, self.handle) = self.place.seek(Some(error), Place::connect_and_open).await?;
        self.begin_anew();
        Ok(())
    }
}

impl Place {
    /// Tries until it is connected, waiting does not mend what is wrong, or the time is over: the last error is what is told then.
    /// At once, where it was not lost with an error.
    async fn seek<T>(&self, lost: Option<Error>, connecting: impl AsyncFn(&Place) -> Result<T>) -> Result<T> {
        let (began, mut patience, mut pauses) = (Instant::now(), TRY_PATIENCE, AGAIN_MS.into_iter());
        let mut last = lost;
        loop {
            if let Some(error) = last {
                let pause = Duration::from_millis(pauses.next().unwrap_or(AGAIN_MS[AGAIN_MS.len() - 1]));
                if began.elapsed() + pause >= self.within {
                    return Err(self.told(error));
                }
                tokio::time::sleep(pause).await;
            }
            let (tried, left) = (Instant::now(), self.within.saturating_sub(began.elapsed()));
            match in_time(patience.min(left), &self.address, connecting(self)).await {
                Err(error) if may_pass(&error) => last = Some(error),
                decided => return decided,
            }
            if tried.elapsed() >= patience {
                patience *= 2;
            }
        }
    }

    /// With the whole time in which nobody was reached.
    fn told(&self, error: Error) -> Error {
        match error {
            Error::Unreachable { queue_manager, is_lasting, text, .. } => {
                Error::Unreachable { queue_manager, within_s: self.within.as_secs_f64(), is_lasting, text }
            }
            other => other,
        }
    }

    async fn connect(&self) -> Result<Channel> {
        let (tls, name) = (self.tls.as_ref(), &self.channel);
        Channel::connect_over(tls, &self.address, name, &self.queue_manager, "trimaran").await
    }

    async fn connect_and_open(&self) -> Result<(Channel, i32)> {
        let mut channel = self.connect().await?;
        let handle = channel.open(&self.queue, self.options).await?;
        Ok((channel, handle))
    }
}

/// A connection that is made in this time. The kernel would try an address that does not answer for minutes.
pub async fn in_time<T>(
    patience: Duration,
    address: &str,
    connecting: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::time::timeout(patience, connecting).await.unwrap_or_else(|_| {
        Err(Error::Unreachable {
            queue_manager: "the queue manager".into(),
            within_s: patience.as_secs_f64(),
            is_lasting: false,
            text: format!("{address} does not answer"),
        })
    })
}

/// The queue manager is served by another node, or will be; what the error is about was not done.
fn is_worth_another_try(error: &Error) -> bool {
    let is_moving = |of: u32| reason::says_not_served(of) || of == reason::BACKED_OUT;
    error.reason().is_some_and(is_moving)
}

/// What a try to connect failed with, where the next one may not.
fn may_pass(error: &Error) -> bool {
    matches!(error, Error::Unreachable { is_lasting: false, .. }) || is_worth_another_try(error)
}
