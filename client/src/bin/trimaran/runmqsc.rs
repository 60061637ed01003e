//! `runmqsc`: MQSC from a terminal, from standard input or from a file.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    time::Duration,
};

use tokio::sync::mpsc;
use trimaran_client::{
    Connection, Error,
    proto::{
        mqsc::{Script, Step},
        plain,
    },
    reason,
};

use crate::{
    arguments::{Global, RunmqscArgs},
    output::{self, Failure, Outcome, patiently},
    say,
};

/// runmqsc's, when no command could be asked.
const NOT_RUN: i32 = 20;

pub async fn run(global: &Global, args: RunmqscArgs) -> Outcome {
    if let Some(why) = not_here(&args) {
        return Err(Failure::Control { code: NOT_RUN, text: format!("AMQ8101S: IBM MQ error: {why}") });
    }
    let mut global = global.clone();
    global.queue_manager = args.name.clone().or(global.queue_manager);
    global.within = args.wait.map(Duration::from_secs).or(global.within);
    let connection = match patiently("looking for the node that serves", global.builder()?.connect()).await {
        Ok(connection) => connection,
        Err(error) => return Err(not_run(&error)),
    };
    let lines = match &args.file {
        Some(file) => lines_of(file)?,
        None => typed(),
    };
    carry_out(&connection, lines, args.quiet, args.verify).await
}

/// What runmqsc of MQ can be asked for, and is not done here.
fn not_here(args: &RunmqscArgs) -> Option<&'static str> {
    if args.no_queue_manager {
        return Some("-n is for client channel tables; there are none here: leave it out.");
    }
    if args.user.is_some() {
        return Some(
            "-u is for passwords, which are not checked; who you are is said by the certificate (--tls-cert).",
        );
    }
    args.z_os.then_some("-x is for queue managers on z/OS: leave it out.")
}

/// The script in a file, with what runmqsc prints of it.
pub async fn run_file(connection: &Connection, file: &Path) -> Outcome {
    carry_out(connection, lines_of(file)?, false, false).await
}

async fn carry_out(connection: &Connection, mut lines: Lines, quiet: bool, verify: bool) -> Outcome {
    let queue_manager = connection.queue_manager();
    let product = concat!("Trimaran ", env!("CARGO_PKG_VERSION"), ".");
    show(Script::greeting(product, &queue_manager));

    let mut script = Script::new(quiet, verify);
    let admin = connection.admin();
    let mut has_ended = false;
    while !has_ended {
        let mut shown = Vec::new();
        let step = match lines.recv().await {
            Some(line) => script.line(&line?, &mut shown),
            None => {
                has_ended = true;
                script.end(&mut shown)
            }
        };
        show(std::mem::take(&mut shown));
        match step {
            Step::Next => {}
            Step::End => has_ended = true,
            Step::Ask(command) => {
                let reply = patiently("asking", admin.mqsc(&command)).await;
                script.answer(&command, reply.as_ref(), &queue_manager, &mut shown);
                show(shown);
            }
        }
    }
    show(script.trailer());
    match script.exit_code() {
        0 => Ok(()),
        code => Err(Failure::Control { code, text: String::new() }),
    }
}

fn show(lines: Vec<String>) {
    lines.iter().for_each(|line| say!("{line}"));
}

fn not_run(error: &Error) -> Failure {
    let message = match error.reason() {
        Some(reason::Q_MGR_NAME_ERROR) => "AMQ8118E: IBM MQ queue manager does not exist.",
        Some(reason::NOT_AUTHORIZED) => "AMQ8135E: Not authorized.",
        _ => "AMQ8146E: IBM MQ queue manager not available.",
    };
    Failure::Control { code: NOT_RUN, text: format!("{message}\n   {error}") }
}

type Lines = mpsc::Receiver<Result<String, Failure>>;

fn lines_of(path: &Path) -> Result<Lines, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| unread(&name, error))?;
    Ok(read(BufReader::new(file), name))
}

fn unread(name: &str, error: std::io::Error) -> Failure {
    let text = format!("AMQ8101S: IBM MQ error: {name}: {}", plain::error(error));
    Failure::Control { code: NOT_RUN, text }
}

fn typed() -> Lines {
    if output::stdin_is_terminal() {
        return crate::terminal::lines();
    }
    read(BufReader::new(std::io::stdin()), "standard input".to_owned())
}

/// By a thread of its own: the connection lives on while a person thinks. Bytes that are no UTF-8 are kept as marks.
fn read(mut reader: impl BufRead + Send + 'static, name: String) -> Lines {
    let (sender, receiver) = mpsc::channel(256);
    std::thread::spawn(move || {
        loop {
            let mut bytes = Vec::new();
            let line = match reader.read_until(b'\n', &mut bytes) {
                Ok(0) => return,
                Ok(_) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Err(error) => Err(unread(&name, error)),
            };
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}
