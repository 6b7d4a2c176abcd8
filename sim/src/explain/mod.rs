//! Why a decision was made, and why not each losing candidate: read from the log alone.
//!
//! Conditions are evaluated again on the recorded facts under the recorded bundle, so the answer is the same
//! months and versions later. Nothing here decides; it looks up, re-evaluates and names.
//!
//! [`counterfactual`] says what would have led to another answer, [`member`] what the member may be told, [`reversal`]
//! what people did about it afterwards.

pub mod counterfactual;
pub mod member;
pub mod reversal;

use std::collections::BTreeMap;
use std::sync::Arc;

use agents::member::facts::put_now;
use agents::member::{Member, State};
use agents::negotiation::{Plan, Status};
use domain::record::read_decision;
use domain::{Decision, Micros, Outcome, Reason, Scores, Timestamp};
use ledger::{DataKey, Filter, Keys, Kind, Reader, Row, Seq};
use models::features::FeatureVector;
use policies::findings::Finding;
use policies::registry::Sides;
use policies::{Bundle, MomentIndex, RuleIndex, Situation, Stops};
use serde::Serialize;

use counterfactual::{Counterfactual, Scene};
use reversal::ReversalAnswer;

/// Rows read at a time.
const PAGE_ROWS: u32 = 500;

/// Why a row cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("row {0} is not a decision; `largesse log show` prints it")]
    NotADecision(Seq),
    #[error("row {0} cannot be opened: its member was erased")]
    Erased(Seq),
    #[error("row {0} cannot be explained: its parts were pruned by retention")]
    Pruned(Seq),
    #[error("row {seq}: {why}")]
    Row { seq: Seq, why: String },
}

/// One candidate, with why it won or lost.
#[derive(Clone, Debug, Serialize)]
pub struct CandidateAnswer {
    pub reward: String,
    pub name: String,
    pub cost: Micros,
    pub reason: Reason,
    pub text: &'static str,
    /// The rule of the policy that said so.
    pub rule: Option<String>,
    pub value: Micros,
    pub price: Micros,
    /// Value minus price minus the member's own price for one contact.
    pub net: Micros,
    /// What the segment's lever added to the value, or took from it.
    pub lever: Micros,
    /// The net value that was forgone because the candidate was kept out; zero for the chosen and what was worth less.
    pub forgone: Micros,
    /// What rules found about this reward, with the values they looked at; only what speaks against it.
    pub against: Vec<Finding>,
}

/// One input of the models, with the purchases it was computed from.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureAnswer {
    pub feature: &'static str,
    pub value: f32,
    /// Rows of the purchases behind it, oldest purchase first.
    pub rows: Vec<u64>,
    /// Purchases too old to be held one by one, which entered as totals.
    pub folded: u64,
}

/// The negotiation whose prices were used.
#[derive(Clone, Debug, Serialize)]
pub struct Negotiation {
    pub seq: u64,
    pub status: Status,
    pub gap_ppm: u32,
    pub rounds: usize,
    pub concluded_at: Timestamp,
}

/// The whole answer.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    pub seq: u64,
    pub decision: domain::DecisionId,
    pub event: domain::Event,
    pub considered_at: Timestamp,
    pub decided_at: Timestamp,
    pub program: String,
    pub currency: String,
    pub moment: String,
    pub segment: Option<String>,
    pub outcome: Outcome,
    pub reason: Reason,
    pub text: &'static str,
    pub rule: Option<String>,
    /// What a member may be told about that rule.
    #[serde(skip)]
    pub rule_text: Option<String>,
    pub reward: Option<String>,
    pub valid_until: Option<Timestamp>,
    pub scores: Option<Scores>,
    /// Every fact the policy could read, as policies write it.
    pub facts: Vec<(&'static str, String)>,
    /// What the models saw, each with its sources; empty where no model ran.
    pub features: Vec<FeatureAnswer>,
    pub opportunity: Micros,
    pub candidates: Vec<CandidateAnswer>,
    /// What held the whole moment back, if anything did.
    pub against: Vec<Finding>,
    pub best_net: Micros,
    pub chosen_net: Micros,
    pub cause: domain::Cause,
    /// What people did about its promise in a case.
    pub reversal: Option<ReversalAnswer>,
    /// The smallest change under which something else would have come of it.
    pub counterfactual: Option<Counterfactual>,
    /// Chance drew the choice, now and then the best one.
    pub explored: bool,
    /// How probable the choice was, in billionths; all of them where chance drew nothing.
    pub propensity: u32,
    pub negotiation: Option<Negotiation>,
    /// The negotiation was pruned, so nobody can say any more where the prices came from.
    pub negotiation_pruned: bool,
    /// Rows of the member before this one that were pruned. With any, conditions are not evaluated and model inputs not
    /// computed again: both rest on what those rows said.
    pub rows_pruned: u64,
    pub bundle: domain::Digest,
    pub models: Option<domain::Digest>,
}

/// Explains one decision.
///
/// # Errors
/// When the row is no decision, cannot be opened, or refers to something the ledger does not hold.
pub fn explain(reader: &Reader, keys: &Keys, row: &Row) -> Result<Explanation, Error> {
    let (decision, key) = open(keys, row)?;
    let bundle = bundle(reader, row.seq, decision.bundle)?;
    let past = Past::before(reader, &key, row, &bundle)?;
    let grants = past.state.grants(&bundle, decision.considered_at);
    let rows_pruned = past.pruned;
    let whole = rows_pruned == 0;
    let features =
        if decision.models.is_some() && whole { past.features(&decision, row.seq) } else { Vec::new() };
    let situation = Situation {
        facts: &decision.facts,
        now: decision.considered_at,
        grants: &grants,
        stops: stops(reader, row.seq, decision.bundle)?,
    };
    let scene = Scene { decision: &decision, bundle: &bundle, stops: situation.stops, grants: &grants };
    let mut findings = bundle.findings(MomentIndex(decision.moment), decision.segment, &situation);
    findings.retain(|finding| finding.refuses && whole);
    let later = if whole { at_commitment(&decision, &bundle, &situation, &findings) } else { Vec::new() };
    // What is executed is the first look on the whole past; where the second decided, or rows are gone, that says nothing.
    let counterfactual = if whole && later.is_empty() { scene.smallest() } else { None };
    findings.extend(later);
    let (negotiation, negotiation_pruned) = negotiation(reader, row.seq, decision.bundle, decision.table)?;
    let rule = |rule: Option<u16>| Some(bundle.rule(RuleIndex(rule?))?.id.to_string());
    let candidates = candidates(&decision, &bundle, &findings);
    findings.retain(|finding| !matches!(finding.stage, policies::findings::Stage::Reward(_)));
    let name = |index: usize| bundle.moments().get(index).map(|moment| moment.id.clone()).unwrap_or_default();
    Ok(Explanation {
        seq: row.seq.0,
        decision: decision.id,
        considered_at: decision.considered_at,
        decided_at: decision.decided_at,
        program: bundle.program().name.clone(),
        currency: bundle.program().currency.clone(),
        moment: name(usize::from(decision.moment)),
        segment: row.segment.clone(),
        outcome: decision.outcome,
        reason: decision.reason,
        text: drawn(&decision, decision.reason).unwrap_or_else(|| decision.reason.text()),
        rule: rule(decision.rule),
        rule_text: decision.rule.and_then(|rule| Some(bundle.rule(RuleIndex(rule))?.text.clone())),
        reward: row.reward.clone(),
        valid_until: decision.valid_until,
        scores: decision.scores,
        facts: domain::facts::Field::ALL
            .iter()
            .filter(|field| field.scope() != domain::facts::Scope::Reward && in_use(**field, &decision.facts))
            .map(|field| (field.name(), decision.facts.show(*field)))
            .collect(),
        features,
        opportunity: decision.opportunity,
        candidates,
        against: findings,
        best_net: decision.best_net,
        chosen_net: decision.chosen_net,
        cause: decision.cause,
        reversal: reversal::of(reader, decision.id, row)?,
        counterfactual,
        explored: decision.explored,
        propensity: decision.propensity,
        negotiation,
        negotiation_pruned,
        rows_pruned,
        bundle: decision.bundle,
        models: decision.models,
        event: decision.event,
    })
}

/// What refused when the promise was to be made and had not when the moment was considered: conditions are asked again
/// then (invariant E-1), at the clock of then.
fn at_commitment(
    decision: &Decision,
    bundle: &Bundle,
    considered: &Situation<'_>,
    found: &[Finding],
) -> Vec<Finding> {
    let mut facts = decision.facts.clone();
    put_now(&mut facts, decision.decided_at, bundle);
    let committed = Situation { facts: &facts, now: decision.decided_at, ..*considered };
    let mut later = bundle.findings(MomentIndex(decision.moment), decision.segment, &committed);
    later.retain(|finding| {
        let is_new = !found.iter().any(|was| (was.stage, was.rule) == (finding.stage, finding.rule));
        finding.refuses && is_new
    });
    later
}

/// What a reason means where chance drew another choice than the best.
fn drawn(decision: &Decision, reason: Reason) -> Option<&'static str> {
    if decision.cause != domain::Cause::Exploration {
        return None;
    }
    match (reason, decision.chosen) {
        (Reason::Chosen, _) => Some("drawn by chance instead of the best, to learn what it does"),
        (Reason::Outbid, Some(_)) => Some("chance drew another"),
        (Reason::Outbid, None) => Some("chance drew that nothing is promised, to learn what that does"),
        (_, _) => None,
    }
}

fn open(keys: &Keys, row: &Row) -> Result<(Decision, DataKey), Error> {
    if row.kind != Kind::Decision {
        return Err(Error::NotADecision(row.seq));
    }
    let wrong = |why: String| Error::Row { seq: row.seq, why };
    let member = row.member.ok_or(Error::Erased(row.seq))?;
    let Ok(Some(key)) = keys.find(member) else { return Err(Error::Erased(row.seq)) };
    let (Some(body), Some(sealed)) = (&row.body, &row.sealed) else { return Err(Error::Pruned(row.seq)) };
    let personal = key.open(&row.record_id, sealed).map_err(|error| wrong(error.to_string()))?;
    Ok((read_decision(body.as_bytes(), &personal).map_err(wrong)?, key))
}

/// The bundle that a row names.
pub(crate) fn bundle(reader: &Reader, seq: Seq, digest: domain::Digest) -> Result<Arc<Bundle>, Error> {
    let wrong = |why: String| Error::Row { seq, why };
    let wanted = Filter { kind: Some(Kind::Bundle), bundle: Some(digest), limit: 1, ..Filter::default() };
    let row = reader.list(&wanted)?.into_iter().next();
    let row = row.ok_or_else(|| wrong(format!("no row holds bundle {digest}")))?;
    let bundle = Bundle::from_canonical(row.body.unwrap_or_default().as_bytes());
    bundle.map(Arc::new).map_err(|problems| wrong(problems.render()))
}

/// What operators had stopped in the run that made a decision by a bundle.
fn stops(reader: &Reader, decided: Seq, bundle: domain::Digest) -> Result<Stops, Error> {
    let start = Filter {
        kind: Some(Kind::Start),
        before: Some(decided),
        newest_first: true,
        limit: 1,
        ..Filter::default()
    };
    let start = reader.list(&start)?.into_iter().next().and_then(|row| row.body).unwrap_or_default();
    let sides: Sides = serde_json::from_str(&start)
        .map_err(|error| Error::Row { seq: decided, why: format!("its run's start row: {error}") })?;
    let canary = sides.canary.filter(|canary| canary.of.bundle == bundle);
    Ok(canary.map_or(sides.stops, |canary| canary.stops))
}

/// What the log knew of the member before a decision.
struct Past {
    /// The member's rows before it, folded.
    state: State,
    /// The row of each event, by the hash the history knows it by.
    rows: BTreeMap<u64, u64>,
    /// Rows of the member that were pruned.
    pruned: u64,
}

impl Past {
    fn before(reader: &Reader, key: &DataKey, decided: &Row, bundle: &Bundle) -> Result<Past, Error> {
        let member = decided.member.ok_or(Error::Erased(decided.seq))?;
        let mut past =
            Past { state: (*Member::enrol(member, bundle).state).clone(), rows: BTreeMap::new(), pruned: 0 };
        let mut seq = Seq::START;
        loop {
            let rows = reader.member_after(member, seq, PAGE_ROWS)?;
            for row in rows.iter().filter(|row| row.seq < decided.seq) {
                let wrong = |why: String| Error::Row { seq: row.seq, why };
                past.pruned += u64::from(row.is_pruned());
                if let Some(opened) = row.about_member(key).map_err(|error| wrong(error.to_string()))? {
                    past.state.fold_row(&opened).map_err(wrong)?;
                }
                past.rows.extend(row.event_id.as_ref().map(|event| (event.hash64(), row.seq.0)));
            }
            match rows.last() {
                Some(last) if last.seq < decided.seq && rows.len() == PAGE_ROWS as usize => seq = last.seq,
                Some(_) | None => return Ok(past),
            }
        }
    }

    /// The features the models saw, computed again, with the rows they came from.
    fn features(mut self, decision: &Decision, decided: Seq) -> Vec<FeatureAnswer> {
        // The deciding event was folded first, and it was accepted then.
        let _folded = self.state.fold(&decision.event);
        self.rows.insert(decision.event.event_id.hash64(), decided.0);
        let history = &self.state.history;
        let values = FeatureVector::from(&history.summary(decision.considered_at)).0;
        let answer = |(index, value): (usize, f32)| {
            let sources = history.sources(index, decision.considered_at)?;
            let rows = sources.events.iter().filter_map(|event| self.rows.get(event).copied()).collect();
            Some(FeatureAnswer { feature: sources.feature, value, rows, folded: sources.folded })
        };
        values.into_iter().enumerate().filter_map(answer).collect()
    }
}

fn candidates(decision: &Decision, bundle: &Bundle, findings: &[Finding]) -> Vec<CandidateAnswer> {
    let answer = |candidate: &domain::Candidate| {
        let terms = bundle.reward(candidate.reward);
        let net = candidate.value - candidate.price - decision.opportunity;
        let kept_out = decision.chosen != Some(candidate.reward);
        let about = |finding: &&Finding| finding.stage == policies::findings::Stage::Reward(candidate.reward);
        CandidateAnswer {
            reward: terms.id.clone(),
            name: terms.name.clone(),
            cost: terms.cost,
            reason: candidate.reason,
            text: drawn(decision, candidate.reason).unwrap_or_else(|| candidate.reason.text()),
            rule: candidate.rule.and_then(|rule| Some(bundle.rule(RuleIndex(rule))?.id.to_string())),
            value: candidate.value,
            price: candidate.price,
            net,
            lever: lever(decision, bundle, candidate.reward),
            forgone: if kept_out { (net - decision.chosen_net).max(Micros::ZERO) } else { Micros::ZERO },
            against: findings.iter().filter(about).cloned().collect(),
        }
    };
    decision.candidates.iter().map(answer).collect()
}

/// What the segment's lever changes in the value of a reward.
fn lever(decision: &Decision, bundle: &Bundle, reward: domain::RewardIndex) -> Micros {
    let (Some(segment), Some(scores)) = (decision.segment, &decision.scores) else { return Micros::ZERO };
    let value = bundle.value(segment, reward, scores.ltv_91d, scores.churn_60d);
    value.levered - value.raw
}

/// The plan whose table a decision by a bundle used: the last one recorded before it with that table.
///
/// Also says whether a plan that may have been the one was pruned.
///
/// # Errors
/// When the ledger cannot be read.
pub fn negotiation(
    reader: &Reader,
    decided: Seq,
    bundle: domain::Digest,
    table: u64,
) -> Result<(Option<Negotiation>, bool), Error> {
    let (mut before, mut pruned) = (Some(decided), false);
    // Tables are in force for a fraction of a second; a decision long after its table is a stale one, and a
    // page of plans reaches back far enough for those too.
    for _ in 0..10 {
        let filter = Filter {
            kind: Some(Kind::Certificate),
            before,
            newest_first: true,
            limit: 50,
            ..Filter::default()
        };
        let rows = reader.list(&filter)?;
        for row in &rows {
            pruned |= row.body.is_none();
            let Ok(plan) = serde_json::from_str::<Plan>(row.body.as_deref().unwrap_or_default()) else {
                continue;
            };
            let same_side = row.bundle.is_none_or(|side| side == bundle);
            if same_side && plan.table.as_ref().is_some_and(|held| held.id() == table) {
                let found = Negotiation {
                    seq: row.seq.0,
                    status: plan.certificate.status,
                    gap_ppm: plan.certificate.gap_ppm,
                    rounds: plan.certificate.rounds.len(),
                    concluded_at: plan.certificate.concluded_at,
                };
                return Ok((Some(found), false));
            }
        }
        before = rows.last().map(|row| row.seq);
        if before.is_none() {
            break;
        }
    }
    Ok((None, pruned))
}

/// Whether a fact says something: a place of a list that is not filled does not.
fn in_use(field: domain::facts::Field, facts: &domain::Facts) -> bool {
    let places = domain::facts::LISTS.iter().filter_map(|list| {
        let place = list.slots.iter().position(|slot| *slot == field)?;
        Some(i64::try_from(place).unwrap_or(i64::MAX) < facts.get(list.length))
    });
    places.into_iter().all(|filled| filled)
}
