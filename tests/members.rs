//! A member's data: nothing is left after erasing, everything is in an export, and what is held or needed stays.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use common::{
    NatsServer, folder, largesse, purchases, query, refused, run, run_json, stderr, terminate, text,
};
use serde_json::Value;

/// Every one is searched for in every byte.
const RAW: &str = "canary-anna.miller@example.com";
const EVENT: &str = "canary-till-4711-anna";
const SOURCE: &str = "canary-store-elm-street";
const BASKET: &str = "canary-basket-insulin";
/// An amount no other member paid.
const AMOUNT: &str = "73.41";
const AMOUNT_MICROS: &str = "73410000";

fn event(member: &str, id: &str, amount: &str) -> String {
    let now = runtime::clock::wall();
    format!(
        r#"{{"schema":1,"event_id":"{id}","member":"{member}","type":"purchase","event_time":"{now}",
        "source":"{SOURCE}","touchpoint":"pos","data":{{"amount":"{amount}","basket":"{BASKET}"}}}}"#,
    )
}

fn start(config: &Path, log: &Path) -> Child {
    largesse()
        .args(["--log-level", "debug", "serve", "--config", text(config)])
        .stdout(Stdio::null())
        .stderr(std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap())
        .spawn()
        .unwrap()
}

async fn publish(server: &NatsServer, events: impl IntoIterator<Item = String>) {
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    for event in events {
        context.publish("largesse.v1.event.till", event.into()).await.unwrap().await.unwrap();
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn rows(ledger: &Path, kinds: &str) -> u64 {
    if !ledger.join("verifier.txt").exists() {
        return 0;
    }
    query(ledger, &format!("SELECT count(*) FROM record WHERE kind IN ({kinds})")).parse().unwrap_or(0)
}

fn verified(ledger: &Path) {
    let report = run_json(&["log", "verify", "--dir", text(ledger), "--output", "json"]);
    assert_eq!(report["verified"], true, "{report}");
}

fn replayed(ledger: &Path) -> Value {
    let report = run_json(&["replay", "--dir", text(ledger), "--all", "--output", "json"]);
    assert_eq!(report["mismatches"], 0, "{report}");
    report
}

/// Every file below a folder.
fn files(below: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(below).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// Files below a folder that hold these bytes.
fn holding(below: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    files(below, &mut all);
    let holds =
        |path: &PathBuf| std::fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    all.into_iter().filter(holds).collect()
}

/// One column of keys.db as bytes.
fn of_keys(ledger: &Path, sql: &str) -> Vec<u8> {
    let script =
        "import sqlite3,sys\nprint(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0].hex())";
    let output = std::process::Command::new("python3")
        .args(["-c", script, text(&ledger.join("keys.db")), sql])
        .output()
        .unwrap();
    let hex = String::from_utf8(output.stdout).unwrap();
    let digits = hex.trim().as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A node that took events of the canary member and of others, and was stopped.
struct Program {
    server: NatsServer,
    dir: tempfile::TempDir,
}

impl Program {
    async fn ran() -> Program {
        let program = Program { server: NatsServer::start(), dir: folder() };
        let config = format!("[node]\ndir = \"ledger\"\n[nats]\nurl = \"{}\"\n", program.server.url());
        std::fs::write(program.path("largesse.toml"), config).unwrap();
        let mut node = program.start();
        eventually("the ledger", || rows(&program.ledger(), "2") == 1);
        let mine = (0..6).map(|at| event(RAW, &format!("{EVENT}-{at}"), AMOUNT));
        let others = (0..120).map(|at| event(&format!("other-{}", at % 30), &format!("o-{at}"), "55.00"));
        publish(&program.server, mine.chain(others)).await;
        // A repeated id and a text that is no event, both with the identifier: dead letters.
        let broken = format!("{{\"member\":\"{RAW}\",\"type\":\"purchase\",\"amount\":");
        publish(&program.server, [event(RAW, &format!("{EVENT}-0"), AMOUNT), broken]).await;
        eventually("every row", || rows(&program.ledger(), "10,11,12") >= 128);
        // The node has the ledger: erasing says what to do.
        program.erase_refused(4, "stop it with SIGTERM");
        assert_eq!(terminate(&mut node), Some(0));
        program
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.path("ledger")
    }

    fn start(&self) -> Child {
        start(&self.path("largesse.toml"), &self.path("node.log"))
    }

    fn pseudonym(&self) -> String {
        query(&self.ledger(), &format!("SELECT lower(hex(member)) FROM record WHERE event_id = '{EVENT}-0'"))
    }

    fn erase_refused(&self, code: i32, says: &str) {
        refused(
            &["member", "erase", RAW, "--dir", text(&self.ledger()), "--purpose", "request 17"],
            code,
            says,
        );
    }

    fn erase(&self) -> Value {
        let (ledger, url) = (self.ledger(), self.server.url());
        let args = ["member", "erase", RAW, "--dir", text(&ledger), "--purpose", "request 17"];
        run_json(&[&args[..], &["--nats", &url, "--output", "json"]].concat())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_erasing_no_file_holds_a_byte_of_the_member() {
    let program = Program::ran().await;
    let (ledger, pseudonym) = (program.ledger(), program.pseudonym());
    let of_member = format!("SELECT wrapped FROM member_key WHERE lower(hex(member)) = '{pseudonym}'");
    let wrapped = of_keys(&ledger, &of_member);
    let identity = of_keys(&ledger, &of_member.replace("wrapped", "identity"));
    let of_name = format!("SELECT handle FROM member_name WHERE lower(hex(member)) = '{pseudonym}'");
    let handle = of_keys(&ledger, &of_name);
    // The search finds what is there: the event ids in the ledger, the key in keys.db, all of it on the server.
    assert!(!holding(&ledger, EVENT.as_bytes()).is_empty() && !holding(&ledger, &wrapped).is_empty());
    for canary in [RAW, EVENT, SOURCE, BASKET, AMOUNT] {
        assert!(!holding(program.server.store(), canary.as_bytes()).is_empty(), "{canary}");
    }
    let (head, proof) = (program.path("head"), program.path("row.tlog-proof"));
    let id = query(&ledger, &format!("SELECT seq FROM record WHERE event_id = '{EVENT}-0'"));
    run_json(&["log", "prove", &id, "--dir", text(&ledger), "--out", text(&proof), "--output", "json"]);
    let checkpoints = std::fs::read_to_string(ledger.join("checkpoints.txt")).unwrap();
    std::fs::write(&head, format!("{}\n", checkpoints.split_terminator("\n\n\n").last().unwrap())).unwrap();

    let (plain, with_ids) = (program.path("plain"), program.path("with-ids"));
    let export = |out: &Path, form: &str, more: &[&str]| {
        let args = ["log", "export", "--dir", text(&ledger), "--format", form, "--purpose", "a test"];
        run_json(&[&args[..], &["--out", text(out), "--output", "json"], more].concat())["row"].clone()
    };
    export(&plain, "jsonl", &[]);
    let row = export(&with_ids, "csv", &["--event-ids"]);
    assert!(holding(&plain, EVENT.as_bytes()).is_empty() && !holding(&with_ids, EVENT.as_bytes()).is_empty());
    assert!(!holding(&plain, pseudonym.as_bytes()).is_empty(), "the member's rows are in it");

    let erased = program.erase();
    assert_eq!(erased["member"], pseudonym.as_str());
    // What was handed out with event ids is named, for nobody but who has the files can destroy them.
    assert_eq!(erased["exports_handed_out"], Value::from(vec![row]));
    std::fs::remove_dir_all(&with_ids).unwrap();
    assert_eq!(
        (&erased["rows_emptied"], &erased["dead_letters_emptied"]),
        (&6.into(), &2.into()),
        "{erased}"
    );
    assert_eq!(erased["nats"]["events_deleted"], 8, "{erased}");
    // The old proof holds; it says what the row was, so it is not among what is searched.
    let key = ledger.join("verifier.txt");
    assert!(run(&["log", "check-proof", text(&proof), "--key", text(&key)]).status.success());
    std::fs::remove_file(&proof).unwrap();

    let mut everywhere: Vec<(&str, &[u8])> =
        vec![("wrapped key", &wrapped), ("identity", &identity), ("handle", &handle)];
    for canary in [RAW, EVENT, AMOUNT_MICROS, AMOUNT] {
        everywhere.push((canary, canary.as_bytes()));
    }
    for (what, bytes) in everywhere {
        assert_eq!(
            holding(program.dir.path(), bytes),
            Vec::<PathBuf>::new(),
            "{what} in the folder, its logs or keys"
        );
    }
    // Other members' events carry the store and basket, too: in the ledger they are sealed, on the server they are theirs.
    for canary in [SOURCE, BASKET] {
        assert_eq!(holding(program.dir.path(), canary.as_bytes()), Vec::<PathBuf>::new(), "{canary}");
    }
    for canary in [RAW, EVENT, AMOUNT] {
        assert_eq!(
            holding(program.server.store(), canary.as_bytes()),
            Vec::<PathBuf>::new(),
            "{canary} on the server"
        );
    }
    let verified =
        run_json(&["log", "verify", "--dir", text(&ledger), "--head", text(&head), "--output", "json"]);
    assert_eq!(verified["verified"], true, "{verified}");
    let report = replayed(&ledger);
    assert_eq!(report["erased"], 6, "{report}");
    assert!(report["decisions"].as_u64().unwrap() > 0, "{report}");
    let shown = run_json(&["log", "show", &id, "--dir", text(&ledger)]);
    assert_eq!((&shown["personal"], &shown["event_id"]), (&"erased".into(), &Value::Null), "{shown}");
    refused(
        &["log", "explain", &id, "--purpose", "a test", "--dir", text(&ledger)],
        3,
        "its member was erased",
    );
    refused(
        &["log", "prove", &id, "--dir", text(&ledger), "--out", text(&proof)],
        3,
        "older proofs of it hold",
    );
    program.erase_refused(2, "no member of this ledger has this identifier");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_who_comes_back_is_a_stranger() {
    let program = Program::ran().await;
    let (ledger, before) = (program.ledger(), program.pseudonym());
    program.erase();
    let mut node = program.start();
    eventually("the restart", || rows(&ledger, "2") == 2);
    publish(&program.server, [event(RAW, "back-1", "20.00"), event("other-3", "back-2", "20.00")]).await;
    let of =
        |id: &str| query(&ledger, &format!("SELECT lower(hex(member)) FROM record WHERE event_id = '{id}'"));
    eventually("both events", || !of("back-1").is_empty() && !of("back-2").is_empty());
    assert_eq!(terminate(&mut node), Some(0));
    assert_ne!(of("back-1"), before, "linked to what was erased");
    assert_eq!(of("back-2"), of("o-3"), "another member stays who they were");
    let mine = run_json(&[
        "member",
        "export",
        RAW,
        "--dir",
        text(&ledger),
        "--purpose",
        "request",
        "--output",
        "json",
    ]);
    assert_eq!(mine["rows"].as_array().unwrap().len(), 1, "only what came after: {mine}");
    assert_eq!(replayed(&ledger)["erased"], 6);
    verified(&ledger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_of_known_members_refuses_who_was_erased() {
    let program = Program { server: NatsServer::start(), dir: folder() };
    let (ledger, policy) = (program.ledger(), program.path("policy"));
    common::office::copy(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/bundles/grocery")),
        &policy,
    );
    let written = std::fs::read_to_string(policy.join("program.toml")).unwrap();
    let known = written.replace("members = \"enrol\"", "members = \"known\"");
    assert_ne!(known, written);
    std::fs::write(policy.join("program.toml"), known).unwrap();
    let config = format!(
        "[node]\ndir = \"ledger\"\npolicy = \"policy\"\n[nats]\nurl = \"{}\"\n",
        program.server.url()
    );
    std::fs::write(program.path("largesse.toml"), config).unwrap();
    let mut node = program.start();
    eventually("the ledger", || rows(&ledger, "2") == 1);
    let enrolled = |id: &str| {
        event(RAW, id, AMOUNT)
            .replace("purchase", "enrolled")
            .replace(&format!(r#""amount":"{AMOUNT}","#), "")
    };
    publish(&program.server, [enrolled("e-1"), event(RAW, &format!("{EVENT}-0"), AMOUNT)]).await;
    eventually("both rows", || rows(&ledger, "10,11") == 2);
    assert_eq!(terminate(&mut node), Some(0));
    let before = program.pseudonym();
    program.erase();
    let mut node = program.start();
    eventually("the restart", || rows(&ledger, "2") == 2);
    publish(&program.server, [event(RAW, "late-1", AMOUNT)]).await;
    eventually("the refusal", || rows(&ledger, "12") == 1);
    assert_eq!(rows(&ledger, "10,11"), 2, "it was taken for the erased member's");
    publish(&program.server, [enrolled("e-2"), event(RAW, "late-2", AMOUNT)]).await;
    eventually("the new member", || rows(&ledger, "10,11") == 4);
    assert_eq!(terminate(&mut node), Some(0));
    let reason = query(
        &ledger,
        "SELECT name FROM code, record WHERE field = 'reason' AND number = reason AND kind = 12",
    );
    assert_eq!(reason, "UNKNOWN_MEMBER");
    let again = query(&ledger, "SELECT lower(hex(member)) FROM record WHERE event_id = 'late-2'");
    assert!(!again.is_empty() && again != before);
    // Asked for by the old pseudonym, it was erased.
    let of = ["--pseudonym", "--dir", text(&ledger), "--purpose", "request"];
    refused(&[&["member", "export", &before], &of[..]].concat(), 3, "was erased");
    refused(&[&["member", "erase", &before], &of[..]].concat(), 3, "was erased");
}

#[test]
fn an_export_holds_every_row_with_its_reasons_and_is_itself_recorded() {
    let dir = folder();
    let ledger = demo(dir.path());
    let member = "x7";
    let out = dir.path().join("x7.json");
    let args = ["member", "export", member, "--dir", text(&ledger), "--purpose", "Art. 15, request 4"];
    let said = run_json(&[&args[..], &["--out", text(&out), "--output", "json"]].concat());
    let export: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let words = std::fs::read_to_string(dir.path().join("x7.json.txt")).unwrap();
    let pseudonym = export["member"].as_str().unwrap();
    assert_eq!(export["identifier"], member);
    let listed =
        format!("SELECT count(*) FROM record WHERE lower(hex(member)) = '{pseudonym}' AND kind < 40");
    let rows = export["rows"].as_array().unwrap();
    assert_eq!(rows.len().to_string(), query(&ledger, &listed));
    for row in rows {
        assert!(row["personal"]["event"].is_object(), "opened: {row}");
        if row["kind"] == "decision" {
            assert!(!row["explanation"]["text"].as_str().unwrap().is_empty(), "{row}");
            assert!(words.contains(row["explanation"]["text"].as_str().unwrap()));
        }
    }
    let rules = export["policies"].as_object().unwrap().values().next().unwrap()["rules"].as_array().unwrap();
    assert!(rules.len() > 5 && rules.iter().all(|rule| words.contains(rule["id"].as_str().unwrap())));
    // Recorded, with the digest of what was handed out.
    let recorded = query(&ledger, &format!("SELECT kind, body FROM record WHERE seq = {}", said["row"]));
    let digest = domain::Digest::of(&std::fs::read(&out).unwrap()).to_string();
    assert!(
        recorded.starts_with("41|") && recorded.contains("request 4") && recorded.contains(&digest),
        "{recorded}"
    );
    refused(&[&args[..], &["--out", text(&out)]].concat(), 1, "cannot write");
    let by_pseudonym =
        ["member", "export", pseudonym, "--pseudonym", "--dir", text(&ledger), "--purpose", "call"];
    assert!(run(&by_pseudonym).status.success());
    assert_eq!(
        query(&ledger, "SELECT count(*) FROM record WHERE kind = 42"),
        "1",
        "the unmasking is recorded"
    );
    refused(&[&args[..6], &["  "]].concat(), 2, "--purpose says nothing");
    verified(&ledger);
    assert_eq!(replayed(&ledger)["erased"], 0);
}

#[test]
fn retention_prunes_what_is_old_and_every_command_says_so() {
    let dir = folder();
    let ledger = demo(dir.path());
    let at = text(&ledger).to_owned();
    let log = |args: &[&str]| run_json(&[&["log"], args, &["--dir", &at, "--output", "json"]].concat());
    let (decision, total) = (
        query(&ledger, "SELECT seq FROM record WHERE kind = 11 ORDER BY outcome = 1 DESC, seq DESC LIMIT 1"),
        query(&ledger, "SELECT count(*) FROM record WHERE sealed IS NOT NULL"),
    );
    let before = replayed(&ledger);
    log(&["hold", "add", "--everything", "--reason", "audit"]);
    refused(&["log", "retention", "--sealed-days", "0", "--dir", &at], 3, "under a legal hold");
    log(&["hold", "release", "--everything", "--reason", "audit over"]);
    log(&["hold", "add", "x7", "--reason", "case 9"]);
    refused(&["log", "hold", "add", "x7", "--reason", "again", "--dir", &at], 2, "under a hold already");
    refused(&["member", "erase", "x7", "--purpose", "request", "--dir", &at], 3, "under a legal hold");
    let dry = log(&["retention", "--sealed-days", "0", "--dry-run"]);
    let done = log(&["retention", "--sealed-days", "0"]);
    assert!(dry["sealed"].as_u64().unwrap() <= done["sealed"].as_u64().unwrap(), "{dry} {done}");
    let (pruned, kept) = (done["sealed"].as_u64().unwrap(), &done["kept"]);
    let stays: u64 = kept.as_object().unwrap().values().map(|rows| rows.as_u64().unwrap()).sum();
    assert_eq!(
        pruned + stays,
        total.parse::<u64>().unwrap() + kept["present_run"].as_u64().unwrap_or(0),
        "{done}"
    );
    assert!(pruned > 0 && kept["legal_hold"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(kept["after_stored_state"], Value::Null, "states were written first: {done}");
    assert_eq!(run_json(&["log", "show", &decision, "--dir", &at])["personal"], "pruned");
    refused(&["log", "explain", &decision, "--purpose", "a test", "--dir", &at], 3, "pruned by retention");
    let report = replayed(&ledger);
    assert_eq!(report["erased"], 0);
    assert!(report["pruned"].as_u64().unwrap() >= pruned, "{report}");
    assert!(
        before["pruned"] == 0 && report["decisions"].as_u64().unwrap() > 0,
        "the held member's: {report}"
    );
    verified(&ledger);
    let done = log(&["retention", "--sealed-days", "0", "--body-days", "0"]);
    assert_eq!(done["sealed"], 0, "{done}");
    assert_eq!(run_json(&["log", "show", &decision, "--dir", &at])["public"], "pruned");
    refused(&["log", "prove", &decision, "--dir", &at], 3, "older proofs of it hold");
    replayed(&ledger);
    let compacted = log(&["compact"]);
    assert!(compacted["bytes"].as_u64() < compacted["bytes_before"].as_u64(), "{compacted}");
    verified(&ledger);
    let output = run(&["log", "hold", "list", "--dir", &at]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("case 9"), "{}", stderr(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_goes_on_with_members_whose_rows_were_pruned() {
    let program = Program::ran().await;
    let (ledger, pseudonym) = (program.ledger(), program.pseudonym());
    run_json(&[
        "log",
        "retention",
        "--sealed-days",
        "0",
        "--body-days",
        "0",
        "--dir",
        text(&ledger),
        "--output",
        "json",
    ]);
    let mut node = program.start();
    eventually("the restart", || rows(&ledger, "2") == 2);
    publish(&program.server, [event(RAW, "later-1", AMOUNT)]).await;
    let of = || query(&ledger, "SELECT lower(hex(member)) FROM record WHERE event_id = 'later-1'");
    eventually("the event", || !of().is_empty());
    assert_eq!(terminate(&mut node), Some(0));
    assert_eq!(of(), pseudonym);
    verified(&ledger);
    replayed(&ledger);
    // Without the stored state nobody knows what was promised: the member is not decided about.
    common::tamper(&ledger, "DELETE FROM member_state");
    let mut node = program.start();
    eventually("the restart", || rows(&ledger, "2") == 3);
    publish(&program.server, [event(RAW, "later-2", AMOUNT)]).await;
    let poisoned = "SELECT count(*) FROM record WHERE kind = 12 AND event_id = 'later-2'";
    eventually("the quarantine", || query(&ledger, poisoned) == "1");
    assert_eq!(terminate(&mut node), Some(0));
}

/// A small finished demo.
fn demo(dir: &Path) -> PathBuf {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, 40);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}
