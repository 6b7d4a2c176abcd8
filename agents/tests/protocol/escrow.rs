//! Money never appears or vanishes: budgets hold at every step, in any order, across crashes (B-1, B-2).

use crate::program::{COSTS, Program, Setup, layout};
use agents::negotiation::Layout;
use agents::negotiation::{Envelope, EscrowGrant};
use agents::planner::Treasury;
use agents::planner::treasury::largest_units;
use agents::segment::{Demand, Escrow, EscrowView, Refusal, Reserve};
use domain::{RewardIndex, SegmentIndex, Timestamp};
use proptest::prelude::*;

const LIMITS: [Option<i64>; 9] = [
    Some(40_000_000),
    Some(20_000_000),
    Some(15_000_000),
    None,
    None,
    Some(30),
    Some(4),
    Some(2),
    Some(3_000_000),
];

#[derive(Clone, Debug)]
enum Act {
    Grant { share: u8 },
    Reserve { segment: u8, reward: u8, learn: bool, at: i64 },
    Settle(usize),
    Release(usize),
    Refund(usize),
    GiveBack { recall: bool },
    LoseReturn,
    Cut { permille: i64 },
    Crash,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let place = 0usize..1_000;
    let reserve = (0u8..3, 0u8..4, any::<bool>(), 0i64..220)
        .prop_map(|(segment, reward, learn, at)| Act::Reserve { segment, reward, learn, at });
    let act = prop_oneof![
        3 => any::<u8>().prop_map(|share| Act::Grant { share }),
        12 => reserve,
        2 => place.clone().prop_map(Act::Settle),
        2 => place.clone().prop_map(Act::Release),
        1 => place.prop_map(Act::Refund),
        2 => any::<bool>().prop_map(|recall| Act::GiveBack { recall }),
        1 => Just(Act::LoseReturn),
        1 => (0i64..1_500).prop_map(|permille| Act::Cut { permille }),
        1 => Just(Act::Crash),
    ];
    prop::collection::vec(act, 1..120)
}

/// Leader, node, and what the ledger would say.
struct World {
    treasury: Treasury,
    escrow: Escrow,
    limits: Vec<Option<i64>>,
    reserved: Vec<Demand>,
    spent: Vec<Demand>,
    clock: i64,
}

fn limited() -> Vec<bool> {
    LIMITS.iter().map(Option::is_some).collect()
}

fn sums(demands: &[Demand]) -> Vec<i64> {
    let layout = layout();
    let mut sums = vec![0; layout.len()];
    for demand in demands {
        sums[Layout::GLOBAL] += demand.cost;
        sums[layout.segment(usize::from(demand.segment.0))] += demand.cost;
        sums[layout.reward(usize::from(demand.reward.0))] += 1;
        sums[layout.learn()] += if demand.learn { demand.cost } else { 0 };
    }
    sums.iter().zip(LIMITS).map(|(sum, limit)| if limit.is_some() { *sum } else { 0 }).collect()
}

impl World {
    fn new() -> World {
        let escrow = Escrow::new(layout(), limited());
        let treasury = Treasury::new(LIMITS.to_vec(), escrow.view());
        World { treasury, escrow, limits: LIMITS.to_vec(), reserved: vec![], spent: vec![], clock: 0 }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Grant { share } => self.grant(i64::from(*share)),
            Act::Reserve { segment, reward, learn, at } => self.reserve(*segment, *reward, *learn, *at),
            Act::Settle(place) => {
                if let Some(demand) = draw(&mut self.reserved, *place) {
                    self.escrow.settle(&demand).unwrap();
                    self.spent.push(demand);
                }
            }
            Act::Release(place) => {
                if let Some(demand) = draw(&mut self.reserved, *place) {
                    self.escrow.release(&demand).unwrap();
                }
            }
            Act::Refund(place) => {
                if let Some(demand) = draw(&mut self.spent, *place) {
                    self.escrow.refund(&demand).unwrap();
                }
            }
            Act::GiveBack { recall } => {
                let back = self.escrow.give_back(*recall);
                self.treasury.take_back(&back);
                // Delivered twice: counted once.
                self.treasury.take_back(&back);
            }
            Act::LoseReturn => self.crash_after_losing_a_return(),
            Act::Cut { permille } => self.cut(*permille),
            Act::Crash => self.crash(),
        }
        self.check();
    }

    fn grant(&mut self, share: i64) {
        let want: Vec<i64> = self.treasury.pool().iter().map(|pool| pool * share / 255).collect();
        let (add, lease) = self.treasury.grant(&want);
        let envelope = Envelope {
            schema: 1,
            program: "shop".into(),
            epoch: 1,
            batch: lease,
            round: 0,
            price_version: 0,
            deadline: Timestamp(0),
        };
        let limit: Vec<i64> = largest_units(layout(), &COSTS).iter().map(|unit| unit * 4).collect();
        let expires_at = Timestamp(self.clock + 200);
        let grant = EscrowGrant { envelope, lease, expires_at, add, limit };
        self.escrow.accept(&grant).unwrap();
        assert!(self.escrow.accept(&grant).is_err(), "a grant was applied twice");
    }

    fn reserve(&mut self, segment: u8, reward: u8, learn: bool, at: i64) {
        let cost = COSTS[usize::from(reward)];
        let demand = Demand {
            segment: SegmentIndex(segment),
            reward: RewardIndex(reward),
            cost,
            learn,
            waits: false,
            at: Timestamp(self.clock + at),
            stocked: true,
        };
        let before = self.escrow.view().clone();
        match self.escrow.reserve(&demand, Timestamp(self.clock + at)) {
            Ok(()) => self.reserved.push(demand),
            Err(_) => assert_eq!(&before, self.escrow.view(), "a refusal changed something"),
        }
        self.clock += at / 10;
    }

    fn cut(&mut self, permille: i64) {
        self.limits = LIMITS.iter().map(|limit| limit.map(|limit| limit * permille / 1_000)).collect();
        if self.treasury.change_limits(&self.limits) {
            let back = self.escrow.give_back(true);
            self.treasury.take_back(&back);
        }
    }

    /// Both sides restart from the ledger: what is reserved and spent; the rest is the leader's again.
    fn crash(&mut self) {
        self.escrow = Escrow::rebuild(layout(), limited(), sums(&self.reserved), sums(&self.spent));
        self.treasury = Treasury::new(self.limits.clone(), self.escrow.view());
    }

    fn crash_after_losing_a_return(&mut self) {
        let _lost = self.escrow.give_back(true);
        self.crash();
    }

    fn check(&self) {
        self.treasury.audit(self.escrow.view()).unwrap();
        let (reserved, spent) = (sums(&self.reserved), sums(&self.spent));
        assert_eq!(self.escrow.view().reserved, reserved);
        assert_eq!(self.escrow.view().spent, spent);
        for (resource, limit) in LIMITS.iter().enumerate() {
            // The highest limit ever in force is what promises were made under.
            let most = limit.map_or(i64::MAX, |limit| limit * 1_500 / 1_000);
            assert!(reserved[resource] + spent[resource] <= most);
        }
    }
}

fn draw(from: &mut Vec<Demand>, place: usize) -> Option<Demand> {
    (!from.is_empty()).then(|| from.swap_remove(place % from.len()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn money_is_conserved_under_any_interleaving_and_crash(acts in acts()) {
        let mut world = World::new();
        acts.iter().for_each(|act| world.act(act));
    }
}

fn demand(reward: u8) -> Demand {
    let cost = COSTS[usize::from(reward)];
    Demand {
        segment: SegmentIndex(0),
        reward: RewardIndex(reward),
        cost,
        learn: false,
        waits: false,
        at: Timestamp(0),
        stocked: true,
    }
}

fn funded(balance: [i64; 9], limit: [i64; 9]) -> Escrow {
    let mut escrow = Escrow::new(layout(), vec![true; 9]);
    let envelope = Envelope {
        schema: 1,
        program: "shop".into(),
        epoch: 1,
        batch: 1,
        round: 0,
        price_version: 0,
        deadline: Timestamp(0),
    };
    let (add, limit) = (balance.to_vec(), limit.to_vec());
    escrow.accept(&EscrowGrant { envelope, lease: 1, expires_at: Timestamp(100), add, limit }).unwrap();
    escrow
}

#[test]
fn the_first_resource_that_falls_short_is_named() {
    let plenty = i64::MAX / 4;
    let cases = [(0, Refusal::Global), (1, Refusal::Segment), (4, Refusal::Inventory)];
    for (place, want) in cases {
        let mut balance = [plenty; 9];
        balance[place] = 0;
        assert_eq!(funded(balance, [plenty; 9]).reserve(&demand(0), Timestamp(0)), Err(want));
    }
    assert_eq!(funded([plenty; 9], [0; 9]).reserve(&demand(0), Timestamp(0)), Err(Refusal::Pacing));
    assert_eq!(funded([plenty; 9], [plenty; 9]).reserve(&demand(0), Timestamp(0)), Ok(()));
}

#[test]
fn a_node_past_its_lease_refuses_to_reserve() {
    let plenty = i64::MAX / 4;
    let mut escrow = funded([plenty; 9], [plenty; 9]);
    assert_eq!(escrow.reserve(&demand(0), Timestamp(99)), Ok(()));
    assert_eq!(escrow.reserve(&demand(0), Timestamp(100)), Err(Refusal::Lease));
}

#[test]
fn a_refund_can_be_spent_again_once_and_only_after_the_next_snapshot() {
    let mut escrow = funded([500_000; 9], [5_000_000; 9]);
    escrow.reserve(&demand(0), Timestamp(0)).unwrap();
    escrow.settle(&demand(0)).unwrap();
    escrow.refund(&demand(0)).unwrap();
    assert!(escrow.refund(&demand(0)).is_err(), "refunded twice");
    assert_eq!(escrow.reserve(&demand(0), Timestamp(0)), Err(Refusal::Global));
    assert_eq!(escrow.give_back(false).amounts[0], 500_000);
    assert_eq!(escrow.give_back(false).amounts[0], 0);
}

#[test]
fn a_budget_cut_below_what_is_promised_stops_promises_and_never_goes_negative() {
    let mut program = Program::new(Setup::default());
    program.run_to(1_000);
    let spent: EscrowView = program.escrow.view().clone();
    let cut: Vec<Option<i64>> =
        crate::program::config().limits.iter().map(|limit| limit.map(|limit| limit / 1_000)).collect();
    let effects = program.planner.change_limits(&cut);
    program.apply(effects);
    program.planner.audit(program.escrow.view()).unwrap();
    let promised = program.moments(200).iter().filter(|choice| choice.chosen.is_some()).count();
    assert_eq!(promised, 0, "promised after the money was gone");
    program.run_to(1_600);
    assert_eq!(program.escrow.view().reserved, spent.reserved);
}

#[test]
fn a_draw_brings_back_what_was_returned_and_leaves_the_limiter_alone() {
    let mut program = Program::new(Setup::default());
    program.run_to(400);
    program.negotiate();
    program.moments(20);
    let spent = program.escrow.view().reserved[0];
    let before = program.escrow.view().balance.clone();
    let back = program.escrow.give_back(true);
    program.planner.on_return(&back);
    let draw = program.escrow.draw();
    let now = program.now();
    let grant = program.planner.on_draw(&draw, now).unwrap();
    program.escrow.accept(&grant).unwrap();
    assert_eq!(program.escrow.view().balance, before);
    assert!(program.planner.on_draw(&draw, now).is_none(), "a draw on an old lease was granted");
    program.planner.audit(program.escrow.view()).unwrap();
    // Everything the period still allows can be spent, and not a unit more.
    program.moments(2_000);
    let limit = before[0] + spent;
    let overdrawn = program.escrow.draw().amounts[0];
    assert!(program.escrow.view().reserved[0] <= limit && overdrawn == 0, "limit {limit}");
}

#[test]
fn what_comes_back_pays_what_is_owed_before_it_is_promised_again() {
    let cost = demand(0).cost;
    assert!(cost > 1);
    let spent = 10 * cost;
    let mut escrow = Escrow::rebuild(layout(), vec![true; 9], vec![0; 9], vec![spent; 9]);
    let mut owed = vec![0; 9];
    owed[0] = cost + 1;
    escrow.owe(&owed).unwrap();
    let held = |escrow: &Escrow| (escrow.view().spent[0], escrow.view().returned[0]);
    escrow.refund(&demand(0)).unwrap();
    assert_eq!(held(&escrow), (spent, 0), "all of it pays");
    escrow.refund(&demand(0)).unwrap();
    assert_eq!(held(&escrow), (spent - cost + 1, cost - 1), "one of it pays");
    // Nothing more is owed when the next period begins: what was kept is free.
    escrow.owe(&[0; 9]).unwrap();
    assert_eq!(held(&escrow), (spent - 2 * cost, 2 * cost));
    // A resource nothing was owed of came back at once.
    assert_eq!(escrow.view().returned[1], 2 * cost);
    assert!(escrow.owe(&[0; 8]).is_err());
}
