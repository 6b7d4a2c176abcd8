//! Requests and answers as files in the ledger folder: `inbox/ID.json` and `inbox/ID.answer`.
//!
//! A request appears whole by a rename, and so does its answer. Whoever may write the folder may ask; only a
//! signature of somebody in people.toml is heard.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::Timestamp;
use ledger::{Reader, Seq};
use policies::registry::{Scheduled, Signed};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{JudgeError, People, Request, due_entry, judge, last_of, load, signer};
use crate::bus::nats::Door;
use crate::clock;
use crate::metrics::Stamps;
use crate::node::NodeError;
use crate::writer::{After, Row, WriterHandle};

/// How often a node looks: a kill switch must hold within a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests answered at one look; the next look takes the next.
const REQUESTS_MAX: usize = 16;
/// Largest request that is read: six files of a bundle at most.
pub const REQUEST_BYTES_MAX: u64 = 8 << 20;
/// How long the server may take to hand out a bundle or store an answer: meanwhile no other request is judged.
const DOOR_WITHIN: Duration = Duration::from_secs(3);
/// How long whoever asks waits for a running node.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

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
    fn refused(error: &JudgeError) -> Answer {
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
    pub writer: WriterHandle,
    /// The node's order to stop.
    pub stop: CancellationToken,
    /// Raised when the run must end because another policy is in force.
    pub changed: CancellationToken,
    /// What waits for its time; to be read again when absent.
    pub scheduled: Option<Option<Scheduled>>,
    /// Requests that come over NATS, where there is a server.
    pub door: Option<(Door, mpsc::Receiver<(String, Bytes)>)>,
}

impl Inbox {
    /// Answers requests until the node stops or the policy in force changes.
    pub async fn run(mut self) {
        while !self.stop.is_cancelled() {
            match self.look().await {
                Ok(Outcome::SameAsBefore) => {}
                Ok(Outcome::Changed) => return self.changed.cancel(),
                Err(error) => tracing::error!(%error, "the registry of policies cannot be read"),
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look(&mut self) -> Result<Outcome, NodeError> {
        let requests = waiting(&self.folder);
        let mut outcome = Outcome::SameAsBefore;
        for path in requests {
            let (answer, effect) = self.answer(&path).await?;
            reply(&path, &answer);
            if effect == Outcome::Changed {
                // What follows is judged by the next run, under what is in force then.
                return Ok(Outcome::Changed);
            }
            outcome = effect;
        }
        if let Some(changed) = self.look_at_door().await? {
            return Ok(changed);
        }
        if self.scheduled.is_none() {
            self.scheduled = Some(load(&self.reader, &self.identity)?.scheduled().cloned());
        }
        if self
            .scheduled
            .as_ref()
            .is_some_and(|next| next.as_ref().is_some_and(|next| next.at <= clock::wall()))
            && let Some(due) = load(&self.reader, &self.identity)?.due(clock::wall())
        {
            let entry = due_entry(due.bundle, &due.by_statement);
            self.append(vec![entry]).await;
            return Ok(Outcome::Changed);
        }
        Ok(outcome)
    }

    /// Answers what came over NATS; says so when that ended the run.
    async fn look_at_door(&mut self) -> Result<Option<Outcome>, NodeError> {
        for _ in 0..REQUESTS_MAX {
            let Some((door, requests)) = &mut self.door else { return Ok(None) };
            let Ok((id, bytes)) = requests.try_recv() else { return Ok(None) };
            let door = door.clone();
            let judged = match complete(&self.folder.clone(), &door, &id, &bytes).await {
                Ok(request) => take(request, &self.folder, &self.reader, &self.identity),
                Err(error) => Err(error),
            };
            let (answer, effect) = self.record(judged).await?;
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

    async fn answer(&mut self, path: &Path) -> Result<(Answer, Outcome), NodeError> {
        let judged = read(path).and_then(|request| take(request, &self.folder, &self.reader, &self.identity));
        self.record(judged).await
    }

    /// Appends the rows of a request that was judged in its favour.
    async fn record(&mut self, judged: Result<Taken, JudgeError>) -> Result<(Answer, Outcome), NodeError> {
        let (changes, entries) = match judged {
            Ok(taken) => taken,
            Err(error) => return Ok((Answer::refused(&error), Outcome::SameAsBefore)),
        };
        let Some(row) = self.append(entries).await else {
            let why = "the node is stopping; ask again".to_owned();
            return Ok((Answer::Refused { code: "REG0024".to_owned(), why }, Outcome::SameAsBefore));
        };
        Ok((Answer::Taken { row: row.0 }, if changes { Outcome::Changed } else { Outcome::SameAsBefore }))
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
                ended: None,
                after,
            });
        }
        told.await.ok()
    }
}

/// A request with its bundle. Nothing is fetched for somebody who is not in people.toml.
async fn complete(folder: &Path, door: &Door, id: &str, bytes: &[u8]) -> Result<Request, JudgeError> {
    let malformed = |why: String| JudgeError::Malformed { path: format!("request.{id}").into(), why };
    let signed: Signed = serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
    signer(&People::load(folder)?, &signed)?;
    match tokio::time::timeout(DOOR_WITHIN, door.complete(signed)).await {
        Ok(completed) => completed.map_err(|error| malformed(error.to_string())),
        Err(_) => Err(malformed("its bundle did not come in time".to_owned())),
    }
}

/// Whether a request changes what is decided by, and its rows.
type Taken = (bool, Vec<ledger::Entry>);

/// Judges one request.
fn take(request: Request, folder: &Path, reader: &Reader, identity: &str) -> Result<Taken, JudgeError> {
    let people = People::load(folder)?;
    let registry = load(reader, identity)?;
    let entries = judge(reader, &registry, &people, &request, clock::wall())?;
    let mut after = registry.clone();
    after.take(&request.signed.statement, clock::wall());
    Ok((!after.decides_as(&registry), entries))
}

/// Reads one request.
fn read(path: &Path) -> Result<Request, JudgeError> {
    let malformed = |why: String| JudgeError::Malformed { path: path.to_owned(), why };
    let about = std::fs::symlink_metadata(path).map_err(|error| malformed(error.to_string()))?;
    if !about.is_file() || about.len() > REQUEST_BYTES_MAX {
        return Err(malformed(format!("not a file of at most {REQUEST_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))
}

fn inbox(folder: &Path) -> PathBuf {
    folder.join("inbox")
}

/// The requests that wait, by name, at most [`REQUESTS_MAX`].
fn waiting(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(inbox(folder)) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json") && is_file(path))
        .collect();
    paths.sort();
    paths.truncate(REQUESTS_MAX);
    paths
}

/// Whether it is a plain file; nothing else is a request, and nothing else may hold up the requests behind it.
fn is_file(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|about| about.is_file())
}

/// Writes the answer and takes the request away.
fn reply(path: &Path, answer: &Answer) {
    let text = serde_json::to_vec(answer).unwrap_or_default();
    let written = std::fs::write(path.with_extension("new"), text)
        .and_then(|()| std::fs::rename(path.with_extension("new"), path.with_extension("answer")))
        .and_then(|()| std::fs::remove_file(path));
    if let Err(error) = written {
        tracing::error!(%error, request = %path.display(), "a request was judged, but its answer not written");
    }
}

/// Puts a request to the ledger in a folder: to the running node, or, where none runs, to the ledger itself.
///
/// The request lies in the inbox while nobody is found who answers; whoever holds the ledger's lock judges it: the
/// node, or this process once the lock is free.
///
/// # Errors
/// When neither can be reached.
pub async fn ask(folder: &Path, request: &Request) -> Result<Answer, JudgeError> {
    let identity = ledger::identity_of(folder)?.ok_or_else(|| ledger::Error::NoLedger(folder.to_owned()))?;
    let malformed = |path: &Path, error: std::io::Error| JudgeError::Malformed {
        path: path.to_owned(),
        why: error.to_string(),
    };
    let inbox = inbox(folder);
    std::fs::create_dir_all(&inbox).map_err(|error| malformed(&inbox, error))?;
    let path = inbox.join(format!("{}.json", request.signed.statement.id));
    let building = path.with_extension("asking");
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    std::fs::write(&building, bytes)
        .and_then(|()| std::fs::rename(&building, &path))
        .map_err(|error| malformed(&path, error))?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    while Instant::now() < deadline {
        if let Some(answer) = answered(&path)? {
            return Ok(answer);
        }
        match alone(folder, request, &path, &identity) {
            Err(JudgeError::Ledger(ledger::Error::Locked { .. })) => {}
            answered => {
                let _taken_away = std::fs::remove_file(&path);
                return answered;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Withdrawn, so that it does not take effect when nobody expects it any more.
    let _answered_meanwhile = std::fs::remove_file(&path);
    Err(JudgeError::Silent(folder.display().to_string()))
}

/// The answer to a request in the inbox, once there is one.
fn answered(path: &Path) -> Result<Option<Answer>, JudgeError> {
    let answer = path.with_extension("answer");
    let Ok(bytes) = std::fs::read(&answer) else { return Ok(None) };
    let _left_behind = std::fs::remove_file(&answer);
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|error| JudgeError::Malformed { path: answer, why: error.to_string() })
}

/// Judges and records a request without a node. The ledger is opened first, so that nobody takes a step between the
/// judgement and the row.
fn alone(folder: &Path, request: &Request, path: &Path, identity: &str) -> Result<Answer, JudgeError> {
    // Cheaper than to open a ledger that a node holds.
    ledger::refuse_in_use(folder)?;
    let (now, origin) = (clock::wall(), Reader::open(folder)?.origin()?);
    let (mut writer, _) = ledger::Writer::open(&ledger::Options::new(folder, &origin, now))?;
    if let Some(answer) = answered(path)? {
        return Ok(answer);
    }
    let reader = writer.reader()?;
    let people = People::load(folder)?;
    let registry = load(&reader, identity)?;
    let entries = match judge(&reader, &registry, &people, request, now) {
        Ok(entries) => entries,
        Err(error) => return Ok(Answer::refused(&error)),
    };
    let appended = writer.append(time_after(now, &reader)?, &entries)?;
    Ok(Answer::Taken { row: last_of(&entries, appended.first).0 })
}

/// Puts a request to the node behind a NATS server.
///
/// # Errors
/// When it cannot be reached or does not answer.
pub async fn ask_over(door: &Door, request: &Request) -> Result<Answer, JudgeError> {
    let answer = door.ask(request, ANSWER_WITHIN).await?;
    answer.ok_or_else(|| JudgeError::Silent("the NATS server".to_owned()))
}

/// The time of a row: rows are never recorded before the row before them.
fn time_after(now: Timestamp, reader: &Reader) -> Result<Timestamp, ledger::Error> {
    let last = reader.row(Seq(reader.size()?))?;
    Ok(last.map_or(now, |row| row.recorded_at.max(now)))
}
