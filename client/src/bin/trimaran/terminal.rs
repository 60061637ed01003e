//! What a person types into `runmqsc`: with a history, and the words that can come next.

use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use tokio::sync::mpsc;
use trimaran_client::proto::mqsc;

use crate::output::Failure;

struct Words;

impl Helper for Words {}
impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(mqsc::complete(&line[..at]))
    }
}

/// Lines as they are typed, until the end of the input or an interrupt.
pub fn lines() -> mpsc::Receiver<Result<String, Failure>> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        let Ok(mut editor) = Editor::<Words, FileHistory>::new() else { return };
        editor.set_helper(Some(Words));
        let history = history();
        if let Some(file) = &history {
            // There is none the first time.
            let _ = editor.load_history(file);
        }
        loop {
            match editor.readline("") {
                Ok(line) => {
                    let _ = editor.add_history_entry(line.as_str());
                    if let Some(file) = &history {
                        // Not being able to write it down is no reason to stop.
                        let _ = editor.save_history(file);
                    }
                    if sender.blocking_send(Ok(line)).is_err() {
                        return;
                    }
                }
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => return,
                Err(error) => {
                    let _ = sender.blocking_send(Err(Failure::local("the terminal", error)));
                    return;
                }
            }
        }
    });
    receiver
}

fn history() -> Option<PathBuf> {
    std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".trimaran_mqsc_history"))
}
