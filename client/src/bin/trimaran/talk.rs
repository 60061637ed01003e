//! `send` and `receive`: the two programs of the walkthrough, for people.

use std::io::{BufRead, Write};

use serde_json::json;
use tokio::sync::mpsc;
use trimaran_client::{Connection, Error, Message, reason};

use crate::{
    arguments::{Global, ReceiveArgs, TalkArgs},
    message_json::message_json,
    output::{self, Failure, Outcome, patiently},
    say,
};

/// Prints what it was given, takes one message a line, and says when it is done.
pub async fn send(global: &Global, args: TalkArgs) -> Outcome {
    let (global, connection) = connect(global, &args).await?;
    let queue = connection.queue(&args.queue);
    introduce(&global, &args, &connection);
    if output::stdin_is_terminal() && !global.json {
        say!("Type one message a line; an empty line ends.");
    }
    let mut lines = stdin_lines();
    let mut sent = 0_u64;
    while let Some(line) = lines.recv().await {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let placed = patiently("putting", queue.put(Message::text(line))).await?;
        sent += 1;
        if global.json {
            say!("{}", json!({ "message_id": trimaran_client::hex(&placed.message_id) }));
        }
    }
    if global.json {
        say!("{}", json!({ "done": true, "sent": sent, "queue": args.queue, "persistent": true }));
    } else {
        say!("done: {sent} persistent {} sent to {}", plural(sent, "message"), args.queue);
    }
    Ok(())
}

/// Browses from the front, shows each message, and gets those that are asked for.
pub async fn receive(global: &Global, args: ReceiveArgs) -> Outcome {
    let (global, connection) = connect(global, &args.talk).await?;
    let queue = connection.queue(&args.talk.queue);
    introduce(&global, &args.talk, &connection);
    let mut lines = (!args.yes).then(stdin_lines);
    let mut cursor = queue.cursor();
    let (mut shown, mut received) = (0_u64, 0_u64);
    let ended = loop {
        let Some(message) = patiently("browsing", cursor.next()).await? else { break true };
        shown += 1;
        if !global.json {
            say!("{}", text_of(&message));
        }
        let answer = match &mut lines {
            None => Answer::Yes,
            Some(lines) => ask(&global, lines).await?,
        };
        let mut taken = false;
        match answer {
            Answer::Yes => match patiently("getting", cursor.get()).await? {
                Some(_) => {
                    received += 1;
                    taken = true;
                }
                None if !global.json => {
                    say!("completion code 2, reason 2034: somebody else was faster, the message is gone")
                }
                None => {}
            },
            Answer::No => {}
            Answer::Quit => break false,
        }
        if global.json {
            let mut value = message_json(&message);
            value["received"] = json!(taken);
            say!("{value}");
        }
    };
    if global.json {
        let reason = if ended { reason::NO_MSG_AVAILABLE } else { 0 };
        say!("{}", json!({ "done": true, "shown": shown, "received": received, "reason": reason }));
        return Ok(());
    }
    say!("{received} of {shown} {} received", plural(shown, "message"));
    if ended {
        say!("completion code 2, reason 2033: nothing more to browse. That is success.");
    } else {
        say!("ended before the last message");
    }
    Ok(())
}

enum Answer {
    Yes,
    No,
    Quit,
}

async fn ask(global: &Global, lines: &mut Lines) -> Result<Answer, Failure> {
    loop {
        if !global.json {
            print_prompt("  get it? (y/n) ");
        }
        let Some(line) = lines.recv().await else { return Ok(Answer::Quit) };
        let line = line?;
        if !output::stdin_is_terminal() && !global.json {
            // Otherwise a log of a scripted run shows questions without answers.
            say!("{line}");
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => return Ok(Answer::Yes),
            "n" | "no" => return Ok(Answer::No),
            "q" | "quit" => return Ok(Answer::Quit),
            _ => eprintln!("  y gets this message, n leaves it, q ends"),
        }
    }
}

fn print_prompt(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

async fn connect(global: &Global, args: &TalkArgs) -> Result<(Global, Connection), Failure> {
    let mut global = global.clone();
    if let Some(host) = &args.host {
        let host =
            if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.clone() };
        global.connect = vec![format!("{host}:{}", args.port)];
    }
    let connection = global.connect().await?;
    Ok((global, connection))
}

fn introduce(global: &Global, args: &TalkArgs, connection: &Connection) {
    let state = connection.state().borrow().clone();
    let (node, address) = match state {
        trimaran_client::ConnectionState::Connected { node, address } => (node, address),
        _ => (String::new(), String::new()),
    };
    let hosts = global.connect.join(",");
    let (host, port) = match global.connect.as_slice() {
        [one] => one.rsplit_once(':').unwrap_or((one, "7201")),
        _ => (hosts.as_str(), ""),
    };
    let channel = args.channel.as_deref().unwrap_or_default();
    let queue_manager = connection.queue_manager();
    if global.json {
        let given = json!({
            "host": host, "port": port, "channel": channel, "queue_manager": queue_manager, "queue": args.queue,
            "node": node, "address": address,
        });
        say!("{given}");
        return;
    }
    say!("host           {host}");
    say!("queue manager  {queue_manager} (served by node {node} at {address})");
    if !channel.is_empty() {
        say!("channel        {channel}");
    }
    if !port.is_empty() {
        say!("port           {port}");
    }
    say!("queue          {}", args.queue);
    say!("");
}

fn text_of(message: &Message) -> String {
    match message.as_text() {
        Some(text) => text.to_string(),
        None => format!("({} bytes that are not text: {})", message.body.len(), start_in_hex(&message.body)),
    }
}

fn start_in_hex(body: &[u8]) -> String {
    let start = trimaran_client::hex(&body[..body.len().min(32)]);
    if body.len() > 32 { format!("{start}...") } else { start }
}

pub fn plural(count: u64, word: &str) -> String {
    if count == 1 { word.to_string() } else { format!("{word}s") }
}

pub type Lines = mpsc::Receiver<Result<String, Failure>>;

/// Lines of standard input, read by a thread of their own: the connection lives on while a person thinks.
pub fn stdin_lines() -> Lines {
    let (sender, receiver) = mpsc::channel(256);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let line = line
                .map_err(|error| Failure::Client(Error::Invalid(format!("read standard input: {error}"))));
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
