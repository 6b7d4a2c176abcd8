//! The member agent's promises about promises: consent, suppression, provisional facts, timers, commit-time checks.
#![expect(clippy::unwrap_used, clippy::wildcard_enum_match_arm, reason = "a test that cannot go on stops")]

use std::sync::Arc;

use agents::member::{Considered, Member, Promise, PromiseState, Proposal, Proposed, Step, Turn};
use agents::policy::GlobalPolicy;
use agents::segment::{Demand, Refusal, Reserve, verdict};
use domain::event::wire::Refusal as FieldRefusal;
use domain::facts::{Field, Scope};
use domain::time::{DAY, HOUR};
use domain::{
    Decision, DecisionId, Event, EventKind, MemberId, Micros, Outcome, Ppm, Purpose, Reason, ScoreSource,
    Scores, SegmentIndex, Settlement, Timestamp, Touchpoint,
};
use policies::{Bundle, Stops};

/// A Saturday noon in New York.
const NOON: &str = "2017-03-04T12:00:00-05:00";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn bundle() -> Arc<Bundle> {
    Arc::new(policies::starter::grocery().unwrap())
}

fn member_id() -> MemberId {
    // Found by trying: not in the control group of the starter bundle at noon.
    MemberId([7; 16])
}

fn event(id: &str, time: Timestamp, kind: EventKind) -> Event {
    Event {
        event_id: id.parse().unwrap(),
        member: member_id(),
        event_time: time,
        source: "pos".into(),
        touchpoint: Touchpoint::Pos,
        settlement: Settlement::Settled,
        risk: None,
        kind,
    }
}

fn purchase(id: &str, time: Timestamp, units: i64) -> Event {
    event(id, time, EventKind::Purchase { amount: Micros::units(units), items: 5, discount: Micros::ZERO })
}

/// A member who bought for 80.00 every third day for two months and then once more, late.
fn regular(bundle: &Bundle) -> Member {
    let mut member = Member::enrol(member_id(), bundle);
    for visit in 0..20 {
        let time = noon().plus((i64::from(visit) * 3 - 90) * DAY);
        let step =
            member.handle(&purchase(&format!("old-{visit}"), time, 80), time, bundle, Stops::default());
        assert!(matches!(step, Step::Score(_)), "{step:?}");
    }
    member
}

fn scores() -> Option<Scores> {
    Some(Scores {
        ltv_91d: Micros::units(900),
        churn_60d: Ppm(200_000),
        source: ScoreSource::Model,
        features: 1,
    })
}

fn considered(step: Step) -> Box<Considered> {
    match step {
        Step::Score(considered) => considered,
        other => panic!("expected a moment to score, got {other:?}"),
    }
}

fn proposal(considered: Considered, bundle: &Bundle) -> Proposal {
    match considered.propose(scores(), bundle, Stops::default()) {
        Proposed::Proposal(proposal) => *proposal,
        Proposed::NotAMoment(rule) => panic!("not a moment: {rule:?}"),
    }
}

/// An escrow that pays for everything.
struct Plenty;

impl Reserve for Plenty {
    fn reserve(&mut self, _demand: &Demand, _now: Timestamp) -> Result<(), Refusal> {
        Ok(())
    }
}

/// Decides at free prices, `later` microseconds after the proposal was made.
fn decide(proposal: &Proposal, bundle: &Arc<Bundle>, later: i64) -> Decision {
    let policy = GlobalPolicy::fresh(Arc::clone(bundle)).unwrap();
    let index = proposal.segment.unwrap();
    let mut segment = policy.segments().swap_remove(usize::from(index.0));
    let seal = verdict::Seal {
        id: DecisionId(uuid()),
        now: proposal.considered.now.plus(later),
        host_now: segment.table().published_at,
        bundle,
        stops: Stops::default(),
        models: domain::Digest::default(),
    };
    verdict::decide(&mut segment, proposal, &seal, &mut Plenty)
}

fn is_promised(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Granted | Outcome::Pending)
}

fn uuid() -> uuid::Uuid {
    uuid::Uuid::from_bytes([9; 16])
}

#[test]
fn a_good_moment_is_granted_and_every_loser_has_its_reason() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let considered =
        considered(member.handle(&purchase("now", noon(), 120), noon(), &bundle, Stops::default()));
    let decision = decide(&proposal(*considered, &bundle), &bundle, 0);
    // At free prices the best candidate may be one that a person has to approve.
    assert!(is_promised(&decision), "{decision:?}");
    let chosen = decision.candidates.iter().filter(|candidate| candidate.reason == Reason::Chosen);
    assert_eq!(chosen.count(), 1);
    assert!(decision.best_net >= decision.chosen_net);
}

#[test]
fn without_consent_no_model_runs_and_no_personal_fact_is_read() {
    let bundle = bundle();
    for purpose in [Purpose::PersonalisedMarketing, Purpose::Profiling] {
        let mut member = regular(&bundle);
        let withdrawal = event("w", noon(), EventKind::Consent { purpose, granted: false });
        member.handle(&withdrawal, noon(), &bundle, Stops::default());
        let step = member.handle(&purchase("now", noon(), 120), noon(), &bundle, Stops::default());
        assert_denied(step, Reason::NoConsent);
    }
}

#[test]
fn after_an_objection_no_model_runs() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    member.handle(
        &event("o", noon(), EventKind::Objection { active: true }),
        noon(),
        &bundle,
        Stops::default(),
    );
    assert_denied(
        member.handle(&purchase("now", noon(), 120), noon(), &bundle, Stops::default()),
        Reason::Objected,
    );
}

#[test]
fn an_older_say_that_arrives_late_undoes_nothing() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let before = noon().plus(-10 * DAY);
    let mut tell = |id: &str, time, kind| {
        member.handle(&event(id, time, kind), noon(), &bundle, Stops::default());
        let state = &member.state;
        (state.objected.on, state.consent_profiling.on, state.minor.on, state.complaint_open.on)
    };
    let profiling = |granted| EventKind::Consent { purpose: Purpose::Profiling, granted };
    assert_eq!(tell("1", noon(), EventKind::Objection { active: true }), (true, true, false, false));
    assert_eq!(tell("2", before, EventKind::Objection { active: false }), (true, true, false, false));
    assert_eq!(tell("3", noon(), profiling(false)), (true, false, false, false));
    assert_eq!(tell("4", before, profiling(true)), (true, false, false, false));
    assert_eq!(tell("5", noon(), EventKind::Minor { active: true }), (true, false, true, false));
    assert_eq!(tell("6", before, EventKind::Minor { active: false }), (true, false, true, false));
    assert_eq!(tell("7", noon(), EventKind::Complaint), (true, false, true, true));
    assert_eq!(tell("8", before, EventKind::ComplaintResolved), (true, false, true, true));
    // A newer say counts, and so does a later one of the same time.
    assert_eq!(tell("9", noon(), EventKind::Objection { active: false }), (false, false, true, true));
    assert_eq!(tell("10", noon().plus(DAY), profiling(true)), (false, true, true, true));
}

/// Denied before scores, with the features still zero and every personal fact unread.
fn assert_denied(step: Step, reason: Reason) {
    let Step::Denied(considered, refusal) = step else { panic!("expected a denial, got {step:?}") };
    assert_eq!(refusal.reason, reason);
    assert!(considered.features.0.iter().all(|value| value.to_bits() == 0));
    for field in Field::ALL.iter().filter(|field| field.scope() == Scope::Member && field.purpose().is_some())
    {
        assert_eq!(considered.facts.get(*field), 0, "{} was read", field.name());
    }
}

#[test]
fn a_complaint_suppresses_until_it_is_resolved_and_the_waiting_time_has_passed() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    member.handle(&event("c", noon(), EventKind::Complaint), noon(), &bundle, Stops::default());
    let mut ask = |id: &str, days: i64| {
        let time = noon().plus(days * DAY);
        let step = member.handle(&purchase(id, time, 120), time, &bundle, Stops::default());
        proposal(*considered(step), &bundle).held.map(|refusal| refusal.reason)
    };
    assert_eq!(ask("p1", 1), Some(Reason::ComplaintOpen));
    assert_eq!(ask("p2", 20), Some(Reason::ComplaintOpen), "still open after the waiting time");
    let time = noon().plus(20 * DAY);
    member.handle(&event("r", time, EventKind::ComplaintResolved), time, &bundle, Stops::default());
    let step = member.handle(&purchase("p3", time, 120), time, &bundle, Stops::default());
    assert_eq!(proposal(*considered(step), &bundle).held, None);
}

#[test]
fn a_promise_does_not_rest_on_a_purchase_that_may_be_taken_back() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let provisional = Event { settlement: Settlement::Provisional, ..purchase("now", noon(), 120) };
    let step = member.handle(&provisional, noon(), &bundle, Stops::default());
    let decision = decide(&proposal(*considered(step), &bundle), &bundle, 0);
    assert_eq!((decision.outcome, decision.reason), (Outcome::Suppressed, Reason::ProvisionalFact));
    assert!(decision.best_net > Micros::ZERO, "what the rule costs is in the loss ledger");
}

#[test]
fn a_reversed_purchase_leaves_no_trace_in_the_features_and_suppresses_for_a_week() {
    let bundle = bundle();
    let (mut clean, mut reversed) = (regular(&bundle), regular(&bundle));
    reversed.handle(&purchase("oops", noon(), 500), noon(), &bundle, Stops::default());
    let back = event("back", noon(), EventKind::Reversal { of: "oops".parse().unwrap() });
    reversed.handle(&back, noon(), &bundle, Stops::default());
    let later = noon().plus(DAY);
    let ask = |member: &mut Member| {
        considered(member.handle(&purchase("next", later, 120), later, &bundle, Stops::default()))
    };
    let (clean, reversed) = (ask(&mut clean), ask(&mut reversed));
    assert_eq!(clean.features.bits(), reversed.features.bits());
    assert_eq!(proposal(*reversed, &bundle).held.map(|refusal| refusal.reason), Some(Reason::RecentRefund));
}

#[test]
fn conditions_are_asked_again_at_the_moment_of_commitment() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    // A quarter to nine in the evening; messages are not sent from nine on.
    let evening: Timestamp = "2017-03-18T20:45:00-04:00".parse().unwrap();
    let quiet = Event { touchpoint: Touchpoint::Batch, ..event("q", evening, EventKind::Quiet { days: 14 }) };
    let proposal = proposal(*considered(member.handle(&quiet, evening, &bundle, Stops::default())), &bundle);
    assert!(is_promised(&decide(&proposal, &bundle, 0)));
    let late = decide(&proposal, &bundle, HOUR);
    assert_eq!((late.outcome, late.reason), (Outcome::Suppressed, Reason::QuietHours));
}

#[test]
fn a_quiet_timer_fires_once_and_not_when_the_member_came_back() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let last = member.state.history.last_purchase().unwrap();
    let first_timer = i64::from(bundle.timers()[0]);
    assert!(member.state.due_events(last.plus((first_timer - 1) * DAY), &bundle).is_empty());
    let due = last.plus(first_timer * DAY + 12 * HOUR);
    let events = member.state.due_events(due, &bundle);
    assert_eq!(events.len(), 1);
    member.handle(&events[0], due, &bundle, Stops::default());
    assert!(member.state.due_events(due, &bundle).is_empty(), "fired twice");
    member.handle(&purchase("back", due, 30), due, &bundle, Stops::default());
    assert!(member.state.due_events(due.plus((first_timer - 1) * DAY), &bundle).is_empty());
}

#[test]
fn a_reversed_purchase_does_not_bring_back_timers_that_have_fired() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let last = member.state.history.last_purchase().unwrap();
    let [first, second] = [0, 1].map(|timer| i64::from(bundle.timers()[timer]));
    let due = last.plus(first * DAY + 12 * HOUR);
    let fired = member.state.due_events(due, &bundle);
    member.handle(&fired[0], due, &bundle, Stops::default());
    let back = purchase("back", due.plus(HOUR), 30);
    let of = back.event_id.clone();
    member.handle(&back, due.plus(HOUR), &bundle, Stops::default());
    let taken_back = event("taken-back", due.plus(2 * HOUR), EventKind::Reversal { of });
    member.handle(&taken_back, due.plus(2 * HOUR), &bundle, Stops::default());
    assert_eq!(member.state.history.last_purchase(), Some(last), "the earlier purchase is the last again");
    assert_eq!(member.state.due_events(due.plus(3 * HOUR), &bundle), [], "fired again");
    let later = member.state.due_events(last.plus(second * DAY + 12 * HOUR), &bundle);
    assert_eq!(later.len(), 1, "the next timer still fires");
}

#[test]
fn promises_count_for_caps_when_their_reward_left_the_catalog_and_as_far_back_as_conditions_look() {
    // A rule of the grocery bundle asks when a reward was last promised, none of the fashion one does.
    let bundle = bundle();
    let fashion = policies::starter::Starter::named("fashion").unwrap().bundle().unwrap();
    let mut member = regular(&bundle);
    for (days, reward) in [(1, "sold-last-year"), (600, "voucher-5")] {
        Arc::make_mut(&mut member.state).promise(Promise {
            decision: DecisionId(uuid()),
            reward: reward.into(),
            segment: "loyal".into(),
            granted_at: noon().plus(-days * DAY),
            valid_until: noon(),
            cost: Micros::units(5),
            state: PromiseState::Open,
            stocked: false,
        });
    }
    let counted = |bundle: &Bundle| {
        let grants = member.state.grants(bundle, noon());
        grants
            .iter()
            .map(|grant| grant.reward.map(|reward| bundle.reward(reward).id.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(counted(&fashion), [None], "of a reward that is gone; the other is older than any cap looks");
    assert_eq!(counted(&bundle), [None, Some("voucher-5".to_owned())]);
}

#[test]
fn a_promise_ends_once() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let decision = DecisionId(uuid());
    Arc::make_mut(&mut member.state).promise(Promise {
        decision,
        reward: "voucher-5".into(),
        segment: "loyal".into(),
        granted_at: noon(),
        valid_until: noon().plus(14 * DAY),
        cost: Micros::units(5),
        state: PromiseState::Open,
        stocked: false,
    });
    let mut end = |id: &str, kind| member.handle(&event(id, noon(), kind), noon(), &bundle, Stops::default());
    let released = end("e1", EventKind::Cancelled { decision });
    assert!(
        matches!(released, Step::Observed { release: Some(release) } if release.cost == Micros::units(5))
    );
    for kind in
        [EventKind::Redeemed { decision }, EventKind::Cancelled { decision }, EventKind::Expired { decision }]
    {
        let step = end("e2", kind);
        let refused = matches!(&step, Step::Refused(FieldRefusal { reason: Reason::BadTransition, .. }));
        assert!(refused, "{step:?}");
    }
    let unknown = DecisionId(uuid::Uuid::from_bytes([1; 16]));
    let step = end("e3", EventKind::Redeemed { decision: unknown });
    assert!(
        matches!(&step, Step::Refused(FieldRefusal { reason: Reason::UnknownReference, .. })),
        "{step:?}"
    );
}

#[test]
fn a_promise_that_waits_is_answered_once_and_only_while_the_member_may_be_addressed() {
    let bundle = bundle();
    let decision = DecisionId(uuid());
    let waiting = || {
        let mut member = regular(&bundle);
        Arc::make_mut(&mut member.state).promise(Promise {
            decision,
            reward: "cinema".into(),
            segment: "loyal".into(),
            granted_at: noon(),
            valid_until: noon().plus(14 * DAY),
            cost: Micros::units(5),
            state: PromiseState::Pending,
            stocked: false,
        });
        member
    };
    let answer = |approved| Event::answered(decision, approved, member_id(), noon());
    let refused =
        |step: &Step| matches!(step, Step::Refused(FieldRefusal { reason: Reason::BadTransition, .. }));
    let told = |member: &mut Member, event: &Event| member.handle(event, noon(), &bundle, Stops::default());
    let mut member = waiting();
    let step = told(&mut member, &answer(true));
    let turned = matches!(&step, Step::Observed { release: Some(release) }
        if release.turn == Turn::Approved && release.pending && release.cost == Micros::units(5));
    assert!(turned, "{step:?}");
    for approved in [true, false] {
        assert!(refused(&told(&mut member, &answer(approved))), "it was answered twice");
    }
    // Promised like any other, it can be used.
    let used = event("e9", noon(), EventKind::Redeemed { decision });
    assert!(!refused(&told(&mut member, &used)));
    let mut member = waiting();
    let step = told(&mut member, &answer(false));
    let turned = matches!(&step, Step::Observed { release: Some(release) }
        if release.turn == Turn::Unused && release.pending);
    assert!(turned, "{step:?}");
    assert!(refused(&told(&mut member, &answer(true))), "what was declined was approved");
    for said in [
        EventKind::Objection { active: true },
        EventKind::Minor { active: true },
        EventKind::Consent { purpose: Purpose::PersonalisedMarketing, granted: false },
    ] {
        let mut member = waiting();
        told(&mut member, &event("e1", noon(), said.clone()));
        assert!(refused(&told(&mut member, &answer(true))), "approved in spite of {said:?}");
        assert!(!refused(&told(&mut member, &answer(false))), "money is held for nothing");
    }
}

#[test]
fn snapshots_hold_everything() {
    let bundle = bundle();
    let member = regular(&bundle);
    let restored = agents::member::State::from_snapshot(&member.state.snapshot()).unwrap();
    assert_eq!(restored, *member.state);
    assert!(agents::member::State::from_snapshot(b"{}").is_none());
}

#[test]
fn segments_are_found_from_scores() {
    let bundle = bundle();
    let mut member = regular(&bundle);
    let step = member.handle(&purchase("now", noon(), 120), noon(), &bundle, Stops::default());
    let proposal = proposal(*considered(step), &bundle);
    assert_eq!(proposal.segment, Ok(SegmentIndex(0)), "worth keeping and slipping");
}
