//! `put`: messages from the command line, standard input or files.

use std::{collections::VecDeque, io::Read, time::Duration};

use serde_json::json;
use trimaran_client::{Message, PutAnswer, Queue, reason};

use crate::{
    arguments::{DescriptorArgs, Global, PutArgs},
    message_json::JsonMessage,
    output::{self, Counter, Failure, Outcome, patiently},
    say,
    talk::{plural, stdin_lines},
};

/// Puts on their way at a time; the library's own window is wider.
const AHEAD: usize = 1000;
/// With these the message is on the queue that was named; any other warning is why it is a dead letter.
const ON_THE_QUEUE: [u32; 3] = [0, reason::PRIORITY_EXCEEDS_MAXIMUM, reason::UNKNOWN_REPORT_OPTION];

pub async fn run(global: &Global, args: PutArgs) -> Outcome {
    let mut builder = global.builder()?;
    if let Some((producer, first)) = numbering(&args)? {
        builder = builder.producer(producer, first);
        if args.repeat {
            builder = builder.repeating();
        }
    }
    let connection = patiently("looking for the node that serves", builder.connect()).await?;
    let known_total = !args.lines && !args.json_lines;
    let sources = (args.message.len() + args.file.len()).max(1) as u64;
    let mut putter = Putter {
        queue: connection.queue(&args.queue),
        on_their_way: VecDeque::new(),
        counter: Counter::new("put", known_total.then_some(sources * args.count)),
        duplicates: 0,
        lowered: 0,
        unknown_options: 0,
        dead_lettered: 0,
        dead_lettered_for: 0,
        dead_letter: args.dead_letter,
        print_ids: global.json && !args.quiet,
    };
    let result = feed(&args, &mut putter).await;
    // What is on its way is waited for also when the next message could not be read.
    let drained = putter.drain().await;
    let count = putter.counter.count();
    if let Err(failure) = result.and(drained) {
        if !global.json {
            let there = count - putter.duplicates;
            let before = said_before(putter.duplicates);
            let queue = output::visible(&args.queue);
            eprintln!("trimaran: {there} {} put on {queue}{before}, then:", plural(there, "message"));
        }
        return Err(failure);
    }
    report(global, &args, &putter);
    Ok(())
}

/// A producer's name and the number of its first put. No number is guessed: with one that was used before, another message
/// would count as put already, and be nowhere.
fn numbering(args: &PutArgs) -> Result<Option<(&str, u64)>, Failure> {
    match (&args.producer, args.first_sequence) {
        (Some(producer), Some(first)) => Ok(Some((producer, first))),
        (Some(producer), None) => Err(Failure::Usage(format!(
            "--producer wants --first-sequence N with it: the number of the first put, 1 for a new producer, otherwise \
             the number behind the last one of {producer}. What has a number that was put before is not put again"
        ))),
        (None, _) => Ok(None),
    }
}

async fn feed(args: &PutArgs, putter: &mut Putter) -> Outcome {
    for text in &args.message {
        let message = Message::text(text).persistence_as_queue();
        putter.put(&describe(message, &args.descriptor), args.count).await?;
    }
    for path in &args.file {
        let body = std::fs::read(path).map_err(|error| Failure::local(path.display(), error))?;
        let message = Message::new(body).persistence_as_queue();
        putter.put(&describe(message, &args.descriptor), args.count).await?;
    }
    if !args.message.is_empty() || !args.file.is_empty() {
        return Ok(());
    }
    if args.lines || args.json_lines {
        let mut lines = stdin_lines();
        let mut number = 0_u64;
        while let Some(line) = lines.recv().await {
            let line = line?;
            number += 1;
            let message = if args.json_lines {
                if line.trim().is_empty() {
                    continue;
                }
                JsonMessage::read(&line)
                    .map_err(|error| Failure::Usage(format!("line {number} of standard input: {error}")))?
            } else {
                Message::text(line).persistence_as_queue()
            };
            putter.put(&describe(message, &args.descriptor), args.count).await?;
        }
        return Ok(());
    }
    let read = tokio::task::spawn_blocking(|| {
        let mut body = Vec::new();
        std::io::stdin().lock().read_to_end(&mut body).map(|_| body)
    });
    let mut body = read
        .await
        .expect("reading does not panic")
        .map_err(|error| Failure::local("standard input", error))?;
    // `echo Hello | trimaran put` means Hello, as a shell's $(...) would read it; see --exact.
    let is_text = std::str::from_utf8(&body).is_ok();
    let is_line = body.iter().position(|byte| *byte == b'\n').is_some_and(|at| at + 1 == body.len());
    if is_text && is_line && !args.exact {
        body.pop();
        // As --lines and `unit` take a line that ends as on Windows.
        if body.ends_with(b"\r") {
            body.pop();
        }
    }
    let message = Message::new(body).persistence_as_queue();
    let message = if is_text { message.format("MQSTR") } else { message };
    putter.put(&describe(message, &args.descriptor), args.count).await
}

struct Putter {
    queue: Queue,
    on_their_way: VecDeque<PutAnswer>,
    counter: Counter,
    duplicates: u64,
    /// Those that were put with priority 9, because theirs was higher.
    lowered: u64,
    unknown_options: u64,
    dead_lettered: u64,
    /// The reason of the last of them.
    dead_lettered_for: u32,
    dead_letter: bool,
    print_ids: bool,
}

impl Putter {
    async fn put(&mut self, message: &Message, count: u64) -> Outcome {
        for _ in 0..count {
            if self.dead_letter {
                let placed = self.counter.patiently(self.queue.put_or_dead_letter(message.clone())).await?;
                self.note(placed);
                continue;
            }
            let answer = self.counter.patiently(self.queue.start_put(message.clone())).await?;
            self.on_their_way.push_back(answer);
            if self.on_their_way.len() >= AHEAD {
                self.take_answer().await?;
            }
        }
        Ok(())
    }

    async fn take_answer(&mut self) -> Outcome {
        if let Some(answer) = self.on_their_way.pop_front() {
            let placed = self.counter.patiently(answer).await?;
            self.note(placed);
        }
        Ok(())
    }

    fn note(&mut self, placed: trimaran_client::Placed) {
        self.counter.add();
        self.duplicates += u64::from(placed.duplicate);
        self.lowered += u64::from(placed.warning == reason::PRIORITY_EXCEEDS_MAXIMUM);
        self.unknown_options += u64::from(placed.warning == reason::UNKNOWN_REPORT_OPTION);
        let is_dead = self.dead_letter && !ON_THE_QUEUE.contains(&placed.warning);
        if is_dead {
            self.dead_lettered += 1;
            self.dead_lettered_for = placed.warning;
        }
        if self.print_ids {
            let mut value = json!({ "message_id": trimaran_client::hex(&placed.message_id) });
            if placed.duplicate {
                value["duplicate"] = json!(true);
            }
            if placed.warning != 0 && !is_dead {
                value["warning"] = json!(placed.warning);
            }
            if is_dead {
                value["dead_lettered_for"] = json!(placed.warning);
            }
            say!("{value}");
        }
    }

    fn warn(&self) {
        warn_of(reason::PRIORITY_EXCEEDS_MAXIMUM, self.lowered);
        warn_of(reason::UNKNOWN_REPORT_OPTION, self.unknown_options);
    }

    /// Waits for all; the first refusal is the result, and what was put after it is counted nevertheless.
    async fn drain(&mut self) -> Outcome {
        let mut first = Ok(());
        while !self.on_their_way.is_empty() {
            let result = self.take_answer().await;
            if first.is_ok() {
                first = result;
            }
        }
        first
    }
}

fn report(global: &Global, args: &PutArgs, putter: &Putter) {
    if args.quiet && !global.json {
        putter.warn();
    }
    if args.quiet || global.json {
        return;
    }
    let count = putter.counter.count();
    let elapsed = putter.counter.elapsed();
    let dead_lettered = putter.dead_lettered;
    // An earlier try put the duplicates; which of them are dead letters, it said then.
    let there = (count - dead_lettered).saturating_sub(putter.duplicates);
    let mut text = match (there, dead_lettered) {
        (_, 0) => format!("{there} {} put on {}", plural(there, "message"), args.queue),
        (0, _) => {
            format!("{dead_lettered} {} put on the dead-letter queue", plural(dead_lettered, "message"))
        }
        _ => format!(
            "{there} {} put on {} and {dead_lettered} on the dead-letter queue",
            plural(there, "message"),
            args.queue
        ),
    };
    if dead_lettered > 0 {
        let reason = putter.dead_lettered_for;
        let name = trimaran_client::name_of(reason);
        text.push_str(&format!(", because {} refused with reason {reason} {name}", args.queue));
    }
    text.push_str(&said_before(putter.duplicates));
    if count > 1 && elapsed > Duration::from_secs(1) {
        let rate = count as f64 / elapsed.as_secs_f64();
        text.push_str(&format!(" in {:.1} s, {rate:.0} a second", elapsed.as_secs_f64()));
    }
    say!("{text}");
    putter.warn();
}

/// A warning of the queue manager is no failure, and has to be seen.
pub fn warn_of(warning: u32, count: u64) {
    let what = match warning {
        _ if count == 0 => return,
        reason::PRIORITY_EXCEEDS_MAXIMUM => "with priority 9, the highest there is, in place of a higher one",
        reason::UNKNOWN_REPORT_OPTION => "without a report option that is not known",
        _ => return,
    };
    let name = trimaran_client::name_of(warning);
    let messages = plural(count, "message");
    eprintln!("trimaran: {count} {messages} put {what} (completion code 1, reason {warning} {name})");
}

fn said_before(duplicates: u64) -> String {
    if duplicates == 0 { String::new() } else { format!(", {duplicates} had been put before") }
}

fn describe(mut message: Message, args: &DescriptorArgs) -> Message {
    if let Some(priority) = args.priority {
        message = message.priority(priority);
    }
    if args.persistent || args.not_persistent {
        message = message.persistent(args.persistent);
    }
    if args.persistence_as_queue {
        message = message.persistence_as_queue();
    }
    if let Some(expiry) = args.expiry {
        message = message.expiry(expiry);
    }
    if let Some(id) = &args.correlation_id {
        message = message.correlation_id(id);
    }
    if let Some(id) = &args.message_id {
        message = message.message_id(id);
    }
    if let Some(id) = &args.group_id {
        message = message.group_id(id);
    }
    if let Some(format) = &args.format {
        message = message.format(format);
    }
    if let Some(queue) = &args.reply_to {
        message = message.reply_to(queue);
    }
    message
}
