//! The keys that sign heads. The first is the secret `signing`; a successor is kept under its hash, and which one is in
//! force is told by the ledger's rows.

use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};
use zeroize::Zeroizing;

use super::{FORMAT, KeyError, Keys, SEALED, SECRET, lock, random, secret, unusable};
use crate::note::{NoteSigner, Verifier};
use crate::seal::hmac;

const FIRST: &str = "signing";

/// The name of a successor's secret.
fn name_of(key: &Verifier) -> String {
    format!("{FIRST}/{}", domain::digest::hex(&key.key_id()))
}

impl Keys {
    /// The signer a new ledger begins with.
    pub(crate) fn first_signer(&self, origin: &str) -> Result<NoteSigner, KeyError> {
        let reading = lock(&self.0.reading);
        let seed = secret(&reading, &self.0.master, FIRST, Path::new("keys.db"))?;
        Ok(NoteSigner::new(origin, &seed))
    }

    /// The signer of this public key.
    pub(crate) fn signer_of(&self, key: &Verifier) -> Result<NoteSigner, KeyError> {
        let reading = lock(&self.0.reading);
        for name in [name_of(key), FIRST.to_owned()] {
            if !holds(&reading, &name)? {
                continue;
            }
            let seed = secret(&reading, &self.0.master, &name, Path::new("keys.db"))?;
            let signer = NoteSigner::new(key.name(), &seed);
            if signer.verifier() == key {
                return Ok(signer);
            }
        }
        Err(unusable("keys.db", format!("the signing key {} is not there", key.identity())))
    }

    /// A new signing key, durable when this returns. It signs nothing until a row names it.
    pub(crate) fn new_signer(&self, origin: &str) -> Result<NoteSigner, KeyError> {
        let seed = Zeroizing::new(random::<32>()?);
        let signer = NoteSigner::new(origin, &seed);
        let name = name_of(signer.verifier());
        let wrapped = self.0.master.seal_bytes(SECRET, name.as_bytes(), &*seed);
        self.writing()?
            .execute("INSERT INTO secret (name, wrapped) VALUES (?1, ?2)", params![name, wrapped])?;
        Ok(signer)
    }

    /// The key that seals the end of the log ([`crate::tail`]). It follows from the pseudonym key, which no rotation and no
    /// restored keys.db changes; no identifier of a program is a byte of 0xFF and then text.
    pub(crate) fn tail_key(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(hmac(&self.0.pseudonym, &[b"\xfflargesse-tail 1\n"]))
    }

    /// Whether the end of these keys' log is sealed.
    pub(crate) fn has_seal(&self) -> bool {
        self.0.seal.load(Ordering::Acquire)
    }

    /// Says from here on that the end of the log is sealed; durable when this returns.
    pub(crate) fn promise_seal(&self) -> Result<(), KeyError> {
        if self.has_seal() {
            return Ok(());
        }
        let wrapped = self.0.master.seal_bytes(SEALED, b"pseudonym", &*self.0.pseudonym);
        let writing = self.writing()?;
        let transaction = writing.unchecked_transaction()?;
        transaction.execute("UPDATE secret SET wrapped = ?1 WHERE name = 'pseudonym'", [wrapped])?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
        self.0.seal.store(true, Ordering::Release);
        Ok(())
    }

    /// Destroys every signing key but this one: those that were retired, and those no row ever named.
    pub(crate) fn destroy_retired(&self, current: &Verifier) -> Result<(), KeyError> {
        let sql = "DELETE FROM secret WHERE (name = ?1 OR name LIKE ?1 || '/%') AND name <> ?2";
        self.writing()?.execute(sql, params![FIRST, name_of(current)])?;
        Ok(())
    }
}

fn holds(connection: &Connection, name: &str) -> Result<bool, KeyError> {
    Ok(connection.query_row("SELECT count(*) > 0 FROM secret WHERE name = ?1", [name], |row| row.get(0))?)
}
