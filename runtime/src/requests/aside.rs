//! What takes long about a request, done aside: what it names is fetched from the server, and a hand-in is checked.
//! Meanwhile the inbox answers others: a kill switch waits for neither.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use policies::registry::Signed;
use tokio::sync::oneshot;

use super::{JudgeError, Request};
use crate::bus::nats::Door;
use crate::registry::{Checked, HandIn};

/// How long the server may take to hand out what a request names: eight megabytes over a slow network take less.
const FETCHED_WITHIN: Duration = Duration::from_secs(3);

/// Held while a hand-in is checked: the check of a run that has ended goes on to its end, and two at once would take the
/// processors from the decisions.
static CHECKING: Mutex<()> = Mutex::new(());

/// What was done.
pub(super) enum Done {
    Fetched(Box<Result<Request, JudgeError>>),
    Checked(Box<Request>, Checked),
}

/// Checks what a request hands in. Whoever drops the receiver does not want it any more.
///
/// In a thread: a task of the runtime would hold up its end for as long as it takes.
pub(super) fn check(request: Request, hand_in: HandIn) -> oneshot::Receiver<Done> {
    let (tell, told) = oneshot::channel();
    let started = std::thread::Builder::new().name("hand-in".to_owned()).spawn(move || {
        let _one_at_once = CHECKING.lock().unwrap_or_else(PoisonError::into_inner);
        if !tell.is_closed() {
            let _gone = tell.send(Done::Checked(Box::new(request), hand_in.check()));
        }
    });
    if let Err(error) = started {
        tracing::error!(%error, "a hand-in cannot be checked");
    }
    told
}

/// Fetches what a statement names.
pub(super) fn fetch(door: Door, signed: Signed) -> oneshot::Receiver<Done> {
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let id = signed.statement.id.clone();
        let malformed = |why: String| JudgeError::Malformed { path: format!("request.{id}").into(), why };
        let fetched = match tokio::time::timeout(FETCHED_WITHIN, door.complete(signed)).await {
            Ok(completed) => completed.map(Request::Policy).map_err(|error| malformed(error.to_string())),
            Err(_) => Err(malformed("its bundle did not come in time".to_owned())),
        };
        let _gone = tell.send(Done::Fetched(Box::new(fetched)));
    });
    told
}

/// Keeps every hand-in from being checked while it is held.
#[cfg(test)]
pub(super) fn hold() -> std::sync::MutexGuard<'static, ()> {
    CHECKING.lock().unwrap_or_else(PoisonError::into_inner)
}
