//! Replay: the same brains, driven by the ledger's rows on a virtual clock, must give the same bytes.
//!
//! Members are rebuilt by folding their events, segments by deciding their moments in order, prices from the
//! recorded plans. Scores, reservations and decision ids are taken as recorded: they came from outside the
//! brains. Every decision is then rendered again and compared byte for byte, every demand answer and
//! certificate is checked again. A row of another `semantics_version` is refused.
//!
//! Start at [`replay`]; [`run`] holds one run's segments, [`compare`] says what differs.

pub mod compare;
mod members;
mod recorded;
mod reinfer;
mod run;
mod under;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;

use agents::negotiation::{Period, Plan};
use agents::policy::GlobalPolicy;
use domain::{Digest, SEMANTICS_VERSION};
use ledger::{Keys, Kind, Reader, Row, Seq};
use models::Models;
use policies::Bundle;
use policies::registry::Sides;
use serde::Serialize;

pub use compare::Difference;
use members::{Members, Rebuilt};
use reinfer::Reinference;
pub use reinfer::Reinferred;
use run::{Control, Run, Runs};
use under::Under;
pub use under::{Answer, Line, Other};

/// Rows read at a time.
const PAGE_ROWS: u32 = 1_000;
/// Differences kept for the report; the count goes on.
const DIFFERENCES_MAX: usize = 100;

/// Why a replay cannot be done at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Keys(#[from] ledger::KeyError),
    #[error(
        "row {seq} was decided under semantics version {found}, this build has {SEMANTICS_VERSION}; replay it with the build that wrote it"
    )]
    OtherSemantics { seq: Seq, found: u32 },
    #[error("row {seq}: {why}")]
    Row { seq: Seq, why: String },
    #[error("the other policy has more segments or rewards than can be negotiated")]
    TooLarge,
}

/// What a replay found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Decisions recomputed and compared.
    pub decisions: u64,
    /// What came out differently: rows (decisions, observed events, demand answers, certificates), and timers
    /// that the ledger does not remember.
    pub mismatches: u64,
    /// Events that only changed facts, recomputed and compared.
    pub observed: u64,
    /// Certificates verified by the independent checker.
    pub certificates: u64,
    /// Demand answers recomputed from the segments' own rows and compared.
    pub answers: u64,
    /// What the models said when they were run again; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reinferred: Option<Reinferred>,
    /// What another policy says; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under: Option<Answer>,
    /// Rows that cannot be replayed because their member was erased.
    pub erased: u64,
    /// Rows that cannot be replayed because they, rows of their member before them or the prices of their run were pruned.
    pub pruned: u64,
    /// Demand answers that rest on such rows, and so are not compared.
    pub unknown_answers: u64,
    /// The first differences, in ledger order.
    pub differences: Vec<Difference>,
}

impl Report {
    /// Whether everything came out as recorded.
    pub fn is_identical(&self) -> bool {
        self.mismatches == 0
    }

    fn differ(&mut self, difference: Difference) {
        self.mismatches += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        }
    }
}

/// What is replayed, and how.
#[derive(Debug, Default)]
pub struct Options {
    /// Rows to compare; all when absent.
    pub rows: Option<RangeInclusive<u64>>,
    /// Models to run again on the rebuilt features; recorded scores are taken as they are when absent.
    pub reinfer: Option<Models>,
    /// A policy that is asked about the same moments.
    pub under: Option<Other>,
}

/// Replays the ledger in `folder` from its first row and compares what the options name.
///
/// `progress(done, of)` is called once per page of rows.
///
/// # Errors
/// When the ledger cannot be read, or was written under other semantics. What merely differs is in the report.
pub fn replay(folder: &Path, options: Options, mut progress: impl FnMut(u64, u64)) -> Result<Report, Error> {
    let Options { rows: scope, reinfer, under } = options;
    let under = under.map(|other| Under::new(other).ok_or(Error::TooLarge)).transpose()?;
    let reader = Reader::open(folder)?.as_found();
    let keys = Keys::open_in(folder, None)?;
    let last = scope.as_ref().map_or(u64::MAX, |scope| *scope.end()).min(reader.size()?);
    let controls = controls(&reader)?;
    let mut replay = Replay {
        bundles: BTreeMap::new(),
        members: Members::new(keys, reinfer.map(Reinference::new), under),
        run: None,
        controls,
        scope,
        report: Report::default(),
    };
    let mut seq = Seq::START;
    while seq.0 < last {
        let page = reader.after(seq, PAGE_ROWS)?;
        if page.is_empty() {
            break;
        }
        for row in page.iter().filter(|row| row.seq.0 <= last) {
            replay.row(row)?;
        }
        seq = page.last().map_or(seq, |row| row.seq);
        progress(seq.0.min(last), last);
    }
    replay.report.reinferred = replay.members.reinferred();
    replay.report.under = replay.members.take_answer();
    if let (Some(run), None) = (&mut replay.run, &replay.scope) {
        run.finish(&mut replay.report);
        replay.members.compare_stored(&reader, run, &mut replay.report)?;
    }
    Ok(replay.report)
}

/// What happened to the segments of a run, with the bundle whose segments they are; rows of earlier versions name none.
type Controls = Vec<(Option<Digest>, Control)>;

/// The controls of each run, by the row that started it, and the runs of which some were pruned.
#[derive(Default)]
struct Recorded {
    runs: BTreeMap<Seq, Controls>,
    gone: BTreeSet<Seq>,
}

/// Plans and periods of each run, by the row that started the run: segments need them ahead of the decisions
/// that were made while they were under way.
fn controls(reader: &Reader) -> Result<Recorded, Error> {
    let mut recorded = Recorded::default();
    let mut run = Seq::START;
    for row in reader.of_kinds(&[Kind::Start, Kind::Budget, Kind::Certificate])? {
        if row.kind == Kind::Start {
            run = row.seq;
        } else if row.body.is_none() {
            recorded.gone.insert(run);
        } else {
            let of_row = control(&row)?.into_iter().map(|control| (row.bundle, control));
            recorded.runs.entry(run).or_default().extend(of_row);
        }
    }
    Ok(recorded)
}

fn control(row: &Row) -> Result<Vec<Control>, Error> {
    let wrong = |error: serde_json::Error| Error::Row { seq: row.seq, why: error.to_string() };
    let body = row.body.as_deref().unwrap_or_default();
    if row.kind == Kind::Budget {
        let period: Period = serde_json::from_str(body).map_err(wrong)?;
        return Ok(vec![Control::Period(Arc::new(period.table))]);
    }
    let plan: Plan = serde_json::from_str(body).map_err(wrong)?;
    let table = plan.table.clone().map(|table| Control::Install(Arc::new(table)));
    Ok(std::iter::once(Control::Freeze(row.seq, Arc::new(plan))).chain(table).collect())
}

struct Replay {
    bundles: BTreeMap<Digest, Arc<Bundle>>,
    members: Members,
    run: Option<Runs>,
    controls: Recorded,
    scope: Option<RangeInclusive<u64>>,
    report: Report,
}

impl Replay {
    fn row(&mut self, row: &Row) -> Result<(), Error> {
        match row.kind {
            Kind::Start => self.start(row),
            Kind::Bundle => self.bundle(row),
            Kind::Certificate => self.certificate(row),
            Kind::Observed | Kind::Decision => self.member_row(row),
            // Budgets are checked by the ledger's own verification; dead letters changed nothing.
            Kind::Budget
            | Kind::DeadLetter
            | Kind::Genesis
            | Kind::Models
            | Kind::Outcome
            | Kind::PriceTable
            | Kind::Grant
            | Kind::Bid
            | Kind::Escalation
            | Kind::Approval
            | Kind::KillSwitch
            | Kind::Operation
            | Kind::Export
            | Kind::Unmasking
            | Kind::Erasure
            | Kind::SignIn
            | Kind::Retention
            | Kind::KeyRotation
            | Kind::ImpactReport
            | Kind::Hold
            | Kind::Case
            | Kind::Reading
            | Kind::Tests
            | Kind::Upgrade
            | Kind::People => Ok(()),
        }
    }

    fn in_scope(&self, row: &Row) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.contains(&row.seq.0))
    }

    fn start(&mut self, row: &Row) -> Result<(), Error> {
        if let (Some(run), None) = (&mut self.run, &self.scope) {
            run.finish(&mut self.report);
        }
        let wrong = |why: &str| Error::Row { seq: row.seq, why: why.to_owned() };
        let sides: Sides = serde_json::from_str(row.body.as_deref().unwrap_or_default())
            .map_err(|error| wrong(&error.to_string()))?;
        let controls = self.controls.runs.remove(&row.seq).unwrap_or_default();
        let gone = self.controls.gone.contains(&row.seq);
        let candidate = sides.canary.map(|canary| canary.of.bundle);
        let (of_candidate, of_rest): (Controls, Controls) =
            controls.into_iter().partition(|(bundle, _)| candidate.is_some() && *bundle == candidate);
        let run = |digest: Option<Digest>, stops, controls: Controls| {
            let bundle = digest.and_then(|digest| self.bundles.get(&digest).cloned());
            let bundle = bundle.ok_or_else(|| wrong("no row before it holds its bundle"))?;
            Run::new(bundle, stops, controls.into_iter().map(|(_, control)| control).collect(), gone)
                .ok_or_else(|| wrong("its bundle has more segments or rewards than can be negotiated"))
        };
        let in_force = run(row.bundle, sides.stops, of_rest)?;
        let canary = match sides.canary {
            Some(side) => Some((side.of, run(candidate, side.stops, of_candidate)?)),
            None => None,
        };
        self.run = Some(Runs { in_force, canary });
        Ok(())
    }

    fn bundle(&mut self, row: &Row) -> Result<(), Error> {
        let wrong = |why: String| Error::Row { seq: row.seq, why };
        let bundle = Bundle::from_canonical(row.body.as_deref().unwrap_or_default().as_bytes())
            .map_err(|problems| wrong(problems.render()))?;
        self.bundles.insert(bundle.digest(), Arc::new(bundle));
        Ok(())
    }

    fn certificate(&mut self, row: &Row) -> Result<(), Error> {
        if !self.in_scope(row) {
            return Ok(());
        }
        let Some(body) = &row.body else {
            self.report.pruned += 1;
            return Ok(());
        };
        self.report.certificates += 1;
        let wrong = |error: serde_json::Error| Error::Row { seq: row.seq, why: error.to_string() };
        let plan: Plan = serde_json::from_str(body).map_err(wrong)?;
        let verified = match &plan.table {
            Some(table) => agents::check::verify_table(&plan.certificate, table).err(),
            None => agents::check::verify(&plan.certificate).err(),
        };
        if let Some(violation) = verified {
            self.report.differ(Difference::of(row.seq, "certificate", "verified", &violation.to_string()));
        }
        Ok(())
    }

    fn member_row(&mut self, row: &Row) -> Result<(), Error> {
        if row.semantics != SEMANTICS_VERSION {
            return Err(Error::OtherSemantics { seq: row.seq, found: row.semantics });
        }
        let compare = self.in_scope(row);
        let Some(run) = &mut self.run else {
            return Err(Error::Row { seq: row.seq, why: "no run was started before it".to_owned() });
        };
        // Demand answers belong to the ledger as a whole; a replay of chosen rows speaks about those rows only.
        let mut elsewhere = Report::default();
        let report = if self.scope.is_none() { &mut self.report } else { &mut elsewhere };
        let member = row.member.ok_or(Error::Row { seq: row.seq, why: "it names no member".to_owned() })?;
        let rebuilt = self.members.rebuild(row, member, run.of(member), report, compare)?;
        match (rebuilt, compare) {
            (Rebuilt::Erased, true) => {
                self.report.erased += 1;
                self.members.nothing_to_ask();
            }
            (Rebuilt::Pruned, true) => {
                self.report.pruned += 1;
                self.members.nothing_to_ask();
            }
            (Rebuilt::Erased | Rebuilt::Pruned, false) => {}
            (Rebuilt::Same(_), false) | (Rebuilt::Different(_, _), false) => {}
            (Rebuilt::Same(kind), true) => self.count(kind),
            (Rebuilt::Different(kind, difference), true) => {
                self.count(kind);
                self.report.differ(difference);
            }
        }
        Ok(())
    }

    fn count(&mut self, kind: Kind) {
        if kind == Kind::Decision {
            self.report.decisions += 1;
        } else {
            self.report.observed += 1;
        }
    }
}

/// The policy agent of a replayed run.
fn policy(bundle: &Arc<Bundle>) -> Option<GlobalPolicy> {
    GlobalPolicy::fresh(Arc::clone(bundle))
}
