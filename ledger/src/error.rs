//! What can go wrong with a ledger, in words that fit "failed to ...: ", each with what to do.

use std::path::{Path, PathBuf};

use domain::EventId;

use crate::entry::Seq;
use crate::keys::KeyError;

/// Why a ledger could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is held by {}; a ledger has one writer: stop that process or use another folder", holder(*pid))]
    Locked { path: PathBuf, pid: Option<u32> },
    #[error("there is no ledger in {0}; check the folder, or start a node there to create one")]
    NoLedger(PathBuf),
    #[error(
        "{path} is not a Largesse ledger ({found}); nothing was changed: move it away or use another folder"
    )]
    Foreign { path: PathBuf, found: String },
    #[error("{path} has format {found}, this build reads up to {known}; use the newer build that wrote it")]
    NewerFormat { path: PathBuf, found: i64, known: i64 },
    #[error(
        "the ledger is damaged: {0}; run `largesse log verify`, then restore the latest copy that passes it"
    )]
    Damaged(String),
    #[error("the ledger's guards were changed: {0}; run `largesse log verify` to see whether rows were, too")]
    GuardsChanged(String),
    #[error(
        "the ledger ends at row {found} but a head of {published} rows was published; this is an older or truncated \
         copy: restore the newest one, or keep this one aside for inspection"
    )]
    Truncated { found: u64, published: u64 },
    #[error(
        "row {seq}: {why}; look at it with `largesse log verify`, then restore the latest copy that passes it"
    )]
    Tail { seq: Seq, why: String },
    #[error(
        "row {seq} is not as it was written: {why}; run `largesse log verify`, then restore the latest copy that passes it"
    )]
    Altered { seq: Seq, why: &'static str },
    #[error("the ledger's first {size} rows are not those that were published; run `largesse log verify`")]
    Forked { size: u64 },
    #[error(
        "the checkpoint file {path} cannot be trusted: {why}; compare it with the heads published elsewhere"
    )]
    CheckpointFile { path: PathBuf, why: String },
    #[error(
        "the signing keys row {seq} tells of cannot be trusted: {why}; run `largesse log verify`, then restore the latest copy \
         that passes it"
    )]
    KeyHistory { seq: Seq, why: String },
    #[error(
        "row {seq} is not under this signed head yet, which covers {signed} rows; heads are signed every second while a node \
         runs, and when one starts"
    )]
    NotYetSigned { seq: Seq, signed: u64 },
    #[error(
        "budget {budget:?} disagrees with the log: {why}; run `largesse log verify` before anything is spent from it"
    )]
    BudgetDrift { budget: String, why: String },
    #[error("SQLite {found} is linked, at least {needed} is needed (older ones can corrupt a WAL database)")]
    OldSqlite { found: String, needed: &'static str },
    #[error("event {event_id} already has row {seq}; answer with that row instead of deciding again")]
    DuplicateEvent { event_id: EventId, seq: Seq },
    #[error("record id {0} is already in the ledger; ids are never used twice")]
    DuplicateRecord(String),
    #[error(
        "budget {budget:?} cannot take this: limit {limit}, reserved {reserved}, committed {committed} micros after entry {entry} of the batch; nothing of the batch was written"
    )]
    Overspent { budget: String, limit: i64, reserved: i64, committed: i64, entry: usize },
    #[error("budget {0:?} was never opened; write a budget row with its limit first")]
    UnknownBudget(String),
    #[error("{what} has {found} bytes or items, at most {max} are accepted")]
    TooLarge { what: &'static str, found: usize, max: usize },
    #[error(
        "the text names the person by their identifier, and it would stay in the log for ever, after an erasure too; say it \
         without the identifier"
    )]
    NamesMember,
    #[error("no space is left for the ledger; nothing of the batch was written: free space and try again")]
    DiskFull,
    #[error("the statement ran longer than {0} ms; narrow the filter or the range")]
    Timeout(u64),
    #[error(
        "the ledger stopped accepting rows after: {0}; restart the node, it recovers from the last full batch"
    )]
    Stopped(String),
    #[error("row {seq} holds {what} {found}, which this build does not know; use the build that wrote it")]
    UnknownCode { seq: Seq, what: &'static str, found: i64 },
    #[error(
        "row {seq} was erased or pruned: its leaf is still in the tree and older proofs of it hold, but what hashes to the leaf \
         is gone, so no new proof can be made"
    )]
    Cut { seq: Seq },
    #[error("{what} is under a legal hold (row {row}); release it first with `largesse log hold release`")]
    Held { what: String, row: Seq },
    #[error("{0} is no member of this ledger; `largesse log list --output json` shows pseudonyms")]
    UnknownMember(String),
    #[error(
        "what was taken out is recorded, but another process reads the ledger, so its write-ahead log still holds old pages; \
         end that process and run `largesse log compact`"
    )]
    ReadMeanwhile,
    #[error("{path}: {why}")]
    CopyDiffers { path: PathBuf, why: String },
    #[error(transparent)]
    Keys(#[from] KeyError),
    #[error("{doing} ({path}): {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("SQLite: {0}")]
    Sqlite(rusqlite::Error),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl Error {
    pub(crate) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
        Error::Io { doing, path: path.to_owned(), source }
    }

    /// The stable code of this error, for scripts and for `largesse explain`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Locked { .. } => "LEDGER_LOCKED",
            Error::NoLedger(_) => "LEDGER_MISSING",
            Error::Foreign { .. } => "LEDGER_FOREIGN",
            Error::NewerFormat { .. } => "LEDGER_NEWER_FORMAT",
            Error::Damaged(_) => "LEDGER_DAMAGED",
            Error::GuardsChanged(_) => "LEDGER_GUARDS_CHANGED",
            Error::Truncated { .. } => "LEDGER_TRUNCATED",
            Error::Tail { .. } => "LEDGER_TAIL",
            Error::Altered { .. } => "LEDGER_ALTERED",
            Error::Forked { .. } => "LEDGER_FORKED",
            Error::CheckpointFile { .. } => "LEDGER_CHECKPOINT_FILE",
            Error::KeyHistory { .. } => "LEDGER_KEY_HISTORY",
            Error::NotYetSigned { .. } => "LEDGER_NOT_YET_SIGNED",
            Error::BudgetDrift { .. } => "LEDGER_BUDGET_DRIFT",
            Error::OldSqlite { .. } => "LEDGER_OLD_SQLITE",
            Error::DuplicateEvent { .. } => "LEDGER_DUPLICATE_EVENT",
            Error::DuplicateRecord(_) => "LEDGER_DUPLICATE_RECORD",
            Error::Overspent { .. } => "LEDGER_OVERSPENT",
            Error::UnknownBudget(_) => "LEDGER_UNKNOWN_BUDGET",
            Error::TooLarge { .. } => "LEDGER_TOO_LARGE",
            Error::NamesMember => "LEDGER_NAMES_MEMBER",
            Error::DiskFull => "LEDGER_DISK_FULL",
            Error::Timeout(_) => "LEDGER_TIMEOUT",
            Error::Stopped(_) => "LEDGER_STOPPED",
            Error::UnknownCode { .. } => "LEDGER_UNKNOWN_CODE",
            Error::Cut { .. } => "LEDGER_CUT",
            Error::Held { .. } => "LEDGER_HELD",
            Error::UnknownMember(_) => "LEDGER_UNKNOWN_MEMBER",
            Error::ReadMeanwhile => "LEDGER_READ_MEANWHILE",
            Error::CopyDiffers { .. } => "LEDGER_COPY_DIFFERS",
            Error::Keys(_) => "LEDGER_KEYS",
            Error::Io { .. } => "LEDGER_IO",
            Error::Sqlite(_) => "LEDGER_SQLITE",
        }
    }

    /// Whether the same call may succeed later without anybody repairing the ledger.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::DiskFull | Error::Timeout(_) | Error::Locked { .. })
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode as Code;
        // What readers share beside the file cannot be made larger: that, too, is a full disk.
        if error
            .sqlite_error()
            .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
        {
            return Error::DiskFull;
        }
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Error::DiskFull,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Error::Damaged(error.to_string()),
            Some(Code::OperationInterrupted) => Error::Timeout(crate::reader::STATEMENT_TIME_MAX_MS),
            _ => Error::Sqlite(error),
        }
    }
}
