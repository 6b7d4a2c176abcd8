//! The inbox of a running node: requests from its folder and over NATS, judged one after the other.
//!
//! Whoever may write the folder may ask; only a signature of somebody in people.toml is heard, and of others only that they
//! are about to read.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use domain::Event;
use ledger::{Keys, Reader, Seq};
use policies::registry::Scheduled;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::files::{self, Found};
use super::{Desk, JudgeError, Judged, People, Request, Spoken, outstanding, signer};
use crate::bus::nats::Door;
use crate::clock;
use crate::metrics::Stamps;
use crate::node::NodeError;
use crate::registry::{due_entry, load};
use crate::writer::{After, Row, WriterHandle};

/// How often a node looks: a kill switch must hold within a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests answered at one look; the next look takes the next.
const REQUESTS_MAX: usize = 16;
/// How long the server may take to hand out a bundle or store an answer: meanwhile no other request is judged.
const DOOR_WITHIN: Duration = Duration::from_secs(3);

/// Whether a request said nothing that somebody in people.toml signed: it is answered fast, and does not use up a look.
fn is_noise(answer: &Answer) -> bool {
    matches!(answer, Answer::Refused { code, .. } if matches!(code.as_str(), "REG0003" | "REG0004" | "REG0005" | "REG0023"))
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Answer {
    /// Recorded in this row.
    Taken { row: u64 },
    /// Not taken; nothing changed.
    Refused { code: String, why: String },
}

impl Answer {
    pub(super) fn refused(error: &JudgeError) -> Answer {
        Answer::Refused { code: error.code().to_owned(), why: error.to_string() }
    }
}

/// A look at the inbox changed nothing, or ended the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    SameAsBefore,
    /// The policy or the switches in force are others now: the run must end.
    Changed,
}

/// The inbox of a running node.
pub struct Inbox {
    pub folder: PathBuf,
    pub identity: String,
    pub reader: Reader,
    pub keys: Keys,
    pub writer: WriterHandle,
    /// Does what people signed about promises. Each is a row, so the queue needs no bound of its own.
    pub own: mpsc::UnboundedSender<Event>,
    /// The node's order to stop.
    pub stop: CancellationToken,
    /// Raised when the run must end because another policy is in force.
    pub changed: CancellationToken,
    /// What waits for its time; to be read again when absent.
    pub scheduled: Option<Option<Scheduled>>,
    /// Files whose answer could not be written: judged once, and left where they lie.
    pub unanswerable: BTreeSet<PathBuf>,
    /// Requests that come over NATS, where there is a server.
    pub door: Option<(Door, mpsc::Receiver<(String, Bytes)>)>,
}

impl Inbox {
    /// Answers requests until the node stops or the policy in force changes.
    pub async fn run(mut self) {
        // What was confirmed while no node ran, or just before the last one ended.
        self.act();
        while !self.stop.is_cancelled() {
            match self.look().await {
                Ok(Outcome::SameAsBefore) => {}
                Ok(Outcome::Changed) => return self.changed.cancel(),
                Err(error) => tracing::error!(%error, "requests cannot be answered"),
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<Outcome, NodeError> {
        let mut outcome = Outcome::SameAsBefore;
        let mut judged = 0;
        for path in files::waiting(&self.folder) {
            if judged == REQUESTS_MAX {
                break;
            }
            let request = match files::read(&path, SystemTime::now()) {
                Found::Whole(request) => Ok(*request),
                Found::Unusable(why) => Err(why),
                // It holds nobody up: the next look finds it whole, or old enough to be judged.
                Found::BeingWritten => continue,
            };
            if self.unanswerable.contains(&path) {
                continue;
            }
            let (answer, effect) = self.answer(request).await?;
            judged += usize::from(!is_noise(&answer));
            if let Err(error) = files::reply(&path, &answer) {
                tracing::error!(%error, request = %path.display(), "a request was judged, but its answer not written; it is not looked at again");
                self.unanswerable.insert(path);
            }
            if effect == Outcome::Changed {
                // What follows is judged by the next run, under what is in force then.
                return Ok(Outcome::Changed);
            }
            outcome = effect;
        }
        if let Some(changed) = self.look_at_door().await? {
            return Ok(changed);
        }
        if self.is_due().await? { Ok(Outcome::Changed) } else { Ok(outcome) }
    }

    /// Records that what is scheduled comes into force, once its time has come.
    async fn is_due(&mut self) -> Result<bool, NodeError> {
        if self.scheduled.is_none() {
            self.scheduled = Some(load(&self.reader, &self.identity)?.scheduled().cloned());
        }
        let now = clock::wall();
        if self.scheduled.iter().flatten().all(|next| next.at > now) {
            return Ok(false);
        }
        let registry = load(&self.reader, &self.identity)?;
        if let Err(error) = registry.scheduled_stands() {
            return Ok(self.does_not_come(&error));
        }
        let Some(due) = registry.due(now) else { return Ok(false) };
        let people = match People::load(&self.folder) {
            Ok(people) => people,
            Err(error) => return Ok(self.does_not_come(&error)),
        };
        if let Err(error) = registry.approved_by_any(due.bundle, |approval| people.may_still(approval)) {
            return Ok(self.does_not_come(&error));
        }
        self.append(vec![due_entry(due.bundle, &due.by_statement)]).await;
        Ok(true)
    }

    /// Says why what is scheduled does not come into force, and leaves it until the next request, which may change that.
    fn does_not_come(&mut self, error: &dyn std::fmt::Display) -> bool {
        tracing::error!(%error, "what was scheduled does not come into force; withdraw it");
        self.scheduled = Some(None);
        false
    }

    /// Answers what came over NATS; says so when that ended the run.
    async fn look_at_door(&mut self) -> Result<Option<Outcome>, NodeError> {
        for _ in 0..REQUESTS_MAX {
            let Some((door, requests)) = &mut self.door else { return Ok(None) };
            let Ok((id, bytes)) = requests.try_recv() else { return Ok(None) };
            let door = door.clone();
            let request = complete(&self.folder.clone(), &door, &id, &bytes).await;
            let (answer, effect) = self.answer(request).await?;
            let written = tokio::time::timeout(DOOR_WITHIN, door.answer(&id, &answer)).await;
            if !matches!(written, Ok(Ok(()))) {
                tracing::error!(id, "a request was judged, but its answer not written");
            }
            if effect == Outcome::Changed {
                return Ok(Some(effect));
            }
        }
        Ok(None)
    }

    async fn answer(&mut self, request: Result<Request, JudgeError>) -> Result<(Answer, Outcome), NodeError> {
        let judged = request.and_then(|request| {
            let Inbox { folder, reader, keys, identity, .. } = &*self;
            Desk { folder, reader, keys, identity }.judge(&request, clock::wall())
        });
        self.record(judged).await
    }

    /// Appends the rows of a request that was judged in its favour.
    async fn record(&mut self, judged: Result<Judged, JudgeError>) -> Result<(Answer, Outcome), NodeError> {
        let Judged { entries, changes, acts, refused } = match judged {
            Ok(judged) => judged,
            Err(error) => return Ok((Answer::refused(&error), Outcome::SameAsBefore)),
        };
        let Some(row) = self.append(entries).await else {
            let why = "the node is stopping; ask again".to_owned();
            return Ok((Answer::Refused { code: "REG0024".to_owned(), why }, Outcome::SameAsBefore));
        };
        if let Some(error) = refused {
            return Ok((Answer::refused(&error), Outcome::SameAsBefore));
        }
        if acts {
            self.act();
        }
        Ok((Answer::Taken { row: row.0 }, if changes { Outcome::Changed } else { Outcome::SameAsBefore }))
    }

    /// Hands over everything people signed about promises that has no row yet; the intake does each once.
    fn act(&self) {
        match outstanding(&self.reader, &self.keys, &self.identity) {
            Ok(events) => {
                for event in events {
                    let _stopping = self.own.send(event);
                }
            }
            Err(error) => {
                tracing::error!(%error, "what people signed about promises cannot be read; the next start does it")
            }
        }
    }

    /// Appends rows and waits until the last is durable; `None` when the writer has ended.
    async fn append(&mut self, entries: Vec<ledger::Entry>) -> Option<Seq> {
        self.scheduled = None;
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let count = entries.len();
        for (at, entry) in entries.into_iter().enumerate() {
            let after = match tell.take_if(|_| at + 1 == count) {
                Some(tell) => After::Then(Box::new(move |seq| {
                    let _gone = tell.send(seq);
                })),
                None => After::Nothing,
            };
            self.writer.row(Row {
                entry,
                work: None,
                stamps: Stamps::at(Instant::now()),
                turned: None,
                after,
            });
        }
        told.await.ok()
    }
}

/// A request with its bundle. Nothing is fetched for somebody who is not in people.toml.
async fn complete(
    folder: &std::path::Path,
    door: &Door,
    id: &str,
    bytes: &[u8],
) -> Result<Request, JudgeError> {
    let malformed = |why: String| JudgeError::Malformed { path: format!("request.{id}").into(), why };
    let signed = match serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))? {
        Spoken::Policy(signed) => signed,
        Spoken::Case(signed) => return Ok(signed.into()),
    };
    signer(&People::load(folder)?, &signed)?;
    match tokio::time::timeout(DOOR_WITHIN, door.complete(signed)).await {
        Ok(completed) => completed.map(Request::Policy).map_err(|error| malformed(error.to_string())),
        Err(_) => Err(malformed("its bundle did not come in time".to_owned())),
    }
}
