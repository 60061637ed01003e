//! `define|alter|display|delete|set`: objects and records of every kind, as MQSC has them.

use serde_json::{Value, json};
use trimaran_client::{Attributes, Error, ObjectDetails, RecordAction, proto::attribute::Kind, reason};

use crate::{
    arguments::{AlterArgs, DefineArgs, DeleteArgs, DisplayArgs, Global, SetArgs},
    attributes,
    output::{self, Failure, Outcome, patiently},
    say,
};

pub async fn define(global: &Global, args: DefineArgs) -> Outcome {
    let attributes = attributes::of_both(&args.kind, args.options.0, &args.attributes)?;
    let connection = global.connect().await?;
    let admin = connection.admin();
    let like = args.like.unwrap_or_default();
    let defined = admin.define(&args.kind, &args.name, like, args.replace, attributes);
    match patiently("defining", defined).await {
        Err(error) if args.if_not_exists && error.reason() == Some(reason::OBJECT_ALREADY_EXISTS) => {
            done(global, &args.kind, &args.name, "exists");
        }
        other => {
            other?;
            done(global, &args.kind, &args.name, "defined");
        }
    }
    Ok(())
}

/// By flags, by words, or both.
pub async fn alter(global: &Global, args: AlterArgs) -> Outcome {
    let (kind, name, attributes) = altered(args)?;
    attributes::check_some(&attributes)?;
    let connection = global.connect().await?;
    let dead_letters = dead_letter_queue(&kind, &attributes);
    patiently("altering", connection.admin().alter(&kind, &name, attributes)).await?;
    let name = if name.is_empty() { connection.queue_manager() } else { name };
    done(global, &kind, &name, "altered");
    if let Some(queue) = dead_letters
        && connection.admin().display("QUEUE", &queue).await?.is_empty()
    {
        let text =
            format!("there is no queue {queue} yet: until it is created, dead letters have no place to go");
        output::warn(global.json, &text);
    }
    Ok(())
}

/// What the queue manager is told to have as such.
fn dead_letter_queue(kind: &str, attributes: &Attributes) -> Option<String> {
    let is_manager = Kind::named(kind) == Some(Kind::QueueManager);
    let said = attributes.iter().rfind(|attribute| attribute.name.eq_ignore_ascii_case("DEADQ"));
    said.map(|attribute| attribute.value.trim().to_string()).filter(|name| is_manager && !name.is_empty())
}

fn altered(args: AlterArgs) -> Result<(String, String, Attributes), Failure> {
    let Some((kind, words)) = args.words.split_first() else {
        return Ok(("QMGR".into(), String::new(), attributes::of_both("QMGR", args.manager.0, &[])?));
    };
    if Kind::named(kind) == Some(Kind::QueueManager) {
        return Ok(("QMGR".into(), String::new(), attributes::of_both("QMGR", args.manager.0, words)?));
    }
    let (name, words) =
        words.split_first().ok_or_else(|| Failure::Usage(format!("name the {kind} to alter")))?;
    Ok((kind.clone(), name.clone(), attributes::of_both(kind, args.manager.0, words)?))
}

pub async fn delete(global: &Global, args: DeleteArgs) -> Outcome {
    let connection = global.connect().await?;
    patiently("deleting", connection.admin().delete(&args.kind, &args.name, args.purge)).await?;
    done(global, &args.kind, &args.name, "deleted");
    Ok(())
}

pub async fn set(global: &Global, args: SetArgs) -> Outcome {
    let attributes = attributes::of_both(&args.kind, args.options.0, &args.attributes)?;
    let action = RecordAction::from(args.action);
    let connection = global.connect().await?;
    patiently("setting", connection.admin().set(&args.kind, &args.profile, action, attributes)).await?;
    done(global, &args.kind, &args.profile, "set");
    Ok(())
}

pub async fn display(global: &Global, args: DisplayArgs) -> Outcome {
    let connection = global.connect().await?;
    let objects = patiently("asking", connection.admin().display(&args.kind, &args.name)).await?;
    for object in &objects {
        if global.json {
            output::write(output::json_line(&as_json(object)).as_bytes());
            continue;
        }
        say!("{}({})", object.kind, object.name);
        attributes::lines(object).iter().for_each(|line| say!("   {line}"));
    }
    if !objects.is_empty() {
        return Ok(());
    }
    let text = format!("nothing of kind {} is named {:?}", args.kind.to_uppercase(), args.name);
    // A name that is not there is refused as `queue show` refuses it; a pattern that meets nothing is an answer.
    if !args.name.is_empty() && !args.name.contains('*') {
        return Err(Error::refused(reason::UNKNOWN_OBJECT_NAME, text).into());
    }
    if !global.json {
        say!("{text}");
    }
    Ok(())
}

fn as_json(object: &ObjectDetails) -> Value {
    let mut value = json!({ "kind": object.kind, "name": object.name });
    attributes::add_json(object, &mut value);
    value
}

fn done(global: &Global, kind: &str, name: &str, what: &str) {
    let kind = kind.to_uppercase();
    if global.json {
        say!("{}", json!({ "ok": true, "kind": kind, "name": name, "what": what }));
    } else {
        say!("{kind}({name}) {what}");
    }
}
