//! `unit`: puts and gets on several queues that become true together, as lines of standard input.

use std::time::Duration;

use serde_json::{Value, json};
use trimaran_client::{Connection, GetOptions, Message, UnitOfWork, hex};

use crate::{
    arguments::{Global, UnitArgs},
    message_json::{JsonMessage, message_json},
    output::{self, Failure, Outcome, patiently},
    put::warn_of,
    say,
    talk::{plural, stdin_lines},
};

/// One line of the script.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Put { queue: String, text: String },
    PutJson { queue: String, object: String },
    Get { queue: String },
    Move { source: String, target: String },
    Commit,
    Backout,
}

impl Step {
    /// None for an empty line or a comment.
    fn parse(line: &str) -> Result<Option<Step>, String> {
        let line = line.trim_start();
        if line.trim_end().is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        // What is put is the rest of the line as it is, behind one space.
        let (queue, body) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
        let queue = || match queue.trim().is_empty() {
            true => Err(format!("{verb} wants the name of a queue")),
            false => Ok(queue.trim().to_string()),
        };
        let nothing_more = |step, more: &str| match more.trim().is_empty() {
            true => Ok(Some(step)),
            false => Err(format!("there is nothing to say behind it, and not {:?}", more.trim())),
        };
        match verb {
            "put" => Ok(Some(Step::Put { queue: queue()?, text: body.to_string() })),
            "put-json" => Ok(Some(Step::PutJson { queue: queue()?, object: body.to_string() })),
            "get" => nothing_more(Step::Get { queue: queue()? }, body),
            "move" => match body.split_whitespace().collect::<Vec<_>>()[..] {
                [target] => Ok(Some(Step::Move { source: queue()?, target: target.to_string() })),
                _ => Err("move wants two queues: from, to".to_string()),
            },
            "commit" => nothing_more(Step::Commit, rest),
            "backout" => nothing_more(Step::Backout, rest),
            // Whatever was taken for a script may begin with a word without end.
            _ => Err(format!(
                "{:?} is none of put, put-json, get, move, commit, backout",
                output::shortened(verb, 60)
            )),
        }
    }
}

pub async fn run(global: &Global, args: UnitArgs) -> Outcome {
    let connection = global.connect().await?;
    let mut desk = Desk { global, connection, wait: args.wait, open: None };
    let result = desk.follow_script().await;
    // An error that is said before the unit is given up would leave its messages reserved for as long as this lives.
    let backed_out = desk.back_out().await;
    result.and(backed_out)
}

/// A unit of work in flight, and what it holds.
struct Open {
    unit: UnitOfWork,
    puts: u64,
    gets: u64,
}

struct Desk<'a> {
    global: &'a Global,
    connection: Connection,
    wait: Duration,
    open: Option<Open>,
}

impl Desk<'_> {
    async fn follow_script(&mut self) -> Outcome {
        let mut lines = stdin_lines();
        let mut number = 0_u64;
        while let Some(line) = lines.recv().await {
            number += 1;
            let at_line = |text: String| Failure::Usage(format!("line {number} of standard input: {text}"));
            if let Some(step) = Step::parse(&line?).map_err(at_line)? {
                self.carry_out(step).await.map_err(|failure| match failure {
                    Failure::Usage(text) => at_line(text),
                    other => other,
                })?;
            }
        }
        match &self.open {
            None => Ok(()),
            Some(_) => Err(Failure::Check(
                "the input ended without commit or backout: the unit of work is backed out".to_string(),
            )),
        }
    }

    async fn carry_out(&mut self, step: Step) -> Outcome {
        match step {
            Step::Put { queue, text } => {
                let message = Message::text(text).persistence_as_queue();
                self.put(&queue, message).await
            }
            Step::PutJson { queue, object } => {
                let message = JsonMessage::read(&object);
                self.put(&queue, message.map_err(|text| Failure::Usage(format!("put-json: {text}")))?).await
            }
            Step::Get { queue } => {
                let message = self.get(&queue).await?;
                match self.global.json {
                    true => {
                        let told = json!({ "get": queue, "message": message_json(&message) });
                        output::write(output::json_line(&told).as_bytes());
                    }
                    false => {
                        output::write_body(&message.body);
                        if !message.body.ends_with(b"\n") {
                            output::write(b"\n");
                        }
                    }
                }
                Ok(())
            }
            Step::Move { source, target } => {
                let message = self.get(&source).await?;
                self.put(&target, message).await
            }
            Step::Commit => self.commit().await,
            Step::Backout => self.back_out().await,
        }
    }

    async fn open(&mut self) -> Result<&mut Open, Failure> {
        if self.open.is_none() {
            let unit = patiently("looking for the node that serves", self.connection.unit_of_work()).await?;
            self.open = Some(Open { unit, puts: 0, gets: 0 });
        }
        Ok(self.open.as_mut().expect("just opened"))
    }

    async fn put(&mut self, queue: &str, message: Message) -> Outcome {
        let json = self.global.json;
        let open = self.open().await?;
        let placed = patiently("putting", open.unit.put(queue, message)).await?;
        open.puts += 1;
        if json {
            let mut value = json!({ "put": queue, "message_id": hex(&placed.message_id) });
            if placed.warning != 0 {
                value["warning"] = json!(placed.warning);
            }
            say!("{value}");
        } else {
            warn_of(placed.warning, 1);
        }
        Ok(())
    }

    /// No message is a failure here: what comes after it in the script was meant to have one.
    async fn get(&mut self, queue: &str) -> Result<Message, Failure> {
        let options = GetOptions::new().wait(self.wait);
        let open = self.open().await?;
        let got = patiently("waiting for a message", open.unit.get(queue, options)).await?;
        open.gets += u64::from(got.is_some());
        got.ok_or_else(|| {
            Failure::NoMessage(format!("no message on {queue}, and the unit of work is backed out"))
        })
    }

    async fn commit(&mut self) -> Outcome {
        let Some(Open { unit, puts, gets }) = self.open.take() else {
            return Err(Failure::Usage("there is nothing to commit".to_string()));
        };
        let id = hex(unit.id());
        patiently("committing", unit.commit()).await?;
        self.say_end("committed", &id, puts, gets);
        Ok(())
    }

    async fn back_out(&mut self) -> Outcome {
        let Some(Open { unit, puts, gets }) = self.open.take() else { return Ok(()) };
        let id = hex(unit.id());
        patiently("backing out", unit.backout()).await?;
        self.say_end("backed out", &id, puts, gets);
        Ok(())
    }

    fn say_end(&self, what: &str, id: &str, puts: u64, gets: u64) {
        if self.global.json {
            let end: Value = json!({ "outcome": what, "unit": id, "puts": puts, "gets": gets });
            say!("{end}");
        } else {
            eprintln!("{what}: {puts} {} and {gets} {}", plural(puts, "put"), plural(gets, "get"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_step() {
        let parse = |line: &str| Step::parse(line);
        let put = |queue: &str, text: &str| Ok(Some(Step::Put { queue: queue.into(), text: text.into() }));
        assert_eq!(parse("put A one  and two "), put("A", "one  and two "));
        assert_eq!(parse("  put A"), put("A", ""));
        assert_eq!(parse("get A "), Ok(Some(Step::Get { queue: "A".into() })));
        assert_eq!(parse("move A  B"), Ok(Some(Step::Move { source: "A".into(), target: "B".into() })));
        assert_eq!((parse("commit"), parse("backout ")), (Ok(Some(Step::Commit)), Ok(Some(Step::Backout))));
        assert_eq!((parse(""), parse("  # for later")), (Ok(None), Ok(None)));
        for (line, word) in [
            ("put", "name of a queue"),
            ("get A B", "nothing to say behind it"),
            ("move A", "two queues"),
            ("commit now", "nothing to say"),
            ("rollback", "none of put"),
        ] {
            let refused = parse(line).unwrap_err();
            assert!(refused.contains(word), "{line}: {refused}");
        }
    }
}
