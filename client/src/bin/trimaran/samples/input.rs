//! Standard input of the samples: lines of bytes, of which the first is the password when MQSAMP_USER_ID asks for one.

use std::io::BufRead;

use bytes::Bytes;
use tokio::sync::mpsc;
use trimaran_client::channel::Login;
use trimaran_client::proto::plain;

use crate::output::{self, Failure};
use crate::say;
use crate::talk::print_prompt;

/// MQ's variable for the user that the samples connect with.
const USER: &str = "MQSAMP_USER_ID";

/// Lines by a thread of their own: the connection lives on while a person thinks.
pub struct Input {
    lines: mpsc::Receiver<std::io::Result<Vec<u8>>>,
}

impl Input {
    pub fn open() -> Input {
        let (sender, lines) = mpsc::channel(256);
        std::thread::spawn(move || {
            let mut stdin = std::io::stdin().lock();
            loop {
                let mut line = Vec::new();
                let read = match stdin.read_until(b'\n', &mut line) {
                    Ok(0) => return,
                    Ok(_) => Ok(line),
                    Err(error) => Err(error),
                };
                if sender.blocking_send(read).is_err() {
                    return;
                }
            }
        });
        Input { lines }
    }

    /// The next line without its newline; None at the end, and for an empty one, which ends the samples.
    pub async fn line(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(line) = self.lines.recv().await else { return Ok(None) };
        let line =
            line.map_err(|error| Failure::Usage(format!("standard input: {}", plain::error(error))))?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        Ok((!line.is_empty()).then(|| Bytes::copy_from_slice(line)))
    }

    /// [`Input::login`] of a program that reads nothing else.
    pub async fn login_alone() -> Result<Option<Login>, Failure> {
        match user() {
            None => Ok(None),
            Some(_) => Input::open().login().await,
        }
    }

    /// Asks for the password where MQSAMP_USER_ID names a user. Nobody sees it typed.
    pub async fn login(&mut self) -> Result<Option<Login>, Failure> {
        let Some(user) = user() else { return Ok(None) };
        print_prompt("Enter password: ");
        let password = if output::stdin_is_terminal() {
            let hidden = Hidden::begin();
            let password = tokio::select! {
                password = self.line() => password,
                // The terminal shows again what is typed before this program ends.
                _ = tokio::signal::ctrl_c() => Err(Failure::Control { code: 130, text: String::new() }),
            };
            drop(hidden);
            say!("");
            password?
        } else {
            self.line().await?
        };
        Ok(Some(Login { user, password: password.unwrap_or_default() }))
    }
}

fn user() -> Option<String> {
    std::env::var(USER).ok().filter(|user| !user.is_empty())
}

/// A terminal that does not show what is typed, until it is dropped.
struct Hidden(libc::termios);

impl Hidden {
    fn begin() -> Option<Hidden> {
        // SAFETY: all bits zero are a value of this plain structure, which the call fills.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the structure lives until the call returns.
        if unsafe { libc::tcgetattr(libc::STDIN_FILENO, &mut before) } != 0 {
            return None;
        }
        let mut hidden = before;
        hidden.c_lflag &= !libc::ECHO;
        // SAFETY: as above; it reads a structure that the terminal itself has filled.
        let set = unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &hidden) };
        (set == 0).then_some(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // SAFETY: as in `begin`. If it fails there is no terminal any more.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &self.0) };
    }
}
