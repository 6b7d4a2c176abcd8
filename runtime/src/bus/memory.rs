//! The in-process bus: same subjects, same bytes, no server.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Delivery, Error, Message, Publication, Ticket, subject};

/// Events that may wait between a producer and the intake. The producer waits beyond that, so memory stays
/// flat; 4,096 is about 100 ms of work at full speed.
const EVENTS_WAITING_MAX: usize = 4_096;

/// Messages that may wait for one subscriber. Rewards wait for room; visibility traffic beyond it is dropped
/// and counted.
const SUBSCRIBER_WAITING_MAX: usize = 4_096;

struct Subscriber {
    pattern: String,
    sender: mpsc::Sender<Message>,
}

struct Shared {
    events: mpsc::Sender<Delivery>,
    positions: AtomicU64,
    acknowledged: AtomicU64,
    subscribers: Mutex<Vec<Subscriber>>,
    subscriber_count: AtomicUsize,
    dropped: AtomicU64,
}

/// The in-process bus; clones share it.
#[derive(Clone)]
pub struct MemoryBus {
    shared: Arc<Shared>,
}

/// The consuming end of the events.
pub struct MemoryIntake {
    events: mpsc::Receiver<Delivery>,
}

/// One subscriber's queue.
pub struct MemorySubscription {
    messages: mpsc::Receiver<Message>,
}

impl MemoryBus {
    /// A bus and its single intake.
    pub fn new() -> (MemoryBus, MemoryIntake) {
        let (events, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
        let shared = Shared {
            events,
            positions: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            subscribers: Mutex::new(Vec::new()),
            subscriber_count: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        };
        (MemoryBus { shared: Arc::new(shared) }, MemoryIntake { events: receiver })
    }

    /// Hands one event to the node; waits while the node is busy.
    ///
    /// # Errors
    /// [`Error::Closed`] once the node stopped its intake.
    pub async fn send_event(&self, bytes: Bytes) -> Result<(), Error> {
        let position = self.shared.positions.fetch_add(1, Ordering::Relaxed);
        let delivery = Delivery { bytes, attempt: 1, place: None, ticket: Ticket::Memory(position) };
        self.shared.events.send(delivery).await.map_err(|_| Error::Closed)
    }

    /// Events acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Acquire)
    }

    /// Visibility messages dropped because a subscriber was slow.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn acknowledge(&self, tickets: &[Ticket]) {
        let ours = tickets.iter().filter(|ticket| matches!(ticket, Ticket::Memory(_))).count();
        self.shared.acknowledged.fetch_add(ours as u64, Ordering::Release);
    }

    pub(super) fn is_heard(&self) -> bool {
        self.shared.subscriber_count.load(Ordering::Relaxed) > 0
    }

    pub(super) fn publish(&self, subject: &str, payload: Bytes) {
        for sender in self.listeners(subject) {
            let message = Message { subject: subject.to_owned(), payload: payload.clone() };
            if sender.try_send(message).is_err() {
                self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(super) async fn publish_rewards(&self, rewards: &[Publication]) -> Result<(), Error> {
        if !self.is_heard() {
            return Ok(());
        }
        for reward in rewards {
            for sender in self.listeners(&reward.subject) {
                let message = Message { subject: reward.subject.clone(), payload: reward.payload.clone() };
                // A subscriber that went away has nothing to lose.
                let _gone = sender.send(message).await;
            }
        }
        Ok(())
    }

    pub(super) fn subscribe(&self, pattern: &str) -> MemorySubscription {
        let (sender, messages) = mpsc::channel(SUBSCRIBER_WAITING_MAX);
        let mut subscribers = self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.push(Subscriber { pattern: pattern.to_owned(), sender });
        self.shared.subscriber_count.store(subscribers.len(), Ordering::Relaxed);
        MemorySubscription { messages }
    }

    /// The queues of those who listen to `subject`; forgets those who stopped listening.
    fn listeners(&self, subject: &str) -> Vec<mpsc::Sender<Message>> {
        if !self.is_heard() {
            return Vec::new();
        }
        let mut subscribers = self.shared.subscribers.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|subscriber| !subscriber.sender.is_closed());
        self.shared.subscriber_count.store(subscribers.len(), Ordering::Relaxed);
        let listening =
            subscribers.iter().filter(|subscriber| subject::matches(&subscriber.pattern, subject));
        listening.map(|subscriber| subscriber.sender.clone()).collect()
    }
}

impl MemoryIntake {
    pub(super) async fn next(&mut self, limit: usize) -> Option<Vec<Delivery>> {
        let mut deliveries = Vec::with_capacity(limit.min(256));
        let received = self.events.recv_many(&mut deliveries, limit).await;
        (received > 0).then_some(deliveries)
    }
}

impl MemorySubscription {
    pub(super) async fn next(&mut self) -> Option<Message> {
        self.messages.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn subscribers_see_what_matches_and_only_that() {
        let (bus, _intake) = MemoryBus::new();
        let mut subscription = bus.subscribe("largesse.v1.reward.>");
        bus.publish("largesse.v1.decision.none.x", Bytes::from_static(b"no"));
        bus.publish("largesse.v1.reward.granted.x.m", Bytes::from_static(b"yes"));
        assert_eq!(subscription.next().await.unwrap().payload, "yes");
    }

    #[tokio::test]
    async fn slow_subscribers_lose_visibility_traffic_and_it_is_counted() {
        let (bus, _intake) = MemoryBus::new();
        let _subscription = bus.subscribe(">");
        for _ in 0..SUBSCRIBER_WAITING_MAX + 3 {
            bus.publish("x", Bytes::new());
        }
        assert_eq!(bus.dropped(), 3);
    }
}
