//! `get` and `browse`: messages to standard output or files.

use std::{
    io::Write,
    path::{Path, PathBuf},
    pin::pin,
};

use futures::TryStreamExt;
use serde_json::json;
use trimaran_client::{Connection, GetOptions, Message, hex};

use crate::{
    arguments::{BrowseArgs, GetArgs, Global, SelectionArgs},
    message_json::message_json,
    output::{self, Counter, Failure, Outcome, patiently, timestamp},
    say,
    talk::plural,
};

/// Gets on their way at a time.
const AHEAD: u64 = 64;

pub async fn get(global: &Global, args: GetArgs) -> Outcome {
    let connection = global.connect().await?;
    if let Some(directory) = &args.to {
        std::fs::create_dir_all(directory).map_err(|error| Failure::local(directory.display(), error))?;
    }
    let wanted = if args.all { u64::MAX } else { args.count };
    let options = selection(&args.selection).wait(args.wait);
    let mut counter = Counter::new("got", (!args.all).then_some(args.count));
    let result = match args.syncpoint || args.to.is_some() {
        true => get_each(global, &args, &connection, &options, wanted, &mut counter).await,
        false => get_ahead(global, &args, &connection, &options, wanted, &mut counter).await,
    };
    result?;
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
        0 => format!("no message on {} (completion code 2, reason 2033)", args.queue),
        _ => format!(
            "{count} of {wanted} messages, then no more on {} (completion code 2, reason 2033)",
            args.queue
        ),
    };
    Err(Failure::NoMessage(text))
}

/// One after the other, each safe before it leaves its queue.
async fn get_each(
    global: &Global,
    args: &GetArgs,
    connection: &Connection,
    options: &GetOptions,
    wanted: u64,
    counter: &mut Counter,
) -> Outcome {
    while counter.count() < wanted && get_and_commit(global, args, connection, options).await? {
        counter.add();
    }
    Ok(())
}

/// Without syncpoint: many at a time, as far as they are wanted, unless there is something to wait for.
async fn get_ahead(
    global: &Global,
    args: &GetArgs,
    connection: &Connection,
    options: &GetOptions,
    wanted: u64,
    counter: &mut Counter,
) -> Outcome {
    let queue = connection.queue(&args.queue);
    while counter.count() < wanted {
        let ahead = match args.wait.is_zero() {
            true if counter.count() > 0 => AHEAD.min(wanted - counter.count()),
            _ => 1,
        };
        let gets = (0..ahead).map(|_| queue.get_with(options.clone()));
        let got = patiently("waiting for a message", futures::future::join_all(gets)).await;
        // What has left its queue is written out before an error is looked at.
        let mut first_error = None;
        let mut ended = false;
        for message in got {
            match message {
                Ok(Some(message)) => {
                    deliver(global, args, &message)?;
                    counter.add();
                }
                Ok(None) => ended = true,
                Err(error) => drop(first_error.get_or_insert(error)),
            }
        }
        if let Some(error) = first_error {
            return Err(error.into());
        }
        if ended {
            break;
        }
    }
    Ok(())
}

/// The message leaves the queue after it was written out. A unit that was lost with its node is done again.
async fn get_and_commit(
    global: &Global,
    args: &GetArgs,
    connection: &Connection,
    options: &GetOptions,
) -> Result<bool, Failure> {
    loop {
        let attempt = async {
            let mut unit = connection.unit_of_work().await?;
            match unit.get(&args.queue, options.clone()).await? {
                Some(message) => Ok(Some((message, unit))),
                None => unit.backout().await.map(|()| None),
            }
        };
        match patiently("waiting for a message", attempt).await {
            Ok(None) => return Ok(false),
            Ok(Some((message, unit))) => {
                deliver(global, args, &message)?;
                match patiently("committing", unit.commit()).await {
                    Ok(()) => return Ok(true),
                    Err(error) if error.is_backed_out() => {
                        eprintln!(
                            "trimaran: the get of message {} was backed out; it comes again",
                            message.message_id_hex()
                        );
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) if error.is_backed_out() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn deliver(global: &Global, args: &GetArgs, message: &Message) -> Outcome {
    if let Some(directory) = &args.to {
        let path = save(directory, message)?;
        if global.json {
            let id = hex(&message.descriptor.message_id);
            say!("{}", json!({ "message_id": id, "file": path, "bytes": message.body.len() }));
        }
        return Ok(());
    }
    if args.json_lines || global.json {
        say!("{}", message_json(message));
        return Ok(());
    }
    output::write(&message.body);
    if message.as_text().is_some() && !message.body.ends_with(b"\n") {
        output::write(b"\n");
    }
    Ok(())
}

/// On disk, under its final name, before this returns: a crash leaves the whole file or none.
fn save(directory: &Path, message: &Message) -> Result<PathBuf, Failure> {
    let name = hex(&message.descriptor.message_id);
    let path = directory.join(&name);
    let unfinished = directory.join(format!(".{name}.part"));
    let written = (|| {
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(&message.body)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        std::fs::File::open(directory)?.sync_all()
    })();
    written.map_err(|error| Failure::local(path.display(), error))?;
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
            say!("{}", message_json(&message));
        } else if args.bodies {
            output::write(&message.body);
            output::write(b"\n");
        } else {
            say!("{}", one_line(count, &message));
        }
    }
    if !args.json_lines && !global.json && !args.bodies {
        say!("{count} {} on {}", plural(count, "message"), args.queue);
    }
    Ok(())
}

fn one_line(number: u64, message: &Message) -> String {
    let persistence = if message.is_persistent() { "persistent" } else { "not persistent" };
    let body = match message.as_text() {
        Some(text) => {
            let line: String = text.chars().take(120).map(|c| if c.is_control() { ' ' } else { c }).collect();
            if text.chars().count() > 120 { format!("{line}...") } else { line }
        }
        None => format!("({} bytes)", message.body.len()),
    };
    format!(
        "{number:>5}  {}  priority {}  {persistence}  {body}",
        timestamp(message.descriptor.put_time_ms),
        message.descriptor.priority.unwrap_or_default(),
    )
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
    options
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_browsed_message_fits_a_line() {
        let message = Message::text(format!("two\nlines{}", "x".repeat(200)));
        let line = one_line(1, &message);
        assert!(line.contains("two lines") && line.ends_with("..."), "{line}");
    }
}
