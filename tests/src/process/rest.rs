//! A program that speaks HTTP and knows nothing of MQ, and Schemathesis, which holds a service against what it says of itself.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use super::python::Python;
use super::tools::cache;
use crate::sources::root;

/// Pinned: a newer one finds other things to say.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const SCHEMATHESIS_DIRECTORY: &str = "samples/schemathesis-4.32.5";
const HOOKS: &str = "tests/python/rest_hooks.py";

/// Knows some addresses, goes where it is sent, and asks the next one when nothing was done.
pub struct Client {
    addresses: Vec<String>,
    at: usize,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(said, _)| said.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub body: &'a str,
}

impl<'a> Request<'a> {
    pub fn new(method: &'a str, path: &'a str) -> Request<'a> {
        Request { method, path, headers: &[], body: "" }
    }
}

/// One request to one address.
///
/// # Errors
/// Nobody is there, or there is no whole answer: then nobody knows whether it was done.
pub fn ask(address: &str, request: Request, patience: Duration) -> io::Result<Answer> {
    let address = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let Request { method, path, headers, body } = request;
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    text.push_str(&format!("ibm-mq-rest-csrf-token: test\r\nContent-Length: {}\r\n", body.len()));
    headers.iter().for_each(|(name, value)| text.push_str(&format!("{name}: {value}\r\n")));
    stream.write_all(format!("{text}\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8(answer).map_err(io::Error::other)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let answer = Answer {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: body.to_owned(),
    };
    match answer.header("content-length").and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length != answer.body.len() => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(answer),
    }
}

impl Client {
    pub fn of(addresses: impl IntoIterator<Item = String>) -> Client {
        Client { addresses: addresses.into_iter().collect(), at: 0 }
    }

    /// Until somebody has done it or refused it, or nobody knows whether it was done.
    ///
    /// # Errors
    /// Nobody knows: the answer was lost, or says so.
    pub fn try_once(&mut self, request: Request, within: Duration) -> Result<Answer, String> {
        let until = Instant::now() + within;
        let mut address = self.addresses[self.at].clone();
        loop {
            assert!(Instant::now() < until, "nobody answers {request:?} within {within:?}");
            match ask(&address, request, Duration::from_secs(15)) {
                Ok(answer) if answer.status == 307 => {
                    let there = answer.header("location").expect("who is sent on is told where");
                    let there = there.strip_prefix("http://").and_then(|there| there.split('/').next());
                    address = there.expect("it is an address").to_owned();
                    continue;
                }
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) if answer.status == 504 => return Err(format!("{answer:?}")),
                Ok(answer) => return Ok(answer),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => {
                    self.at = (self.at + 1) % self.addresses.len();
                    return Err(error.to_string());
                }
            }
            self.at = (self.at + 1) % self.addresses.len();
            address.clone_from(&self.addresses[self.at]);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What may be done twice: until it is known to be done or refused.
    pub fn repeat(&mut self, request: Request, within: Duration) -> Answer {
        let until = Instant::now() + within;
        loop {
            match self.try_once(request, until.saturating_duration_since(Instant::now())) {
                Ok(answer) => return answer,
                Err(text) => assert!(Instant::now() < until, "{request:?}: {text}"),
            }
        }
    }
}

/// Runs Schemathesis with this configuration file, which may name `rest_hooks`; its output is for people.
///
/// # Errors
/// What this machine lacks.
pub fn schemathesis(config: &Path, arguments: &[&str]) -> Result<Output, String> {
    let directory = cache()?.join(SCHEMATHESIS_DIRECTORY);
    let python = Python::environment_in(&directory, &[SCHEMATHESIS], "schemathesis")?;
    let program = python.interpreter().with_file_name("schemathesis");
    let directory = config.parent().expect("a file is in a directory");
    std::fs::copy(root().join(HOOKS), directory.join("rest_hooks.py"))
        .map_err(|error| format!("{HOOKS}: {error}"))?;
    Command::new(&program)
        .arg("--config-file")
        .arg(config)
        .arg("run")
        .args(arguments)
        .current_dir(directory)
        .output()
        .map_err(|error| format!("{}: {error}", program.display()))
}
