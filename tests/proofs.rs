//! A log outsiders can verify: proof files by the command and by the Python verifier, tampered ones by both.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{folder, purchases, python, query, refused, run, run_json, stderr, tamper, text};
use serde_json::Value;

/// A small finished demo.
fn demo(dir: &Path) -> PathBuf {
    demo_of(dir, 20)
}

/// A finished demo; with 60 households it has signed a head on its way.
fn demo_of(dir: &Path, households: u32) -> PathBuf {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, households);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}

/// Signed heads of the checkpoint file, oldest first.
fn heads(ledger: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(ledger.join("checkpoints.txt")).unwrap();
    text.split_terminator("\n\n\n").map(|note| format!("{note}\n")).collect()
}

fn size(head: &str) -> u64 {
    head.lines().nth(1).unwrap().parse().unwrap()
}

fn prove(ledger: &Path, id: &str, out: &Path) -> Value {
    run_json(&["log", "prove", id, "--dir", text(ledger), "--out", text(out), "--output", "json"])
}

/// Both verifiers accept a proof.
#[track_caller]
fn accepted(proof: &Path, key: &Path) {
    let ours = run(&["log", "check-proof", text(proof), "--key", text(key)]);
    assert_eq!(ours.status.code(), Some(0), "{}", stderr(&ours));
    let theirs = python(&["proof", text(proof), "--key", text(key)]);
    assert_eq!(theirs.status.code(), Some(0), "{}", stderr(&theirs));
}

/// Both verifiers refuse a proof for this reason.
#[track_caller]
fn refuted(proof: &Path, extra: &[&str], why: &str) {
    let ours = run(&[&["log", "check-proof", text(proof)], extra].concat());
    assert_eq!(ours.status.code(), Some(3), "{}", stderr(&ours));
    assert!(stderr(&ours).contains(why), "{why:?} is missing from {}", stderr(&ours));
    assert!(ours.stdout.is_empty());
    let theirs = python(&[&["proof", text(proof)], extra].concat());
    assert_eq!(theirs.status.code(), Some(3), "{}", stderr(&theirs));
    assert!(stderr(&theirs).contains("NOT PROVEN"), "{}", stderr(&theirs));
}

/// The file with its extra line changed.
fn with_extra(proof: &str, change: impl FnOnce(&mut Value)) -> String {
    let line = proof.lines().nth(1).unwrap();
    let mut extra: Value = serde_json::from_slice(&BASE64.decode(&line[6..]).unwrap()).unwrap();
    change(&mut extra);
    proof.replace(line, &format!("extra {}", BASE64.encode(extra.to_string())))
}

#[test]
fn a_row_is_proven_to_somebody_who_holds_one_key() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (proof, key) = (dir.path().join("row.tlog-proof"), dir.path().join("key.txt"));
    std::fs::copy(ledger.join("verifier.txt"), &key).unwrap();
    let id =
        query(&ledger, "SELECT lower(hex(record_id)) FROM record WHERE kind = 11 AND outcome = 0 LIMIT 1");
    let proven = prove(&ledger, &id, &proof);
    let rows: u64 = query(&ledger, "SELECT max(seq) FROM record").parse().unwrap();
    assert_eq!(proven["rows"].as_u64(), Some(rows));
    // Nothing is left of the ledger where the proof is checked.
    std::fs::remove_dir_all(&ledger).unwrap();
    accepted(&proof, &key);
    let shown = run_json(&["log", "check-proof", text(&proof), "--key", text(&key), "--output", "json"]);
    assert_eq!(
        (&shown["proven"], &shown["row"], &shown["kind"]),
        (&true.into(), &proven["row"], &"decision".into())
    );
    assert_eq!(shown["id"].as_str().unwrap().replace('-', ""), id);
    assert!(shown["public"]["candidates"].is_array(), "{shown}");
    let table = run(&["log", "check-proof", text(&proof), "--key", text(&key)]);
    assert!(String::from_utf8_lossy(&table.stdout).starts_with("proven: row "));
    // The key may also be typed.
    let typed = std::fs::read_to_string(&key).unwrap();
    assert_eq!(run(&["log", "check-proof", text(&proof), "--key", typed.trim()]).status.code(), Some(0));
}

#[test]
fn rows_of_every_kind_are_proven_and_stdout_is_the_file() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (proof, key) = (dir.path().join("row.tlog-proof"), ledger.join("verifier.txt"));
    for seq in query(&ledger, "SELECT min(seq) FROM record GROUP BY kind").lines() {
        let printed = run(&["log", "prove", seq, "--dir", text(&ledger)]);
        assert!(stderr(&printed).contains(&format!("row {seq} (")), "{}", stderr(&printed));
        prove(&ledger, seq, &proof);
        assert_eq!(std::fs::read(&proof).unwrap(), printed.stdout);
        accepted(&proof, &key);
    }
    refused(&["log", "prove", "999999", "--dir", text(&ledger)], 2, "no row has");
}

#[test]
fn a_proof_holds_no_raw_member_and_no_sealed_part() {
    let dir = folder();
    let ledger = demo(dir.path());
    let proof = dir.path().join("row.tlog-proof");
    for seq in query(&ledger, "SELECT seq FROM record WHERE sealed IS NOT NULL LIMIT 20").lines() {
        prove(&ledger, seq, &proof);
        let file = std::fs::read_to_string(&proof).unwrap();
        let extra = BASE64.decode(&file.lines().nth(1).unwrap()[6..]).unwrap();
        let extra: Value = serde_json::from_slice(&extra).unwrap();
        let keys: Vec<&str> = extra.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["leaf", "record", "rotations", "sealed_digest", "v"]);
        let record = BASE64.decode(extra["record"].as_str().unwrap()).unwrap();
        // Households are called x0 to x19 in the file of purchases.
        let shown = String::from_utf8_lossy(&record);
        assert!(!(0..20).any(|household| shown.contains(&format!("\"x{household}\""))), "{shown}");
        let sealed =
            query(&ledger, &format!("SELECT hex(substr(sealed, 1, 24)) FROM record WHERE seq = {seq}"));
        assert!(!domain::digest::hex(&record).to_uppercase().contains(&sealed));
    }
}

#[test]
fn a_tampered_proof_is_refused_by_both_verifiers_with_its_reason() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (path, key) = (dir.path().join("row.tlog-proof"), ledger.join("verifier.txt"));
    let seq = query(&ledger, "SELECT seq FROM record WHERE kind = 11 AND outcome = 0 LIMIT 1");
    prove(&ledger, &seq, &path);
    let whole = std::fs::read_to_string(&path).unwrap();
    let key_args = ["--key", text(&key)];
    let with = |changed: String, why: &str| {
        assert_ne!(changed, whole);
        std::fs::write(&path, changed).unwrap();
        refuted(&path, &key_args, why);
    };
    let record = |extra: &mut Value| {
        let mut bytes = BASE64.decode(extra["record"].as_str().unwrap()).unwrap();
        let last = bytes.len() - 2;
        bytes[last] ^= 1;
        extra["record"] = BASE64.encode(bytes).into();
    };
    with(with_extra(&whole, record), "the leaf does not match");
    with(with_extra(&whole, |extra| extra["sealed_digest"] = Value::Null), "the leaf does not match");
    let index = whole.lines().nth(2).unwrap();
    with(whole.replace(index, "index 0"), "the leaf does not match");
    let other = dir.path().join("other.tlog-proof");
    prove(&ledger, &(seq.parse::<u64>().unwrap() + 3).to_string(), &other);
    let other = std::fs::read_to_string(&other).unwrap();
    let hash = whole.lines().nth(3).unwrap();
    with(whole.replace(hash, other.lines().nth(5).unwrap()), "the path does not reach the root");
    with(whole.replace(&format!("{hash}\n"), ""), "the path does not reach the root");
    let head = heads(&ledger).pop().unwrap();
    let rows = size(&head);
    with(whole.replace(&format!("\n{rows}\n"), &format!("\n{}\n", rows + 1)), "the note was changed");
    let unsigned = whole.split_once("\n\u{2014}").unwrap().0.to_owned();
    with(format!("{unsigned}\n"), "no signature of key");
    with(whole.replace("tlog-proof@v1", "tlog-proof@v2"), "not a proof file");
    with(String::new(), "not a proof file");
    std::fs::write(&path, &whole).unwrap();
    accepted(&path, &key);
    // Under the key of another log, and against a head of another one.
    let elsewhere = folder();
    let stranger = demo(elsewhere.path());
    refuted(&path, &["--key", text(&stranger.join("verifier.txt"))], "no signature of key");
    let pinned = dir.path().join("pinned");
    std::fs::write(&pinned, heads(&stranger).pop().unwrap()).unwrap();
    refuted(&path, &["--key", text(&key), "--head", text(&pinned)], "given to compare with");
    refused(&["log", "check-proof", text(&path)], 2, "--key");
    refused(&["log", "check-proof", "/nowhere", "--key", text(&key)], 2, "/nowhere");
}

/// One random byte of a proof file after another: both verifiers refuse it, or what it proves is unchanged.
#[test]
fn no_changed_byte_makes_the_python_verifier_and_the_command_differ() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (path, key) = (dir.path().join("row.tlog-proof"), ledger.join("verifier.txt"));
    prove(&ledger, &query(&ledger, "SELECT max(seq) FROM record WHERE kind = 11"), &path);
    let whole = std::fs::read(&path).unwrap();
    let (mut random, mut refused_count) = (0x9E37_79B9_7F4A_7C15_u64, 0);
    for _ in 0..60 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = usize::try_from(random >> 33).unwrap() % whole.len();
        let mut changed = whole.clone();
        changed[at] = b"AbZ09+/= \n"[usize::try_from(random >> 29 & 0xF).unwrap() % 10];
        std::fs::write(&path, &changed).unwrap();
        let ours = run(&["log", "check-proof", text(&path), "--key", text(&key), "--output", "json"]);
        let theirs = python(&["proof", text(&path), "--key", text(&key)]);
        assert_eq!(ours.status.code(), theirs.status.code(), "byte {at}: {}", stderr(&theirs));
        refused_count += usize::from(ours.status.code() == Some(3));
        if changed != whole && ours.status.success() {
            let proven: Value = serde_json::from_slice(&ours.stdout).unwrap();
            assert_eq!(proven["rows"].as_u64().unwrap(), size(&heads(&ledger).pop().unwrap()), "byte {at}");
        }
    }
    assert!(refused_count > 50, "{refused_count} of 60 changes were refused");
}

#[test]
fn a_proof_is_given_under_the_head_an_auditor_holds() {
    let dir = folder();
    let ledger = demo_of(dir.path(), 60);
    let (proof, key, held) =
        (dir.path().join("row.tlog-proof"), ledger.join("verifier.txt"), dir.path().join("held"));
    let all = heads(&ledger);
    assert!(all.len() > 2, "too few heads for this test");
    std::fs::write(&held, &all[1]).unwrap();
    let under = ["log", "prove", "2", "--dir", text(&ledger), "--head", text(&held), "--out", text(&proof)];
    assert_eq!(run(&under).status.code(), Some(0));
    accepted(&proof, &key);
    // The head alone is enough to trust it.
    let by_head = run(&["log", "check-proof", text(&proof), "--head", text(&held)]);
    assert_eq!(by_head.status.code(), Some(0), "{}", stderr(&by_head));
    prove(&ledger, "2", &proof);
    refuted(&proof, &["--key", text(&key), "--head", text(&held)], "ask for a proof under your head");
    let late = (size(&all[1]) + 1).to_string();
    let args = ["log", "prove", &late, "--dir", text(&ledger), "--head", text(&held)];
    refused(&args, 1, "is not under this signed head yet");
}

#[test]
fn growth_is_proven_and_a_restored_copy_and_a_fork_are_named() {
    let dir = folder();
    let ledger = demo_of(dir.path(), 60);
    let (file, key, held) = (dir.path().join("growth"), ledger.join("verifier.txt"), dir.path().join("held"));
    let all = heads(&ledger);
    let (first, last) = (&all[1], all.last().unwrap());
    assert!(size(first) < size(last), "too few heads for this test");
    std::fs::write(&held, first).unwrap();
    let consistency =
        |old: &str| run(&["log", "consistency", old, "--dir", text(&ledger), "--out", text(&file)]);
    for old in [text(&held), &size(first).to_string(), "1", "7"] {
        let output = consistency(old);
        assert_eq!(output.status.code(), Some(0), "{old}: {}", stderr(&output));
    }
    consistency(text(&held));
    let by = ["--key", text(&key), "--head", text(&held)];
    let ours = run(&[&["log", "check-proof", text(&file)], &by[..]].concat());
    assert_eq!(ours.status.code(), Some(0), "{}", stderr(&ours));
    let theirs = python(&[&["consistency", text(&file)], &by[..]].concat());
    assert_eq!(theirs.status.code(), Some(0), "{}", stderr(&theirs));
    for head in &all {
        std::fs::write(&held, head).unwrap();
        assert_eq!(python(&["checkpoint", text(&held), "--key", text(&key)]).status.code(), Some(0));
    }
    // A changed path, and a proof for another start.
    std::fs::write(&held, first).unwrap();
    let whole = std::fs::read_to_string(&file).unwrap();
    let hash = whole.lines().nth(1).unwrap();
    for changed in [whole.replace(hash, &BASE64.encode([7; 32])), whole.replace("old ", "old 1")] {
        std::fs::write(&file, changed).unwrap();
        let ours = run(&[&["log", "check-proof", text(&file)], &by[..]].concat());
        let theirs = python(&[&["consistency", text(&file)], &by[..]].concat());
        assert_eq!((ours.status.code(), theirs.status.code()), (Some(3), Some(3)));
    }
    // Rows after the first head are cut off: the newest head is one of more rows than there are.
    std::fs::write(&held, last).unwrap();
    let cut = size(first);
    tamper(
        &ledger,
        &format!(
            "DROP TRIGGER record_refuses_delete; DROP TRIGGER checkpoint_refuses_delete; DELETE FROM record WHERE seq > {cut};
             DELETE FROM checkpoint WHERE size > {cut};"
        ),
    );
    refused(&["log", "consistency", text(&held), "--dir", text(&ledger)], 3, "older or truncated copy");
    // Another log under the same name, signed by the same key's owner, is a fork at the pinned size.
    let fork = demo(folder().keep().as_path());
    let other = dir.path().join("other");
    std::fs::write(&other, &heads(&fork)[0]).unwrap();
    let args = ["log", "consistency", text(&other), "--dir", text(&ledger)];
    refused(&args, 3, "no signature of key");
    std::fs::remove_dir_all(fork.parent().unwrap()).unwrap();
}

#[test]
fn rows_written_anew_are_a_fork_of_the_head_an_auditor_holds() {
    let dir = folder();
    let ledger = demo(dir.path());
    let held = dir.path().join("held");
    std::fs::write(&held, heads(&ledger).pop().unwrap()).unwrap();
    // A careful intruder mends the leaf, too; the last row is in no stored node, so nothing else contradicts it.
    tamper(
        &ledger,
        "DROP TRIGGER record_refuses_update; UPDATE record SET leaf = zeroblob(32) WHERE seq = (SELECT max(seq) FROM record);",
    );
    let args = ["log", "consistency", text(&held), "--dir", text(&ledger)];
    refused(&args, 3, "are not those that were published");
    refused(&["log", "prove", "2", "--dir", text(&ledger)], 3, "are not those that were published");
}

#[test]
fn a_rotated_key_is_followed_by_everybody() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (proof, held, old_key) =
        (dir.path().join("row.tlog-proof"), dir.path().join("held"), dir.path().join("old.txt"));
    std::fs::copy(ledger.join("verifier.txt"), &old_key).unwrap();
    std::fs::write(&held, heads(&ledger).pop().unwrap()).unwrap();
    let rotated = run_json(&["log", "rotate-key", "--dir", text(&ledger), "--output", "json"]);
    let verified =
        run_json(&["log", "verify", "--dir", text(&ledger), "--key", text(&old_key), "--output", "json"]);
    assert_eq!(verified["verified"], true);
    let new_key = ledger.join("verifier.txt");
    assert!(rotated["identity"].as_str().unwrap().starts_with(rotated["from"].as_str().unwrap()));
    let row = rotated["row"].to_string();
    prove(&ledger, &row, &proof);
    accepted(&proof, &old_key);
    accepted(&proof, &new_key);
    let only_new = dir.path().join("new.txt");
    std::fs::write(&only_new, rotated["key"].as_str().unwrap()).unwrap();
    accepted(&proof, &only_new);
    // Growth over the rotation: the old head by the old key, the new one by the new key.
    let growth = dir.path().join("growth");
    let args = ["log", "consistency", text(&held), "--dir", text(&ledger), "--out", text(&growth)];
    assert_eq!(run(&args).status.code(), Some(0));
    let by = ["--key", text(&new_key), "--head", text(&held)];
    let ours = run(&[&["log", "check-proof", text(&growth)], &by[..]].concat());
    assert_eq!(ours.status.code(), Some(0), "{}", stderr(&ours));
    let theirs = python(&[&["consistency", text(&growth)], &by[..]].concat());
    assert_eq!(theirs.status.code(), Some(0), "{}", stderr(&theirs));
    // The decisions are still replayed, and the ledger still opens for the next rotation.
    run_json(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
    run_json(&["log", "rotate-key", "--dir", text(&ledger), "--output", "json"]);
    prove(&ledger, "3", &proof);
    accepted(&proof, &old_key);
    // Told of the rotations, nobody accepts a head of the first key beyond them.
    refused(
        &["log", "check-proof", text(&proof), "--key", text(&only_new), "--head", text(&held)],
        3,
        "given to compare",
    );
}
