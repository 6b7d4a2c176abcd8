//! Signed heads: when one is due, and the way from the database into the checkpoint file.

use domain::Timestamp;

use super::{Checkpoint, Head, Writer};
use crate::error::Error;
use crate::note::NoteSigner;
use crate::options::Options;
use crate::rows::write_checkpoint;

pub(super) fn is_due(state: &Head, options: &Options, now: Timestamp) -> bool {
    let rows = state.tree.size() - state.head_size;
    rows >= options.head_every_rows || rows > 0 && now.since(state.head_time) >= options.head_every_micros
}

pub(super) fn sign(signer: &NoteSigner, state: &mut Head, now: Timestamp) -> Checkpoint {
    let (size, root) = (state.tree.size(), state.tree.root());
    (state.head_size, state.head_time) = (size, now);
    Checkpoint { size, root, time: now, note: signer.sign(size, root) }
}

impl Writer {
    /// Signs a head over rows that have none, due or not: at a start, before a stop, and when the key changes.
    ///
    /// # Errors
    /// As [`Writer::append`].
    pub fn sign_head(&mut self, now: Timestamp) -> Result<Option<Checkpoint>, Error> {
        if let Some(why) = &self.stopped {
            return Err(Error::Stopped(why.clone()));
        }
        self.file_heads()?;
        let mut state = self.state.clone();
        if state.tree.size() == state.head_size {
            return Ok(None);
        }
        let checkpoint = sign(&self.signer, &mut state, now);
        write_checkpoint(&self.connection, &checkpoint)?;
        self.state = state;
        self.unfiled.push(checkpoint.note.clone());
        self.file_heads()?;
        Ok(Some(checkpoint))
    }

    /// Appends signed heads to the checkpoint file. They are durable in the database already, so a failure
    /// here is reported before the next batch, not as a failure of the one they belong to.
    pub(crate) fn file_heads(&mut self) -> Result<(), Error> {
        while let Some(note) = self.unfiled.first() {
            self.heads.append(note)?;
            self.unfiled.remove(0);
        }
        Ok(())
    }
}
