//! The directory of resident member agents: at most so many, the least recently used idle ones leave first.

use std::collections::{HashMap, HashSet, VecDeque};

use domain::MemberId;
use ractor::{ActorId, ActorRef};

use crate::actors::member::Message;

/// Members sent away at a time when the house is full: one pass over the queue then serves several arrivals.
const LEAVE_AT_ONCE: usize = 64;
/// Failures of one member's own timers after which it is no longer woken in this run.
const TIMER_FAILURES_MAX: u32 = 5;

struct Resident {
    agent: ActorRef<Message>,
    /// Units of work under way; it may leave at zero only.
    busy: u32,
    /// Used since the queue last passed it (second-chance replacement).
    used: bool,
}

/// Who is resident, who is on the way out, and who waits for them.
pub struct Directory {
    resident_max: usize,
    residents: HashMap<MemberId, Resident>,
    by_actor: HashMap<ActorId, MemberId>,
    /// Candidates for leaving, oldest first; every resident is in it once.
    queue: VecDeque<MemberId>,
    /// Members leaving or failed, with the messages that arrived for them since.
    away: HashMap<MemberId, Vec<Message>>,
    woken: HashSet<MemberId>,
    timer_failures: HashMap<MemberId, u32>,
}

impl Directory {
    /// An empty house for at most `resident_max` agents.
    pub fn new(resident_max: usize) -> Directory {
        Directory {
            resident_max,
            residents: HashMap::new(),
            by_actor: HashMap::new(),
            queue: VecDeque::new(),
            away: HashMap::new(),
            woken: HashSet::new(),
            timer_failures: HashMap::new(),
        }
    }

    /// Keeps the message for later when the member is away; gives it back otherwise.
    pub fn hold_if_leaving(&mut self, member: MemberId, message: Message) -> Option<Message> {
        match self.away.get_mut(&member) {
            Some(waiting) => {
                waiting.push(message);
                None
            }
            None => Some(message),
        }
    }

    /// The member's agent, marked as used and busy with one more unit of work.
    pub fn resident(&mut self, member: MemberId) -> Option<ActorRef<Message>> {
        let resident = self.residents.get_mut(&member)?;
        resident.used = true;
        resident.busy += 1;
        Some(resident.agent.clone())
    }

    /// A new agent, busy with its first unit of work.
    pub fn arrived(&mut self, member: MemberId, agent: ActorRef<Message>) {
        self.by_actor.insert(agent.get_id(), member);
        self.residents.insert(member, Resident { agent, busy: 1, used: true });
        self.queue.push_back(member);
    }

    /// One unit of the member's work is done; `wake` when it was a wake-up.
    pub fn finished(&mut self, member: MemberId, wake: bool) {
        if wake {
            self.woken.remove(&member);
        }
        if let Some(resident) = self.residents.get_mut(&member) {
            resident.busy = resident.busy.saturating_sub(1);
        }
    }

    /// Agents to send away so that another fits; they are away from now on. Empty when there is room, or when
    /// everybody is busy: then the house is over its bound by at most the node's permits.
    pub fn make_room(&mut self) -> Vec<ActorRef<Message>> {
        if self.residents.len() < self.resident_max {
            return Vec::new();
        }
        self.send_away()
    }

    /// Agents to send away because a burst of busy members took the house over its bound.
    pub fn trim(&mut self) -> Vec<ActorRef<Message>> {
        if self.residents.len() <= self.resident_max {
            return Vec::new();
        }
        self.send_away()
    }

    fn send_away(&mut self) -> Vec<ActorRef<Message>> {
        let mut leaving = Vec::new();
        for _ in 0..self.queue.len().min(4 * LEAVE_AT_ONCE) {
            let Some(member) = self.queue.pop_front() else { break };
            let Some(resident) = self.residents.get_mut(&member) else { continue };
            if resident.busy > 0 || std::mem::take(&mut resident.used) {
                self.queue.push_back(member);
                continue;
            }
            if let Some(resident) = self.residents.remove(&member) {
                self.by_actor.remove(&resident.agent.get_id());
                self.away.insert(member, Vec::new());
                leaving.push(resident.agent);
            }
            if leaving.len() >= LEAVE_AT_ONCE {
                break;
            }
        }
        leaving
    }

    /// A member is back: the messages that waited for it.
    pub fn left(&mut self, member: MemberId) -> Vec<Message> {
        self.away.remove(&member).unwrap_or_default()
    }

    /// An agent panicked; its member is away until its work is sorted out. `None` for agents not of this house.
    pub fn failed(&mut self, actor: ActorId) -> Option<MemberId> {
        let member = self.by_actor.remove(&actor)?;
        self.residents.remove(&member);
        self.queue.retain(|queued| *queued != member);
        self.away.insert(member, Vec::new());
        if self.woken.contains(&member) {
            *self.timer_failures.entry(member).or_insert(0) += 1;
        }
        Some(member)
    }

    /// The member has been woken for its timers and is not done with them.
    pub fn woken(&mut self, member: MemberId) {
        self.woken.insert(member);
    }

    /// Whether the member need not be woken: it already is, or its timers keep failing.
    pub fn is_woken(&self, member: MemberId) -> bool {
        self.woken.contains(&member)
            || self.timer_failures.get(&member).is_some_and(|failures| *failures >= TIMER_FAILURES_MAX)
    }
}
