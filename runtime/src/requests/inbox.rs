//! The inbox of a running node: requests from its folder and over NATS, judged one after the other, and the long ones
//! [aside](super::aside).
//!
//! Whoever may write the folder may ask; only a signature of somebody in people.toml is heard, and of others only that they
//! are about to read.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use domain::Event;
use ledger::{Keys, Reader, Seq};
use policies::registry::{Scheduled, Signed};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::aside::{self, Done};
use super::files::{self, Found};
use super::queue::{Arrived, Origin};
use super::{Desk, JudgeError, Judged, People, Request, Spoken, outstanding, signer};
use crate::bus::nats::{Door, Heard, Pointer};
use crate::clock;
use crate::metrics::Stamps;
use crate::node::NodeError;
use crate::opening::holding;
use crate::registry::{Checked, Followed, HandIn, Verdict, due_entry};
use crate::writer::{After, Row, WriterHandle};

/// How often a node looks: a kill switch must hold within a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Requests answered at one look; the next look takes the next.
const REQUESTS_MAX: usize = 16;
/// A file larger than this comes with a bundle or a report.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// Larger files read at one look: each takes some hundredths of a second, and a kill switch may lie behind them.
const LARGE_MAX: usize = 4;
/// Hand-ins and reports over NATS that wait to be fetched: one is checked in seconds at most, so whoever is told to ask
/// again waited for nothing else.
const FETCHES_MAX: usize = 16;
/// How long the server may take to store an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);

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

    /// Not judged: nothing is known against it.
    fn later(why: &str) -> Answer {
        Answer::Refused { code: "REG0024".to_owned(), why: format!("{why}; ask again") }
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
    pub registry: Followed,
    /// What was said on the server to be in force.
    pub pointer: Option<Pointer>,
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
    pub door: Option<(Door, mpsc::Receiver<Heard>)>,
    pub slow: Slow,
    /// Answers on their way to the server: at most those of the looks that [`ANSWERED_WITHIN`] has room for.
    pub answers: JoinSet<()>,
}

/// Requests that take long, one of them under way.
#[derive(Default)]
pub struct Slow {
    under_way: Option<(Origin, oneshot::Receiver<Done>)>,
    /// Files that hand something in while another is under way: not read again until it is done.
    parked: BTreeSet<PathBuf>,
    /// What came over NATS and names what is to be fetched.
    to_fetch: VecDeque<Signed>,
}

impl Inbox {
    /// Answers requests until the node stops or the policy in force changes.
    pub async fn run(mut self) {
        // What was confirmed while no node ran, or just before the last one ended.
        self.act();
        while !self.stop.is_cancelled() {
            match self.look().await {
                Ok(Outcome::SameAsBefore) => {}
                Ok(Outcome::Changed) => {
                    self.changed.cancel();
                    let _said_beside = self.announce();
                    break;
                }
                Err(error) => tracing::error!(%error, "requests cannot be answered"),
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        // The next run would find requests that still lie in the bucket, and answer them once more.
        while self.answers.join_next().await.is_some() {}
    }

    async fn look(&mut self) -> Result<Outcome, NodeError> {
        let mut arrived = self.at_the_door();
        arrived.extend(self.in_the_folder());
        arrived.extend(self.done_aside());
        arrived.sort_by_key(Arrived::turn);
        let mut judged = 0;
        for arrived in arrived {
            // Those over NATS are few, and would be gone.
            if judged >= REQUESTS_MAX && matches!(arrived.from, Origin::File(_)) && arrived.checked.is_none()
            {
                continue;
            }
            let Some((from, answer, effect)) = self.answer(arrived).await else { continue };
            judged += usize::from(!is_noise(&answer));
            self.reply(from, answer);
            if effect == Outcome::Changed {
                // What follows is judged by the next run, under what is in force then.
                return Ok(Outcome::Changed);
            }
        }
        while self.answers.try_join_next().is_some() {}
        Ok(if self.is_due().await? { Outcome::Changed } else { Outcome::SameAsBefore })
    }

    /// The requests in the folder, but for those that wait until another is checked.
    fn in_the_folder(&mut self) -> Vec<Arrived> {
        let (mut arrived, mut large) = (Vec::new(), 0);
        let busy = self.slow.under_way.is_some();
        let waiting = files::waiting(&self.folder);
        self.slow.parked.retain(|path| busy && waiting.contains(path));
        for path in waiting {
            if self.unanswerable.contains(&path) || self.slow.parked.contains(&path) {
                continue;
            }
            if files::size(&path) > SMALL_BYTES_MAX {
                large += 1;
                if large > LARGE_MAX {
                    continue;
                }
            }
            let request = match files::read(&path, SystemTime::now()) {
                Found::Whole(request) => Ok(*request),
                Found::Unusable(why) => Err(why),
                // It holds nobody up: the next look finds it whole, or old enough to be judged.
                Found::BeingWritten => continue,
            };
            arrived.push(Arrived { from: Origin::File(path), request, checked: None });
        }
        arrived
    }

    /// What came over NATS since the last look, as far as it is whole; what is not is fetched, one after the other.
    fn at_the_door(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        // Each may be heard once more when it is withdrawn.
        for _ in 0..2 * REQUESTS_MAX {
            let Some((_, heard)) = &mut self.door else { break };
            let Ok(Heard { id, said }) = heard.try_recv() else { break };
            let Some(bytes) = said else {
                self.withdrawn(&id);
                continue;
            };
            let request = match self.spoken(&id, &bytes) {
                Ok(Spoken::Case(signed)) => Ok(Request::from(signed)),
                Ok(Spoken::Policy(signed)) if !signed.statement.step.names_more() => {
                    Ok(crate::registry::Request { signed, attachment: None, tests: None }.into())
                }
                Ok(Spoken::Policy(signed)) if self.slow.to_fetch.len() < FETCHES_MAX => {
                    self.slow.to_fetch.push_back(signed);
                    continue;
                }
                Ok(Spoken::Policy(_)) => {
                    self.reply(Origin::Door(id), Answer::later("too many bundles wait to be checked"));
                    continue;
                }
                Err(error) => Err(error),
            };
            arrived.push(Arrived { from: Origin::Door(id), request, checked: None });
        }
        if self.slow.under_way.is_none()
            && let Some((door, _)) = &self.door
            && let Some(signed) = self.slow.to_fetch.pop_front()
        {
            let from = Origin::Door(signed.statement.id.clone());
            self.slow.under_way = Some((from, aside::fetch(door.clone(), signed)));
        }
        arrived
    }

    /// What somebody said over NATS. Nothing is fetched for somebody who is not in people.toml.
    fn spoken(&self, id: &str, bytes: &[u8]) -> Result<Spoken, JudgeError> {
        let spoken = serde_json::from_slice(bytes).map_err(|error| JudgeError::Malformed {
            path: format!("request.{id}").into(),
            why: error.to_string(),
        })?;
        if let Spoken::Policy(signed) = &spoken {
            signer(&People::load(&self.folder)?, signed)?;
        }
        Ok(spoken)
    }

    /// Whoever asked waits no longer, and expects that nothing happens.
    fn withdrawn(&mut self, id: &str) {
        self.slow.to_fetch.retain(|signed| signed.statement.id != id);
        self.slow.under_way.take_if(|(from, _)| matches!(from, Origin::Door(asked) if asked == id));
    }

    /// What was fetched or checked since the last look.
    fn done_aside(&mut self) -> Option<Arrived> {
        let done = match self.slow.under_way.as_mut()?.1.try_recv() {
            Err(TryRecvError::Empty) => return None,
            done => done,
        };
        let (from, _) = self.slow.under_way.take()?;
        if matches!(&from, Origin::File(path) if !path.exists()) {
            return None;
        }
        match done {
            Ok(Done::Fetched(request)) => Some(Arrived { from, request: *request, checked: None }),
            Ok(Done::Checked(request, checked)) => {
                Some(Arrived { from, request: Ok(*request), checked: Some(checked) })
            }
            Err(_) => {
                self.reply(from, Answer::later("what was handed in could not be checked"));
                None
            }
        }
    }

    /// Has a hand-in checked, or leaves it until the one under way is done. What came over NATS was fetched when nothing
    /// else was under way.
    fn check(&mut self, from: Origin, request: Request, hand_in: HandIn) {
        if self.slow.under_way.is_none() {
            self.slow.under_way = Some((from, aside::check(request, hand_in)));
        } else if let Origin::File(path) = from {
            self.slow.parked.insert(path);
        } else {
            self.reply(from, Answer::later("another bundle is being checked"));
        }
    }

    /// Says on the server what is in force, where that is another thing than was said last.
    fn announce(&mut self) -> Option<oneshot::Receiver<()>> {
        let door = self.door.as_ref()?.0.clone();
        let pointer = Pointer::of(&self.identity, self.registry.now(&self.reader).ok()?)?;
        if self.pointer.as_ref() == Some(&pointer) {
            return None;
        }
        let canonical = holding(&self.reader, pointer.bundle).ok()??.body?;
        self.pointer = Some(pointer.clone());
        let (tell, told) = oneshot::channel();
        self.answers.spawn(async move {
            let announced = door.announce(&pointer, canonical.as_bytes());
            if !matches!(tokio::time::timeout(ANSWERED_WITHIN, announced).await, Ok(Ok(()))) {
                tracing::error!("what came into force was not said on the server; the next run says it");
            }
            let _nobody_waits = tell.send(());
        });
        Some(told)
    }

    /// Gives whoever asked the answer.
    fn reply(&mut self, to: Origin, answer: Answer) {
        match to {
            Origin::File(path) => {
                if let Err(error) = files::reply(&path, &answer) {
                    tracing::error!(%error, request = %path.display(), "a request was judged, but its answer not written; it is not looked at again");
                    self.unanswerable.insert(path);
                }
            }
            Origin::Door(id) => {
                let announced = self.announce();
                let Some((door, _)) = &self.door else { return };
                let door = door.clone();
                self.answers.spawn(async move {
                    // Whoever reads the answer and looks what is in force sees that.
                    if let Some(announced) = announced {
                        let _failed_and_said_so = announced.await;
                    }
                    let written = tokio::time::timeout(ANSWERED_WITHIN, door.answer(&id, &answer)).await;
                    if !matches!(written, Ok(Ok(()))) {
                        tracing::error!(id, "a request was judged, but its answer not written");
                    }
                });
            }
        }
    }

    /// Records that what is scheduled comes into force, once its time has come.
    async fn is_due(&mut self) -> Result<bool, NodeError> {
        if self.scheduled.is_none() {
            self.scheduled = Some(self.registry.now(&self.reader)?.scheduled().cloned());
        }
        let now = clock::wall();
        if self.scheduled.iter().flatten().all(|next| next.at > now) {
            return Ok(false);
        }
        let registry = self.registry.now(&self.reader)?.clone();
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

    /// Judges a request and records what it becomes; `None` for a hand-in that is checked first.
    async fn answer(&mut self, arrived: Arrived) -> Option<(Origin, Answer, Outcome)> {
        let Arrived { from, request, checked } = arrived;
        let request = match request {
            Ok(request) => request,
            Err(error) => return Some((from, Answer::refused(&error), Outcome::SameAsBefore)),
        };
        match self.judge(&request, checked.as_ref()) {
            Ok(Verdict::Judged(judged)) => {
                let (answer, effect) = self.record(judged).await;
                Some((from, answer, effect))
            }
            Ok(Verdict::Check(hand_in)) => {
                self.check(from, request, hand_in);
                None
            }
            Err(error) => Some((from, Answer::refused(&error), Outcome::SameAsBefore)),
        }
    }

    fn judge(&mut self, request: &Request, checked: Option<&Checked>) -> Result<Verdict<Judged>, JudgeError> {
        let Inbox { folder, reader, keys, identity, registry, .. } = self;
        Desk { folder, reader, keys, registry, identity }.judge(request, checked, clock::wall())
    }

    /// Appends the rows of a request.
    async fn record(&mut self, judged: Judged) -> (Answer, Outcome) {
        let Judged { entries, changes, acts, refused } = judged;
        let Some(row) = self.append(entries).await else {
            return (Answer::later("the node is stopping"), Outcome::SameAsBefore);
        };
        if let Some(error) = refused {
            return (Answer::refused(&error), Outcome::SameAsBefore);
        }
        if acts {
            self.act();
        }
        (Answer::Taken { row: row.0 }, if changes { Outcome::Changed } else { Outcome::SameAsBefore })
    }

    /// Hands over everything people signed about promises that has no row yet; the intake does each once.
    fn act(&mut self) {
        match outstanding(&self.reader, &self.keys, &mut self.registry) {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use domain::Digest;
    use domain::statement::{Role, VERSION};
    use ledger::person::PersonKey;
    use policies::cases::Texts;
    use policies::registry::{Statement, Step, Target};

    use super::*;
    use crate::requests::PersonEntry;
    use crate::{Node, Options};

    const STARTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/bundles/grocery");

    /// A request of the one person there is.
    fn request(dir: &Path, key: &PersonKey, step: Step, along: [Option<String>; 2]) -> PathBuf {
        let statement = Statement {
            v: VERSION,
            id: uuid::Uuid::now_v7().simple().to_string(),
            ledger: ledger::identity_of(dir).unwrap().unwrap(),
            by: "ada".to_owned(),
            at: clock::wall(),
            step,
        };
        let signature = key.sign(&statement.bytes());
        let signed = Signed { statement, key: key.public(), signature };
        let [attachment, tests] = along;
        let request = Request::from(crate::registry::Request { signed, attachment, tests });
        let path = files::inbox(dir).join(format!("{}.json", request.id()));
        files::put(&path.with_extension("asking"), &path, &serde_json::to_vec(&request).unwrap()).unwrap();
        path
    }

    fn switch(dir: &Path, key: &PersonKey, stop: bool) -> PathBuf {
        let (target, note) = (Target::Program, String::new());
        let step = if stop { Step::Stop { target, note } } else { Step::Resume { target, note } };
        request(dir, key, step, [None, None])
    }

    /// The starter bundle with a comment, so that it is another one, and its tests.
    fn hand_in(dir: &Path, key: &PersonKey) -> PathBuf {
        let other = dir.with_extension("other");
        std::fs::create_dir(&other).unwrap();
        for (name, text) in policies::starter::GROCERY {
            std::fs::write(other.join(name), format!("{text}\n# another one\n")).unwrap();
        }
        let bundle = policies::Bundle::load(&other).unwrap();
        let (texts, _) = Texts::from_folder(Path::new(STARTER));
        let (tests, note) = (Some(texts.digest()), String::new());
        let canonical = String::from_utf8(bundle.canonical().to_vec()).unwrap();
        assert_eq!(Digest::of(canonical.as_bytes()), bundle.digest());
        let step = Step::Submit { bundle: bundle.digest(), note, tests };
        request(dir, key, step, [Some(canonical), Some(texts.canonical())])
    }

    async fn answered(path: &Path) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(60);
        let answer = path.with_extension("answer");
        while !answer.exists() {
            assert!(Instant::now() < deadline, "no answer within a minute");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        serde_json::from_slice(&std::fs::read(answer).unwrap()).unwrap()
    }

    #[expect(clippy::await_holding_lock, reason = "only the thread that checks waits for it")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_kill_switch_is_answered_while_a_hand_in_is_checked_and_the_hand_in_by_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("ledger");
        let node = Node::start(&Options::in_dir(&dir)).await.unwrap();
        std::fs::create_dir_all(files::inbox(&dir)).unwrap();
        let key = PersonKey::create("ada", &folder.path().join("ada.key")).unwrap();
        let roles = vec![Role::Author, Role::Approver, Role::Operator];
        let ada = PersonEntry { name: "ada".to_owned(), roles, key: key.public() };
        People { person: vec![ada] }.save(&dir).unwrap();
        let held = aside::hold();
        let submit = hand_in(&dir, &key);
        // Nothing is stopped, so these change nothing; the second is answered by a look after the one that found the bundle.
        for _ in 0..2 {
            assert!(matches!(answered(&switch(&dir, &key, false)).await, Answer::Refused { .. }));
        }
        let Answer::Taken { row: stopped } = answered(&switch(&dir, &key, true)).await else {
            panic!("the stop was refused")
        };
        assert!(submit.exists(), "the bundle was answered while it could not be checked");
        node.changed().cancelled().await;
        node.stop();
        node.join().await.unwrap();
        let node = Node::start(&Options::in_dir(&dir)).await.unwrap();
        drop(held);
        let Answer::Taken { row } = answered(&submit).await else { panic!("the bundle was refused") };
        assert!(row > stopped);
        node.stop();
        node.join().await.unwrap();
    }
}
