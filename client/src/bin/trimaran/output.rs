//! What people and programs see: text or JSON on standard output, errors and progress on standard error, and the
//! exit code.

use std::{
    borrow::Cow,
    fmt::Arguments,
    future::Future,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use trimaran_client::{Error, reason};
use trimaran_proto::{calendar::Moment, plain};

use crate::tails::Tails;

/// What the command failed with; `trimaran help exit-codes` explains them.
#[derive(Debug)]
pub enum Failure {
    /// 1, 4 or 2, depending on the error.
    Client(Error),
    /// 3: there was no message, or not as many as asked for (2033).
    NoMessage(String),
    /// 2: the command line, or a line of the input, cannot be understood.
    Usage(String),
    /// 5: a file, a certificate or a program of this machine.
    Local(String),
    /// 1: something was looked at and is not as it should be.
    Check(String),
    /// A command with the name and the exit codes of MQ's; its text, if any, goes to standard error as it is.
    Control { code: i32, text: String },
}

pub type Outcome = Result<(), Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Client(error)
    }
}

impl Failure {
    pub fn local(what: impl std::fmt::Display, error: impl std::fmt::Display) -> Failure {
        Failure::Local(format!("{what}: {}", plain::error(error)))
    }

    pub fn exit_code(&self) -> i32 {
        match self {
            Failure::Client(Error::Unreachable { .. }) => 4,
            Failure::Client(Error::Invalid(_)) | Failure::Usage(_) => 2,
            Failure::Client(_) | Failure::Check(_) => 1,
            Failure::NoMessage(_) => 3,
            Failure::Local(_) => 5,
            Failure::Control { code, .. } => *code,
        }
    }

    /// On standard error, in the form that was asked for.
    pub fn report(&self, as_json: bool) {
        match (self, as_json) {
            (Failure::Control { text, .. }, _) if text.is_empty() => {}
            (_, true) => eprintln!("{}", self.as_json()),
            // What is refused may have been named by anybody.
            (Failure::Control { .. }, false) => eprintln!("{}", visible(&self.text())),
            (Failure::NoMessage(_), false) => {
                let text = visible(&self.text());
                eprintln!("trimaran: {text} (completion code 2, reason 2033 NO_MSG_AVAILABLE)")
            }
            (_, false) => eprintln!("trimaran: {}", visible(&self.text())),
        }
    }

    /// In plain words, whoever found them: no number of an error, and no name of a library's.
    pub fn text(&self) -> String {
        match self {
            Failure::Client(error) => plain::error(error),
            Failure::Control { text, .. }
            | Failure::NoMessage(text)
            | Failure::Usage(text)
            | Failure::Local(text)
            | Failure::Check(text) => plain::error(text),
        }
    }

    fn as_json(&self) -> Value {
        let mut report = json!({ "ok": false, "exit_code": self.exit_code(), "text": self.text() });
        if let Failure::Client(Error::Refused { code, reason, name, text }) = self {
            report["completion_code"] = json!(code);
            report["reason"] = json!(reason);
            report["name"] = json!(name);
            report["text"] = json!(text);
        }
        let known = match self {
            Failure::NoMessage(_) => Some(reason::NO_MSG_AVAILABLE),
            Failure::Client(Error::Unreachable { .. }) => Some(reason::Q_MGR_NOT_AVAILABLE),
            _ => None,
        };
        if let Some(reason) = known {
            report["completion_code"] = json!(2);
            report["reason"] = json!(reason);
            report["name"] = json!(trimaran_client::name_of(reason));
        }
        report
    }
}

/// A command line that cannot be understood, in the form it asks for as far as it can be understood; or help.
pub fn end_with_usage(error: &clap::Error, tails: &Tails) -> ! {
    if let Some(help) = tails.help_of(error, stdout_is_terminal()) {
        if error.use_stderr() {
            eprint!("{help}");
        } else {
            write(help.as_bytes());
        }
        std::process::exit(error.exit_code());
    }
    if !error.use_stderr() {
        error.exit()
    }
    if std::env::args_os().any(|argument| argument == "--json") {
        let text = plain::value(&error.to_string());
        let text = text.split("\n\n").next().unwrap_or(&text).trim_start_matches("error: ");
        let failure = Failure::Usage(text.split_whitespace().collect::<Vec<_>>().join(" "));
        failure.report(true);
        std::process::exit(failure.exit_code());
    }
    let text = error.render();
    let text = if stderr_is_terminal() { text.ansi().to_string() } else { text.to_string() };
    eprint!("{}", without_wrong_tip(&plain::value(&text)));
    std::process::exit(error.exit_code());
}

/// clap's advice to write `-- -x` makes another argument of what was meant as an option.
fn without_wrong_tip(text: &str) -> String {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.contains("as a value, use '"));
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// What was done is done, and something should be known of it.
pub fn warn(json: bool, text: &str) {
    match json {
        true => line(format_args!("{}", json!({ "warning": text }))),
        false => eprintln!("trimaran: warning: {}", visible(text)),
    }
}

/// A line on standard output. A reader that has gone away (`| head`) ends the command quietly.
pub fn line(text: Arguments<'_>) {
    write(format!("{text}\n").as_bytes());
}

pub fn write(bytes: &[u8]) {
    if let Err(error) = try_write(bytes) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        let failure = Failure::local("write to standard output", error);
        failure.report(std::env::args_os().any(|argument| argument == "--json"));
        std::process::exit(failure.exit_code());
    }
}

/// For whoever has to give something back that nobody could be shown.
///
/// # Errors
/// Those of standard output: its reader has gone away, its disk is full.
pub fn try_write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush())
}

/// What was written to a file is on its disk when this returns; a pipe and a terminal have what was written.
///
/// # Errors
/// Those of the disk.
pub fn try_sync() -> io::Result<()> {
    let file = std::fs::File::from(io::stdout().as_fd().try_clone_to_owned()?);
    if file.metadata()?.is_file() { file.sync_data() } else { Ok(()) }
}

#[macro_export]
macro_rules! say {
    ($($arg:tt)*) => { $crate::output::line(format_args!($($arg)*)) };
}

/// Waits for something that usually takes no time. After a second a person at a terminal is told what it is.
pub async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        result = &mut work => return result,
        _ = tokio::time::sleep(Duration::from_secs(1)) => {}
    }
    let spinner = spinner(what);
    let result = work.await;
    spinner.finish_and_clear();
    result
}

pub fn spinner(what: &str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner().with_message(what.to_string());
    spinner.set_style(ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("a valid template"));
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}

/// Counts messages, for a person at a terminal, once it takes longer than a second.
pub struct Counter {
    bar: Option<ProgressBar>,
    started: std::time::Instant,
    total: Option<u64>,
    what: &'static str,
    count: u64,
}

impl Counter {
    pub fn new(what: &'static str, total: Option<u64>) -> Counter {
        Counter { bar: None, started: std::time::Instant::now(), total, what, count: 0 }
    }

    pub fn add(&mut self) {
        self.count += 1;
        // A look at the clock per message would be felt.
        if self.bar.is_none()
            && self.count.is_multiple_of(64)
            && self.started.elapsed() > Duration::from_secs(1)
        {
            self.bar = Some(self.show());
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.count);
        }
    }

    /// Waits for the next one, and says so if that alone takes long and nothing is shown yet.
    pub async fn patiently<T>(&self, work: impl Future<Output = T>) -> T {
        match self.bar {
            Some(_) => work.await,
            None => patiently(self.what, work).await,
        }
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn show(&self) -> ProgressBar {
        let template = match self.total {
            Some(_) => "{msg} {wide_bar} {pos}/{len} ({per_sec}, {eta} left)",
            None => "{spinner} {msg} {pos} ({per_sec})",
        };
        let bar = match self.total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a valid template"));
        bar.set_message(self.what);
        bar
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}

pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

/// Milliseconds since 1970 as `2026-11-21T05:30:00.123Z`.
pub fn timestamp(ms: i64) -> String {
    Moment::of(ms).to_string()
}

/// What a program wrote, for a terminal: lines and tabs as they are, other control characters as `\x1b` and what changes the
/// direction of text or cannot be seen as `\u202e`, so that no message colours, moves, hides or renames anything.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            _ if c.is_control() => shown.push_str(&format!("\\x{:02x}", u32::from(c))),
            _ if is_unseen(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => shown.push(c),
        }
    }
    shown
}

/// No more of a text than so many characters.
pub fn shortened(text: &str, most: usize) -> String {
    let more = if text.chars().count() > most { "..." } else { "" };
    text.chars().take(most).chain(more.chars()).collect()
}

/// Format characters of Unicode: they have no shape of their own and change how others are shown. The two joiners
/// (U+200C, U+200D) do no harm, and languages and emoji are written with them.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// [`visible`] of bytes that need not be text: those that are none as `\xff`.
pub fn visible_bytes(bytes: &[u8]) -> String {
    let piece = |chunk: std::str::Utf8Chunk<'_>| {
        visible(chunk.valid())
            + &chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>()
    };
    bytes.utf8_chunks().map(piece).collect()
}

/// The body of a message: exactly as it is to a pipe or a file, and so that it does no harm to a terminal.
pub fn body(body: &[u8]) -> Cow<'_, [u8]> {
    match stdout_is_terminal() {
        true => Cow::Owned(visible_bytes(body).into_bytes()),
        false => Cow::Borrowed(body),
    }
}

pub fn write_body(bytes: &[u8]) {
    write(&body(bytes));
}

/// A line of JSON with the same value that does no harm to a terminal: JSON itself lets U+009B and the like through.
pub fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        match c.is_control() || is_unseen(c) {
            true => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| line.push_str(&format!("\\u{unit:04x}")));
            }
            false => line.push(c),
        }
    }
    line.push('\n');
    line
}

pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Rows under headings, each column as wide as its widest cell.
pub fn table(headings: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let print = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        say!("{}", text.trim_end());
    };
    print(headings.to_vec());
    for row in rows {
        print(row.iter().map(String::as_str).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_dates() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(timestamp(951_827_696_789), "2000-02-29T12:34:56.789Z");
        assert_eq!(timestamp(1_795_239_000_001), "2026-11-21T05:30:00.001Z");
        assert_eq!(timestamp(-1), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn no_failure_has_the_number_of_an_error() {
        let missing = std::fs::File::open("no such file").unwrap_err().to_string();
        assert!(missing.contains("os error 2"), "{missing}");
        for failure in [
            Failure::Usage(missing.clone()),
            Failure::Local(missing.clone()),
            Failure::Check(missing.clone()),
            Failure::NoMessage(missing.clone()),
            Failure::Control { code: 20, text: missing },
        ] {
            assert_eq!(failure.text(), "No such file or directory");
        }
    }

    #[test]
    fn the_exit_code_tells_refused_from_unreachable() {
        let unreachable = Error::Unreachable {
            queue_manager: "q".into(),
            within_s: 1.0,
            is_lasting: false,
            text: "refused".into(),
        };
        assert_eq!(Failure::Client(unreachable).exit_code(), 4);
        assert_eq!(Failure::Client(Error::Closed).exit_code(), 1);
        assert_eq!(Failure::NoMessage(String::new()).exit_code(), 3);
    }

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(visible("a\tb\nc"), "a\tb\nc");
        assert_eq!(visible("\u{1b}[31mred\u{7}\u{9b}"), r"\x1b[31mred\x07\x9b");
        assert_eq!(visible("safe\u{202e}fdp.exe\u{feff}"), r"safe\u202efdp.exe\ufeff");
        assert_eq!(visible("na\u{ef}ve \u{1f469}\u{200d}\u{1f680}"), "na\u{ef}ve \u{1f469}\u{200d}\u{1f680}");
        assert_eq!(visible_bytes(b"a\xff\x1bb\n"), "a\\xff\\x1bb\n");
    }

    #[test]
    fn a_line_of_json_means_the_same_and_shows_no_control_character() {
        let value = json!({ "text": "a\u{9b}2J\u{202e}\u{e0041}\n" });
        let line = json_line(&value);
        assert_eq!(line, "{\"text\":\"a\\u009b2J\\u202e\\udb40\\udc41\\n\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn an_option_that_is_not_there_is_no_value() {
        let text = "error: unexpected argument '-x' found\n\n  tip: to pass '-x' as a value, use '-- -x'\n\nUsage: runmqsc\n";
        assert_eq!(without_wrong_tip(text), "error: unexpected argument '-x' found\n\nUsage: runmqsc\n");
    }

    #[test]
    fn a_program_learns_the_reason_also_when_nobody_was_reached() {
        let unreachable = Error::Unreachable {
            queue_manager: "q".into(),
            within_s: 1.0,
            is_lasting: false,
            text: "refused".into(),
        };
        let report = Failure::Client(unreachable).as_json();
        assert_eq!((&report["reason"], &report["name"]), (&json!(2059), &json!("Q_MGR_NOT_AVAILABLE")));
        assert_eq!(report["exit_code"], 4);
        let report = Failure::Control { code: 72, text: "AMQ8118E: no such queue manager".into() }.as_json();
        assert_eq!((&report["exit_code"], &report["ok"]), (&json!(72), &json!(false)));
    }

    #[test]
    fn sizes_and_times_are_for_reading() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(3700), "1 h 1 min");
    }
}
