//! What people ask of a ledger: steps of policies and of cases, and to have it recorded that they read personal data.
//!
//! A request is a statement in the ledger folder's `inbox`, signed but for readings. A running node answers it; without one,
//! whoever asks opens the ledger and does the same. Steps of policies and cases also come over NATS. Start at
//! [`Desk::judge`].

mod aside;
mod asking;
mod files;
mod inbox;
mod people;
mod queue;
mod refused;
mod roster;

use std::path::{Path, PathBuf};

use domain::statement::{Said, Signed, Unheard};
use domain::{Digest, Event, Timestamp};
use ledger::{Entry, Keys, Reader, Seq, cases, reading};
use policies::registry::{Refusal, Step};
use serde::{Deserialize, Serialize};

pub use asking::{ask, ask_over};
pub use files::REQUEST_BYTES_MAX;
pub use inbox::{Answer, Inbox, Outcome, Slow};
pub use people::{Entry as PersonEntry, People, PeopleError};
pub use refused::Refused;
pub use roster::{changes, recorded as recorded_people};

use crate::node::NodeError;
use crate::registry::{self, Checked, Followed, Verdict};

/// One request. The form of each tells which it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Request {
    Policy(registry::Request),
    Case(CaseRequest),
    Reading(ReadingRequest),
    Unsigned(UnsignedRequest),
}

/// A signed step of a case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaseRequest {
    pub signed: cases::Signed,
}

/// That a person of people.toml is about to read personal data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadingRequest {
    pub signed: reading::Signed,
}

/// That somebody is about to, who signed nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsignedRequest {
    pub unsigned: reading::Unsigned,
}

impl From<registry::Request> for Request {
    fn from(request: registry::Request) -> Request {
        Request::Policy(request)
    }
}

impl From<cases::Signed> for Request {
    fn from(signed: cases::Signed) -> Request {
        Request::Case(CaseRequest { signed })
    }
}

impl From<reading::Signed> for Request {
    fn from(signed: reading::Signed) -> Request {
        Request::Reading(ReadingRequest { signed })
    }
}

impl From<reading::Unsigned> for Request {
    fn from(unsigned: reading::Unsigned) -> Request {
        Request::Unsigned(UnsignedRequest { unsigned })
    }
}

impl Request {
    /// The statement's id, which also names its file.
    pub fn id(&self) -> &str {
        match self {
            Request::Policy(request) => &request.signed.statement.id,
            Request::Case(request) => &request.signed.statement.id,
            Request::Reading(request) => &request.signed.statement.id,
            Request::Unsigned(request) => &request.unsigned.id,
        }
    }

    /// The key it is signed with.
    pub fn key(&self) -> Option<&str> {
        match self {
            Request::Policy(request) => Some(&request.signed.key),
            Request::Case(request) => Some(&request.signed.key),
            Request::Reading(request) => Some(&request.signed.key),
            Request::Unsigned(_) => None,
        }
    }

    /// The signed statement as it travels over NATS; readings do not, for personal data is read beside the ledger.
    pub fn on_the_wire(&self) -> Option<Vec<u8>> {
        match self {
            Request::Policy(request) => serde_json::to_vec(&request.signed).ok(),
            Request::Case(request) => serde_json::to_vec(&request.signed).ok(),
            Request::Reading(_) | Request::Unsigned(_) => None,
        }
    }

    /// What has to come along, with its digest.
    pub fn attachments(&self) -> impl Iterator<Item = (Digest, &str)> {
        let policy = if let Request::Policy(request) = self { Some(request) } else { None };
        policy.into_iter().flat_map(|request| {
            let step = &request.signed.statement.step;
            let named = [(step.attachment(), &request.attachment), (step.tests(), &request.tests)];
            named.into_iter().filter_map(|(digest, text)| Some((digest?, text.as_deref()?)))
        })
    }
}

/// A signed statement as it comes over NATS.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Spoken {
    Policy(policies::registry::Signed),
    Case(cases::Signed),
}

/// Who signed a statement.
///
/// # Errors
/// When nobody in people.toml did.
pub fn signer<'a, S: Said>(people: &'a People, signed: &Signed<S>) -> Result<&'a PersonEntry, Unheard> {
    let Signed { statement, key, signature } = signed;
    let person = people.find(&statement.by).ok_or_else(|| Unheard::UnknownPerson(statement.by.clone()))?;
    if person.key != *key {
        return Err(Unheard::OtherKey(statement.by.clone()));
    }
    if ledger::person::is_signed(key, &statement.bytes(), signature) {
        Ok(person)
    } else {
        Err(Unheard::Forged)
    }
}

/// What a request becomes.
pub struct Judged {
    /// The rows; the request holds from the last on.
    pub entries: Vec<Entry>,
    /// Whether what is decided by is another thing then.
    pub changes: bool,
    /// Whether a promise is to be made or taken back then ([`outstanding`]).
    pub acts: bool,
    /// Why it is refused, where its statement is spent nevertheless: the row says so.
    pub refused: Option<JudgeError>,
}

/// Refuses what no row can hold: the ledger would refuse the whole batch, and with it the node.
fn can_be_kept(judged: Judged) -> Result<Judged, JudgeError> {
    let found = judged.entries.iter().map(|entry| entry.body.len()).max().unwrap_or_default();
    let max = ledger::BODY_BYTES_MAX;
    if found > max { Err(Refusal::TooLarge { found, max }.into()) } else { Ok(judged) }
}

/// What requests are judged by.
pub struct Desk<'a> {
    pub folder: &'a Path,
    pub reader: &'a Reader,
    pub keys: &'a Keys,
    /// The registry as far as it was read.
    pub registry: &'a mut Followed,
    /// Identity of the ledger.
    pub identity: &'a str,
}

impl Desk<'_> {
    /// The rows a request becomes. A hand-in is judged with what was found when it was `checked`; without, it is said what
    /// there is to check.
    ///
    /// # Errors
    /// Why it is refused: the person, the signature, the role, or what the ledger holds.
    pub fn judge(
        &mut self,
        request: &Request,
        checked: Option<&Checked>,
        now: Timestamp,
    ) -> Result<Verdict<Judged>, JudgeError> {
        let people = People::load(self.folder)?;
        let judged = match request {
            Request::Policy(request) => match self.policy(&people, request, checked, now) {
                Ok(Verdict::Check(hand_in)) => return Ok(Verdict::Check(hand_in)),
                Ok(Verdict::Judged(judged)) => Ok(judged),
                Err(error) => Err(error),
            },
            Request::Case(request) => self.case(&people, request, now),
            Request::Reading(request) => crate::readings::signed(self, &people, &request.signed, now),
            Request::Unsigned(request) => crate::readings::unsigned(self, &request.unsigned),
        };
        let judged = judged.and_then(can_be_kept).or_else(|error| refused::spent(request, error))?;
        roster::known(self.reader, &people, judged).map(Verdict::Judged)
    }

    fn case(&self, people: &People, request: &CaseRequest, now: Timestamp) -> Result<Judged, JudgeError> {
        refused::must_be_new(self.reader, &request.signed)?;
        crate::cases::judge(self, people, &request.signed, now)
    }

    fn policy(
        &mut self,
        people: &People,
        request: &registry::Request,
        checked: Option<&Checked>,
        now: Timestamp,
    ) -> Result<Verdict<Judged>, JudgeError> {
        // First, so that what nobody signed costs no look at the ledger.
        let person = signer(people, &request.signed)?.person();
        refused::must_be_new(self.reader, &request.signed)?;
        let before = self.registry.now(self.reader)?.clone();
        let entries = match registry::judge(self, &before, people, &person, request, checked, now)? {
            Verdict::Judged(entries) => entries,
            Verdict::Check(hand_in) => return Ok(Verdict::Check(hand_in)),
        };
        // What was approved and then stopped waits for the switch.
        let acts = matches!(request.signed.statement.step, Step::Answer { .. } | Step::Resume { .. });
        let mut after = before.clone();
        after.take(&request.signed, now);
        let changes = !after.decides_as(&before);
        Ok(Verdict::Judged(Judged { entries, changes, acts, refused: None }))
    }
}

/// What people signed about promises and no node has done yet, as events: answers about those that wait, then reversals.
///
/// # Errors
/// When the ledger cannot be read.
pub fn outstanding(reader: &Reader, keys: &Keys, registry: &mut Followed) -> Result<Vec<Event>, NodeError> {
    let mut events = registry::outstanding(reader, keys, registry)?;
    events.extend(crate::cases::outstanding(reader, keys)?);
    Ok(events)
}

/// Why a request is not judged in its favour.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    #[error(transparent)]
    Unheard(#[from] Unheard),
    #[error(transparent)]
    Refused(#[from] policies::registry::Refusal),
    #[error(transparent)]
    Case(#[from] cases::Refusal),
    #[error("no node has ever run on this ledger, so there is no policy to change; start one first")]
    NoRun,
    #[error("{path} is no request: {why}")]
    Malformed { path: PathBuf, why: String },
    #[error("cannot write {path}: {why}")]
    Unwritable { path: PathBuf, why: std::io::Error },
    #[error(transparent)]
    People(#[from] PeopleError),
    #[error("no node answered at {0} in time; look whether the step was taken before you ask again")]
    Silent(String),
    #[error(transparent)]
    Bus(#[from] crate::bus::Error),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

impl JudgeError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            JudgeError::Unheard(unheard) => unheard.code(),
            JudgeError::Refused(refusal) => refusal.code(),
            JudgeError::Case(refusal) => refusal.code(),
            JudgeError::NoRun => "REG0022",
            JudgeError::Malformed { .. } => "REG0023",
            JudgeError::People(_) => "REG0025",
            JudgeError::Unwritable { .. }
            | JudgeError::Silent(_)
            | JudgeError::Bus(_)
            | JudgeError::Node(_)
            | JudgeError::Ledger(_) => "REG0024",
        }
    }
}

/// The row after which a request holds.
pub fn last_of(entries: &[Entry], first: Seq) -> Seq {
    Seq(first.0 + entries.len().saturating_sub(1) as u64)
}
