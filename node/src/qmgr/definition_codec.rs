//! Objects, settings and changes as log commands and store rows have them.

use prost::Message as _;
use trimaran_proto::replica::v1 as wire;

use crate::types::definition::{
    By, Changes, Definition, ObjectKind, ObjectRef, RecordAction, Selector, Tongue, Value,
};
use crate::types::{ObjectName, WallTime};

/// What is not as it must be.
#[derive(Debug, thiserror::Error)]
#[error("a definition has an invalid {0}")]
pub struct Invalid(pub &'static str);

pub(super) fn definition_to_wire(definition: &Definition) -> wire::Definition {
    let settings = definition.settings.iter();
    wire::Definition {
        object: Some(object_to_wire(&definition.object)),
        settings: settings.map(|(selector, value)| setting(selector, Some(value))).collect(),
        created_ms: definition.created.0,
        altered_ms: definition.altered.0,
        altered_by: (definition.altered_by != By::default())
            .then(|| by_to_wire(definition.altered_by.clone())),
    }
}

pub(super) fn definition_from_wire(definition: Option<wire::Definition>) -> Result<Definition, Invalid> {
    let definition = definition.ok_or(Invalid("definition"))?;
    let settings = definition
        .settings
        .into_iter()
        .map(|setting| Ok((setting.selector, value_from_wire(setting.value)?.ok_or(Invalid("value"))?)));
    Ok(Definition {
        settings: settings.collect::<Result<_, Invalid>>()?,
        created: WallTime(definition.created_ms),
        altered: WallTime(definition.altered_ms),
        altered_by: by_from_wire(definition.altered_by),
        ..Definition::new(object_from_wire(definition.object)?)
    })
}

pub(super) fn encoded(definition: &Definition) -> Vec<u8> {
    definition_to_wire(definition).encode_to_vec()
}

pub(super) fn object_to_wire(object: &ObjectRef) -> wire::ObjectRef {
    wire::ObjectRef { kind: object.kind as u32, name: object.name.clone(), key: object.key.clone() }
}

pub(super) fn object_from_wire(object: Option<wire::ObjectRef>) -> Result<ObjectRef, Invalid> {
    let object = object.ok_or(Invalid("object"))?;
    let kind = ObjectKind::from_number(object.kind).ok_or(Invalid("kind of object"))?;
    let is_named = match kind {
        ObjectKind::QueueManager => object.name.is_empty(),
        kind if kind.is_queue() => ObjectName::new(&object.name).is_ok(),
        _ => !object.name.contains('\0'),
    };
    if !is_named {
        return Err(Invalid("name"));
    }
    if object.key.contains('\0') || !(object.key.is_empty() || kind.is_record()) {
        return Err(Invalid("key"));
    }
    Ok(ObjectRef { kind, name: object.name, key: object.key })
}

pub(super) fn changes_to_wire(changes: &Changes) -> Vec<wire::Setting> {
    let settings: Vec<wire::Setting> =
        changes.iter().map(|(selector, value)| setting(selector, value)).collect();
    debug_assert_eq!(
        changes_from_wire(settings.clone()).ok().as_ref(),
        Some(changes),
        "changes are read as they were written"
    );
    settings
}

pub(super) fn changes_from_wire(settings: Vec<wire::Setting>) -> Result<Changes, Invalid> {
    settings.into_iter().map(|setting| Ok((setting.selector, value_from_wire(setting.value)?))).collect()
}

fn setting(selector: Selector, value: Option<&Value>) -> wire::Setting {
    use wire::value::Value as Wire;
    let value = value.map(|value| match value {
        Value::Number(number) => Wire::Number(*number),
        Value::Text(text) => Wire::Text(text.clone()),
        Value::List(texts) => Wire::List(wire::Texts { texts: texts.clone() }),
    });
    wire::Setting { selector, value: value.map(|value| wire::Value { value: Some(value) }) }
}

fn value_from_wire(value: Option<wire::Value>) -> Result<Option<Value>, Invalid> {
    use wire::value::Value as Wire;
    let Some(value) = value else { return Ok(None) };
    match value.value.ok_or(Invalid("value"))? {
        Wire::Number(number) => Ok(Some(Value::Number(number))),
        Wire::Text(text) => Ok(Some(Value::Text(text))),
        Wire::List(list) => Ok(Some(Value::List(list.texts))),
    }
}

pub fn by_to_wire(by: By) -> wire::By {
    let By { user, application, address, channel, tongue } = by;
    wire::By { user, application, address, channel, tongue: tongue.into() }
}

pub(super) fn by_from_wire(by: Option<wire::By>) -> By {
    let by = by.unwrap_or_default();
    // A language that only a newer release knows is spoken all the same.
    let tongue = Tongue::try_from(by.tongue).unwrap_or(Tongue::Grpc);
    let wire::By { user, application, address, channel, .. } = by;
    By { user, application, address, channel, tongue }
}

pub(super) fn action_to_wire(action: RecordAction) -> i32 {
    use wire::set_record::Action as Wire;
    let wire = match action {
        RecordAction::Add => Wire::Add,
        RecordAction::Replace => Wire::Replace,
        RecordAction::Remove => Wire::Remove,
        RecordAction::RemoveAll => Wire::RemoveAll,
    };
    debug_assert_eq!(action_from_wire(wire as i32).ok(), Some(action), "an action is read as it was written");
    wire as i32
}

pub(super) fn action_from_wire(action: i32) -> Result<RecordAction, Invalid> {
    use wire::set_record::Action as Wire;
    match Wire::try_from(action).map_err(|_| Invalid("action"))? {
        Wire::Add => Ok(RecordAction::Add),
        Wire::Replace => Ok(RecordAction::Replace),
        Wire::Remove => Ok(RecordAction::Remove),
        Wire::RemoveAll => Ok(RecordAction::RemoveAll),
    }
}
