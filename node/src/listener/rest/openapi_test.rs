//! The description that the service gives of itself, against what it does: paths, references, and every attribute of an object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use trimaran_proto::attribute::{Kind, State};

use super::inquiry::{Sort, can_be_compared, can_be_wanted, status_of};
use super::names::{Names, Shape, put_at};
use super::path::TEMPLATES;
use super::service::OPENAPI;

#[test]
fn the_description_has_the_paths_that_there_are_and_no_others() {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let verbs = ["get", "put", "post", "delete", "patch", "head", "options"];
    let mut described: Vec<(String, BTreeSet<String>)> = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().filter(|key| verbs.contains(&key.as_str()));
        described.push((path.clone(), methods.map(|method| method.to_ascii_uppercase()).collect()));
    }
    let mut served: Vec<(String, BTreeSet<String>)> = TEMPLATES
        .iter()
        .map(|template| (template.path.into(), template.methods.iter().map(ToString::to_string).collect()))
        .collect();
    described.sort();
    served.sort();
    assert_eq!(described, served);
    for server in description["servers"].as_array().unwrap() {
        let path = format!("{}/login", server["url"].as_str().unwrap());
        assert!(super::path::Resource::named(&http::Method::GET, &path).is_ok(), "{path}");
    }
}

#[test]
fn what_the_description_refers_to_is_there() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| match (name.as_str(), value) {
                ("$ref", Value::String(to)) => found.push(to.clone()),
                _ => references(value, found),
            }),
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for to in found {
        assert!(description.pointer(to.strip_prefix('#').unwrap()).is_some(), "{to}");
    }
}

/// The groups of a kind of queue, each with what can be set in it.
fn groups_of(kind: Kind) -> BTreeMap<String, Value> {
    let mut groups = Map::new();
    let names = Names::of(kind);
    for name in names.iter().filter(|name| name.attribute.state != State::Live) {
        let parts: Vec<&str> = name.path.split('.').collect();
        put_at(&mut groups, &parts.join(".properties."), name.schema());
    }
    groups.into_iter().map(|(name, properties)| (name, closed(&properties["properties"]))).collect()
}

/// An object that has these properties and no others; inner ones likewise.
fn closed(properties: &Value) -> Value {
    let properties = properties.as_object().expect("properties are an object");
    let properties: Map<String, Value> = properties
        .iter()
        .map(|(name, of)| (name.clone(), of.get("properties").map_or_else(|| of.clone(), closed)))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

/// What of the description is told by the table of attributes.
fn told_by_the_table() -> BTreeMap<String, Value> {
    let mut told = BTreeMap::new();
    for (word, kind) in Sort::Queue.types() {
        let Some(kind) = kind else { continue };
        let own = capital(word);
        let mut properties = Map::new();
        for (group, schema) in groups_of(*kind) {
            let name = format!("{own}Queue{}", capital(&group));
            properties.insert(group, json!({ "$ref": format!("#/components/schemas/{name}") }));
            told.insert(format!("/components/schemas/{name}"), schema);
        }
        properties.insert("type".into(), json!({ "type": "string", "enum": [word] }));
        let required = if *kind == Kind::LocalQueue { vec![] } else { vec!["type"] };
        let of = |properties: &Map<String, Value>, required: Vec<&str>| json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required });
        told.insert(format!("/components/schemas/{own}QueueChanges"), of(&properties, required.clone()));
        properties.insert("name".into(), json!({ "$ref": "#/components/schemas/QueueName" }));
        let required = [vec!["name"], required].concat();
        told.insert(format!("/components/schemas/{own}Queue"), of(&properties, required));
    }
    for sort in [Sort::Queue, Sort::Channel, Sort::Subscription] {
        let of =
            |what: &str, inner: &str| format!("/components/parameters/{}{what}/schema{inner}", sort.label());
        told.insert(of("Attributes", "/items/enum"), can_be_wanted(sort).into());
        told.insert(of("Filter", "/pattern"), filter(sort).into());
    }
    let status = status_of(&Default::default()).into_iter().map(|(path, _)| path);
    let status: Vec<&str> = ["*", "status"].into_iter().chain(status).collect();
    told.insert("/components/parameters/queueStatus/schema/items/enum".into(), json!(status));
    told
}

fn filter(sort: Sort) -> String {
    let paths = |wanted: Shape| {
        let all = can_be_compared(sort).into_iter().filter(move |(_, shape)| *shape == wanted);
        all.map(|(path, _)| path.replace('.', "[.]")).collect::<Vec<_>>().join("|")
    };
    let all = "(lessThan|greaterThan|equalTo|notEqualTo|lessThanOrEqualTo|greaterThanOrEqualTo)";
    let texts = format!("({}):{all}:[A-Za-z0-9._]{{0,20}}[*]?", paths(Shape::Text));
    let switches = format!("({}):(equalTo|notEqualTo):(true|false)", paths(Shape::Switch));
    let numbers = format!("({}):{all}:(0|-?[1-9][0-9]{{0,8}})", paths(Shape::Number));
    format!("^({texts}|{switches}|{numbers})$")
}

#[test]
fn the_description_has_every_attribute_that_can_be_set_wanted_and_compared() {
    let description: Value = serde_json::from_str(OPENAPI).unwrap();
    for (place, told) in told_by_the_table() {
        let described = description.pointer(&place).unwrap_or(&Value::Null);
        assert_eq!(*described, told, "{place} of openapi.json has to be\n{told:#}");
    }
    // And none that there is not.
    let told = told_by_the_table();
    let schemas = description["components"]["schemas"].as_object().unwrap().keys();
    for schema in
        schemas.filter(|name| ["Local", "Alias", "Remote", "Model"].iter().any(|of| name.starts_with(of)))
    {
        assert!(told.contains_key(&format!("/components/schemas/{schema}")), "{schema}");
    }
}
