//! Making a new ledger, so that a crash leaves either none or a whole one.

use domain::digest::hex;
use rusqlite::Connection;

use crate::budget::Balances;
use crate::columns::Columns;
use crate::counter::Added;
use crate::entry::Entry;
use crate::error::Error;
use crate::files::Files;
use crate::index::Index;
use crate::keys::{Keys, sync_folder};
use crate::kind::Kind;
use crate::lasting::Lasting;
use crate::merkle::Frontier;
use crate::note::NoteSigner;
use crate::options::Options;
use crate::rows::Rows;
use crate::schema::{self, Access};
use crate::tail;
use crate::writer::Head;

/// Makes keys, then a complete database under another name, then renames it: a crash leaves either no ledger
/// or a whole one.
pub(crate) fn create(files: &Files, options: &Options) -> Result<Keys, Error> {
    if std::fs::metadata(&files.heads).is_ok_and(|heads| heads.len() > 0) {
        return Err(Error::CheckpointFile {
            path: files.heads.clone(),
            why: "it holds heads, but ledger.db is missing; restore ledger.db".to_owned(),
        });
    }
    let keys = Keys::create(&files.keys, &files.master_key)?;
    let building = files.database.with_extension("db.new");
    for suffix in ["", "-wal", "-shm"] {
        let mut name = building.clone().into_os_string();
        name.push(suffix);
        // A creation that was cut short may have left any of these.
        let _ = std::fs::remove_file(name);
    }
    let signer = keys.first_signer(&options.origin)?;
    let mut connection = schema::connect(&building, Access::Write)?;
    let transaction = connection.transaction()?;
    schema::create(&transaction)?;
    write_genesis(&transaction, &keys, &signer, options)?;
    transaction.commit()?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    connection.close().map_err(|(_, error)| Error::from(error))?;
    let verifier = format!("{}\n", signer.verifier().to_text());
    std::fs::write(&files.verifier, verifier).map_err(|error| Error::io("write", &files.verifier, error))?;
    std::fs::rename(&building, &files.database).map_err(|error| Error::io("rename", &building, error))?;
    sync_folder(&files.database)?;
    Ok(keys)
}

fn write_genesis(
    connection: &Connection,
    keys: &Keys,
    signer: &NoteSigner,
    options: &Options,
) -> Result<(), Error> {
    let mut insert = connection.prepare("INSERT INTO meta (key, value) VALUES (?1, ?2)")?;
    insert.execute(("origin", &options.origin))?;
    insert.execute(("ledger", hex(&keys.ledger_id())))?;
    insert.execute(("partition", options.partition))?;
    insert.execute(("epoch", 0))?;
    let body = serde_json::json!({
        "v": 1,
        "format": schema::FORMAT,
        "origin": options.origin,
        "partition": options.partition,
        "verifier": signer.verifier().to_text(),
    });
    let mut state = Head {
        tree: Frontier::default(),
        lasting: Lasting::default(),
        recorded_at: options.now,
        head_size: 0,
        head_time: options.now,
    };
    let mut rows = Rows {
        connection,
        balances: &mut Balances::default(),
        scratch: &mut Vec::new(),
        counts: Added::default(),
        index: &mut Index::load(connection, 0, options.index_turn_rows)?,
        columns: &mut Columns::default(),
        partition: options.partition,
        epoch: 0,
    };
    rows.insert(&mut state, 0, &Entry::new(Kind::Genesis, keys.ledger_id(), body.to_string()))?;
    rows.counts.write(connection)?;
    tail::write(connection, keys, &state)
}
