//! Exit codes and words of the commands, as scripts and people meet them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use common::{folder, largesse, purchases, query, refused, run, run_json, stderr, terminate, text};

/// A small finished demo.
fn demo(dir: &Path) -> PathBuf {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, 20);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}

/// The exit code of a command whose reader has gone before it wrote anything.
fn unread(args: &[&str]) -> Option<i32> {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    largesse().args(args).stdout(writer).stderr(Stdio::null()).status().unwrap().code()
}

#[test]
fn a_reader_who_leaves_changes_no_verdict() {
    let dir = folder();
    let ledger = demo(dir.path());
    let (ledger, empty) = (text(&ledger), dir.path().join("empty"));
    std::fs::create_dir(&empty).unwrap();
    assert_eq!(unread(&["doctor", "--policy", text(&empty)]), Some(3));
    for output in ["table", "json", "jsonl", "csv"] {
        assert_eq!(unread(&["log", "list", "--dir", ledger, "--output", output]), Some(0));
    }
    // A head that cannot be read vouches for no row.
    std::fs::write(dir.path().join("ledger/checkpoints.txt"), "garbage\n\n\n").unwrap();
    for output in ["table", "json"] {
        assert_eq!(unread(&["log", "verify", "--dir", ledger, "--output", output]), Some(3));
        assert_eq!(unread(&["log", "list", "--dir", ledger, "--output", output]), Some(3));
    }
    assert_eq!(unread(&["completions", "bash"]), Some(0));
    assert_eq!(unread(&["log", "show", "--dir", ledger, "nothing"]), Some(2));
}

#[test]
fn keys_that_cannot_be_used_are_an_unavailable_dependency_everywhere() {
    let dir = folder();
    let ledger = demo(dir.path());
    let config = dir.path().join("largesse.toml");
    std::fs::write(&config, "[node]\ndir = \"ledger\"\nclock = \"events\"\n").unwrap();
    let decision = query(&ledger, "SELECT min(seq) FROM record WHERE kind = 11");
    let everywhere = |what: &str| {
        for args in [
            &["log", "show", "--dir", text(&ledger), "1", "--purpose", "a test"][..],
            &["log", "explain", "--dir", text(&ledger), &decision, "--purpose", "a test"],
            &["replay", "--dir", text(&ledger), "--all"],
            &["serve", "--config", text(&config)],
        ] {
            refused(args, 4, what);
        }
        let output = run(&["doctor", "--dir", text(&ledger)]);
        assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains(what));
    };
    let (master, keys) = (ledger.join("master.key"), ledger.join("keys.db"));
    let (own_master, own_keys) = (std::fs::read(&master).unwrap(), std::fs::read(&keys).unwrap());
    let put = |path: &Path, contents: &[u8]| {
        let _absent = std::fs::remove_file(path);
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(path);
        std::io::Write::write_all(&mut file.unwrap(), contents).unwrap();
    };
    std::fs::remove_file(&master).unwrap();
    everywhere("master.key is missing");
    put(&master, "0".repeat(64).as_bytes());
    everywhere("does not belong to this ledger");
    put(&master, &own_master);
    std::fs::remove_file(&keys).unwrap();
    everywhere("keys.db is missing");
    put(&keys, b"not a database, not at all, but long enough to look");
    everywhere("keys.db");
    put(&keys, &own_keys);
    run_json(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
}

#[test]
fn proof_files_that_cannot_be_read_are_found_bad_and_named_once() {
    let dir = folder();
    let ledger = demo(dir.path());
    let verify = ["log", "verify", "--dir", text(&ledger)];
    std::fs::write(ledger.join("checkpoints.txt"), b"\xff\xfe garbage").unwrap();
    refused(&verify, 3, "checkpoints.txt");
    std::fs::write(ledger.join("checkpoints.txt"), "garbage\n\n\n").unwrap();
    assert_eq!(run(&verify).status.code(), Some(3));
    std::fs::remove_file(ledger.join("verifier.txt")).unwrap();
    let said = stderr(&run(&verify));
    refused(&verify, 3, "verifier.txt");
    assert_eq!(said.matches("os error 2").count(), 1, "{said}");
}

#[test]
fn a_list_without_a_row_says_so() {
    let dir = folder();
    let ledger = demo(dir.path());
    for filter in ["--segment", "--reward"] {
        let output = run(&["log", "list", "--dir", text(&ledger), filter, "nope", "--output", "json"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stderr(&output).contains("no row matches") && stderr(&output).contains("policy"));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "[]");
    }
    let all = run(&["log", "list", "--dir", text(&ledger), "--limit", "100000"]);
    assert_eq!(stderr(&all), "");
}

#[test]
fn a_list_that_ended_early_says_how_it_goes_on() {
    let dir = folder();
    let ledger = demo(dir.path());
    // The one outcome of which every demo has many rows, however fast its host was.
    let asked = ["log", "list", "--dir", text(&ledger), "--outcome", "suppressed"];
    let said = stderr(&run(&[&asked[..], &["--limit", "5"]].concat()));
    let last = said.trim_end().strip_prefix("5 rows, there may be more: --from ").expect(&said);
    let last = last.strip_suffix(" goes on").unwrap();
    let seqs = |args: &[&str]| -> Vec<u64> {
        let rows = run_json(&[&asked[..], &["--output", "json"], args].concat());
        rows.as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect()
    };
    let (first, second) = (seqs(&["--limit", "5"]), seqs(&["--limit", "5", "--from", last]));
    assert_eq!(first.last().unwrap().to_string(), last);
    assert_eq!([first, second].concat(), seqs(&["--limit", "10"]));
}

#[test]
fn a_replay_of_some_rows_does_not_claim_more() {
    let dir = folder();
    let ledger = demo(dir.path());
    let shown = |scope: &[&str]| {
        let output = run(&[&["replay", "--dir", text(&ledger)], scope].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let (some, all) = (shown(&["--range", "1..200"]), shown(&["--all"]));
    assert!(some.contains("demand answers are checked with --all only"), "{some}");
    assert!(all.contains("demand answers and") && !all.contains("--all only"), "{all}");
}

#[test]
fn files_that_cannot_be_written_are_named() {
    let dir = folder();
    let events = dir.path().join("events.csv");
    purchases(&events, 5);
    let features = ["model", "features", "--events", text(&events), "--as-of", "2019-03-01"];
    refused(&[&features[..], &["--out", "/nowhere/table.csv"]].concat(), 1, "/nowhere/table.csv");
    refused(&["man", "--dir", text(&events)], 1, "events.csv");
}

#[test]
fn a_node_says_at_its_end_what_it_did() {
    let dir = folder();
    let config = dir.path().join("largesse.toml");
    std::fs::write(&config, "").unwrap();
    let mut node =
        largesse().args(["serve", "--config", text(&config)]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(node.stderr.take().unwrap());
    let mut line = String::new();
    while line != "ready\n" {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "the node ended on its own");
    }
    assert_eq!(terminate(&mut node), Some(0));
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    for part in ["0 events received", "0 dead letters", "0 duplicates", "0 granted", "0 rewards published"] {
        assert!(rest.contains(part), "{part:?} is missing from {rest}");
    }
}

#[test]
fn serve_runs_the_engine_that_doctor_checks() {
    let dir = folder();
    let (config, library) = (dir.path().join("largesse.toml"), dir.path().join("libonnxruntime.so"));
    std::fs::write(&config, "").unwrap();
    std::fs::write(&library, b"garbage").unwrap();
    for command in ["serve", "doctor"] {
        let mut by_variable = largesse();
        by_variable.args([command, "--config", text(&config)]).env("ORT_DYLIB_PATH", &library);
        let mut by_option = largesse();
        by_option.args([command, "--config", text(&config), "--onnxruntime", text(&library)]);
        for chosen in [&mut by_variable, &mut by_option] {
            let output = chosen.output().unwrap();
            assert_eq!(output.status.code(), Some(4), "{command}: {}", stderr(&output));
        }
    }
    assert!(!dir.path().join("largesse-data").exists(), "a refused start made a ledger");
}
