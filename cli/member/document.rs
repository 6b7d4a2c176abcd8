//! Everything about one member, as JSON and as text.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use domain::{Digest, MemberId};
use ledger::{Keys, Kind, Reader, Row};
use policies::Bundle;
use serde_json::{Value, json};

use crate::exit::{Failure, Result};
use crate::log;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// What a member gets.
pub struct Export {
    pub json: Value,
    pub text: String,
    pub rows: usize,
}

impl Export {
    /// Opens and explains every row about a member.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn of(reader: &Reader, keys: &Keys, member: MemberId) -> Result<Export> {
        let rows = reader.rows_of(member).map_err(crate::ledger_errors)?;
        let identifier = super::export::identifier(keys, member)?;
        let (mut all, mut bundles) = (Vec::new(), BTreeMap::new());
        let mut text = vec![
            "What this program holds about you".to_owned(),
            String::new(),
            format!("your identifier: {}", identifier.as_deref().unwrap_or("not kept")),
            format!("your pseudonym in the log: {member}"),
            format!("rows about you: {}", rows.len()),
        ];
        for row in &rows {
            let mut opened = log::document(row, keys);
            text.push(String::new());
            text.push(format!("row {} of {}: {}", row.seq, row.recorded_at, row.kind.text()));
            if let Some(digest) = row.bundle {
                load(reader, digest, &mut bundles)?;
            }
            match explained(reader, keys, row)? {
                Some((explanation, said)) => {
                    opened["explanation"] = explanation;
                    text.push(said);
                }
                // What people did about the member has no personal part: who read, what a case says.
                None if opened["personal"].is_null() => text.push(format!("  {}", opened["public"])),
                None => text.push(format!("  {}", opened["personal"])),
            }
            all.push(opened);
        }
        text.extend(logic(&bundles));
        let json = json!({
            "schema": VERSION, "identifier": identifier, "member": member, "rows": all, "policies": policies(&bundles),
        });
        Ok(Export { json, text: text.join("\n"), rows: rows.len() })
    }
}

/// Why a decision was made, where it still can be said; JSON and text.
fn explained(reader: &Reader, keys: &Keys, row: &Row) -> Result<Option<(Value, String)>> {
    use sim::explain::Error;
    if row.kind != Kind::Decision {
        return Ok(None);
    }
    match sim::explain::explain(reader, keys, row) {
        Ok(explanation) => {
            let json = serde_json::to_value(&explanation).map_err(Failure::runtime)?;
            Ok(Some((json, log::explain_text(&explanation))))
        }
        Err(error @ (Error::Erased(_) | Error::Pruned(_))) => {
            Ok(Some((json!({ "absent": error.to_string() }), format!("  {error}"))))
        }
        Err(Error::Ledger(error)) => Err(crate::ledger_errors(error)),
        Err(error @ (Error::NotADecision(_) | Error::Row { .. })) => Err(Failure::runtime(error)),
    }
}

fn load(reader: &Reader, digest: Digest, bundles: &mut BTreeMap<Digest, Bundle>) -> Result<()> {
    if let Entry::Vacant(place) = bundles.entry(digest) {
        let bundle = runtime::opening::recorded_bundle(reader, digest).map_err(crate::node_errors)?;
        place.insert(bundle);
    }
    Ok(())
}

/// The rules of each policy the member was decided by.
fn policies(bundles: &BTreeMap<Digest, Bundle>) -> Value {
    let of = |bundle: &Bundle| json!({ "program": bundle.program().name, "rules": bundle.rules() });
    bundles
        .iter()
        .map(|(digest, bundle)| (digest.to_string(), of(bundle)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The same for people: what each rule says, and the condition it tests.
fn logic(bundles: &BTreeMap<Digest, Bundle>) -> Vec<String> {
    let mut lines = Vec::new();
    for (digest, bundle) in bundles {
        lines.push(String::new());
        lines.push(format!("The rules of {}, policy {digest}:", bundle.program().name));
        for rule in bundle.rules() {
            let condition = rule.expr.as_ref().map(|expr| format!(" [{expr}]")).unwrap_or_default();
            lines.push(format!("  {}: {}{condition}", rule.id, rule.text));
        }
    }
    lines
}
