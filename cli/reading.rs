//! Nobody is shown personal data before it is recorded who asked, and why.
//!
//! The row goes through the inbox of a running node, or, where none runs, straight into the ledger. A copy that cannot be
//! written shows nothing personal.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use domain::MemberId;
use domain::statement::VERSION;
use ledger::person::PersonKey;
use ledger::reading::{Reading, Unsigned};
use ledger::{Keys, Reader};
use runtime::requests::{Answer, JudgeError, Request};

use crate::exit::{Failure, Result};
use crate::member::stated;
use crate::signing::{signed, unjudged};

/// Who looks at personal data, besides why.
#[derive(clap::Args)]
pub struct Who {
    /// Sign that you looked with your key file; otherwise your user name is recorded, as unsigned
    #[arg(long, value_name = "FILE", env = "LARGESSE_KEY")]
    pub key: Option<PathBuf>,
    /// The case you look for, by its id or the first digits
    #[arg(long, value_name = "CASE")]
    pub case: Option<String>,
}

/// Whose data is about to be shown.
#[derive(Clone, Copy)]
pub struct Whose {
    pub member: Option<MemberId>,
    /// The row; none for every row about the member.
    pub row: Option<u64>,
}

/// What somebody asked for, ready to be recorded.
pub fn request(dir: &Path, who: &Who, command: &str, purpose: &str, whose: Whose) -> Result<Request> {
    let purpose = stated("--purpose", purpose)?.to_owned();
    let case = match &who.case {
        Some(text) => Some(crate::case::named(&Reader::open(dir).map_err(crate::ledger_errors)?, text)?),
        None => None,
    };
    let Whose { member, row } = whose;
    refuse_naming(dir, member, &purpose)?;
    let reading = Reading { purpose, command: command.to_owned(), member, row, case };
    if let Some(path) = &who.key {
        let key = PersonKey::load(path).map_err(Failure::usage)?;
        return Ok(signed(&key, crate::policy::place::identity(dir)?, reading).into());
    }
    let (id, at) = (uuid::Uuid::now_v7().simple().to_string(), runtime::clock::wall());
    Ok(Unsigned { v: VERSION, id, at, user: user(), reading }.into())
}

/// Refuses a purpose that names the person by their identifier, where that can be known: the row stays after an erasure.
fn refuse_naming(dir: &Path, member: Option<MemberId>, purpose: &str) -> Result<()> {
    // Without keys, or erased, nothing personal will be shown either; who shows it says why.
    let raw = member.and_then(|member| Keys::open_in(dir, None).ok()?.identity(member).ok()?);
    match raw {
        Some(raw) if ledger::has_word(purpose, &raw) => Err(Failure::usage(ledger::Error::NamesMember)),
        _ => Ok(()),
    }
}

/// Records that somebody is about to be shown personal data; once this returns, the row is durable.
///
/// # Errors
/// Exit 3 with its code when it is refused, exit 4 when it cannot be recorded: nothing personal may be shown then.
pub fn record(dir: &Path, who: &Who, command: &str, purpose: &str, whose: Whose) -> Result<()> {
    let request = request(dir, who, command, purpose, whose)?;
    match crate::block_on(async { runtime::requests::ask(dir, &request).await.map_err(unrecorded) })? {
        Answer::Taken { .. } => Ok(()),
        Answer::Refused { code, why } => Err(refused(&code, &why)),
    }
}

/// A reading that was not taken.
pub fn refused(code: &str, why: &str) -> Failure {
    Failure::found_bad(anyhow::anyhow!("refused [{code}]: {why}; nothing personal is shown"))
}

fn unrecorded(error: JudgeError) -> Failure {
    if matches!(error, JudgeError::Unwritable { .. } | JudgeError::Silent(_)) {
        return Failure::unavailable(anyhow::anyhow!(
            "{error}. Personal data is shown only after it is recorded who asked and why; a copy that cannot be \
             written shows none"
        ));
    }
    unjudged(error)
}

/// What the operating system calls whoever runs this: the name of the process's user, or the number.
fn user() -> String {
    let Ok(process) = std::fs::metadata("/proc/self") else {
        return std::env::var("USER")
            .ok()
            .filter(|name| is_name(name))
            .unwrap_or_else(|| "unknown".to_owned());
    };
    let number = process.uid().to_string();
    let known = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = known.lines().find_map(|line| {
        let mut parts = line.split(':');
        let (name, uid) = (parts.next()?, parts.nth(1)?);
        (uid == number && is_name(name)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("uid {number}"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 32 && !name.chars().any(char::is_control)
}
