//! Who was about to read personal data, and why: the form of the rows that say so.
//!
//! A row says what somebody claimed: a person of people.toml under a signature, or the operating system's name of whoever ran
//! the command. It is written before anything is shown. Whoever holds `keys.db` and the master key can read by other means.

use domain::statement::{self, Said};
use domain::{Digest, MemberId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cases::{CaseId, Refusal};
use crate::entry::Entry;
use crate::erase::PURPOSE_BYTES_MAX;
use crate::kind::Kind;

/// Longest name of a command or user in characters.
const NAME_CHARS_MAX: usize = 64;

/// What somebody is about to read, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    pub purpose: String,
    /// The command that shows it.
    pub command: String,
    /// Whom it is about; absent where the ledger does not say, as with refused events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<MemberId>,
    /// The row; absent when it is every row about the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// The case it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
}

impl Said for Reading {
    const OPENING: &'static str = "largesse-reading 1\n";
}

/// A reading as it is signed.
pub type Statement = statement::Statement<Reading>;

/// A signed reading; the body of its ledger row.
pub type Signed = statement::Signed<Reading>;

/// A reading by somebody who signed nothing; the body of its ledger row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsigned {
    pub v: u32,
    /// Never used twice.
    pub id: String,
    pub at: Timestamp,
    /// What the operating system calls whoever ran the command. Nobody vouches for it.
    pub user: String,
    pub reading: Reading,
}

/// The body of a row, either way.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Recorded {
    Signed(Signed),
    Unsigned(Unsigned),
}

impl Recorded {
    /// What was read.
    pub fn reading(&self) -> &Reading {
        match self {
            Recorded::Signed(signed) => &signed.statement.step,
            Recorded::Unsigned(unsigned) => &unsigned.reading,
        }
    }
}

impl Reading {
    /// Whether it can be recorded.
    ///
    /// # Errors
    /// When a text says nothing, is too long or holds control characters.
    pub fn check(&self) -> Result<(), Refusal> {
        crate::cases::text("purpose", &self.purpose, PURPOSE_BYTES_MAX)?;
        if self.purpose.len() > PURPOSE_BYTES_MAX {
            let why = format!("has {} bytes, at most {PURPOSE_BYTES_MAX} are kept", self.purpose.len());
            return Err(Refusal::Text { what: "purpose", why });
        }
        crate::cases::text("command", &self.command, NAME_CHARS_MAX)
    }

    fn entry(&self, id: &str, body: String) -> Entry {
        let mut entry = Entry::new(Kind::Reading, record_id(id), body);
        entry.member = self.member;
        entry
    }
}

/// The row of a signed reading.
pub fn signed(signed: &Signed) -> Entry {
    let body = serde_json::to_string(signed).unwrap_or_default();
    signed.statement.step.entry(&signed.statement.id, body)
}

/// The row of an unsigned one.
///
/// # Errors
/// When the user's name cannot be recorded.
pub fn unsigned(unsigned: &Unsigned) -> Result<Entry, Refusal> {
    crate::cases::text("user", &unsigned.user, NAME_CHARS_MAX)?;
    let body = serde_json::to_string(unsigned).unwrap_or_default();
    Ok(unsigned.reading.entry(&unsigned.id, body))
}

/// The record id of a reading: a function of its statement's id, so that a statement is taken once without looking at all
/// readings there ever were.
pub fn record_id(statement: &str) -> [u8; 16] {
    let digest = Digest::of(format!("largesse-reading-id 1\n{statement}").as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.0[..16]);
    id
}
