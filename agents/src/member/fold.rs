//! How one event changes what a member agent knows.

use domain::event::wire::Refusal;
use domain::time::DAY;
use domain::{DecisionId, Event, EventKind, Micros, Purpose, Reason, Settlement, Timestamp};
use models::features::Purchase;

use super::state::{Promise, PromiseState, State};

/// What becomes of what a promise holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was used: its money stays spent.
    Used,
    /// It ended unused: money and stock return to the budgets.
    Unused,
    /// A person approved it: what was held for it is spent.
    Approved,
}

/// A promise that an event of its member changed, and what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    pub reward: std::sync::Arc<str>,
    pub segment: std::sync::Arc<str>,
    pub cost: Micros,
    /// It was only held for approval, not promised.
    pub pending: bool,
    pub turn: Turn,
    pub promised_at: Timestamp,
    /// It took a unit of a stock.
    pub stocked: bool,
}

impl State {
    /// Folds one event; returns the promise that ends with it, or is approved.
    ///
    /// # Errors
    /// A refusal when the event refers to a promise this member does not have, or to one already ended. The
    /// state is then unchanged.
    pub fn fold(&mut self, event: &Event) -> Result<Option<Release>, Refusal> {
        let released = match &event.kind {
            EventKind::Purchase { amount, .. } => {
                self.purchase(event, *amount);
                None
            }
            EventKind::Reversal { of } => {
                // A reversal may overtake its purchase; the history then waits for it.
                let before = self.history.last_purchase();
                let _removed = self.history.reverse(of.hash64());
                self.quiet_again(before, event.event_time);
                self.refund_at = self.refund_at.max(Some(event.event_time));
                None
            }
            EventKind::Settled { of } => {
                let _settled = self.history.settle(of.hash64());
                None
            }
            EventKind::Visit | EventKind::Enrolled => None,
            EventKind::Complaint => {
                self.complaint_open.set(true, event.event_time);
                self.complaint_at = self.complaint_at.max(Some(event.event_time));
                None
            }
            EventKind::ComplaintResolved => {
                self.complaint_open.set(false, event.event_time);
                None
            }
            EventKind::SensitiveContext => {
                self.sensitive_at = self.sensitive_at.max(Some(event.event_time));
                None
            }
            EventKind::Consent { purpose, granted } => {
                let consent = match purpose {
                    Purpose::PersonalisedMarketing => &mut self.consent_marketing,
                    Purpose::Profiling => &mut self.consent_profiling,
                };
                consent.set(*granted, event.event_time);
                None
            }
            EventKind::Objection { active } => {
                self.objected.set(*active, event.event_time);
                None
            }
            EventKind::Minor { active } => {
                self.minor.set(*active, event.event_time);
                None
            }
            EventKind::Quiet { days } => {
                self.quiet_fired_days = self.quiet_fired_days.max(*days);
                None
            }
            EventKind::Redeemed { decision } => Some(self.close(*decision, PromiseState::Redeemed)?),
            EventKind::Cancelled { decision } => Some(self.close(*decision, PromiseState::Cancelled)?),
            EventKind::Expired { decision } => Some(self.close(*decision, PromiseState::Expired)?),
            EventKind::Approved { decision } => Some(self.approve(*decision)?),
            EventKind::Declined { decision } => {
                self.waiting(*decision)?;
                Some(self.close(*decision, PromiseState::Cancelled)?)
            }
        };
        self.events += 1;
        self.last_event = Some(event.event_id.clone());
        Ok(released)
    }

    /// The purchase before a reversed one is the last again. Its timers until now have fired, or the reversed
    /// purchase overtook them: they must not come back, let alone under the ids they were recorded with.
    fn quiet_again(&mut self, before: Option<Timestamp>, now: Timestamp) {
        let (Some(before), Some(last)) = (before, self.history.last_purchase()) else { return };
        if last < before {
            let days = before.max(now).since(last) / DAY;
            self.quiet_fired_days = self.quiet_fired_days.max(u16::try_from(days).unwrap_or(u16::MAX));
        }
    }

    fn purchase(&mut self, event: &Event, amount: Micros) {
        let last = self.history.last_purchase();
        let purchase = Purchase {
            id: event.event_id.hash64(),
            time: event.event_time,
            amount,
            settlement: if event.settlement == Settlement::Provisional {
                Settlement::Provisional
            } else {
                Settlement::Settled
            },
        };
        let _held = self.history.purchase(purchase);
        if self.history.last_purchase() > last {
            self.quiet_fired_days = 0;
        }
    }

    fn close(&mut self, decision: DecisionId, next: PromiseState) -> Result<Release, Refusal> {
        let promise = self.promise_of(decision)?;
        let pending = promise.state == PromiseState::Pending;
        if !promise.state.is_open() || (pending && next == PromiseState::Redeemed) {
            let detail = format!("promise {decision} is {:?} and cannot become {next:?}", promise.state);
            return Err(refuse(Reason::BadTransition, detail));
        }
        promise.state = next;
        let turn = if next == PromiseState::Redeemed { Turn::Used } else { Turn::Unused };
        Ok(Release::of(promise, pending, turn))
    }

    /// A person approves a promise that waits. What the member said meanwhile comes before what the person says: a promise
    /// is personalised marketing (invariant E-3).
    fn approve(&mut self, decision: DecisionId) -> Result<Release, Refusal> {
        let denied = self.objected.on || self.minor.on || !self.allows(Purpose::PersonalisedMarketing);
        let promise = self.waiting(decision)?;
        if denied {
            let detail =
                format!("promise {decision} cannot be made: the member may not be addressed any more");
            return Err(refuse(Reason::BadTransition, detail));
        }
        promise.state = PromiseState::Open;
        Ok(Release::of(promise, true, Turn::Approved))
    }

    /// A promise that waits for a person.
    fn waiting(&mut self, decision: DecisionId) -> Result<&mut Promise, Refusal> {
        let promise = self.promise_of(decision)?;
        if promise.state == PromiseState::Pending {
            return Ok(promise);
        }
        let detail = format!("promise {decision} is {:?} and waits for nobody", promise.state);
        Err(refuse(Reason::BadTransition, detail))
    }

    fn promise_of(&mut self, decision: DecisionId) -> Result<&mut Promise, Refusal> {
        let promise = self.promises.iter_mut().find(|promise| promise.decision == decision);
        promise
            .ok_or_else(|| refuse(Reason::UnknownReference, format!("no promise {decision} of this member")))
    }
}

impl Release {
    fn of(promise: &Promise, pending: bool, turn: Turn) -> Release {
        Release {
            reward: std::sync::Arc::clone(&promise.reward),
            segment: std::sync::Arc::clone(&promise.segment),
            cost: promise.cost,
            pending,
            turn,
            promised_at: promise.granted_at,
            stocked: promise.stocked,
        }
    }
}

fn refuse(reason: Reason, detail: String) -> Refusal {
    Refusal::new("data.decision", reason, detail)
}
