//! The intake: admits events, finds their member agents, and acknowledges what is done.
//!
//! One task owns everything about admission: the permits (so no mailbox grows without bound, C-2), the table
//! of work in flight, and the directory of resident members. Bytes become events here or dead letters; a
//! known event id is answered without deciding again (D-2). A member agent that panics is replaced and its
//! work handed out again; an event that keeps failing is quarantined (POISON) so that it holds nobody up.

mod directory;
mod flight;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::event::wire::{self, Refusal};
use domain::{Event, MemberId, Reason, Timestamp};
use ledger::Reader;
use policies::Members;
use ractor::ActorRef;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::directory::Directory;
use self::flight::{Flight, InFlight};
use crate::actors::{member, policy, segment};
use crate::bus::{self, Bus, Delivery, Ticket};
use crate::clock::Clock;
use crate::metrics::Stamps;
use crate::rows;
use crate::shared::Shared;
use crate::sides::Sides;
use crate::work::{Arrival, Feedback, WorkId};
use crate::writer::{After, Row};

/// Deliveries taken from the bus at a time.
const PULL_MAX: usize = 256;
/// How often a live node asks for due timers.
const TIMERS_EVERY: Duration = Duration::from_secs(1);
/// Program time between two questions for due timers: members notice no difference within an hour.
const TIMERS_EVERY_PROGRAM: i64 = domain::time::HOUR;
/// Timers woken at a time; the rest follow at the next question.
const TIMERS_MAX: u32 = 512;
/// Times an event is tried before it is quarantined.
const ATTEMPTS_MAX: u32 = 5;

/// Why the intake ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Bus(#[from] bus::Error),
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error("the node cannot go on: {0}")]
    Fatal(String),
}

/// What the intake works with.
pub struct Intake {
    pub shared: Arc<Shared>,
    pub bus: Bus,
    pub source: bus::Intake,
    pub reader: Reader,
    pub feedback: mpsc::UnboundedReceiver<Feedback>,
    /// Promises that two people took back, as events.
    pub own: mpsc::UnboundedReceiver<Event>,
    pub stop: CancellationToken,
    pub policy: ActorRef<policy::Message>,
    /// Who decides about whom; `shared` is of the bundle in force.
    pub sides: Sides,
    /// Supervises the member agents.
    pub nursery: ractor::ActorCell,
    pub in_flight_max: usize,
    pub resident_max: usize,
}

/// The intake at work.
struct Desk {
    parts: Intake,
    flight: Flight,
    directory: Directory,
    /// Members whose agent panicked and whose work is being sorted out, with what it said.
    failures: HashMap<MemberId, String>,
    /// When the open budget period ends; nothing is admitted beyond it before the next is open.
    period_end: Option<Timestamp>,
    /// Timers up to here have been asked for.
    timers_asked: Timestamp,
    timers_last: Instant,
}

impl Intake {
    /// Admits events until told to stop, then waits until everything admitted is done.
    ///
    /// # Errors
    /// When the bus or the ledger fails for good, or a part of the node reports that it cannot go on. Nothing
    /// that is not durable has been acknowledged then.
    pub async fn run(self) -> Result<(), Error> {
        let directory = Directory::new(self.resident_max);
        let mut desk = Desk {
            flight: Flight::default(),
            directory,
            failures: HashMap::new(),
            period_end: None,
            timers_asked: Timestamp(i64::MIN),
            timers_last: Instant::now(),
            parts: self,
        };
        desk.admit_until_stopped().await?;
        desk.drain().await
    }
}

impl Desk {
    async fn admit_until_stopped(&mut self) -> Result<(), Error> {
        let stop = self.parts.stop.clone();
        loop {
            let room = self.parts.in_flight_max.saturating_sub(self.flight.len()).min(PULL_MAX);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                feedback = self.parts.feedback.recv() => self.feedback(feedback).await?,
                Some(event) = self.parts.own.recv(), if room > 0 && self.has_time() => {
                    self.take_own(event).await?;
                }
                deliveries = self.parts.source.next(room), if room > 0 => match deliveries? {
                    Some(deliveries) => self.admit(deliveries).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep(TIMERS_EVERY), if matches!(self.parts.shared.clock, Clock::Wall) => {}
            }
            let leavers = self.directory.trim();
            self.passivate(leavers);
            self.ask_timers().await?;
            self.gauge();
        }
    }

    fn gauge(&self) {
        let gauge = &self.parts.shared.metrics.counters.in_flight;
        gauge.store(self.flight.len() as u64, std::sync::atomic::Ordering::Release);
    }

    async fn drain(&mut self) -> Result<(), Error> {
        while self.flight.len() > 0 {
            let feedback = self.parts.feedback.recv().await;
            self.feedback(feedback).await?;
        }
        Ok(())
    }

    async fn feedback(&mut self, first: Option<Feedback>) -> Result<(), Error> {
        let mut next = first;
        let mut tickets = Vec::new();
        while let Some(feedback) = next {
            match feedback {
                Feedback::Done(works) => {
                    for work in works {
                        self.done(work, &mut tickets);
                    }
                }
                Feedback::Unpublished(works) => {
                    // Not acknowledged: the event comes again and finds its row.
                    let mut kept = Vec::new();
                    for work in works {
                        self.done(work, &mut kept);
                    }
                }
                Feedback::NothingDue(work) => self.done(work, &mut tickets),
                Feedback::MemberFailed { actor, why } => self.member_failed(actor, &why),
                Feedback::Drained(member) => self.revive(member).await?,
                Feedback::Left(member) => self.left(member),
                Feedback::Fatal(why) => return Err(Error::Fatal(why)),
            }
            next = self.parts.feedback.try_recv().ok();
        }
        if !tickets.is_empty() {
            self.parts.bus.acknowledge(tickets).await;
        }
        Ok(())
    }

    fn done(&mut self, work: WorkId, tickets: &mut Vec<Ticket>) {
        let Some(finished) = self.flight.finish(work) else { return };
        tickets.extend(finished.tickets.into_iter().filter(|ticket| *ticket != Ticket::Internal));
        if let Some(member) = finished.member {
            self.directory.finished(member, finished.event.is_none());
        }
    }
}

/// Admission.
impl Desk {
    async fn admit(&mut self, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let received = Instant::now();
        // Before the deliveries are counted as received, so that "received and nothing in flight" means done.
        let gauge = &self.parts.shared.metrics.counters.in_flight;
        gauge.fetch_add(deliveries.len() as u64, std::sync::atomic::Ordering::Release);
        for delivery in deliveries {
            self.parts.shared.metrics.count(|c| &c.received);
            let limits = self.parts.shared.clock.limits();
            match wire::parse(&delivery.bytes, &limits) {
                Ok(incoming) => self.accept(incoming, delivery, received).await?,
                Err(refusals) => self.refuse(delivery, &refusals, received).await?,
            }
        }
        Ok(())
    }

    async fn accept(
        &mut self,
        incoming: wire::Incoming,
        delivery: Delivery,
        received: Instant,
    ) -> Result<(), Error> {
        if let Some(work) = self.flight.work_of(incoming.event_id()) {
            return self.seen_in_flight(work, delivery, received).await;
        }
        if let Some(seq) = self.parts.reader.event_seq(incoming.event_id())? {
            if delivery.attempt > 1 {
                self.parts.shared.metrics.count(|c| &c.duplicates);
                self.parts.bus.acknowledge(vec![delivery.ticket]).await;
            } else {
                let detail = format!("already row {seq} of the ledger");
                self.refuse(delivery, &[Refusal::new("event_id", Reason::DuplicateEvent, detail)], received)
                    .await?;
            }
            return Ok(());
        }
        let Some(member) = self.member_of(&incoming)? else {
            let detail =
                "not enrolled, and the program accepts known members only; an event of type `enrolled` \
                          comes first"
                    .to_owned();
            self.refuse(delivery, &[Refusal::new("member", Reason::UnknownMember, detail)], received).await?;
            return Ok(());
        };
        let event = incoming.under(member);
        self.parts.shared.clock.witness(event.event_time);
        let now = self.parts.shared.clock.now();
        self.open_period(now).await?;
        let entry = InFlight::of(event.clone(), delivery, now);
        let work = self.flight.start(entry);
        self.dispatch(Arrival { work: Some(work), event, now, stamps: Stamps::at(received) });
        Ok(())
    }

    /// Whether the node knows what time it is: a clock that events drive stands still until the first.
    fn has_time(&self) -> bool {
        matches!(self.parts.shared.clock, Clock::Wall) || self.period_end.is_some()
    }

    /// Does, once, what people signed about a promise: as an event like any other, of the node's own.
    async fn take_own(&mut self, event: Event) -> Result<(), Error> {
        let known = self.parts.reader.event_seq(&event.event_id)?.is_some();
        if known || self.flight.work_of(&event.event_id).is_some() {
            return Ok(());
        }
        let now = self.parts.shared.clock.now();
        // People's clocks run ahead of a replayed past.
        let event = Event { event_time: event.event_time.min(now), ..event };
        self.open_period(now).await?;
        let work = self.flight.start(InFlight::own(event.clone(), now));
        self.dispatch(Arrival { work: Some(work), event, now, stamps: Stamps::at(Instant::now()) });
        Ok(())
    }

    /// The same id is being handled right now: a redelivery joins it, anything else is a duplicate.
    async fn seen_in_flight(
        &mut self,
        work: WorkId,
        delivery: Delivery,
        received: Instant,
    ) -> Result<(), Error> {
        if delivery.attempt > 1 {
            self.parts.shared.metrics.count(|c| &c.duplicates);
            self.flight.join(work, delivery.ticket);
        } else {
            let detail = "an event with this id is being handled".to_owned();
            self.refuse(delivery, &[Refusal::new("event_id", Reason::DuplicateEvent, detail)], received)
                .await?;
        }
        Ok(())
    }

    /// The member's pseudonym, enrolling it where the program allows; `None` for an unknown member. An identifier whose
    /// member was erased names nobody: it is enrolled as a stranger's, or refused as one.
    fn member_of(&self, incoming: &wire::Incoming) -> Result<Option<MemberId>, Error> {
        let raw = incoming.member.as_str();
        let keys = &self.parts.shared.keys;
        let ledger = |error: ledger::KeyError| Error::Ledger(ledger::Error::from(error));
        if let Some(member) = keys.member(raw).map_err(ledger)? {
            return Ok(Some(member));
        }
        match self.parts.shared.bundle.program().members {
            Members::Known if !incoming.enrols() => Ok(None),
            Members::Known | Members::Enrol => Ok(Some(keys.enrol(raw).map_err(ledger)?.0)),
        }
    }

    /// Records a delivery that cannot be an event. Most have no id that could be trusted, so a redelivery is
    /// known by the place where the message is stored.
    async fn refuse(
        &mut self,
        delivery: Delivery,
        refusals: &[Refusal],
        received: Instant,
    ) -> Result<(), Error> {
        if let Some(work) = delivery.place.and_then(|place| self.flight.refusal_at(place)) {
            self.parts.shared.metrics.count(|c| &c.duplicates);
            self.flight.join(work, delivery.ticket);
            return Ok(());
        }
        let mut id = Uuid::now_v7();
        if let Some(place) = delivery.place {
            let of_place = rows::dead_letter_id(place, &delivery.bytes);
            match (self.parts.reader.record(of_place.as_bytes())?, delivery.attempt) {
                (None, _) => id = of_place,
                // Another stream once held the same bytes at this place.
                (Some(_), 1) => {}
                (Some(_), _) => {
                    self.parts.shared.metrics.count(|c| &c.duplicates);
                    self.parts.bus.acknowledge(vec![delivery.ticket]).await;
                    return Ok(());
                }
            }
        }
        self.parts.shared.metrics.count(|c| &c.dead_letters);
        let key = self.parts.shared.keys.program_key();
        let entry = rows::dead_letter(id, &delivery.bytes, crate::clock::wall(), refusals, &key);
        let source =
            wire::source_of(&delivery.bytes).map_or_else(|| "unknown".to_owned(), |word| word.to_string());
        let work = self.flight.start(InFlight::refused(delivery));
        let after = After::Refused { source, body: entry.body.clone() };
        self.parts.shared.writer.row(Row {
            entry,
            work: Some(work),
            stamps: Stamps::at(received),
            turned: None,
            after,
        });
        Ok(())
    }

    async fn open_period(&mut self, now: Timestamp) -> Result<(), Error> {
        if self.period_end.is_some_and(|end| now < end) {
            return Ok(());
        }
        let policy = self.parts.policy.clone();
        let call = policy.call(|reply| policy::Message::Open { now, reply }, None);
        tokio::pin!(call);
        let answer = loop {
            tokio::select! {
                answer = &mut call => break answer,
                // A failure elsewhere would otherwise leave this waiting for ever.
                feedback = self.parts.feedback.recv() => self.feedback(feedback).await?,
            }
        };
        match answer {
            Ok(ractor::rpc::CallResult::Success(end)) => {
                self.period_end = Some(end);
                Ok(())
            }
            Ok(ractor::rpc::CallResult::Timeout | ractor::rpc::CallResult::SenderError) => {
                Err(Error::Fatal("the policy agent did not open a budget period".to_owned()))
            }
            Err(error) => Err(Error::Fatal(format!("the policy agent is gone: {error}"))),
        }
    }

    fn dispatch(&mut self, arrival: Arrival) {
        let member = arrival.event.member;
        self.send(member, member::Message::Event(Box::new(arrival)));
    }

    /// Delivers a message to a member's agent, starting one where none is resident.
    fn send(&mut self, member: MemberId, message: member::Message) {
        let Some(message) = self.directory.hold_if_leaving(member, message) else { return };
        let agent = match self.directory.resident(member) {
            Some(agent) => agent,
            None => match self.activate(member) {
                Some(agent) => agent,
                None => return,
            },
        };
        // An agent that has just panicked is reported by its supervisor, and its work is handed out again.
        let _failed = agent.send_message(message);
    }

    fn activate(&mut self, member: MemberId) -> Option<ActorRef<member::Message>> {
        let leavers = self.directory.make_room();
        self.passivate(leavers);
        let handler = member::MemberActor { agents: self.parts.sides.of(member).clone() };
        let nursery = self.parts.nursery.clone();
        match ractor::ActorRuntime::spawn_linked_instant(None, handler, member, nursery) {
            Ok((agent, _starting)) => {
                self.directory.arrived(member, agent.clone());
                Some(agent)
            }
            Err(error) => {
                self.parts.shared.tell(Feedback::Fatal(format!("no member agent could be started: {error}")));
                None
            }
        }
    }
}

/// Passivation, failure and timers.
impl Desk {
    fn passivate(&self, leavers: Vec<ActorRef<member::Message>>) {
        for leaver in leavers {
            // An agent that panics on the way out is reported by its supervisor.
            let _failed = leaver.send_message(member::Message::Passivate);
            self.parts.shared.metrics.count(|c| &c.passivations);
        }
    }

    /// A passivated member is durable: whoever came for it meanwhile gets a new agent.
    fn left(&mut self, member: MemberId) {
        for message in self.directory.left(member) {
            self.send(member, message);
        }
    }

    fn member_failed(&mut self, actor: ractor::ActorId, why: &str) {
        let Some(member) = self.directory.failed(actor) else { return };
        tracing::error!(%member, why, "member agent panicked; it is restarted from the ledger");
        self.parts.shared.metrics.count(|c| &c.restarts);
        self.failures.insert(member, why.to_owned());
        // What it had under way passes the segments and the writer before anybody decides what to repeat.
        let segments = &self.parts.sides.of(member).segments;
        let barrier = Arc::new(segment::Barrier { member, segments: segments.len() });
        for segment in segments.iter() {
            let _going_down = segment.send_message(segment::Message::Barrier(Arc::clone(&barrier)));
        }
    }

    /// Everything a failed member had under way is durable or lost: hand out again what is not done.
    async fn revive(&mut self, member: MemberId) -> Result<(), Error> {
        let why = self.failures.remove(&member).unwrap_or_default();
        // Events that arrived meanwhile are in flight and handed out below; wake-ups will be asked for again.
        let _held = self.directory.left(member);
        let mut culprit_found = false;
        for work in self.flight.of_member(member) {
            let Some(entry) = self.flight.get(work) else { continue };
            let Some(event) = entry.event.clone() else {
                let mut tickets = Vec::new();
                self.done(work, &mut tickets);
                continue;
            };
            let now = entry.now;
            if self.parts.reader.event_seq(&event.event_id)?.is_some() {
                continue;
            }
            // The agent works in order, so the first unit that is not durable is the one that failed.
            let failures =
                if std::mem::replace(&mut culprit_found, true) { 0 } else { self.flight.blame(work) };
            if failures >= ATTEMPTS_MAX {
                self.quarantine(work, &event, &why);
            } else {
                let stamps = Stamps::at(Instant::now());
                self.dispatch(Arrival { work: Some(work), event, now, stamps });
            }
        }
        Ok(())
    }

    fn quarantine(&mut self, work: WorkId, event: &Event, why: &str) {
        tracing::error!(event_id = %event.event_id, why, "event quarantined after {ATTEMPTS_MAX} attempts");
        self.parts.shared.metrics.count(|c| &c.dead_letters);
        let detail = format!("failed {ATTEMPTS_MAX} times; the last failure: {why}");
        let refusal = Refusal::new("", Reason::Poison, detail);
        let key = match self.parts.shared.keys.key_for(event.member) {
            Ok(key) => key,
            Err(error) => return self.parts.shared.tell(Feedback::Fatal(error.to_string())),
        };
        let at = self.parts.shared.clock.now();
        let entry = rows::dead_letter_of(event, at, &[refusal], &key);
        let stamps = Stamps::at(Instant::now());
        let after = After::Refused { source: event.source.to_string(), body: entry.body.clone() };
        self.parts.shared.writer.row(Row { entry, work: Some(work), stamps, turned: None, after });
    }

    /// Wakes members whose timers are due.
    async fn ask_timers(&mut self) -> Result<(), Error> {
        let now = self.parts.shared.clock.now();
        let asked_lately = match self.parts.shared.clock {
            Clock::Wall => self.timers_last.elapsed() < TIMERS_EVERY,
            Clock::Event(_) => now.since(self.timers_asked) < TIMERS_EVERY_PROGRAM,
        };
        if asked_lately || self.flight.len() >= self.parts.in_flight_max || self.period_end.is_none() {
            return Ok(());
        }
        self.timers_last = Instant::now();
        self.timers_asked = now;
        for (member, _due) in self.parts.reader.due(now, TIMERS_MAX)? {
            if self.directory.is_woken(member) {
                continue;
            }
            self.open_period(now).await?;
            let work = self.flight.start(InFlight::timer(member, now));
            self.directory.woken(member);
            self.send(member, member::Message::Wake { work, now });
        }
        Ok(())
    }
}
