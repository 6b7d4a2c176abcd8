//! The schema is held to what serde reads.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::describe::{resolve, schema};
use super::{Condition, cases, catalog, experiments, guardrails, moments, program, segments};
use crate::read::quoted;
use crate::source::File;

/// The keys serde accepts: what it would have liked instead of another.
fn accepted<T: DeserializeOwned + std::fmt::Debug>() -> Vec<String> {
    let message = toml::from_str::<T>("no-key = 1").unwrap_err().message().to_owned();
    let mut keys: Vec<String> = quoted(&message).skip(1).map(str::to_owned).collect();
    keys.sort();
    keys
}

#[test]
fn the_schema_has_exactly_the_keys_that_are_read() {
    let schema = schema();
    let mut seen = 0;
    macro_rules! same {
        ($($name:ty),*) => {$(
            let full = stringify!($name);
            let name = full.rsplit(':').next().unwrap().trim();
            let properties = schema["definitions"][name]["properties"].as_object().unwrap();
            let mut listed: Vec<String> = properties.keys().cloned().collect();
            listed.sort();
            assert_eq!(listed, accepted::<$name>(), "{name}");
            seen += 1;
        )*};
    }
    same!(program::Program, program::ConsentAtEnrolment, program::Budget, program::Approval, program::Stop);
    same!(program::Window, program::Exposure, program::Escalation);
    same!(segments::Segments, segments::Segment, segments::Levers, Condition);
    same!(catalog::Catalog, catalog::Reward, catalog::Prior, catalog::Partner);
    same!(moments::Moments, moments::Moment, moments::Trigger);
    same!(guardrails::Guardrails, guardrails::Consent, guardrails::Suppress, guardrails::QuietHours);
    same!(guardrails::MemberCap, guardrails::RewardCap, guardrails::Rule, guardrails::Margin);
    same!(experiments::Experiments, experiments::Holdout, experiments::Exploration, experiments::Variant);
    same!(cases::Cases, cases::Case, cases::Promised, cases::Expect);
    let tables = schema["definitions"].as_object().unwrap().values();
    assert_eq!(tables.filter(|table| table.get("properties").is_some()).count(), seen);
}

#[test]
fn every_key_has_a_manual() {
    let schema = schema();
    for (name, table) in schema["definitions"].as_object().unwrap() {
        for (key, property) in table["properties"].as_object().into_iter().flatten() {
            assert!(property.get("description").is_some(), "{name}.{key} has no manual");
        }
    }
}

#[test]
fn closed_lists_are_listed() {
    let schema = schema();
    let of = |pointer: &str| schema.pointer(&format!("/definitions/{pointer}")).cloned();
    assert_eq!(of("Rule/properties/action/enum"), Some(json!(["deny", "warn", "audit"])));
    assert_eq!(of("Moment/properties/level/enum"), Some(json!(["L1", "L2", "L3"])));
    assert_eq!(of("Holdout/properties/sticky/enum"), Some(json!(["quarter", "always"])));
    assert!(of("Reward/properties/touchpoints/items/enum/7").is_some());
    assert_eq!(of("Levers/properties/kinds/propertyNames/enum/4"), Some(json!("partner")));
    assert!(of("Trigger/properties/event/enum").is_some_and(|words| !words.to_string().contains("quiet")));
}

/// Leaves out one key of one table after the other; calls `check` with the file's text and whether it may be.
fn without_each(
    schema: &Value,
    at: &Value,
    path: &mut Vec<toml_path::Step>,
    root: &toml::Table,
    check: &mut dyn FnMut(toml::Table, bool, &str),
) {
    let at = resolve(schema, at);
    match toml_path::get(root, path) {
        toml::Value::Table(table) => {
            let required: Vec<&str> =
                at["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            for key in table.keys() {
                let inner = match at["properties"].get(key) {
                    Some(inner) => inner.clone(),
                    None => {
                        assert!(at["additionalProperties"].is_object(), "{key} is not in the schema");
                        at["additionalProperties"].clone()
                    }
                };
                let mut changed = root.clone();
                toml_path::remove(&mut changed, path, key);
                check(changed, !required.contains(&key.as_str()), key);
                path.push(toml_path::Step::Key(key.clone()));
                without_each(schema, &inner, path, root, check);
                path.pop();
            }
        }
        toml::Value::Array(items) => {
            for index in 0..items.len() {
                path.push(toml_path::Step::Index(index));
                without_each(schema, &at["items"].clone(), path, root, check);
                path.pop();
            }
        }
        leaf @ (toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)) => assert_eq!(at["type"], leaf.type_str(), "{leaf}"),
    }
}

/// Paths into a TOML document.
mod toml_path {
    pub enum Step {
        Key(String),
        Index(usize),
    }

    pub fn get(root: &toml::Table, path: &[Step]) -> toml::Value {
        let mut at = toml::Value::Table(root.clone());
        for step in path {
            at = match step {
                Step::Key(key) => at[key.as_str()].clone(),
                Step::Index(index) => at[*index].clone(),
            };
        }
        at
    }

    pub fn remove(root: &mut toml::Table, path: &[Step], key: &str) {
        let Some((first, rest)) = path.split_first() else {
            root.remove(key);
            return;
        };
        let Step::Key(first) = first else { return };
        let mut at = &mut root[first.as_str()];
        for step in rest {
            at = match step {
                Step::Key(key) => &mut at[key.as_str()],
                Step::Index(index) => &mut at[*index],
            };
        }
        at.as_table_mut().unwrap().remove(key);
    }
}

#[test]
fn the_schema_fits_the_starter_bundle_and_requires_what_is_required() {
    let schema = schema();
    let mut removed = 0;
    for (file, (name, text)) in File::ALL.into_iter().zip(crate::starter::GROCERY) {
        let root: toml::Table = text.parse().unwrap();
        let at = schema["definitions"][name].clone();
        without_each(&schema, &at, &mut Vec::new(), &root, &mut |changed, optional, key| {
            let reads = match file {
                File::Program => program::Program::deserialize_from(changed),
                File::Segments => segments::Segments::deserialize_from(changed),
                File::Catalog => catalog::Catalog::deserialize_from(changed),
                File::Moments => moments::Moments::deserialize_from(changed),
                File::Guardrails => guardrails::Guardrails::deserialize_from(changed),
                File::Experiments => experiments::Experiments::deserialize_from(changed),
            };
            assert_eq!(reads, optional, "{name}: {key}");
            removed += 1;
        });
    }
    assert!(removed > 300, "only {removed} keys were left out");
}

#[test]
fn the_schema_fits_the_tests_of_every_starter() {
    let schema = schema();
    let tests = crate::starter::ALL.iter().flat_map(|starter| starter.files);
    let mut read = 0;
    for (name, text) in tests.filter(|(name, _)| name.starts_with("tests/")) {
        let root: toml::Table = text.parse().unwrap();
        let at = schema["definitions"][super::TESTS].clone();
        without_each(&schema, &at, &mut Vec::new(), &root, &mut |_, _, _| read += 1);
        assert!(cases::Cases::deserialize_from(root), "{name}");
    }
    assert!(read > 500, "only {read} keys were looked at");
}

trait ReadsFrom: DeserializeOwned {
    /// Whether the document reads without a part.
    fn deserialize_from(table: toml::Table) -> bool {
        toml::from_str::<Self>(&table.to_string()).is_ok()
    }
}
impl<T: DeserializeOwned> ReadsFrom for T {}
