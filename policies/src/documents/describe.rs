//! The documents described for editors: one JSON Schema (draft-07) made of the same declarations that are read.
//!
//! [`documents`] declares a table once; its doc comments are its manual here too. Nothing is checked against the
//! schema: it only helps people to write what the checker will accept.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use serde_json::{Map, Value, json};

use super::{catalog, experiments, guardrails, moments, program, segments};
use crate::bundle::{Action, Autonomy, Members, RewardKind, Sticky};
use crate::read::quoted;
use crate::source::File;

/// Something that can stand in a document.
pub(crate) trait Described {
    /// Whether its key may be left out.
    const OPTIONAL: bool = false;

    /// Its schema; tables are added to `definitions` and referred to.
    fn describe(definitions: &mut Map<String, Value>) -> Value;
}

/// One key of a table.
pub(crate) struct Key {
    pub name: &'static str,
    pub about: &'static [&'static str],
    pub required: bool,
    /// The closed list its texts are from; empty when they are free.
    pub words: Vec<&'static str>,
    pub schema: Value,
}

/// Declares tables of a document: structs that are read with serde, and their description.
///
/// Attributes of a key stand in this order: its manual, `#[serde(default)]`, `#[words(..)]`.
macro_rules! documents {
    ($(
        $(#[doc = $doc:literal])*
        $(#[derive($derive:ident)])?
        pub struct $name:ident {
            $(
                $(#[doc = $about:literal])*
                $(#[serde($serde:ident)])?
                $(#[words($words:expr)])?
                pub $key:ident: $kind:ty,
            )*
        }
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Debug, $($derive,)? serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(
                $(#[doc = $about])*
                $(#[serde($serde)])?
                pub $key: $kind,
            )*
        }

        impl $crate::documents::describe::Described for $name {
            fn describe(definitions: &mut serde_json::Map<String, serde_json::Value>) -> serde_json::Value {
                use $crate::documents::describe::{Described, Key, define};
                let keys = vec![$(Key {
                    name: stringify!($key),
                    about: &[$($about),*],
                    required: !<$kind as Described>::OPTIONAL && <[&str]>::is_empty(&[$(stringify!($serde))?]),
                    words: <[Vec<&'static str>]>::concat(&[$($words.to_vec())?]),
                    schema: <$kind>::describe(definitions),
                }),*];
                define(definitions, stringify!($name), &[$($doc),*], keys)
            }
        }
    )*};
}
pub(crate) use documents;

/// Adds a table to the definitions; a reference to it.
pub(crate) fn define(
    definitions: &mut Map<String, Value>,
    name: &str,
    about: &[&str],
    keys: Vec<Key>,
) -> Value {
    let required: Vec<&str> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let mut table = json!({
        "type": "object",
        "description": joined(about),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        table["required"] = json!(required);
    }
    definitions.insert(name.to_owned(), table);
    json!({ "$ref": format!("#/definitions/{name}") })
}

fn property(key: &Key) -> Value {
    let mut schema = key.schema.clone();
    if !key.words.is_empty() {
        let at = match schema["type"].as_str() {
            Some("array") => &mut schema["items"],
            Some("object") => &mut schema["propertyNames"],
            _ => &mut schema,
        };
        at["enum"] = json!(key.words);
    }
    if key.about.is_empty() {
        return schema;
    }
    // Beside a reference, draft-07 ignores everything else.
    if schema.get("$ref").is_some() {
        schema = json!({ "allOf": [schema] });
    }
    schema["description"] = json!(joined(key.about));
    schema
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

impl Described for String {
    fn describe(_: &mut Map<String, Value>) -> Value {
        json!({ "type": "string" })
    }
}

impl Described for i64 {
    fn describe(_: &mut Map<String, Value>) -> Value {
        json!({ "type": "integer" })
    }
}

impl Described for bool {
    fn describe(_: &mut Map<String, Value>) -> Value {
        json!({ "type": "boolean" })
    }
}

impl<T: Described> Described for toml::Spanned<T> {
    fn describe(definitions: &mut Map<String, Value>) -> Value {
        T::describe(definitions)
    }
}

impl<T: Described> Described for Option<T> {
    const OPTIONAL: bool = true;

    fn describe(definitions: &mut Map<String, Value>) -> Value {
        T::describe(definitions)
    }
}

impl<T: Described> Described for Vec<T> {
    fn describe(definitions: &mut Map<String, Value>) -> Value {
        json!({ "type": "array", "items": T::describe(definitions) })
    }
}

impl<T: Described> Described for BTreeMap<super::Text, T> {
    fn describe(definitions: &mut Map<String, Value>) -> Value {
        json!({ "type": "object", "additionalProperties": T::describe(definitions) })
    }
}

/// Types that are one of a few words.
macro_rules! worded {
    ($($name:ty),*) => {$(
        impl Described for $name {
            fn describe(_: &mut Map<String, Value>) -> Value {
                json!({ "type": "string", "enum": words::<$name>() })
            }
        }
    )*};
}
worded!(
    Action,
    Autonomy,
    Members,
    RewardKind,
    Sticky,
    domain::Level,
    guardrails::Minors,
    moments::Provisional
);

/// The words a type is read from: what serde says it would have liked instead of another.
fn words<T: DeserializeOwned>() -> Vec<String> {
    let refused = T::deserialize(StrDeserializer::<Error>::new("")).err();
    let message = refused.map(|error| error.to_string()).unwrap_or_default();
    quoted(&message).skip(1).map(str::to_owned).collect()
}

/// JSON Schema (draft-07) of the six files of a bundle, for TOML editors. It fits each of the files; the
/// definition of one file has the name of the file.
pub fn schema() -> Value {
    let mut definitions = Map::new();
    for file in File::ALL {
        let of_file = match file {
            File::Program => program::Program::describe(&mut definitions),
            File::Segments => segments::Segments::describe(&mut definitions),
            File::Catalog => catalog::Catalog::describe(&mut definitions),
            File::Moments => moments::Moments::describe(&mut definitions),
            File::Guardrails => guardrails::Guardrails::describe(&mut definitions),
            File::Experiments => experiments::Experiments::describe(&mut definitions),
        };
        definitions.insert(file.name().to_owned(), of_file);
    }
    let files = File::ALL.map(|file| json!({ "$ref": format!("#/definitions/{}", file.name()) }));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A file of a Largesse bundle",
        "anyOf": files,
        "definitions": definitions,
    })
}

/// The table or value a schema refers to, in the whole schema.
pub(crate) fn resolve<'a>(schema: &'a Value, at: &'a Value) -> &'a Value {
    let reference = at.get("$ref").or_else(|| at.get("allOf").and_then(|all| all[0].get("$ref")));
    let pointer = reference.and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#'));
    match pointer.and_then(|pointer| schema.pointer(pointer)) {
        Some(found) => resolve(schema, found),
        None => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::Condition;

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
        same!(
            program::Program,
            program::ConsentAtEnrolment,
            program::Budget,
            program::Approval,
            program::Stop
        );
        same!(segments::Segments, segments::Segment, segments::Levers, Condition);
        same!(catalog::Catalog, catalog::Reward, catalog::Prior);
        same!(moments::Moments, moments::Moment, moments::Trigger);
        same!(guardrails::Guardrails, guardrails::Consent, guardrails::Suppress, guardrails::QuietHours);
        same!(guardrails::MemberCap, guardrails::RewardCap, guardrails::Rule);
        same!(experiments::Experiments, experiments::Holdout, experiments::Exploration);
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
        assert!(
            of("Trigger/properties/event/enum").is_some_and(|words| !words.to_string().contains("quiet"))
        );
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

    trait ReadsFrom: DeserializeOwned {
        /// Whether the document reads without a part.
        fn deserialize_from(table: toml::Table) -> bool {
            toml::from_str::<Self>(&table.to_string()).is_ok()
        }
    }
    impl<T: DeserializeOwned> ReadsFrom for T {}
}
