//! The registry of a node that runs, kept in memory and read on from the rows that were added: a ledger has as many steps as
//! were ever taken, and each request is judged by all of them.

use domain::{DecisionId, Timestamp};
use ledger::{Reader, Row, Seq};
use policies::registry::{Registry, Step};

use super::{KINDS, Recorded, read};
use crate::node::NodeError;

/// What somebody answered about a promise that waited.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub decision: DecisionId,
    pub approve: bool,
    pub at: Timestamp,
}

/// The fold of a ledger's rows so far.
#[derive(Clone, Debug)]
pub struct Followed {
    pub(super) registry: Registry,
    /// The last row that was looked at.
    read: Seq,
    /// Answers that may not have been carried out yet, in the order they were given.
    pub(super) answers: Vec<Answered>,
}

impl Followed {
    /// Before the first row.
    pub fn new(identity: &str) -> Followed {
        Followed { registry: Registry::new(identity), read: Seq(0), answers: Vec::new() }
    }

    /// The registry by the newest row.
    ///
    /// # Errors
    /// When the ledger cannot be read, or a row is not in its form.
    pub fn now(&mut self, reader: &Reader) -> Result<&Registry, NodeError> {
        // Kinds are looked up one after the other, and rows are added meanwhile: one of a kind that was looked up already must
        // not be passed over because a later one of another kind was seen.
        let end = Seq(reader.size()?);
        for row in reader.of_kinds_after(self.read, &KINDS)?.iter().take_while(|row| row.seq <= end) {
            self.fold(row)?;
            self.read = row.seq;
        }
        self.read = self.read.max(end);
        Ok(&self.registry)
    }

    fn fold(&mut self, row: &Row) -> Result<(), NodeError> {
        match read(row)? {
            Some(Recorded::Started(bundle)) => self.registry.started(bundle, row.recorded_at),
            Some(Recorded::Step(signed)) => {
                self.registry.take(&signed, row.recorded_at);
                if let Step::Answer { decision, approve, .. } = signed.statement.step {
                    self.answers.push(Answered { decision, approve, at: row.recorded_at });
                }
            }
            Some(Recorded::Due(due)) => self.registry.take_due(&due, row.recorded_at),
            Some(Recorded::Refused(_)) | None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use domain::Digest;
    use ledger::{Entry, Kind, Options, Writer};

    use super::*;

    #[test]
    fn rows_that_are_added_are_followed_and_none_is_folded_twice() {
        let dir = tempfile::tempdir().unwrap();
        let now = crate::clock::wall();
        let (mut writer, _) = Writer::open(&Options::new(dir.path(), "northgate", now)).unwrap();
        let reader = writer.reader().unwrap();
        let mut followed = Followed::new("northgate");
        let start = |name: &str| {
            let mut row = Entry::new(Kind::Start, uuid::Uuid::now_v7().into_bytes(), "{}".to_owned());
            row.bundle = Some(Digest::of(name.as_bytes()));
            row
        };
        for names in [&["a", "b"][..], &[], &["a"], &["c", "a"]] {
            if !names.is_empty() {
                writer.append(now, &names.iter().map(|name| start(name)).collect::<Vec<_>>()).unwrap();
            }
            let reigns = followed.now(&reader).unwrap().reigns().to_vec();
            assert_eq!(reigns, load(&reader));
        }
        assert_eq!(followed.registry.reigns().len(), 5);
    }

    fn load(reader: &Reader) -> Vec<policies::registry::Reign> {
        super::super::load(reader, "northgate").unwrap().reigns().to_vec()
    }
}
