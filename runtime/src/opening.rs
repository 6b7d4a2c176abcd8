//! What the ledger says when a node takes it up, and what the node writes first.

use std::collections::BTreeMap;
use std::sync::Arc;

use agents::negotiation::{Layout, Period};
use agents::policy::{GlobalPolicy, Periods, Standing, budgets};
use agents::segment::Escrow;
use domain::Digest;
use ledger::{Entry, Filter, Kind, Reader, Row, Seq};
use models::scorer::Models;
use policies::{Bundle, Stops};
use uuid::Uuid;

use crate::clock;
use crate::config::Options;
use crate::node::NodeError;

/// An opened ledger, and the agents' memory as it says.
pub struct Opened {
    pub ledger: ledger::Writer,
    pub reader: Reader,
    pub policy: GlobalPolicy,
    pub escrow: Escrow,
}

/// The name of a program's ledger in its signed heads.
pub fn origin(bundle: &Bundle) -> String {
    format!("largesse/{}", crate::bus::subject::token(&bundle.program().name))
}

/// Opens the ledger for a node that decides by this bundle, with these switches off.
///
/// # Errors
/// When the ledger refuses, or a row that is needed cannot be used.
pub fn open(options: &Options, bundle: &Arc<Bundle>, stops: Stops) -> Result<Opened, NodeError> {
    let heads_lost = options.heads_lost;
    let options = ledger::Options::new(&options.dir, &origin(bundle), clock::wall());
    let (ledger, recovery) = ledger::Writer::open(&ledger::Options { heads_lost, ..options })?;
    tracing::info!(rows = recovery.rows, epoch = recovery.epoch, created = recovery.created, "ledger open");
    let reader = ledger.reader()?;
    let standing = standing(&reader, bundle)?;
    let policy =
        GlobalPolicy::new(Arc::clone(bundle), stops, periods(&reader)?, standing).ok_or_else(|| {
            NodeError::Shape { segments: bundle.segments().len(), rewards: bundle.rewards().len() }
        })?;
    let escrow = escrow(&ledger, bundle, policy.layout());
    Ok(Opened { ledger, reader, policy, escrow })
}

/// The newest row of a kind.
fn newest(reader: &Reader, kind: Kind) -> Result<Option<Row>, ledger::Error> {
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

/// The budgets, and what the last run's bundle allowed where that was another one.
fn standing(reader: &Reader, bundle: &Bundle) -> Result<Standing, NodeError> {
    let balances = reader.budgets()?.into_iter();
    let balances: BTreeMap<_, _> = balances
        .map(|(id, balance)| {
            (Arc::from(id), (balance.limit.0, balance.reserved.0.saturating_add(balance.committed.0)))
        })
        .collect();
    match newest(reader, Kind::Start)?.and_then(|start| start.bundle) {
        Some(former) if former != bundle.digest() => {
            Ok(Standing::after(&recorded_bundle(reader, former)?, balances))
        }
        Some(_) | None => Ok(Standing { balances, former: None }),
    }
}

/// The escrow as the ledger's budgets say, with nothing granted yet.
fn escrow(ledger: &ledger::Writer, bundle: &Bundle, layout: Layout) -> Escrow {
    let balances: Vec<_> = budgets::ids(bundle).iter().map(|id| ledger.balance(id)).collect();
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

/// Records what this run decides with: the run itself with its bundle and switches, and bundle and models where
/// the ledger does not hold them yet.
///
/// # Errors
/// When the rows cannot be written.
pub fn record_start(
    ledger: &mut ledger::Writer,
    reader: &Reader,
    policy: &GlobalPolicy,
    models: &Models,
    heads_lost: bool,
) -> Result<(), NodeError> {
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
    let start = serde_json::json!({
        "v": 1, "version": env!("CARGO_PKG_VERSION"), "semantics": domain::SEMANTICS_VERSION,
        "engine": engine.name, "engine_version": engine.version, "heads_lost": heads_lost,
        "stops": policy.stops(),
    });
    let mut row = entry(Kind::Start, start.to_string());
    row.bundle = Some(bundle.digest());
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
