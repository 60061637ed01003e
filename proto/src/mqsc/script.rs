//! A conversation as runmqsc has it: what is typed is shown with its number, every command has its answer, and counts end it.

use super::answer::Answer;
use super::command::{Command, Reply};
use super::lines::{Joiner, Line};
use super::parser::parse;
use super::syntax::{Fault, Help};

/// What is to be done after a line.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing; the next line.
    Next,
    /// Ask what [`Command::requests`] says, then [`Script::answer`].
    Ask(Command),
    /// There was END.
    End,
}

/// A conversation, and how it went.
#[derive(Debug, Default)]
pub struct Script {
    joiner: Joiner,
    read: u64,
    wrong: u64,
    failed: u64,
    /// Whether what is typed is not shown.
    quiet: bool,
    /// Whether commands are only checked.
    checks_only: bool,
}

impl Script {
    /// `quiet` as runmqsc's `-e`, `checks_only` as its `-v`.
    pub fn new(quiet: bool, checks_only: bool) -> Script {
        Script { quiet, checks_only, ..Script::default() }
    }

    /// What stands above everything.
    pub fn greeting(product: &str, queue_manager: &str) -> Vec<String> {
        vec![
            product.to_string(),
            format!("Starting MQSC for queue manager {queue_manager}."),
            String::new(),
            String::new(),
        ]
    }

    /// Whether the next line belongs to the command of the last one.
    pub fn goes_on(&self) -> bool {
        self.joiner.is_open()
    }

    /// One line; what is to be shown of it goes to `shown`.
    pub fn line(&mut self, line: &str, shown: &mut Vec<String>) -> Step {
        let line = line.trim_end_matches(['\r', '\n']);
        match self.joiner.push(line) {
            Line::Empty | Line::GoesOn => {
                self.echo(None, line, shown);
                Step::Next
            }
            Line::Begins => {
                self.echo(Some(self.read + 1), line, shown);
                Step::Next
            }
            Line::TooLong { joined } => {
                self.echo((!joined).then_some(self.read + 1), line, shown);
                let why = "A line has at most 2048 characters, and a command 32768.".to_string();
                self.not_understood(line, &Fault { until: 0, why, help: Help::Verbs }, shown);
                Step::Next
            }
            Line::Complete { text, joined } => {
                self.echo((!joined).then_some(self.read + 1), line, shown);
                self.command(&text, shown)
            }
        }
    }

    /// The input has ended. A command whose last line says that it goes on is not whole, and is not done: half of it may
    /// say something else than all of it.
    pub fn end(&mut self, shown: &mut Vec<String>) -> Step {
        if let Some(text) = self.joiner.rest() {
            let why = "The input ends here, and the line before says with + or - that the command goes on."
                .to_string();
            self.not_understood(&text, &Fault { until: text.len(), why, help: Help::Nothing }, shown);
        }
        Step::End
    }

    fn echo(&self, number: Option<u64>, line: &str, shown: &mut Vec<String>) {
        if self.quiet {
            return;
        }
        match number {
            Some(number) => shown.push(format!("{number:6} : {line}")),
            None => shown.push(format!("       : {line}").trim_end().to_string()),
        }
    }

    fn command(&mut self, text: &str, shown: &mut Vec<String>) -> Step {
        match parse(text) {
            Ok(Command::End) => Step::End,
            Ok(command) if self.checks_only => {
                self.read += 1;
                if let Command::Help(lines) = command {
                    shown.extend(lines);
                }
                Step::Next
            }
            Ok(command) => {
                self.read += 1;
                Step::Ask(command)
            }
            Err(fault) => {
                self.not_understood(text, &fault, shown);
                Step::Next
            }
        }
    }

    fn not_understood(&mut self, text: &str, fault: &Fault, shown: &mut Vec<String>) {
        self.read += 1;
        self.wrong += 1;
        shown.extend(not_understood(text, fault));
    }

    /// What came of a command's last request; None when it has none.
    pub fn answer(
        &mut self,
        command: &Command,
        reply: Option<&Reply>,
        queue_manager: &str,
        shown: &mut Vec<String>,
    ) {
        let Answer { lines, failed, .. } = Answer::of(command, reply, queue_manager);
        self.failed += u64::from(failed);
        shown.extend(lines);
    }

    /// What stands below everything.
    pub fn trailer(&self) -> Vec<String> {
        let read = match self.read {
            0 => "No MQSC commands read.".to_string(),
            1 => "One MQSC command read.".to_string(),
            count => format!("{count} MQSC commands read."),
        };
        let wrong = match self.wrong {
            0 => "No commands have a syntax error.".to_string(),
            1 => "One command has a syntax error.".to_string(),
            count => format!("{count} commands have a syntax error."),
        };
        if self.checks_only {
            return vec![read, wrong];
        }
        let failed = match self.failed {
            0 => "All valid MQSC commands were processed.".to_string(),
            1 => "One valid MQSC command could not be processed.".to_string(),
            count => format!("{count} valid MQSC commands could not be processed."),
        };
        vec![read, wrong, failed]
    }

    /// runmqsc's: 0 when all went well, else 10.
    pub fn exit_code(&self) -> i32 {
        if self.wrong + self.failed == 0 { 0 } else { 10 }
    }
}

/// What is said of a text that is no command.
pub fn not_understood(text: &str, fault: &Fault) -> Vec<String> {
    let mut shown =
        vec!["AMQ8405I: Syntax error detected at or near end of command segment below:-".to_string()];
    shown.push(text.get(..fault.until).unwrap_or(text).trim_start().to_string());
    if !fault.why.is_empty() {
        shown.push(format!("   {}", fault.why));
    }
    shown.push(String::new());
    shown.extend(fault.help.lines());
    shown
}
