//! `manifest.json`: what an export holds and what it was taken from.

use domain::Digest;
use ledger::View;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Form;

/// The manifest's file name.
pub const NAME: &str = "manifest.json";
/// The proof that the manifest is the recorded one: that of the export's row (C2SP tlog-proof).
pub const PROOF: &str = "manifest.tlog-proof";
/// The version of the manifest.
pub const SCHEMA: u32 = 1;

/// The manifest, schema 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub schema: u32,
    /// Which ledger: name and hash of its first key.
    pub ledger: String,
    pub form: Form,
    /// What was asked for; empty for everything.
    pub filter: Value,
    /// Absent when no row matched.
    pub rows: Option<Range>,
    pub tree: Tree,
    /// The signed head over the tree (C2SP tlog-checkpoint).
    pub head: String,
    /// The notes that lead from the ledger's first key to the one that signed the head.
    pub rotations: Vec<String>,
    pub files: Vec<Sheet>,
}

/// The first and the last row that was exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    pub first: u64,
    pub last: u64,
}

/// The rows there were, and their root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tree {
    pub size: u64,
    pub root: Digest,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sheet {
    pub name: String,
    pub view: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: Digest,
    /// Names and types of the columns, in order.
    pub columns: Vec<(String, String)>,
}

/// What a finished file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    pub bytes: u64,
    pub sha256: Digest,
}

impl Sheet {
    /// The entry of a file.
    pub fn of(view: View, name: String, written: Written) -> Sheet {
        let columns = view.columns().iter().map(|column| (column.name.into(), column.holds.name().into()));
        let Written { rows, bytes, sha256 } = written;
        Sheet { name, view: view.name().to_owned(), rows, bytes, sha256, columns: columns.collect() }
    }
}
