//! What was decided, for ever: the append-only record of one node, and the proof that it stayed so.
//!
//! A ledger is a folder: `ledger.db` (SQLite), `keys.db` and `master.key` (which unseal personal parts),
//! `checkpoints.txt` (signed heads outside the database), `verifier.txt` (the public keys for auditors) and `lock`.
//!
//! One thread owns the [`Writer`]; any thread may have a [`Reader`] and share the [`Keys`]. This crate never
//! decides, publishes, reads a clock for what it records, or keeps a personal value in clear. It knows no tokio, NATS or ONNX.
//!
//! Start reading at [`Writer::append`], then `canon` (what a leaf commits to), `merkle`, `recovery` (what a
//! start checks), `verify` (what a full check checks), and `proof` and `history` (what outsiders check); `lasting` says which rows are obeyed
//! for good. What is
//! taken out of rows again, and how that stays provable, is in `cut`; how questions over many rows are answered, in
//! `columns`; how a ledger is copied and put back, in `backup`; what people keep about decisions, in [`cases`]; who read what, in [`reading`].

mod backup;
mod budget;
mod canon;
pub mod cases;
mod codes;
mod columns;
mod counter;
mod create;
mod cut;
mod entry;
mod erase;
mod error;
mod files;
mod filter;
mod head_file;
mod history;
mod hold;
mod index;
mod keys;
mod kind;
mod lasting;
mod lock;
mod maintenance;
pub mod merkle;
pub mod note;
mod options;
pub mod person;
mod posting;
pub mod proof;
mod prune;
mod reader;
pub mod reading;
mod recovery;
mod relay;
mod rotate;
mod row;
mod rows;
mod schema;
mod seal;
mod tail;
mod tree;
mod verify;
mod view;
mod writer;

pub use backup::{Copied, KeysFrom, Progress, backup, backup_keys, restore};
pub use budget::Balance;
pub use canon::Public;
pub use entry::{
    BODY_BYTES_MAX, DEBITS_MAX, Debit, Entry, NAME_BYTES_MAX, SEALED_BYTES_MAX, Seq, Snapshot, State,
};
pub use erase::{Erased, Named, PURPOSE_BYTES_MAX, has_word, named};
pub use error::Error;
pub use files::Files;
pub use filter::Filter;
pub use history::{KeyHistory, ROTATIONS_MAX, Rotation};
pub use hold::Hold;
pub use keys::{KeyError, Keys};
pub use kind::Kind;
pub use lock::refuse_in_use;
pub use maintenance::Maintenance;
pub use options::Options;
pub use posting::Posting;
pub use prune::{Needed, Prunable, Pruned, Retention};
pub use reader::{Count, Facet, Facets, PAGE_ROWS_MAX, Promises, Reader, STATEMENT_TIME_MAX_MS, StoredState};
pub use recovery::Recovery;
pub use relay::{RELAYS, RelayPosition};
pub use rotate::Rotated;
pub use row::Row;
pub use seal::{DataKey, DoesNotOpen, Sealed};
pub use verify::{FINDINGS_MAX, Finding, Report, VerifyOptions, identity_of, keys_of, verify};
pub use view::{Cell, Column, Holds, View};
pub use writer::{Appended, BATCH_MAX, Checkpoint, Writer};
