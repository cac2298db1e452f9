//! The schemas that ship: what they describe, and that they fit their predecessors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn json_of(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// A schema that ships.
pub(crate) fn schema(name: &str) -> Value {
    json_of(&folder().join(format!("{name}.json")))
}

/// The schema of a topic that goes out.
pub(crate) fn schema_of(topic: &str) -> &'static str {
    match topic {
        "ride_events" => "ride-events.v1",
        "driver_offers" => "driver-offers.v1",
        "namma_yatri_events" => "namma-yatri-events.v1",
        "allocation_decisions" => "allocation-decisions.v1",
        other => panic!("{other} goes nowhere"),
    }
}

/// Why readers of `new` or of `old` cannot read what was written by the other: a field may be added if it
/// is optional, and values of a list may be added; nothing may go or change.
fn breaks(old: &Value, new: &Value, at: &str, faults: &mut Vec<String>) {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        if old != new {
            faults.push(format!("{at} is {new}, it was {old}"));
        }
        return;
    };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let here = format!("{at}/{name}");
        match (name.as_str(), old.get(name), new.get(name)) {
            ("title" | "description" | "examples", ..) => {}
            ("enum", Some(old), Some(new)) => {
                let values = |list: &Value| -> BTreeSet<String> {
                    list.as_array().unwrap().iter().map(Value::to_string).collect()
                };
                let gone: Vec<_> = values(old).difference(&values(new)).cloned().collect();
                if !gone.is_empty() {
                    faults.push(format!("{here} lost {gone:?}"));
                }
            }
            ("properties" | "definitions", Some(old), Some(new)) => {
                for (field, old) in old.as_object().unwrap() {
                    match new.get(field) {
                        Some(new) => breaks(old, new, &format!("{here}/{field}"), faults),
                        None => faults.push(format!("{here}/{field} is gone")),
                    }
                }
            }
            (_, Some(old), Some(new)) => breaks(old, new, &here, faults),
            (_, old, new) => faults.push(format!("{here} is {new:?}, it was {old:?}")),
        }
    }
}

#[test]
fn schemas_fit_the_versions_that_were_published() {
    let mut compared = 0;
    for file in std::fs::read_dir(folder().join("published")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_owned();
        let mut faults = Vec::new();
        breaks(&json_of(&path), &json_of(&folder().join(&name)), "", &mut faults);
        assert!(faults.is_empty(), "{}: {faults:#?}", name.display());
        compared += 1;
    }
    assert_eq!(compared, 5);
}

#[test]
fn what_breaks_readers_is_found() {
    let old =
        json!({"required": ["a"], "properties": {"a": {"enum": ["x"]}, "b": {"type": "string"}}});
    let breaking = [
        json!({"required": ["a"], "properties": {"a": {"enum": ["x"]}}}),
        json!({"required": ["a", "b"], "properties": old["properties"]}),
        json!({"required": [], "properties": old["properties"]}),
        json!({"required": ["a"], "properties": {"a": {"enum": ["y"]}, "b": {"type": "string"}}}),
        json!({"required": ["a"], "properties": {"a": {"enum": ["x"]}, "b": {"type": "integer"}}}),
    ];
    let faults = |new: &Value| {
        let mut faults = Vec::new();
        breaks(&old, new, "", &mut faults);
        faults
    };
    for new in &breaking {
        assert_eq!(faults(new).len(), 1, "{new}");
    }
    let more = json!({"required": ["a"], "title": "T", "properties":
        {"a": {"enum": ["x", "y"]}, "b": {"type": "string"}, "c": {"type": "integer"}}});
    assert_eq!(faults(&more), Vec::<String>::new());
}

#[test]
fn a_ride_in_an_event_has_the_fields_of_the_http_api() {
    let openapi = json_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json"));
    let schema = schema("ride-events.v1");
    let fields = |object: &Value| -> BTreeSet<String> {
        object["properties"].as_object().unwrap().keys().cloned().collect()
    };
    for (view, definition) in
        [("RideView", "Ride"), ("AssignedDriverView", "AssignedDriver"), ("QuoteView", "Quote")]
    {
        let (http, kafka) =
            (&openapi["components"]["schemas"][view], &schema["definitions"][definition]);
        assert_eq!(fields(http), fields(kafka), "{view}");
    }
}

#[test]
fn the_asyncapi_document_names_every_schema_and_no_other() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("asyncapi.yaml");
    let text = std::fs::read_to_string(document).unwrap();
    let named: BTreeSet<String> = text
        .split("./schemas/")
        .skip(1)
        .map(|rest| rest.split(['\'', '"', '}', ' ', '\n']).next().unwrap().to_owned())
        .collect();
    let shipped: BTreeSet<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert_eq!(named, shipped);
    let openapi = json_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json"));
    for name in text.split("./openapi.json#/components/schemas/").skip(1) {
        let name = name.split(['\'', '"', '}', ' ', '\n']).next().unwrap();
        assert!(openapi["components"]["schemas"].get(name).is_some(), "{name}");
    }
}
