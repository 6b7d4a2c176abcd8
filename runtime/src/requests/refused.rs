//! Statements that were refused although the right person signed them: they are spent.
//!
//! What is refused today could be right tomorrow, when nobody asks for it any more: whoever kept the file could put it
//! back. So a refusal is a row, whose id follows from the statement's, and nothing is judged twice.

use domain::Digest;
use domain::statement::Unheard;
use ledger::{Entry, Kind, Reader};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{JudgeError, Judged, Request};

/// The version of the form.
const VERSION: u32 = 1;

/// A refused statement; the body of its row.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    pub v: u32,
    /// The code of the refusal.
    pub refused: String,
    /// The statement as it was signed.
    pub signed: Value,
}

/// Refuses a statement that was refused before.
///
/// # Errors
/// When it was, or the ledger cannot be read.
pub(super) fn must_be_new(reader: &Reader, statement: &str) -> Result<(), JudgeError> {
    match reader.record(&record_id(statement))? {
        Some(_) => Err(Unheard::Replayed(statement.to_owned()).into()),
        None => Ok(()),
    }
}

/// The row of a refusal, where the statement is its signer's and would otherwise stay good.
///
/// # Errors
/// The refusal itself, where nothing is spent: nobody known signed it, it was judged before, or it was not judged at all.
pub(super) fn spent(request: &Request, error: JudgeError) -> Result<Judged, JudgeError> {
    let judged = match &error {
        JudgeError::Refused(_) | JudgeError::Case(_) => true,
        JudgeError::Unheard(unheard) => {
            matches!(unheard, Unheard::WrongTime { .. } | Unheard::NotAllowed { .. })
        }
        JudgeError::NoRun
        | JudgeError::Malformed { .. }
        | JudgeError::Unwritable { .. }
        | JudgeError::People(_)
        | JudgeError::Silent(_)
        | JudgeError::Bus(_)
        | JudgeError::Node(_)
        | JudgeError::Ledger(_) => false,
    };
    let Some(signed) = request.on_the_wire().filter(|_| judged) else { return Err(error) };
    let Ok(signed) = serde_json::from_slice(&signed) else { return Err(error) };
    let refused = Refused { v: VERSION, refused: error.code().to_owned(), signed };
    let body = serde_json::to_string(&refused).unwrap_or_default();
    let entries = vec![Entry::new(Kind::Operation, record_id(request.id()), body)];
    Ok(Judged { entries, changes: false, acts: false, refused: Some(error) })
}

/// The record id of a refusal: a function of the statement's id.
fn record_id(statement: &str) -> [u8; 16] {
    let digest = Digest::of(format!("largesse-refused-id 1\n{statement}").as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.0[..16]);
    id
}
