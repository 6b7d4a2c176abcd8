//! A node's escrow: the right to spend that the leader granted, counted down by compare-and-subtract.
//!
//! One plain vector per node, one writer. It holds what may still be reserved, what is reserved, what is
//! spent and what goes back, so that with the leader's pool the sum is the budget at every step (invariants
//! B-1 and B-2). It never goes negative, and it refuses everything once its lease has ended.

use domain::{Cause, Decision, Outcome, Reason, RewardIndex, SegmentIndex, Timestamp};
use policies::{Bundle, Measure, RuleIndex};
use serde::{Deserialize, Serialize};

use super::limits::Limits;
use crate::member::{Release, Turn};
use crate::negotiation::{Draw, EscrowGrant, EscrowReturn, Layout};

/// What one promise uses up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    pub segment: SegmentIndex,
    pub reward: RewardIndex,
    /// Face cost in micros, not negative; reserved in full.
    pub cost: i64,
    /// Also charge the exploration budget.
    pub learn: bool,
    /// It is held until a person has looked.
    pub waits: bool,
    /// When it is promised.
    pub at: Timestamp,
    /// It takes, or took, a unit of the reward's stock where that is limited.
    pub stocked: bool,
}

impl Demand {
    /// What the chosen reward uses, if anything was promised or is held for approval.
    pub fn of(decision: &Decision) -> Option<Demand> {
        let (segment, reward) = (decision.segment?, decision.chosen?);
        Some(Demand {
            segment,
            reward,
            cost: decision.cost.0,
            learn: decision.cause == Cause::Exploration,
            waits: decision.outcome == Outcome::Pending,
            at: decision.decided_at,
            stocked: true,
        })
    }

    /// What a promise holds that ended or was approved, in the present bundle's positions; `None` when the reward or
    /// segment left the catalog, and its budget with it.
    pub fn of_release(release: &Release, bundle: &Bundle) -> Option<Demand> {
        let segment = bundle.segment_named(&release.segment)?;
        let reward = bundle.reward_named(&release.reward)?;
        Some(Demand {
            segment,
            reward,
            cost: release.cost.0,
            learn: false,
            waits: release.pending,
            at: release.promised_at,
            stocked: release.stocked,
        })
    }
}

/// Why a reservation was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The program's money does not cover it.
    Global,
    /// The segment's money does not cover it.
    Segment,
    /// No unit of the reward is left.
    Inventory,
    /// The limiter of this negotiation period is used up.
    Pacing,
    /// The exploration budget does not cover it.
    Learn,
    /// A limit beside the budgets is reached.
    Limit { measure: Measure, rule: RuleIndex },
    /// The lease has ended: the leader has been silent for too long.
    Lease,
}

impl Refusal {
    /// The reason code of a candidate refused so.
    pub fn reason(self) -> Reason {
        match self {
            Refusal::Global => Reason::GlobalBudget,
            Refusal::Segment => Reason::SegmentBudget,
            Refusal::Inventory => Reason::Inventory,
            Refusal::Pacing | Refusal::Learn => Reason::Pacing,
            Refusal::Limit { measure, .. } => measure.reason(),
            Refusal::Lease => Reason::LeaderSilent,
        }
    }

    /// The rule of the policy that says so, where one does.
    pub fn rule(self) -> Option<RuleIndex> {
        match self {
            Refusal::Limit { rule, .. } => Some(rule),
            Refusal::Global
            | Refusal::Segment
            | Refusal::Inventory
            | Refusal::Pacing
            | Refusal::Learn
            | Refusal::Lease => None,
        }
    }
}

/// Where a segment agent reserves: the live escrow, or a replay's recorded refusals.
pub trait Reserve {
    /// Takes what the promise needs, all of it or nothing.
    ///
    /// # Errors
    /// What could not cover it first, in the order lease, global, segment, inventory, learn, limits, pacing.
    fn reserve(&mut self, demand: &Demand, now: Timestamp) -> Result<(), Refusal>;
}

/// Why a message or a settlement does not fit the escrow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EscrowError {
    /// A vector with another number of resources.
    #[error("{got} resources where {want} are held")]
    WrongLength { want: usize, got: usize },
    /// A grant that was applied before, or an older one.
    #[error("lease {lease} does not follow lease {held}")]
    OldLease { lease: u64, held: u64 },
    /// More was to be settled or released than is reserved or spent.
    #[error("{amount} exceeds the {held} held of resource {resource}")]
    NotHeld { resource: usize, amount: i64, held: i64 },
}

/// What the leader needs to know of an escrow; also what a ledger row records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowView {
    pub lease: u64,
    /// May still be reserved.
    pub balance: Vec<i64>,
    /// Promised, not yet settled.
    pub reserved: Vec<i64>,
    /// Settled.
    pub spent: Vec<i64>,
    /// On its way back to the leader's pool.
    pub returned: Vec<i64>,
}

/// A node's escrow.
#[derive(Clone, Debug)]
pub struct Escrow {
    layout: Layout,
    limited: Vec<bool>,
    held: EscrowView,
    batch_left: Vec<i64>,
    expires_at: Timestamp,
    sequence: u64,
    limits: Option<Limits>,
    /// What of the limits lies above what the policy allows, because it was promised before: see [`Escrow::owe`].
    owed: Vec<i64>,
    /// What came back and pays for that; counted as spent.
    paid: Vec<i64>,
}

impl Escrow {
    /// An empty escrow; nothing can be reserved before the first grant.
    ///
    /// `limited` says which resources are counted at all, one entry per resource.
    pub fn new(layout: Layout, limited: Vec<bool>) -> Escrow {
        let zero = vec![0; layout.len()];
        Escrow::rebuild(layout, limited, zero.clone(), zero)
    }

    /// The escrow of a node that restarts: what the ledger says is reserved and spent, and nothing granted.
    ///
    /// What the node held unreserved is the leader's again once the old lease has ended.
    pub fn rebuild(layout: Layout, mut limited: Vec<bool>, reserved: Vec<i64>, spent: Vec<i64>) -> Escrow {
        let zero = vec![0; layout.len()];
        limited.resize(layout.len(), false);
        let held = EscrowView { lease: 0, balance: zero.clone(), reserved, spent, returned: zero.clone() };
        Escrow {
            layout,
            limited,
            held,
            owed: zero.clone(),
            paid: zero.clone(),
            batch_left: zero,
            expires_at: Timestamp(i64::MIN),
            sequence: 0,
            limits: None,
        }
    }

    /// The escrow with limits beside its budgets.
    pub fn within(self, limits: Limits) -> Escrow {
        Escrow { limits: Some(limits), ..self }
    }

    /// Says what is owed of each resource: of what comes back, this is not promised again but stays spent, until the policy allows
    /// as much as was promised. What came back before pays first.
    ///
    /// # Errors
    /// When there are other resources than are held.
    pub fn owe(&mut self, owed: &[i64]) -> Result<(), EscrowError> {
        self.fits(owed)?;
        for (resource, owed) in owed.iter().copied().enumerate() {
            let kept = self.paid[resource].min(owed);
            let free = self.paid[resource] - kept;
            self.held.spent[resource] -= free;
            self.held.returned[resource] += free;
            self.paid[resource] = kept;
            self.owed[resource] = owed - kept;
        }
        Ok(())
    }

    /// What was promised comes back, as far as nothing is owed.
    fn come_back(&mut self, uses: &[(usize, i64)]) {
        for (resource, amount) in uses.iter().copied() {
            let pays = amount.min(self.owed[resource]);
            self.owed[resource] -= pays;
            self.paid[resource] += pays;
            self.held.spent[resource] += pays;
            self.held.returned[resource] += amount - pays;
        }
    }

    /// The present state.
    pub fn view(&self) -> &EscrowView {
        &self.held
    }

    /// When the lease ends.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Applies a grant that is already in the ledger.
    ///
    /// # Errors
    /// Refuses a grant seen before and one of another shape.
    pub fn accept(&mut self, grant: &EscrowGrant) -> Result<(), EscrowError> {
        self.fits(&grant.add)?;
        if !grant.limit.is_empty() {
            self.fits(&grant.limit)?;
        }
        if grant.lease <= self.held.lease {
            return Err(EscrowError::OldLease { lease: grant.lease, held: self.held.lease });
        }
        for (balance, add) in self.held.balance.iter_mut().zip(&grant.add) {
            *balance += (*add).max(0);
        }
        self.held.lease = grant.lease;
        if !grant.limit.is_empty() {
            self.batch_left.clone_from(&grant.limit);
        }
        self.expires_at = grant.expires_at;
        Ok(())
    }

    /// A request for what the limiter would still allow beyond what is held.
    ///
    /// For resources so scarce that the leader holds them back instead of dividing them in advance.
    pub fn draw(&self) -> Draw {
        let missing = |(left, balance): (&i64, &i64)| (left - balance).max(0);
        let amounts = self.batch_left.iter().zip(&self.held.balance).map(missing).collect();
        Draw { lease: self.held.lease, amounts }
    }

    /// Takes out what goes back to the leader: refunds, and with `recall` everything not reserved.
    pub fn give_back(&mut self, recall: bool) -> EscrowReturn {
        if recall {
            for (returned, balance) in self.held.returned.iter_mut().zip(&mut self.held.balance) {
                *returned += std::mem::take(balance);
            }
        }
        self.sequence += 1;
        let amounts = std::mem::replace(&mut self.held.returned, vec![0; self.layout.len()]);
        EscrowReturn { lease: self.held.lease, sequence: self.sequence, amounts }
    }

    /// A promise was redeemed: reserved becomes spent.
    ///
    /// # Errors
    /// More than is reserved.
    pub fn settle(&mut self, demand: &Demand) -> Result<(), EscrowError> {
        let uses = self.uses(demand);
        take(&mut self.held.reserved, &uses)?;
        put(&mut self.held.spent, &uses);
        Ok(())
    }

    /// A person approved a promise that waited: reserved becomes spent, and it waits no more.
    ///
    /// # Errors
    /// More than is reserved.
    pub fn approve(&mut self, demand: &Demand) -> Result<(), EscrowError> {
        self.settle(demand)?;
        if let Some(limits) = &mut self.limits {
            limits.approve(demand);
        }
        Ok(())
    }

    /// A promise changed that this escrow may hold: it ended, or a person approved it.
    ///
    /// # Errors
    /// When it is not held here.
    pub fn turn(&mut self, release: &Release, bundle: &Bundle) -> Result<(), EscrowError> {
        let Some(demand) = Demand::of_release(release, bundle) else { return Ok(()) };
        match release.turn {
            Turn::Used => {
                self.end(&demand);
                Ok(())
            }
            Turn::Approved => self.approve(&demand),
            Turn::Unused if release.pending => self.release(&demand),
            Turn::Unused => self.refund(&demand),
        }
    }

    /// A promise expired or was cancelled: reserved goes back to the pool.
    ///
    /// # Errors
    /// More than is reserved.
    pub fn release(&mut self, demand: &Demand) -> Result<(), EscrowError> {
        let uses = self.uses(demand);
        take(&mut self.held.reserved, &uses)?;
        self.come_back(&uses);
        self.end(demand);
        Ok(())
    }

    /// A promise was used: its money stays spent, and is no longer exposed.
    pub fn end(&mut self, demand: &Demand) {
        if let Some(limits) = &mut self.limits {
            limits.end(demand);
        }
    }

    /// A promise expired or was cancelled after it was made: spent goes back to the pool.
    ///
    /// # Errors
    /// More than is spent.
    pub fn refund(&mut self, demand: &Demand) -> Result<(), EscrowError> {
        let uses = self.uses(demand);
        take(&mut self.held.spent, &uses)?;
        self.come_back(&uses);
        self.end(demand);
        Ok(())
    }

    /// The counted resources a promise uses, with a refusal for each.
    fn uses(&self, demand: &Demand) -> [(usize, i64); 4] {
        let counted = |place: usize, amount: i64| (place, if self.limited[place] { amount } else { 0 });
        let learn = if demand.learn { demand.cost } else { 0 };
        [
            counted(Layout::GLOBAL, demand.cost),
            counted(self.layout.segment(usize::from(demand.segment.0)), demand.cost),
            counted(self.layout.reward(usize::from(demand.reward.0)), i64::from(demand.stocked)),
            counted(self.layout.learn(), learn),
        ]
    }

    fn fits(&self, amounts: &[i64]) -> Result<(), EscrowError> {
        let (want, got) = (self.layout.len(), amounts.len());
        if want == got { Ok(()) } else { Err(EscrowError::WrongLength { want, got }) }
    }
}

impl Reserve for Escrow {
    fn reserve(&mut self, demand: &Demand, now: Timestamp) -> Result<(), Refusal> {
        const ORDER: [Refusal; 4] = [Refusal::Global, Refusal::Segment, Refusal::Inventory, Refusal::Learn];
        if now >= self.expires_at {
            return Err(Refusal::Lease);
        }
        let uses = self.uses(demand);
        for ((place, amount), refusal) in uses.into_iter().zip(ORDER) {
            if amount > self.held.balance[place] {
                return Err(refusal);
            }
        }
        if let Some(limits) = &mut self.limits {
            limits.check(demand)?;
        }
        if uses.iter().any(|(place, amount)| *amount > self.batch_left[*place]) {
            return Err(Refusal::Pacing);
        }
        if let Some(limits) = &mut self.limits {
            limits.take(demand);
        }
        for (place, amount) in uses {
            self.held.balance[place] -= amount;
            self.batch_left[place] -= amount;
            self.held.reserved[place] += amount;
        }
        Ok(())
    }
}

/// Subtracts `uses` from `from`, all or nothing.
fn take(from: &mut [i64], uses: &[(usize, i64)]) -> Result<(), EscrowError> {
    for (resource, amount) in uses.iter().copied() {
        let held = from[resource];
        if amount > held {
            return Err(EscrowError::NotHeld { resource, amount, held });
        }
    }
    for (resource, amount) in uses {
        from[*resource] -= amount;
    }
    Ok(())
}

fn put(into: &mut [i64], uses: &[(usize, i64)]) {
    for (resource, amount) in uses {
        into[*resource] += amount;
    }
}
