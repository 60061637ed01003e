//! A command of MQSC over REST, as text (`runCommand`) or taken apart (`runCommandJSON`), and its answer in the same form. Without
//! IO: what is to be asked is given out, and what came back is told.
//!
//! A command that fails is answered with status 200 and its codes, as IBM's API does; a problem is what kept the command from being
//! tried, or nobody knowing what became of it.

use std::collections::VecDeque;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use trimaran_proto::attribute::{Attribute, Form, Kind};
use trimaran_proto::mqsc::{
    Answer as Said, Command, Display, Reply, Request, Wanted, found, not_understood, parse, rows,
};

use super::answer::Answer;
use super::problem::Problem;
use super::shown::Shown;
use super::steps::{SHOWN_BYTES_MAX, Steps, too_much};
use crate::types::Reason;

/// What the body says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", deny_unknown_fields)]
enum Body {
    #[serde(rename = "runCommand")]
    Text { parameters: TextParameters },
    #[serde(rename = "runCommandJSON", rename_all = "camelCase")]
    Apart {
        command: String,
        qualifier: String,
        #[serde(default)]
        name: String,
        #[serde(default)]
        parameters: Map<String, Value>,
        #[serde(default)]
        response_parameters: Vec<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextParameters {
    command: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Text,
    Json,
}

/// A command under way.
#[derive(Debug)]
pub struct Action {
    style: Style,
    manager: String,
    /// What was not understood is answered already.
    command: Option<Command>,
    requests: VecDeque<Request>,
    /// What is said so far: lines, or one object of JSON each.
    shown: Shown,
    /// What a command that was taken apart says in words.
    lines: Vec<String>,
    /// What a display says that found nothing, until it finds something, and whether that is a failure.
    nothing: Option<(Vec<String>, bool)>,
    /// MQ's reason once it failed.
    failed: Option<u32>,
}

impl Action {
    /// # Errors
    /// 400 for a body that is no command.
    pub fn read(body: &[u8], manager: &str) -> Result<Action, Problem> {
        let body: Body = serde_json::from_slice(body).map_err(|error| {
            let detail = format!(
                "The body is no command: {error}. Send {{\"type\":\"runCommand\",\"parameters\":{{\"command\":\"DISPLAY QMGR\"}}}}."
            );
            Problem::bad(Reason::OptionsError, detail)
        })?;
        let (style, text) = match body {
            Body::Text { parameters } => (Style::Text, parameters.command),
            Body::Apart { command, qualifier, name, parameters, response_parameters } => {
                (Style::Json, put_together(&command, &qualifier, &name, &parameters, &response_parameters)?)
            }
        };
        let mut action = Action {
            style,
            manager: manager.to_owned(),
            command: None,
            requests: VecDeque::new(),
            shown: Shown::default(),
            lines: Vec::new(),
            nothing: None,
            failed: None,
        };
        match parse(&text) {
            Ok(Command::End) => {
                let why = "END ends a conversation, and here is none.".to_owned();
                action.command = Some(Command::NotHere(why));
            }
            Ok(command) => action.command = Some(command),
            Err(fault) => {
                action.add_lines(not_understood(&text, &fault));
                action.failed = Some(Reason::CommandFailed.number());
            }
        }
        if let Some(command) = &action.command {
            action.requests = command.requests().into();
            if action.requests.is_empty() {
                action.say(None);
            }
        }
        Ok(action)
    }

    fn say(&mut self, reply: Option<&Reply>) {
        let command = self.command.as_ref().expect("a command is answered");
        if let (Style::Json, Command::Display(display), Some(reply)) = (self.style, command, reply) {
            let items = items(display, reply, &self.manager);
            if !items.is_empty() {
                items.iter().for_each(|item| self.shown.add(&response(0, 0, "parameters", item)));
                return;
            }
        }
        let Said { lines, failed, found_nothing } = Said::of(command, reply, &self.manager);
        if found_nothing {
            // Another page may have something.
            self.nothing = Some((lines, failed));
            return;
        }
        if failed {
            self.failed = Some(match (command, reply) {
                (_, Some(Reply::Refused { reason, .. })) => *reason,
                (Command::NotHere(_), _) => Reason::FunctionNotSupported.number(),
                _ => Reason::CommandFailed.number(),
            });
        }
        self.add_lines(lines);
    }

    fn add_lines(&mut self, lines: Vec<String>) {
        match self.style {
            Style::Text => lines.iter().for_each(|line| self.shown.add(line)),
            Style::Json => self.lines.extend(lines),
        }
    }

    /// All of it.
    pub fn answer(mut self) -> Answer {
        let nothing = self.nothing.take().filter(|_| self.lines.is_empty() && self.shown.is_empty());
        if let Some((lines, failed)) = nothing {
            self.failed = failed.then_some(Reason::UnknownObjectName.number());
            self.add_lines(lines);
        }
        let (code, reason) = self.failed.map_or((0, 0), |reason| (2, reason));
        let overall = if self.failed.is_some() { Reason::CommandFailed.number() } else { 0 };
        let overall = format!("\"overallCompletionCode\":{code},\"overallReasonCode\":{overall}}}");
        match self.style {
            Style::Text => self.shown.answer(
                &format!(
                    "{{\"commandResponse\":[{{\"completionCode\":{code},\"reasonCode\":{reason},\"text\":["
                ),
                &format!("]}}],{overall}"),
            ),
            Style::Json => {
                if self.shown.is_empty() || self.failed.is_some() {
                    self.shown.add(&response(code, reason, "message", &self.lines.into()));
                }
                self.shown.answer("{\"commandResponse\":[", &format!("],{overall}"))
            }
        }
    }
}

/// What is told of one object, or of what kept the command from being done.
fn response(code: u32, reason: u32, name: &str, value: &Value) -> Value {
    json!({ "completionCode": code, "reasonCode": reason, name: value })
}

impl Steps for Action {
    fn changes(&self) -> bool {
        !matches!(&self.command, None | Some(Command::Display(_) | Command::Ping | Command::Refresh))
    }

    fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    fn on_reply(&mut self, reply: &Reply, more: bool) -> Result<bool, Problem> {
        let command = self.command.as_ref().expect("what was not understood asks nothing");
        let is_over = matches!(reply, Reply::Refused { .. }) || command.ends_with(reply, &self.manager);
        if is_over {
            self.requests.clear();
        }
        if !self.requests.is_empty() {
            return Ok(false);
        }
        if more && matches!(reply, Reply::Done) {
            return Ok(true);
        }
        self.say(Some(reply));
        if self.shown.bytes() <= SHOWN_BYTES_MAX {
            return Ok(more && !is_over);
        }
        Err(too_much())
    }

    fn shown_bytes(&self) -> u64 {
        self.shown.bytes() as u64
    }
}

// ---- what is shown, taken apart --------------------------------------------------------------------------------

fn items(display: &Display, reply: &Reply, manager: &str) -> Vec<Value> {
    match reply {
        Reply::Objects(objects)
            if matches!(
                display.subject,
                trimaran_proto::mqsc::Subject::Object(_) | trimaran_proto::mqsc::Subject::Queues
            ) =>
        {
            let shown = found(display, objects, manager).map(|facts| {
                let mut item = Map::new();
                item.insert(facts.label.to_ascii_lowercase(), facts.name.clone().into());
                for fact in &facts.values {
                    if display.wants(fact.name) || fact.name == "TYPE" {
                        let value = value(facts.kind.attribute_named(fact.name), &fact.value);
                        item.insert(fact.name.to_ascii_lowercase(), value);
                    }
                }
                Value::Object(item)
            });
            shown.collect()
        }
        reply => {
            let is_wanted = |place: usize, name: &str| {
                place == 0 || display.wanted == Wanted::Usual || display.wants(name)
            };
            let item = |row: Vec<(&'static str, String)>| {
                let fields = row.into_iter().enumerate().filter(|(place, (name, _))| is_wanted(*place, name));
                let fields = fields.map(|(_, (name, value))| (name.to_ascii_lowercase(), value.into()));
                Value::Object(fields.collect())
            };
            rows(display, reply, manager).into_iter().map(item).collect()
        }
    }
}

/// Numbers are numbers, and lists are lists.
fn value(attribute: Option<&'static Attribute>, text: &str) -> Value {
    match attribute.map(|attribute| attribute.form) {
        Some(Form::Number { .. }) => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        Some(Form::List { .. }) => {
            text.split(',').filter(|member| !member.is_empty()).map(Value::from).collect()
        }
        _ => text.into(),
    }
}

// ---- a command that was taken apart ----------------------------------------------------------------------------

/// Keywords of commands that a parameter says with "yes" or "no", beside flags of objects.
const KEYWORDS: [(&str, &str); 2] = [("REPLACE", "NOREPLACE"), ("PURGE", "NOPURGE")];

/// The command as a line of MQSC.
///
/// # Errors
/// 400 for what cannot stand in one.
fn put_together(
    command: &str,
    qualifier: &str,
    name: &str,
    parameters: &Map<String, Value>,
    wanted: &[String],
) -> Result<String, Problem> {
    let mut line = format!("{} {}", word(command)?, word(qualifier)?);
    if !name.is_empty() {
        line.push_str(&format!("({})", quoted(name)));
    }
    for (name, value) in parameters {
        let name = word(name)?;
        line.push(' ');
        match (keyword(&name), value.as_str().map(str::to_ascii_lowercase).as_deref()) {
            (Some((on, _)), Some("yes")) => line.push_str(on),
            (Some((_, off)), Some("no")) => line.push_str(off),
            // What a keyword cannot be is said as of any line.
            _ => line.push_str(&format!("{name}({})", said(&name, value)?)),
        }
    }
    for name in wanted {
        line.push(' ');
        line.push_str(&word(name)?);
    }
    Ok(line)
}

fn no_command(detail: String) -> Problem {
    Problem::bad(Reason::OptionsError, detail)
}

/// A verb, noun or name of an attribute.
fn word(said: &str) -> Result<String, Problem> {
    let is_word = !said.is_empty() && said.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match is_word {
        true => Ok(said.to_ascii_uppercase()),
        false => Err(no_command(format!("{said:?} is no word of MQSC."))),
    }
}

fn keyword(name: &str) -> Option<(&'static str, &'static str)> {
    let flag = |attribute: &Attribute| match attribute.form {
        Form::Flag { off } if attribute.name == name => Some((attribute.name, off)),
        _ => None,
    };
    let of_objects = || Kind::ALL.iter().flat_map(|facts| facts.kind.attributes()).find_map(flag);
    KEYWORDS.into_iter().find(|(on, _)| *on == name).or_else(of_objects)
}

/// What stands between the brackets.
fn said(name: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::Number(number) => Ok(quoted(&number.to_string())),
        Value::String(text) => Ok(quoted(&folded(name, text))),
        Value::Array(members) if !members.is_empty() => {
            let members = members.iter().map(|member| match member {
                Value::Array(_) => Err(no_command(format!("{name} is no list of lists."))),
                member => said(name, member),
            });
            Ok(members.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        other => Err(no_command(format!("{name} is a text, a number or a list of these, and not {other}."))),
    }
}

/// Words are folded, as MQSC does with what is not quoted; texts and names are not.
fn folded(name: &str, text: &str) -> String {
    let all = || Kind::ALL.iter().filter_map(|facts| facts.kind.attribute_named(name));
    let is_word = all().any(|attribute| match attribute.form {
        Form::Word(_) => true,
        Form::Number { words, .. } => !words.is_empty(),
        Form::Flag { .. } => true,
        _ => false,
    });
    let is_text = all().any(|attribute| matches!(attribute.form, Form::Text { .. } | Form::Name { .. }));
    // ACTION of a SET is an attribute of nothing.
    if (is_word && !is_text) || all().next().is_none() { text.to_ascii_uppercase() } else { text.to_owned() }
}

/// Two apostrophes in a row are one.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use trimaran_proto::admin::v1::{Attribute as SaidOf, HandleDetails, ObjectDetails, SessionDetails};

    use super::*;

    fn action(body: Value) -> Action {
        Action::read(body.to_string().as_bytes(), "QM").unwrap()
    }

    fn text(command: &str) -> Action {
        action(json!({ "type": "runCommand", "parameters": { "command": command } }))
    }

    fn told(action: Action) -> Value {
        serde_json::from_slice(&action.answer().body().to_bytes()).unwrap()
    }

    fn queue(name: &str) -> ObjectDetails {
        let attributes = vec![
            SaidOf { name: "MAXDEPTH".into(), value: "7".into() },
            SaidOf { name: "DESCR".into(), value: "don't".into() },
        ];
        ObjectDetails { kind: "QLOCAL".into(), name: name.into(), attributes, ..ObjectDetails::default() }
    }

    fn line(body: Value) -> String {
        let Body::Apart { command, qualifier, name, parameters, response_parameters } =
            serde_json::from_value(body).unwrap()
        else {
            panic!()
        };
        put_together(&command, &qualifier, &name, &parameters, &response_parameters)
            .unwrap_or_else(|problem| format!("{problem:?}"))
    }

    #[test]
    fn a_command_as_text_is_answered_in_the_lines_of_runmqsc() {
        let mut define = text("define qlocal(q) maxdepth(7)");
        assert!(define.changes() && matches!(define.next_request(), Some(Request::Define(_))));
        assert_eq!(define.on_reply(&Reply::Done, false), Ok(false));
        assert_eq!(define.next_request(), None);
        let said = told(define);
        assert_eq!(said["commandResponse"][0]["text"], json!(["AMQ8006I: IBM MQ queue created."]));
        assert_eq!((&said["overallCompletionCode"], &said["overallReasonCode"]), (&0.into(), &0.into()));

        let mut refused = text("delete qlocal(q)");
        refused.next_request();
        refused.on_reply(&Reply::Refused { reason: 2085, text: String::new() }, false).unwrap();
        let said = told(refused);
        assert_eq!(said["commandResponse"][0]["reasonCode"], 2085);
        assert_eq!(said["commandResponse"][0]["text"], json!(["AMQ8147E: IBM MQ object Q not found."]));
        assert_eq!((&said["overallCompletionCode"], &said["overallReasonCode"]), (&2.into(), &3008.into()));

        let said = told(text("define nothing"));
        assert_eq!(said["overallReasonCode"], 3008);
        assert!(said["commandResponse"][0]["text"][0].as_str().unwrap().starts_with("AMQ8405I"));
        assert_eq!(told(text("end"))["commandResponse"][0]["reasonCode"], 2298);
    }

    #[test]
    fn pages_are_one_answer_and_one_that_has_nothing_says_so_only_alone() {
        let mut display = text("display queue(*) maxdepth");
        assert!(!display.changes());
        display.next_request();
        assert_eq!(display.on_reply(&Reply::Objects(vec![queue("A")]), true), Ok(true));
        assert_eq!(display.on_reply(&Reply::Objects(Vec::new()), true), Ok(true));
        assert_eq!(display.on_reply(&Reply::Objects(vec![queue("B")]), false), Ok(false));
        let said = told(display);
        let lines: Vec<&str> = said["commandResponse"][0]["text"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line.as_str().unwrap())
            .collect();
        assert_eq!(lines.iter().filter(|line| line.starts_with("AMQ8409I")).count(), 2, "{lines:?}");
        assert!(!lines.iter().any(|line| line.contains("not found")), "{lines:?}");

        let mut nothing = text("display queue(*) where(maxdepth gt 9)");
        nothing.next_request();
        nothing.on_reply(&Reply::Objects(vec![queue("A")]), false).unwrap();
        assert_eq!(told(nothing)["commandResponse"][0]["reasonCode"], 2085);
    }

    #[test]
    fn that_nobody_has_a_queue_open_is_said_when_no_page_has_a_handle() {
        let handle = || HandleDetails { queue: "Q".into(), ..HandleDetails::default() };
        let page = |handles| Reply::Sessions(vec![SessionDetails { handles, ..SessionDetails::default() }]);
        for (last, says_nobody) in [(Vec::new(), true), (vec![handle()], false)] {
            let mut display = text("display qstatus(*) type(handle)");
            display.next_request();
            assert_eq!(display.on_reply(&Reply::Objects(vec![queue("Q")]), false), Ok(false));
            assert!(matches!(display.next_request(), Some(Request::Sessions { .. })));
            assert_eq!(display.on_reply(&page(Vec::new()), true), Ok(true));
            assert_eq!(display.on_reply(&page(last), false), Ok(false));
            let said = told(display);
            assert_eq!(said["overallCompletionCode"], 0);
            let lines = said["commandResponse"][0]["text"].to_string();
            assert_eq!(lines.matches("Nobody has a queue open").count(), usize::from(says_nobody), "{lines}");
            assert_eq!(lines.contains("QUEUE(Q)"), !says_nobody, "{lines}");
        }
    }

    #[test]
    fn a_command_that_was_taken_apart_is_a_line_of_mqsc() {
        for (body, expected) in [
            (
                json!({ "type": "runCommandJSON", "command": "define", "qualifier": "qlocal", "name": "q.1",
                    "parameters": { "replace": "yes", "maxdepth": 7, "get": "disabled", "descr": "don't", "trigger": "no" } }),
                "DEFINE QLOCAL('q.1') DESCR('don''t') GET('DISABLED') MAXDEPTH('7') REPLACE NOTRIGGER",
            ),
            (
                json!({ "type": "runCommandJSON", "command": "display", "qualifier": "qmgr", "responseParameters": ["deadq"] }),
                "DISPLAY QMGR DEADQ",
            ),
        ] {
            let line = line(body);
            assert_eq!(line, expected);
            parse(&line).unwrap_or_else(|fault| panic!("{line}: {fault:?}"));
        }
        let sneaky = json!({ "type": "runCommandJSON", "command": "display qmgr;", "qualifier": "qmgr" });
        let problem = Action::read(sneaky.to_string().as_bytes(), "QM").unwrap_err();
        assert_eq!((problem.status.as_u16(), problem.reason), (400, Reason::OptionsError));
    }

    #[test]
    fn what_a_display_finds_is_taken_apart_with_numbers_as_numbers() {
        let mut display =
            action(json!({ "type": "runCommandJSON", "command": "display", "qualifier": "queue",
            "name": "A*", "responseParameters": ["maxdepth", "descr"] }));
        display.next_request();
        display.on_reply(&Reply::Objects(vec![queue("A"), queue("AB")]), false).unwrap();
        let said = told(display);
        assert_eq!(said["commandResponse"].as_array().unwrap().len(), 2);
        let first = &said["commandResponse"][0]["parameters"];
        assert_eq!(*first, json!({ "queue": "A", "type": "QLOCAL", "maxdepth": 7, "descr": "don't" }));

        let mut nothing = action(
            json!({ "type": "runCommandJSON", "command": "display", "qualifier": "qlocal", "name": "Z" }),
        );
        nothing.next_request();
        nothing.on_reply(&Reply::Objects(Vec::new()), false).unwrap();
        let said = told(nothing);
        assert_eq!(said["commandResponse"][0]["message"], json!(["AMQ8147E: IBM MQ object Z not found."]));
    }

    #[test]
    fn a_body_that_is_no_command_is_refused_with_what_one_looks_like() {
        for body in ["", "[]", "{\"type\":\"run\"}", "{\"type\":\"runCommand\"}"] {
            let problem = Action::read(body.as_bytes(), "QM").unwrap_err();
            assert!(problem.status == 400 && problem.detail.unwrap().contains("runCommand"), "{body}");
        }
    }
}
