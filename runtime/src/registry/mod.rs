//! The registry of policies as a node keeps it: the ledger's rows folded, and steps judged.
//!
//! Steps come as [`crate::requests`]. What changes the policy in force ends the node's run, and the next run, in the same
//! process, starts under it: no decision ever mixes two bundles. Start at [`judge`].

mod followed;
mod hand_in;
mod waiting;

use domain::{Digest, Timestamp};
use ledger::{Entry, Filter, Kind, Reader, Row};
use policies::cases::Texts;
use policies::registry::{Due, Impact, Person, Refusal, Registry, Signed, Step, report_of};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use followed::Followed;
pub use hand_in::{Checked, HandIn, contradictions, other_terms};
pub use waiting::{Waiting, waiting};
pub(crate) use waiting::{outstanding, still_held, stopped};

use crate::node::NodeError;
use crate::opening::{holding, recorded_bundle};
use crate::requests::{Desk, JudgeError, People, Refused};

/// The kinds of rows the registry is folded from.
const KINDS: [Kind; 4] = [Kind::Start, Kind::Operation, Kind::Approval, Kind::KillSwitch];

/// A signed statement, and what it names by digest: a bundle's canonical bytes and its tests, or an impact report.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub signed: Signed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<String>,
}

/// Folds the registry from a ledger's rows.
///
/// # Errors
/// When the ledger cannot be read, or a row is not in its form.
pub fn load(reader: &Reader, identity: &str) -> Result<Registry, NodeError> {
    let mut followed = Followed::new(identity);
    followed.now(reader)?;
    Ok(followed.registry)
}

/// Every row the registry is folded from, in order.
///
/// # Errors
/// When the ledger cannot be read.
pub fn rows(reader: &Reader) -> Result<Vec<Row>, NodeError> {
    Ok(reader.of_kinds(&KINDS)?)
}

/// What a row of the registry says.
pub enum Recorded {
    Started(Digest),
    Step(Box<Signed>),
    Due(Due),
    /// Asked for, and refused.
    Refused(Refused),
}

/// Reads a row of the registry; `None` for rows that say nothing about it.
///
/// # Errors
/// When the row is not in its form.
pub fn read(row: &Row) -> Result<Option<Recorded>, NodeError> {
    let wrong = |error: serde_json::Error| NodeError::Row { seq: row.seq, why: error.to_string() };
    let body = row.body.as_deref().unwrap_or_default();
    if row.kind == Kind::Start {
        return Ok(row.bundle.map(Recorded::Started));
    }
    if let Ok(due) = serde_json::from_str::<Due>(body) {
        return Ok(Some(Recorded::Due(due)));
    }
    if let Ok(refused) = serde_json::from_str::<Refused>(body) {
        return Ok(Some(Recorded::Refused(refused)));
    }
    Ok(Some(Recorded::Step(Box::new(serde_json::from_str(body).map_err(wrong)?))))
}

/// How far a request is judged.
pub enum Verdict<T> {
    Judged(T),
    /// To be checked first, and then judged again with what was found: meanwhile the registry may have moved.
    Check(HandIn),
}

impl<T> Verdict<T> {
    /// The judgement, where nothing is to be checked.
    pub fn judged(self) -> Option<T> {
        match self {
            Verdict::Judged(judged) => Some(judged),
            Verdict::Check(_) => None,
        }
    }
}

/// The rows a request becomes that `person` signed.
///
/// # Errors
/// Why it is refused: the role, or the state of the registry.
pub fn judge(
    desk: &Desk,
    registry: &Registry,
    people: &People,
    person: &Person,
    request: &Request,
    checked: Option<&Checked>,
    now: Timestamp,
) -> Result<Verdict<Vec<Entry>>, JudgeError> {
    let (reader, keys) = (desk.reader, desk.keys);
    let statement = &request.signed.statement;
    let in_force = match registry.in_force() {
        Some(digest) => recorded_bundle(reader, digest)?,
        None => return Err(JudgeError::NoRun),
    };
    let others = registry.canary().map(|canary| canary.of.bundle);
    let others = others.into_iter().chain(registry.scheduled().map(|scheduled| scheduled.bundle));
    let mut bundles = others.map(|digest| recorded_bundle(reader, digest)).collect::<Result<Vec<_>, _>>()?;
    bundles.push(in_force.clone());
    registry.admit(statement, person, now, &bundles)?;
    if let Step::Activate { bundle } | Step::Schedule { bundle, .. } | Step::Canary { bundle, .. } =
        &statement.step
    {
        registry.approved_by_any(*bundle, |approval| people.may_still(approval))?;
    }
    if let Step::Approve { bundle, impact, .. } = &statement.step {
        says_something(reader, *bundle, *impact)?;
    }
    if let Step::Answer { decision, approve, .. } = &statement.step {
        waiting::may_be_answered(reader, keys, registry, *decision, *approve, now)?;
    }
    let mut entries = Vec::new();
    let given = request.attachment.as_deref().unwrap_or_default();
    if let Step::Assess { bundle, impact } = &statement.step {
        if Digest::of(given.as_bytes()) != *impact {
            return Err(Refusal::OtherReport(*impact).into());
        }
        let report = report_of(given, *bundle, in_force.digest())?;
        let not = |why: String| Refusal::NoReport { bundle: *bundle, why };
        if report.currency != in_force.program().currency {
            let (found, here) = (&report.currency, &in_force.program().currency);
            return Err(not(format!("it counts in {found}, this ledger in {here}")).into());
        }
        let size = reader.size()?;
        if report.until.is_some_and(|until| until > size) {
            return Err(not(format!("it is of rows beyond {size}, where the ledger ends")).into());
        }
        entries.push(about(Kind::ImpactReport, *bundle, given));
    }
    if let Step::Submit { bundle, tests: named, .. } = &statement.step {
        let hand_in = HandIn::of(request, *bundle, *named)?;
        let Some(checked) = checked.filter(|checked| checked.is_of(*bundle)) else {
            return Ok(Verdict::Check(hand_in));
        };
        checked.fits(&in_force)?;
        if holding(reader, *bundle)?.is_none() {
            entries.push(about(Kind::Bundle, *bundle, given));
        }
        entries.push(about(Kind::Tests, *bundle, request.tests.as_deref().unwrap_or_default()));
    }
    let kind = match statement.step {
        Step::Approve { .. } | Step::Answer { .. } => Kind::Approval,
        Step::Stop { .. } | Step::Resume { .. } => Kind::KillSwitch,
        Step::Submit { .. }
        | Step::Assess { .. }
        | Step::Schedule { .. }
        | Step::Activate { .. }
        | Step::Shadow { .. }
        | Step::Canary { .. }
        | Step::Withdraw { .. }
        | Step::RollBack { .. } => Kind::Operation,
    };
    let body = serde_json::to_string(&request.signed).unwrap_or_default();
    let mut row = Entry::new(kind, Uuid::now_v7().into_bytes(), body);
    row.bundle = statement.step.bundle();
    entries.push(row);
    Ok(Verdict::Judged(entries))
}

/// A row that keeps what came along about a bundle.
fn about(kind: Kind, bundle: Digest, text: &str) -> Entry {
    let mut row = Entry::new(kind, Uuid::now_v7().into_bytes(), text.to_owned());
    row.bundle = Some(bundle);
    row
}

/// Refuses a report about no event where there are events to compare. What was erased or pruned cannot be.
fn says_something(reader: &Reader, bundle: Digest, impact: Digest) -> Result<(), JudgeError> {
    let row = report(reader, bundle)?;
    let text = row.as_ref().and_then(|row| row.body.as_deref()).unwrap_or_default();
    // One in the form of an earlier build is for the registry's own rules.
    let Ok(Impact { events: 0, erased, .. }) = serde_json::from_str(text) else { return Ok(()) };
    let rows = event_rows(reader)?;
    if rows > erased { Err(Refusal::NothingCompared { impact, rows }.into()) } else { Ok(()) }
}

/// How many rows of events a ledger holds, timers among them.
///
/// # Errors
/// When the ledger cannot be read.
pub fn event_rows(reader: &Reader) -> Result<u64, NodeError> {
    let counts = reader.counts()?;
    let of_events = counts.iter().filter(|count| matches!(count.kind, Kind::Observed | Kind::Decision));
    Ok(of_events.map(|count| count.rows).sum())
}

/// The newest impact report of a bundle, as it was recorded.
///
/// # Errors
/// When the ledger cannot be read.
pub fn report(reader: &Reader, bundle: Digest) -> Result<Option<Row>, NodeError> {
    newest(reader, Kind::ImpactReport, bundle)
}

/// The tests a bundle passed when it was handed in; those of earlier builds were not recorded.
///
/// # Errors
/// When the ledger cannot be read, or the row is not in its form.
pub fn tests(reader: &Reader, bundle: Digest) -> Result<Option<Texts>, NodeError> {
    let Some(row) = newest(reader, Kind::Tests, bundle)? else { return Ok(None) };
    let wrong = |why: &str| NodeError::Row { seq: row.seq, why: why.to_owned() };
    Texts::from_canonical(row.body.as_deref().unwrap_or_default()).map(Some).map_err(wrong)
}

fn newest(reader: &Reader, kind: Kind, bundle: Digest) -> Result<Option<Row>, NodeError> {
    let newest =
        Filter { kind: Some(kind), bundle: Some(bundle), newest_first: true, limit: 1, ..Filter::default() };
    Ok(reader.list(&newest)?.into_iter().next())
}

/// The row of a schedule that came due.
pub fn due_entry(bundle: Digest, scheduled_by: &str) -> Entry {
    let due = Due { v: policies::registry::VERSION, bundle, scheduled_by: scheduled_by.to_owned() };
    let body = serde_json::to_string(&due).unwrap_or_default();
    let mut row = Entry::new(Kind::Operation, Uuid::now_v7().into_bytes(), body);
    row.bundle = Some(bundle);
    row
}
