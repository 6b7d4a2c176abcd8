//! A parsed document beside its schema, and how one mistake in it is mended.
//!
//! Serde says where it stopped and not in which table, so the table is looked for by its place, outer ones first.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Source;
use super::stand_in::stand_in;
use crate::documents::resolve;

/// A document as far as it was read.
pub(super) struct Document<'a, 'i> {
    pub table: DeTable<'i>,
    pub span: Range<usize>,
    schema: &'a Value,
    root: &'a Value,
}

/// What was done about a mistake.
pub(super) enum Mended {
    /// A key got the name that was meant.
    Renamed,
    /// A value was put in the place of this key's.
    StoodIn { key: String },
    /// An entry was taken out of the root or of a table in it.
    TakenOut { root: bool },
}

/// A table of the document while it is visited.
struct Visited<'t, 'a, 'i> {
    table: &'t mut DeTable<'i>,
    span: &'t Range<usize>,
    /// Of the table, resolved.
    schema: &'a Value,
    root: bool,
}

impl<'a, 'i> Document<'a, 'i> {
    pub fn new(table: DeTable<'i>, span: Range<usize>, source: &Source<'a>) -> Document<'a, 'i> {
        let root = &source.schema["definitions"][root_name(source.name)];
        Document { table, span, schema: source.schema, root }
    }

    /// A key that is not known: `meant` chooses what it was to be among the keys that are not there.
    pub fn unknown_key(
        &mut self,
        at: &Range<usize>,
        meant: impl for<'w> Fn(&str, &[&'w str]) -> Option<&'w str>,
    ) -> Option<Mended> {
        self.visit(&mut |found, _| {
            let key = found.table.keys().find(|key| key.span() == *at)?.clone();
            let value = found.table.remove(&key)?;
            let properties = found.schema["properties"].as_object();
            let absent: Vec<&str> = properties
                .into_iter()
                .flat_map(|properties| properties.keys().map(String::as_str))
                .filter(|name| !found.table.keys().any(|key| key.get_ref() == name))
                .collect();
            let Some(meant) = meant(key.get_ref(), &absent) else {
                return Some(Mended::TakenOut { root: found.root });
            };
            found.table.insert(Spanned::new(key.span(), meant.to_owned().into()), value);
            Some(Mended::Renamed)
        })
    }

    /// A key without which a table cannot be.
    pub fn missing_key(&mut self, at: &Range<usize>, key: &str) -> Option<Mended> {
        self.visit(&mut |found, schema| {
            let required = found.schema["required"].as_array()?.iter().any(|name| name == key);
            if found.span != at || !required || found.table.keys().any(|name| name.get_ref() == key) {
                return None;
            }
            let value = stand_in(schema, &found.schema["properties"][key]);
            found.table.insert(Spanned::new(crate::problem::NOWHERE, key.to_owned().into()), value);
            Some(Mended::StoodIn { key: key.to_owned() })
        })
    }

    /// A value of another type than belongs there, or none of its words.
    pub fn unusable_value(&mut self, at: &Range<usize>) -> Option<Mended> {
        self.visit(&mut |found, schema| {
            for (key, value) in found.table.iter_mut() {
                let expected = expected(schema, found.schema, key.get_ref());
                let stood_in = || Mended::StoodIn { key: key.get_ref().to_string() };
                if value.span() == *at {
                    *value = stand_in(schema, expected);
                    return Some(stood_in());
                }
                let DeValue::Array(items) = value.get_mut() else { continue };
                if let Some(item) = items.iter_mut().find(|item| item.span() == *at) {
                    *item = stand_in(schema, &expected["items"]);
                    if let DeValue::String(word) = item.get_mut() {
                        *word = "".into();
                    }
                    return Some(stood_in());
                }
            }
            None
        })
    }

    /// Puts stand-ins where lists stand and tables belong; the key and place of each.
    pub fn lists_for_tables(&mut self) -> Vec<(String, Range<usize>)> {
        let mut lists = Vec::new();
        let _: Option<()> = self.visit(&mut |found, schema| {
            for (key, value) in found.table.iter_mut() {
                let expected = expected(schema, found.schema, key.get_ref());
                if expected["type"] == "object" && matches!(value.get_ref(), DeValue::Array(_)) {
                    lists.push((key.get_ref().to_string(), value.span()));
                    *value = stand_in(schema, expected);
                }
            }
            None
        });
        lists
    }

    /// Calls `look` with each table, outer ones first, until it has found what it looks for.
    fn visit<R>(&mut self, look: &mut Look<'_, 'a, 'i, R>) -> Option<R> {
        let (schema, root) = (self.schema, resolve(self.schema, self.root));
        visit(Visited { table: &mut self.table, span: &self.span, schema: root, root: true }, schema, look)
    }
}

type Look<'l, 'a, 'i, R> = dyn FnMut(&mut Visited<'_, 'a, 'i>, &'a Value) -> Option<R> + 'l;

fn visit<'a, 'i, R>(
    mut found: Visited<'_, 'a, 'i>,
    schema: &'a Value,
    look: &mut Look<'_, 'a, 'i, R>,
) -> Option<R> {
    if let Some(result) = look(&mut found, schema) {
        return Some(result);
    }
    let of_table = found.schema;
    for (key, value) in found.table.iter_mut() {
        let expected = expected(schema, of_table, key.get_ref());
        let span = value.span();
        match value.get_mut() {
            DeValue::Table(table) => {
                let inner = Visited { table, span: &span, schema: expected, root: false };
                if let Some(result) = visit(inner, schema, look) {
                    return Some(result);
                }
            }
            DeValue::Array(items) => {
                let of_item = resolve(schema, &expected["items"]);
                for item in items.iter_mut() {
                    let span = item.span();
                    let DeValue::Table(table) = item.get_mut() else { continue };
                    let inner = Visited { table, span: &span, schema: of_item, root: false };
                    if let Some(result) = visit(inner, schema, look) {
                        return Some(result);
                    }
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
    None
}

/// What belongs under a key of a table.
fn expected<'a>(schema: &'a Value, table: &'a Value, key: &str) -> &'a Value {
    resolve(schema, table["properties"].get(key).unwrap_or(&table["additionalProperties"]))
}

/// Files of tests have names of their own and one schema.
fn root_name(file: &str) -> &str {
    if file.starts_with("tests/") { crate::documents::TESTS } else { file }
}
