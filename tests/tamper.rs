//! Verification, replay and the certificate checker each notice when something is changed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use common::{folder, purchases, query, run, run_json, stderr, tamper, text};
use std::path::{Path, PathBuf};

/// A small finished demo.
fn demo(dir: &Path) -> PathBuf {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, 40);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}

fn unguard(change: &str) -> String {
    let drop = "DROP TRIGGER record_refuses_update; DROP TRIGGER record_refuses_delete;";
    format!("{drop} {change}")
}

#[test]
fn an_edited_decision_is_found_by_verify_and_by_replay() {
    let dir = folder();
    let ledger = demo(dir.path());
    let seq = query(&ledger, "SELECT seq FROM record WHERE kind = 11 AND outcome = 0 ORDER BY seq LIMIT 1");
    assert!(!seq.is_empty(), "no granted decision");
    let edit = format!(
        "UPDATE record SET body = replace(body, '\"explored\":false', '\"explored\":true') WHERE seq = {seq};"
    );
    tamper(&ledger, &unguard(&edit));
    let output = run(&["log", "verify", "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["first_bad"].to_string(), seq);
    let output = run(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["mismatches"], 1);
    assert_eq!(report["differences"][0]["seq"].to_string(), seq);
    assert_eq!(report["differences"][0]["field"], "public.explored");
}

#[test]
fn an_edited_certificate_is_found_by_the_checker() {
    let dir = folder();
    let ledger = demo(dir.path());
    let seq = query(&ledger, "SELECT max(seq) FROM record WHERE kind = 20");
    let edit =
        format!("UPDATE record SET body = replace(body, '\"gap_ppm\":', '\"gap_ppm\":1') WHERE seq = {seq};");
    tamper(&ledger, &unguard(&edit));
    let output = run(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .any(|difference| difference["field"] == "certificate");
    assert!(found, "{report}");
}

#[test]
fn a_deleted_row_is_found() {
    let dir = folder();
    let ledger = demo(dir.path());
    let seq = query(&ledger, "SELECT max(seq) / 2 FROM record");
    tamper(&ledger, &unguard(&format!("DELETE FROM record WHERE seq = {seq};")));
    let output = run(&["log", "verify", "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["first_bad"].to_string(), seq);
}

#[test]
fn an_untouched_ledger_has_no_finding() {
    let dir = folder();
    let ledger = demo(dir.path());
    assert_eq!(run_json(&["log", "verify", "--dir", text(&ledger), "--output", "json"])["verified"], true);
    let seq = query(&ledger, "SELECT seq FROM record WHERE kind = 11 ORDER BY seq LIMIT 1");
    let one = run_json(&["replay", "--dir", text(&ledger), &seq, "--output", "json"]);
    assert_eq!((one["decisions"].as_u64(), one["mismatches"].as_u64()), (Some(1), Some(0)));
}

#[test]
fn a_row_of_other_semantics_is_refused_by_replay() {
    let dir = folder();
    let ledger = demo(dir.path());
    let seq = query(&ledger, "SELECT seq FROM record WHERE kind = 11 ORDER BY seq LIMIT 1 OFFSET 5");
    tamper(&ledger, &unguard(&format!("UPDATE record SET semantics = 99 WHERE seq = {seq};")));
    let output = run(&["replay", "--dir", text(&ledger), "--all"]);
    assert_eq!(output.status.code(), Some(3));
    let said = common::stderr(&output);
    assert!(said.contains(&format!("row {seq}")) && said.contains("99"), "{said}");
}

#[test]
fn a_sealed_part_that_does_not_open_is_a_difference_of_its_row() {
    let dir = folder();
    let ledger = demo(dir.path());
    let seq = query(&ledger, "SELECT max(seq) FROM record WHERE kind = 11");
    tamper(
        &ledger,
        &unguard(&format!("UPDATE record SET sealed = zeroblob(length(sealed)) WHERE seq = {seq};")),
    );
    let output = run(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", common::stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["differences"][0]["field"], report["differences"][0]["seq"].to_string()),
        (&"sealed".into(), seq)
    );
}

#[test]
fn forgotten_timers_are_found_by_replay() {
    let dir = folder();
    let ledger = demo(dir.path());
    tamper(
        &ledger,
        "UPDATE member_state SET next_due = NULL WHERE rowid = (SELECT min(rowid) FROM member_state)",
    );
    let output = run(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", common::stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["mismatches"], &report["differences"][0]["field"]),
        (&1.into(), &"member_state.next_due".into())
    );
}

#[test]
fn an_auditors_own_key_and_head_are_held_against_the_folder() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (key, head) = (dir.path().join("key.txt"), dir.path().join("head.txt"));
    std::fs::copy(ledger.join("verifier.txt"), &key).unwrap();
    let heads = std::fs::read_to_string(ledger.join("checkpoints.txt")).unwrap();
    std::fs::write(&head, format!("{}\n", heads.split("\n\n\n").next().unwrap())).unwrap();
    let verify = |ledger: &Path| {
        run(&["log", "verify", "--dir", text(ledger), "--key", text(&key), "--head", text(&head)])
    };
    let output = verify(&ledger);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
    // Another ledger, whole in itself, is not the one the auditor knows.
    let other = folder();
    let output = verify(&demo(other.path()));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn an_emptied_checkpoint_file_is_found() {
    let dir = folder();
    let ledger = demo(dir.path());
    std::fs::write(ledger.join("checkpoints.txt"), "").unwrap();
    let output = run(&["log", "verify", "--dir", text(&ledger)]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("missing from the checkpoint file"));
}

#[test]
fn rows_that_an_index_hides_from_questions_are_found_by_verify() {
    let dir = folder();
    let ledger = demo(dir.path());
    tamper(
        &ledger,
        "DELETE FROM recent; INSERT INTO recent SELECT max(seq), zeroblob(16 * max(seq)) FROM record;",
    );
    let output = run(&["log", "verify", "--dir", text(&ledger)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.code() == Some(3) && said.contains("the index of the newest rows differs"),
        "{said}"
    );
}

#[test]
fn keys_that_cannot_be_used_are_no_reason_to_say_nothing_of_the_seal() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = folder();
    let ledger = demo(dir.path());
    let verified = run_json(&["log", "verify", "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(
        (&verified["sealed"], &verified["seal_not_checked"]),
        (&true.into(), &serde_json::Value::Null)
    );
    std::fs::set_permissions(ledger.join("keys.db"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(&["log", "verify", "--dir", text(&ledger)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("the seal over the end of the log was not checked") && said.contains("chmod 600"),
        "{said}"
    );
}

#[test]
fn nobody_is_answered_from_an_edited_row() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (at, out) = (text(&ledger), dir.path().join("out"));
    let seq = query(&ledger, "SELECT max(seq) FROM record WHERE kind = 11 AND outcome = 0 AND seq < 200");
    let member = query(&ledger, &format!("SELECT lower(hex(member)) FROM record WHERE seq = {seq}"));
    let why = ["--dir", at, "--purpose", "a question"];
    let guard = query(&ledger, "SELECT sql FROM sqlite_schema WHERE name = 'record_refuses_update'");
    let edit = format!("UPDATE record SET outcome = 1 WHERE seq = {seq}");
    tamper(&ledger, &format!("DROP TRIGGER record_refuses_update; {edit}; {guard}"));
    for command in [
        &["log", "show", &seq, "--dir", at][..],
        &[&["log", "explain", &seq], &why[..]].concat(),
        &["log", "prove", &seq, "--dir", at],
        &[&["log", "export", "--format", "csv", "--out", text(&out)], &why[..]].concat(),
        &[&["member", "export", &member, "--pseudonym"], &why[..]].concat(),
    ] {
        let said = run(command);
        assert_eq!(said.status.code(), Some(3), "{command:?}: {}", stderr(&said));
        assert!(stderr(&said).contains(&format!("row {seq} is not as it was written")), "{}", stderr(&said));
    }
    assert!(!out.join("manifest.json").exists(), "no export is left");
}

#[test]
fn what_was_asked_for_while_no_node_ran_is_not_undone_by_an_older_copy() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (at, copy) = (text(&ledger), dir.path().join("ledger.db"));
    std::fs::copy(ledger.join("ledger.db"), &copy).unwrap();
    let member = query(&ledger, "SELECT lower(hex(member)) FROM record WHERE kind = 11 LIMIT 1");
    run_json(&[
        "log",
        "hold",
        "add",
        &member,
        "--pseudonym",
        "--reason",
        "court",
        "--dir",
        at,
        "--output",
        "json",
    ]);
    std::fs::copy(&copy, ledger.join("ledger.db")).unwrap();
    let erased = run(&["member", "erase", &member, "--pseudonym", "--purpose", "request 17", "--dir", at]);
    assert_eq!(erased.status.code(), Some(3), "{}", stderr(&erased));
    assert!(stderr(&erased).contains("an older or truncated copy"), "{}", stderr(&erased));
}
