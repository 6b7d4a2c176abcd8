//! From what an agent decided to the ledger row that says so.

use agents::member::{Release, Turn};
use agents::policy::budgets;
use domain::event::wire::Refusal;
use domain::record::{self, Forms};
use domain::{Decision, Event, Micros, Outcome, Scores, Timestamp};
use ledger::{DataKey, Debit, Entry, Kind};
use policies::Bundle;
use uuid::Uuid;

/// An entry under two forms, the personal one sealed under the member's key.
fn entry(kind: Kind, id: Uuid, forms: Forms, key: &DataKey) -> Entry {
    let record_id = id.into_bytes();
    // Public forms are JSON we rendered ourselves, so always UTF-8.
    let body = String::from_utf8(forms.public).unwrap_or_default();
    let mut entry = Entry::new(kind, record_id, body);
    entry.sealed = Some(key.seal(&record_id, &forms.personal));
    entry
}

/// The row of a decision, with its budget debits, and with those of the promise its event used.
pub fn decision(decision: &Decision, used: Option<&Release>, bundle: &Bundle, key: &DataKey) -> Entry {
    let mut entry = entry(Kind::Decision, decision.id.0, record::decision(decision), key);
    about(&mut entry, &decision.event);
    entry.outcome = Some(decision.outcome);
    entry.reason = Some(decision.reason);
    entry.segment = decision.segment.map(|segment| bundle.segment(segment).id.as_str().into());
    entry.reward = decision.chosen.map(|reward| bundle.reward(reward).id.as_str().into());
    entry.bundle = Some(decision.bundle);
    entry.models = decision.models;
    entry.debits = used.map(turned).unwrap_or_default();
    entry.debits.extend(debits(decision, bundle));
    entry
}

/// The row of an event that only changed facts, with what it moves of a promise.
pub fn observed(
    event: &Event,
    at: Timestamp,
    triggered: Option<(u8, Option<u16>)>,
    scores: Option<Scores>,
    release: Option<&Release>,
    key: &DataKey,
) -> Entry {
    let mut entry =
        entry(Kind::Observed, Uuid::now_v7(), record::observed(event, at, triggered, scores), key);
    about(&mut entry, event);
    if let Some(release) = release {
        entry.debits = turned(release);
    }
    entry
}

/// The row of a refused event: the producer's bytes sealed, the refusals in clear.
pub fn dead_letter(id: Uuid, bytes: &[u8], at: Timestamp, refusals: &[Refusal], key: &DataKey) -> Entry {
    let mut entry = entry(Kind::DeadLetter, id, record::dead_letter(bytes, at, refusals), key);
    entry.reason = refusals.first().map(|refusal| refusal.reason);
    entry
}

/// The id of the dead letter of a stored message: the same at every delivery, so that one message has one.
pub fn dead_letter_id(place: u64, bytes: &[u8]) -> Uuid {
    let digest = domain::Digest::of(&[&place.to_be_bytes(), bytes].concat());
    let mut id = [0; 16];
    id.copy_from_slice(&digest.0[..16]);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

/// The row of an event that is refused although its member and id are known.
pub fn dead_letter_of(event: &Event, at: Timestamp, refusals: &[Refusal], key: &DataKey) -> Entry {
    let bytes = serde_json::to_vec(event).unwrap_or_default();
    let mut entry = dead_letter(Uuid::now_v7(), &bytes, at, refusals, key);
    about(&mut entry, event);
    entry
}

fn about(entry: &mut Entry, event: &Event) {
    entry.event_time = Some(event.event_time);
    entry.member = Some(event.member);
    entry.event_id = Some(event.event_id.clone());
    entry.touchpoint = Some(event.touchpoint);
}

/// What a promise takes from the budgets, and what it counts for.
fn debits(decision: &Decision, bundle: &Bundle) -> Vec<Debit> {
    let (Some(segment), Some(reward)) = (decision.segment, decision.chosen) else { return Vec::new() };
    let waits = decision.outcome == Outcome::Pending;
    let make = if waits { Debit::reserve } else { Debit::commit };
    let uses = budgets::uses(bundle, segment, reward, decision.cost);
    let exposes = budgets::exposes(&bundle.segment(segment).id, &bundle.reward(reward).id);
    let windows = budgets::windows(bundle, segment, reward, decision.decided_at);
    let mut debits: Vec<Debit> = uses.into_iter().map(|(id, amount)| make(id, amount)).collect();
    debits.extend(exposes.into_iter().map(|id| Debit::count(id, decision.cost)));
    debits.extend(windows.map(|id| Debit::count_for_good(id, decision.cost)));
    debits.extend(waits.then(|| Debit::count(budgets::WAITING.into(), Micros(1))));
    debits
}

/// What a promise that ended no longer counts for, and, where it was not used, gives back to the budgets; what was held for
/// one that a person approved is committed.
fn turned(release: &Release) -> Vec<Debit> {
    let mut debits = Vec::new();
    if release.turn != Turn::Approved {
        let exposes = budgets::exposes(&release.segment, &release.reward);
        debits.extend(exposes.into_iter().map(|id| Debit::count_back(id, release.cost)));
    }
    debits.extend(release.pending.then(|| Debit::count_back(budgets::WAITING.into(), Micros(1))));
    let held = budgets::returns(release).into_iter();
    match release.turn {
        Turn::Used => {}
        Turn::Unused if release.pending => debits.extend(held.map(|(id, amount)| Debit::release(id, amount))),
        Turn::Unused => debits.extend(held.map(|(id, amount)| Debit::give_back(id, amount))),
        Turn::Approved => debits.extend(held.map(|(id, amount)| Debit::settle(id, amount))),
    }
    debits
}
