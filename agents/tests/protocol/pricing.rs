//! What a segment agent decides, and that a replay decides the same.

use crate::program::{COSTS, Program, REWARDS, Setup, layout, values};
use agents::negotiation::{Layout, PriceQuote, RowMix};
use agents::segment::{Choice, Demand, Exploration, Offer, Refusal, Reserve, Segment, SegmentOptions};
use domain::{Cause, Milli, Ppm, Reason, RewardIndex, SegmentIndex, Timestamp};

/// Refuses what it is told to, in order of being asked.
struct Scripted(Vec<Option<Refusal>>);

impl Reserve for Scripted {
    fn reserve(&mut self, _: &Demand, _: Timestamp) -> Result<(), Refusal> {
        match self.0.remove(0) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }
}

fn segment() -> Segment {
    let program = Program::new(Setup::default());
    let options = SegmentOptions {
        segment: SegmentIndex(0),
        layout: layout(),
        costs: COSTS.to_vec(),
        waiting: 0,
        exploration: Exploration::default(),
        caps_max: 0,
    };
    // The first table prices money at one: a reward's price is its cost.
    Segment::new(options, None, program.planner.first_table(Timestamp(0)))
}

fn offer(values: &[i64], at: i64) -> Offer<'_> {
    let mask = (1 << REWARDS) - 1;
    let (caps_left, visits_q16, scale) = (u8::MAX, 0, 1);
    Offer { mask, values, caps_left, visits_q16, scale, draw: 0, now: Timestamp(at), at: Timestamp(at) }
}

fn reasons(choice: &Choice) -> Vec<Reason> {
    choice.lines.iter().map(|line| line.reason).collect()
}

#[test]
fn the_best_positive_net_value_is_chosen_and_every_loser_knows_why() {
    let values = [900_000, 1_100_000, 2_000_000, -5];
    let choice = segment().decide(&offer(&values, 0), &mut Scripted(vec![None]));
    assert_eq!(choice.chosen, Some(RewardIndex(0)));
    assert_eq!(reasons(&choice), [Reason::Chosen, Reason::Outbid, Reason::PricedOut, Reason::NoValue]);
    assert_eq!((choice.best_net, choice.chosen_net, choice.cause), (400_000, 400_000, Cause::Nothing));
}

#[test]
fn ties_go_to_the_lower_reward() {
    let values = [600_000, 1_100_000, 3_100_000, 0];
    let choice = segment().decide(&offer(&values, 0), &mut Scripted(vec![None]));
    assert_eq!(choice.chosen, Some(RewardIndex(0)));
}

#[test]
fn a_refused_candidate_gives_way_to_the_next_best() {
    let values = [700_000, 1_300_000, 3_400_000, 5_500_000];
    let mut reserve = Scripted(vec![Some(Refusal::Inventory), None]);
    let choice = segment().decide(&offer(&values, 0), &mut reserve);
    assert_eq!(choice.chosen, Some(RewardIndex(2)));
    assert_eq!(reasons(&choice), [Reason::Outbid, Reason::Outbid, Reason::Chosen, Reason::Inventory]);
    assert_eq!((choice.best_net, choice.chosen_net, choice.cause), (500_000, 400_000, Cause::Capacity));
}

#[test]
fn three_candidates_are_tried_and_the_fourth_is_not() {
    let values = [700_000, 1_300_000, 3_400_000, 5_500_000];
    let refusals = [Refusal::Global, Refusal::Segment, Refusal::Pacing].map(Some);
    let choice = segment().decide(&offer(&values, 0), &mut Scripted(refusals.to_vec()));
    assert_eq!(choice.chosen, None);
    let want = [Reason::NotTried, Reason::Pacing, Reason::SegmentBudget, Reason::GlobalBudget];
    assert_eq!(reasons(&choice), want);
}

#[test]
fn prices_rise_while_the_leader_is_silent_and_then_nothing_is_promised() {
    let values = [900_000, 0, 0, 0];
    let mut segment = segment();
    let mut price_at = |at: i64| {
        let choice = segment.decide(&offer(&values, at), &mut Scripted(vec![None]));
        (choice.lines[0].price, choice.lines[0].reason)
    };
    let second = 1_000_000;
    assert_eq!(price_at(30 * second - 1), (500_000, Reason::Chosen));
    assert_eq!(price_at(30 * second), (625_000, Reason::Chosen));
    assert_eq!(price_at(40 * second), (781_250, Reason::Chosen));
    assert_eq!(price_at(60 * second).1, Reason::PricedOut);
    assert_eq!(price_at(151 * second).1, Reason::LeaderSilent);
}

#[test]
fn a_member_without_contacts_left_is_told_so_and_not_promised_anything() {
    let values = [900_000; REWARDS];
    let used_up = Offer { caps_left: 0, ..offer(&values, 0) };
    let choice = segment().decide(&used_up, &mut Scripted(vec![]));
    assert!(choice.chosen.is_none() && reasons(&choice).iter().all(|reason| *reason == Reason::MemberCap));
}

#[test]
fn exploration_is_charged_to_its_own_budget_and_stops_with_it() {
    let exploration = Exploration { share: Ppm::ONE, ..Exploration::default() };
    let mut setup = Setup { exploration, ..Setup::default() };
    setup.config.limits[layout().learn()] = Some(2_000_000);
    let mut program = Program::new(setup);
    let mut paid = 0;
    for _ in 0..10 {
        program.negotiate();
        for choice in program.moments(200) {
            assert!(choice.propensity <= 1_000_000_000 && choice.propensity > 0);
            if let (Some(reward), Cause::Exploration) = (choice.chosen, choice.cause) {
                paid += COSTS[usize::from(reward.0)];
                assert!(choice.explored && choice.chosen_net >= exploration.floor_micros);
            }
        }
    }
    assert!(paid > 1_000_000 && paid <= 2_000_000, "exploration paid {paid}");
    assert_eq!(program.escrow.view().reserved[layout().learn()], paid);
}

/// The loss ledger's identity: for fixed prices, the bound exceeds the value realised by what was left
/// unspent at those prices plus what each decision fell short of its best (plus the rounding of prices).
#[test]
fn unspent_money_and_missed_net_values_explain_the_whole_loss() {
    let mut program = Program::new(Setup::default());
    program.run_to(1_000);
    program.negotiate();
    let prices = program.certificates.last().unwrap().published.clone();
    let before = program.escrow.view().clone();
    let (mut value, mut gains, mut missed, mut bound_micros) = (0i128, 0i128, 0i128, 0i128);
    for _ in 0..200 {
        let choice = program.moment();
        gains += i128::from(choice.best_net);
        missed += i128::from(choice.best_net - choice.chosen_net);
        if let Some(reward) = choice.chosen {
            let line = choice.lines.iter().find(|line| line.reward == reward).unwrap();
            value += i128::from(line.net + line.price);
            bound_micros += 1;
        }
    }
    let after = program.escrow.view();
    let used = |place: usize| i128::from(after.reserved[place] - before.reserved[place]);
    let left = |place: usize| i128::from(before.balance[place]);
    let money: Vec<i64> =
        std::iter::once(prices.global.0).chain(prices.segments.iter().map(|price| price.0)).collect();
    let worth = |amount: &dyn Fn(usize) -> i128| {
        let money_q20: i128 =
            money.iter().enumerate().map(|(place, price)| i128::from(*price) * amount(place)).sum();
        let units: i128 = prices
            .rewards
            .iter()
            .enumerate()
            .map(|(reward, price)| i128::from(*price) * amount(layout().reward(reward)))
            .sum();
        (money_q20 >> 20) + units
    };
    let bound = gains + worth(&left);
    let unspent = worth(&|place| left(place) - used(place));
    let unexplained = (bound - value - unspent - missed).abs();
    assert!(unexplained <= bound_micros + 2, "{unexplained} micros of the loss have no cause");
    assert!(value > 0 && Layout::GLOBAL == 0);
}

#[test]
fn every_round_of_a_negotiation_sees_the_same_rows_while_moments_go_on() {
    let mut program = Program::new(Setup::default());
    program.run_to(400);
    let quote = |negotiation: u64, round: u8| {
        let (prices, weights) = {
            let certificate = program.certificates.last().unwrap();
            (certificate.published.clone(), certificate.weights.clone())
        };
        let mut envelope = program.tables.last().unwrap().envelope.clone();
        envelope.batch += negotiation;
        envelope.round = round;
        PriceQuote { envelope, prices, weights, mix: RowMix::Recent(Milli(300)) }
    };
    let quotes = [quote(1, 0), quote(1, 1), quote(2, 0)];
    let overtaken = program.tables.last().unwrap().clone();
    let first = program.segments[2].answer(&quotes[0]).unwrap();
    program.moments(60);
    // Subjects are not ordered among each other: the last table, or the first quote again, may come late.
    program.segments[2].install(&overtaken).unwrap();
    program.segments[2].answer(&quotes[0]).unwrap();
    let second = program.segments[2].answer(&quotes[1]).unwrap();
    assert_eq!((first.rows_digest, &first.demand), (second.rows_digest, &second.demand));
    assert_eq!((first.frozen_at, second.frozen_at), (first.arrivals, first.arrivals));
    let next_negotiation = program.segments[2].answer(&quotes[2]).unwrap();
    assert!(
        next_negotiation.rows_digest != first.rows_digest,
        "moments during a freeze must be kept after it"
    );
}

/// Replays what the live escrow said.
struct Recorded(Vec<Result<(), Refusal>>);

impl Reserve for Recorded {
    fn reserve(&mut self, _: &Demand, _: Timestamp) -> Result<(), Refusal> {
        self.0.remove(0)
    }
}

struct Recorder<'a, R>(&'a mut R, Vec<Result<(), Refusal>>);

impl<R: Reserve> Reserve for Recorder<'_, R> {
    fn reserve(&mut self, demand: &Demand, now: Timestamp) -> Result<(), Refusal> {
        let said = self.0.reserve(demand, now);
        self.1.push(said);
        said
    }
}

#[test]
fn a_replay_with_the_recorded_refusals_decides_the_same() {
    let exploration = Exploration { share: Ppm(300_000), ..Exploration::default() };
    let setup = || Setup { exploration, caps_max: 1, ..Setup::default() };
    let mut live = Program::new(setup());
    let mut replayed = Program::new(setup());
    for _ in 0..8 {
        live.negotiate();
        // The replay sees the same quotes and tables, and never asks an escrow.
        replayed.negotiate();
        for _ in 0..200 {
            live.event += 1;
            let values = crate::program::values(live.event, 0);
            let draw = domain::random::splitmix64(live.event);
            let (now, mask) = (live.now(), (1 << REWARDS) - 1);
            let offer = Offer {
                mask,
                values: &values,
                caps_left: 1,
                visits_q16: 1 << 16,
                scale: 9,
                draw,
                now,
                at: now,
            };
            let mut recorder = Recorder(&mut live.escrow, Vec::new());
            let choice = live.segments[0].decide(&offer, &mut recorder);
            let mut recorded = Recorded(recorder.1);
            assert_eq!(replayed.segments[0].decide(&offer, &mut recorded), choice);
        }
        replayed.event = live.event;
        replayed.escrow = live.escrow.clone();
    }
}

#[test]
fn a_long_freeze_leaves_the_rows_that_no_freeze_would_have_left() {
    let mut program = Program::new(Setup::default());
    program.run_to(200);
    let mut envelope = program.tables.last().unwrap().envelope.clone();
    envelope.batch += 1;
    let certificate = program.certificates.last().unwrap();
    let quote = PriceQuote {
        envelope,
        prices: certificate.published.clone(),
        weights: certificate.weights.clone(),
        mix: RowMix::Recent(Milli(300)),
    };
    let mut free = program.segments[2].clone();
    program.segments[2].answer(&quote).unwrap();
    let mut frozen = program.segments[2].clone();
    let mut next = quote.clone();
    next.envelope.batch += 1;
    // More than the ring holds, and more than once around it.
    for event in 0..2_600 {
        let values = values(event, 2);
        let offer = Offer {
            mask: 15,
            values: &values,
            caps_left: 1,
            visits_q16: 2 << 16,
            scale: 10_000_000,
            draw: event,
            now: program.now(),
            at: program.now(),
        };
        let choices = [&mut free, &mut frozen].map(|segment| segment.decide(&offer, &mut Empty));
        assert_eq!(choices[0].lines, choices[1].lines);
    }
    assert_eq!(free.answer(&next).unwrap(), frozen.answer(&next).unwrap());
}

/// An escrow with nothing in it.
struct Empty;

impl Reserve for Empty {
    fn reserve(&mut self, _: &Demand, _: Timestamp) -> Result<(), Refusal> {
        Err(Refusal::Global)
    }
}
