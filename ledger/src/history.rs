//! Which keys sign the heads of a log: the first one, and each rotation to the next.
//!
//! A rotation is a note that the retired and the new key both signed. It names the row it is recorded in: heads over fewer
//! rows are the retired key's, heads over that row and later ones the new key's, and nothing else is accepted. Whoever holds
//! the first key, or any later one, can follow the notes to the present one.
//!
//! Pure: text and keys in, text out. Start at [`KeyHistory::open`].

use crate::entry::Seq;
use crate::note::{Head, NOTE_BYTES_MAX, NoteError, NoteSigner, Verifier};

/// First line of a rotation: no head begins with it, so neither can pass for the other.
const PREFIX: &str = "largesse/key-rotation/1";

/// Most rotations that are followed: a weekly one for twenty years.
pub const ROTATIONS_MAX: usize = 1_024;

/// The step from one signing key to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The row that records it: the first that the new key signs for.
    pub seq: Seq,
    pub from: Verifier,
    pub to: Verifier,
    /// The note both keys signed.
    pub note: String,
}

impl Rotation {
    /// The rotation recorded in row `seq`, signed by both keys.
    pub fn sign(seq: Seq, from: &NoteSigner, to: &NoteSigner) -> Rotation {
        let (old, new) = (from.verifier(), to.verifier());
        let text = format!("{PREFIX}\n{}\n{seq}\n{}\n{}\n", old.name(), old.to_text(), new.to_text());
        let note = format!("{text}\n{}{}", from.signature(&text), to.signature(&text));
        Rotation { seq, from: old.clone(), to: new.clone(), note }
    }

    /// Reads a rotation and checks both signatures. Whether its first key is to be trusted is the caller's question.
    ///
    /// # Errors
    /// What is wrong with the note.
    pub fn from_note(note: &str) -> Result<Rotation, NoteError> {
        let bad = || NoteError::Malformed("no key rotation");
        if note.len() > NOTE_BYTES_MAX {
            return Err(bad());
        }
        let (text, signatures) = crate::note::split(note)?;
        let lines: Vec<&str> = text.split_terminator('\n').collect();
        let [PREFIX, origin, row, from, to] = lines[..] else { return Err(bad()) };
        let seq = crate::note::number(row).ok_or_else(bad)?;
        let (from, to) = (Verifier::from_text(from)?, Verifier::from_text(to)?);
        if from.name() != origin || to.name() != origin || from == to {
            return Err(bad());
        }
        from.check(text, signatures)?;
        to.check(text, signatures)?;
        Ok(Rotation { seq: Seq(seq), from, to, note: note.to_owned() })
    }
}

/// The keys of one log in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyHistory {
    first: Verifier,
    rotations: Vec<Rotation>,
}

impl KeyHistory {
    /// A log that has used this key only.
    pub fn new(first: Verifier) -> KeyHistory {
        KeyHistory { first, rotations: Vec::new() }
    }

    /// Reads `verifier.txt`: the first key on a line, then one rotation note after another, each after an empty line.
    ///
    /// # Errors
    /// When a key or a note is not acceptable.
    pub fn from_text(text: &str) -> Result<KeyHistory, NoteError> {
        let separator = format!("\n\n{PREFIX}\n");
        let mut parts = text.split(&separator);
        let mut history = KeyHistory::new(Verifier::from_text(parts.next().unwrap_or_default())?);
        for part in parts {
            history.extend(Rotation::from_note(&format!("{PREFIX}\n{}\n", part.trim_end_matches('\n')))?)?;
        }
        Ok(history)
    }

    /// The text of `verifier.txt`.
    pub fn to_text(&self) -> String {
        let notes = self.rotations.iter().map(|rotation| format!("\n{}", rotation.note));
        std::iter::once(format!("{}\n", self.first.to_text())).chain(notes).collect()
    }

    /// Which log this is: name and hash of the first key. It stays the same over rotations.
    pub fn identity(&self) -> String {
        self.first.identity()
    }

    /// The log's name in its heads.
    pub fn origin(&self) -> &str {
        self.first.name()
    }

    /// The key that signs now.
    pub fn current(&self) -> &Verifier {
        self.rotations.last().map_or(&self.first, |rotation| &rotation.to)
    }

    /// Every rotation, oldest first.
    pub fn rotations(&self) -> &[Rotation] {
        &self.rotations
    }

    /// The key that signs heads over `size` rows.
    pub fn in_force(&self, size: u64) -> &Verifier {
        let passed = self.rotations.iter().rev().find(|rotation| rotation.seq.0 <= size);
        passed.map_or(&self.first, |rotation| &rotation.to)
    }

    /// Adds the next rotation.
    ///
    /// # Errors
    /// When it does not start from the present key, or not after the rotation before it.
    pub fn extend(&mut self, rotation: Rotation) -> Result<(), NoteError> {
        let after = self.rotations.last().map_or(Seq(1), |last| last.seq);
        let returns = rotation.to == self.first || self.rotations.iter().any(|known| known.to == rotation.to);
        if rotation.from != *self.current() || rotation.seq <= after || returns {
            return Err(NoteError::OtherRotation {
                seq: rotation.seq.0,
                to: rotation.to.identity(),
                current: self.current().identity(),
            });
        }
        if self.rotations.len() == ROTATIONS_MAX {
            return Err(NoteError::Malformed("more key rotations than are followed"));
        }
        self.rotations.push(rotation);
        Ok(())
    }

    /// Follows the notes that lead on from the present key; all others are of no concern to who trusts this history.
    ///
    /// # Errors
    /// When a note is no rotation.
    pub fn follow<'n>(&mut self, notes: impl IntoIterator<Item = &'n String>) -> Result<(), NoteError> {
        for note in notes {
            let rotation = Rotation::from_note(note)?;
            if rotation.from == *self.current() {
                self.extend(rotation)?;
            }
        }
        Ok(())
    }

    /// Whether `other` is this history or a part of it without gaps, so that this one says at least as much.
    pub fn contains(&self, other: &KeyHistory) -> bool {
        let own: Vec<&Rotation> = self.rotations.iter().collect();
        let wanted: Vec<&Rotation> = other.rotations.iter().collect();
        let at = if self.first == other.first {
            Some(0)
        } else {
            own.iter().position(|rotation| rotation.to == other.first).map(|at| at + 1)
        };
        at.is_some_and(|at| own[at..].starts_with(&wanted))
    }

    /// The head a note states, if the key signed it that was in force at its size.
    ///
    /// # Errors
    /// What is wrong with the note; a key that signed before or after its time is named.
    pub fn open(&self, note: &str) -> Result<Head, NoteError> {
        let size = Head::claimed(note)?.size;
        match self.in_force(size).open(note) {
            Err(NoteError::NotSigned(expected)) => {
                Err(self.out_of_time(note, size).unwrap_or(NoteError::NotSigned(expected)))
            }
            opened => opened,
        }
    }

    /// Names the key of this log that signed at a size where another one was in force.
    fn out_of_time(&self, note: &str, size: u64) -> Option<NoteError> {
        self.rotations.iter().find_map(|rotation| {
            let (seq, retired) = (rotation.seq.0, rotation.seq.0 <= size);
            let key = if retired { &rotation.from } else { &rotation.to };
            key.open(note).ok()?;
            let key = key.identity();
            Some(if retired {
                NoteError::Retired { key, seq, size }
            } else {
                NoteError::Early { key, seq, size }
            })
        })
    }
}

#[cfg(test)]
mod tests;
