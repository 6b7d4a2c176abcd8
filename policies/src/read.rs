//! From TOML text to documents, reporting every mistake instead of the first.
//!
//! Serde stops at the first thing it does not like. So what it did not like is reported, cut out of the
//! parsed table, and the rest is read again, until nothing is left to complain about.

use std::ops::Range;

use serde::de::DeserializeOwned;
use serde_json::Value;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use crate::codes::Code;
use crate::documents::{resolve, schema};
use crate::problem::{Problem, closest};
use crate::source::{File, Sources};

/// Most mistakes reported per file by its shape; beyond it the file is probably another kind of file.
const MISTAKES_MAX: usize = 50;

/// The document of a file, without the parts that had mistakes; `None` when nothing usable is left.
pub(crate) fn read<T: DeserializeOwned>(
    sources: &Sources,
    file: File,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let text = sources.text(file);
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors.iter().take(MISTAKES_MAX) {
            let span = error.span().unwrap_or(0..0);
            problems.push(sources.problem(Code::Syntax, file, span, plain_syntax(error.message())));
        }
        return None;
    }
    let span = root.span();
    let mut table = root.into_inner();
    let mut cut: Vec<(Range<usize>, String)> = Vec::new();
    let schema = schema();
    for (own, key, at) in lists_for_tables(&mut table, &span, &schema, &schema["definitions"][file.name()]) {
        let message = format!("`{key}` is one table, not a list");
        let help = format!("write [{key}] or {key} = {{ .. }}");
        problems.push(sources.problem(Code::WrongShape, file, at, message).help(help));
        cut.push((own, key));
    }
    for _ in 0..MISTAKES_MAX {
        let again = toml::Spanned::new(span.clone(), table.clone());
        let error = match T::deserialize(Deserializer::from(again)) {
            Ok(document) => return Some(document),
            Err(error) => error,
        };
        let at = error.span().unwrap_or_else(|| span.clone());
        let missing = quoted(error.message()).next().filter(|_| error.message().starts_with("missing field"));
        // A key that was cut out is not missing, nor is the one it was a misspelling of.
        let meant = |name: &str, key: &str| closest(name, [key]).is_some();
        let follows =
            missing.is_some_and(|key| cut.iter().any(|(table, name)| *table == at && meant(name, key)));
        let problem = shape_problem(sources, file, at.clone(), error.message());
        if !follows && problems.last() != Some(&problem) {
            problems.push(problem);
        }
        cut.push(cut_out(&mut table, &span, &at)?);
    }
    None
}

/// What the TOML parser says, as people say it.
fn plain_syntax(message: &str) -> String {
    match message {
        "duplicate key" => "this key is given twice".to_owned(),
        message if message.starts_with("cannot recurse further") => {
            "brackets are nested too deep to be read".to_owned()
        }
        message => message.replace('\n', ", "),
    }
}

/// Cuts out lists that stand where a table belongs, which serde would read as the table's keys in their order.
///
/// Returns for each the span of the table it was cut from, its key and its own span.
fn lists_for_tables(
    table: &mut DeTable<'_>,
    own: &Range<usize>,
    schema: &Value,
    at: &Value,
) -> Vec<(Range<usize>, String, Range<usize>)> {
    let at = resolve(schema, at);
    let mut found = Vec::new();
    for (key, value) in table.iter_mut() {
        let expected = at["properties"].get(key.get_ref().as_ref()).unwrap_or(&at["additionalProperties"]);
        let (expected, span) = (resolve(schema, expected), value.span());
        let is_table = expected["type"] == "object";
        match value.get_mut() {
            DeValue::Array(_) if is_table => found.push((own.clone(), key.get_ref().to_string(), span)),
            DeValue::Array(items) => {
                for item in items.iter_mut() {
                    let span = item.span();
                    if let DeValue::Table(table) = item.get_mut() {
                        found.append(&mut lists_for_tables(table, &span, schema, &expected["items"]));
                    }
                }
            }
            DeValue::Table(table) => found.append(&mut lists_for_tables(table, &span, schema, expected)),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
    let here = found.iter().filter(|(table, ..)| table == own).map(|(_, key, _)| key.clone());
    let here: Vec<String> = here.collect();
    let keys: Vec<_> =
        table.keys().filter(|key| here.iter().any(|cut| *cut == **key.get_ref())).cloned().collect();
    keys.iter().for_each(|key| {
        table.remove(key);
    });
    found
}

/// Serde's message as one of ours.
fn shape_problem(sources: &Sources, file: File, span: Range<usize>, message: &str) -> Problem {
    let mut words = quoted(message);
    let first = words.next().unwrap_or_default();
    let known: Vec<&str> = words.collect();
    let help = match closest(first, known.iter().copied()) {
        Some(meant) => Some(format!("did you mean `{meant}`?")),
        None if known.is_empty() => None,
        None => Some(format!("known here: {}", known.join(", "))),
    };
    if message.starts_with("unknown field") {
        return sources.problem(Code::UnknownKey, file, span, format!("unknown key `{first}`")).help_if(help);
    }
    if message.starts_with("missing field") {
        return sources.problem(Code::MissingKey, file, span, format!("the key `{first}` is missing here"));
    }
    if message.starts_with("unknown variant") {
        return sources
            .problem(Code::UnknownReference, file, span, format!("`{first}` is not known here"))
            .help_if(help);
    }
    let written = sources.text(file).get(span.clone()).unwrap_or_default();
    let bare = written.trim_matches('"');
    let help = if message.contains("expected a string") && bare.starts_with(|c: char| c.is_ascii_digit()) {
        Some(format!("write it in quotes: \"{bare}\""))
    } else if message.contains("expected i64") && bare != written && bare.parse::<i64>().is_ok() {
        Some(format!("write it without quotes: {bare}"))
    } else {
        None
    };
    sources.problem(Code::WrongShape, file, span, plain(message)).help_if(help)
}

/// Serde's words for types as people say them.
fn plain(message: &str) -> String {
    let words = [
        ("invalid type: map", "this is a table"),
        ("invalid type: ", "this is a "),
        ("a string \"", "a text \""),
        ("expected i64", "expected a whole number"),
        ("expected a string", "expected a text in quotes"),
        ("expected a sequence", "expected a list in [ ]"),
        ("expected a map", "expected a table"),
        ("expected struct ", "expected a table of "),
        ("expected a boolean", "expected true or false"),
        ("this is a integer", "this is an integer"),
        ("a floating point", "a decimal number"),
    ];
    words.iter().fold(message.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The words between backticks.
pub(crate) fn quoted(message: &str) -> impl Iterator<Item = &str> {
    message.split('`').skip(1).step_by(2)
}

/// Removes the entry or list element that stands at `at` (or, failing that, the innermost that holds it).
///
/// Returns the span of the table it was cut from and its key; `None` when it is the whole file.
fn cut_out(table: &mut DeTable<'_>, own: &Range<usize>, at: &Range<usize>) -> Option<(Range<usize>, String)> {
    let holds = |span: &Range<usize>| span.start <= at.start && at.end <= span.end;
    let mut direct = None;
    for (key, value) in table.iter_mut() {
        if key.span() == *at {
            direct = Some(key.clone());
            break;
        }
        // A list of tables has the span of its first table: what is further inside is cut first.
        let span = value.span();
        if let Some(found) = cut_below(value.get_mut(), &span, at) {
            return Some(found);
        }
        if holds(&span) {
            direct = Some(key.clone());
        }
    }
    let key = direct?;
    table.remove(&key);
    Some((own.clone(), key.get_ref().to_string()))
}

fn cut_below(
    value: &mut DeValue<'_>,
    own: &Range<usize>,
    at: &Range<usize>,
) -> Option<(Range<usize>, String)> {
    match value {
        DeValue::Table(table) => cut_out(table, own, at),
        DeValue::Array(list) => {
            let mut direct = None;
            for (index, item) in list.iter_mut().enumerate() {
                let span = item.span();
                if span == *at {
                    direct = Some(index);
                    break;
                }
                if let Some(found) = cut_below(item.get_mut(), &span, at) {
                    return Some(found);
                }
            }
            let index = direct?;
            *list = without(list, index);
            Some((own.clone(), String::new()))
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => None,
    }
}

fn without<'i>(list: &DeArray<'i>, index: usize) -> DeArray<'i> {
    let mut kept = DeArray::new();
    for (_, value) in list.iter().enumerate().filter(|(at, _)| *at != index) {
        kept.push(value.clone());
    }
    kept
}
