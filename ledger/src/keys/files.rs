//! The files behind the keys: settings of keys.db, the master key file, and who may read them.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use domain::digest::{hex, unhex};
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use zeroize::Zeroizing;

use super::{APPLICATION_ID, FORMAT, KeyError, SEALED, SECRET, io, random, unusable};
use crate::seal::DataKey;

/// Durable, and nothing deleted stays readable in the file.
pub(super) fn set_up(connection: &Connection) -> Result<(), KeyError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(())
}

pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), KeyError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let id = number("application_id").map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => unusable(path, error.to_string()),
        Some(_) | None => KeyError::Sqlite(error),
    })?;
    let format = number("user_version")?;
    if id != APPLICATION_ID {
        return Err(unusable(path, format!("application id {id:#x}, expected {APPLICATION_ID:#x}")));
    }
    if format > FORMAT {
        return Err(unusable(path, format!("format {format}, this build reads up to {FORMAT}")));
    }
    Ok(())
}

pub(super) fn secret(
    connection: &Connection,
    master: &DataKey,
    name: &str,
    path: &Path,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    unwrap(connection, master, SECRET, name, path)
}

/// The pseudonym key, and whether it is wrapped as that of a log whose end is sealed.
pub(super) fn pseudonym_key(
    connection: &Connection,
    master: &DataKey,
    path: &Path,
) -> Result<(Zeroizing<[u8; 32]>, bool), KeyError> {
    match unwrap(connection, master, SEALED, "pseudonym", path) {
        Err(KeyError::OtherLedger(_)) => Ok((secret(connection, master, "pseudonym", path)?, false)),
        other => Ok((other?, true)),
    }
}

fn unwrap(
    connection: &Connection,
    master: &DataKey,
    purpose: &[u8],
    name: &str,
    path: &Path,
) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let wrapped: Vec<u8> = connection
        .query_row("SELECT wrapped FROM secret WHERE name = ?1", [name], |row| row.get(0))
        .optional()?
        .ok_or_else(|| unusable(path, format!("the {name} key is not there")))?;
    let bytes = master.open_bytes(purpose, name.as_bytes(), &wrapped);
    let bytes = bytes.map_err(|_| KeyError::OtherLedger(path.to_owned()))?;
    let bytes: [u8; 32] =
        bytes.try_into().map_err(|_| unusable(path, format!("the {name} key has the wrong length")))?;
    Ok(Zeroizing::new(bytes))
}

pub(super) fn write_master(path: &Path) -> Result<DataKey, KeyError> {
    let bytes = Zeroizing::new(random::<32>()?);
    let text = Zeroizing::new(format!("{}\n", hex(&*bytes)));
    let building = path.with_extension("key.new");
    if building.exists() {
        std::fs::remove_file(&building).map_err(io("remove a half-made file", &building))?;
    }
    let mut options = std::fs::OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(&building).map_err(io("create", path))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io("write", path))?;
    std::fs::rename(&building, path).map_err(io("rename", &building))?;
    sync_folder(path)?;
    Ok(DataKey::from_bytes(*bytes))
}

pub(super) fn read_master(path: &Path) -> Result<DataKey, KeyError> {
    refuse_exposed(path)?;
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(io("read", path))?);
    let bytes = unhex(text.trim()).ok_or_else(|| unusable(path, "not 64 hex digits".to_owned()))?;
    Ok(DataKey::from_bytes(bytes))
}

pub(super) fn restrict(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(io("restrict", path))
}

pub(super) fn refuse_exposed(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map_err(io("look at", path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(KeyError::Exposed { path: path.to_owned(), mode }) }
}

/// A rename is durable only when its folder is.
pub(crate) fn sync_folder(of: &Path) -> Result<(), KeyError> {
    // A bare name lies in the working folder, and its parent is the empty path.
    let folder = of.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync the folder", folder))
}
