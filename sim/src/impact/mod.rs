//! What a draft would have decided: recorded events under the policy in force and under the draft.
//!
//! Both run through the second host ([`crate::host`]), with negotiation, budgets, caps and timers coupled, so a
//! promise that one policy makes has its consequences there. Neither is compared with what was decided live: a live
//! negotiation depends on when messages arrive, and the difference would be blamed on the draft. The same policy on
//! both sides differs in nothing; the same input gives the same digest.

mod recorded;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use agents::policy::budgets::{EXPOSURE, exposed_reward, exposed_segment};
use domain::{Decision, DecisionId, Digest, Event, EventId, MemberId, Micros, Outcome, Reason, Timestamp};
use ledger::Seq;
use models::Models;
use policies::Bundle;
use policies::registry::IMPACT_VERSION;
pub use policies::registry::{Affected, Burn, Change, Flip, Impact, Slice};
use policies::source::File;

use crate::host::{self, Host};
pub use recorded::{Error, Recorded, Taken, Wanted, read};

/// How one side came out at one event.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    member: MemberId,
    outcome: Outcome,
    reason: Reason,
    segment: Option<Arc<str>>,
    reward: Option<Arc<str>>,
    cost: Micros,
    value: Micros,
}

/// One policy, and everything it decided, by event.
struct Side {
    host: Host,
    names: Names,
    said: BTreeMap<String, Said>,
    /// The segment of each member at their last decision that had one.
    segments: BTreeMap<MemberId, Arc<str>>,
    /// Its promises by the event they were made at, and their rewards.
    promised: BTreeMap<EventId, (DecisionId, Arc<str>)>,
    /// Events about promises it did not make.
    left_out: i64,
    /// Decisions in which each rule refused the moment or a reward, by position.
    hits: BTreeMap<u16, i64>,
}

/// Recorded events under two policies, taken as they come.
pub struct Assessment {
    sides: [Side; 2],
    models: Digest,
    currency: String,
    since: Option<Timestamp>,
    until: Option<Seq>,
    events: u64,
    erased: u64,
}

impl Assessment {
    /// An assessment before the first event, with models for each side; `since` is told in the report.
    ///
    /// # Errors
    /// When a bundle cannot be negotiated.
    pub fn new(
        from: &Arc<Bundle>,
        to: &Arc<Bundle>,
        models: (Models, Models),
        since: Option<Timestamp>,
    ) -> Result<Assessment, host::Error> {
        let digest = models.0.digest();
        Ok(Assessment {
            sides: [Side::new(from, models.0)?, Side::new(to, models.1)?],
            models: digest,
            currency: from.program().currency.clone(),
            since,
            until: None,
            events: 0,
            erased: 0,
        })
    }

    /// Runs more recorded events under both policies, on a thread each. `progress` hears how many one side has done.
    ///
    /// # Errors
    /// When a brain breaks an invariant.
    pub fn take(&mut self, recorded: &Recorded, progress: impl Fn(u64) + Sync) -> Result<(), host::Error> {
        self.events += recorded.events.iter().filter(|taken| taken.counts).count() as u64;
        self.erased += recorded.erased;
        self.until = self.until.max(recorded.events.iter().map(|taken| taken.seq).max());
        let [before, after] = &mut self.sides;
        std::thread::scope(|scope| {
            let other = scope.spawn(|| after.take(recorded, |_| {}));
            let before = before.take(recorded, &progress);
            // A panic on the other side is this side's panic too.
            before.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    /// What came out differently so far.
    pub fn report(&self) -> Impact {
        compare(self)
    }
}

impl Side {
    fn new(bundle: &Arc<Bundle>, models: Models) -> Result<Side, host::Error> {
        // Recorded events were admitted when they came; no limit on their age applies any more.
        let options = host::Options::around(Timestamp(0));
        let host = Host::new(Arc::clone(bundle), models, &options)?;
        Ok(Side {
            names: Names::of(bundle),
            host,
            said: BTreeMap::new(),
            segments: BTreeMap::new(),
            promised: BTreeMap::new(),
            left_out: 0,
            hits: BTreeMap::new(),
        })
    }

    fn take(&mut self, recorded: &Recorded, progress: impl Fn(u64)) -> Result<(), host::Error> {
        for (features, score) in &recorded.scores {
            self.host.remember(*features, *score);
        }
        for (done, taken) in (1u64..).zip(&recorded.events) {
            match self.own(taken) {
                Some(event) => {
                    let decisions = self.host.take(&event, taken.at)?;
                    decisions.iter().for_each(|decision| self.heard(decision, taken.counts));
                }
                None => self.left_out += i64::from(taken.counts),
            }
            progress(done);
        }
        Ok(())
    }

    /// The event as it is for this side: what was done with a promise that was made live is done with the promise of the
    /// same reward that this side made at the same event. `None` where it made none.
    fn own<'a>(&self, taken: &'a Taken) -> Option<Cow<'a, Event>> {
        let Some(live) = &taken.about else { return Some(Cow::Borrowed(&taken.event)) };
        let (decision, _) = self.promised.get(&live.event).filter(|(_, reward)| **reward == *live.reward)?;
        let mut event = taken.event.clone();
        *event.kind.promise_mut()? = *decision;
        Some(Cow::Owned(event))
    }

    fn heard(&mut self, decision: &Decision, counts: bool) {
        let said = self.names.said(decision);
        let event = &decision.event.event_id;
        if let Some(reward) = &said.reward {
            self.promised.insert(event.clone(), (decision.id, Arc::clone(reward)));
        }
        if counts {
            self.hit(decision);
            if let Some(segment) = &said.segment {
                self.segments.insert(said.member, Arc::clone(segment));
            }
            self.said.insert(event.to_string(), said);
        }
    }

    /// Counts the rules that refused something in a decision, each once.
    fn hit(&mut self, decision: &Decision) {
        let of_candidates = decision.candidates.iter().filter_map(|candidate| candidate.rule);
        let rules: BTreeSet<u16> = decision.rule.into_iter().chain(of_candidates).collect();
        rules.into_iter().for_each(|rule| *self.hits.entry(rule).or_default() += 1);
    }
}

/// The ids of a bundle, shared by everything that was said under it.
struct Names {
    segments: Vec<Arc<str>>,
    rewards: Vec<Arc<str>>,
    /// Those of guardrails, by position among all rules.
    rules: Vec<Option<Arc<str>>>,
}

impl Names {
    fn of(bundle: &Bundle) -> Names {
        Names {
            segments: bundle.segments().iter().map(|segment| segment.id.as_str().into()).collect(),
            rewards: bundle.rewards().iter().map(|reward| reward.id.as_str().into()).collect(),
            rules: bundle
                .rules()
                .iter()
                .map(|rule| (rule.file == File::Guardrails.name()).then(|| rule.id.as_str().into()))
                .collect(),
        }
    }

    fn said(&self, decision: &Decision) -> Said {
        let promises = matches!(decision.outcome, Outcome::Granted | Outcome::Pending);
        let reward = decision.chosen.filter(|_| promises);
        Said {
            member: decision.event.member,
            outcome: decision.outcome,
            reason: decision.reason,
            segment: decision.segment.map(|index| Arc::clone(&self.segments[usize::from(index.0)])),
            reward: reward.map(|index| Arc::clone(&self.rewards[usize::from(index.0)])),
            cost: if promises { decision.cost } else { Micros::ZERO },
            value: if promises { decision.chosen_net } else { Micros::ZERO },
        }
    }
}

impl Said {
    fn text(&self) -> String {
        match &self.reward {
            Some(reward) => format!("{} {reward}", self.outcome),
            None => self.outcome.to_string(),
        }
    }
}

fn compare(assessment: &Assessment) -> Impact {
    let [before, after] = &assessment.sides;
    let reports = [before.host.report(), after.host.report()];
    let mut flips: BTreeMap<(String, String, &'static str), u64> = BTreeMap::new();
    let mut members: BTreeMap<MemberId, Concerned> = BTreeMap::new();
    let events: BTreeSet<&String> = before.said.keys().chain(after.said.keys()).collect();
    for event in events {
        let (one, other) = (before.said.get(event), after.said.get(event));
        let same = |a: &Said, b: &Said| (a.outcome, &a.reward) == (b.outcome, &b.reward);
        let is_same = matches!((one, other), (Some(one), Some(other)) if same(one, other));
        if let Some(said) = one.or(other) {
            let promised = |said: Option<&Said>| said.is_some_and(|said| said.reward.is_some());
            let member = members.entry(said.member).or_default();
            member.decided_otherwise |= !is_same;
            member.promised[0] |= promised(one);
            member.promised[1] |= promised(other);
        }
        if is_same {
            continue;
        }
        let text = |said: Option<&Said>| said.map_or_else(|| "no moment".to_owned(), Said::text);
        let reason = other.map_or("", |said| said.reason.name());
        *flips.entry((text(one), text(other), reason)).or_default() += 1;
    }
    let mut flips: Vec<Flip> = flips
        .into_iter()
        .map(|((from, to, reason), decisions)| Flip { from, to, reason: reason.to_owned(), decisions })
        .collect();
    flips.sort_by(|a, b| b.decisions.cmp(&a.decisions).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
    let sides = [before, after];
    let change = |of: &dyn Fn(&Side) -> i64| Change { from: of(before), to: of(after) };
    let promises = |side: &Side| side.said.values().filter(|said| said.reward.is_some()).count();
    Impact {
        v: IMPACT_VERSION,
        from: reports[0].bundle,
        to: reports[1].bundle,
        models: assessment.models,
        currency: assessment.currency.clone(),
        since: assessment.since,
        until: assessment.until.map(|seq| seq.0),
        events: assessment.events,
        erased: assessment.erased,
        decisions: change(&|side| count(side.said.len())),
        promises: change(&|side| count(promises(side))),
        cost_micros: change(&|side| side.said.values().map(|said| said.cost.0).sum()),
        net_micros: change(&|side| side.said.values().map(|said| said.value.0).sum()),
        exposed_micros: Change { from: exposed(&reports[0], EXPOSURE), to: exposed(&reports[1], EXPOSURE) },
        left_out: change(&|side| side.left_out),
        flipped: flips.iter().map(|flip| flip.decisions).sum(),
        flips,
        affected: affected(sides, &members),
        segments: slices(sides, &reports, exposed_segment, |said| said.segment.clone()),
        rewards: slices(sides, &reports, exposed_reward, |said| said.reward.clone()),
        budgets: budgets(&reports),
        reasons: reasons(sides),
        guardrails: guardrails(sides),
    }
}

/// What both sides come to for one member.
#[derive(Clone, Copy, Debug, Default)]
struct Concerned {
    decided_otherwise: bool,
    /// Whether each side promised them anything.
    promised: [bool; 2],
}

/// Members by segment, with how many of them gain and lose; those without a segment come last.
fn affected([before, after]: [&Side; 2], members: &BTreeMap<MemberId, Concerned>) -> Vec<Affected> {
    let mut segments: BTreeMap<(bool, Option<Arc<str>>), Affected> = BTreeMap::new();
    for (member, concerned) in members {
        let segment = before.segments.get(member).or_else(|| after.segments.get(member)).cloned();
        let affected = segments.entry((segment.is_none(), segment)).or_default();
        affected.members += 1;
        affected.decided_otherwise += u64::from(concerned.decided_otherwise);
        affected.gain += u64::from(concerned.promised == [false, true]);
        affected.lose += u64::from(concerned.promised == [true, false]);
    }
    let named = |((_, segment), affected): ((bool, Option<Arc<str>>), Affected)| Affected {
        segment: segment.map(|segment| segment.to_string()),
        ..affected
    };
    segments.into_iter().map(named).collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The most that was promised and unused at any one time, of what has this id.
fn exposed(report: &host::Report, id: &str) -> i64 {
    report.most_exposed_micros.get(id).copied().unwrap_or(0)
}

/// Both sides' promises, grouped.
fn slices(
    sides: [&Side; 2],
    reports: &[host::Report; 2],
    exposure: impl Fn(&str) -> Arc<str>,
    group: impl Fn(&Said) -> Option<Arc<str>>,
) -> Vec<Slice> {
    let mut slices: BTreeMap<Arc<str>, Slice> = BTreeMap::new();
    for (at, side) in sides.into_iter().enumerate() {
        let mut members: BTreeMap<Arc<str>, BTreeSet<MemberId>> = BTreeMap::new();
        for said in side.said.values() {
            let Some(id) = group(said) else { continue };
            let slice = slices.entry(Arc::clone(&id)).or_default();
            let add = |change: &mut Change, amount: i64| {
                *(if at == 0 { &mut change.from } else { &mut change.to }) += amount;
            };
            add(&mut slice.decisions, 1);
            if said.reward.is_none() {
                continue;
            }
            add(&mut slice.promises, 1);
            add(&mut slice.cost_micros, said.cost.0);
            add(&mut slice.net_micros, said.value.0);
            if members.entry(id).or_default().insert(said.member) {
                add(&mut slice.members, 1);
            }
        }
    }
    let whole = |(id, slice): (Arc<str>, Slice)| {
        let [from, to] = [&reports[0], &reports[1]].map(|report| exposed(report, &exposure(&id)));
        Slice { id: id.to_string(), exposed_micros: Change { from, to }, ..slice }
    };
    slices.into_iter().map(whole).collect()
}

fn budgets([before, after]: &[host::Report; 2]) -> Vec<Burn> {
    let of = |report: &host::Report, id: &str| {
        let budget = report.budgets.iter().find(|budget| budget.id == id);
        budget
            .map_or((0, 0), |budget| (budget.limit_micros, budget.committed_micros + budget.reserved_micros))
    };
    let ids: BTreeSet<&String> =
        before.budgets.iter().chain(&after.budgets).map(|budget| &budget.id).collect();
    let burn = |id: &String| {
        let (one, other) = (of(before, id), of(after, id));
        Burn {
            id: id.clone(),
            limit: Change { from: one.0, to: other.0 },
            promised: Change { from: one.1, to: other.1 },
        }
    };
    ids.into_iter().map(burn).collect()
}

fn guardrails(sides: [&Side; 2]) -> BTreeMap<String, Change> {
    let mut guardrails: BTreeMap<String, Change> = BTreeMap::new();
    for (at, side) in sides.into_iter().enumerate() {
        for (rule, decisions) in &side.hits {
            let rule = side.names.rules.get(usize::from(*rule)).cloned().flatten();
            let Some(rule) = rule else { continue };
            let change = guardrails.entry(rule.to_string()).or_default();
            *(if at == 0 { &mut change.from } else { &mut change.to }) += decisions;
        }
    }
    guardrails
}

fn reasons(sides: [&Side; 2]) -> BTreeMap<String, Change> {
    let mut reasons: BTreeMap<String, Change> = BTreeMap::new();
    for (at, side) in sides.into_iter().enumerate() {
        for said in side.said.values().filter(|said| said.reward.is_none()) {
            let change = reasons.entry(said.reason.name().to_owned()).or_default();
            *(if at == 0 { &mut change.from } else { &mut change.to }) += 1;
        }
    }
    reasons
}
