//! keys.db: the pseudonym key, the signing key and one data key per member, all wrapped by a master key file.
//!
//! The file is apart from ledger.db so that backups of the log never hold keys, and so that destroying one key
//! erases one member everywhere. Raw member identifiers are kept only here, sealed under the member's own key.
//! Nothing here ever decides who may unmask; callers log that first. Start at [`Keys::enrol`] (in `names`) and
//! [`Keys::find`]; `erase` destroys.

mod erase;
mod files;
mod names;
mod signing;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::MemberId;
use rusqlite::{Connection, OptionalExtension, params};
use zeroize::Zeroizing;

pub(crate) use files::sync_folder;
use files::{check, pseudonym_key, read_master, refuse_exposed, restrict, secret, set_up, write_master};

use crate::seal::DataKey;

/// `application_id` of keys.db: "LGSK".
const APPLICATION_ID: i64 = 0x4C47_534B;
/// In format 1 a pseudonym was computed from the program's own identifier, so it could be computed again; those members keep
/// theirs.
const NAMES_FORMAT: i64 = 2;
/// In format 3 the pseudonym key is wrapped anew: that it opens as [`SEALED`] says that the end of the log is sealed.
const FORMAT: i64 = 3;

/// What a secret is wrapped as.
const SECRET: &[u8] = b"secret";
/// What the pseudonym key is wrapped as once the ledger's end is sealed ([`crate::tail`]). Nobody without the master key can
/// take that back.
const SEALED: &[u8] = b"secret of a sealed log";

/// Most new keys held in memory until the writer makes them durable; more than any admission limit in flight.
pub const PENDING_KEYS_MAX: usize = 65_536;

const SCHEMA: &str = "
CREATE TABLE secret (name TEXT PRIMARY KEY, wrapped BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE member_key (
    member    BLOB PRIMARY KEY,
    wrapped   BLOB,
    identity  BLOB,
    erased_at INTEGER,
    CHECK (length(member) = 16),
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
) STRICT, WITHOUT ROWID;
";

/// What format 2 added: which member an identifier names, by the identifier's keyed hash.
const NAMES_SCHEMA: &str = "
CREATE TABLE member_name (
    handle BLOB PRIMARY KEY CHECK (length(handle) = 16),
    member BLOB NOT NULL UNIQUE CHECK (length(member) = 16)
) STRICT, WITHOUT ROWID;
";

/// What is wrong with the keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "{0} is missing; without it sealed parts cannot be read and no head can be signed: restore it from the key backup"
    )]
    Missing(PathBuf),
    #[error("{path} is not a usable key file: {why}; restore it from the key backup")]
    Unusable { path: PathBuf, why: String },
    #[error("{0} does not belong to this ledger; restore the key files that were made with it")]
    OtherLedger(PathBuf),
    #[error("{path} may be read by others (mode {mode:o}); run `chmod 600` on it")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("member {0} was erased: the key is destroyed")]
    Erased(MemberId),
    #[error(
        "keys.db holds what was destroyed until nobody reads it: another process has it open; end that one and run the \
         command again"
    )]
    Busy,
    #[error("{doing} ({path}): {source}")]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    #[error("no randomness from the operating system: {0}")]
    Random(getrandom::Error),
    #[error("keys.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// All keys of one ledger. Clones share one store.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    master: DataKey,
    pseudonym: Zeroizing<[u8; 32]>,
    /// Whether the end of their log is sealed.
    seal: AtomicBool,
    program: DataKey,
    ledger_id: [u8; 16],
    /// Two connections, so that looking up a key never waits for another key's fsync.
    reading: Mutex<Connection>,
    writing: Option<Mutex<Connection>>,
    /// New keys that are not yet durable.
    pending: Mutex<Fresh>,
    /// Members met lately, by handle.
    met: Mutex<HashMap<Handle, MemberId>>,
}

/// The keyed hash of a program's own identifier.
type Handle = [u8; 16];

#[derive(Default)]
struct Fresh {
    keys: BTreeMap<MemberId, Pending>,
    names: BTreeMap<Handle, MemberId>,
}

#[derive(Clone)]
struct Pending {
    key: DataKey,
    handle: Option<Handle>,
    identity: Option<Vec<u8>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// A panic in another thread leaves these maps and connections consistent: each is changed in one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], KeyError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(KeyError::Random)?;
    Ok(bytes)
}

impl Keys {
    /// Makes the keys of a new ledger, or returns those a creation that was cut short has left.
    pub(crate) fn create(database: &Path, master: &Path) -> Result<Keys, KeyError> {
        if database.exists() {
            return Keys::open(database, master, true);
        }
        let key = if master.exists() { read_master(master)? } else { write_master(master)? };
        let building = database.with_extension("db.new");
        if building.exists() {
            std::fs::remove_file(&building).map_err(io("remove a half-made file", &building))?;
        }
        let connection = Connection::open(&building)?;
        set_up(&connection)?;
        connection.execute_batch(SCHEMA)?;
        connection.execute_batch(NAMES_SCHEMA)?;
        for name in ["pseudonym", "signing", "program", "ledger"] {
            let secret = Zeroizing::new(random::<32>()?);
            let purpose = if name == "pseudonym" { SEALED } else { SECRET };
            let wrapped = key.seal_bytes(purpose, name.as_bytes(), &*secret);
            connection
                .execute("INSERT INTO secret (name, wrapped) VALUES (?1, ?2)", params![name, wrapped])?;
        }
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", FORMAT)?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        connection.close().map_err(|(_, error)| error)?;
        restrict(&building)?;
        std::fs::rename(&building, database).map_err(io("rename", &building))?;
        sync_folder(database)?;
        Keys::open(database, master, true)
    }

    /// Opens existing keys.
    pub(crate) fn open(database: &Path, master: &Path, writable: bool) -> Result<Keys, KeyError> {
        for path in [master, database] {
            if !path.exists() {
                return Err(KeyError::Missing(path.to_owned()));
            }
            refuse_exposed(path)?;
        }
        let master_key = read_master(master)?;
        let reading = crate::schema::open_to_read(database)?;
        check(&reading, database)?;
        let writing = writable.then(|| Connection::open(database)).transpose()?;
        if let Some(writing) = &writing {
            set_up(writing)?;
            names::upgrade(writing)?;
        }
        let secret = |name: &str| secret(&reading, &master_key, name, database);
        let (pseudonym, seal) = pseudonym_key(&reading, &master_key, database)?;
        let (program, ledger) = (secret("program")?, secret("ledger")?);
        let mut ledger_id = [0; 16];
        ledger_id.copy_from_slice(&ledger[..16]);
        Ok(Keys(Arc::new(Inner {
            pseudonym,
            seal: AtomicBool::new(seal),
            program: DataKey::from_bytes(*program),
            ledger_id,
            master: master_key,
            reading: Mutex::new(reading),
            writing: writing.map(Mutex::new),
            pending: Mutex::default(),
            met: Mutex::default(),
        })))
    }

    /// Opens the keys of a ledger folder for reading, e.g. to explain a decision.
    ///
    /// `master` is where the master key file lies, when that is not in the folder.
    ///
    /// # Errors
    /// When a key file is missing, exposed or not this ledger's.
    pub fn open_in(folder: &Path, master: Option<&Path>) -> Result<Keys, KeyError> {
        let master = master.map_or_else(|| folder.join("master.key"), Path::to_owned);
        Keys::open(&folder.join("keys.db"), &master, false)
    }

    /// The id these keys share with their ledger.
    pub(crate) fn ledger_id(&self) -> [u8; 16] {
        self.0.ledger_id
    }

    /// The connection that writes.
    fn writing(&self) -> Result<MutexGuard<'_, Connection>, KeyError> {
        let writing = self.0.writing.as_ref().map(lock);
        writing.ok_or_else(|| unusable("keys.db", "it was opened for reading".to_owned()))
    }

    /// The key for personal parts without a member: dead letters, operators' notes.
    pub fn program_key(&self) -> DataKey {
        self.0.program.clone()
    }

    /// The data key of a member, made on first use.
    ///
    /// A new key becomes durable before the first row the writer appends after this call. Takes about 3 us when the key exists;
    /// callers keep the keys of resident members.
    ///
    /// # Errors
    /// [`KeyError::Erased`] when the key was destroyed; otherwise trouble with keys.db or randomness.
    pub fn key_for(&self, member: MemberId) -> Result<DataKey, KeyError> {
        let mut pending = lock(&self.0.pending);
        if let Some(found) = pending.keys.get(&member) {
            return Ok(found.key.clone());
        }
        if let Some(key) = self.find(member)? {
            return Ok(key);
        }
        let key = DataKey::from_bytes(random()?);
        pending.keys.insert(member, Pending { key: key.clone(), handle: None, identity: None });
        self.flush_full(pending)?;
        Ok(key)
    }

    /// Makes new keys durable once there are many of them.
    fn flush_full(&self, pending: MutexGuard<'_, Fresh>) -> Result<(), KeyError> {
        let full = pending.keys.len() >= PENDING_KEYS_MAX;
        drop(pending);
        if full { self.flush() } else { Ok(()) }
    }

    /// The data key of a member, if there is one.
    ///
    /// # Errors
    /// As [`Keys::key_for`].
    pub fn find(&self, member: MemberId) -> Result<Option<DataKey>, KeyError> {
        let reading = lock(&self.0.reading);
        let mut statement = reading.prepare_cached("SELECT wrapped FROM member_key WHERE member = ?1")?;
        let wrapped: Option<Option<Vec<u8>>> =
            statement.query_row([member.0], |row| row.get(0)).optional()?;
        match wrapped {
            None => Ok(None),
            Some(None) => Err(KeyError::Erased(member)),
            Some(Some(wrapped)) => {
                let bytes = self.0.master.open_bytes(b"member", &member.0, &wrapped);
                let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
                let why = || unusable("keys.db", format!("the key of member {member} does not unwrap"));
                bytes.map(DataKey::from_bytes).map(Some).ok_or_else(why)
            }
        }
    }

    /// Everybody who has a key, in the order of their pseudonyms.
    pub(crate) fn members(&self) -> Result<Vec<MemberId>, KeyError> {
        let reading = lock(&self.0.reading);
        let mut statement = reading.prepare("SELECT member FROM member_key WHERE wrapped IS NOT NULL")?;
        let members = statement.query_map([], |row| row.get(0).map(MemberId))?;
        Ok(members.collect::<Result<_, _>>()?)
    }

    /// Makes all new keys durable. The writer calls it before it appends.
    pub(crate) fn flush(&self) -> Result<(), KeyError> {
        let fresh = lock(&self.0.pending).keys.clone();
        let Some(writing) = self.0.writing.as_ref().filter(|_| !fresh.is_empty()) else { return Ok(()) };
        let mut writing = lock(writing);
        let transaction = writing.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO member_key (member, wrapped, identity) VALUES (?1, ?2, ?3)")?;
            let mut name =
                transaction.prepare_cached("INSERT INTO member_name (handle, member) VALUES (?1, ?2)")?;
            for (member, new) in &fresh {
                let wrapped = self.0.master.seal_bytes(b"member", &member.0, new.key.bytes());
                insert.execute(params![member.0, wrapped, new.identity])?;
                if let Some(handle) = new.handle {
                    name.execute(params![handle, member.0])?;
                }
            }
        }
        transaction.commit()?;
        let mut pending = lock(&self.0.pending);
        for (member, new) in &fresh {
            pending.keys.remove(member);
            if let Some(handle) = new.handle {
                pending.names.remove(&handle);
            }
        }
        Ok(())
    }
}

fn unusable(path: impl Into<PathBuf>, why: String) -> KeyError {
    KeyError::Unusable { path: path.into(), why }
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { doing, path, source }
}
