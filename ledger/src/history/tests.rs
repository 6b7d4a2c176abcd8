use domain::Digest;

use super::*;

const ORIGIN: &str = "largesse/acme/0";

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(ORIGIN, &[seed; 32])
}

/// Key 1 until row 10, key 2 until row 20, then key 3.
fn history() -> KeyHistory {
    let mut history = KeyHistory::new(signer(1).verifier().clone());
    history.extend(Rotation::sign(Seq(10), &signer(1), &signer(2))).unwrap();
    history.extend(Rotation::sign(Seq(20), &signer(2), &signer(3))).unwrap();
    history
}

#[test]
fn heads_open_under_the_key_of_their_time_only() {
    let history = history();
    for size in [1, 9, 10, 19, 20, 1_000] {
        for seed in 1..=4 {
            let in_force = if size < 10 { 1 } else { 2 + u8::from(size >= 20) };
            let opened = history.open(&signer(seed).sign(size, Digest::of(b"root")));
            assert_eq!(opened.is_ok(), seed == in_force, "key {seed} at {size}: {opened:?}");
        }
    }
}

#[test]
fn a_head_of_a_retired_key_is_named_as_one() {
    let (old, new) = (signer(1), signer(3));
    let retired = history().open(&old.sign(10, Digest::of(b"root")));
    assert_eq!(retired, Err(NoteError::Retired { key: old.verifier().identity(), seq: 10, size: 10 }));
    let early = history().open(&new.sign(15, Digest::of(b"root")));
    assert_eq!(early, Err(NoteError::Early { key: new.verifier().identity(), seq: 20, size: 15 }));
    let stranger = history().open(&signer(9).sign(15, Digest::of(b"root")));
    assert_eq!(stranger, Err(NoteError::NotSigned(signer(2).verifier().identity())));
}

#[test]
fn the_identity_is_that_of_the_first_key() {
    assert_eq!(history().identity(), signer(1).verifier().identity());
    assert_eq!(history().current(), signer(3).verifier());
}

#[test]
fn the_text_form_round_trips_and_begins_with_the_first_key() {
    let text = history().to_text();
    assert_eq!(KeyHistory::from_text(&text).unwrap(), history());
    assert_eq!(text.lines().next().unwrap(), signer(1).verifier().to_text());
    let first = KeyHistory::new(signer(1).verifier().clone());
    assert_eq!(KeyHistory::from_text(&first.to_text()).unwrap(), first);
}

#[test]
fn every_changed_byte_of_a_rotation_is_refused() {
    let note = Rotation::sign(Seq(10), &signer(1), &signer(2)).note;
    Rotation::from_note(&note).unwrap();
    for at in 0..note.len() {
        let mut bytes = note.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        assert!(Rotation::from_note(&changed).is_err(), "byte {at}: {changed}");
    }
}

#[test]
fn a_rotation_needs_both_signatures_and_one_log() {
    let note = Rotation::sign(Seq(10), &signer(1), &signer(2)).note;
    let lines: Vec<&str> = note.lines().collect();
    for missing in [lines.len() - 1, lines.len() - 2] {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != missing);
        let shorter: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        assert!(matches!(Rotation::from_note(&shorter), Err(NoteError::NotSigned(_))), "{shorter}");
    }
    let elsewhere = NoteSigner::new("largesse/other/0", &[2; 32]);
    assert!(Rotation::from_note(&Rotation::sign(Seq(10), &signer(1), &elsewhere).note).is_err());
    assert!(Rotation::from_note(&signer(1).sign(10, Digest::of(b"root"))).is_err(), "a head is no rotation");
    assert!(Head::claimed(&note).is_err(), "a rotation is no head");
}

#[test]
fn only_the_present_key_hands_on_and_never_back() {
    let mut history = history();
    for refused in [
        Rotation::sign(Seq(30), &signer(1), &signer(4)),
        Rotation::sign(Seq(20), &signer(3), &signer(4)),
        Rotation::sign(Seq(30), &signer(3), &signer(1)),
        Rotation::sign(Seq(30), &signer(3), &signer(2)),
    ] {
        assert!(matches!(history.extend(refused), Err(NoteError::OtherRotation { .. })));
    }
    history.extend(Rotation::sign(Seq(30), &signer(3), &signer(4))).unwrap();
}

#[test]
fn whoever_holds_any_key_of_the_log_can_follow_it() {
    let (whole, notes) =
        (history(), history().rotations().iter().map(|step| step.note.clone()).collect::<Vec<_>>());
    for seed in 1..=3 {
        let mut known = KeyHistory::new(signer(seed).verifier().clone());
        known.follow(&notes).unwrap();
        assert_eq!(known.current(), signer(3).verifier(), "from key {seed}");
        assert!(whole.contains(&known));
    }
    // A thief of the first key cannot lead those astray who know that it was retired.
    let forged = Rotation::sign(Seq(12), &signer(1), &signer(7)).note;
    let mut known = history();
    known.follow(&[forged]).unwrap();
    assert_eq!(known, history());
}

#[test]
fn a_history_contains_its_parts_and_no_other() {
    let whole = history();
    let other = |seq, from: u8, to: u8| {
        let mut other = KeyHistory::new(signer(from).verifier().clone());
        other.extend(Rotation::sign(Seq(seq), &signer(from), &signer(to))).unwrap();
        other
    };
    assert!(whole.contains(&whole));
    assert!(whole.contains(&other(10, 1, 2)) && whole.contains(&other(20, 2, 3)));
    assert!(!whole.contains(&other(11, 1, 2)) && !whole.contains(&other(10, 1, 7)));
    assert!(!other(10, 1, 2).contains(&whole));
    assert!(!whole.contains(&KeyHistory::new(signer(9).verifier().clone())));
}
