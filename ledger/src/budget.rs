//! Budgets: balances in memory, checked entry by entry, written once per batch.
//!
//! Each row that moves money carries the balance after it, as a bank statement does. So the budget table can
//! be compared with the log at start by one look-up per budget, and invariant B-1 can be read off every row.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::Micros;
use rusqlite::{Connection, OptionalExtension, params};

use crate::entry::{COUNT_LIMIT, DEBITS_MAX, Debit, Entry, NAME_BYTES_MAX, Seq};
use crate::error::Error;
use crate::posting::{Posting, read_postings, write_postings};

/// The state of one budget, inventory or cap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub limit: Micros,
    pub reserved: Micros,
    pub committed: Micros,
    /// The last row that changed it.
    pub as_of: Seq,
}

impl Balance {
    /// What may still be reserved or committed.
    pub fn free(&self) -> Micros {
        Micros(self.limit.0 - self.reserved.0 - self.committed.0)
    }

    /// Invariant B-1: committed + reserved <= limit, and neither is negative.
    pub(crate) fn holds(&self) -> bool {
        let used = self.reserved.0.checked_add(self.committed.0);
        self.reserved.0 >= 0 && self.committed.0 >= 0 && used.is_some_and(|used| used <= self.limit.0)
    }

    pub(crate) fn after(&self, debit: &Debit, seq: Seq) -> Option<Balance> {
        Some(Balance {
            limit: debit.limit.unwrap_or(self.limit),
            reserved: Micros(self.reserved.0.checked_add(debit.reserved.0)?),
            committed: Micros(self.committed.0.checked_add(debit.committed.0)?),
            as_of: seq,
        })
    }
}

/// All budgets, and those a batch is about to change.
#[derive(Debug, Default)]
pub(crate) struct Balances {
    pub(crate) settled: BTreeMap<Arc<str>, Balance>,
    staged: BTreeMap<Arc<str>, Balance>,
}

impl Balances {
    pub(crate) fn get(&self, budget: &str) -> Option<Balance> {
        self.staged.get(budget).or_else(|| self.settled.get(budget)).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Balance)> {
        self.settled.iter()
    }

    /// Stages the debits of entry `at` of a batch and returns the text its row records.
    pub(crate) fn stage(&mut self, entry: &Entry, at: usize, seq: Seq) -> Result<Option<String>, Error> {
        if entry.debits.is_empty() {
            return Ok(None);
        }
        if entry.debits.len() > DEBITS_MAX {
            return Err(Error::TooLarge { what: "the debits", found: entry.debits.len(), max: DEBITS_MAX });
        }
        let postings =
            entry.debits.iter().map(|debit| self.stage_one(debit, at, seq)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(write_postings(&postings)))
    }

    fn stage_one(&mut self, debit: &Debit, entry: usize, seq: Seq) -> Result<Posting, Error> {
        if debit.budget.len() > NAME_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "a budget name",
                found: debit.budget.len(),
                max: NAME_BYTES_MAX,
            });
        }
        let known = self.get(&debit.budget);
        let counted = counted(debit, known);
        let debit = counted.as_ref().unwrap_or(debit);
        let opened = debit.limit.map(|limit| Balance { limit, ..Balance::default() });
        let before = known.or(opened);
        let before = before.ok_or_else(|| Error::UnknownBudget(debit.budget.to_string()))?;
        let after = before.after(debit, seq).filter(Balance::holds).ok_or_else(|| Error::Overspent {
            budget: debit.budget.to_string(),
            limit: debit.limit.unwrap_or(before.limit).0,
            reserved: before.reserved.0.saturating_add(debit.reserved.0),
            committed: before.committed.0.saturating_add(debit.committed.0),
            entry,
        })?;
        self.staged.insert(debit.budget.clone(), after);
        Ok(Posting {
            budget: debit.budget.clone(),
            reserved: debit.reserved,
            committed: debit.committed,
            reserved_after: after.reserved,
            committed_after: after.committed,
            limit: debit.limit,
        })
    }

    /// Writes what the batch changed, one row per budget.
    pub(crate) fn write(&self, connection: &Connection) -> Result<(), Error> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let mut upsert = connection.prepare_cached(
            "INSERT INTO budget (id, limit_micros, reserved, committed, as_of) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET limit_micros = excluded.limit_micros, reserved = excluded.reserved,
                 committed = excluded.committed, as_of = excluded.as_of",
        )?;
        for (id, balance) in &self.staged {
            let Balance { limit, reserved, committed, as_of } = balance;
            upsert.execute(params![id, limit.0, reserved.0, committed.0, as_of.0.cast_signed()])?;
        }
        Ok(())
    }

    /// The batch is durable.
    pub(crate) fn settle(&mut self) {
        self.settled.append(&mut self.staged);
    }

    /// The batch was refused.
    pub(crate) fn forget(&mut self) {
        self.staged.clear();
    }

    /// Reads the budget table.
    pub(crate) fn load(connection: &Connection) -> Result<Balances, Error> {
        let mut statement = connection
            .prepare("SELECT id, limit_micros, reserved, committed, as_of FROM budget ORDER BY id")?;
        let rows = statement.query_map([], |row| {
            let id: String = row.get(0)?;
            let balance = Balance {
                limit: Micros(row.get(1)?),
                reserved: Micros(row.get(2)?),
                committed: Micros(row.get(3)?),
                as_of: Seq(row.get::<_, i64>(4)?.unsigned_abs()),
            };
            Ok((Arc::from(id), balance))
        })?;
        Ok(Balances { settled: rows.collect::<Result<_, _>>()?, staged: BTreeMap::new() })
    }

    /// Compares each balance with the last row that is said to have changed it.
    ///
    /// Bounded: one look-up per budget, so a restart with millions of rows stays quick. `verify` recomputes all.
    pub(crate) fn compare_with_log(&self, connection: &Connection) -> Result<(), Error> {
        let mut statement = connection.prepare("SELECT debits FROM record WHERE seq = ?1")?;
        for (id, balance) in self.iter() {
            let drift = |why: String| Error::BudgetDrift { budget: id.to_string(), why };
            let text: Option<Option<String>> =
                statement.query_row([balance.as_of.0.cast_signed()], |row| row.get(0)).optional()?;
            let text =
                text.flatten().ok_or_else(|| drift(format!("row {} does not change it", balance.as_of)))?;
            let postings = read_postings(&text)
                .ok_or_else(|| drift(format!("row {} has unreadable debits", balance.as_of)))?;
            let last = postings.iter().rev().find(|posting| posting.budget == *id);
            let same = last.is_some_and(|last| {
                last.reserved_after == balance.reserved && last.committed_after == balance.committed
            });
            if !same {
                return Err(drift(format!(
                    "the table says reserved {} and committed {}, row {} says otherwise",
                    balance.reserved, balance.committed, balance.as_of
                )));
            }
        }
        Ok(())
    }
}

/// What a count comes to: opened where it is new, and given back as far as it is held. A promise from before it was
/// counted holds nothing.
fn counted(debit: &Debit, known: Option<Balance>) -> Option<Debit> {
    let held = known.map_or(Micros::ZERO, |balance| balance.reserved);
    let reserved = debit.reserved.max(Micros(-held.0));
    debit.count.then(|| Debit { limit: known.is_none().then_some(COUNT_LIMIT), reserved, ..debit.clone() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kind::Kind;
    use crate::posting::Audit;

    fn entry(debits: Vec<Debit>) -> Entry {
        Entry { debits, ..Entry::new(Kind::Decision, [0; 16], String::new()) }
    }

    fn debit() -> impl Strategy<Value = Debit> {
        ("[ab\"]", proptest::option::weighted(0.2, 0i64..200), -60i64..60, -60i64..60).prop_map(
            |(budget, limit, reserved, committed)| Debit {
                budget: budget.into(),
                limit: limit.map(Micros),
                reserved: Micros(reserved),
                committed: Micros(committed),
                count: false,
            },
        )
    }

    proptest! {
        /// B-1 and B-2: whatever is asked, no accepted prefix overspends, and an audit of the text agrees.
        #[test]
        fn no_sequence_of_debits_overspends(batches in proptest::collection::vec(proptest::collection::vec(debit(), 1..4), 1..60)) {
            let (mut balances, mut audit) = (Balances::default(), Audit::default());
            for (at, debits) in batches.into_iter().enumerate() {
                let seq = Seq(at as u64 + 1);
                match balances.stage(&entry(debits), 0, seq) {
                    Ok(text) => {
                        balances.settle();
                        prop_assert_eq!(audit.fold(&text.unwrap(), seq), Ok(()));
                    }
                    Err(_) => balances.forget(),
                }
                for (_, balance) in balances.iter() {
                    prop_assert!(balance.holds() && balance.free().0 >= 0);
                }
                prop_assert_eq!(audit.drift(&balances), None);
            }
        }
    }

    #[test]
    fn an_unopened_budget_cannot_be_spent() {
        let spend = entry(vec![Debit::commit("global".into(), Micros(1))]);
        let refused = Balances::default().stage(&spend, 0, Seq(1));
        assert!(matches!(refused, Err(Error::UnknownBudget(budget)) if budget == "global"));
    }

    #[test]
    fn overflow_is_overspending() {
        let mut balances = Balances::default();
        let open = entry(vec![
            Debit::limit("g".into(), Micros(i64::MAX)),
            Debit::commit("g".into(), Micros(i64::MAX)),
        ]);
        balances.stage(&open, 0, Seq(1)).unwrap();
        let more = entry(vec![Debit::commit("g".into(), Micros(1))]);
        assert!(matches!(balances.stage(&more, 0, Seq(2)), Err(Error::Overspent { .. })));
    }
}
