//! The same work without actors, bus or relay: one loop over the same libraries, for the ratio between the two.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use agents::member::{Considered, Member, Proposed, Step};
use agents::policy::{GlobalPolicy, Standing, budgets};
use agents::segment::{Demand, Refusal, Reserve, Segment, verdict};
use bytes::Bytes;
use domain::event::wire::{self, Limits};
use domain::{Candidate, Decision, DecisionId, Facts, MemberId, Micros, ScoreSource, Scores, Timestamp};
use ledger::{DataKey, Debit, Entry, Kind};
use models::features::FeatureVector;
use policies::{Bundle, Stops};
use runtime::rows;

use crate::exit::{Failure, Result};

/// Rows of one transaction, as in the live writer.
const BATCH: usize = 256;

/// Pays for everything: the loop has no planner, so nothing is scarce.
struct Plenty;

impl Reserve for Plenty {
    fn reserve(&mut self, _demand: &Demand, _now: Timestamp) -> std::result::Result<(), Refusal> {
        Ok(())
    }
}

/// What the loop records of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// What the live node records.
    Whole,
    /// Without what explains it: losing candidates with their values, and the facts (zeros, the
    /// shortest the form allows). For comparison only: such a row cannot be
    /// replayed, and no node can be told to write one.
    WithoutExplanation,
}

/// What a run of the loop took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub events_per_s: f64,
    /// CPU seconds of this process per 1,000 events.
    pub cpu_s_per_1k: f64,
}

/// The loop's own state.
struct Bare {
    recording: Recording,
    bundle: Arc<Bundle>,
    models: models::Models,
    segments: Vec<Segment>,
    ledger: ledger::Writer,
    members: HashMap<MemberId, (Member, DataKey)>,
}

/// What the loop takes, rows durable in batches like the live node's; `introductions` come first and are not counted.
pub fn measure(
    dir: &Path,
    recording: Recording,
    models: models::Models,
    mut introductions: impl Iterator<Item = Bytes>,
    events: &[Bytes],
) -> Result<Took> {
    let bundle = Arc::new(
        policies::starter::grocery()
            .map_err(|problems| Failure::found_bad(anyhow::anyhow!("{}", problems.render())))?,
    );
    let policy = GlobalPolicy::fresh(Arc::clone(&bundle));
    let policy =
        policy.ok_or_else(|| Failure::runtime(anyhow::anyhow!("the bundle cannot be negotiated")))?;
    let options = ledger::Options::new(dir, "largesse/bare", runtime::clock::wall());
    let (mut ledger, _) = ledger::Writer::open(&options).map_err(crate::ledger_errors)?;
    let mut opening = Entry::new(Kind::Budget, uuid::Uuid::now_v7().into_bytes(), "{}".to_owned());
    let plenty = Standing::default().begin(&budgets::allowances(&bundle, None), 1_000_000);
    opening.debits = plenty.into_iter().map(|(id, limit)| Debit::limit(id, Micros(limit))).collect();
    ledger.append(runtime::clock::wall(), &[opening]).map_err(crate::ledger_errors)?;
    let _maintenance = ledger::Maintenance::start(dir).map_err(crate::ledger_errors)?;
    let mut bare =
        Bare { recording, bundle, models, segments: policy.segments(), ledger, members: HashMap::new() };
    loop {
        let batch: Vec<Bytes> = introductions.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            break;
        }
        bare.batch(&batch)?;
    }
    let (cpu_before, started) = (super::decide::cpu_seconds(), Instant::now());
    for batch in events.chunks(BATCH) {
        bare.batch(batch)?;
    }
    let events_per_s = (events.len() as f64 / started.elapsed().as_secs_f64()).round();
    let cpu = super::decide::cpu_seconds() - cpu_before;
    Ok(Took { events_per_s, cpu_s_per_1k: cpu / events.len() as f64 * 1e3 })
}

impl Bare {
    fn batch(&mut self, events: &[Bytes]) -> Result<()> {
        let now = runtime::clock::wall();
        let mut entries = Vec::with_capacity(events.len());
        let mut considered: Vec<Box<Considered>> = Vec::with_capacity(events.len());
        for bytes in events {
            match self.consider(bytes, now)? {
                Taken::Row(entry) => entries.push(*entry),
                Taken::Moment(moment) => considered.push(moment),
            }
        }
        let features: Vec<FeatureVector> = considered.iter().map(|moment| moment.features).collect();
        let scores = self.models.score(&features);
        for (moment, score) in considered.into_iter().zip(scores) {
            let (ltv_91d, churn_60d) = score.unwrap_or_else(|_| models::fallback::score(&moment.features));
            let features = moment.features.digest();
            let scores = Scores { ltv_91d, churn_60d, source: ScoreSource::Model, features };
            entries.push(self.decide(*moment, scores, now)?);
        }
        self.ledger.append(now, &entries).map_err(crate::ledger_errors)?;
        Ok(())
    }

    fn consider(&mut self, bytes: &[u8], now: Timestamp) -> Result<Taken> {
        let incoming = wire::parse(bytes, &Limits::at(now))
            .map_err(|refusals| Failure::runtime(anyhow::anyhow!("{refusals:?}")))?;
        let (id, key) = self.ledger.keys().enrol(&incoming.member).map_err(Failure::unavailable)?;
        let event = incoming.under(id);
        let bundle = Arc::clone(&self.bundle);
        let (member, key) = self.members.entry(id).or_insert_with(|| (Member::enrol(id, &bundle), key));
        Ok(match member.handle(&event, now, &bundle, Stops::default()) {
            Step::Score(considered) | Step::Unscored(considered) => Taken::Moment(considered),
            Step::Observed { .. } | Step::Refused(_) | Step::Denied(..) => {
                Taken::Row(Box::new(rows::observed(&event, now, None, None, None, key)))
            }
        })
    }

    fn decide(&mut self, considered: Considered, scores: Scores, now: Timestamp) -> Result<Entry> {
        let bundle = Arc::clone(&self.bundle);
        let (event, moment) = (considered.event.clone(), considered.moment);
        let known = self.members.get_mut(&event.member);
        let (member, key) = known.ok_or_else(|| Failure::runtime(anyhow::anyhow!("a member was lost")))?;
        let id = DecisionId(uuid::Uuid::now_v7());
        let models = self.models.digest();
        let seal =
            |host_now| verdict::Seal { id, now, host_now, bundle: &bundle, stops: Stops::default(), models };
        let decision = match considered.propose(Some(scores), &bundle, Stops::default()) {
            Proposed::NotAMoment(rule) => {
                let triggered = Some((moment.0, Some(rule.0)));
                return Ok(rows::observed(&event, now, triggered, Some(scores), None, key));
            }
            Proposed::Proposal(proposal) => match proposal.segment {
                Err(refusal) => verdict::without_segment(&proposal, refusal, &seal(now)),
                Ok(index) => {
                    let segment = &mut self.segments[usize::from(index.0)];
                    let host_now = segment.table().published_at;
                    verdict::decide(segment, &proposal, &seal(host_now), &mut Plenty)
                }
            },
        };
        let entry = match self.recording {
            Recording::Whole => rows::decision(&decision, None, &bundle, key),
            Recording::WithoutExplanation => rows::decision(&bare_of(&decision), None, &bundle, key),
        };
        if let (Some(reward), Some(segment)) = (&entry.reward, &entry.segment)
            && let Some(promise) = agents::member::Promise::of(&decision, reward, segment, false)
        {
            Arc::make_mut(&mut member.state).promise(promise);
        }
        Ok(entry)
    }
}

/// A decision without what explains it.
fn bare_of(decision: &Decision) -> Decision {
    let chosen = |candidate: &&Candidate| Some(candidate.reward) == decision.chosen;
    let candidates = decision.candidates.iter().filter(chosen).copied().collect();
    Decision { candidates, facts: Facts::default(), ..decision.clone() }
}

/// What an event led to.
enum Taken {
    Row(Box<Entry>),
    Moment(Box<Considered>),
}
