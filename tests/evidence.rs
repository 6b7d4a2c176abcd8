//! One file from which an outsider sees what decisions rest on, and that refuses to be changed.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::path::Path;

use common::office::Office;
use common::{python, query, run, run_json, stderr, text};
use serde_json::Value;

/// Evidence about the last decision of each outcome of a demo.
fn gathered(office: &Office) -> Value {
    let (ledger, file) = (office.ledger(), office.path("evidence.json"));
    let ids = query(&ledger, "SELECT max(seq) FROM record WHERE kind = 11 GROUP BY outcome");
    let ids: Vec<&str> = ids.lines().collect();
    let args = [&["log", "evidence"], &ids[..], &["--dir", text(&ledger), "--out", text(&file)]].concat();
    let written = run(&args);
    assert!(written.status.success(), "{}", stderr(&written));
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap()
}

fn check(office: &Office, evidence: &Value) -> (Option<i32>, String) {
    let file = office.path("given.json");
    std::fs::write(&file, evidence.to_string()).unwrap();
    let key = office.ledger().join("verifier.txt");
    let checked = run(&["log", "check-evidence", text(&file), "--key", text(&key)]);
    (checked.status.code(), String::from_utf8_lossy(&checked.stdout).into_owned() + &stderr(&checked))
}

fn of<'a>(evidence: &'a Value, what: &str) -> &'a Value {
    let items = evidence["items"].as_array().unwrap();
    items.iter().find(|item| item["what"] == what).unwrap_or_else(|| panic!("no {what}"))
}

#[test]
fn an_outsider_with_one_key_sees_what_decisions_rest_on() {
    let office = Office::open();
    let evidence = gathered(&office);
    let (code, said) = check(&office, &evidence);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("its prices are ") && said.contains("verified again"), "{said}");
    let (ledger, file) = (office.ledger(), office.path("evidence.json"));
    let theirs = python(&["evidence", text(&file), "--key", text(&ledger.join("verifier.txt"))]);
    assert!(theirs.status.success(), "{}", stderr(&theirs));
    let members = query(&ledger, "SELECT count(*) FROM record WHERE sealed IS NOT NULL");
    assert_ne!(members, "0");
    // A decision that is not there, a row that is none, a folder that is none.
    let genesis = run(&["log", "evidence", "1", "--dir", text(&ledger)]);
    assert_eq!(genesis.status.code(), Some(2), "{}", stderr(&genesis));
}

#[test]
fn the_report_that_was_approved_can_be_read_again() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let impact = office.assess();
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    office.taken("berta", &["policy", "activate", &digest]);
    let report =
        run_json(&["policy", "report", &digest, "--dir", text(&office.ledger()), "--output", "json"]);
    assert_eq!(report["digest"], impact.as_str(), "the recorded report is what was approved");
    assert_eq!(report["impact"]["to"], digest.as_str());
}

#[test]
fn changed_evidence_is_refused() {
    let office = Office::open();
    let evidence = gathered(&office);
    let swapped = |from: &str, to: &str| {
        let mut changed = evidence.clone();
        let proof = of(&evidence, to)["proof"].clone();
        for item in changed["items"].as_array_mut().unwrap().iter_mut().filter(|item| item["what"] == from) {
            item["proof"] = proof.clone();
        }
        changed
    };
    let without = |what: &str| {
        let mut changed = evidence.clone();
        changed["items"].as_array_mut().unwrap().retain(|item| item["what"] != what);
        changed
    };
    let with = |field: &str, value: Value| {
        let mut changed = evidence.clone();
        changed[field] = value;
        changed
    };
    let called = |what: &str, other: &str| {
        let mut changed = evidence.clone();
        let items = changed["items"].as_array_mut().unwrap();
        items.iter_mut().filter(|item| item["what"] == what).for_each(|item| item["what"] = other.into());
        changed
    };
    // The same rows, proven again after the log has grown: rows of a forked log would look like that.
    let two_heads = || {
        let add = ["log", "hold", "add", "--pseudonym", "--reason", "a request", "--dir"];
        let sql = "SELECT DISTINCT lower(hex(member)) FROM record WHERE kind = 11 LIMIT 2";
        // The second signs the head over the row of the first.
        for member in query(&office.ledger(), sql).lines() {
            let held = run(&[&add[..], &[text(&office.ledger()), member]].concat());
            assert!(held.status.success(), "{}", stderr(&held));
        }
        let mut changed = evidence.clone();
        changed["items"][0] = gathered(&office)["items"][0].clone();
        changed
    };
    let (_, said) = check(&office, &without("policy"));
    assert!(said.contains("is not in the file"), "{said}");
    for (changed, why) in [
        (swapped("policy", "run"), "the proof given for row"),
        (without("decision"), "it is not in the file"),
        (without("run"), "the run that made it is not in the file"),
        (without("models"), "are not in the file"),
        (with("about", serde_json::json!([])), "about no decision"),
        (called("policy", "step"), "is no step"),
        (two_heads(), "under another head"),
        (serde_json::json!({ "v": 2, "about": [], "items": [] }), "form 2 is unknown"),
        (serde_json::json!({ "v": 1, "about": [], "items": [] }), "it holds no rows"),
    ] {
        let (code, said) = check(&office, &changed);
        assert!(code == Some(3) && said.contains(why), "{code:?} {said}");
        let (file, key) = (office.path("given.json"), office.ledger().join("verifier.txt"));
        let theirs = python(&["evidence", text(&file), "--key", text(&key)]);
        assert!(theirs.status.code() == Some(3) || why.contains("form 2"), "{why}: {}", stderr(&theirs));
    }
    let mut flipped = evidence.clone();
    let proof = of(&evidence, "decision")["proof"].as_str().unwrap();
    let extra = proof.lines().nth(1).unwrap();
    let bad = proof.replacen(extra, &(extra[..extra.len() - 8].to_owned() + "AAAAAAA="), 1);
    for item in flipped["items"].as_array_mut().unwrap().iter_mut().filter(|item| item["what"] == "decision")
    {
        item["proof"] = bad.clone().into();
    }
    assert_eq!(check(&office, &flipped).0, Some(3));
    // Somebody else's key.
    let other = Office::open();
    let file = office.path("evidence.json");
    let key = other.ledger().join("verifier.txt");
    let checked = run(&["log", "check-evidence", text(&file), "--key", text(&key)]);
    assert_eq!(checked.status.code(), Some(3), "{}", stderr(&checked));
    assert!(Path::new(&file).exists());
}
