//! The tables of ledger.db, their guards, and the checks and settings of every connection.

use std::path::Path;

use domain::event::TOUCHPOINT_NAMES;
use domain::{Outcome, Reason};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use crate::error::Error;
use crate::kind::Kind;

/// `application_id` of ledger.db: "LGSL".
pub const APPLICATION_ID: i64 = 0x4C47_534C;
/// Format written by this build.
pub const FORMAT: i64 = 3;
/// Older ones can corrupt a WAL database when a checkpoint and a commit race (fixed in 3.51.3).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
const SQLITE_VERSION_MIN_TEXT: &str = "3.51.3";
/// Bytes per page: seven rows of 1.1 KB fill 8 KiB to 94 %, three fill 4 KiB to 81 % (measured: 1,257 against 1,437
/// bytes per row in all). Larger pages would write more for each slice of the index.
pub(crate) const PAGE_BYTES: i64 = 8192;
/// Page cache of the writer in KiB: holds the inner pages of every index of 10M rows.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
/// How much of the file readers map instead of copying: a bound on address space, not on memory.
const READER_MMAP_BYTES: i64 = 1 << 36;
/// How long the writer waits for the checkpointer to finish the end of the WAL.
const WRITER_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// What each format added, from the first: a ledger is made by all of them in turn, or upgraded by those it lacks.
const FORMATS: [&str; FORMAT as usize] =
    [include_str!("schema.sql"), include_str!("schema_2.sql"), include_str!("schema_3.sql")];

/// Which rights a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Write,
    /// Copies pages of the WAL, writes nothing of its own.
    Checkpoint,
    Read,
}

/// Refuses a file that is no ledger of this build, leaving its contents as they are.
///
/// The header is read through SQLite on purpose. Closing any other file handle on the database would drop all
/// POSIX locks this process holds on it: another program would then take itself for the last user, fold the
/// WAL away under a writer, and rows written after that would be lost with a crash. And while a checkpoint is
/// under way, only the WAL tells what the file holds.
pub(crate) fn check_file(path: &Path) -> Result<(), Error> {
    let foreign = |found: String| Error::Foreign { path: path.to_owned(), found };
    let connection = open_to_read(path)?;
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let application = match number("application_id") {
        Ok(application) => application,
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            return Err(foreign("not an SQLite file".to_owned()));
        }
        Err(error) => return Err(error.into()),
    };
    if application != APPLICATION_ID {
        return Err(foreign(format!("an SQLite file with application id {application:#x}")));
    }
    let format = number("user_version")?;
    if format > FORMAT {
        return Err(Error::NewerFormat { path: path.to_owned(), found: format, known: FORMAT });
    }
    Ok(())
}

/// Opens a database for reading; also on media that cannot be written, where nobody can be writing it either.
pub(crate) fn open_to_read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // The first statement is what opens the WAL, and needs to write beside the file for it.
    let opened = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
    let no_wal = || std::fs::metadata(path.with_extension("db-wal")).map_or(true, |wal| wal.len() == 0);
    match opened.err().and_then(|error| error.sqlite_error_code()) {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) if no_wal() => {
            let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let flags = flags | OpenFlags::SQLITE_OPEN_URI;
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
        }
        // Anything else is named by whoever asks next.
        Some(_) | None => Ok(connection),
    }
}

/// Opens a connection with the settings every user of the file needs.
pub(crate) fn connect(path: &Path, access: Access) -> Result<Connection, Error> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        let found = rusqlite::version().to_owned();
        return Err(Error::OldSqlite { found, needed: SQLITE_VERSION_MIN_TEXT });
    }
    let write = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = match access {
        Access::Write => Connection::open_with_flags(path, write | OpenFlags::SQLITE_OPEN_CREATE)?,
        Access::Checkpoint => Connection::open_with_flags(path, write)?,
        Access::Read => open_to_read(path)?,
    };
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // Without it SQLite plans a statement anew whenever a parameter that bore on its plan is bound again.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(64);
    match access {
        Access::Write => writer_settings(&connection)?,
        Access::Checkpoint => connection.pragma_update(None, "wal_autocheckpoint", 0)?,
        Access::Read => reader_settings(&connection)?,
    }
    Ok(connection)
}

fn writer_settings(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Damaged(format!("the file system refuses WAL mode (journal mode {mode})")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "recursive_triggers", "ON")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.busy_timeout(WRITER_WAIT)?;
    Ok(())
}

fn reader_settings(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "query_only", "ON")?;
    connection.pragma_update(None, "mmap_size", READER_MMAP_BYTES)?;
    Ok(())
}

/// Bounds the size of the file; appends that need more fail like a full disk.
pub(crate) fn bound(connection: &Connection, bytes_max: u64) -> Result<(), Error> {
    let pages = i64::try_from(bytes_max).unwrap_or(i64::MAX) / PAGE_BYTES;
    Ok(connection.pragma_update_and_check(None, "max_page_count", pages.max(1), |_| Ok(()))?)
}

/// The format of an open ledger.
pub(crate) fn format(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings tables, guards and views from one format to a later one.
pub(crate) fn make(connection: &Connection, from: i64, to: i64) -> Result<(), Error> {
    for (format, sql) in (1..).zip(FORMATS) {
        if format > from && format <= to {
            connection.execute_batch(sql)?;
        }
    }
    connection.pragma_update(None, "user_version", to)?;
    Ok(())
}

/// Creates the tables, guards and views of an empty file.
pub(crate) fn create(connection: &Connection) -> Result<(), Error> {
    make(connection, 0, FORMAT)?;
    name_codes(connection)?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    Ok(())
}

/// Names the codes this build knows in the file, for whoever reads the views: an older build knew fewer.
pub(crate) fn name_codes(connection: &Connection) -> Result<(), Error> {
    let sql = "INSERT INTO code (field, number, name) VALUES (?1, ?2, ?3)
               ON CONFLICT (field, number) DO UPDATE SET name = excluded.name WHERE name <> excluded.name";
    let mut insert = connection.prepare(sql)?;
    for (field, number, name) in codes() {
        insert.execute((field, number, name))?;
    }
    Ok(())
}

/// Codes that the file names otherwise than this build does: views and exports would say something else than happened.
/// A name that is missing is one an older build did not know, unless rows have the code.
pub(crate) fn misnamed_codes(connection: &Connection) -> Result<Vec<String>, Error> {
    let mut select = connection.prepare("SELECT name FROM code WHERE field = ?1 AND number = ?2")?;
    let mut misnamed = Vec::new();
    for (field, number, name) in codes() {
        let found: Option<String> = select.query_row((field, number), |row| row.get(0)).optional()?;
        match found {
            None if is_counted(connection, field, number)? => {
                misnamed.push(format!("{field} {number}, {name:?}, is not named, and rows have it"));
            }
            Some(found) if found != name => {
                misnamed.push(format!("{field} {number} is named {found:?}, not {name:?}"));
            }
            Some(_) | None => {}
        }
    }
    Ok(misnamed)
}

/// Whether any row has a code; rows are not counted by touchpoint.
fn is_counted(connection: &Connection, field: &str, number: i64) -> Result<bool, Error> {
    if !matches!(field, "kind" | "outcome" | "reason") {
        return Ok(false);
    }
    let sql = format!("SELECT EXISTS (SELECT 1 FROM counter WHERE {field} = ?1 AND rows > 0)");
    Ok(connection.query_row(&sql, [number], |row| row.get(0))?)
}

/// Field, number and name of every code this build knows.
fn codes() -> impl Iterator<Item = (&'static str, i64, &'static str)> {
    let kinds = Kind::ALL.iter().map(|kind| ("kind", i64::from(kind.number()), kind.name()));
    let reasons = Reason::ALL.iter().map(|reason| ("reason", i64::from(reason.number()), reason.name()));
    let outcomes =
        Outcome::ALL.into_iter().map(|outcome| ("outcome", crate::codes::outcome(outcome), outcome.name()));
    let touchpoints = (0..).zip(TOUCHPOINT_NAMES).map(|(number, name)| ("touchpoint", number, name));
    kinds.chain(reasons).chain(outcomes).chain(touchpoints)
}

/// Refuses rows before the first: nothing that reads in order would meet them.
pub(crate) fn check_beginning(connection: &Connection) -> Result<(), Error> {
    let first: Option<i64> = connection.query_row("SELECT min(seq) FROM record", [], |row| row.get(0))?;
    match first {
        Some(first) if first != 1 => {
            Err(Error::Damaged(format!("its first row has the number {first}, not 1")))
        }
        _ => Ok(()),
    }
}

/// What differs between the schema of this file and that of its format: missing, extra or changed objects.
pub(crate) fn differences(connection: &Connection) -> Result<Vec<String>, Error> {
    let fresh = Connection::open_in_memory()?;
    make(&fresh, 0, format(connection)?)?;
    let (wanted, found) = (objects(&fresh)?, objects(connection)?);
    let mut differences = Vec::new();
    for (name, sql) in &wanted {
        match found.iter().find(|(other, _)| other == name) {
            None => differences.push(format!("{name} is missing")),
            Some((_, other)) if other != sql => differences.push(format!("{name} was changed")),
            Some(_) => {}
        }
    }
    let extra = found.iter().filter(|(name, _)| wanted.iter().all(|(other, _)| other != name));
    differences.extend(extra.map(|(name, _)| format!("{name} was added")));
    Ok(differences)
}

/// The definition of one object of this build's schema, e.g. `trigger record_refuses_update`.
pub(crate) fn definition(name: &str) -> Result<String, Error> {
    let fresh = Connection::open_in_memory()?;
    make(&fresh, 0, FORMAT)?;
    let found = objects(&fresh)?.into_iter().find(|(other, _)| other == name);
    found.map(|(_, sql)| sql).ok_or_else(|| Error::Damaged(format!("this build has no {name}")))
}

/// Names and definitions of all objects but the tables of SQLite's own statistics.
fn objects(connection: &Connection) -> Result<Vec<(String, String)>, Error> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name, ifnull(sql, '') FROM sqlite_schema WHERE NOT (type = 'table' AND name IN ('sqlite_stat1', 'sqlite_stat4')) ORDER BY 1",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
