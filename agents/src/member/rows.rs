//! A member rebuilt from its own rows in the ledger.

use domain::record::{MemberRow, PersonalObserved, read_decision};

use super::state::{Promise, State};
use crate::policy::budgets::inventory;

impl State {
    /// Folds a row as it was folded when it was written.
    ///
    /// # Errors
    /// What is wrong with the row's forms.
    pub fn fold_row(&mut self, row: &MemberRow<'_>) -> Result<(), String> {
        match row {
            MemberRow::Observed { personal } => {
                let observed: PersonalObserved =
                    serde_json::from_slice(personal).map_err(|error| format!("personal form: {error}"))?;
                let _folded = self.fold(&observed.event);
            }
            MemberRow::Decision { public, personal, reward, segment, budgets } => {
                let decision = read_decision(public, personal)?;
                let _folded = self.fold(&decision.event);
                if let (Some(reward), Some(segment)) = (reward, segment) {
                    let stocked = budgets.contains(&&*inventory(reward));
                    Promise::of(&decision, reward, segment, stocked)
                        .into_iter()
                        .for_each(|made| self.promise(made));
                }
            }
        }
        Ok(())
    }
}
