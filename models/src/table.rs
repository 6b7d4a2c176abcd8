//! Training tables: every household's features at a date, with what came after it as labels.
//!
//! The features are the serving code's own ([`crate::features`]), and only purchases up to the end of the date
//! reach them; labels only see purchases of later days. Python reads this table and never computes a feature.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use domain::{Micros, Settlement, Timestamp};
use jiff::ToSpan as _;
use jiff::civil::Date;

use crate::csv;
use crate::features::{FeatureVector, History, NAMES, Purchase, Summary};

/// Days of future spend that the LTV label sums.
pub const SPEND_DAYS: i32 = 91;
/// Days without a purchase that make a churn label, short and long.
pub const CHURN_DAYS: [i32; 2] = [30, 60];

/// Why no table could be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The purchase file.
    #[error(transparent)]
    Events(#[from] csv::Error),
    /// The date has no such day after it.
    #[error("{0} is too close to the end of the calendar")]
    Date(Date),
    /// The output.
    #[error("cannot write the table: {0}")]
    Write(#[from] std::io::Error),
    /// No household had bought by the date.
    #[error("no household has a purchase up to {0}")]
    Empty(Date),
}

/// What happened after the date; absent where the file ends too early to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Money spent in the next [`SPEND_DAYS`] days.
    pub spend_91d: Option<Micros>,
    /// No purchase in the next 30 days.
    pub churn_30d: Option<bool>,
    /// No purchase in the next 60 days.
    pub churn_60d: Option<bool>,
}

/// One household at the date.
#[derive(Clone, Debug)]
pub struct Example {
    /// The household's own identifier.
    pub household: String,
    /// Its history at the date, in integers.
    pub summary: Summary,
    /// Its features at the date.
    pub features: FeatureVector,
    /// What came after.
    pub labels: Labels,
}

/// Every household with a purchase up to the date, and what the file did not say.
#[derive(Clone, Debug)]
pub struct Table {
    /// The date.
    pub as_of: Date,
    /// Sorted by the household's identifier (shorter first, so numbers sort as numbers).
    pub examples: Vec<Example>,
    /// Purchases read.
    pub purchases: u64,
    /// Lines that are no purchase.
    pub refused: u64,
}

/// The instants that separate past, labels and the rest.
struct Cuts {
    as_of: Timestamp,
    spend: Timestamp,
    churn: [Timestamp; 2],
}

impl Cuts {
    fn at(as_of: Date) -> Result<Cuts, Error> {
        let after = |days: i32| -> Result<Timestamp, Error> {
            let date = as_of.checked_add(days.days()).map_err(|_| Error::Date(as_of))?;
            Ok(csv::end_of_day(date)?)
        };
        let [short, long] = CHURN_DAYS;
        Ok(Cuts { as_of: after(0)?, spend: after(SPEND_DAYS)?, churn: [after(short)?, after(long)?] })
    }
}

/// A household while the file is read.
#[derive(Default)]
struct Household {
    history: History,
    spend: Micros,
    next: Option<Timestamp>,
}

impl Household {
    fn take(&mut self, row: &csv::Row, cuts: &Cuts) {
        if row.time < cuts.as_of {
            self.history.purchase(Purchase {
                id: row.basket.hash64(),
                time: row.time,
                amount: row.amount,
                settlement: Settlement::Settled,
            });
            return;
        }
        self.next = Some(self.next.map_or(row.time, |next| next.min(row.time)));
        if row.time < cuts.spend {
            self.spend = self.spend.saturating_add(row.amount);
        }
    }

    fn labels(&self, cuts: &Cuts, covered: Timestamp) -> Labels {
        let churned = |cut: Timestamp| (covered >= cut).then(|| self.next.is_none_or(|next| next >= cut));
        let [short, long] = cuts.churn;
        Labels {
            spend_91d: (covered >= cuts.spend).then_some(self.spend),
            churn_30d: churned(short),
            churn_60d: churned(long),
        }
    }
}

/// Reads a purchase file as of the end of a local day.
///
/// # Errors
/// The file cannot be read, or nobody had bought by the date. Lines that are no purchase are counted.
pub fn read(events: &Path, as_of: Date) -> Result<Table, Error> {
    let cuts = Cuts::at(as_of)?;
    let mut households: BTreeMap<(usize, String), Household> = BTreeMap::new();
    let (mut purchases, mut refused, mut newest) = (0, 0, cuts.as_of);
    for line in csv::open(events)? {
        let Ok(row) = line?.row else {
            refused += 1;
            continue;
        };
        purchases += 1;
        newest = newest.max(row.time);
        let key = (row.household.len(), row.household.clone());
        households.entry(key).or_default().take(&row, &cuts);
    }
    let covered = csv::end_of_day_of(newest)?;
    let known = households.into_iter().filter(|(_, household)| !household.history.is_empty());
    let examples: Vec<Example> = known
        .map(|((_, id), household)| {
            let summary = household.history.summary(cuts.as_of);
            let labels = household.labels(&cuts, covered);
            Example { household: id, summary, features: FeatureVector::from(&summary), labels }
        })
        .collect();
    if examples.is_empty() {
        return Err(Error::Empty(as_of));
    }
    Ok(Table { as_of, examples, purchases, refused })
}

/// Writes the training table of a purchase file as CSV: household, features (the shortest text that reads
/// back to the same `f32`), then the labels the file can know.
///
/// # Errors
/// See [`read`]; or the output fails.
pub fn write(events: &Path, as_of: Date, mut out: impl Write) -> Result<Table, Error> {
    let table = read(events, as_of)?;
    let first = table.examples.first().map(|example| example.labels).unwrap_or_default();
    let mut header = vec!["household_id"];
    header.extend(NAMES);
    let labels = [
        ("label_spend_91d", first.spend_91d.is_some()),
        ("label_churn_30d", first.churn_30d.is_some()),
        ("label_churn_60d", first.churn_60d.is_some()),
    ];
    header.extend(labels.iter().filter(|(_, known)| *known).map(|(name, _)| *name));
    writeln!(out, "{}", header.join(","))?;
    for example in &table.examples {
        write!(out, "{}", quoted(&example.household))?;
        for value in example.features.0 {
            write!(out, ",{value}")?;
        }
        let Labels { spend_91d, churn_30d, churn_60d } = example.labels;
        if let Some(spend) = spend_91d {
            write!(out, ",{spend}")?;
        }
        for churned in [churn_30d, churn_60d].into_iter().flatten() {
            write!(out, ",{}", u8::from(churned))?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(table)
}

/// An identifier as a CSV field.
fn quoted(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\"")).into();
    }
    text.into()
}
