//! How often each reward was promised since a time: counted from columns, block by block.

use std::collections::BTreeMap;

use domain::{Digest, Outcome, Timestamp};

use super::Reader;
use super::ask::Range;
use crate::columns::{Field, Question, block_of};
use crate::error::Error;
use crate::filter::Filter;

/// Promises of one reward in one segment, by one policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promises {
    pub bundle: Digest,
    pub segment: String,
    pub reward: String,
    /// How many, those that wait for a person included.
    pub count: u64,
}

impl Reader {
    /// What was promised in rows recorded at `since` or later, whatever became of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn promised_since(&self, since: Timestamp) -> Result<Vec<Promises>, Error> {
        let mut counts = BTreeMap::<[Vec<u8>; 3], u64>::new();
        let recorded = Filter { recorded_since: Some(since), ..Filter::default() };
        let Some(Range { first, last, size }) = self.range(&recorded)? else { return Ok(Vec::new()) };
        let promising = [Outcome::Granted, Outcome::Pending]
            .map(|outcome| Question::of(&Filter { outcome: Some(outcome), ..Filter::default() }));
        for at in block_of(first)..=block_of(last) {
            self.span(at, size, |span| {
                for question in &promising {
                    let mut mask = span.mask(first, last);
                    question.ask(span, &mut mask)?;
                    if !mask.contains(&true) {
                        continue;
                    }
                    let columns =
                        [span.codes(Field::Bundle)?, span.codes(Field::Segment)?, span.codes(Field::Reward)?];
                    let mut found = BTreeMap::<[usize; 3], u64>::new();
                    for at in mask.iter().enumerate().filter(|(_, kept)| **kept).map(|(at, _)| at) {
                        *found.entry([0, 1, 2].map(|column| columns[column].code(at))).or_default() += 1;
                    }
                    for (codes, count) in found {
                        let value = |column: usize| columns[column].value(codes[column]).map(<[u8]>::to_vec);
                        // A decision without a policy, segment or reward promises nothing.
                        if let (Some(bundle), Some(segment), Some(reward)) = (value(0), value(1), value(2)) {
                            *counts.entry([bundle, segment, reward]).or_default() += count;
                        }
                    }
                }
                Ok(())
            })?;
        }
        counts.into_iter().map(|(key, count)| promises(key, count)).collect()
    }
}

fn promises([bundle, segment, reward]: [Vec<u8>; 3], count: u64) -> Result<Promises, Error> {
    let broken = || Error::Damaged("a block of columns holds no policy's digest, or no text".to_owned());
    let text = |bytes| String::from_utf8(bytes).map_err(|_| broken());
    let bundle = Digest(bundle.try_into().map_err(|_| broken())?);
    Ok(Promises { bundle, segment: text(segment)?, reward: text(reward)?, count })
}
