//! Values that take the place of what was not written or cannot be used, so that the rest of a file is checked.
//!
//! They have no place ([`NOWHERE`]): whatever is found wrong with them was reported when they were put in. None of
//! them passes as a value somebody could have meant: texts are empty, numbers are below every range.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use crate::documents::resolve;
use crate::problem::NOWHERE;

/// A stand-in for what a schema asks for.
pub(super) fn stand_in<'i>(schema: &Value, at: &Value) -> Spanned<DeValue<'i>> {
    let at = resolve(schema, at);
    let value = match at["type"].as_str() {
        Some("boolean") => DeValue::Boolean(false),
        Some("integer") => number(),
        Some("array") => DeValue::Array(list(schema, &at["items"])),
        Some("object") => DeValue::Table(table(schema, at)),
        // Words that are types have to be one of the list.
        _ => DeValue::String(at["enum"][0].as_str().unwrap_or_default().to_owned().into()),
    };
    Spanned::new(NOWHERE, value)
}

fn number<'i>() -> DeValue<'i> {
    DeValue::parse("-9223372036854775808")
        .map_or_else(|_| DeValue::Integer(DeInteger::default()), Spanned::into_inner)
}

/// One element: an empty list would be reported as one.
fn list<'i>(schema: &Value, items: &Value) -> DeArray<'i> {
    let items = resolve(schema, items);
    let mut list = DeArray::new();
    // Words in lists are texts; one of them could be taken for what was meant.
    list.push(match items["type"].as_str() {
        Some("string") => Spanned::new(NOWHERE, DeValue::String("".into())),
        _ => stand_in(schema, items),
    });
    list
}

fn table<'i>(schema: &Value, at: &Value) -> DeTable<'i> {
    let mut table = DeTable::new();
    for key in at["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let value = stand_in(schema, &at["properties"][key]);
        table.insert(Spanned::new(NOWHERE, key.to_owned().into()), value);
    }
    table
}
