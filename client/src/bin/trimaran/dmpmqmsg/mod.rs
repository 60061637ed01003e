//! `dmpmqmsg`: messages are saved to files and restored, copied and moved (IBM MQ Administration, "Using the dmpmqmsg utility").
//!
//! Messages come from one place and go to another one, in portions. Those of a queue are browsed; where they are to leave it, a unit of
//! work gets the ones that were chosen, and commits when they are on disk, or in the same unit on the other queue. `selection` says
//! which are meant, `format` and `display` how they stand in a file, `files` where; `summary` has the figures of -ds.

pub mod display;
mod files;
mod format;
#[cfg(test)]
mod format_test;
pub mod selection;
mod summary;

use std::{
    pin::Pin,
    time::{Duration, SystemTime},
};

use futures::{Stream, StreamExt};
use tokio::sync::watch;
use trimaran_client::{Connection, Descriptor, Error, GetOptions, Message, UnitOfWork, hex, reason};

use self::{
    files::{Input, Numbers, Output, Present},
    summary::Summary,
};
use crate::{
    arguments::{DmpmqmsgArgs, Global},
    dead_letter::{self, DeadLetter},
    get::is_full,
    output::{Failure, Outcome, patiently},
    put::warn_of,
    talk::plural,
};

/// No portion gets more when it has bodies of so many bytes.
const PORTION_BYTES: usize = 16 << 20;
/// A portion is done with what it has when no more comes for so long.
const IDLE: Duration = Duration::from_millis(50);
/// MQRC_FILE_SYSTEM_ERROR: what MQ's command ends with for a file.
const FILE_SYSTEM_ERROR: u32 = 2208;
/// As a shell says of a program that was interrupted.
const INTERRUPTED: i32 = 130;

pub async fn run(global: &Global, args: DmpmqmsgArgs) -> Outcome {
    check(&args)?;
    if args.elsewhere.user.is_some() {
        eprintln!(
            "trimaran: -u changes nothing: passwords are not checked yet, and the user is that of --tls-cert"
        );
    }
    let mut work = Work::begin(global, &args).await.map_err(as_mq_ends)?;
    let result = work.carry_out().await;
    if !args.quiet {
        work.report();
    }
    result.map_err(as_mq_ends)
}

/// MQ's command ends with the reason code, of which a shell has eight bits: none of them says that all is well.
fn as_mq_ends(failure: Failure) -> Failure {
    let reason = match &failure {
        Failure::Usage(_) | Failure::Control { .. } => return failure,
        Failure::Client(Error::Refused { reason, .. }) => *reason,
        Failure::Client(Error::Unreachable { .. }) => reason::Q_MGR_NOT_AVAILABLE,
        Failure::Client(_) | Failure::Check(_) | Failure::NoMessage(_) => reason::UNEXPECTED_ERROR,
        Failure::Local(_) => FILE_SYSTEM_ERROR,
    };
    let code = if reason % 256 == 0 { 1 } else { reason as i32 };
    Failure::Control { code, text: format!("trimaran: {}", failure.text()) }
}

/// What cannot be said together.
fn check(args: &DmpmqmsgArgs) -> Outcome {
    let wrong = |text: &str| Err(Failure::Usage(text.to_string()));
    let from_queue = args.get.as_ref().or(args.browse.as_ref());
    let files = args.file.len() + args.force.len();
    let is_passed = matches!(args.context.as_str(), "a" | "i");
    match (from_queue, &args.output) {
        _ if args.elsewhere.code_page.is_some() => wrong(
            "-P: messages are not converted here; their bytes, encoding and character set stay as they are",
        ),
        _ if !args.elsewhere.with_ebcdic.is_empty() || !args.elsewhere.without_ebcdic.is_empty() => {
            wrong("-e, -E: write text in EBCDIC as its bytes, behind -x and -X")
        }
        (_, Some(_)) if args.display.summary => wrong("-ds shows figures: there is no output queue with it"),
        (Some(_), _) if args.display.summary && args.get.is_some() => {
            wrong("-ds shows figures and takes nothing: name the queue behind -i")
        }
        (None, _) if files == 0 => {
            wrong("say where messages come from: -i or -I and a queue, or -f and a file")
        }
        (Some(_), None) if files == 0 && !args.display.summary => {
            wrong("say where messages go to: -f and a file, or -o and a queue")
        }
        (None, None) if files == 1 && !args.display.summary => {
            wrong("say where the messages of the file go to: -o and a queue, or a second file")
        }
        (Some(_), None) if files > 1 => wrong("with a queue messages come from, there is one file"),
        (Some(_), Some(_)) if files > 0 => wrong("messages go to a queue or to a file, not to both"),
        (None, Some(_)) if files > 1 => wrong("with a queue messages go to, there is one file"),
        _ if files > 2 => wrong("there is one file to be read, and one to be written"),
        (Some(from), Some(to)) if from == to => {
            wrong("the queue would be read while it is written: name another one behind -o")
        }
        _ if is_passed && args.get.is_none() => {
            wrong("-C a and -C i pass the context of messages that are got: name the queue behind -I")
        }
        _ => Ok(()),
    }
}

enum Source {
    Queue { name: String, messages: Pin<Box<dyn Stream<Item = Result<Message, Error>> + Send>> },
    File(Input),
}

enum Sink {
    Queue(String),
    File(Output),
    Summary(Summary),
}

/// A message on its way.
struct Item {
    /// Of the messages of its source, from 1 on.
    number: u64,
    /// In a file; empty in a queue.
    place: String,
    message: Message,
    /// Not so: it leaves its queue (-p), and goes nowhere.
    is_meant: bool,
}

#[derive(Debug, Default)]
struct Tally {
    read: u64,
    read_bytes: u64,
    written: u64,
    written_bytes: u64,
    /// The last message that has arrived.
    done: u64,
    gone: u64,
    lowered: u64,
    unknown_options: u64,
}

struct Work<'a> {
    args: &'a DmpmqmsgArgs,
    /// None where only files are about.
    connection: Option<Connection>,
    source: Source,
    sink: Sink,
    /// Read, and not part of the portion that is done.
    peeked: Option<Item>,
    /// Why there is no more: said when what was read before is done.
    failed: Option<Failure>,
    ended: bool,
    tally: Tally,
    interrupted: watch::Receiver<bool>,
}

impl<'a> Work<'a> {
    async fn begin(global: &Global, args: &'a DmpmqmsgArgs) -> Result<Work<'a>, Failure> {
        let from_queue = args.get.as_ref().or(args.browse.as_ref());
        let mut files = args.file.iter().chain(&args.force);
        let input = if from_queue.is_none() { files.next() } else { None };
        let output = files.next();
        let input = input.map(|path| Input::open(path)).transpose()?;
        let connection = match from_queue.or(args.output.as_ref()) {
            Some(_) => Some(global.connect().await?),
            None => None,
        };
        let sink = match (&args.output, output) {
            _ if args.display.summary => Sink::Summary(Summary::default()),
            (Some(queue), _) => Sink::Queue(queue.clone()),
            (None, path) => {
                let path = path.expect("checked: there is a file");
                if args.file.first() == Some(path) && input.is_some() {
                    let text = format!("{} would be written while it is read", path.display());
                    return Err(Failure::Usage(text));
                }
                let present = match args.access.as_ref().is_some_and(|mode| mode.contains('a')) {
                    true => Present::Append,
                    false if args.force.contains(path) => Present::Replace,
                    false => Present::Ask,
                };
                Sink::File(Output::new(path, present)?)
            }
        };
        let source = match (from_queue, &connection) {
            (Some(name), Some(connection)) => {
                let options = args.selection.options().wait(Duration::from_secs(args.wait));
                let messages = Box::pin(connection.queue(name).browse_with(options));
                Source::Queue { name: name.clone(), messages }
            }
            _ => Source::File(input.expect("checked: there is a file where there is no queue")),
        };
        Ok(Work {
            args,
            connection,
            source,
            sink,
            peeked: None,
            failed: None,
            ended: false,
            tally: Tally::default(),
            interrupted: watch::channel(false).1,
        })
    }

    /// A file has its first lines before any message leaves its queue: whether it can be written is known then.
    fn begin_file(&mut self) -> Outcome {
        let header = self.header();
        match &mut self.sink {
            Sink::File(output) if !output.is_for_each() => {
                output.write(Numbers::default(), &header)?;
                output.sync()?;
                output.keep();
            }
            _ => {}
        }
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut header = Vec::new();
        if self.args.display.header && !self.args.display.age {
            let manager = self.connection.as_ref().map(Connection::queue_manager);
            let from = match &self.source {
                Source::Queue { name, .. } => manager.as_deref().map(|manager| (manager, name.as_str())),
                Source::File(_) => None,
            };
            format::write_header(&mut header, now_ms(), from);
        }
        header
    }

    fn takes(&self) -> bool {
        self.args.get.is_some()
    }

    async fn carry_out(&mut self) -> Outcome {
        let mut is_first = true;
        loop {
            let portion = self.portion().await.map_err(|failure| self.with_place(failure))?;
            if is_first {
                // A queue that is not there leaves no file. Until here an interruption just ends the command: nothing was done,
                // and somebody may be asked whether the file may be written over.
                self.begin_file()?;
                self.interrupted = interruption();
            }
            if portion.is_empty() {
                break;
            }
            if !is_first {
                tokio::time::sleep(self.args.delay).await;
            }
            is_first = false;
            let delivered = match self.takes() || matches!(self.sink, Sink::Queue(_)) {
                true => self.in_parts(portion).await,
                false => self.write(&portion),
            };
            delivered.map_err(|failure| self.with_place(failure))?;
        }
        match &mut self.sink {
            Sink::File(output) => output.sync()?,
            Sink::Summary(summary) => summary.show(&self.args.display),
            Sink::Queue(_) => {}
        }
        match *self.interrupted.borrow() && !self.ended {
            true => {
                Err(Failure::Control { code: INTERRUPTED, text: format!("trimaran: {}", self.how_far()) })
            }
            false => Ok(()),
        }
    }

    /// What was done stays done, and a person has to know what is left.
    fn with_place(&self, failure: Failure) -> Failure {
        if self.tally.read == 0 {
            return failure;
        }
        let told = self.how_far();
        match failure {
            Failure::Client(Error::Refused { code, reason, name, text }) => {
                Failure::Client(Error::Refused { code, reason, name, text: format!("{text} {told}") })
            }
            Failure::Client(Error::Unreachable { queue_manager, within_s, is_lasting, text }) => {
                let text = format!("{text}. {told}");
                Failure::Client(Error::Unreachable { queue_manager, within_s, is_lasting, text })
            }
            Failure::Local(text) => Failure::Local(format!("{text}. {told}")),
            other => other,
        }
    }

    fn how_far(&self) -> String {
        let Tally { read, written, done, .. } = self.tally;
        let (messages, were) = (plural(written, "message"), if written == 1 { "was" } else { "were" });
        let why = if *self.interrupted.borrow() { "Interrupted: " } else { "" };
        match &self.sink {
            Sink::Summary(_) => format!("{why}{read} {} {were} read.", plural(read, "message")),
            _ if self.takes() && self.args.selection.range.is_some() => format!(
                "{why}{written} {messages} {were} taken; the others are on their queue: count them anew for -r."
            ),
            _ if self.takes() => format!(
                "{why}{written} {messages} {were} taken; the others are on their queue, and the same command goes on with them."
            ),
            _ if done == 0 => format!("{why}0 messages were written."),
            _ => format!(
                "{why}{written} {messages} {were} written, the last one was number {done}: -r {}.. goes on behind it.",
                done + 1
            ),
        }
    }

    fn report(&self) {
        let Tally { read, read_bytes, written, written_bytes, gone, .. } = self.tally;
        let files = |of: u64, messages: u64, bytes: u64| {
            format!("Files:{of:4}  Messages:{messages:6}  Bytes:{bytes:10}")
        };
        let input = if let Source::File(input) = &self.source { input.files } else { 0 };
        eprintln!("Read    - {}", files(input, read, read_bytes));
        match &self.sink {
            Sink::Summary(_) => {}
            Sink::File(output) => eprintln!("Written - {}", files(output.files, written, written_bytes)),
            Sink::Queue(_) => eprintln!("Written - {}", files(0, written, written_bytes)),
        }
        if gone > 0 {
            eprintln!("{gone} {} had been taken by somebody else meanwhile", plural(gone, "message"));
        }
        warn_of(reason::PRIORITY_EXCEEDS_MAXIMUM, self.tally.lowered);
        warn_of(reason::UNKNOWN_REPORT_OPTION, self.tally.unknown_options);
    }

    // ---- reading ----

    /// Messages that are done at once: of one unit of work where there is one. Nothing when there is no more.
    async fn portion(&mut self) -> Result<Vec<Item>, Failure> {
        if let Some(failure) = self.failed.take() {
            return Err(failure);
        }
        let is_whole = self.args.unit == -1;
        let most = match self.args.unit {
            _ if !self.args.delay.is_zero() => 1,
            -1 => usize::MAX,
            number => number.max(1) as usize,
        };
        let (mut portion, mut bytes) = (Vec::<Item>::new(), 0);
        while portion.len() < most && (bytes < PORTION_BYTES || is_whole) {
            let next = match self.peeked.take() {
                Some(item) => Ok(Some(item)),
                None if portion.is_empty() || is_whole => self.next().await,
                // What waits for more is done with what it has.
                None => tokio::time::timeout(IDLE, self.next()).await.unwrap_or(Ok(None)),
            };
            let item = match next {
                Ok(Some(item)) => item,
                Ok(None) => break,
                Err(failure) if portion.is_empty() || is_whole => return Err(failure),
                Err(failure) => {
                    self.failed = Some(failure);
                    break;
                }
            };
            // In one unit of work what is persistent would come in front of what is not.
            let kind = |item: &Item| item.message.descriptor.persistence;
            let differs = portion.first().is_some_and(|first| kind(first) != kind(&item));
            if differs && matches!(self.sink, Sink::Queue(_)) && !is_whole {
                self.peeked = Some(item);
                break;
            }
            bytes += item.message.body.len();
            portion.push(item);
        }
        Ok(portion)
    }

    /// Can be dropped while it waits: nothing is lost.
    async fn next(&mut self) -> Result<Option<Item>, Failure> {
        while !self.ended && !*self.interrupted.borrow() {
            let next = match &mut self.source {
                Source::File(input) => input.next(),
                Source::Queue { messages, .. } => tokio::select! {
                    biased;
                    Ok(()) = self.interrupted.changed() => return Ok(None),
                    next = messages.next() => {
                        next.transpose().map(|next| next.map(|message| (String::new(), message))).map_err(Failure::from)
                    }
                },
            };
            let Some((place, message)) = next.inspect_err(|_| self.ended = true)? else {
                self.ended = true;
                break;
            };
            self.tally.read += 1;
            self.tally.read_bytes += message.body.len() as u64;
            let number = self.tally.read;
            let selection = &self.args.selection;
            let is_meant = selection.means(number, &message, now_ms());
            self.ended = selection.ends_with(number) && !self.args.purge;
            if is_meant || self.args.purge {
                return Ok(Some(Item { number, place, message, is_meant }));
            }
        }
        Ok(None)
    }

    // ---- writing ----

    /// To a file that messages are only copied to, or to the figures.
    fn write(&mut self, portion: &[Item]) -> Outcome {
        for item in portion {
            let message = self.stripped(&item.message);
            self.write_one(item.number, self.tally.written + 1, &message)?;
            self.count(item.number, &message);
        }
        Ok(())
    }

    fn write_one(&mut self, read: u64, written: u64, message: &Message) -> Outcome {
        let header = self.header();
        match &mut self.sink {
            Sink::File(output) => {
                let mut bytes = if output.is_for_each() { header } else { Vec::new() };
                match self.args.display.age {
                    true => summary::write_age(&mut bytes, written, message, now_ms()),
                    false => format::write_message(&mut bytes, &self.args.display, written, message),
                }
                output.write(Numbers { read, written, file: 0 }, &bytes)
            }
            Sink::Summary(summary) => {
                summary.add(message, now_ms());
                Ok(())
            }
            Sink::Queue(_) => unreachable!("what goes to a queue goes in units of work"),
        }
    }

    fn count(&mut self, number: u64, message: &Message) {
        self.tally.written += 1;
        self.tally.written_bytes += message.body.len() as u64;
        self.tally.done = number;
    }

    /// In units of work, as many of them as MAXUMSGS of the queue manager makes of the portion.
    async fn in_parts(&mut self, portion: Vec<Item>) -> Outcome {
        let mut parts = vec![portion];
        while let Some(mut part) = parts.pop() {
            let done = match self.takes() {
                true => self.take(&part).await,
                false => self.put(&part).await,
            };
            match done {
                Ok(()) => {}
                Err(Failure::Client(error)) if is_full(&error) && part.len() > 1 && self.args.unit != -1 => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// On a queue. A unit of work that is lost with the node that serves is done again.
    async fn put(&mut self, part: &[Item]) -> Outcome {
        let messages: Vec<Message> = part.iter().map(|item| self.to_be_put(&item.message)).collect();
        let queue = self.output_queue().to_string();
        let placed = loop {
            let mut unit = self.unit().await?;
            let put = patiently("putting", unit.put_many(&queue, messages.clone())).await;
            let put = match put {
                Ok(placed) => placed,
                Err(error) if error.is_backed_out() => continue,
                Err(error) => {
                    // Lost with its connection, where the word does not reach the queue manager.
                    let _ = unit.backout().await;
                    return Err(at_place(error.into(), part));
                }
            };
            match patiently("committing", unit.commit()).await {
                Ok(()) => break put,
                Err(error) if error.is_backed_out() => {}
                Err(error) => return Err(not_known(error, part)),
            }
        };
        placed.iter().for_each(|placed| self.note_warning(placed.warning));
        part.iter().zip(&messages).for_each(|(item, message)| self.count(item.number, message));
        Ok(())
    }

    /// From their queue: what is to go to a file is on disk before the unit of work is committed, and what is to go to a queue is put
    /// in the same unit.
    async fn take(&mut self, part: &[Item]) -> Outcome {
        loop {
            let mut unit = self.unit().await?;
            let taken = match patiently("getting", self.take_in(&mut unit, part)).await {
                Ok(taken) => taken,
                Err(error) if error.is_backed_out() => continue,
                Err(error) => {
                    let _ = unit.backout().await;
                    return Err(at_place(error.into(), part));
                }
            };
            if let Err(failure) = self.save(part, &taken.messages) {
                self.forget()?;
                let _ = unit.backout().await;
                return Err(failure);
            }
            match patiently("committing", unit.commit()).await {
                Ok(()) => {
                    self.keep();
                    taken.warnings.iter().for_each(|warning| self.note_warning(*warning));
                    self.tally.gone +=
                        taken.messages.iter().filter(|message| message.is_none()).count() as u64;
                    for (item, message) in part.iter().zip(&taken.messages) {
                        if let Some(message) = message.as_ref().filter(|_| item.is_meant) {
                            self.count(item.number, message);
                        }
                    }
                    return Ok(());
                }
                Err(error) if error.is_backed_out() => self.forget()?,
                Err(error) => {
                    self.keep();
                    return Err(not_known(error, part));
                }
            }
        }
    }

    /// Gets them, and puts them where the other end is a queue.
    async fn take_in(&self, unit: &mut UnitOfWork, part: &[Item]) -> Result<Taken, Error> {
        let Source::Queue { name, .. } = &self.source else { unreachable!("files are not taken from") };
        let by_id = |item: &Item| GetOptions::new().message_id(&item.message.descriptor.message_id);
        let mut messages = unit.get_many(name, part.iter().map(by_id)).await?;
        let is_it = |(message, item): (&Option<Message>, &Item)| {
            message.as_ref().is_some_and(|message| is_same(message, &item.message))
        };
        if !messages.iter().zip(part).all(is_it) {
            messages = self.take_one_by_one(unit, part).await?;
        }
        let mut taken = Taken::default();
        if let Sink::Queue(queue) = &self.sink {
            let meant = messages.iter().zip(part).filter(|(_, item)| item.is_meant);
            let to_be_put =
                meant.filter_map(|(message, _)| message.as_ref().map(|message| self.to_be_put(message)));
            let placed = unit.put_many(queue, to_be_put).await?;
            taken.warnings = placed.iter().map(|placed| placed.warning).collect();
        }
        let stripped = |message: Option<Message>| message.map(|message| self.stripped(&message));
        taken.messages = messages.into_iter().map(stripped).collect();
        Ok(taken)
    }

    /// Where somebody was faster, or several messages have one id and not all of them are meant.
    async fn take_one_by_one(
        &self,
        unit: &mut UnitOfWork,
        part: &[Item],
    ) -> Result<Vec<Option<Message>>, Error> {
        let Source::Queue { name, .. } = &self.source else { unreachable!("files are not taken from") };
        let connection = self.connection.as_ref().expect("a queue is reached over a connection");
        let begun = std::mem::replace(unit, connection.unit_of_work().await?);
        begun.backout().await?;
        let mut messages = Vec::with_capacity(part.len());
        for item in part {
            let id = &item.message.descriptor.message_id;
            let is_it = |message: &Message| is_same(message, &item.message).then_some(());
            let taken = dead_letter::take_one(unit, name, id, is_it).await?;
            messages.push(taken.map(|(message, ())| message));
        }
        Ok(messages)
    }

    /// On disk when it returns.
    fn save(&mut self, part: &[Item], messages: &[Option<Message>]) -> Outcome {
        if !matches!(self.sink, Sink::File(_)) {
            return Ok(());
        }
        let mut written = self.tally.written;
        for (item, message) in part.iter().zip(messages) {
            if let Some(message) = message.as_ref().filter(|_| item.is_meant) {
                written += 1;
                self.write_one(item.number, written, message)?;
            }
        }
        if let Sink::File(output) = &mut self.sink { output.sync() } else { Ok(()) }
    }

    fn keep(&mut self) {
        if let Sink::File(output) = &mut self.sink {
            output.keep();
        }
    }

    /// The messages are on their queue again.
    fn forget(&mut self) -> Outcome {
        let Sink::File(output) = &mut self.sink else { return Ok(()) };
        if output.is_stdout() {
            eprintln!("trimaran: a unit of work was backed out; what was written last comes again");
        }
        output.undo()
    }

    async fn unit(&self) -> Result<UnitOfWork, Failure> {
        let connection = self.connection.as_ref().expect("a queue is reached over a connection");
        Ok(patiently("looking for the node that serves", connection.unit_of_work()).await?)
    }

    fn output_queue(&self) -> &str {
        if let Sink::Queue(queue) = &self.sink { queue } else { "" }
    }

    fn note_warning(&mut self, warning: u32) {
        self.tally.lowered += u64::from(warning == reason::PRIORITY_EXCEEDS_MAXIMUM);
        self.tally.unknown_options += u64::from(warning == reason::UNKNOWN_REPORT_OPTION);
    }

    fn stripped(&self, message: &Message) -> Message {
        let letter = self.args.strip.then(|| DeadLetter::of(message)).flatten();
        letter.map_or_else(|| message.clone(), |letter| letter.message)
    }

    fn to_be_put(&self, message: &Message) -> Message {
        let Message { descriptor, body } = self.stripped(message);
        Message { descriptor: in_context(descriptor, &self.args.context), body }
    }
}

#[derive(Default)]
struct Taken {
    /// None where somebody was faster.
    messages: Vec<Option<Message>>,
    warnings: Vec<u32>,
}

/// What is left out is that of who puts the message.
fn in_context(descriptor: Descriptor, context: &str) -> Descriptor {
    let origin = Descriptor {
        put_application_type: 0,
        put_application_name: String::new(),
        application_origin_data: String::new(),
        ..descriptor.clone()
    };
    match context {
        "A" | "a" => descriptor,
        "I" | "i" => origin,
        _ => Descriptor {
            user_identifier: String::new(),
            accounting_token: Default::default(),
            application_identity_data: String::new(),
            ..origin
        },
    }
}

/// Whether it is the message that was browsed. Its backout count and what is left of its time may be others by now.
fn is_same(message: &Message, browsed: &Message) -> bool {
    let lasting =
        |message: &Message| Descriptor { expiry: None, backout_count: 0, ..message.descriptor.clone() };
    message.body == browsed.body && lasting(message) == lasting(browsed)
}

/// Which messages it is about: nobody knows which of a unit of work was refused.
fn at_place(failure: Failure, part: &[Item]) -> Failure {
    let Failure::Client(Error::Refused { code, reason, name, text }) = failure else { return failure };
    let text = format!("{}: {text}", range_of(part));
    Failure::Client(Error::Refused { code, reason, name, text })
}

fn not_known(error: Error, part: &[Item]) -> Failure {
    let text = format!(
        "{}: whether the unit of work was committed is not known, so look before it is done again: {error}",
        range_of(part)
    );
    Failure::Client(Error::refused(reason::CALL_INTERRUPTED, text))
}

fn range_of(part: &[Item]) -> String {
    let (Some(first), Some(last)) = (part.first(), part.last()) else { return String::new() };
    let place = match first.place.as_str() {
        "" => format!(", id {}", hex(&first.message.descriptor.message_id)),
        place => format!(", from {place} on"),
    };
    match first.number == last.number {
        true => format!("message {}{place}", first.number),
        false => format!("messages {} to {}{place}", first.number, last.number),
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// True from the first SIGINT or SIGTERM on: the unit of work that is under way ends, and how far it came is said. The second one
/// ends the command.
fn interruption() -> watch::Receiver<bool> {
    use tokio::signal::unix::{SignalKind, signal};
    let (told, interrupted) = watch::channel(false);
    let signals = signal(SignalKind::interrupt()).and_then(|one| Ok((one, signal(SignalKind::terminate())?)));
    tokio::spawn(async move {
        let Ok((mut interrupt, mut terminate)) = signals else { return std::future::pending().await };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if told.send_replace(true) {
                std::process::exit(INTERRUPTED);
            }
        }
    });
    interrupted
}
