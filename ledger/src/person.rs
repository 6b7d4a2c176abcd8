//! Signatures of people: who took a step in the life of a policy.
//!
//! A key file holds one line, `largesse-key-1 NAME BASE64-SEED`; only its owner may read it. What others get is the
//! public half.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::keys::{KeyError, random};

/// First word of a key file.
const FORM: &str = "largesse-key-1";
/// Largest key file that is read.
const FILE_BYTES_MAX: u64 = 4096;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PersonError {
    #[error("cannot {what} the key file {path}: {why}")]
    Io { what: &'static str, path: PathBuf, why: std::io::Error },
    #[error("{0} is no key file of largesse; `largesse people add NAME --key FILE` makes one")]
    NotAKey(PathBuf),
    #[error("{path} can be read by others (mode {mode:o}); run `chmod 600 {path}`")]
    Exposed { path: PathBuf, mode: u32 },
    #[error(transparent)]
    Random(#[from] KeyError),
}

/// A person's secret key. Wiped when dropped.
pub struct PersonKey {
    name: String,
    key: SigningKey,
}

impl PersonKey {
    /// Makes a key and writes it to a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn create(name: &str, path: &Path) -> Result<PersonKey, PersonError> {
        let io = |why| PersonError::Io { what: "write", path: path.to_owned(), why };
        let seed = Zeroizing::new(random::<32>()?);
        let text = Zeroizing::new(format!("{FORM} {name} {}\n", BASE64.encode(*seed)));
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
        Ok(PersonKey { name: name.to_owned(), key: SigningKey::from_bytes(&seed) })
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// When it is none, or others may read it.
    pub fn load(path: &Path) -> Result<PersonKey, PersonError> {
        let io = |why| PersonError::Io { what: "read", path: path.to_owned(), why };
        let bad = || PersonError::NotAKey(path.to_owned());
        let about = std::fs::metadata(path).map_err(io)?;
        if !about.is_file() || about.len() > FILE_BYTES_MAX {
            return Err(bad());
        }
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(PersonError::Exposed { path: path.to_owned(), mode });
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(io)?);
        let mut words = text.split_whitespace();
        let (Some(FORM), Some(name), Some(seed), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(bad());
        };
        let bytes = Zeroizing::new(BASE64.decode(seed).map_err(|_| bad())?);
        let seed = Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| bad())?);
        Ok(PersonKey { name: name.to_owned(), key: SigningKey::from_bytes(&seed) })
    }

    /// Whose key it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half, base64.
    pub fn public(&self) -> String {
        BASE64.encode(self.key.verifying_key().as_bytes())
    }

    /// The signature of some bytes, base64.
    pub fn sign(&self, bytes: &[u8]) -> String {
        BASE64.encode(self.key.sign(bytes).to_bytes())
    }
}

/// Whether a text is the public half of a key (base64).
pub fn is_key(public: &str) -> bool {
    let bytes = BASE64.decode(public).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes.is_some_and(|bytes| VerifyingKey::from_bytes(&bytes).is_ok_and(|key| !key.is_weak()))
}

/// Whether `signature` (base64) is that of `bytes` by the key with this public half (base64).
pub fn is_signed(public: &str, bytes: &[u8], signature: &str) -> bool {
    let key = BASE64.decode(public).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let signature = BASE64.decode(signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
    let (Some(key), Some(signature)) = (key, signature) else { return false };
    let Ok(key) = VerifyingKey::from_bytes(&key) else { return false };
    key.verify_strict(bytes, &Signature::from_bytes(&signature)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_key_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna.key");
        let key = PersonKey::create("anna", &path).unwrap();
        let again = PersonKey::load(&path).unwrap();
        assert_eq!((again.name(), again.public()), ("anna", key.public()));
        let signature = key.sign(b"step");
        assert!(is_signed(&key.public(), b"step", &signature));
        assert!(!is_signed(&key.public(), b"other", &signature));
        let other = PersonKey::create("berta", &folder.path().join("berta.key")).unwrap();
        assert!(!is_signed(&other.public(), b"step", &signature));
        assert!(!is_signed("no key", b"step", &signature) && !is_signed(&key.public(), b"step", "?"));
    }

    #[test]
    fn exposed_foreign_and_existing_key_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anna.key");
        PersonKey::create("anna", &path).unwrap();
        assert!(matches!(PersonKey::create("anna", &path), Err(PersonError::Io { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(PersonKey::load(&path), Err(PersonError::Exposed { .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "largesse-key-1 anna AAAA").unwrap();
        assert!(matches!(PersonKey::load(&path), Err(PersonError::NotAKey(_))));
    }
}
