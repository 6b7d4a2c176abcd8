//! What every signed step shares: whose key, which ledger, and what became of it.

use std::path::PathBuf;

use domain::statement::{Said, Signed, Statement, VERSION};
use ledger::person::PersonKey;
use runtime::requests::{Answer, JudgeError, Request};
use serde_json::json;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document};
use crate::policy::place::{Found, Place};

/// Who takes a step, on which ledger.
#[derive(clap::Args)]
pub struct Keyed {
    #[command(flatten)]
    pub place: Place,
    /// Your key file (`largesse people add` makes one)
    #[arg(long, value_name = "FILE", env = "LARGESSE_KEY")]
    pub key: PathBuf,
    /// Sign only: write the request to a file, which counts once it lies in the ledger folder's inbox
    #[arg(long, value_name = "FILE")]
    pub write: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    pub output: Document,
}

impl Keyed {
    /// Who takes the step.
    ///
    /// # Errors
    /// Exit 2 when the key file cannot be used.
    pub fn person(&self) -> Result<PersonKey> {
        PersonKey::load(&self.key).map_err(Failure::usage)
    }
}

/// A statement of this person, for this ledger, made now.
pub fn signed<S: Said>(key: &PersonKey, ledger: String, step: S) -> Signed<S> {
    let (id, at) = (uuid::Uuid::now_v7().simple().to_string(), runtime::clock::wall());
    let statement = Statement { v: VERSION, ledger, id, at, by: key.name().to_owned(), step };
    let signature = key.sign(&statement.bytes());
    Signed { statement, key: key.public(), signature }
}

/// Has a request judged and recorded, and says what became of it; `more` goes into the JSON beside the row.
///
/// # Errors
/// Exit 4 when nobody could judge it. A refusal is exit 3, with its code on stderr.
pub fn put(
    keyed: &Keyed,
    found: &Found,
    request: &Request,
    done: &str,
    more: Option<(&str, String)>,
) -> Result {
    if let Some(file) = &keyed.write {
        let bytes = serde_json::to_vec(request).map_err(Failure::runtime)?;
        std::fs::write(file, bytes)
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        let id = request.id();
        output::line(&format!("signed; move it to inbox/{id}.json in the ledger's folder within an hour"))?;
        return Ok(Verdict::Ok);
    }
    let answer = crate::block_on(async { found.ask(request).await.map_err(unjudged) })?;
    match (&answer, keyed.output) {
        (_, Document::Json) => {
            let mut said = json!(answer);
            if let (Answer::Taken { .. }, Some((name, value))) = (&answer, more) {
                said[name] = value.into();
            }
            output::json(&said)?;
        }
        (Answer::Taken { row }, Document::Table) => output::line(&format!("{done} (row {row})"))?,
        (Answer::Refused { code, why }, Document::Table) => output::say(&format!("refused [{code}]: {why}")),
    }
    Ok(if matches!(answer, Answer::Taken { .. }) { Verdict::Ok } else { Verdict::FoundBad })
}

/// The exit code when nobody could judge a request.
pub fn unjudged(error: JudgeError) -> Failure {
    match error {
        JudgeError::Ledger(error) => crate::ledger_errors(error),
        JudgeError::Node(error) => crate::node_errors(error),
        other @ (JudgeError::Unheard(_)
        | JudgeError::Refused(_)
        | JudgeError::Case(_)
        | JudgeError::NoRun
        | JudgeError::Malformed { .. }
        | JudgeError::Unwritable { .. }
        | JudgeError::People(_)
        | JudgeError::Bus(_)
        | JudgeError::Silent(_)) => Failure::unavailable(other),
    }
}
