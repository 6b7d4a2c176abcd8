//! Backups beside a running node, put back, and on a disk that is too small.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{folder, largesse, on_small_disk, purchases, refused, run, run_json, stderr, terminate, text};

/// A small finished demo.
fn demo(dir: &Path) -> PathBuf {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, 40);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}

fn verified(ledger: &Path) -> serde_json::Value {
    let report = run_json(&["log", "verify", "--dir", text(ledger), "--output", "json"]);
    assert_eq!(report["verified"], true, "{report}");
    report
}

#[test]
fn a_backup_beside_a_running_node_is_put_back_with_its_keys_and_replays() {
    let dir = folder();
    let ledger = demo(dir.path());
    let config = dir.path().join("largesse.toml");
    std::fs::write(&config, "[node]\ndir = \"ledger\"\nclock = \"events\"\n").unwrap();
    let mut node = largesse()
        .args(["serve", "--config", text(&config)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let starts = || common::query(&ledger, "SELECT count(*) FROM record WHERE kind = 2");
    let deadline = Instant::now() + Duration::from_secs(60);
    while starts() != "2" {
        assert!(Instant::now() < deadline, "the node did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (copy, keys, to) = (dir.path().join("copy"), dir.path().join("keys"), dir.path().join("restored"));
    let copied = run_json(&[
        "log",
        "backup",
        text(&copy),
        "--dir",
        text(&ledger),
        "--keys-to",
        text(&keys),
        "--output",
        "json",
    ]);
    assert_eq!(copied["files"], serde_json::json!(["checkpoints.txt", "ledger.db", "verifier.txt"]));
    assert_eq!(terminate(&mut node), Some(0));
    let master = ledger.join("master.key");
    let restored = run_json(&[
        "log",
        "restore",
        text(&copy),
        "--dir",
        text(&to),
        "--keys",
        text(&keys),
        "--master-key",
        text(&master),
        "--output",
        "json",
    ]);
    assert_eq!((&restored["rows"], &restored["root"]), (&copied["rows"], &copied["root"]));
    assert_eq!(verified(&to)["root"], copied["root"]);
    let replayed = run_json(&["replay", "--dir", text(&to), "--all", "--output", "json"]);
    assert_eq!(replayed["mismatches"], 0, "{replayed}");
}

#[test]
fn a_restore_says_what_is_missing_and_what_is_in_the_way() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (copy, to) = (dir.path().join("copy"), dir.path().join("restored"));
    let backup = ["log", "backup", text(&copy), "--dir", text(&ledger)];
    assert!(run(&backup).status.success());
    refused(&backup, 2, "already holds a ledger");
    let inside = to.join("keys");
    refused(
        &["log", "backup", text(&to), "--dir", text(&ledger), "--keys-to", text(&inside)],
        2,
        "where keys never are",
    );
    refused(&["log", "restore", text(&copy), "--dir", text(&ledger)], 2, "already holds a ledger");
    let restored = run(&["log", "restore", text(&copy), "--dir", text(&to)]);
    assert!(
        restored.status.success() && stderr(&restored).contains("no node starts on it"),
        "{}",
        stderr(&restored)
    );
    verified(&to);
    std::fs::remove_file(to.join("ledger.db")).unwrap();
    // Two rows later; the second start signs a head over the first.
    for step in ["add", "release"] {
        let held = ["log", "hold", step, "--everything", "--reason", "later", "--dir", text(&ledger)];
        assert!(run(&held).status.success());
    }
    std::fs::copy(ledger.join("checkpoints.txt"), to.join("checkpoints.txt")).unwrap();
    refused(&["log", "restore", text(&copy), "--dir", text(&to)], 3, "older than checkpoints.txt");
    assert!(!to.join("ledger.db").exists());
}

#[test]
fn a_full_disk_leaves_no_backup() {
    let dir = folder();
    let ledger = demo(dir.path());
    let small = dir.path().join("small");
    let copy = small.join("copy");
    let output = on_small_disk(256, &small, &["log", "backup", text(&copy), "--dir", text(&ledger)]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.trim_end().ends_with("no storage space"), "and nothing else is there: {said}");
}

#[test]
fn a_ledger_on_a_full_disk_refuses_the_row_and_stays_whole() {
    let dir = folder();
    let ledger = demo(dir.path());
    let small = dir.path().join("small");
    let kilobytes = std::fs::metadata(ledger.join("ledger.db")).unwrap().len() / 1024 + 400;
    let there = small.join("ledger");
    // The ledger is moved onto the small disk, which is then filled, used, freed and used again.
    let script = format!(
        "set -e; mount -t tmpfs -o size={kilobytes}k tmpfs {small}; cp -r {ledger} {there}
         cat /dev/zero > {small}/fill 2>/dev/null || true
         {largesse} log hold add --everything --reason full --dir {there} && exit 90 || true
         rm {small}/fill
         {largesse} log verify --dir {there}
         {largesse} log hold add --everything --reason later --dir {there}
         {largesse} log verify --dir {there}",
        small = text(&small),
        ledger = text(&ledger),
        there = text(&there),
        largesse = env!("CARGO_BIN_EXE_largesse"),
    );
    std::fs::create_dir(&small).unwrap();
    let output = std::process::Command::new("unshare")
        .args(["--mount", "--map-root-user", "bash", "-c", &script])
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert!(output.status.success(), "{said}");
    assert!(said.contains("no space is left") || said.contains("No space left"), "{said}");
    assert_eq!(said.matches(": verified").count(), 2, "{said}");
}

#[test]
fn a_backup_may_have_a_bare_name() {
    let dir = folder();
    let ledger = demo(dir.path());
    let copied = largesse()
        .current_dir(dir.path())
        .args(["log", "backup", "copy.db", "--dir", text(&ledger)])
        .output()
        .unwrap();
    assert!(copied.status.success(), "{}", stderr(&copied));
    assert!(dir.path().join("copy.db").exists());
}
