//! `get` and `browse`: messages to standard output or files.

use std::{
    io::Write,
    path::{Path, PathBuf},
    pin::pin,
};

use futures::TryStreamExt;
use serde_json::json;
use trimaran_client::{Connection, Error, GetOptions, Message, UnitOfWork, hex, reason};

use crate::{
    arguments::{BrowseArgs, GetArgs, Global, SelectionArgs},
    dead_letter::DeadLetter,
    message_json::message_json,
    output::{self, Counter, Failure, Outcome, patiently, timestamp},
    say,
    talk::plural,
};

/// Messages of one unit of work.
const AT_ONCE: u64 = 64;
/// No unit of work gets more when it has bodies of so many bytes.
const UNIT_BYTES: usize = 16 << 20;

pub async fn get(global: &Global, args: GetArgs) -> Outcome {
    let connection = global.connect().await?;
    if let Some(directory) = &args.to {
        make_directory(directory)?;
    }
    let wanted = if args.all { u64::MAX } else { args.count };
    let options = selection(&args.selection).wait(args.wait);
    let mut counter = Counter::new("got", (!args.all).then_some(args.count));
    let result = get_each(global, &args, &connection, &options, wanted, &mut counter).await;
    result.map_err(|failure| with_what_was_got(failure, counter.count(), &args.queue))?;
    let count = counter.count();
    drop(counter);
    if let Some(directory) = &args.to
        && !global.json
    {
        say!("{count} {} written to {}", plural(count, "message"), directory.display());
    }
    if args.all || count == wanted {
        return Ok(());
    }
    let text = match count {
        0 => format!("no message{} on {}", which(&args.selection, 1), args.queue),
        _ => {
            let which = which(&args.selection, wanted);
            format!(
                "{count} of {wanted} {}{which}, then no more on {}",
                plural(wanted, "message"),
                args.queue
            )
        }
    };
    Err(Failure::NoMessage(text))
}

fn make_directory(directory: &Path) -> Outcome {
    if directory.exists() && !directory.is_dir() {
        let text =
            format!("{} is no directory; --to makes one, or takes one that is there", directory.display());
        return Err(Failure::Local(text));
    }
    std::fs::create_dir_all(directory).map_err(|error| Failure::local(directory.display(), error))
}

/// What was taken before it could not be written out any more.
fn with_what_was_got(failure: Failure, count: u64, queue: &str) -> Failure {
    match failure {
        Failure::Local(text) => {
            let messages = plural(count, "message");
            Failure::Local(format!(
                "{text}; {count} {messages} got before, what came then is on {queue} again"
            ))
        }
        other => other,
    }
}

/// In units of work of many messages, each of which leaves its queue when it was written out.
async fn get_each(
    global: &Global,
    args: &GetArgs,
    connection: &Connection,
    options: &GetOptions,
    wanted: u64,
    counter: &mut Counter,
) -> Outcome {
    let mut at_once = AT_ONCE;
    while counter.count() < wanted {
        let most = at_once.min(wanted - counter.count());
        match get_and_commit(global, args, connection, options, most).await {
            Ok(0) => return Ok(()),
            Ok(got) => (0..got).for_each(|_| counter.add()),
            // MAXUMSGS is less than what was asked for.
            Err(Failure::Client(error)) if is_full(&error) && most > 1 => at_once = most / 2,
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// At most so many messages leave the queue after they were written out; returns how many. A unit that was lost with
/// its node is done again, and one whose message could not be written out is backed out.
async fn get_and_commit(
    global: &Global,
    args: &GetArgs,
    connection: &Connection,
    options: &GetOptions,
    most: u64,
) -> Result<u64, Failure> {
    loop {
        let mut unit = patiently("looking for the node that serves", connection.unit_of_work()).await?;
        let messages = match get_some(&mut unit, &args.queue, options, most as usize).await {
            Ok(messages) => messages,
            Err(error) if error.is_backed_out() => continue,
            Err(error) => {
                patiently("backing out", unit.backout()).await?;
                return Err(error.into());
            }
        };
        let count = messages.len() as u64;
        if count == 0 {
            patiently("backing out", unit.backout()).await?;
            return Ok(0);
        }
        let mut files = Vec::new();
        if let Err(failure) = deliver_all(global, args, &messages, &mut files) {
            forget(&files);
            patiently("backing out", unit.backout()).await?;
            return Err(failure);
        }
        match patiently("committing", unit.commit()).await {
            Ok(()) => return Ok(count),
            Err(error) if error.is_backed_out() => {
                forget(&files);
                eprintln!(
                    "trimaran: the get of {count} {} was backed out; what was written comes again",
                    plural(count, "message")
                );
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The first is waited for as the options say, the others are those that are there then.
async fn get_some(
    unit: &mut UnitOfWork,
    queue: &str,
    options: &GetOptions,
    most: usize,
) -> Result<Vec<Message>, Error> {
    let mut messages: Vec<Message> =
        patiently("waiting for a message", unit.get(queue, options.clone())).await?.into_iter().collect();
    let mut asked = messages.len();
    while messages.len() == asked && (1..most).contains(&asked) {
        let bytes: usize = messages.iter().map(|message| message.body.len()).sum();
        if bytes >= UNIT_BYTES {
            break;
        }
        // As many as there are already, so that a short one in front of long ones does not ask for all of them.
        let fit = (UNIT_BYTES - bytes) / (bytes / asked + 1);
        let next = fit.clamp(1, asked).min(most - asked);
        asked += next;
        let gets = std::iter::repeat_n(options.clone(), next);
        messages.extend(patiently("getting", unit.get_many(queue, gets)).await?.into_iter().flatten());
    }
    Ok(messages)
}

/// All of them, as safe as the place has it where they go; `files` are those that were made.
fn deliver_all(global: &Global, args: &GetArgs, messages: &[Message], files: &mut Vec<PathBuf>) -> Outcome {
    for message in messages {
        deliver(global, args, message, files)?;
    }
    output::try_sync().map_err(unwritten)
}

fn unwritten(error: std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Local("nobody reads standard output any more".into()),
        _ => Failure::local("write to standard output", error),
    }
}

/// The unit of work has as many messages as MAXUMSGS of the queue manager allows.
pub fn is_full(error: &Error) -> bool {
    error.reason() == Some(reason::SYNCPOINT_LIMIT_REACHED)
}

/// The messages of these files are on their queue again.
fn forget(files: &[PathBuf]) {
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
}

/// Writes a message out.
fn deliver(global: &Global, args: &GetArgs, message: &Message, files: &mut Vec<PathBuf>) -> Outcome {
    if let Some(directory) = &args.to {
        let path = save(directory, message)?;
        files.push(path.clone());
        if global.json {
            let id = hex(&message.descriptor.message_id);
            let told = json!({ "message_id": id, "file": path, "bytes": message.body.len() });
            output::try_write(format!("{told}\n").as_bytes()).map_err(unwritten)?;
        }
        return Ok(());
    }
    if args.json_lines || global.json {
        let line = output::json_line(&message_json(message));
        return output::try_write(line.as_bytes()).map_err(unwritten);
    }
    output::try_write(&output::body(&message.body)).map_err(unwritten)?;
    // A file gets the body and nothing else; on a terminal, or with several messages, each ends its line.
    let separate = output::stdout_is_terminal() || args.all || args.count > 1;
    if separate && message.as_text().is_some() && !message.body.ends_with(b"\n") {
        output::try_write(b"\n").map_err(unwritten)?;
    }
    Ok(())
}

/// On disk, under its final name, before this returns: a crash leaves the whole file or none. Never writes over a file:
/// ids of messages are their programs' choice, and several may have the same.
fn save(directory: &Path, message: &Message) -> Result<PathBuf, Failure> {
    let name = hex(&message.descriptor.message_id);
    let failed = |path: &Path, error| Failure::local(path.display(), error);
    // A name that nobody has, whoever else saves messages here, and no file that stays when this fails.
    let unfinished =
        tempfile::Builder::new().prefix(&format!(".{name}.")).suffix(".part").tempfile_in(directory);
    let mut unfinished = unfinished.map_err(|error| failed(directory, error))?;
    let written = unfinished.write_all(&message.body).and_then(|()| unfinished.as_file().sync_all());
    written.map_err(|error| failed(unfinished.path(), error))?;
    let mut path = directory.join(&name);
    let mut number = 1_u64;
    // A link, unlike a rename, does not replace what is there.
    while let Err(error) = std::fs::hard_link(unfinished.path(), &path) {
        if error.kind() != std::io::ErrorKind::AlreadyExists {
            return Err(failed(&path, error));
        }
        number += 1;
        path = directory.join(format!("{name}.{number}"));
    }
    let synced = unfinished.close().and_then(|()| std::fs::File::open(directory)?.sync_all());
    synced.map_err(|error| failed(directory, error))?;
    Ok(path)
}

pub async fn browse(global: &Global, args: BrowseArgs) -> Outcome {
    let connection = global.connect().await?;
    let queue = connection.queue(&args.queue);
    let mut messages = pin!(queue.browse_with(selection(&args.selection)));
    let limit = args.count.unwrap_or(u64::MAX);
    let mut count = 0;
    while count < limit {
        let Some(message) = patiently("browsing", messages.try_next()).await? else { break };
        count += 1;
        if args.json_lines || global.json {
            output::write(output::json_line(&message_json(&message)).as_bytes());
        } else if args.bodies {
            let letter = DeadLetter::of(&message);
            if let Some(letter) = &letter {
                output::write(output::visible(&format!("{} ", letter.one_line())).as_bytes());
            }
            output::write_body(&letter.map_or(message, |letter| letter.message).body);
            output::write(b"\n");
        } else {
            say!("{}", one_line(count, &message));
        }
    }
    if !args.json_lines && !global.json && !args.bodies {
        let which = which(&args.selection, count);
        let more = if count == limit { "; there may be more, --count ended it" } else { "" };
        say!("{count} {}{which} on {}{more}", plural(count, "message"), args.queue);
    }
    Ok(())
}

fn one_line(number: u64, message: &Message) -> String {
    let dead = DeadLetter::of(message);
    let why = dead.as_ref().map_or(String::new(), |dead| output::visible(&format!("{} ", dead.one_line())));
    let message = dead.as_ref().map_or(message, |dead| &dead.message);
    let persistence = if message.is_persistent() { "persistent" } else { "not persistent" };
    let body = match message.as_text() {
        Some(text) => {
            let line: String =
                text.chars().take(120).map(|c| if "\r\n\t".contains(c) { ' ' } else { c }).collect();
            let line = output::visible(&line);
            if text.chars().count() > 120 { format!("{line}...") } else { line }
        }
        None => format!("({} bytes)", message.body.len()),
    };
    format!(
        "{number:>5}  {}  priority {}  {persistence}  {why}{body}",
        timestamp(message.descriptor.put_time_ms),
        message.descriptor.priority.unwrap_or_default(),
    )
}

/// What a count of selected messages has to say of them; "no message" is one.
fn which(args: &SelectionArgs, count: u64) -> &'static str {
    let ids = [&args.message_id, &args.correlation_id, &args.group_id];
    let is_any = ids.iter().all(|id| id.is_none()) && args.selector.is_none() && !args.all_available;
    match is_any {
        true => "",
        _ if count == 1 => " that matches",
        _ => " that match",
    }
}

fn selection(args: &SelectionArgs) -> GetOptions {
    let mut options = GetOptions::new();
    if let Some(id) = &args.message_id {
        options = options.message_id(id);
    }
    if let Some(id) = &args.correlation_id {
        options = options.correlation_id(id);
    }
    if let Some(id) = &args.group_id {
        options = options.group_id(id);
    }
    if let Some(selector) = &args.selector {
        options = options.selector(selector);
    }
    if args.logical_order {
        options = options.logical_order();
    }
    if args.all_available {
        options = options.all_messages_available();
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let Err(Failure::Local(text)) = make_directory(file.path()) else { panic!("it is a file") };
        assert!(text.contains("is no directory") && !text.contains("os error"), "{text}");
    }

    #[test]
    fn a_browsed_message_does_nothing_to_a_terminal() {
        let line = one_line(1, &Message::text("\u{1b}[2Jtxt.\u{202e}exe"));
        assert!(line.ends_with(r"\x1b[2Jtxt.\u202eexe"), "{line}");
    }

    #[test]
    fn a_saved_message_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let message = Message::text("Hello").message_id("id");
        let path = save(directory.path(), &message).unwrap();
        assert_eq!(path.file_name().unwrap(), "6964");
        assert_eq!(std::fs::read(path).unwrap(), b"Hello");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn messages_are_saved_beside_what_others_save_there() {
        let directory = tempfile::tempdir().unwrap();
        let message = |number: usize| Message::text(number.to_string()).message_id("id");
        std::thread::scope(|scope| {
            for first in [0, 50, 100] {
                let path = directory.path();
                scope.spawn(move || {
                    (first..first + 50).for_each(|number| drop(save(path, &message(number)).unwrap()))
                });
            }
        });
        let files = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path());
        let mut bodies: Vec<usize> =
            files.map(|file| std::fs::read_to_string(file).unwrap().parse().unwrap()).collect();
        bodies.sort_unstable();
        assert_eq!(bodies, (0..150).collect::<Vec<_>>());
    }

    #[test]
    fn messages_with_one_id_have_a_file_each() {
        let directory = tempfile::tempdir().unwrap();
        let bodies = ["one", "two", "three"];
        let save = |text: &&str| save(directory.path(), &Message::text(*text).message_id("id")).unwrap();
        let files: Vec<PathBuf> = bodies.iter().map(save).collect();
        let read: Vec<String> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert_eq!(read, bodies);
        assert_eq!(files[2].file_name().unwrap(), "6964.3");
    }

    #[test]
    fn a_browsed_message_fits_a_line() {
        let message = Message::text(format!("two\nlines{}", "x".repeat(200)));
        let line = one_line(1, &message);
        assert!(line.contains("two lines") && line.ends_with("..."), "{line}");
    }
}
