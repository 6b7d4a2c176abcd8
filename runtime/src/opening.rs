//! What the ledger says when a node takes it up, and what the node writes first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agents::negotiation::{Layout, Period, Plan};
use agents::policy::{Canary, GlobalPolicy, Past, Periods, Standing, budgets};
use agents::segment::{Counted, Escrow, Limits};
use domain::{Digest, Micros, Ppm};
use ledger::{Debit, Entry, Filter, Kind, Reader, Row, Seq};
use models::scorer::Models;
use policies::registry::{CanarySide, Share, Sides};
use policies::{Bundle, Stops};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::catch_up::HeldBack;
use crate::clock;
use crate::config::Options;
use crate::node::{NodeError, load_sound, named};
use crate::registry;
use crate::shared::Shared;
use crate::sides::Purse;
use crate::tree::Candidate;
use crate::windows;

/// An opened ledger, and the agents' memory as it says.
pub struct Opened {
    pub ledger: ledger::Writer,
    pub reader: Reader,
    pub policy: GlobalPolicy,
    pub purse: Arc<Purse>,
    pub candidate: Option<Beginning>,
    /// Limits that change with what is in force; recorded by the row that starts the run.
    pub reanchored: budgets::Allowances,
    /// What later allowances count against; recorded with them.
    pub owed: budgets::Allowances,
    /// What windows under way have taken that nobody counted for them; recorded with them, too.
    pub windows: BTreeMap<Arc<str>, Micros>,
    /// What the run before left.
    pub past: Option<Past>,
}

/// A canary whose agents are about to be made.
pub struct Beginning {
    pub side: CanarySide,
    pub purse: Arc<Purse>,
    policy: GlobalPolicy,
}

impl Beginning {
    /// The canary beside the bundle in force: the same node, another bundle and another purse.
    pub fn beside(self, in_force: &Shared) -> Candidate {
        let Beginning { side, purse, policy } = self;
        let bundle = Arc::clone(&purse.bundle);
        let shared = Arc::new(Shared { bundle, purse, stops: side.stops, ..in_force.clone() });
        Candidate { share: side.of, shared, policy }
    }
}

/// The name of a program's ledger in its signed heads.
pub fn origin(bundle: &Bundle) -> String {
    format!("largesse/{}", crate::bus::subject::token(&bundle.program().name))
}

/// What a run decides by.
struct InForce {
    bundle: Arc<Bundle>,
    stops: Stops,
    canary: Option<(CanarySide, Arc<Bundle>)>,
}

/// What the ledger's registry has in force, or, where nobody chose anything yet, the configured bundle.
fn in_force(options: &Options, reader: &Reader, identity: &str) -> Result<InForce, NodeError> {
    let registry = registry::load(reader, identity)?;
    let bundle = match registry.chosen() {
        Some(chosen) => {
            if options.policy.is_some() {
                tracing::info!(bundle = %chosen, "the registry's policy is in force, not the configured folder");
            }
            recorded_bundle(reader, chosen)?
        }
        None => configured(options, reader, registry.canary().is_some())?,
    };
    let canary = match registry.canary() {
        Some(canary) => {
            let candidate = recorded_bundle(reader, canary.of.bundle)?;
            Some((CanarySide { of: canary.of, stops: registry.stops(&candidate) }, Arc::new(candidate)))
        }
        None => None,
    };
    Ok(InForce { stops: registry.stops(&bundle), bundle: Arc::new(bundle), canary })
}

/// The configured bundle, where nobody chose one yet. It is read when a process starts: a kill switch, or the canary that was
/// compared with what is in force, is no reason to take over what lies in the folder by then. A folder with mistakes keeps nobody
/// from what the last run decided by.
fn configured(options: &Options, reader: &Reader, has_canary: bool) -> Result<Bundle, NodeError> {
    let Some(last) = newest(reader, Kind::Start)?.and_then(|start| start.bundle) else {
        return load_sound(options.policy.as_ref());
    };
    if options.again || has_canary {
        return recorded_bundle(reader, last);
    }
    let before = recorded_bundle(reader, last)?;
    let taken = load_sound(options.policy.as_ref()).and_then(|bundle| {
        let place = named(options.policy.as_ref());
        match registry::other_terms(&bundle, &before) {
            // Whose ledger it is is asked next: perhaps the folder of another one was named.
            Some(problems) if origin(&bundle) == origin(&before) => {
                Err(NodeError::Policy { place, problems })
            }
            Some(_) | None => Ok(bundle),
        }
    });
    taken.or_else(|error| {
        tracing::error!(%error, bundle = %last, "the configured policy is not taken; the last run's stays in force");
        Ok(before)
    })
}

/// Opens the ledger, and finds in it what to decide by: in this order, so that no step is taken in between.
///
/// # Errors
/// When the configured bundle has mistakes, the ledger refuses, or a row that is needed cannot be used.
pub fn open(options: &Options) -> Result<Opened, NodeError> {
    let origin = match ledger::identity_of(&options.dir)? {
        Some(_) => Reader::open(&options.dir)?.origin()?,
        None => origin(&load_sound(options.policy.as_ref())?),
    };
    let heads_lost = options.heads_lost;
    let new = ledger::Options::new(&options.dir, &origin, clock::wall());
    let (mut ledger, recovery) = ledger::Writer::open(&ledger::Options { heads_lost, ..new })?;
    tracing::info!(rows = recovery.rows, epoch = recovery.epoch, created = recovery.created, "ledger open");
    let reader = ledger.reader()?;
    let InForce { bundle, stops, canary } = in_force(options, &reader, &ledger.identity())?;
    let (before, last_share) = last_sides(&reader)?;
    if let Some(last) = before.first()
        && let Some(problems) = registry::other_terms(&bundle, last)
    {
        let place =
            options.policy.as_ref().map_or_else(|| "force".to_owned(), |path| path.display().to_string());
        return Err(NodeError::Policy { place, problems });
    }
    if self::origin(&bundle) != origin {
        let found = format!("it is log {origin:?}, the policy is for {:?}", self::origin(&bundle));
        return Err(ledger::Error::Foreign { path: options.dir.clone(), found }.into());
    }
    let shape = |bundle: &Bundle| NodeError::Shape {
        segments: bundle.segments().len(),
        rewards: bundle.rewards().len(),
    };
    let mut counted = counted(&reader)?;
    let deciding: Vec<&Bundle> =
        std::iter::once(&*bundle).chain(canary.iter().map(|(_, candidate)| &**candidate)).collect();
    let windows = windows::lacking(&reader, &before, &deciding, &counted, clock::wall())?;
    let same = |one: &Bundle, other: &Bundle| one.has_timers_of(other);
    let as_before = before.len() == deciding.len()
        && before.iter().zip(&deciding).all(|(before, now)| same(before, now))
        // Members may have changed sides.
        && (deciding.len() == 1 || same(deciding[0], deciding[1]) || last_share == canary.as_ref().map(|(side, _)| side.of.share));
    if !before.is_empty() && !as_before {
        let members = ledger.wake_everyone()?;
        tracing::info!(members, "the timers of the policy are others: every member is looked at");
    }
    for (id, missing) in &windows {
        *counted.entry(Arc::clone(id)).or_default() += missing.0;
    }
    windows::formerly(&reader, &bundle, &mut counted)?;
    let candidate = match canary {
        Some((side, candidate)) => {
            let alone = GlobalPolicy::fresh(Arc::clone(&candidate)).ok_or_else(|| shape(&candidate))?;
            // What both sides have is lent anew: what earlier runs promised counts with the bundle in force.
            let lent = Canary::new(Arc::clone(&candidate), side.of.share);
            let counted = counted.clone();
            let limits = Limits::of_canary(Arc::clone(&candidate), &bundle, counted, side.of.share);
            let escrow = escrow(&ledger, &candidate, alone.layout(), |id| lent.owns(&bundle, id));
            let escrow = escrow.within(limits);
            let purse = Arc::new(Purse::new(candidate, escrow));
            Some((lent, Beginning { side, purse, policy: alone }))
        }
        None => None,
    };
    let (lent, candidate) = candidate.unzip();
    let (mut standing, periods) = (standing(&reader)?, periods(&reader)?);
    let allowed = budgets::allowances(&bundle, lent.as_ref().map(|canary| (&*canary.bundle, canary.share)));
    // Before the first period there is nothing that could change.
    let reanchored = match periods.end {
        Some(_) => standing.reanchor(&last_allowances(&reader)?, &allowed),
        None => budgets::Allowances::new(),
    };
    let owed = standing.owed.clone();
    let policy = GlobalPolicy::new(Arc::clone(&bundle), stops, periods, standing, lent);
    let policy = policy.ok_or_else(|| shape(&bundle))?;
    let limits = match &candidate {
        Some(candidate) => Limits::beside_canary(Arc::clone(&bundle), counted, candidate.side.of.share),
        None => Limits::new(Arc::clone(&bundle), counted),
    };
    let escrow = escrow(&ledger, &bundle, policy.layout(), |_| true).within(limits);
    let purse = Arc::new(Purse::new(Arc::clone(&bundle), escrow));
    // Rows of older builds may say it in another form: a run that begins without is what it was before.
    let past = past(&reader).unwrap_or_else(|error| {
        tracing::warn!(%error, "what the last run knew cannot be read; this one begins without");
        None
    });
    Ok(Opened { ledger, reader, policy, purse, candidate, reanchored, owed, windows, past })
}

/// The bundles the last run decided by, the one in force first, and the share of its canary; none before the first run.
fn last_sides(reader: &Reader) -> Result<(Vec<Bundle>, Option<Ppm>), NodeError> {
    let Some(start) = newest(reader, Kind::Start)? else { return Ok((Vec::new(), None)) };
    let canary = sides_of(&start)?.canary.map(|canary| canary.of);
    let digests = start.bundle.into_iter().chain(canary.map(|canary| canary.bundle));
    let bundles = digests.map(|digest| recorded_bundle(reader, digest)).collect::<Result<_, _>>()?;
    Ok((bundles, canary.map(|canary| canary.share)))
}

/// What the row of a start says its run decided by.
fn sides_of(start: &Row) -> Result<Sides, NodeError> {
    serde_json::from_str(start.body.as_deref().unwrap_or_default())
        .map_err(|error| NodeError::Row { seq: start.seq, why: error.to_string() })
}

/// The newest row of a kind.
pub(crate) fn newest(reader: &Reader, kind: Kind) -> Result<Option<Row>, ledger::Error> {
    let newest = Filter { kind: Some(kind), newest_first: true, limit: 1, ..Filter::default() };
    Ok(reader.list(&newest)?.into_iter().next())
}

/// The budget periods earlier runs opened.
fn periods(reader: &Reader) -> Result<Periods, NodeError> {
    let Some(row) = newest(reader, Kind::Budget)? else { return Ok(Periods::default()) };
    let period: Period = serde_json::from_str(&row.body.unwrap_or_default())
        .map_err(|error| NodeError::Row { seq: row.seq, why: error.to_string() })?;
    Ok(Periods { opened: period.period, end: Some(period.to) })
}

/// Rows to look through for the last plan with prices; at most every other one only sets an anchor.
const PLANS: u32 = 4;

/// What the newest run that negotiated left, by its bundle in force; `None` when none did, or it was pruned.
fn past(reader: &Reader) -> Result<Option<Past>, NodeError> {
    let Some(last) = newest(reader, Kind::Certificate)? else { return Ok(None) };
    let newest_first = Filter { newest_first: true, limit: 1, ..Filter::default() };
    let starts = Filter { kind: Some(Kind::Start), before: Some(last.seq), ..newest_first.clone() };
    let Some(start) = reader.list(&starts)?.into_iter().next() else { return Ok(None) };
    let Some(digest) = start.bundle else { return Ok(None) };
    let wrong = |seq| move |error: serde_json::Error| NodeError::Row { seq, why: error.to_string() };
    let sides = sides_of(&start)?;
    let rest = sides.canary.map_or(Ppm::ONE, |canary| canary.of.share.complement());
    let of_run = Filter { bundle: Some(digest), after: Some(start.seq), ..newest_first };
    let plans = Filter { kind: Some(Kind::Certificate), limit: PLANS, ..of_run.clone() };
    for row in reader.list(&plans)? {
        let Some(body) = &row.body else { return Ok(None) };
        let plan: Plan = serde_json::from_str(body).map_err(wrong(row.seq))?;
        if plan.table.is_none() {
            continue;
        }
        let periods = Filter { kind: Some(Kind::Budget), before: Some(row.seq), ..of_run };
        let Some(period) = reader.list(&periods)?.into_iter().next() else { return Ok(None) };
        let Some(body) = &period.body else { return Ok(None) };
        let period: Period = serde_json::from_str(body).map_err(wrong(period.seq))?;
        return Ok(Past::new(Arc::new(recorded_bundle(reader, digest)?), rest, &period, &plan));
    }
    Ok(None)
}

/// The budgets as the ledger holds them.
fn standing(reader: &Reader) -> Result<Standing, NodeError> {
    let balances = reader.budgets()?.into_iter();
    let balances = balances.map(|(id, balance)| {
        (Arc::from(id), (balance.limit.0, balance.reserved.0.saturating_add(balance.committed.0)))
    });
    Ok(Standing { balances: balances.collect(), owed: owed(reader)? })
}

/// What is owed of limits, as the newest row that sets some says; rows of older builds say nothing.
fn owed(reader: &Reader) -> Result<budgets::Allowances, NodeError> {
    #[derive(Deserialize)]
    struct Owing {
        #[serde(default)]
        owed: budgets::Allowances,
    }
    let rows = [newest(reader, Kind::Start)?, newest(reader, Kind::Budget)?];
    let Some(row) = rows.into_iter().flatten().max_by_key(|row| row.seq) else {
        return Ok(budgets::Allowances::new());
    };
    let owing: Owing = serde_json::from_str(&row.body.unwrap_or_default())
        .map_err(|error| NodeError::Row { seq: row.seq, why: error.to_string() })?;
    Ok(owing.owed)
}

/// What the ledger counts of promises that have not ended, and of windows of time.
fn counted(reader: &Reader) -> Result<Counted, NodeError> {
    let counts = reader.budgets()?.into_iter().filter(|(id, _)| budgets::is_count(id));
    let held = |balance: ledger::Balance| balance.reserved.0.saturating_add(balance.committed.0);
    Ok(counts.map(|(id, balance)| (Arc::from(id), held(balance))).collect())
}

/// What one period allowed of each budget in the newest run that had it.
fn last_allowances(reader: &Reader) -> Result<budgets::Allowances, NodeError> {
    let mut last = budgets::Allowances::new();
    let mut seen: Vec<(Digest, Option<Share>)> = Vec::new();
    for start in reader.of_kinds(&[Kind::Start])?.iter().rev() {
        let Some(bundle) = start.bundle else { continue };
        let sides = sides_of(start)?;
        let share = sides.canary.map(|canary| canary.of);
        if seen.contains(&(bundle, share)) {
            continue;
        }
        seen.push((bundle, share));
        let candidate = match share {
            Some(share) => Some((recorded_bundle(reader, share.bundle)?, share.share)),
            None => None,
        };
        let candidate = candidate.as_ref().map(|(bundle, share)| (bundle, *share));
        for (id, allowed) in budgets::allowances(&recorded_bundle(reader, bundle)?, candidate) {
            last.entry(id).or_insert(allowed);
        }
    }
    Ok(last)
}

/// The escrow as the ledger's budgets say, with nothing granted yet; `counts` says which budgets it holds.
fn escrow(ledger: &ledger::Writer, bundle: &Bundle, layout: Layout, counts: impl Fn(&str) -> bool) -> Escrow {
    let ids = budgets::ids(bundle);
    let balances: Vec<_> = ids.iter().map(|id| ledger.balance(id).filter(|_| counts(id))).collect();
    let pad = |mut amounts: Vec<i64>| {
        amounts.resize(layout.len(), 0);
        amounts
    };
    let reserved =
        pad(balances.iter().map(|balance| balance.map_or(0, |balance| balance.reserved.0)).collect());
    let spent =
        pad(balances.iter().map(|balance| balance.map_or(0, |balance| balance.committed.0)).collect());
    let limited = budgets::per_period(bundle).iter().map(Option::is_some).collect();
    Escrow::rebuild(layout, limited, reserved, spent)
}

/// The body of the row that starts a run.
#[derive(Serialize)]
struct Start<'a> {
    v: u32,
    version: &'a str,
    semantics: u32,
    engine: &'a str,
    engine_version: &'a str,
    heads_lost: bool,
    #[serde(flatten)]
    sides: &'a Sides,
    #[serde(skip_serializing_if = "budgets::Allowances::is_empty")]
    owed: &'a budgets::Allowances,
    /// Rows whose promises a kill switch keeps from being published.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    held_back: BTreeSet<u64>,
}

/// Records what this run decides with: the run itself with its bundle and switches, and bundle and models where
/// the ledger does not hold them yet.
///
/// # Errors
/// When the rows cannot be written.
pub fn record_start(
    opened: &mut Opened,
    sides: &Sides,
    models: &Models,
    heads_lost: bool,
    held_back: &HeldBack,
) -> Result<(), NodeError> {
    let Opened { ledger, reader, policy, reanchored, owed, windows, .. } = opened;
    let bundle = policy.bundle();
    let entry = |kind, body: String| Entry::new(kind, Uuid::now_v7().into_bytes(), body);
    let engine = models.engine();
    let mut entries = Vec::new();
    if holding(reader, bundle.digest())?.is_none() {
        let mut row = entry(Kind::Bundle, String::from_utf8_lossy(bundle.canonical()).into_owned());
        row.bundle = Some(bundle.digest());
        entries.push(row);
    }
    if newest(reader, Kind::Models)?.and_then(|row| row.models) != Some(models.digest()) {
        let manifests: Vec<_> = models
            .manifests()
            .iter()
            .map(|manifest| {
                serde_json::json!({
                    "name": manifest.name, "version": manifest.version, "sha256": manifest.sha256,
                })
            })
            .collect();
        let mut row = entry(Kind::Models, serde_json::json!({ "v": 1, "models": manifests }).to_string());
        row.models = Some(models.digest());
        entries.push(row);
    }
    let start = Start {
        v: 1,
        version: env!("CARGO_PKG_VERSION"),
        semantics: domain::SEMANTICS_VERSION,
        engine: engine.name,
        engine_version: &engine.version,
        heads_lost,
        sides,
        owed,
        held_back: held_back.rows.iter().map(|seq| seq.0).collect(),
    };
    // Plain values: rendering them cannot fail.
    let mut row = entry(Kind::Start, serde_json::to_string(&start).unwrap_or_default());
    row.bundle = Some(bundle.digest());
    let limits = reanchored.iter();
    row.debits = limits.map(|(id, limit)| Debit::limit(Arc::clone(id), Micros(*limit))).collect();
    row.debits.extend(windows.iter().map(|(id, taken)| Debit::count_for_good(Arc::clone(id), *taken)));
    entries.push(row);
    ledger.append(clock::wall(), &entries)?;
    Ok(())
}

/// The row that holds a bundle.
///
/// # Errors
/// When the ledger cannot be read.
pub fn holding(reader: &Reader, digest: Digest) -> Result<Option<Row>, ledger::Error> {
    let wanted = Filter { kind: Some(Kind::Bundle), bundle: Some(digest), limit: 1, ..Filter::default() };
    Ok(reader.list(&wanted)?.into_iter().next())
}

/// The bundle with this digest, as the ledger holds it.
///
/// # Errors
/// When no row holds it or it cannot be read.
pub fn recorded_bundle(reader: &Reader, digest: Digest) -> Result<Bundle, NodeError> {
    let row = holding(reader, digest)?
        .ok_or(NodeError::Row { seq: Seq(0), why: format!("no row holds bundle {digest}") })?;
    Bundle::from_canonical(row.body.unwrap_or_default().as_bytes())
        .map_err(|problems| NodeError::Row { seq: row.seq, why: problems.render() })
}
