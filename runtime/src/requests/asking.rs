//! Putting a request to whoever holds the ledger: a running node, or, where none runs, the ledger itself.

use std::path::Path;
use std::time::{Duration, Instant};

use domain::Timestamp;
use ledger::{Reader, Seq};

use super::{Answer, Desk, JudgeError, Judged, Request, files, last_of};
use crate::bus::nats::Door;
use crate::clock;
use crate::registry::{Checked, Followed, Verdict};

/// How long whoever asks waits for a running node.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Puts a request to the ledger in a folder: to the running node, or, where none runs, to the ledger itself.
///
/// The request lies in the inbox while nobody is found who answers; whoever holds the ledger's lock judges it: the
/// node, or this process once the lock is free.
///
/// # Errors
/// When neither can be reached.
pub async fn ask(folder: &Path, request: &Request) -> Result<Answer, JudgeError> {
    let identity = ledger::identity_of(folder)?.ok_or_else(|| ledger::Error::NoLedger(folder.to_owned()))?;
    let unwritable = |path: &Path, why| JudgeError::Unwritable { path: path.to_owned(), why };
    let inbox = files::inbox(folder);
    std::fs::create_dir_all(&inbox).map_err(|error| unwritable(&inbox, error))?;
    let path = inbox.join(format!("{}.json", request.id()));
    let building = path.with_extension("asking");
    let bytes = serde_json::to_vec(request).unwrap_or_default();
    files::put(&building, &path, &bytes).map_err(|error| unwritable(&path, error))?;
    let deadline = Instant::now() + ANSWER_WITHIN;
    let mut checked = None;
    while Instant::now() < deadline {
        if let Some(answer) = answered(&path)? {
            return Ok(answer);
        }
        match alone(folder, request, checked.as_ref(), &path, &identity) {
            Err(JudgeError::Ledger(ledger::Error::Locked { .. })) => {}
            // While nobody is kept from the ledger.
            Ok(Verdict::Check(hand_in)) => {
                checked = Some(hand_in.check());
                continue;
            }
            Ok(Verdict::Judged(answer)) => {
                let _taken_away = std::fs::remove_file(&path);
                return Ok(answer);
            }
            Err(error) => {
                let _taken_away = std::fs::remove_file(&path);
                return Err(error);
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
fn alone(
    folder: &Path,
    request: &Request,
    checked: Option<&Checked>,
    path: &Path,
    identity: &str,
) -> Result<Verdict<Answer>, JudgeError> {
    // Cheaper than to open a ledger that a node holds.
    ledger::refuse_in_use(folder)?;
    let (now, origin) = (clock::wall(), Reader::open(folder)?.origin()?);
    let (mut writer, _) = ledger::Writer::open(&ledger::Options::new(folder, &origin, now))?;
    if let Some(answer) = answered(path)? {
        return Ok(Verdict::Judged(answer));
    }
    let reader = writer.reader()?;
    let mut registry = Followed::new(identity);
    let mut desk = Desk { folder, reader: &reader, keys: writer.keys(), registry: &mut registry, identity };
    // A promise that is to be taken back waits in the log for the next node.
    let Judged { entries, refused, .. } = match desk.judge(request, checked, now) {
        Ok(Verdict::Judged(judged)) => judged,
        Ok(Verdict::Check(hand_in)) => return Ok(Verdict::Check(hand_in)),
        Err(error) => return Ok(Verdict::Judged(Answer::refused(&error))),
    };
    let appended = writer.append_signed(time_after(now, &reader)?, &entries)?;
    if let Some(error) = refused {
        return Ok(Verdict::Judged(Answer::refused(&error)));
    }
    Ok(Verdict::Judged(Answer::Taken { row: last_of(&entries, appended.first).0 }))
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
