//! How many rows a filter lets through, by what they have: answered from columns, block by block.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher};

use domain::digest::hex;
use domain::event::TOUCHPOINT_NAMES;
use domain::time::DAY;
use domain::{MemberId, Reason};

use super::ask::Range;
use super::{PAGE_ROWS_MAX, Reader};
use crate::codes;
use crate::columns::{Field, Question, Span, block_of};
use crate::entry::Seq;
use crate::error::Error;
use crate::filter::Filter;
use crate::kind::Kind;

/// By what rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facet {
    Kind,
    Outcome,
    Reason,
    Segment,
    Reward,
    Touchpoint,
    /// By digest.
    Policy,
    /// By digest.
    Models,
    /// By the day of the event, UTC.
    Day,
    /// By pseudonym.
    Member,
}

/// How many rows there are, and how they are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facets {
    pub rows: u64,
    /// In the order asked for: each value with its rows, most first, days in order; `None` for rows without a value.
    pub by: Vec<Vec<(Option<String>, u64)>>,
}

impl Reader {
    /// Counts the rows a filter lets through by each facet; of members only the `members_max` with the most rows.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn facets(&self, filter: &Filter, facets: &[Facet], members_max: usize) -> Result<Facets, Error> {
        let mut tallies: Vec<Tally> = facets.iter().map(|facet| Tally::new(*facet)).collect();
        let mut rows = 0;
        let Some(Range { first, last, size }) = self.range(filter)? else {
            return Ok(Facets { rows, by: vec![Vec::new(); facets.len()] });
        };
        let question = Question::of(filter);
        let of_member = filter.member.map(|_| self.all_seqs(filter)).transpose()?;
        for at in block_of(first)..=block_of(last) {
            let theirs = of_member.as_ref().map(|blocks| blocks.get(&at));
            if theirs == Some(None) {
                continue;
            }
            self.span(at, size, |span| {
                let mut mask = span.mask(first, last);
                match theirs.flatten() {
                    Some(seqs) => (0..span.len()).for_each(|at| mask[at] &= seqs.contains(&span.seq(at))),
                    None => question.ask(span, &mut mask)?,
                }
                rows += mask.iter().map(|kept| u64::from(*kept)).sum::<u64>();
                if mask.contains(&true) {
                    tallies.iter_mut().try_for_each(|tally| tally.add(span, &mask))
                } else {
                    Ok(())
                }
            })?;
        }
        let by =
            tallies.into_iter().map(|tally| tally.finish(self, members_max)).collect::<Result<_, _>>()?;
        Ok(Facets { rows, by })
    }

    /// Every position a filter lets through, by block.
    fn all_seqs(&self, filter: &Filter) -> Result<BTreeMap<u64, Vec<Seq>>, Error> {
        let (mut blocks, mut after) = (BTreeMap::<u64, Vec<Seq>>::new(), filter.after);
        loop {
            let page = Filter { after, newest_first: false, limit: PAGE_ROWS_MAX, ..filter.clone() };
            let page = self.seqs(&page)?;
            let Some(last) = page.last() else { return Ok(blocks) };
            after = Some(*last);
            for seq in page {
                blocks.entry(block_of(seq)).or_default().push(seq);
            }
        }
    }
}

/// Members come as hashes of random pseudonyms; hashing them again only costs.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl BuildHasher for AsItIs {
    type Hasher = AsItIs;

    fn build_hasher(&self) -> AsItIs {
        AsItIs(0)
    }
}

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// The running count of one facet.
enum Tally {
    Codes {
        field: Field,
        says: fn(&[u8]) -> String,
        counts: BTreeMap<Option<Vec<u8>>, u64>,
    },
    Days(BTreeMap<i64, u64>),
    /// Rows by hash, each with a row to read the pseudonym from.
    Members(HashMap<u64, (u64, Seq), AsItIs>),
}

impl Tally {
    fn new(facet: Facet) -> Tally {
        let codes = |field, says| Tally::Codes { field, says, counts: BTreeMap::new() };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match facet {
            Facet::Kind => codes(Field::Kind, |bytes| {
                named(bytes, |number| Some(Kind::from_number(u8::try_from(number).ok()?)?.name()))
            }),
            Facet::Outcome => {
                codes(Field::Outcome, |bytes| named(bytes, |number| Some(codes::outcome_of(number)?.name())))
            }
            Facet::Reason => codes(Field::Reason, |bytes| {
                named(bytes, |number| Some(Reason::from_number(u8::try_from(number).ok()?)?.name()))
            }),
            Facet::Touchpoint => codes(Field::Touchpoint, |bytes| {
                named(bytes, |number| TOUCHPOINT_NAMES.get(usize::try_from(number).ok()?).copied())
            }),
            Facet::Segment => codes(Field::Segment, text),
            Facet::Reward => codes(Field::Reward, text),
            Facet::Policy => codes(Field::Bundle, hex),
            Facet::Models => codes(Field::Models, hex),
            Facet::Day => Tally::Days(BTreeMap::new()),
            Facet::Member => Tally::Members(HashMap::default()),
        }
    }

    fn add(&mut self, span: &Span<'_>, mask: &[bool]) -> Result<(), Error> {
        match self {
            Tally::Codes { field, counts, .. } => {
                let codes = span.codes(*field)?;
                for (value, rows) in codes.values().zip(codes.count(mask)).filter(|(_, rows)| *rows > 0) {
                    *counts.entry(value.map(<[u8]>::to_vec)).or_default() += rows;
                }
            }
            Tally::Days(days) => {
                let (times, mut running) = (span.numbers(Field::Time)?, None::<(i64, u64)>);
                for (at, _) in mask.iter().enumerate().filter(|(_, kept)| **kept) {
                    let day = times.get(at).div_euclid(DAY);
                    match &mut running {
                        // Neighbours mostly share their day.
                        Some((same, rows)) if *same == day => *rows += 1,
                        other => {
                            if let Some((day, rows)) = other.replace((day, 1)) {
                                *days.entry(day).or_default() += rows;
                            }
                        }
                    }
                }
                if let Some((day, rows)) = running {
                    *days.entry(day).or_default() += rows;
                }
            }
            Tally::Members(members) => {
                let hashes = span.numbers(Field::Member)?;
                for (at, _) in mask.iter().enumerate().filter(|(_, kept)| **kept) {
                    members.entry(hashes.get(at).cast_unsigned()).or_insert((0, span.seq(at))).0 += 1;
                }
            }
        }
        Ok(())
    }

    fn finish(self, reader: &Reader, members_max: usize) -> Result<Vec<(Option<String>, u64)>, Error> {
        match self {
            Tally::Codes { says, counts, .. } => {
                let said = |(value, rows): (Option<Vec<u8>>, u64)| (value.map(|value| says(&value)), rows);
                let mut counts: Vec<_> = counts.into_iter().map(said).collect();
                counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
                Ok(counts)
            }
            Tally::Days(days) => {
                let date = |day: i64| {
                    domain::Timestamp(day.saturating_mul(DAY)).to_string().chars().take(10).collect()
                };
                Ok(days.into_iter().map(|(day, rows)| (Some(date(day)), rows)).collect())
            }
            Tally::Members(members) => {
                let mut most: Vec<(u64, Seq)> = members.into_values().collect();
                most.sort_unstable_by_key(|(rows, seq)| (std::cmp::Reverse(*rows), *seq));
                most.truncate(members_max);
                most.into_iter().map(|(rows, seq)| Ok((reader.member_of(seq)?, rows))).collect()
            }
        }
    }
}

/// The name a stored number stands for; the number itself where this build knows none.
fn named(bytes: &[u8], name: impl FnOnce(i64) -> Option<&'static str>) -> String {
    let number = bytes.try_into().map_or(-1, i64::from_be_bytes);
    name(number).map_or_else(|| number.to_string(), str::to_owned)
}

impl Reader {
    fn member_of(&self, seq: Seq) -> Result<Option<String>, Error> {
        let member: Option<Option<[u8; 16]>> =
            self.one("SELECT member FROM record WHERE seq = ?1", [seq.0.cast_signed()], |row| row.get(0))?;
        Ok(member.flatten().map(|member| MemberId(member).to_string()))
    }
}
