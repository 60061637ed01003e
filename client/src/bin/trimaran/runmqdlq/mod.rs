//! `runmqdlq`: dead letters are handled by the rules of a table.

mod table;

use std::{
    collections::HashMap,
    io::Read,
    pin::pin,
    time::{Duration, Instant},
};

use futures::TryStreamExt;
use trimaran_client::{Connection, Error, Message, reason};

use self::table::{Action, Control, Rule, Table, Target, Wait};
use crate::{
    arguments::{Global, RunmqdlqArgs},
    dead_letter::{self, DeadLetter},
    output::{Failure, Outcome, patiently},
    say,
    talk::plural,
};

/// Who waits looks at the whole queue again after so long: messages of higher priority come in front of the others.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub async fn run(global: &Global, args: RunmqdlqArgs) -> Outcome {
    let table = read_table()?;
    let mut global = global.clone();
    let said = |name: Option<String>| name.filter(|name| !name.trim().is_empty());
    let wanted = said(args.queue_manager).or(said(Some(table.control.queue_manager.clone())));
    global.queue_manager = wanted.or(global.queue_manager);
    let connection = global.connect().await?;
    let queue = match said(args.queue).or(said(Some(table.control.queue.clone()))) {
        Some(queue) => queue,
        None => own_dead_letter_queue(&connection).await?,
    };
    if table.rules.iter().any(|rule| rule.as_its_user) {
        eprintln!("PUTAUT(CTX) is taken as PUTAUT(DEF): rights are not enforced yet");
    }
    say!("Dead-letter queue handler started to process INPUTQ({queue}).");
    let mut handler = Handler { connection, queue, table, tried: HashMap::new(), tally: Tally::default() };
    let result = handler.follow_table().await;
    say!("Dead-letter queue handler ending.");
    handler.tally.lines().iter().for_each(|line| say!("{line}"));
    result
}

fn read_table() -> Result<Table, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::local("rules table on standard input", error))?;
    Table::read(&text).map_err(|why| Failure::Usage(format!("rules table on standard input: {why}")))
}

async fn own_dead_letter_queue(connection: &Connection) -> Result<String, Failure> {
    let managers = patiently("asking", connection.admin().display("QMGR", "")).await?;
    let named = managers.iter().flat_map(|manager| &manager.attributes);
    let named = named.filter(|attribute| attribute.name == "DEADQ").map(|attribute| attribute.value.trim());
    named.filter(|queue| !queue.is_empty()).map(str::to_string).next().ok_or_else(|| {
        let manager = connection.queue_manager();
        Failure::Usage(format!(
            "{manager} has no dead-letter queue (ALTER QMGR DEADQ): name the queue to process"
        ))
    })
}

struct Handler {
    connection: Connection,
    queue: String,
    table: Table,
    /// Of messages that are still there.
    tried: HashMap<Key, Tried>,
    tally: Tally,
}

/// A message: its id, and how many with the same one lie in front of it.
type Key = (Vec<u8>, u32);

/// How far the rules have been gone through for a message.
#[derive(Clone, Copy, Debug, Default)]
struct Tried {
    /// The rules in front of this one are done with.
    rule: usize,
    times: u32,
    /// Not before; None at once.
    again: Option<Instant>,
}

#[derive(Debug, Default)]
struct Tally {
    retried: u64,
    forwarded: u64,
    discarded: u64,
    /// Of the last look at the queue; None where it was not seen to its end.
    left: Option<u64>,
    without_header: u64,
}

impl Tally {
    fn handled(&self) -> u64 {
        self.retried + self.forwarded + self.discarded
    }

    fn lines(&self) -> Vec<String> {
        let handled = [
            (self.retried, "put on their queues again"),
            (self.forwarded, "forwarded"),
            (self.discarded, "discarded"),
        ];
        let handled = handled.iter().filter(|(count, _)| *count > 0);
        let mut lines: Vec<String> = handled.map(|(count, what)| format!("{count} {what}.")).collect();
        if let Some(left) = self.left {
            lines.push(format!("{left} {} on the queue.", if left == 1 { "remains" } else { "remain" }));
        }
        if self.without_header > 0 {
            let count = self.without_header;
            lines
                .push(format!("{count} {} with no dead-letter header among them.", plural(count, "message")));
        }
        lines
    }
}

/// What came of an action.
enum Done {
    Gone,
    /// Somebody else has it.
    NotThere,
    Refused(Error),
}

impl Handler {
    async fn follow_table(&mut self) -> Outcome {
        let Control { wait, .. } = self.table.control;
        let mut ends = None;
        loop {
            let before = self.tally.handled();
            let next = self.look().await?;
            if self.tally.handled() != before {
                ends = None;
            }
            let now = Instant::now();
            let until = match (next, wait) {
                (Some(again), _) => again,
                (None, Wait::Not) => return Ok(()),
                (None, Wait::Forever) => now + LOOK_EVERY,
                (None, Wait::For(time)) => *ends.get_or_insert(now + time),
            };
            if next.is_none() && until <= now {
                return Ok(());
            }
            tokio::time::sleep_until(until.min(now + LOOK_EVERY).into()).await;
        }
    }

    /// Once through the queue. When something is to be tried again, if anything is.
    async fn look(&mut self) -> Result<Option<Instant>, Failure> {
        let queue = self.connection.queue(&self.queue);
        let mut messages = pin!(queue.browse());
        (self.tally.left, self.tally.without_header) = (None, 0);
        let mut left = 0;
        let (mut there, mut met) = (HashMap::new(), HashMap::<Vec<u8>, u32>::new());
        let mut next = None;
        while let Some(message) = patiently("browsing", messages.try_next()).await? {
            let Some(letter) = DeadLetter::of(&message) else {
                self.tally.without_header += 1;
                left += 1;
                continue;
            };
            let id = message.descriptor.message_id.to_vec();
            let before = met.entry(id.clone()).or_default();
            let key = (id, *before);
            *before += 1;
            if !self.handle(&key, &letter).await? {
                left += 1;
                if let Some(tried) = self.tried.remove(&key) {
                    next = [next, tried.again].into_iter().flatten().min();
                    there.insert(key, tried);
                }
            }
        }
        self.tried = there;
        self.tally.left = Some(left);
        Ok(next)
    }

    /// Whether the message is gone.
    async fn handle(&mut self, key: &Key, letter: &DeadLetter) -> Result<bool, Failure> {
        while let Some(number) = self.rule_for(key, letter) {
            match self.carry_out(number, &key.0).await? {
                Done::Gone => return Ok(true),
                Done::NotThere => return Ok(false),
                Done::Refused(error) => self.note_refused(number, key, letter, &error),
            }
        }
        Ok(false)
    }

    /// The number of the rule that is to be followed now. None where none means the message, or all that do were tried, or it is to
    /// be tried again later.
    fn rule_for(&self, key: &Key, letter: &DeadLetter) -> Option<usize> {
        let tried = self.tried.get(key).copied().unwrap_or_default();
        if tried.again.is_some_and(|again| again > Instant::now()) {
            return None;
        }
        let mut left = self.table.rules.iter().enumerate().skip(tried.rule);
        let (number, rule) = left.find(|(_, rule)| rule.means(letter))?;
        (rule.action != Action::Ignore).then_some(number)
    }

    fn note_refused(&mut self, number: usize, key: &Key, letter: &DeadLetter, error: &Error) {
        let Rule { line, tries, .. } = self.table.rules[number];
        let before = self.tried.get(key).filter(|tried| tried.rule == number).map_or(0, |tried| tried.times);
        let times = before + 1;
        say!("The rule in line {line} could not be followed for a message for {}: {error}", letter.queue);
        let tried = match times < tries {
            true => {
                let again = Instant::now() + self.table.control.retry_every;
                Tried { rule: number, times, again: Some(again) }
            }
            false => Tried { rule: number + 1, times: 0, again: None },
        };
        self.tried.insert(key.clone(), tried);
    }

    async fn carry_out(&mut self, number: usize, id: &[u8]) -> Result<Done, Failure> {
        let done = match self.try_out(number, id).await {
            Ok(done) => done,
            // Nobody serves, or what came of the commit is not known.
            Err(error) if error.reason().is_none_or(|of| of == reason::CALL_INTERRUPTED) => {
                return Err(error.into());
            }
            Err(error) => Done::Refused(error),
        };
        if matches!(done, Done::Gone) {
            match self.table.rules[number].action {
                Action::Retry => self.tally.retried += 1,
                Action::Forward { .. } => self.tally.forwarded += 1,
                Action::Discard => self.tally.discarded += 1,
                Action::Ignore => {}
            }
        }
        Ok(done)
    }

    /// The message is on its one queue or on the other at any time. A unit that a failover backed out is done again.
    async fn try_out(&self, number: usize, id: &[u8]) -> Result<Done, Error> {
        loop {
            let mut unit =
                patiently("looking for the node that serves", self.connection.unit_of_work()).await?;
            let result = async {
                let rule = &self.table.rules[number];
                let taken = dead_letter::take(&mut unit, &self.queue, id, |letter| rule.means(letter));
                let Some((message, letter)) = taken.await? else { return Ok(Done::NotThere) };
                if let Some((queue, message)) = self.goal(rule, letter, message)? {
                    unit.put(queue, message).await?;
                }
                Ok(Done::Gone)
            };
            let result = result.await;
            let ended = match &result {
                Ok(Done::Gone) => patiently("committing", unit.commit()).await,
                _ => unit.backout().await,
            };
            match ended.and(result) {
                Err(error) if error.is_backed_out() => {}
                other => return other,
            }
        }
    }

    /// The queue and the message for it, or nothing where it is only to go.
    fn goal(
        &self,
        rule: &Rule,
        letter: DeadLetter,
        as_it_lies: Message,
    ) -> Result<Option<(String, Message)>, Error> {
        let reply = &letter.message.descriptor;
        let own = self.connection.queue_manager();
        let (queue, manager, message) = match &rule.action {
            Action::Discard | Action::Ignore => return Ok(None),
            Action::Retry => (letter.queue, letter.queue_manager, letter.message),
            Action::Forward { queue, queue_manager, with_header } => {
                let queue = resolved(queue, &letter.queue, &reply.reply_to_queue);
                let manager = resolved(queue_manager, &letter.queue_manager, &reply.reply_to_queue_manager);
                (queue, manager, if *with_header { as_it_lies } else { letter.message })
            }
        };
        if !manager.is_empty() && manager != own {
            let text = format!("Queue manager {manager} is not {own}, and nothing is sent to other ones.");
            return Err(Error::refused(reason::UNKNOWN_REMOTE_Q_MGR, text));
        }
        if queue.is_empty() {
            return Err(Error::refused(reason::UNKNOWN_OBJECT_NAME, "The message names no queue for that."));
        }
        Ok(Some((queue, message)))
    }
}

fn resolved(target: &Target, destination: &str, reply: &str) -> String {
    let name = match target {
        Target::Named(name) => name,
        Target::Destination => destination,
        Target::Reply => reply,
    };
    name.trim_end().to_string()
}
