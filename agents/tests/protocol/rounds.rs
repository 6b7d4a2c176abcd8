//! How negotiations end, whatever goes wrong on the way (N-1), and what that does to prices.

use crate::program::{Post, Program, Setup, config, layout};
use agents::check::verify;
use agents::negotiation::{
    Certificate, DemandAnswer, FallbackReason, Purpose, RewardDemand, RoundRecord, Status,
};
use agents::planner::{
    Escalation, MasterProblem, MasterSolution, MasterSolver, PlannerOptions, Simplex, SolverError,
};
use domain::{Milli, PriceQ20};

fn carries() -> Vec<agents::segment::SegmentCarry> {
    let mut day_before = Program::new(Setup::default());
    day_before.run_to(2_000);
    day_before.carries()
}

fn warm(solver: Box<dyn MasterSolver + Send>) -> Program {
    let mut setup = Setup { carries: carries(), solver, ..Setup::default() };
    setup.config.baseline_arrivals = setup.carries.iter().map(|carry| carry.arrivals).collect();
    Program::new(setup)
}

fn statuses(program: &Program) -> Vec<Status> {
    let regular = program.certificates.iter().filter(|certificate| certificate.purpose == Purpose::Regular);
    regular.map(|certificate| certificate.status).collect()
}

fn all_verify(program: &Program) {
    for certificate in &program.certificates {
        verify(certificate).unwrap_or_else(|violation| panic!("{:?}: {violation}", certificate.status));
    }
}

#[test]
fn a_silent_segment_is_stood_in_for_by_its_last_answer_then_by_its_baseline() {
    let mut program = warm(Box::new(Simplex));
    program.run_to(600);
    program.post = |_, answer| (answer.segment.0 != 1).then_some(answer);
    program.run_to(1_400);
    let stale = Status::Fallback(FallbackReason::StaleSegment);
    assert_eq!(statuses(&program)[3..], [stale; 4]);
    let ages = |round: &RoundRecord| round.answers[1].stale;
    let last = program.certificates.last().unwrap();
    assert!(last.rounds.iter().map(ages).all(|age| age > 0));
    assert!(last.rounds[0].answers[1].rows_used > 0, "the baseline answer stands in");
    all_verify(&program);
}

#[test]
fn without_any_answer_the_prices_stay_and_the_negotiation_still_ends() {
    let mut program = Program::new(Setup::default());
    program.run_to(400);
    let before = program.tables.last().unwrap().rows.clone();
    program.post = |_, _| None;
    let mut fresh = Program::new(Setup { carries: program.carries(), ..Setup::default() });
    fresh.post = |_, _| None;
    fresh.run_to(200);
    assert_eq!(statuses(&fresh), [Status::Fallback(FallbackReason::NoAnswers)]);
    assert_eq!(fresh.tables[0].rows, fresh.planner.first_table(fresh.now()).rows);
    assert_ne!(before, fresh.tables[0].rows);
    all_verify(&fresh);
}

struct Broken(fn(MasterSolution) -> Result<MasterSolution, SolverError>);

impl MasterSolver for Broken {
    fn solve(&mut self, problem: &MasterProblem) -> Result<MasterSolution, SolverError> {
        Simplex.solve(problem).and_then(self.0)
    }
}

#[test]
fn when_the_linear_program_fails_sign_steps_find_prices_almost_as_good() {
    let not_a_number = |mut solution: MasterSolution| {
        solution.prices[0] = f64::NAN;
        Ok(solution)
    };
    let breakages: [fn(MasterSolution) -> _; 2] = [|_| Err(SolverError("broken".to_owned())), not_a_number];
    let mut healthy = warm(Box::new(Simplex));
    healthy.run_to(600);
    for breakage in breakages {
        let mut program = warm(Box::new(Broken(breakage)));
        program.run_to(600);
        assert_eq!(statuses(&program)[0], Status::Fallback(FallbackReason::SolverFailed));
        all_verify(&program);
        let bound = |program: &Program| program.certificates.first().unwrap().upper;
        let (with, without) = (bound(&healthy), bound(&program));
        assert!(without < with + with / 50, "sign steps end at {without}, the program at {with}");
    }
}

#[test]
fn a_lying_oracle_cannot_make_a_false_certificate() {
    let greedy = |mut solution: MasterSolution| {
        solution.weights.iter_mut().for_each(|weight| *weight = 1.0);
        Ok(solution)
    };
    let mut program = warm(Box::new(Broken(greedy)));
    program.run_to(1_000);
    all_verify(&program);
}

#[test]
fn an_oracle_that_leads_nowhere_ends_in_a_named_fallback_and_tightens_the_limiter() {
    let stuck = |mut solution: MasterSolution| {
        solution.weights.iter_mut().for_each(|weight| *weight = 0.0);
        Ok(solution)
    };
    let mut program = Program::new(Setup { solver: Box::new(Broken(stuck)), ..Setup::default() });
    program.run_to(1_200);
    let wide = Status::Fallback(FallbackReason::GapTooWide);
    assert_eq!(statuses(&program)[1..], [wide; 5]);
    assert!(program.certificates.iter().all(|certificate| certificate.rounds.len() <= 12));
    assert!(program.escalations.contains(&Escalation::GapTooWide));
    all_verify(&program);
}

#[test]
fn impossible_and_foreign_answers_are_ignored() {
    let mut program = warm(Box::new(Simplex));
    program.run_to(400);
    program.post = |_, mut answer| {
        match answer.segment.0 {
            0 => answer.demand[0].events_q16 = i64::MAX / 2,
            1 => answer.envelope.batch += 1,
            _ => {}
        }
        Some(answer)
    };
    program.run_to(600);
    let last = program.certificates.last().unwrap();
    assert_eq!(last.status, Status::Fallback(FallbackReason::StaleSegment));
    assert!(last.rounds[0].answers[0].stale > 0 && last.rounds[0].answers[1].stale > 0);
    assert_eq!(last.rounds[0].answers[2].stale, 0);
    all_verify(&program);
}

/// A silence, and a reward that runs out in it: the last answer wanted what cannot be had any more.
#[test]
fn a_stand_in_never_wants_what_has_run_out() {
    let mut setup = Setup { carries: carries(), ..Setup::default() };
    let scarce = layout().reward(3);
    setup.config.limits[scarce] = Some(3);
    let mut program = Program::new(setup);
    program.run_to(200);
    let closed = |certificate: &Certificate| certificate.weights[2].closed & 1 << 3 != 0;
    let wanted = |round: &RoundRecord| round.answers[2].demand[3].events_q16 > 0;
    assert!(program.certificates.iter().any(|certificate| certificate.rounds.iter().any(wanted)));
    program.post = |_, answer| (answer.segment.0 != 2).then_some(answer);
    program.run_to(3_000);
    let last = program.certificates.last().unwrap();
    assert!(closed(last), "the reward must run out for this to say anything");
    all_verify(&program);
}

#[test]
fn an_answer_the_checker_would_refuse_is_taken_for_silence() {
    let lies: [Post; 6] = [
        // Less than it would pay for.
        |_, answer| Some(edited(answer, |answer| answer.demand[1].value_q16 = 1)),
        // Value out of nothing.
        |_, answer| {
            Some(edited(answer, |answer| {
                let unwanted = answer.demand.iter_mut().filter(|demand| demand.events_q16 == 0);
                unwanted.for_each(|demand| demand.value_q16 = 9);
            }))
        },
        // Other rows in the second round.
        |round, answer| Some(edited(answer, |answer| answer.rows_digest ^= u64::from(round))),
        // Less gained than an earlier answer of its own would have.
        |round, answer| Some(if round == 0 { answer } else { nothing(answer) }),
        // More gained than an earlier answer of its own did.
        |round, answer| Some(if round == 0 { nothing(answer) } else { answer }),
        // A count no window can have.
        |_, answer| Some(edited(answer, |answer| answer.arrivals = u64::MAX)),
    ];
    for lie in lies {
        let mut program = warm(Box::new(Simplex));
        program.run_to(400);
        program.post = lie;
        program.run_to(1_000);
        let refused = |certificate: &&Certificate| {
            certificate.rounds.iter().any(|round| round.answers.iter().any(|answer| answer.stale > 0))
        };
        assert!(program.certificates.iter().any(|certificate| refused(&certificate)), "believed");
        all_verify(&program);
    }
}

/// A liar who gets the sums right when values are edited.
fn edited(mut answer: DemandAnswer, edit: impl FnOnce(&mut DemandAnswer)) -> DemandAnswer {
    if answer.segment.0 == 1 {
        let values =
            |answer: &DemandAnswer| answer.demand.iter().map(|demand| demand.value_q16).sum::<i128>();
        let before = values(&answer);
        edit(&mut answer);
        answer.net_q16 += values(&answer) - before;
    }
    answer
}

fn nothing(answer: DemandAnswer) -> DemandAnswer {
    let mut answer = edited(answer, |answer| answer.demand.fill(RewardDemand::default()));
    if answer.segment.0 == 1 {
        answer.net_q16 = 0;
    }
    answer
}

#[test]
fn a_late_answer_from_baseline_rows_does_not_pass_for_one_from_recent_rows() {
    let mut program = warm(Box::new(Simplex));
    program.run_to(200);
    let [anchor, regular] = &program.certificates[..2] else { panic!("an anchor and a negotiation") };
    assert_eq!((anchor.purpose, regular.purpose), (Purpose::Anchor, Purpose::Regular));
    assert!(anchor.envelope.negotiation() < regular.envelope.negotiation());
}

#[test]
fn posted_prices_stay_within_the_corridor_and_lasting_clips_ask_a_person() {
    let options =
        PlannerOptions { batch_events: 200, kappa: Some(Milli(1_010)), ..PlannerOptions::default() };
    let mut program = Program::new(Setup { carries: carries(), options, ..Setup::default() });
    program.run_to(2_400);
    let clipped = program.certificates.iter().filter(|certificate| certificate.clipped);
    assert!(clipped.count() > 3, "a corridor of one percent must clip");
    assert!(program.escalations.contains(&Escalation::CorridorClips));
    all_verify(&program);
    for (certificate, table) in program.certificates[1..].iter().zip(&program.tables) {
        let corridor = certificate.corridor.as_ref().unwrap();
        for (segment, row) in table.rows.iter().enumerate() {
            let anchors =
                corridor.anchor.row(segment, &crate::program::COSTS, certificate.weights[segment].closed);
            for (price, anchor) in row.iter().zip(anchors) {
                assert!((price - anchor).abs() <= anchor / 99 + 1, "{price} against anchor {anchor}");
            }
        }
    }
}

#[test]
fn a_budget_cut_moves_the_anchor() {
    let mut program = warm(Box::new(Simplex));
    program.run_to(1_000);
    let price = |program: &Program| {
        let anchor = program.certificates.iter().rfind(|c| c.purpose == Purpose::Anchor);
        anchor.unwrap().published.row(0, &crate::program::COSTS, 0)[1]
    };
    let before = price(&program);
    let half: Vec<Option<i64>> =
        config().limits.iter().map(|limit| limit.map(|limit| limit * 6 / 10)).collect();
    let effects = program.planner.change_limits(&half);
    program.apply(effects);
    program.run_to(1_200);
    assert!(price(&program) > before * 11 / 10, "{before} -> {}", price(&program));
}

#[test]
fn a_program_without_limits_pays_nothing_for_its_resources() {
    let mut setup = Setup::default();
    setup.config.limits = vec![None; setup.config.limits.len()];
    let mut program = Program::new(setup);
    program.run_to(1_000);
    assert!(program.tables.last().unwrap().rows.iter().flatten().all(|price| *price == 0));
    all_verify(&program);
}

#[test]
fn an_exposure_floor_is_paid_for_by_a_subsidy() {
    let subsidy = |floor: i64| {
        let mut setup = Setup { carries: carries(), ..Setup::default() };
        setup.config.floors[0] = floor;
        let mut program = Program::new(setup);
        while program.event < crate::program::EVENTS {
            program.negotiate();
            program.moments(200);
        }
        all_verify(&program);
        program.certificates.iter().map(|certificate| certificate.published.subsidies[0]).max()
    };
    assert_eq!(subsidy(0), Some(0));
    assert!(subsidy(600) > Some(0), "a floor of 600 rewarded events had no price");
}

#[test]
fn what_is_owed_and_not_planned_counts_against_the_plan() {
    let mut setup = Setup::default();
    setup.config.floors[1] = 30;
    let mut silent = Program::new(setup);
    silent.post = |_, _| None;
    silent.run_to(200);
    assert_eq!(statuses(&silent), [Status::Fallback(FallbackReason::NoAnswers)]);
    assert!(silent.certificates[0].lower < 0, "{}", silent.certificates[0].lower);
    all_verify(&silent);
}

#[test]
fn a_floor_is_spread_evenly_over_the_window() {
    let mut setup = Setup { carries: carries(), ..Setup::default() };
    setup.config.floors[0] = 600;
    let mut program = Program::new(setup);
    while program.event < crate::program::EVENTS {
        program.negotiate();
        program.moments(200);
    }
    let owed: Vec<i64> = program.certificates.iter().map(|certificate| certificate.floors[0]).collect();
    assert_eq!(owed[0], 600);
    assert!(owed.is_sorted_by(|before, after| before >= after) && owed.last() < Some(&60), "{owed:?}");
}

#[test]
fn a_person_is_called_once_when_money_goes_faster_than_the_policy_bears() {
    let burns = |burn_ppm: Option<u32>| {
        let options = PlannerOptions { burn_ppm, first_price: PriceQ20(0), ..PlannerOptions::default() };
        let mut program = Program::new(Setup { options, ..Setup::default() });
        program.run_to(1_000);
        program.escalations.iter().filter(|escalation| **escalation == Escalation::Burn).count()
    };
    assert_eq!((burns(None), burns(Some(100_000_000))), (0, 0));
    assert_eq!(burns(Some(1_000_000)), 1);
}

#[test]
fn the_limiter_bounds_what_one_period_spends() {
    let options = PlannerOptions {
        batch_events: 200,
        first_price: PriceQ20(0),
        limiter: 1,
        limiter_cold: 1,
        ..PlannerOptions::default()
    };
    let mut program = Program::new(Setup { options, ..Setup::default() });
    program.negotiate();
    program.moments(1_000);
    let share = 900_000_000 * 200 / crate::program::EVENTS as i64;
    let spent = program.escrow.view().reserved[0];
    assert!(spent <= share && spent > share - 5_000_000, "{spent} of {share}");
}

#[test]
fn equal_inputs_lead_to_equal_certificates() {
    let run = || {
        let mut program = warm(Box::new(Simplex));
        program.run_to(1_000);
        program.certificates.iter().map(|certificate| certificate.digest).collect::<Vec<_>>()
    };
    assert_eq!(run(), run());
}
