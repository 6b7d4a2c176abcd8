//! That somebody is about to read personal data: judged, and made a row before anything is shown.

use domain::Timestamp;
use domain::statement::{Role, Taken, Unheard, VERSION};
use ledger::Entry;
use ledger::cases::Cases;
use ledger::reading::{self, Reading, Signed, Unsigned};

use crate::requests::{Desk, JudgeError, Judged, People, signer};

/// The row of a reading that a person signed. Whoever is in people.toml may read; what counts is that it is known.
///
/// # Errors
/// Why it is refused.
pub fn signed(desk: &Desk, people: &People, signed: &Signed, now: Timestamp) -> Result<Judged, JudgeError> {
    let person = signer(people, signed)?.person();
    let statement = &signed.statement;
    // Statements taken before are found by the row's id, not by looking at every reading there ever was.
    Taken::default().admit(statement, &person, &Role::ALL, desk.identity, now)?;
    check(desk, &statement.id, &statement.step)?;
    Ok(row(reading::signed(signed)))
}

/// The row of a reading nobody signed.
///
/// # Errors
/// When it is in another form, was recorded before, or names a case in which nothing happens any more.
pub fn unsigned(desk: &Desk, unsigned: &Unsigned) -> Result<Judged, JudgeError> {
    if unsigned.v != VERSION {
        return Err(Unheard::UnknownForm(unsigned.v).into());
    }
    check(desk, &unsigned.id, &unsigned.reading)?;
    Ok(row(reading::unsigned(unsigned)?))
}

fn check(desk: &Desk, id: &str, reading: &Reading) -> Result<(), JudgeError> {
    reading.check()?;
    if desk.reader.record(&reading::record_id(id))?.is_some() {
        return Err(Unheard::Replayed(id.to_owned()).into());
    }
    if let Some(case) = reading.case {
        Cases::load(desk.reader)?.open_case(case)?;
    }
    Ok(())
}

fn row(entry: Entry) -> Judged {
    Judged { entries: vec![entry], changes: false, acts: false, refused: None }
}
