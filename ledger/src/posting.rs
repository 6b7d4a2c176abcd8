//! The debits of a row as they are recorded, with the balance after each, and their audit.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Micros;

use crate::budget::{Balance, Balances};
use crate::entry::{Debit, Seq};

/// A change as a row records it: budget, change of reserved and committed, both afterwards, and the new limit
/// when it was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    pub budget: Arc<str>,
    pub reserved: Micros,
    pub committed: Micros,
    pub reserved_after: Micros,
    pub committed_after: Micros,
    pub limit: Option<Micros>,
}

/// `[["global",-5,5,0,120],["segment:vip",0,0,0,0,900]]`
pub(crate) fn write_postings(postings: &[Posting]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(64 * postings.len());
    let mut open = '[';
    for posting in postings {
        let name = serde_json::Value::from(&*posting.budget);
        let Posting { reserved, committed, reserved_after, committed_after, .. } = posting;
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{open}[{name},{},{},{},{}",
            reserved.0, committed.0, reserved_after.0, committed_after.0
        );
        if let Some(limit) = posting.limit {
            let _ = write!(text, ",{}", limit.0);
        }
        text.push(']');
        open = ',';
    }
    text.push(']');
    text
}

/// Reads the debits column; `None` when it is not in its form.
pub(crate) fn read_postings(text: &str) -> Option<Vec<Posting>> {
    let rows: Vec<Vec<serde_json::Value>> = serde_json::from_str(text).ok()?;
    let posting = |row: &Vec<serde_json::Value>| {
        let amount = |at: usize| row.get(at)?.as_i64().map(Micros);
        Some(Posting {
            budget: Arc::from(row.first()?.as_str()?),
            reserved: amount(1)?,
            committed: amount(2)?,
            reserved_after: amount(3)?,
            committed_after: amount(4)?,
            limit: if row.len() > 5 { Some(amount(5)?) } else { None },
        })
    };
    rows.iter().map(posting).collect()
}

/// Recomputes all budgets from the rows, in order.
#[derive(Debug, Default)]
pub(crate) struct Audit(BTreeMap<Arc<str>, Balance>);

impl Audit {
    /// Folds one row's debits; the error says what is wrong with them.
    pub(crate) fn fold(&mut self, text: &str, seq: Seq) -> Result<(), String> {
        let postings = read_postings(text).ok_or("its debits are unreadable")?;
        for posting in postings {
            let known = self.0.get(&posting.budget).copied();
            let before = known.or(posting.limit.map(|limit| Balance { limit, ..Balance::default() }));
            let before = before.ok_or_else(|| format!("budget {:?} was never opened", posting.budget))?;
            let debit = Debit {
                budget: posting.budget.clone(),
                limit: posting.limit,
                reserved: posting.reserved,
                committed: posting.committed,
                count: false,
            };
            let after = before.after(&debit, seq).filter(Balance::holds);
            let after = after.ok_or_else(|| format!("budget {:?} is overspent", posting.budget))?;
            if (after.reserved, after.committed) != (posting.reserved_after, posting.committed_after) {
                return Err(format!("the balance of budget {:?} does not add up", posting.budget));
            }
            self.0.insert(posting.budget, after);
        }
        Ok(())
    }

    /// The first budget whose table row differs from the log, if any.
    pub(crate) fn drift(&self, table: &Balances) -> Option<String> {
        let differs = self.0.iter().find(|(id, balance)| table.settled.get(*id) != Some(balance));
        let extra = || table.settled.iter().find(|(id, _)| !self.0.contains_key(*id));
        differs.or_else(extra).map(|(id, _)| id.to_string())
    }
}
