//! `put`: messages from the command line, standard input or files.

use std::{collections::VecDeque, io::Read, time::Duration};

use serde::Deserialize;
use serde_json::json;
use trimaran_client::{Message, PutAnswer, Queue, unhex};

use crate::{
    arguments::{DescriptorArgs, Global, PutArgs},
    output::{Counter, Failure, Outcome},
    say,
    talk::{plural, stdin_lines},
};

/// Puts on their way at a time; the library's own window is wider.
const AHEAD: usize = 1000;

pub async fn run(global: &Global, args: PutArgs) -> Outcome {
    let mut builder = global.builder()?;
    if let Some(producer) = &args.producer {
        builder = builder.producer(producer, args.first_sequence);
    }
    let connection = crate::output::patiently("looking for the node that serves", builder.connect()).await?;
    let known_total = !args.lines && !args.json_lines;
    let sources = if args.file.is_empty() { 1 } else { args.file.len() as u64 };
    let mut putter = Putter {
        queue: connection.queue(&args.queue),
        on_their_way: VecDeque::new(),
        counter: Counter::new("put", known_total.then_some(sources * args.count)),
        duplicates: 0,
        dead_lettered: 0,
        dead_letter: args.dead_letter,
        print_ids: global.json && !args.quiet,
    };
    let result = feed(&args, &mut putter).await;
    // What is on its way is waited for also when the next message could not be read.
    let drained = putter.drain().await;
    let count = putter.counter.count();
    if let Err(failure) = result.and(drained) {
        if !global.json {
            eprintln!("trimaran: {count} {} put on {}, then:", plural(count, "message"), args.queue);
        }
        return Err(failure);
    }
    report(global, &args, &putter);
    Ok(())
}

async fn feed(args: &PutArgs, putter: &mut Putter) -> Outcome {
    if let Some(text) = &args.message {
        return putter.put(&describe(Message::text(text), &args.descriptor), args.count).await;
    }
    for path in &args.file {
        let body = std::fs::read(path).map_err(|error| Failure::local(path.display(), error))?;
        putter.put(&describe(Message::new(body), &args.descriptor), args.count).await?;
    }
    if !args.file.is_empty() {
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
                let parsed = serde_json::from_str::<JsonMessage>(&line).map_err(|error| error.to_string());
                parsed
                    .and_then(JsonMessage::into_message)
                    .map_err(|error| Failure::Usage(format!("line {number} of standard input: {error}")))?
            } else {
                Message::text(line)
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
    // `echo Hello | trimaran put` means Hello, as a shell's $(...) would read it.
    let is_text = std::str::from_utf8(&body).is_ok();
    if is_text && body.ends_with(b"\n") && body.iter().filter(|byte| **byte == b'\n').count() == 1 {
        body.pop();
    }
    let message = Message::new(body);
    let message = if is_text { message.format("MQSTR") } else { message };
    putter.put(&describe(message, &args.descriptor), args.count).await
}

struct Putter {
    queue: Queue,
    on_their_way: VecDeque<PutAnswer>,
    counter: Counter,
    duplicates: u64,
    dead_lettered: u64,
    dead_letter: bool,
    print_ids: bool,
}

impl Putter {
    async fn put(&mut self, message: &Message, count: u64) -> Outcome {
        for _ in 0..count {
            if self.dead_letter {
                let placed = self.queue.put_or_dead_letter(message.clone()).await?;
                self.note(placed);
                continue;
            }
            let answer = self.queue.start_put(message.clone()).await?;
            self.on_their_way.push_back(answer);
            if self.on_their_way.len() >= AHEAD {
                self.take_answer().await?;
            }
        }
        Ok(())
    }

    async fn take_answer(&mut self) -> Outcome {
        if let Some(answer) = self.on_their_way.pop_front() {
            let placed = answer.await?;
            self.note(placed);
        }
        Ok(())
    }

    fn note(&mut self, placed: trimaran_client::Placed) {
        self.counter.add();
        self.duplicates += u64::from(placed.duplicate);
        self.dead_lettered += u64::from(placed.warning != 0);
        if self.print_ids {
            let mut value = json!({ "message_id": trimaran_client::hex(&placed.message_id) });
            if placed.duplicate {
                value["duplicate"] = json!(true);
            }
            if placed.warning != 0 {
                value["dead_lettered_for"] = json!(placed.warning);
            }
            say!("{value}");
        }
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
    if args.quiet || global.json {
        return;
    }
    let count = putter.counter.count();
    let elapsed = putter.counter.elapsed();
    let mut text = format!("{count} {} put on {}", plural(count, "message"), args.queue);
    if putter.duplicates > 0 {
        text.push_str(&format!(", {} of them had been put before", putter.duplicates));
    }
    if putter.dead_lettered > 0 {
        text.push_str(&format!(", {} of them on the dead-letter queue", putter.dead_lettered));
    }
    if count > 1 && elapsed > Duration::from_secs(1) {
        let rate = count as f64 / elapsed.as_secs_f64();
        text.push_str(&format!(" in {:.1} s, {rate:.0} a second", elapsed.as_secs_f64()));
    }
    say!("{text}");
}

fn describe(mut message: Message, args: &DescriptorArgs) -> Message {
    if let Some(priority) = args.priority {
        message = message.priority(priority);
    }
    if args.not_persistent {
        message = message.persistent(false);
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

/// A message as `browse --json-lines` prints it. What only the queue manager sets is read and left aside.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonMessage {
    text: Option<String>,
    body_hex: Option<String>,
    #[serde(rename = "message_id")]
    _message_id: Option<String>,
    correlation_id: Option<String>,
    group_id: Option<String>,
    priority: Option<u32>,
    persistent: Option<bool>,
    expiry_ms: Option<u64>,
    format: Option<String>,
    message_type: Option<u32>,
    reply_to_queue: Option<String>,
    reply_to_queue_manager: Option<String>,
    #[serde(rename = "put_time")]
    _put_time: Option<String>,
    #[serde(rename = "backout_count")]
    _backout_count: Option<u32>,
    #[serde(rename = "user_identifier")]
    _user_identifier: Option<String>,
    #[serde(rename = "put_application_name")]
    _put_application_name: Option<String>,
}

impl JsonMessage {
    fn into_message(self) -> Result<Message, String> {
        let from_hex =
            |name: &str, text: &str| unhex(text).ok_or(format!("{name} is not hexadecimal: {text}"));
        let mut message = match (&self.text, &self.body_hex) {
            (Some(text), None) => Message::new(text.clone().into_bytes()),
            (None, Some(digits)) => Message::new(from_hex("body_hex", digits)?),
            _ => return Err("give the body as text or as body_hex".to_string()),
        };
        let descriptor = &mut message.descriptor;
        if let Some(id) = &self.correlation_id {
            descriptor.correlation_id = from_hex("correlation_id", id)?.into();
        }
        if let Some(id) = &self.group_id {
            descriptor.group_id = from_hex("group_id", id)?.into();
        }
        descriptor.priority = self.priority;
        descriptor.message_type = self.message_type;
        descriptor.expiry = self.expiry_ms.map(|ms| ms.div_ceil(100).min(u64::from(u32::MAX)) as u32);
        descriptor.reply_to_queue = self.reply_to_queue.unwrap_or_default();
        descriptor.reply_to_queue_manager = self.reply_to_queue_manager.unwrap_or_default();
        descriptor.format = match (self.format, &self.text) {
            (Some(format), _) => format,
            (None, Some(_)) => "MQSTR".to_string(),
            (None, None) => String::new(),
        };
        Ok(match self.persistent {
            Some(persistent) => message.persistent(persistent),
            None => message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::message_json;

    #[test]
    fn what_is_printed_as_json_can_be_put_again() {
        let message = Message::text("Hello")
            .priority(4)
            .correlation_id([0, 0xff])
            .expiry(Duration::from_secs(3))
            .persistent(false);
        let line = message_json(&message).to_string();
        let again = serde_json::from_str::<JsonMessage>(&line).unwrap().into_message().unwrap();
        assert_eq!(again, message);

        let binary = Message::new(vec![0xff, 0xfe]);
        let line = message_json(&binary).to_string();
        let again = serde_json::from_str::<JsonMessage>(&line).unwrap().into_message().unwrap();
        assert_eq!(again.body, binary.body);
    }

    #[test]
    fn json_with_a_mistake_is_told_apart() {
        assert!(serde_json::from_str::<JsonMessage>(r#"{"text":"a","prio":1}"#).is_err());
        let neither = serde_json::from_str::<JsonMessage>(r#"{"priority":1}"#).unwrap();
        assert!(neither.into_message().is_err());
    }
}
