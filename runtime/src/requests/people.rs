//! people.toml: who may do what, beside the ledger.

use std::path::{Path, PathBuf};

use domain::statement::{Person, Role};
use policies::registry::Approval;
use serde::{Deserialize, Serialize};

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub name: String,
    pub roles: Vec<Role>,
    /// Ed25519 public key, base64.
    pub key: String,
}

impl Entry {
    /// The person without the key.
    pub fn person(&self) -> Person {
        Person { name: self.name.clone(), roles: self.roles.clone(), key: self.key.clone() }
    }
}

/// Everybody who may take a step.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    #[serde(default)]
    pub person: Vec<Entry>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error("cannot {what} {path}: {why}")]
    Io { what: &'static str, path: PathBuf, why: std::io::Error },
    #[error("{path}: {why}")]
    Invalid { path: PathBuf, why: String },
}

impl People {
    /// Whether an approval is that of somebody who may still approve, with the same key.
    pub fn may_still(&self, approval: &Approval) -> bool {
        let person = self.find(&approval.by).filter(|person| person.key == approval.key);
        person.is_some_and(|person| person.roles.contains(&Role::Approver))
    }

    /// Where the file lies.
    pub fn path(folder: &Path) -> PathBuf {
        folder.join("people.toml")
    }

    /// Reads the file of a ledger folder; nobody when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or one name or key stands in it twice: two people with one key could approve their
    /// own work.
    pub fn load(folder: &Path) -> Result<People, PeopleError> {
        let path = People::path(folder);
        let about = match std::fs::metadata(&path) {
            Ok(about) => about,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(People::default()),
            Err(why) => return Err(PeopleError::Io { what: "read", path, why }),
        };
        let invalid = |why: String| PeopleError::Invalid { path: path.clone(), why };
        if !about.is_file() || about.len() > FILE_BYTES_MAX {
            return Err(invalid("not a file of at most 1 MiB".to_owned()));
        }
        let text = std::fs::read_to_string(&path).map_err(|why| PeopleError::Io {
            what: "read",
            path: path.clone(),
            why,
        })?;
        let people: People = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        for (at, entry) in people.person.iter().enumerate() {
            let before = &people.person[..at];
            if before.iter().any(|other| other.name == entry.name) {
                return Err(invalid(format!("{:?} stands in it twice", entry.name)));
            }
            if before.iter().any(|other| other.key == entry.key) {
                return Err(invalid(format!("{:?} has the key of somebody else", entry.name)));
            }
        }
        Ok(people)
    }

    /// Writes the file of a ledger folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, folder: &Path) -> Result<(), PeopleError> {
        let path = People::path(folder);
        let text = toml::to_string(self)
            .map_err(|error| PeopleError::Invalid { path: path.clone(), why: error.to_string() })?;
        let building = path.with_extension("toml.new");
        super::files::put(&building, &path, text.as_bytes()).map_err(|why| PeopleError::Io {
            what: "write",
            path,
            why,
        })
    }

    /// The person of this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.person.iter().find(|entry| entry.name == name)
    }
}
