//! The documents described for editors: one JSON Schema (draft-07) made of the same declarations that are read.
//!
//! [`documents`] declares a table once; its doc comments are its manual here too. Nothing is checked against the
//! schema: it only helps people to write what the checker will accept.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use serde_json::{Map, Value, json};

use super::{cases, catalog, experiments, guardrails, moments, program, segments};
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

/// The definition of a file of a bundle's tests.
pub(crate) const TESTS: &str = "tests";

/// JSON Schema (draft-07) of the six files of a bundle and of its tests, for TOML editors. It fits each of the files;
/// the definition of one file has the name of the file.
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
    let tests = cases::Cases::describe(&mut definitions);
    definitions.insert(TESTS.to_owned(), tests);
    let files: Vec<Value> = File::ALL
        .map(File::name)
        .iter()
        .chain([&TESTS])
        .map(|name| json!({ "$ref": format!("#/definitions/{name}") }))
        .collect();
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A file of a Largesse bundle, or of its tests",
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
