//! `queue create|alter|delete|clear|show`, and `alter` for the queue manager itself.

use serde_json::{Value, json};
use trimaran_client::{Error, QueueAttributes, QueueDetails, name_of, reason};

use crate::{
    arguments::{AlterArgs, AttributeArgs, Delivery, Enabled, Global, QueueCommand, YesNo},
    output::{self, Outcome, patiently},
    say,
};

pub async fn run(global: &Global, command: QueueCommand) -> Outcome {
    let connection = global.connect().await?;
    let admin = connection.admin();
    match command {
        QueueCommand::Create { queue, if_not_exists, attributes } => {
            let created = patiently("creating", admin.create_queue(&queue, wire(attributes))).await;
            match created {
                Ok(()) => done(global, "created", &queue),
                Err(error) if if_not_exists && error.reason() == Some(reason::OBJECT_ALREADY_EXISTS) => {
                    done(global, "exists", &queue)
                }
                Err(error) => return Err(error.into()),
            }
        }
        QueueCommand::Alter { queue, attributes } => {
            patiently("altering", admin.alter_queue(&queue, wire(attributes))).await?;
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
                return Err(unknown(&queue).into());
            }
            queues.sort_by(|left, right| left.name.cmp(&right.name));
            show(global, &queues, full);
        }
    }
    Ok(())
}

pub async fn alter_queue_manager(global: &Global, args: AlterArgs) -> Outcome {
    let connection = global.connect().await?;
    patiently("altering", connection.admin().alter_queue_manager(args.deadq, args.maxumsgs)).await?;
    if global.json {
        say!("{}", json!({ "ok": true, "queue_manager": connection.queue_manager(), "what": "altered" }));
    } else {
        say!("queue manager {} altered", connection.queue_manager());
    }
    Ok(())
}

/// Not a beginning with `*` behind it, and not all of them.
fn names_one(queue: &str) -> bool {
    !queue.is_empty() && !queue.contains('*')
}

fn unknown(queue: &str) -> Error {
    let reason = reason::UNKNOWN_OBJECT_NAME;
    let text = format!("There is no queue {queue}; names are case-sensitive.");
    Error::Refused { code: 2, reason, name: name_of(reason), text }
}

fn done(global: &Global, what: &str, queue: &str) {
    if global.json {
        say!("{}", json!({ "ok": true, "queue": queue, "what": what }));
    } else {
        say!("queue {queue} {what}");
    }
}

fn wire(args: AttributeArgs) -> QueueAttributes {
    let yes = |value: YesNo| matches!(value, YesNo::Yes);
    let enabled = |value: Enabled| matches!(value, Enabled::Enabled);
    QueueAttributes {
        descr: args.descr,
        maxdepth: args.maxdepth,
        maxmsgl: args.maxmsgl,
        put_enabled: args.put.map(enabled),
        get_enabled: args.get.map(enabled),
        defpsist: args.defpsist.map(yes),
        defprty: args.defprty,
        msgdlvsq_fifo: args.msgdlvsq.map(|order| matches!(order, Delivery::Fifo)),
        share: args.share.map(yes),
        bothresh: args.bothresh,
        boqname: args.boqname,
        backout_move: args.backout_move.map(yes),
    }
}

fn show(global: &Global, queues: &[QueueDetails], full: bool) {
    if global.json {
        for queue in queues {
            say!("{}", as_json(queue));
        }
        return;
    }
    if full {
        for queue in queues {
            say!("QUEUE({})", queue.name);
            for (name, value) in attributes(queue) {
                say!("   {name}({value})");
            }
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
            let attributes = queue.attributes.clone().unwrap_or_default();
            let inhibited = match (status.put_inhibited, status.get_inhibited) {
                (false, false) => "",
                (true, false) => "put disabled",
                (false, true) => "get disabled",
                (true, true) => "put and get disabled",
            };
            vec![
                queue.name.clone(),
                status.depth.to_string(),
                attributes.maxdepth.unwrap_or_default().to_string(),
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

fn attributes(queue: &QueueDetails) -> Vec<(&'static str, String)> {
    let attributes = queue.attributes.clone().unwrap_or_default();
    let yes = |value: Option<bool>| if value == Some(true) { "YES" } else { "NO" }.to_string();
    let enabled = |value: Option<bool>| if value == Some(false) { "DISABLED" } else { "ENABLED" }.to_string();
    let number = |value: Option<u32>| value.unwrap_or_default().to_string();
    let order = if attributes.msgdlvsq_fifo == Some(true) { "FIFO" } else { "PRIORITY" };
    vec![
        ("DESCR", attributes.descr.unwrap_or_default()),
        ("MAXDEPTH", number(attributes.maxdepth)),
        ("MAXMSGL", number(attributes.maxmsgl)),
        ("PUT", enabled(attributes.put_enabled)),
        ("GET", enabled(attributes.get_enabled)),
        ("DEFPSIST", yes(attributes.defpsist)),
        ("DEFPRTY", number(attributes.defprty)),
        ("MSGDLVSQ", order.to_string()),
        ("SHARE", yes(attributes.share)),
        ("BOTHRESH", number(attributes.bothresh)),
        ("BOQNAME", attributes.boqname.unwrap_or_default()),
        ("BACKOUT_MOVE", yes(attributes.backout_move)),
    ]
}

fn figures(queue: &QueueDetails) -> Vec<(&'static str, String)> {
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

fn as_json(queue: &QueueDetails) -> Value {
    let mut value = json!({ "queue": queue.name });
    let attributes = queue.attributes.clone().unwrap_or_default();
    value["descr"] = json!(attributes.descr.unwrap_or_default());
    value["maxdepth"] = json!(attributes.maxdepth);
    value["maxmsgl"] = json!(attributes.maxmsgl);
    value["put"] = json!(if attributes.put_enabled == Some(false) { "disabled" } else { "enabled" });
    value["get"] = json!(if attributes.get_enabled == Some(false) { "disabled" } else { "enabled" });
    value["defpsist"] = json!(attributes.defpsist);
    value["defprty"] = json!(attributes.defprty);
    value["msgdlvsq"] = json!(if attributes.msgdlvsq_fifo == Some(true) { "fifo" } else { "priority" });
    value["share"] = json!(attributes.share);
    value["bothresh"] = json!(attributes.bothresh);
    value["boqname"] = json!(attributes.boqname.unwrap_or_default());
    value["backout_move"] = json!(attributes.backout_move);
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
