//! What every signed step shares: whose key, which ledger, and what became of it.

use std::path::{Path, PathBuf};

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

/// The ledgers a key signs for, beside the key file: one identity per line. Whoever runs a NATS server says which ledger is
/// behind it, and a signature is good for the ledger it names, wherever it was asked for.
fn known_file(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".ledgers");
    name.into()
}

/// Remembers that a key signs for a ledger.
///
/// # Errors
/// Exit 1 when it cannot be written down.
pub fn remember(key: &Path, ledger: &str) -> Result<()> {
    let file = known_file(key);
    let mut known = std::fs::read_to_string(&file).unwrap_or_default();
    if !known.lines().any(|line| line == ledger) {
        known.push_str(ledger);
        known.push('\n');
        std::fs::write(&file, known)
            .map_err(|error| Failure::runtime(anyhow::anyhow!("{}: {error}", file.display())))?;
    }
    Ok(())
}

/// The ledger a step is signed for: the one in the folder, or the one a server names, if the key is known to sign for it.
///
/// # Errors
/// Exit 2 when a server names another ledger than those this key signs for.
pub fn ledger_of(keyed: &Keyed, found: &Found) -> Result<String> {
    let ledger = found.identity()?;
    let Found::Behind(..) = found else { return Ok(ledger) };
    if keyed.place.ledger.as_ref() == Some(&ledger) {
        remember(&keyed.key, &ledger)?;
        return Ok(ledger);
    }
    let known = std::fs::read_to_string(known_file(&keyed.key)).unwrap_or_default();
    if keyed.place.ledger.is_none() && known.lines().any(|line| line == ledger) {
        return Ok(ledger);
    }
    Err(Failure::usage(format!(
        "the server says its ledger is {ledger}, and {} has not signed for that one; if it is the one you mean, say so with \
         --ledger {ledger} (the first line of `largesse policy history` and verifier.txt in its folder name it)",
        keyed.key.display()
    )))
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
