//! The member actor: one member's brain, its mailbox, and its state loaded from the ledger.
//!
//! One event is handled at a time (invariant C-1): while scores or a segment's answer are awaited, later
//! events wait in `waiting`, which the node's admission permits bound. The actor holds nothing that is not in
//! the ledger or on its way there, so after a panic a new one starts from the ledger and goes on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use agents::member::{Considered, Member, Promise, Proposed, Release, State, Step};
use agents::segment::verdict;
use domain::event::wire::Refusal;
use domain::{Decision, Event, EventKind, MemberId, Reason, Timestamp};
use ledger::{DataKey, Entry};
use models::batch::Scored;
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::segment::{self, Job};
use crate::metrics::Stamps;
use crate::reward::Promised;
use crate::rows;
use crate::sides::Agents;
use crate::work::{Arrival, Feedback, WorkId};
use crate::writer::{After, Row};

pub use super::loader::Loader;

/// Rows after which a member's state is written down, so that loading folds at most this many. A snapshot is
/// about as long as three rows; every 64 rows it adds 5 % to what is written.
const SNAPSHOT_EVERY: u32 = 64;

/// The mailbox.
pub enum Message {
    /// An event of this member.
    Event(Box<Arrival>),
    /// A timer of this member may be due.
    Wake { work: WorkId, now: Timestamp },
    /// What the models say about the row sent last.
    Scored(Box<Scored>),
    /// The segment agent's decision on the proposal sent last.
    Decided(Box<Verdict>),
    /// Write the state down and stop; nothing is under way.
    Passivate,
}

/// What a member agent needs to know of a decision about its member.
pub struct Verdict {
    pub promise: Option<Promise>,
    /// Set when the state was written down with the decision.
    pub written: Option<Written>,
}

/// Carries the scorer's answer back to the member agent that asked.
pub struct ToMember(ActorRef<Message>);

impl models::batch::Reply for ToMember {
    fn reply(self, scored: Scored) {
        // The agent may have stopped meanwhile; then the event is handled again from the ledger.
        let _stopped = self.0.send_message(Message::Scored(Box::new(scored)));
    }
}

/// The actor.
pub struct MemberActor {
    pub agents: Agents,
}

/// What is under way.
enum Busy {
    Scoring(Box<Considered>, Pace),
    Deciding,
}

/// The unit of work a moment belongs to, if it was admitted from outside, and how far it got.
#[derive(Clone, Copy)]
struct Pace {
    work: Option<WorkId>,
    stamps: Stamps,
}

/// The actor's state.
pub struct Mind {
    id: MemberId,
    loaded: Option<Loaded>,
    waiting: VecDeque<Arrival>,
    busy: Option<Busy>,
    /// Asked to leave; it does so once nothing is under way.
    leaving: bool,
}

struct Loaded {
    member: Member,
    key: DataKey,
    written: Written,
}

/// What the ledger's cache of the state knows.
#[derive(Clone, Copy)]
pub struct Written {
    /// Rows since the state was last written down.
    pub rows_since: u32,
    /// The due time written then.
    pub next_due: Option<Timestamp>,
}

impl Written {
    /// Whether a state with this due time should be written with the next row: every so many rows, and
    /// whenever a timer moved ahead of the one the ledger knows. A timer that fires late cannot be made up
    /// for; one that fires early is only asked again.
    pub fn wants(self, due: Option<Timestamp>) -> bool {
        let earlier = match (due, self.next_due) {
            (Some(due), Some(written)) => due < written,
            (Some(_), None) => true,
            (None, _) => false,
        };
        earlier || self.rows_since >= SNAPSHOT_EVERY
    }
}

impl Actor for MemberActor {
    type Msg = Message;
    type State = Mind;
    type Arguments = MemberId;

    async fn pre_start(&self, _me: ActorRef<Message>, id: MemberId) -> Result<Mind, ActorProcessingErr> {
        Ok(Mind { id, loaded: None, waiting: VecDeque::new(), busy: None, leaving: false })
    }

    async fn handle(
        &self,
        me: ActorRef<Message>,
        message: Message,
        mind: &mut Mind,
    ) -> Result<(), ActorProcessingErr> {
        if mind.loaded.is_none() {
            mind.loaded = Some(self.load(mind.id)?);
        }
        match message {
            Message::Event(arrival) => mind.waiting.push_back(*arrival),
            Message::Wake { work, now } => self.wake(mind, work, now),
            Message::Scored(scored) => self.scored(mind, *scored, &me),
            Message::Decided(verdict) => decided(mind, *verdict),
            Message::Passivate => mind.leaving = true,
        }
        self.proceed(mind, &me);
        if mind.leaving && mind.busy.is_none() {
            self.leave(mind);
            me.stop(None);
        }
        Ok(())
    }
}

impl MemberActor {
    fn load(&self, id: MemberId) -> Result<Loaded, ActorProcessingErr> {
        let key = self.agents.shared.keys.key_for(id)?;
        let found = self.agents.shared.loader.load(id, &key, &self.agents.shared.bundle)?;
        self.agents.shared.metrics.count(|c| &c.activations);
        Ok(Loaded { member: Member::from_state(found.state), key, written: found.written })
    }

    /// Works through waiting events until one has to wait for somebody else.
    fn proceed(&self, mind: &mut Mind, me: &ActorRef<Message>) {
        while mind.busy.is_none() {
            let Some(arrival) = mind.waiting.pop_front() else { return };
            self.handle_event(mind, arrival, me);
        }
    }

    fn handle_event(&self, mind: &mut Mind, arrival: Arrival, me: &ActorRef<Message>) {
        let Arrival { work, event, now, mut stamps } = arrival;
        self.agents.shared.faults.strike(&event);
        let Some(loaded) = &mut mind.loaded else { return };
        let after = match self.announced(&event, &loaded.key) {
            Ok(after) => after,
            Err(refusal) => {
                stamps.folded = Instant::now();
                stamps.scored = stamps.folded;
                return self.refuse(loaded, &event, now, refusal, Pace { work, stamps });
            }
        };
        let step = loaded.member.handle(&event, now, &self.agents.shared.bundle, self.agents.shared.stops);
        stamps.folded = Instant::now();
        stamps.scored = stamps.folded;
        let pace = Pace { work, stamps };
        match step {
            Step::Observed { release } => {
                let entry = rows::observed(&event, now, None, None, release.as_ref(), &loaded.key);
                self.write(loaded, entry, pace, release, after);
            }
            Step::Refused(refusal) => self.refuse(loaded, &event, now, refusal, pace),
            Step::Denied(considered, refusal) => {
                let decision = verdict::denied(&considered, refusal, &self.agents.shared.seal());
                self.record(loaded, &decision, considered.used, pace);
            }
            Step::Score(considered) => self.score(mind, considered, pace, me),
            Step::Unscored(considered) => self.propose(mind, considered, None, pace, me),
        }
    }

    /// What the world hears of an event that only changes facts: nothing, unless a person approved a promise. Read before
    /// anything is changed, so that what cannot be told is not promised.
    fn announced(&self, event: &Event, key: &DataKey) -> Result<After, Refusal> {
        let EventKind::Approved { decision } = event.kind else { return Ok(After::Nothing) };
        let shared = &self.agents.shared;
        let promised = shared.loader.approved(decision, key, &shared.bundle);
        promised
            .map(After::Announce)
            .map_err(|error| Refusal::new("data.decision", Reason::UnknownReference, error.to_string()))
    }

    fn score(&self, mind: &mut Mind, considered: Box<Considered>, pace: Pace, me: &ActorRef<Message>) {
        let features = considered.features;
        mind.busy = Some(Busy::Scoring(considered, pace));
        self.agents.shared.scorer.submit(features, ToMember(me.clone()));
    }

    fn scored(&self, mind: &mut Mind, scored: Scored, me: &ActorRef<Message>) {
        // A late answer to a question nobody asks any more.
        let Some(Busy::Scoring(considered, mut pace)) = mind.busy.take() else { return };
        if scored.fault.is_some() {
            self.agents.shared.metrics.count(|c| &c.fallback_scores);
        }
        pace.stamps.scored = Instant::now();
        self.propose(mind, considered, Some(scored.scores), pace, me);
    }

    fn propose(
        &self,
        mind: &mut Mind,
        considered: Box<Considered>,
        scores: Option<domain::Scores>,
        pace: Pace,
        me: &ActorRef<Message>,
    ) {
        let Some(loaded) = &mut mind.loaded else { return };
        let (event, now, moment) = (considered.event.clone(), considered.now, considered.moment);
        let used = considered.used.clone();
        match considered.propose(scores, &self.agents.shared.bundle, self.agents.shared.stops) {
            Proposed::NotAMoment(rule) => {
                let triggered = Some((moment.0, Some(rule.0)));
                let entry = rows::observed(&event, now, triggered, scores, used.as_ref(), &loaded.key);
                self.write(loaded, entry, pace, used, After::Nothing);
            }
            Proposed::Proposal(proposal) => match proposal.segment {
                Err(refusal) => {
                    let decision = verdict::without_segment(&proposal, refusal, &self.agents.shared.seal());
                    self.record(loaded, &decision, used, pace);
                }
                Ok(segment) => {
                    loaded.written.rows_since += 1;
                    let job = Job {
                        proposal,
                        key: loaded.key.clone(),
                        state: Arc::clone(&loaded.member.state),
                        written: loaded.written,
                        work: pace.work,
                        stamps: pace.stamps,
                        reply: me.clone(),
                    };
                    mind.busy = Some(Busy::Deciding);
                    // A segment agent that is gone takes the node down; nothing is acknowledged.
                    let _going_down = self.agents.segments[usize::from(segment.0)]
                        .send_message(segment::Message::Propose(Box::new(job)));
                }
            },
        }
    }

    /// Records a decision that involved no segment agent and so promises nothing.
    fn record(&self, loaded: &mut Loaded, decision: &Decision, used: Option<Release>, mut pace: Pace) {
        let entry = rows::decision(decision, used.as_ref(), &self.agents.shared.bundle, &loaded.key);
        pace.stamps.decided = Instant::now();
        self.agents.shared.metrics.decided(decision.outcome);
        let after = After::Announce(Promised::of(decision, &entry.body));
        self.write(loaded, entry, pace, used, after);
    }

    fn refuse(&self, loaded: &mut Loaded, event: &Event, now: Timestamp, refusal: Refusal, pace: Pace) {
        self.agents.shared.metrics.count(|c| &c.dead_letters);
        let entry = rows::dead_letter_of(event, now, &[refusal], &loaded.key);
        let after = After::Refused { source: event.source.to_string(), body: entry.body.clone() };
        self.write(loaded, entry, pace, None, after);
    }

    fn write(
        &self,
        loaded: &mut Loaded,
        mut entry: Entry,
        pace: Pace,
        turned: Option<Release>,
        after: After,
    ) {
        if entry.kind == ledger::Kind::Observed {
            self.agents.shared.metrics.count(|c| &c.observed);
        }
        loaded.written.rows_since += 1;
        let due = loaded.member.state.next_due(&self.agents.shared.bundle);
        if loaded.written.wants(due) {
            loaded.written = Written { rows_since: 0, next_due: due };
            entry.snapshot = Some(snapshot(&loaded.member.state, &loaded.key, due));
        }
        let turned = turned.map(|release| (Arc::clone(&self.agents.shared.purse), Box::new(release)));
        self.agents.shared.writer.row(Row { entry, work: pace.work, stamps: pace.stamps, turned, after });
    }

    /// Writes the state down for the last time; the intake hears once it is durable.
    fn leave(&self, mind: &Mind) {
        let Some(loaded) = &mind.loaded else { return };
        let due = loaded.member.state.next_due(&self.agents.shared.bundle);
        self.agents.shared.writer.leave(mind.id, snapshot(&loaded.member.state, &loaded.key, due));
    }

    /// Turns due timers into events of the member itself, ahead of whatever waits.
    fn wake(&self, mind: &mut Mind, work: WorkId, now: Timestamp) {
        let Some(loaded) = &mut mind.loaded else { return };
        let waiting = &mind.waiting;
        let mut events = loaded.member.state.due_events(now, &self.agents.shared.bundle);
        // An earlier wake-up may have queued one that has not had its turn yet.
        events.retain(|event| waiting.iter().all(|arrival| arrival.event.event_id != event.event_id));
        // A timer is recorded once: a second row for its id would stop the writer, and with it the node.
        events.retain(|event| !self.agents.shared.loader.knows(&event.event_id).unwrap_or(false));
        if events.is_empty() {
            // An event under way is in the state already, its row is not in the ledger yet: a state written
            // down now would have it folded twice by whoever loads the member next.
            if mind.busy.is_none() {
                // The ledger remembered an earlier time than the present one: tell it, so that it does not ask again.
                let due = loaded.member.state.next_due(&self.agents.shared.bundle);
                loaded.written = Written { rows_since: 0, next_due: due };
                self.agents.shared.writer.state(mind.id, snapshot(&loaded.member.state, &loaded.key, due));
            }
            self.agents.shared.tell(Feedback::NothingDue(work));
            return;
        }
        let mut work = Some(work);
        for event in events {
            let stamps = Stamps::at(Instant::now());
            mind.waiting.push_back(Arrival { work: work.take(), event, now, stamps });
        }
    }
}

fn decided(mind: &mut Mind, verdict: Verdict) {
    mind.busy = None;
    let Some(loaded) = &mut mind.loaded else { return };
    if let Some(promise) = verdict.promise {
        Arc::make_mut(&mut loaded.member.state).promise(promise);
    }
    if let Some(written) = verdict.written {
        loaded.written = written;
    }
}

/// A member's state, sealed, with the time it next needs attention.
pub fn snapshot(state: &State, key: &DataKey, next_due: Option<Timestamp>) -> ledger::State {
    ledger::State { sealed: key.seal_state(state.member, &state.snapshot()), next_due }
}
