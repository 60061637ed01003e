//! `queue create|alter|delete|clear|show`.

use serde_json::{Value, json};
use trimaran_client::{Error, ObjectDetails, reason};

use crate::{
    arguments::{Global, QueueCommand},
    attributes::{self, QueueFlags},
    output::{self, Outcome, patiently},
    say,
};

pub async fn run(global: &Global, command: QueueCommand) -> Outcome {
    if let QueueCommand::Alter { attributes: QueueFlags(changes), .. } = &command {
        attributes::check_some(changes)?;
    }
    let connection = global.connect().await?;
    let admin = connection.admin();
    match command {
        QueueCommand::Create { queue, if_not_exists, attributes } => {
            let created = patiently("creating", admin.create_queue(&queue, attributes.0)).await;
            match created {
                Ok(()) => done(global, "created", &queue),
                Err(error) if if_not_exists && error.reason() == Some(reason::OBJECT_ALREADY_EXISTS) => {
                    done(global, "exists", &queue)
                }
                Err(error) => return Err(error.into()),
            }
        }
        QueueCommand::Alter { queue, attributes } => {
            patiently("altering", admin.alter_queue(&queue, attributes.0)).await?;
            done(global, "altered", &queue);
        }
        QueueCommand::Delete { queue, purge } => {
            patiently("deleting", admin.delete_queue(&queue, purge)).await?;
            done(global, "deleted", &queue);
        }
        QueueCommand::Clear { queue } => {
            patiently("clearing", admin.clear_queue(&queue)).await?;
            done(global, "cleared", &queue);
        }
        QueueCommand::Show { queue, full } => {
            let mut queues = patiently("asking", admin.show_queues(&queue)).await?;
            if queues.is_empty() && names_one(&queue) {
                let others = patiently("asking", admin.display("QUEUE", &queue)).await?;
                let other = others.first().ok_or_else(|| unknown(&queue))?;
                show_other(global, other);
                return Ok(());
            }
            // The queue manager's own are shown when they are asked for, as explorers of MQ do.
            queues.retain(|of| !queue.is_empty() || !of.name.starts_with("SYSTEM."));
            queues.sort_by(|left, right| left.name.cmp(&right.name));
            show(global, &queues, full);
        }
    }
    Ok(())
}

/// An alias and the like have no messages of their own: what they say is all there is.
fn show_other(global: &Global, object: &ObjectDetails) {
    if global.json {
        let mut value = json!({ "queue": object.name, "kind": object.kind });
        attributes::add_json(object, &mut value);
        say!("{value}");
        return;
    }
    say!("{} is no local queue, it is a {}:", object.name, object.kind);
    attributes::lines(object).iter().for_each(|line| say!("   {line}"));
}

/// Not a beginning with `*` behind it, and not all of them.
fn names_one(queue: &str) -> bool {
    !queue.is_empty() && !queue.contains('*')
}

fn unknown(queue: &str) -> Error {
    Error::refused(
        reason::UNKNOWN_OBJECT_NAME,
        format!("There is no queue {queue}; names are case-sensitive."),
    )
}

fn done(global: &Global, what: &str, queue: &str) {
    if global.json {
        say!("{}", json!({ "ok": true, "queue": queue, "what": what }));
    } else {
        say!("queue {queue} {what}");
    }
}

fn show(global: &Global, queues: &[ObjectDetails], full: bool) {
    if global.json {
        for queue in queues {
            output::write(output::json_line(&as_json(queue)).as_bytes());
        }
        return;
    }
    if full {
        for queue in queues {
            say!("QUEUE({})", queue.name);
            attributes::lines(queue).iter().for_each(|line| say!("   {line}"));
            for (name, value) in figures(queue) {
                say!("   {name}({value})");
            }
        }
        return;
    }
    let rows: Vec<Vec<String>> = queues
        .iter()
        .map(|queue| {
            let status = queue.status.clone().unwrap_or_default();
            let inhibited = match (status.put_inhibited, status.get_inhibited) {
                (false, false) => "",
                (true, false) => "put disabled",
                (false, true) => "get disabled",
                (true, true) => "put and get disabled",
            };
            vec![
                queue.name.clone(),
                status.depth.to_string(),
                status.max_depth.to_string(),
                status.uncommitted.to_string(),
                status.open_input.to_string(),
                status.open_output.to_string(),
                output::duration(status.oldest_age_s),
                inhibited.to_string(),
            ]
        })
        .collect();
    output::table(&["QUEUE", "DEPTH", "MAX", "UNCOMMITTED", "IN", "OUT", "OLDEST", ""], &rows);
}

fn figures(queue: &ObjectDetails) -> Vec<(&'static str, String)> {
    let status = queue.status.clone().unwrap_or_default();
    vec![
        ("CURDEPTH", status.depth.to_string()),
        ("UNCOM", status.uncommitted.to_string()),
        ("IPPROCS", status.open_input.to_string()),
        ("OPPROCS", status.open_output.to_string()),
        ("MSGAGE", status.oldest_age_s.to_string()),
        ("NOTPERSISTENT", status.not_persistent.to_string()),
    ]
}

fn as_json(queue: &ObjectDetails) -> Value {
    let mut value = json!({ "queue": queue.name });
    attributes::add_json(queue, &mut value);
    let status = queue.status.clone().unwrap_or_default();
    value["depth"] = json!(status.depth);
    value["uncommitted"] = json!(status.uncommitted);
    value["open_input"] = json!(status.open_input);
    value["open_output"] = json!(status.open_output);
    value["not_persistent"] = json!(status.not_persistent);
    value["oldest_age_s"] = json!(status.oldest_age_s);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_must_be_there() {
        assert!(names_one("NOPE"));
        assert!(!names_one("NOPE*") && !names_one("*") && !names_one(""));
        let text = unknown("NOPE").to_string();
        assert!(text.contains("no queue NOPE") && text.contains("reason 2085 UNKNOWN_OBJECT_NAME"), "{text}");
    }
}
