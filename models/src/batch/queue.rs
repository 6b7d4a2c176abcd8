//! A bounded queue that one thread drains in batches.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

struct Inner<T> {
    items: VecDeque<T>,
    /// The worker sleeps; only then does a push pay for waking it.
    asleep: bool,
    closed: bool,
}

pub(super) struct Queue<T> {
    most: usize,
    inner: Mutex<Inner<T>>,
    arrived: Condvar,
}

impl<T> Queue<T> {
    pub(super) fn new(most: usize) -> Queue<T> {
        let inner = Inner { items: VecDeque::new(), asleep: false, closed: false };
        Queue { most, inner: Mutex::new(inner), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item, or gives it back when the queue is full or closed.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut inner = self.lock();
        if inner.closed || inner.items.len() >= self.most {
            return Err(item);
        }
        inner.items.push_back(item);
        if inner.asleep {
            inner.asleep = false;
            drop(inner);
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Sleeps until something waits, and says how much; `None` once closed and empty.
    pub(super) fn wait(&self) -> Option<usize> {
        let mut inner = self.lock();
        while inner.items.is_empty() {
            if inner.closed {
                return None;
            }
            inner.asleep = true;
            inner = self.arrived.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.asleep = false;
        Some(inner.items.len())
    }

    /// Removes the oldest items, at most `most`.
    pub(super) fn take(&self, most: usize) -> Vec<T> {
        let mut inner = self.lock();
        let count = most.min(inner.items.len());
        inner.items.drain(..count).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().items.len()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }
}
