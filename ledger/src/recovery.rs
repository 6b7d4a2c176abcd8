//! Opening a ledger for writing: creation, refusal of what is not ours, and comparison with what was published.
//!
//! Every check is bounded by the number of budgets, one tile of 256 rows and the rows that are obeyed for good (policies, steps,
//! holds), never by the number of events, so a restart with millions of rows takes milliseconds. `verify` rescans everything.

use domain::digest::hex;
use domain::{Digest, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::budget::Balances;
use crate::columns::{self, Columns};
use crate::create::create;
use crate::entry::{Entry, Seq};
use crate::error::Error;
use crate::files::Files;
use crate::head_file::HeadFile;
use crate::history::KeyHistory;
use crate::index::Index;
use crate::keys::{Keys, random};
use crate::kind::Kind;
use crate::lasting::Lasting;
use crate::lock::Lock;
use crate::merkle::Frontier;
use crate::options::Options;
use crate::relay::load_relays;
use crate::row::{self, COLUMNS};
use crate::schema::{self, Access};
use crate::tail;
use crate::tree::StoredNodes;
use crate::writer::{Checkpoint, Head, Writer};

/// What a start found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the ledger was made now.
    pub created: bool,
    pub rows: u64,
    pub epoch: u32,
    pub root: Digest,
    /// A head signed now, because rows were written after the last one. Publish it.
    pub checkpoint: Option<Checkpoint>,
    /// Heads that a crash had kept from the checkpoint file.
    pub heads_filed: usize,
    /// Whether a crash had left half a note at the end of the checkpoint file (it was cut off).
    pub torn_note: bool,
    /// The format the file had, when an older build wrote it; it was brought to this build's.
    pub upgraded_from: Option<i64>,
}

impl Writer {
    /// Opens the ledger in a folder for writing, or creates it.
    ///
    /// # Errors
    /// When another process holds it, a file is foreign, newer, damaged, older than what was published, or
    /// its keys are missing; the error says what to do. Nothing foreign is changed.
    pub fn open(options: &Options) -> Result<(Writer, Recovery), Error> {
        std::fs::create_dir_all(&options.folder)
            .map_err(|error| Error::io("create the folder", &options.folder, error))?;
        let files = Files::of(&options.folder, options.master_key.as_deref());
        let lock = Lock::take(&files.lock)?;
        let created = !files.database.exists();
        let keys = if created { create(&files, options)? } else { open_keys(&files)? };
        let mut connection = schema::connect(&files.database, Access::Write)?;
        if let Some(bytes_max) = options.database_bytes_max {
            schema::bound(&connection, bytes_max)?;
        }
        check_guards(&connection)?;
        schema::check_beginning(&connection)?;
        check_rare_rows(&connection)?;
        check_identity(&connection, &keys, options, &files)?;
        let history = crate::rotate::known(&connection, &files.verifier)?;
        let state = load_head(&connection)?;
        let (mut heads, torn_note) = HeadFile::open(&files.heads, history.origin())?;
        let filed = compare_with_published(&connection, &mut heads, &history, state.tree.size())?;
        check_claim_is_signed(&connection, &history)?;
        check_rotations_are_recorded(&history, state.tree.size(), &files)?;
        let signer = keys.signer_of(history.current())?;
        if filed == 0 && !options.heads_lost {
            check_nothing_was_filed(&connection, &files)?;
        }
        let balances = Balances::load(&connection)?;
        balances.compare_with_log(&connection)?;
        tail::check(&connection, &keys, filed)?;
        upgrade(&mut connection, &keys, &state)?;
        let upgraded_from = unrecorded_upgrade(&connection)?;
        let mut writer = Writer {
            unfiled: unfiled(&connection, filed)?,
            relays: load_relays(&connection)?,
            epoch: next_epoch(&connection)?,
            index: Index::load(&connection, state.tree.size(), options.index_turn_rows)?,
            columns: Columns::default(),
            connection,
            state,
            balances,
            keys,
            signer,
            history,
            heads,
            options: options.clone(),
            stopped: None,
            scratch: Vec::new(),
            _lock: lock,
        };
        if let Some(from) = upgraded_from {
            writer.append(options.now, &[upgrade_entry(from)?])?;
        }
        writer.finish_erasures(options.now)?;
        let heads_filed = writer.unfiled.len();
        let checkpoint = writer.sign_head(options.now)?;
        let recovery = Recovery {
            created,
            rows: writer.size(),
            epoch: writer.epoch,
            root: writer.root(),
            checkpoint,
            heads_filed,
            torn_note,
            upgraded_from,
        };
        Ok((writer, recovery))
    }
}

/// Brings a ledger of an older build to this build's format, all of it or nothing. Rows, tree and heads stay as they are.
fn upgrade(connection: &mut Connection, keys: &Keys, head: &Head) -> Result<(), Error> {
    let found = schema::format(connection)?;
    let transaction = connection.transaction()?;
    schema::name_codes(&transaction)?;
    if found < schema::FORMAT {
        schema::make(&transaction, found, schema::FORMAT)?;
        columns::fill(&transaction)?;
        tail::write(&transaction, keys, head)?;
    }
    transaction.commit()?;
    // After the seal, which a crash in between leaves for the next start to promise.
    Ok(keys.promise_seal()?)
}

/// The format the rows tell of, where it is older than the file's: an upgrade whose row is still to be written.
fn unrecorded_upgrade(connection: &Connection) -> Result<Option<i64>, Error> {
    let kind = Kind::Upgrade.number();
    let mut statement = connection.prepare(&format!(
        "SELECT body FROM record WHERE seq = 1
         UNION ALL SELECT body FROM record INDEXED BY record_by_kind WHERE kind = {kind} AND kind NOT IN (10, 11)"
    ))?;
    let bodies = statement.query_map([], |row| row.get::<_, Option<String>>(0))?;
    let mut newest = 0;
    for body in bodies {
        let body: Option<serde_json::Value> = body?.and_then(|body| serde_json::from_str(&body).ok());
        let format = body.and_then(|body| body["format"].as_i64());
        newest = newest.max(format.ok_or_else(|| Error::Damaged("a row names no format".to_owned()))?);
    }
    Ok((newest < schema::FORMAT).then_some(newest))
}

/// The row that records an upgrade.
fn upgrade_entry(from: i64) -> Result<Entry, Error> {
    let body = serde_json::json!({ "v": 1, "from": from, "format": schema::FORMAT });
    Ok(Entry::new(Kind::Upgrade, random()?, body.to_string()))
}

fn open_keys(files: &Files) -> Result<Keys, Error> {
    schema::check_file(&files.database)?;
    Ok(Keys::open(&files.keys, &files.master_key, true)?)
}

pub(crate) fn check_guards(connection: &Connection) -> Result<(), Error> {
    let differences = schema::differences(connection)?;
    if differences.is_empty() { Ok(()) } else { Err(Error::GuardsChanged(differences.join(", "))) }
}

fn check_identity(
    connection: &Connection,
    keys: &Keys,
    options: &Options,
    files: &Files,
) -> Result<(), Error> {
    if meta_text(connection, "ledger")? != hex(&keys.ledger_id()) {
        return Err(crate::keys::KeyError::OtherLedger(files.keys.clone()).into());
    }
    let partition: i64 = meta(connection, "partition")?;
    let name = meta_text(connection, "origin")?;
    if name != options.origin || partition != i64::from(options.partition) {
        let found = format!(
            "it is log {name:?}, partition {partition}, not {:?}, partition {}",
            options.origin, options.partition
        );
        return Err(Error::Foreign { path: files.database.clone(), found });
    }
    Ok(())
}

fn meta<T: rusqlite::types::FromSql>(connection: &Connection, key: &str) -> Result<T, Error> {
    let value =
        connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()?;
    value.ok_or_else(|| Error::Damaged(format!("{key} is missing in meta")))
}

pub(crate) fn meta_text(connection: &Connection, key: &str) -> Result<String, Error> {
    meta(connection, key)
}

/// Rebuilds the frontier and re-hashes the rows of the last, unfinished tile, and those that are obeyed for good.
fn load_head(connection: &Connection) -> Result<Head, Error> {
    let size: i64 = connection.query_row("SELECT ifnull(max(seq), 0) FROM record", [], |row| row.get(0))?;
    let size = size.unsigned_abs();
    let recorded_at = connection
        .query_row("SELECT recorded_at FROM record ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
        .optional()?;
    let recorded_at = recorded_at.ok_or_else(|| Error::Damaged("there is no first row".to_owned()))?;
    check_last_tile(connection, size)?;
    let head = connection
        .query_row("SELECT size, time FROM checkpoint ORDER BY size DESC LIMIT 1", [], |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get(1)?))
        })
        .optional()?;
    let (head_size, head_time) = head.unwrap_or((0, recorded_at));
    let tree = Frontier::load(&StoredNodes(connection), size)?;
    Ok(Head {
        tree,
        lasting: Lasting::load(connection, Seq(size))?,
        recorded_at: Timestamp(recorded_at),
        head_size,
        head_time: Timestamp(head_time),
    })
}

fn check_last_tile(connection: &Connection, size: u64) -> Result<(), Error> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM record WHERE seq > ?1 ORDER BY seq"))?;
    let mut rows = statement.query([(size & !255).cast_signed()])?;
    let mut scratch = Vec::new();
    while let Some(stored) = rows.next()? {
        row::intact(stored, &mut scratch)?;
    }
    Ok(())
}

/// The last head of the checkpoint file must be a prefix of this log. Returns its size.
fn compare_with_published(
    connection: &Connection,
    heads: &mut HeadFile,
    history: &KeyHistory,
    size: u64,
) -> Result<u64, Error> {
    let Some(head) = heads.last(history)? else { return Ok(0) };
    if head.size > size {
        return Err(Error::Truncated { found: size, published: head.size });
    }
    let root = Frontier::load(&StoredNodes(connection), head.size)?.root();
    if root == head.root { Ok(head.size) } else { Err(Error::Forked { size: head.size }) }
}

/// Rows that are no events and no decisions are found by an index of their own; one it leaves out would be obeyed by
/// nobody: a hold, a rotation, an approval.
fn check_rare_rows(connection: &Connection) -> Result<(), Error> {
    let counts = |sql: &str| -> Result<Vec<(i64, i64)>, Error> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    };
    let indexed = counts(
        "SELECT kind, count(*) FROM record INDEXED BY record_by_kind WHERE kind NOT IN (10, 11) GROUP BY kind ORDER BY kind",
    )?;
    let counted =
        counts("SELECT kind, sum(rows) FROM counter WHERE kind NOT IN (10, 11) GROUP BY kind ORDER BY kind")?;
    if indexed == counted {
        return Ok(());
    }
    Err(Error::Damaged("the index of rows by kind does not hold the rows that were counted".to_owned()))
}

/// A cut's row is believed only under a head that the log's key signed; they are written together.
fn check_claim_is_signed(connection: &Connection, history: &KeyHistory) -> Result<(), Error> {
    let Some((seq, _)) = crate::cut::newest(connection)? else { return Ok(()) };
    let sql = "SELECT note FROM checkpoint WHERE size >= ?1 ORDER BY size DESC LIMIT 1";
    let note: Option<String> =
        connection.query_row(sql, [seq.0.cast_signed()], |row| row.get(0)).optional()?;
    let is_signed = match note.and_then(|note| history.open(&note).ok()) {
        Some(head) if head.size >= seq.0 => {
            Frontier::load(&StoredNodes(connection), head.size)?.root() == head.root
        }
        _ => false,
    };
    if is_signed {
        return Ok(());
    }
    Err(Error::Damaged(format!("row {seq} says that rows were cut, and no signed head covers it")))
}

/// With the heads lost, only `verifier.txt` may still know that this copy is older than a key rotation.
fn check_rotations_are_recorded(history: &KeyHistory, size: u64, files: &Files) -> Result<(), Error> {
    let Some(rotation) = history.rotations().last().filter(|rotation| rotation.seq.0 > size) else {
        return Ok(());
    };
    let why = format!("it tells of a key rotation at row {}, the ledger ends at row {size}", rotation.seq);
    Err(Error::CheckpointFile { path: files.verifier.clone(), why })
}

/// A head is filed before the next one is made, so with two in the database the file has held one.
fn check_nothing_was_filed(connection: &Connection, files: &Files) -> Result<(), Error> {
    let heads: i64 = connection.query_row("SELECT count(*) FROM checkpoint", [], |row| row.get(0))?;
    if heads < 2 {
        return Ok(());
    }
    Err(Error::CheckpointFile {
        path: files.heads.clone(),
        why: format!(
            "it holds no head, but the database knows {heads}; without them an older copy of the ledger could not \
             be told from this one. Restore the file, or, if it is gone for good, compare the database with a head \
             published elsewhere (`largesse log verify --head FILE`) and start once with --heads-lost"
        ),
    })
}

fn unfiled(connection: &Connection, filed: u64) -> Result<Vec<String>, Error> {
    let mut statement = connection.prepare("SELECT note FROM checkpoint WHERE size > ?1 ORDER BY size")?;
    let notes = statement.query_map([filed.cast_signed()], |row| row.get(0))?;
    Ok(notes.collect::<Result<_, _>>()?)
}

fn next_epoch(connection: &Connection) -> Result<u32, Error> {
    let epoch: i64 = connection.query_row(
        "UPDATE meta SET value = value + 1 WHERE key = 'epoch' RETURNING value",
        [],
        |row| row.get(0),
    )?;
    u32::try_from(epoch).map_err(|_| Error::Damaged(format!("run epoch {epoch}")))
}

/// The sequence number of the last row, for callers that only read.
pub(crate) fn last_seq(connection: &Connection) -> Result<Seq, Error> {
    let mut statement = connection.prepare_cached("SELECT ifnull(max(seq), 0) FROM record")?;
    let seq: i64 = statement.query_row([], |row| row.get(0))?;
    Ok(Seq(seq.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_upgrade_that_was_cut_short_before_its_row_is_recorded_by_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/format-1")).unwrap() {
            let file = file.unwrap();
            let to = folder.path().join(file.file_name());
            std::fs::copy(file.path(), &to).unwrap();
            std::fs::set_permissions(&to, Permissions::from_mode(0o600)).unwrap();
        }
        let files = Files::of(folder.path(), None);
        let keys = open_keys(&files).unwrap();
        let mut connection = schema::connect(&files.database, Access::Write).unwrap();
        let head = load_head(&connection).unwrap();
        assert!(!keys.has_seal());
        upgrade(&mut connection, &keys, &head).unwrap();
        drop((connection, keys));
        let options = Options::new(folder.path(), "largesse/format-1/0", Timestamp(2_000_000_000_000_000));
        let recovery = Writer::open(&options).unwrap().1;
        assert_eq!((recovery.upgraded_from, recovery.rows), (Some(1), 125));
        assert!(open_keys(&files).unwrap().has_seal());
        assert_eq!(Writer::open(&options).unwrap().1.upgraded_from, None, "once");
    }
}
