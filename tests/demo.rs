//! The demo as its user meets it, on other households than the shipped ones.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use common::{HEADER, folder, largesse, purchases, query, refused, run, run_json, stderr, terminate, text};

#[test]
fn the_demo_decides_verifies_and_replays_other_households() {
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    let count = purchases(&events, 60);
    let summary = run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(summary["events"], count);
    assert_eq!(summary["dead_letters"], 0);
    assert_eq!(summary["overspend"], 0);
    assert_eq!(summary["ledger"]["verified"], true);
    assert_eq!(summary["replay"]["mismatches"], 0);
    assert_eq!(summary["replay"]["decisions"], summary["decisions"]);
    let decisions = summary["decisions"].as_u64().unwrap();
    assert!(decisions > 0);
    let outcomes = summary["outcomes"].as_object().unwrap();
    let expected = ["control", "denied", "fallback", "granted", "none", "pending", "suppressed"];
    assert_eq!(outcomes.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert_eq!(outcomes.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), decisions);
    assert!(outcomes["granted"].as_u64().unwrap() > 0, "{summary}");
    for budget in summary["budgets"].as_array().unwrap() {
        let amount = |key: &str| budget[key].as_i64().unwrap();
        assert!(amount("committed_micros") + amount("reserved_micros") <= amount("limit_micros"), "{budget}");
    }
    for key in ["negotiations", "certified_share", "max_gap_ppm", "throughput_per_s", "engine"] {
        assert!(!summary[key].is_null(), "{key} is missing");
    }
    assert!(summary["latency_us"]["p50"].is_u64() && summary["latency_us"]["p99"].is_u64());
}

#[test]
fn bad_lines_become_dead_letters_and_nothing_else_is_lost() {
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    let count = purchases(&events, 20);
    let mut file = std::fs::read(&events).unwrap();
    let bad: [&[u8]; 7] = [
        b"x1,2019-05-01T10:00:00,1,bad-amount,lots,5,2,0,0,0,0,0\n",
        b"x1,2019-05-01T10:00:00,1,negative,-4.00,5,2,0,0,0,0,0\n",
        b"x1,2019-05-01T10:00:00,1,absurd,99999999999.00,5,2,0,0,0,0,0\n",
        b"x1,1919-05-01T10:00:00,1,ancient,4.00,5,2,0,0,0,0,0\n",
        b"x1,2919-05-01T10:00:00,1,future,4.00,5,2,0,0,0,0,0\n",
        b"x1,2019-05-01T10:00:00,1,\xff\xfe,4.00,5,2,0,0,0,0,0\n",
        b"short,line\n",
    ];
    file.extend(bad.concat());
    let first = std::str::from_utf8(&file).err().map(|_| ()).is_some();
    assert!(first, "the file holds a line that is not UTF-8");
    // The same basket twice: the first stands.
    file.extend(b"x0,2019-05-02T10:00:00,1,00000,30.50,5,2,0,0,0,0,0\n");
    std::fs::write(&events, file).unwrap();
    let summary = run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(summary["events"], count + 8);
    assert_eq!(summary["dead_letters"], 8, "{summary}");
    let list =
        run_json(&["log", "list", "--dir", text(&ledger), "--kind", "dead_letter", "--output", "json"]);
    let reasons: Vec<&str> =
        list.as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap()).collect();
    for reason in ["AMOUNT_OUT_OF_RANGE", "TIME_TOO_OLD", "TIME_IN_FUTURE", "BAD_FIELD", "DUPLICATE_EVENT"] {
        assert!(reasons.contains(&reason), "{reason} is missing from {reasons:?}");
    }
}

#[test]
fn files_and_folders_that_cannot_be_used_are_named_with_what_to_do() {
    let dir = folder();
    let ledger = dir.path().join("ledger");
    refused(&["demo", "--events", "/nowhere/file.csv", "--dir", text(&ledger)], 2, "/nowhere/file.csv");
    let events = dir.path().join("events.csv");
    std::fs::write(&events, "a,b,c\n1,2,3\n").unwrap();
    refused(&["demo", "--events", text(&events), "--dir", text(&ledger)], 2, "household_id");
    std::fs::write(&events, format!("{HEADER}\n")).unwrap();
    let policy = dir.path().join("policy");
    std::fs::create_dir(&policy).unwrap();
    refused(
        &["demo", "--events", text(&events), "--dir", text(&ledger), "--policy", text(&policy)],
        3,
        "program.toml",
    );
    refused(
        &["demo", "--events", text(&events), "--dir", text(&ledger), "--nats", "nats://127.0.0.1:9"],
        4,
        "127.0.0.1:9",
    );
    let garbage = dir.path().join("garbage");
    std::fs::create_dir(&garbage).unwrap();
    std::fs::write(garbage.join("ledger.db"), b"not a database, not at all, but long enough to look")
        .unwrap();
    refused(&["log", "verify", "--dir", text(&garbage)], 3, "ledger");
    refused(&["demo", "--events", text(&events), "--dir", text(&garbage)], 2, "already holds a ledger");
    let library = dir.path().join("libonnxruntime.so");
    std::fs::write(&library, b"garbage").unwrap();
    refused(&["model", "inspect", "--onnxruntime", text(&library)], 4, "libonnxruntime.so");
    refused(&["log", "list", "--dir", text(&dir.path().join("empty"))], 4, "no ledger");
}

#[test]
fn purchases_in_any_order_are_replayed_in_order_of_time() {
    let dir = folder();
    let (sorted, shuffled) = (dir.path().join("sorted.csv"), dir.path().join("shuffled.csv"));
    purchases(&sorted, 40);
    let text_of = std::fs::read_to_string(&sorted).unwrap();
    let (header, body) = text_of.split_once('\n').unwrap();
    let mut rows: Vec<&str> = body.lines().collect();
    // By household, as an export would come.
    rows.sort();
    std::fs::write(&shuffled, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    let ledger = dir.path().join("ledger");
    let args = ["demo", "--events", text(&shuffled), "--dir", text(&ledger), "--output", "json"];
    let summary = run_json(&args);
    assert!(summary["outcomes"]["granted"].as_u64().unwrap() > 0, "{summary}");
    // Out of order nearly every purchase would be of the past by the time it comes.
    let late = ["log", "list", "--dir", text(&ledger), "--reason", "STALE_MOMENT", "--output", "json"];
    assert_eq!(run_json(&late), serde_json::json!([]));
}

#[test]
fn a_demo_that_cannot_start_makes_and_replaces_nothing() {
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    purchases(&events, 5);
    let unreachable =
        ["demo", "--events", text(&events), "--dir", text(&ledger), "--nats", "nats://127.0.0.1:1"];
    let output = run(&unreachable);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(!ledger.exists(), "a folder was made for a demo that cannot start");
    let missing = ["demo", "--events", "no-such-file.csv", "--dir", text(&ledger)];
    assert_eq!(run(&missing).status.code(), Some(2));
    assert!(!ledger.exists());
}

#[test]
fn a_demo_replaces_its_own_ledger_and_nothing_else() {
    let dir = folder();
    let home = dir.path().join("largesse-demo");
    let demo = |more: &[&str]| {
        largesse().current_dir(dir.path()).args(["demo", "--output", "json"]).args(more).output().unwrap()
    };
    // A folder that somebody made, with purchases in it.
    std::fs::create_dir(&home).unwrap();
    purchases(&home.join("other.csv"), 10);
    for _ in 0..2 {
        let output = demo(&["--events", "largesse-demo/other.csv"]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(home.join("other.csv").exists(), "the purchases were deleted");
        assert_eq!(query(&home, "SELECT count(*) FROM record WHERE kind = 2"), "1", "it is a new ledger");
    }

    // Somebody goes on with it.
    let config = dir.path().join("largesse.toml");
    std::fs::write(&config, "[node]\ndir = \"largesse-demo\"\nclock = \"events\"\n").unwrap();
    let mut node = largesse().args(["serve", "--config", text(&config)]).spawn().unwrap();
    while query(&home, "SELECT count(*) FROM record WHERE kind = 2") != "2" {
        assert!(node.try_wait().unwrap().is_none(), "the node ended on its own");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let rows = || query(&home, "SELECT count(*) FROM record");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(terminate(&mut node), Some(0));
    let before = rows();
    let output = demo(&["--events", "largesse-demo/other.csv"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("move the folder away"), "{}", stderr(&output));
    assert_eq!(rows(), before);
}

#[test]
fn a_folder_that_is_not_the_demos_is_left_alone() {
    let dir = folder();
    let events = dir.path().join("events.csv");
    purchases(&events, 5);
    let named = dir.path().join("named");
    std::fs::create_dir(&named).unwrap();
    let demo = ["demo", "--events", text(&events), "--dir", text(&named), "--output", "json"];
    run_json(&demo);
    refused(&demo, 2, "already holds a ledger");
    let notes = dir.path().join("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("notes.txt"), "mine").unwrap();
    refused(&["demo", "--events", text(&events), "--dir", text(&notes)], 2, "is not empty");
    refused(&["demo", "--events", text(&events), "--dir", text(&events)], 2, "events.csv");
    // Keys that wait for their ledger to be restored are a part of one.
    let home = dir.path().join("largesse-demo");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("master.key"), "mine").unwrap();
    let output =
        largesse().current_dir(dir.path()).args(["demo", "--events", text(&events)]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 1);
}

#[test]
fn every_starter_decides_in_the_demo_which_says_what_it_assumed() {
    let dir = folder();
    let events = dir.path().join("events.csv");
    let mut count = purchases(&events, 60);
    // Somebody who stays away: the subscription program speaks to nobody else.
    let mut file = std::fs::read_to_string(&events).unwrap();
    for household in 0..10 {
        for month in ["01", "02"] {
            file +=
                &format!("y{household},2019-{month}-02T10:00:00,1,y{household}{month},14.00,1,1,0,0,0,0,0\n");
            count += 1;
        }
    }
    std::fs::write(&events, file).unwrap();
    for (trade, assumed) in [
        ("grocery", serde_json::Value::Null),
        ("restaurant", serde_json::Value::Null),
        (
            "fashion",
            serde_json::json!({"events": 140, "members": 70, "enrolled": true,
                "consents": ["profiling"]}),
        ),
        (
            "subscription",
            serde_json::json!({"events": 210, "members": 70, "enrolled": true,
                "consents": ["personalised_marketing", "profiling"]}),
        ),
    ] {
        let (policy, ledger) = (dir.path().join(trade), dir.path().join(format!("{trade}-ledger")));
        assert!(run(&["policy", "init", text(&policy), "--from", trade]).status.success());
        let args = ["--events", text(&events), "--policy", text(&policy)];
        let demo = [&["demo", "--dir", text(&ledger), "--output", "json"][..], &args].concat();
        let summary = run_json(&demo);
        assert_eq!(summary["assumed"], assumed, "{trade}");
        assert_eq!(summary["events"].as_u64().unwrap(), count + assumed["events"].as_u64().unwrap_or(0));
        assert_eq!(summary["dead_letters"], 0, "{trade}");
        assert!(summary["decisions"].as_u64().unwrap() > 0, "{trade}: {summary}");
        let simulated = run_json(&[&["simulate", "--output", "json"][..], &args].concat());
        assert_eq!(simulated["assumed"], assumed, "{trade}");
        assert_eq!(simulated["dead_letters"], serde_json::json!({}), "{trade}");
        let said = run(&[&["simulate"][..], &args].concat());
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.contains("Assumed, because"), !assumed.is_null(), "{trade}: {said}");
        assert!(said.starts_with(&format!("{} purchases", grouped(count))), "{said}");
    }
}

/// `1234` as `1,234`.
fn grouped(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}
