//! The segments of one run of a node, moved along by recorded plans exactly as they were live.

use std::collections::VecDeque;
use std::sync::Arc;

use agents::member::Proposal;
use agents::negotiation::{Plan, PriceQuote, PriceTable};
use agents::segment::{Segment, verdict};
use domain::{Decision, SegmentIndex};
use ledger::Seq;
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
}

/// One run of a node.
pub struct Run {
    bundle: Arc<Bundle>,
    seats: Vec<Seat>,
}

impl Run {
    /// The segments at the start of a run.
    pub fn new(bundle: Arc<Bundle>, controls: Vec<Control>) -> Option<Run> {
        let brains = super::policy(&bundle)?.segments();
        let ahead: VecDeque<Control> = controls.into();
        let seats = brains.into_iter().map(|brain| Seat { brain, ahead: ahead.clone() }).collect();
        Some(Run { bundle, seats })
    }

    /// The bundle of this run.
    pub fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
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
        let seal = verdict::Seal {
            id: recorded.id,
            now: recorded.decided_at,
            host_now: seat.brain.time_of_caution(recorded.caution),
            bundle: &self.bundle,
            stops: Stops::default(),
            models: recorded.models.unwrap_or_default(),
        };
        let mut reserve = RecordedReserve { decision: recorded };
        Some(verdict::decide(&mut seat.brain, proposal, &seal, &mut reserve))
    }

    /// Checks the negotiations that no later decision asked for.
    pub fn finish(&mut self, report: &mut Report) {
        for (index, seat) in (0u8..).zip(&mut self.seats) {
            while let Some(control) = seat.ahead.pop_front() {
                if let Control::Freeze(seq, plan) = &control {
                    // Moments that were lost with a crash leave later negotiations without their rows.
                    let complete = plan.seen.get(usize::from(index)) == Some(&seat.brain.arrivals());
                    if complete {
                        seat.answer(SegmentIndex(index), *seq, plan, report);
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
        while let Some(control) = self.ahead.front() {
            let due = match control {
                Control::Period(table) | Control::Install(table) => table.id() <= recorded.table,
                Control::Freeze(_, plan) => {
                    let reached = recorded.segment_seq > 0
                        && plan
                            .seen
                            .get(usize::from(segment.0))
                            .is_some_and(|seen| *seen < recorded.segment_seq);
                    let same_epoch = plan.certificate.envelope.epoch == self.brain.table().envelope.epoch;
                    self.next_table() <= Some(recorded.table) || reached && same_epoch
                }
            };
            if !due {
                return;
            }
            if let Some(control) = self.ahead.pop_front() {
                self.apply(segment, control, report);
            }
        }
    }

    /// The next table ahead; a negotiation that led to a table in force must have happened before it.
    fn next_table(&self) -> Option<u64> {
        let tables = self.ahead.iter().find_map(|control| match control {
            Control::Period(table) | Control::Install(table) => Some(table.id()),
            Control::Freeze(..) => None,
        });
        Some(tables.unwrap_or(u64::MAX))
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
            let Some(recorded) = record.answers.iter().find(|answer| answer.segment == segment) else {
                continue;
            };
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
            // An answer that stood in for a silent segment is not this segment's own.
            if recorded.stale > 0 {
                continue;
            }
            report.answers += 1;
            let same = answer.demand == recorded.demand
                && answer.net_q16 == recorded.net_q16
                && answer.rows_digest == recorded.rows_digest
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
