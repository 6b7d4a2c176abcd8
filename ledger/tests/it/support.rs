//! Ledgers in temporary folders, and entries that look like the real ones.

use std::path::Path;
use std::sync::Arc;

use domain::{Digest, EventId, MemberId, Micros, Outcome, Reason, Timestamp, Touchpoint};
use ledger::{Debit, Entry, Kind, Options, State, Writer};
use tempfile::TempDir;

pub const ORIGIN: &str = "largesse/test/0";
pub const NOW: Timestamp = Timestamp(1_500_000_000_000_000);
/// Stands for every personal value; it must never be found in any file.
pub const CANARY: &str = "canary-raw-member-4711@example.com";

pub fn options(folder: &Path) -> Options {
    Options::new(folder, ORIGIN, NOW)
}

pub fn open(folder: &Path) -> Writer {
    Writer::open(&options(folder)).unwrap().0
}

pub fn ledger() -> (TempDir, Writer) {
    let folder = tempfile::tempdir().unwrap();
    let writer = open(folder.path());
    (folder, writer)
}

pub fn record_id(number: u64) -> [u8; 16] {
    (u128::from(number) << 64 | u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15))).to_be_bytes()
}

pub fn event_id(number: u64) -> EventId {
    format!("shop-{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15)).parse().unwrap()
}

pub fn raw_member(number: u64) -> String {
    format!("{CANARY}-{number}")
}

/// A decision of about 900 bytes, sealed, about one of `members` members.
pub fn decision(writer: &Writer, number: u64, members: u64) -> Entry {
    let (member, key) = writer.keys().enrol(&raw_member(number.wrapping_mul(7919) % members)).unwrap();
    let id = record_id(number);
    let body = format!(
        r#"{{"v":1,"semantics":1,"decision":"{number:032}","moment":2,"level":"L3","candidates":[[0,1,0],[1,60,0],[2,40,17],[3,61,0]],"table":{number},"segment_seq":{number},"explored":false,"propensity":1000000000,"best_net":1200000,"chosen_net":1200000,"cause":"nothing","pad":"{}"}}"#,
        "x".repeat(120)
    );
    let personal = format!("{{\"who\":\"{CANARY}\",\"number\":{number},\"facts\":\"{}\"}}", "f".repeat(300));
    let outcomes = [Outcome::Granted, Outcome::None, Outcome::Suppressed, Outcome::None];
    Entry {
        event_time: Some(Timestamp(NOW.0 - 5)),
        member: Some(member),
        event_id: Some(event_id(number)),
        outcome: Some(outcomes[usize::try_from(number % 4).unwrap()]),
        reason: Some(
            [Reason::Chosen, Reason::PricedOut, Reason::QuietHours, Reason::NoValue]
                [usize::try_from(number % 4).unwrap()],
        ),
        segment: Some(Arc::from(["vip", "loyal", "new"][usize::try_from(number % 3).unwrap()])),
        reward: number.is_multiple_of(4).then(|| Arc::from("voucher-5")),
        touchpoint: Some(Touchpoint::App),
        bundle: Some(Digest::of(b"bundle")),
        models: Some(Digest::of(b"models")),
        sealed: Some(key.seal(&id, personal.as_bytes())),
        ..Entry::new(Kind::Decision, id, body)
    }
}

pub fn decisions(writer: &Writer, numbers: std::ops::Range<u64>, members: u64) -> Vec<Entry> {
    numbers.map(|number| decision(writer, number, members)).collect()
}

pub fn open_budget(name: &str, limit: i64) -> Entry {
    let debits = vec![Debit::limit(name.into(), Micros(limit))];
    Entry {
        debits,
        ..Entry::new(Kind::Budget, Digest::of(name.as_bytes()).0[..16].try_into().unwrap(), "{}".to_owned())
    }
}

pub fn state(writer: &Writer, member: MemberId, text: &str, next_due: Option<Timestamp>) -> State {
    let key = writer.keys().key_for(member).unwrap();
    State { sealed: key.seal_state(member, text.as_bytes()), next_due }
}

/// Another program's connection: no guard of ours but those in the file.
pub fn intruder(folder: &Path) -> rusqlite::Connection {
    let intruder = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    // It makes many copies, and none of them has to survive a power cut.
    intruder.pragma_update(None, "synchronous", "OFF").unwrap();
    intruder
}
