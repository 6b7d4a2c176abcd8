//! Statements that were refused although the right person signed them: they are spent.
//!
//! What is refused today could be right tomorrow, when nobody asks for it any more: whoever kept the file could put it
//! back. So a refusal is a row, whose id follows from the statement's, and nothing is judged twice.

use domain::Digest;
use domain::statement::{Said, Signed, Unheard};
use ledger::{Entry, Kind, Reader, cases};
use policies::registry::Refusal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{JudgeError, Judged, Request};

/// The version of the form.
const VERSION: u32 = 1;
/// Longest statement that is kept whole with its refusal; ours have less than two thousand bytes. Of a longer one the digest
/// is kept: a refusal must not be a way to fill the ledger.
const STATEMENT_BYTES_MAX: usize = 8 << 10;
/// Longest id or name that is kept of a long one.
const NAME_CHARS_MAX: usize = 64;

/// A refused statement; the body of its row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub v: u32,
    /// The code of the refusal.
    pub refused: String,
    /// The statement as it was signed; of a long one who said what, and its digest.
    pub signed: Value,
}

/// Refuses a statement that was refused before.
///
/// # Errors
/// When it was, or the ledger cannot be read.
pub(super) fn must_be_new<S: Said>(reader: &Reader, signed: &Signed<S>) -> Result<(), JudgeError> {
    let id = &signed.statement.id;
    match reader.record(&record_id(id, &signed.key))? {
        Some(_) => Err(Unheard::Replayed(id.clone()).into()),
        None => Ok(()),
    }
}

/// The row of a refusal, where the statement is its signer's and would otherwise stay good.
///
/// # Errors
/// The refusal itself, where nothing is spent: nobody known signed it, it was judged before, or it was not judged at all.
pub(super) fn spent(request: &Request, error: JudgeError) -> Result<Judged, JudgeError> {
    let judged = match &error {
        JudgeError::Refused(Refusal::Unheard(unheard))
        | JudgeError::Case(cases::Refusal::Unheard(unheard))
        | JudgeError::Unheard(unheard) => {
            matches!(unheard, Unheard::WrongTime { .. } | Unheard::NotAllowed { .. })
        }
        JudgeError::Refused(_) | JudgeError::Case(_) => true,
        JudgeError::NoRun
        | JudgeError::Malformed { .. }
        | JudgeError::Unwritable { .. }
        | JudgeError::People(_)
        | JudgeError::Silent(_)
        | JudgeError::Bus(_)
        | JudgeError::Node(_)
        | JudgeError::Ledger(_) => false,
    };
    let (Some(signed), Some(key)) = (request.on_the_wire().filter(|_| judged), request.key()) else {
        return Err(error);
    };
    let Ok(mut said) = serde_json::from_slice::<Value>(&signed) else { return Err(error) };
    if signed.len() > STATEMENT_BYTES_MAX {
        let name =
            |value: &Value| value.as_str().map(|text| text.chars().take(NAME_CHARS_MAX).collect::<String>());
        let (statement, step) = (&said["statement"], &said["statement"]["step"]);
        said = json!({
            "statement": { "id": name(&statement["id"]), "by": name(&statement["by"]), "step": { "do": name(&step["do"]) } },
            "sha256": Digest::of(&signed),
        });
    }
    let signed = said;
    let refused = Refused { v: VERSION, refused: error.code().to_owned(), signed };
    let body = serde_json::to_string(&refused).unwrap_or_default();
    let entries = vec![Entry::new(Kind::Operation, record_id(request.id(), key), body)];
    Ok(Judged { entries, changes: false, acts: false, refused: Some(error) })
}

/// The record id of a refusal: a function of the statement's id and of whose it is, so that nobody spends another's.
fn record_id(statement: &str, key: &str) -> [u8; 16] {
    let digest = Digest::of(format!("largesse-refused-id 2\n{key}\n{statement}").as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.0[..16]);
    id
}
