//! `requeue`: dead letters go back to the queues they were meant for.

use std::pin::pin;

use futures::TryStreamExt;
use serde_json::json;
use trimaran_client::{Connection, Error, Message};

use crate::{
    arguments::{Global, RequeueArgs},
    dead_letter::{self, DeadLetter},
    get::is_full,
    output::{Failure, Outcome, patiently},
    say,
    talk::plural,
};

/// Dead letters of one unit of work.
const AT_ONCE: usize = 64;

/// Gives dead letters back, in units of work: each is on one of the two queues at any time.
pub async fn run(global: &Global, args: RequeueArgs) -> Outcome {
    if args.to.as_ref() == Some(&args.queue) {
        let text = format!(
            "{} is the dead-letter queue itself: its messages would stay on it and lose what says where they should \
             have gone; name another queue with --to",
            args.queue
        );
        return Err(Failure::Usage(text));
    }
    let connection = global.connect().await?;
    let Found { wanted, skipped } = find(&connection, &args).await?;
    let (mut moved, mut gone) = (0, 0);
    let mut left = wanted.as_slice();
    let mut at_once = AT_ONCE;
    while !left.is_empty() {
        let (some, rest) = left.split_at(at_once.min(left.len()));
        match move_some(&connection, &args, some).await {
            Ok((done, missing)) => {
                moved += done;
                gone += missing;
                left = rest;
            }
            // MAXUMSGS is less than a get and a put of each of them.
            Err(error) if is_full(&error) && some.len() > 1 => at_once = some.len() / 2,
            Err(error) => {
                match global.json {
                    true => say!("{}", json!({ "requeued": moved, "gone": gone, "skipped": skipped })),
                    false => eprintln!("trimaran: {moved} {} requeued, then:", plural(moved, "message")),
                }
                return Err(error.into());
            }
        }
    }
    if global.json {
        say!("{}", json!({ "requeued": moved, "gone": gone, "skipped": skipped }));
        return Ok(());
    }
    say!("{moved} {} of {} requeued", plural(moved, "message"), args.queue);
    if skipped > 0 {
        let stay = if skipped == 1 { "stays: it begins" } else { "stay: they begin" };
        eprintln!(
            "{skipped} {} {stay} with no dead-letter header that can be read, or with one that names this queue",
            plural(skipped, "message")
        );
    }
    if gone > 0 {
        eprintln!("{gone} {} had been taken by somebody else meanwhile", plural(gone, "message"));
    }
    Ok(())
}

struct Found {
    wanted: Vec<DeadLetter>,
    /// Messages that have no header, or one that names the dead-letter queue: nobody knows where else they were meant to go.
    skipped: u64,
}

async fn find(connection: &Connection, args: &RequeueArgs) -> Result<Found, Failure> {
    let queue = connection.queue(&args.queue);
    let mut messages = pin!(queue.browse());
    let (mut wanted, mut skipped) = (Vec::new(), 0);
    while wanted.len() < args.count.unwrap_or(usize::MAX) {
        let Some(message) = patiently("browsing", messages.try_next()).await? else { break };
        match DeadLetter::of(&message) {
            // It would lose its header for nothing.
            Some(letter) if args.to.is_none() && letter.queue == args.queue => skipped += 1,
            Some(letter) if is_wanted(&letter, args) => {
                // The body comes again when it is taken.
                let message = Message { body: Default::default(), ..letter.message };
                wanted.push(DeadLetter { message, ..letter });
            }
            Some(_) => {}
            None => skipped += 1,
        }
    }
    Ok(Found { wanted, skipped })
}

/// How many were moved, and how many were not there any more.
async fn move_some(
    connection: &Connection,
    args: &RequeueArgs,
    some: &[DeadLetter],
) -> Result<(u64, u64), Error> {
    loop {
        let (mut moved, mut gone) = (0, 0);
        let mut unit = patiently("looking for the node that serves", connection.unit_of_work()).await?;
        let result = async {
            for letter in some {
                let id = &letter.message.descriptor.message_id;
                let taken = dead_letter::take(&mut unit, &args.queue, id, |letter| is_wanted(letter, args));
                match taken.await? {
                    Some((_, letter)) => {
                        unit.put(args.to.as_ref().unwrap_or(&letter.queue), letter.message).await?;
                        moved += 1;
                    }
                    None => gone += 1,
                }
            }
            unit.commit().await
        };
        match patiently("requeueing", result).await {
            Ok(()) => return Ok((moved, gone)),
            Err(error) if error.is_backed_out() => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_wanted(letter: &DeadLetter, args: &RequeueArgs) -> bool {
    args.reason.is_none_or(|reason| reason == letter.reason)
        && args.of_queue.as_ref().is_none_or(|queue| *queue == letter.queue)
}
