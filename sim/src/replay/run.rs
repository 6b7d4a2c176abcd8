//! The segments of one run of a node, moved along by recorded plans exactly as they were live.

use std::collections::VecDeque;
use std::sync::Arc;

use agents::member::Proposal;
use agents::negotiation::{Plan, PriceQuote, PriceTable};
use agents::segment::{Segment, verdict};
use domain::{Decision, MemberId, SegmentIndex};
use ledger::Seq;
use policies::registry::Share;
use policies::{Bundle, Stops};

use super::recorded::RecordedReserve;
use super::{Difference, Report};

/// What happened to every segment agent, in ledger order.
#[derive(Clone)]
pub enum Control {
    /// A budget period began at these prices.
    Period(Arc<PriceTable>),
    /// Rows were frozen for this negotiation, and its quotes answered.
    Freeze(Seq, Arc<Plan>),
    /// These prices were put in force.
    Install(Arc<PriceTable>),
}

/// One segment and what still lies ahead of it.
struct Seat {
    brain: Segment,
    ahead: VecDeque<Control>,
    /// A moment of this run could not be replayed, so the rows the segment remembers are not those it had.
    gap: bool,
}

/// One run of a node: the bundle in force, and a candidate beside it.
pub struct Runs {
    pub in_force: Run,
    pub canary: Option<(Share, Run)>,
}

impl Runs {
    /// What decided about a member.
    pub fn of(&mut self, member: MemberId) -> &mut Run {
        match &mut self.canary {
            Some((share, run)) if share.takes(member) => run,
            Some(_) | None => &mut self.in_force,
        }
    }

    /// Checks the negotiations that no later decision asked for.
    pub fn finish(&mut self, report: &mut Report) {
        self.in_force.finish(report);
        if let Some((_, run)) = &mut self.canary {
            run.finish(report);
        }
    }
}

/// One side of a run.
pub struct Run {
    bundle: Arc<Bundle>,
    stops: Stops,
    seats: Vec<Seat>,
    /// Prices of this run were pruned: its decisions cannot be recomputed.
    unpriced: bool,
}

impl Run {
    /// The segments at the start of a run.
    ///
    /// `controls_gone` says that some of its controls were pruned.
    pub fn new(
        bundle: Arc<Bundle>,
        stops: Stops,
        controls: Vec<Control>,
        controls_gone: bool,
    ) -> Option<Run> {
        let brains = super::policy(&bundle)?.segments();
        let ahead: VecDeque<Control> = controls.into();
        let seats =
            brains.into_iter().map(|brain| Seat { brain, ahead: ahead.clone(), gap: false }).collect();
        let unpriced = controls_gone;
        Some(Run { bundle, stops, seats, unpriced })
    }

    /// The bundle of this run.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// What operators had stopped during this run.
    pub fn stops(&self) -> Stops {
        self.stops
    }

    /// Whether prices of this run were pruned.
    pub fn is_unpriced(&self) -> bool {
        self.unpriced
    }

    /// A moment that cannot be replayed reached the segment of this name.
    pub fn skip(&mut self, segment: Option<&str>) {
        let place = segment.and_then(|id| self.bundle.segments().iter().position(|entry| entry.id == id));
        if let Some(seat) = place.and_then(|place| self.seats.get_mut(place)) {
            seat.gap = true;
        }
    }

    /// Decides a proposal as its segment agent did.
    pub fn decide(
        &mut self,
        segment: SegmentIndex,
        proposal: &Proposal,
        recorded: &Decision,
        report: &mut Report,
    ) -> Option<Decision> {
        let seat = self.seats.get_mut(usize::from(segment.0))?;
        seat.move_to(segment, recorded, report);
        if seat.gap && recorded.segment_seq > 0 {
            seat.brain.resume(recorded.segment_seq, recorded.opportunity.0);
        }
        let seal = verdict::Seal {
            id: recorded.id,
            now: recorded.decided_at,
            host_now: seat.brain.time_of_caution(recorded.caution),
            bundle: &self.bundle,
            stops: self.stops,
            models: recorded.models.unwrap_or_default(),
        };
        let mut reserve = RecordedReserve { decision: recorded };
        Some(verdict::decide(&mut seat.brain, proposal, &seal, &mut reserve))
    }

    /// The newest prices that are known to have been in force: of the segment that decided, else of any.
    pub fn prices(&self, segment: Option<SegmentIndex>) -> &PriceTable {
        let own = segment.and_then(|segment| self.seats.get(usize::from(segment.0)));
        let newest = || self.seats.iter().max_by_key(|seat| seat.brain.table().id());
        let seat = own.or_else(newest).or(self.seats.first());
        let first = self.seats[0].ahead.iter().find_map(|control| match control {
            Control::Period(table) => Some(&**table),
            Control::Install(_) | Control::Freeze(..) => None,
        });
        match seat.map(|seat| seat.brain.table()) {
            // Nobody has decided yet in this run: the first period's prices are the ones that would be decided by.
            Some(table) if table.envelope.epoch > 0 || first.is_none() => table,
            Some(_) | None => first.unwrap_or(self.seats[0].brain.table()),
        }
    }

    /// What the segment of this name asks for one of the member's contacts, micros; nothing where it is not known.
    pub fn contact_price(&self, id: &str, proposal: &Proposal, seal: &verdict::Seal<'_>) -> i64 {
        let place = self.bundle.segments().iter().position(|entry| entry.id == id);
        let seat = place.and_then(|place| self.seats.get(place));
        seat.map_or(0, |seat| verdict::contact_price(&seat.brain, proposal, seal))
    }

    fn finish(&mut self, report: &mut Report) {
        if self.unpriced {
            return;
        }
        for (index, seat) in (0u8..).zip(&mut self.seats) {
            while let Some(control) = seat.ahead.pop_front() {
                if let Control::Freeze(seq, plan) = &control {
                    // Moments that were lost with a crash leave later negotiations without their rows.
                    let segment = SegmentIndex(index);
                    if seat.gap || plan.certificate.frozen_at(segment) == Some(seat.brain.arrivals()) {
                        seat.answer(segment, *seq, plan, report);
                    }
                } else {
                    seat.apply(SegmentIndex(index), control, report);
                }
            }
        }
    }
}

impl Seat {
    /// Lets everything happen that had happened before the recorded decision was made.
    fn move_to(&mut self, segment: SegmentIndex, recorded: &Decision, report: &mut Report) {
        while let Some(at) = self.next_due(segment, recorded) {
            if let Some(control) = self.ahead.remove(at) {
                self.apply(segment, control, report);
            }
        }
    }

    /// The place of the next control that came before the recorded decision.
    fn next_due(&self, segment: SegmentIndex, recorded: &Decision) -> Option<usize> {
        for (at, control) in self.ahead.iter().enumerate() {
            match control {
                Control::Period(table) => return (at == 0 && table.id() <= recorded.table).then_some(at),
                Control::Install(table) if table.id() <= recorded.table => return Some(at),
                // Its successor's first quote may have overtaken this table on the bus.
                Control::Install(_) => {}
                Control::Freeze(_, plan) => {
                    let same_epoch = plan.certificate.envelope.epoch == self.brain.table().envelope.epoch;
                    let frozen_at = plan.certificate.frozen_at(segment);
                    let reached = frozen_at.is_some_and(|moments| moments < recorded.segment_seq);
                    if reached && same_epoch || self.next_table() <= recorded.table {
                        return Some(at);
                    }
                    if frozen_at.is_some() {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// The next table ahead; a negotiation that led to a table in force must have happened before it.
    fn next_table(&self) -> u64 {
        let tables = self.ahead.iter().find_map(|control| match control {
            Control::Period(table) | Control::Install(table) => Some(table.id()),
            Control::Freeze(..) => None,
        });
        tables.unwrap_or(u64::MAX)
    }

    fn apply(&mut self, segment: SegmentIndex, control: Control, report: &mut Report) {
        match control {
            Control::Period(table) => self.brain = self.brain.next_period((*table).clone()),
            Control::Install(table) => {
                if let Err(error) = self.brain.install(&table) {
                    report.differ(Difference::of(Seq(0), "table", "installed", &error.to_string()));
                }
            }
            Control::Freeze(seq, plan) => self.answer(segment, seq, &plan, report),
        }
    }

    /// Answers every quote of a negotiation again and compares the answers.
    fn answer(&mut self, segment: SegmentIndex, seq: Seq, plan: &Plan, report: &mut Report) {
        let certificate = &plan.certificate;
        for (round, record) in (0u8..).zip(&certificate.rounds) {
            let own = record.answers.iter().find(|answer| answer.segment == segment);
            // An answer that stood in for a silent segment is not this segment's own.
            let Some(recorded) = own.filter(|own| own.stale == 0) else { continue };
            if self.gap {
                report.unknown_answers += 1;
                continue;
            }
            let mut envelope = certificate.envelope.clone();
            envelope.round = round;
            let quote = PriceQuote {
                envelope,
                prices: record.prices.clone(),
                weights: certificate.weights.clone(),
                mix: certificate.mix,
            };
            let answer = match self.brain.answer(&quote) {
                Ok(answer) => answer,
                Err(error) => {
                    report.differ(Difference::of(seq, "answer", "given", &error.to_string()));
                    continue;
                }
            };
            report.answers += 1;
            let same = answer.demand == recorded.demand
                && answer.net_q16 == recorded.net_q16
                && answer.rows_digest == recorded.rows_digest
                && answer.frozen_at == recorded.frozen_at
                && answer.rows_used == recorded.rows_used;
            if !same {
                let field = format!("certificate.rounds[{round}].answers[{}]", segment.0);
                let show = |digest: u64, net: i128| format!("rows {digest:016x}, net {net}");
                report.differ(Difference::of(
                    seq,
                    &field,
                    &show(recorded.rows_digest, recorded.net_q16),
                    &show(answer.rows_digest, answer.net_q16),
                ));
            }
        }
    }
}
