//! `send` and `receive`: the two programs of the walkthrough, for people.

use std::io::{BufRead, Write};

use serde_json::json;
use tokio::sync::mpsc;
use trimaran_client::proto::mq::constants::open;
use trimaran_client::proto::plain;
use trimaran_client::{Connection, Cursor, Message, Queue, reason};

use crate::{
    arguments::{Global, ReceiveArgs, TalkArgs},
    dead_letter::DeadLetter,
    line::{Line, Place},
    message_json::message_json,
    output::{self, Failure, Outcome, patiently},
    say,
};

/// Prints what it was given, takes one message a line, and says when it is done.
pub async fn send(global: &Global, args: TalkArgs) -> Outcome {
    let mut way = Way::to_put(global, &args).await?;
    if output::stdin_is_terminal() && !global.json {
        say!("Type one message a line; an empty line ends.");
    }
    let mut sent = 0_u64;
    if let Err(failure) = put_lines(global, &mut way, &mut sent).await {
        if !global.json {
            let queue = output::visible(&args.queue);
            eprintln!("trimaran: {sent} persistent {} sent to {queue}, then:", plural(sent, "message"));
        }
        return Err(failure);
    }
    way.leave().await;
    if global.json {
        say!("{}", json!({ "done": true, "sent": sent, "queue": args.queue, "persistent": true }));
    } else {
        say!("done: {sent} persistent {} sent to {}", plural(sent, "message"), args.queue);
    }
    Ok(())
}

/// One message a line of standard input, to its end or an empty line; counts those that were put.
async fn put_lines(global: &Global, way: &mut Way, sent: &mut u64) -> Outcome {
    let mut lines = stdin_lines();
    while let Some(line) = lines.recv().await {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let message_id = patiently("putting", way.put(line)).await?;
        *sent += 1;
        if global.json {
            say!("{}", json!({ "message_id": trimaran_client::hex(&message_id) }));
        }
    }
    Ok(())
}

/// Browses from the front, shows each message, and gets those that are asked for.
pub async fn receive(global: &Global, args: ReceiveArgs) -> Outcome {
    let mut way = Way::to_get(global, &args.talk).await?;
    let mut lines = (!args.yes).then(stdin_lines);
    let (mut shown, mut received) = (0_u64, 0_u64);
    let ended = loop {
        let Some(message) = patiently("browsing", way.browse()).await? else { break true };
        shown += 1;
        if !global.json {
            say!("{}", text_of(&message));
        }
        let answer = match &mut lines {
            None => Answer::Yes,
            Some(lines) => ask(global, lines).await?,
        };
        let mut taken = false;
        match answer {
            Answer::Yes => match patiently("getting", way.get_under_cursor()).await? {
                true => {
                    received += 1;
                    taken = true;
                }
                false if !global.json => {
                    say!(
                        "completion code 2, reason 2034 NO_MSG_UNDER_CURSOR: somebody else was faster, the message is gone"
                    )
                }
                false => {}
            },
            Answer::No => {}
            Answer::Quit => break false,
        }
        if global.json {
            let mut value = message_json(&message);
            value["received"] = json!(taken);
            output::write(output::json_line(&value).as_bytes());
        }
    };
    way.leave().await;
    if global.json {
        let reason = if ended { reason::NO_MSG_AVAILABLE } else { 0 };
        say!("{}", json!({ "done": true, "shown": shown, "received": received, "reason": reason }));
        return Ok(());
    }
    say!("{received} of {shown} {} received", plural(shown, "message"));
    if ended {
        say!("completion code 2, reason 2033 NO_MSG_AVAILABLE: nothing more to browse. That is success.");
    } else {
        say!("ended before the last message");
    }
    Ok(())
}

/// How the queue is reached: with a host and a channel as IBM MQ clients do, otherwise over gRPC.
enum Way {
    Grpc { queue: Queue, cursor: Cursor },
    Channel(Box<Line>),
}

impl Way {
    async fn to_put(global: &Global, args: &TalkArgs) -> Result<Way, Failure> {
        Way::open(global, args, open::OUTPUT).await
    }

    async fn to_get(global: &Global, args: &TalkArgs) -> Result<Way, Failure> {
        Way::open(global, args, open::INPUT_SHARED | open::BROWSE).await
    }

    async fn open(global: &Global, args: &TalkArgs, options: u32) -> Result<Way, Failure> {
        if let (Some(host), Some(name)) = (&args.host, &args.channel) {
            let place = Place {
                tls: global.tls()?,
                address: format!("{}:{}", bracketed(host), args.port()),
                channel: name.clone(),
                queue_manager: global.queue_manager.clone().unwrap_or_default(),
                queue: args.queue.clone(),
                options,
                within: global.patience(),
            };
            let mut line = patiently("connecting", Line::connect(place)).await?;
            introduce_channel(global, args, host, line.queue_manager());
            patiently("opening the queue", line.open()).await?;
            return Ok(Way::Channel(Box::new(line)));
        }
        let (global, connection) = connect(global, args).await?;
        introduce(&global, args, &connection);
        let queue = connection.queue(&args.queue);
        // Whether it is there shows before anything is typed.
        match patiently("opening the queue", queue.status()).await {
            Err(error) if error.reason() == Some(reason::UNKNOWN_OBJECT_NAME) => return Err(error.into()),
            _ => {}
        }
        let cursor = queue.cursor();
        Ok(Way::Grpc { queue, cursor })
    }

    /// Puts a persistent message; its id.
    async fn put(&mut self, text: String) -> trimaran_client::Result<Vec<u8>> {
        match self {
            Way::Grpc { queue, .. } => Ok(queue.put(Message::text(text)).await?.message_id.to_vec()),
            Way::Channel(line) => line.put(&text).await,
        }
    }

    /// The next message from the front; None when there is none.
    async fn browse(&mut self) -> trimaran_client::Result<Option<Message>> {
        match self {
            Way::Grpc { cursor, .. } => cursor.next().await,
            Way::Channel(line) => line.browse().await,
        }
    }

    /// Gets the message that was browsed; false when it is gone.
    async fn get_under_cursor(&mut self) -> trimaran_client::Result<bool> {
        match self {
            Way::Grpc { cursor, .. } => Ok(cursor.get().await?.is_some()),
            Way::Channel(line) => line.get_under_cursor().await,
        }
    }

    async fn leave(self) {
        if let Way::Channel(line) = self {
            line.leave().await;
        }
    }
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

/// Text without a newline behind it.
pub fn print_prompt(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

async fn connect(global: &Global, args: &TalkArgs) -> Result<(Global, Connection), Failure> {
    let mut global = global.clone();
    if let Some(host) = &args.host {
        global.connect = vec![format!("{}:{}", bracketed(host), args.port())];
    }
    let connection = global.connect().await?;
    Ok((global, connection))
}

/// An address of IPv6 as it stands before a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_string() }
}

fn introduce_channel(global: &Global, args: &TalkArgs, host: &str, queue_manager: &str) {
    let channel = args.channel.as_deref().unwrap_or_default();
    let port = args.port();
    if global.json {
        let given = json!({
            "host": host, "port": port, "channel": channel, "queue_manager": queue_manager, "queue": args.queue,
        });
        say!("{given}");
        return;
    }
    say!("host           {host}");
    say!("queue manager  {queue_manager}");
    say!("channel        {channel}");
    say!("port           {port}");
    say!("queue          {}", args.queue);
    say!("");
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
    if let Some(letter) = DeadLetter::of(message) {
        return format!("{} {}", output::visible(&letter.one_line()), text_of(&letter.message));
    }
    match message.as_text() {
        Some(text) => output::visible(text),
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
            let line =
                line.map_err(|error| Failure::Usage(format!("standard input: {}", plain::error(error))));
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
