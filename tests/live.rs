//! Policies that change while a node decides: activation, roll-back, kill switches and canaries under load.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Duration;

use async_nats::jetstream;
use common::live::{eventually, number, publish, rows, runs, serve, serve_with};
use common::office::Office;
use common::{NatsServer, folder, query, run_json, terminate, text};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_decision_names_one_bundle_and_a_kill_switch_survives_a_restart() {
    let server = NatsServer::start();
    let (office, mut node, digest) = with_approved_draft(&server);
    let producer = tokio::spawn(publish(server.url(), 0..8_000));
    eventually("some rows", || rows(&office) > 1_000);
    office.taken("berta", &["policy", "activate", &digest]);
    eventually("the new policy", || runs(&office) > 1);
    publish(server.url(), 9_000..9_300).await;
    let under = format!("SELECT count(*) FROM record WHERE kind = 11 AND lower(hex(bundle)) = '{digest}'");
    eventually("decisions under it", || number(&office, &under) >= 300);
    office.taken("otto", &["policy", "rollback"]);
    eventually("the old policy", || runs(&office) > 2);
    office.taken("otto", &["stop", "--program"]);
    eventually("the stop", || runs(&office) > 3);
    producer.await.unwrap();
    eventually("every event", || rows(&office) >= 8_300);
    let before = granted(&office);
    assert!(before > 0, "nothing was promised, so stopping the program shows nothing");
    publish(server.url(), 8_000..8_500).await;
    eventually("the stopped events", || rows(&office) >= 8_800);
    assert_eq!(terminate(&mut node), Some(0));
    let mut node = serve(&office, &server);
    publish(server.url(), 8_500..9_000).await;
    eventually("the events after the restart", || rows(&office) >= 9_300);
    assert_eq!(terminate(&mut node), Some(0));
    assert_eq!(granted(&office), before, "something was promised while the program was stopped");
    let events = query(
        &office.ledger(),
        "SELECT count(DISTINCT event_id), count(*) FROM record WHERE event_id LIKE 'live-%'",
    );
    assert_eq!(events, "9300|9300", "each event has exactly one row");
    let bundles: BTreeSet<String> =
        query(&office.ledger(), "SELECT DISTINCT lower(hex(bundle)) FROM record WHERE kind = 11")
            .lines()
            .map(str::to_owned)
            .collect();
    assert!(bundles.contains(&digest) && bundles.len() == 2, "{bundles:?}");
    // What a decision under it rests on, as an outsider sees it.
    let last = format!("SELECT max(seq) FROM record WHERE kind = 11 AND lower(hex(bundle)) = '{digest}'");
    let (last, file) = (query(&office.ledger(), &last), office.path("evidence.json"));
    let written =
        common::run(&["log", "evidence", &last, "--dir", text(&office.ledger()), "--out", text(&file)]);
    assert!(written.status.success(), "{}", common::stderr(&written));
    let key = office.ledger().join("verifier.txt");
    let held = run_json(&["log", "check-evidence", text(&file), "--key", text(&key), "--output", "json"]);
    let steps = held["decisions"][0]["steps"].as_array().unwrap();
    let signed: Vec<_> =
        steps.iter().map(|step| (step[0].as_str().unwrap(), step[1].as_str().unwrap())).collect();
    let expected = [("submit", "anna"), ("assess", "anna"), ("approve", "berta"), ("activate", "berta")];
    assert_eq!(signed, expected);
    // And of one that a kill switch held back: the switch, and who turned it.
    let (last, file) =
        (query(&office.ledger(), "SELECT max(seq) FROM record WHERE kind = 11"), office.path("stopped.json"));
    run_json(&[
        "log",
        "evidence",
        &last,
        "--dir",
        text(&office.ledger()),
        "--out",
        text(&file),
        "--output",
        "json",
    ]);
    let held = run_json(&["log", "check-evidence", text(&file), "--key", text(&key), "--output", "json"]);
    let steps = held["decisions"][0]["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step[0] == "stop" && step[1] == "otto"), "{held}");
    let theirs = common::python(&["evidence", text(&file), "--key", text(&key)]);
    let said = String::from_utf8_lossy(&theirs.stdout).into_owned();
    assert!(
        theirs.status.success() && said.contains("stop signed by otto"),
        "{said}{}",
        common::stderr(&theirs)
    );
    let replay = run_json(&["replay", "--dir", text(&office.ledger()), "--all", "--output", "json"]);
    assert_eq!(replay["mismatches"], 0, "{replay}");
    assert_eq!(
        run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"])["verified"],
        true
    );
}

fn granted(office: &Office) -> u64 {
    number(office, "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0")
}

/// A node on an empty ledger with an approved draft, whose digest is returned.
fn with_approved_draft(server: &NatsServer) -> (Office, Child, String) {
    let office = Office { dir: folder() };
    let node = serve(&office, server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let digest = approve_draft(&office);
    (office, node, digest)
}

/// Hands the draft in and gets it approved.
fn approve_draft(office: &Office) -> String {
    let (draft, digest) = (office.path("draft"), office.draft());
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let impact = office.assess();
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    digest
}

/// Members with a decision by a bundle after a row.
fn members(office: &Office, bundle: &str, after: u64) -> BTreeSet<String> {
    let sql = format!(
        "SELECT DISTINCT lower(hex(member)) FROM record
          WHERE kind = 11 AND seq > {after} AND lower(hex(bundle)) = '{bundle}'"
    );
    query(&office.ledger(), &sql).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_decides_for_its_share_of_the_members_who_keep_their_side_until_it_is_withdrawn() {
    let server = NatsServer::start();
    let (office, mut node, digest) = with_approved_draft(&server);
    let in_force = query(&office.ledger(), "SELECT lower(hex(bundle)) FROM record WHERE kind = 2 LIMIT 1");
    office.refused("otto", &["policy", "canary", &digest, "--share", "20"], "REG0008");
    office.refused("berta", &["policy", "canary", &digest, "--share", "100"], "REG0027");
    office.taken("berta", &["policy", "canary", &digest, "--share", "20"]);
    eventually("the canary", || runs(&office) == 2);
    publish(server.url(), 0..2_000).await;
    eventually("its events", || rows(&office) >= 2_000);
    let (fifth, rest) = (members(&office, &digest, 0), members(&office, &in_force, 0));
    // A fifth of 2,000 members, give or take four standard deviations.
    assert!((328..=472).contains(&fifth.len()), "{} members", fifth.len());
    assert_eq!(fifth.len() + rest.len(), 2_000, "a member was decided about by both");
    let widened = newest(&office);
    office.taken("berta", &["policy", "canary", &digest, "--share", "50"]);
    eventually("the wider canary", || runs(&office) == 3);
    publish(server.url(), 2_000..4_000).await;
    eventually("its events", || rows(&office) >= 4_000);
    let half = members(&office, &digest, widened);
    assert!((910..=1_090).contains(&half.len()), "{} members", half.len());
    assert!(half.is_superset(&fifth), "a member left the candidate's side although the share grew");
    assert_eq!(terminate(&mut node), Some(0));
    let mut node = serve(&office, &server);
    eventually("the restart", || runs(&office) == 4);
    let restarted = newest(&office);
    publish(server.url(), 4_000..6_000).await;
    eventually("the events after the restart", || rows(&office) >= 6_000);
    assert_eq!(members(&office, &digest, restarted), half, "a restart changed the sides");
    office.taken("otto", &["policy", "withdraw", &digest]);
    eventually("the end of the canary", || runs(&office) == 5);
    let withdrawn = newest(&office);
    publish(server.url(), 6_000..7_000).await;
    eventually("the last events", || rows(&office) >= 7_000);
    assert_eq!(terminate(&mut node), Some(0));
    assert!(members(&office, &digest, withdrawn).is_empty(), "a withdrawn canary decided");
    let replay = run_json(&["replay", "--dir", text(&office.ledger()), "--all", "--output", "json"]);
    assert_eq!(replay["mismatches"], 0, "{replay}");
    // Adds up what both sides promised, row by row, and holds the budgets to it.
    let verified = run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"]);
    assert_eq!(verified["verified"], true);
    let steps = office.steps();
    assert_eq!(steps, ["started", "submit", "assess", "approve", "canary", "canary", "withdraw"]);
}

/// A reward that only the draft has.
const COFFEE: &str = r#"
[[reward]]
id = "coffee"
name = "A coffee"
kind = "experience"
cost = "1.00"
valid_days = 14
touchpoints = ["pos", "app", "batch"]
prior = { default = "30 %", source = "a guess" }
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_switch_acts_on_both_sides_of_a_canary_and_on_what_only_the_candidate_has() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    let moments = std::fs::read_to_string(office.path("draft/moments.toml")).unwrap();
    std::fs::write(
        office.path("draft/moments.toml"),
        moments.replace("rewards = [", "rewards = [\"coffee\", "),
    )
    .unwrap();
    let catalog = std::fs::read_to_string(office.path("draft/catalog.toml")).unwrap();
    std::fs::write(office.path("draft/catalog.toml"), catalog + COFFEE).unwrap();
    let digest = approve_draft(&office);
    let in_force = query(&office.ledger(), "SELECT lower(hex(bundle)) FROM record WHERE kind = 2 LIMIT 1");
    let promised = |bundle: &str, after: u64| {
        number(
            &office,
            &format!(
                "SELECT count(*) FROM record
                  WHERE kind = 11 AND outcome = 0 AND seq > {after} AND lower(hex(bundle)) = '{bundle}'"
            ),
        )
    };
    office.taken("berta", &["policy", "canary", &digest, "--share", "50"]);
    eventually("the canary", || runs(&office) == 2);
    publish(server.url(), 0..1_000).await;
    eventually("its events", || rows(&office) >= 1_000);
    for side in [&digest, &in_force] {
        assert!(promised(side, 0) > 0, "{side} promised nothing, so stopping it shows nothing");
    }
    let coffees = |after: u64| {
        number(
            &office,
            &format!(
                "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0 AND reward = 'coffee' AND seq > {after}"
            ),
        )
    };
    assert!(coffees(0) > 0, "the candidate's own reward was never promised, so stopping it shows nothing");
    office.taken("otto", &["stop", "--reward", "coffee"]);
    eventually("the stop of its reward", || runs(&office) == 3);
    assert_eq!((stopped_rewards(&office), stopped_on_canary(&office)), (0, 1));
    let without_coffee = newest(&office);
    publish(server.url(), 1_000..1_500).await;
    eventually("events without it", || rows(&office) >= 1_500);
    assert_eq!(coffees(without_coffee), 0, "a stopped reward was promised");
    assert!(promised(&digest, without_coffee) > 0, "the candidate promised nothing else");
    office.taken("otto", &["stop", "--program"]);
    eventually("the stop of the program", || runs(&office) == 4);
    let stopped = newest(&office);
    // Members who were promised nothing yet, whom nothing but the switch keeps from it.
    publish(server.url(), 1_500..2_000).await;
    eventually("the stopped events", || rows(&office) >= 2_000);
    assert_eq!(terminate(&mut node), Some(0));
    for side in [&digest, &in_force] {
        assert!(!members(&office, side, stopped).is_empty(), "{side} decided nothing");
        assert_eq!(promised(side, stopped), 0, "{side} promised while the program was stopped");
    }
}

/// The switches of the newest run's canary.
fn stopped_on_canary(office: &Office) -> u32 {
    let sql = "SELECT body ->> '$.canary.stops.rewards' FROM record WHERE kind = 2 ORDER BY seq DESC LIMIT 1";
    query(&office.ledger(), sql).parse::<u64>().unwrap().count_ones()
}

fn newest(office: &Office) -> u64 {
    number(office, "SELECT max(seq) FROM record")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_travel_over_nats_with_their_bundle_and_a_swapped_bundle_is_refused() {
    use ledger::person::PersonKey;
    use policies::registry::{Signed, Statement, Step};

    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest, url) = (office.path("draft"), office.draft(), server.url());
    let over = |who: &str, args: &[&str]| {
        let key = office.path(&format!("{who}.key"));
        common::run(&[args, &["--nats", &url, "--key", text(&key)]].concat())
    };
    let taken = |who: &str, args: &[&str]| {
        let output = over(who, args);
        assert!(output.status.success(), "{who} {args:?}: {}", common::stderr(&output));
    };
    // Whoever runs the server names a ledger; a key signs for those it knows.
    let pins = office.path("anna.key.ledgers");
    let known = std::fs::read_to_string(&pins).unwrap();
    std::fs::write(&pins, "largesse/elsewhere+00000000\n").unwrap();
    let unknown = over("anna", &["policy", "submit", text(&draft)]);
    assert_eq!(unknown.status.code(), Some(2), "{}", common::stderr(&unknown));
    assert!(common::stderr(&unknown).contains("--ledger"), "{}", common::stderr(&unknown));
    taken("anna", &["policy", "submit", text(&draft), "--ledger", known.trim()]);
    let unknown = over("berta", &["policy", "activate", &"0".repeat(64)]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(common::stderr(&unknown).contains("REG0009"), "{}", common::stderr(&unknown));
    let impact = office.assess();
    taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    taken("berta", &["policy", "activate", &digest]);
    eventually("the activation", || runs(&office) == 2);
    let context = jetstream::new(async_nats::connect(&url).await.unwrap());
    let bucket = context.get_key_value("LARGESSE_POLICIES").await.unwrap();
    let pointer = async || -> Value {
        let value = bucket.get("in_force").await.unwrap().unwrap();
        serde_json::from_slice::<Value>(&value).unwrap()["bundle"].clone()
    };
    while pointer().await != digest.as_str() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Somebody who may write to the server exchanges the bundle that a signed statement names.
    office.edit("program.toml", "limit = \"3000.00\"", "limit = \"2000.00\"");
    let named: domain::Digest = office.draft().parse().unwrap();
    let swapped = policies::starter::grocery().unwrap();
    let store = context.get_object_store("LARGESSE_BUNDLES").await.unwrap();
    store.put(named.to_string().as_str(), &mut &swapped.canonical()[..]).await.unwrap();
    let key = PersonKey::load(&office.path("anna.key")).unwrap();
    let statement = Statement {
        v: 1,
        ledger: ledger::identity_of(&office.ledger()).unwrap().unwrap(),
        id: "swapped".to_owned(),
        at: runtime::clock::wall(),
        by: "anna".to_owned(),
        step: Step::Submit { bundle: named, note: String::new(), tests: None },
    };
    let signed = Signed { signature: key.sign(&statement.bytes()), statement, key: key.public() };
    bucket.put("request.swapped", serde_json::to_vec(&signed).unwrap().into()).await.unwrap();
    bucket.put("request.garbled", "no request".into()).await.unwrap();
    // A stranger's request that names a bundle which never comes: nothing is fetched for it.
    let mut strange = signed.clone();
    strange.statement.by = "nobody".to_owned();
    let meta = format!(
        r#"{{"name":"{}","bucket":"LARGESSE_BUNDLES","nuid":"none","size":9,"chunks":1,"digest":"SHA-256="}}"#,
        "1".repeat(64)
    );
    let name = base64(&"1".repeat(64));
    context.publish(format!("$O.LARGESSE_BUNDLES.M.{name}"), meta.into()).await.unwrap().await.unwrap();
    strange.statement.step =
        Step::Submit { bundle: "1".repeat(64).parse().unwrap(), note: String::new(), tests: None };
    bucket.put("request.strange", serde_json::to_vec(&strange).unwrap().into()).await.unwrap();
    for (id, code) in [("swapped", "REG0011"), ("garbled", "REG0023"), ("strange", "REG0003")] {
        let answer = loop {
            match bucket.get(format!("answer.{id}")).await.unwrap() {
                Some(answer) => break String::from_utf8(answer.to_vec()).unwrap(),
                None => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        assert!(answer.contains(code), "{answer}");
    }
    taken("otto", &["policy", "rollback"]);
    eventually("the roll-back", || runs(&office) == 3);
    assert_eq!(terminate(&mut node), Some(0));
    let steps = office.steps();
    let without_runs: Vec<_> = steps.iter().filter(|step| *step != "started").collect();
    assert_eq!(without_runs, ["submit", "assess", "approve", "activate", "roll_back"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roll_back_over_nats_takes_back_only_what_its_signer_saw() {
    let server = NatsServer::start();
    let (office, mut node, digest) = with_approved_draft(&server);
    let started = policies::starter::grocery().unwrap().digest().to_string();
    let url = server.url();
    let over = |who: &str, args: &[&str]| {
        let key = office.path(&format!("{who}.key"));
        common::run(&[args, &["--nats", &url, "--key", text(&key)]].concat())
    };
    let context = jetstream::new(async_nats::connect(&url).await.unwrap());
    let bucket = context.get_key_value("LARGESSE_POLICIES").await.unwrap();
    let before = bucket.get("in_force").await.unwrap().unwrap();
    let activated = over("berta", &["policy", "activate", &digest]);
    assert!(activated.status.success(), "{}", common::stderr(&activated));
    // Whoever was answered finds what came into force.
    let after = bucket.get("in_force").await.unwrap().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&after).unwrap()["bundle"], digest.as_str());
    eventually("the activation", || runs(&office) == 2);
    // Somebody still sees what was in force before.
    bucket.put("in_force", before).await.unwrap();
    let stale = over("otto", &["policy", "rollback", "--to", &"0".repeat(64)]);
    assert_eq!(stale.status.code(), Some(3), "{}", common::stderr(&stale));
    let said = common::stderr(&stale);
    assert!(said.contains("REG0044") && said.contains(&digest) && said.contains(&started), "{said}");
    bucket.put("in_force", after).await.unwrap();
    let back = over("otto", &["policy", "rollback"]);
    assert!(back.status.success(), "{}", common::stderr(&back));
    eventually("the roll-back", || runs(&office) == 3);
    assert_eq!(terminate(&mut node), Some(0));
    let in_force = run_json(&["policy", "status", "--dir", text(&office.ledger()), "--output", "json"]);
    assert!(in_force.to_string().contains(&started), "{in_force}");
}

/// The switches of the newest run, as its start row says.
fn stopped_rewards(office: &Office) -> u32 {
    let sql = "SELECT body ->> '$.stops.rewards' FROM record WHERE kind = 2 ORDER BY seq DESC LIMIT 1";
    query(&office.ledger(), sql).parse::<u64>().unwrap().count_ones()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_taken_one_right_after_the_other_all_hold() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    // Each ends the run; what follows may fall between two runs.
    let rewards = ["cinema", "fuel-10c", "voucher-3", "voucher-5", "voucher-10", "points-50"];
    for reward in rewards {
        office.taken("otto", &["stop", "--reward", reward]);
    }
    eventually("the last stop", || stopped_rewards(&office) == 6);
    std::thread::scope(|scope| {
        for reward in rewards {
            let office = &office;
            scope.spawn(move || office.taken("berta", &["resume", "--reward", reward]));
        }
    });
    eventually("the last resume", || stopped_rewards(&office) == 0);
    assert!(node.try_wait().unwrap().is_none(), "the node ended");
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_taken_while_the_server_is_away_is_obeyed_when_it_is_back() {
    let mut server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    server.kill();
    office.taken("otto", &["stop", "--program"]);
    // The run ends, and the next cannot start.
    std::thread::sleep(Duration::from_secs(1));
    office.taken("otto", &["stop", "--reward", "cinema"]);
    server.restart();
    eventually("the next run", || runs(&office) >= 2 && stopped_rewards(&office) == 1);
    assert!(node.try_wait().unwrap().is_none(), "the node ended");
    publish(server.url(), 0..200).await;
    eventually("the events", || rows(&office) >= 200);
    assert_eq!(granted(&office), 0, "promised although the program is stopped");
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_follows_the_policy_in_force_also_through_runs_without_an_event() {
    let server = NatsServer::start();
    let (office, mut node, digest) = with_approved_draft(&server);
    let limit = |expected: &str| {
        let sql = "SELECT limit_micros / 1000000 FROM budget WHERE id = 'global'";
        let found = query(&office.ledger(), sql);
        assert_eq!(found, expected, "the global limit");
    };
    publish(server.url(), 0..50).await;
    eventually("the first events", || rows(&office) >= 50);
    limit("4500");
    office.taken("berta", &["policy", "activate", &digest]);
    eventually("the activation", || runs(&office) == 2);
    limit("3000");
    office.taken("otto", &["stop", "--reward", "cinema"]);
    eventually("the stop", || runs(&office) == 3);
    publish(server.url(), 100..150).await;
    eventually("more events", || rows(&office) >= 100);
    limit("3000");
    office.taken("otto", &["policy", "rollback"]);
    eventually("the roll-back", || runs(&office) == 4);
    limit("4500");
    assert_eq!(terminate(&mut node), Some(0));
    let verified = run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"]);
    assert_eq!(verified["verified"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_does_not_take_over_what_lies_in_the_configured_folder_by_then() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    office.copy_starter();
    let policy = format!("policy = {:?}", office.path("draft"));
    let mut node = serve_with(&office, &server, &policy);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    let starts = || query(&office.ledger(), "SELECT DISTINCT lower(hex(bundle)) FROM record WHERE kind = 2");
    let before = starts();
    // Nobody handed this in.
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"900000.00\"");
    office.taken("otto", &["stop", "--reward", "cinema"]);
    eventually("the stop", || runs(&office) == 2);
    assert_eq!(starts(), before);
    // Half a folder ends nobody's node, now or at a restart.
    std::fs::remove_file(office.path("draft").join("catalog.toml")).unwrap();
    office.taken("otto", &["stop", "--program"]);
    eventually("the other stop", || runs(&office) == 3);
    assert_eq!(terminate(&mut node), Some(0));
    let mut node = serve_with(&office, &server, &policy);
    eventually("the restart", || runs(&office) == 4);
    assert_eq!(starts(), before);
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_to_smaller_budgets_and_back_allows_no_more_than_before() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    for budget in
        ["newcomers = \"900", "everyone = \"900", "growing = \"500", "loyal = \"600", "occasional = \"1400"]
    {
        let segment = budget.split(' ').next().unwrap();
        office.edit("program.toml", budget, &format!("{segment} = \"1"));
    }
    let digest = approve_draft(&office);
    publish(server.url(), 0..6_000).await;
    eventually("the events", || rows(&office) >= 6_000);
    let limits = || {
        query(&office.ledger(), "SELECT id, limit_micros FROM budget WHERE id LIKE 'segment/%' ORDER BY id")
    };
    let before = limits();
    office.taken("berta", &["policy", "activate", &digest]);
    eventually("the activation", || runs(&office) == 2);
    let kept = "SELECT count(*) FROM budget WHERE id LIKE 'segment/%'
                 AND limit_micros > 1000000 AND limit_micros = reserved + committed";
    assert!(number(&office, kept) > 0, "no budget was below what is promised: {}", limits());
    // A run without an event in between changes nothing about it.
    office.taken("otto", &["stop", "--reward", "cinema"]);
    eventually("the stop", || runs(&office) == 3);
    office.taken("otto", &["policy", "rollback"]);
    eventually("the roll-back", || runs(&office) == 4);
    assert_eq!(limits(), before);
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_with_another_name_or_length_has_taken_what_was_promised_in_it() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    office.edit(
        "program.toml",
        "[budget.segments]",
        "[[budget.window]]\nid = \"month\"\nhours = 720\nlimit = \"800\"\n\n[budget.segments]",
    );
    let first = approve_draft(&office);
    office.taken("berta", &["policy", "activate", &first]);
    eventually("the activation", || runs(&office) == 2);
    publish(server.url(), 0..100).await;
    eventually("the events", || rows(&office) >= 100);
    let spent = "SELECT sum(committed + reserved) FROM budget WHERE id = 'global'";
    let taken = |window: &str| {
        let sql = format!("SELECT coalesce(sum(committed), 0) FROM budget WHERE id LIKE 'window/{window}/%'");
        number(&office, &sql)
    };
    let before = number(&office, spent);
    assert!(before > 0 && taken("month") == before, "{before} promised, the window has {}", taken("month"));
    // Another name and another length: what was promised since it began counts, and only once.
    office.edit("program.toml", "id = \"month\"\nhours = 720", "id = \"moon\"\nhours = 672");
    let second = approve_draft(&office);
    office.taken("berta", &["policy", "activate", &second]);
    eventually("the second activation", || runs(&office) == 3);
    assert_eq!(taken("moon"), before);
    publish(server.url(), 100..1_000).await;
    eventually("more events", || rows(&office) >= 1_000);
    let after = number(&office, spent);
    assert!(after > before && taken("moon") == after, "{after} promised, the window has {}", taken("moon"));
    assert!(after > 700_000_000 && after <= 800_000_000, "{after} is not what one window allows");
    // Back again: what was promised meanwhile counts for the first window, too.
    assert_eq!(taken("month"), before);
    office.taken("otto", &["policy", "rollback"]);
    eventually("the roll-back", || runs(&office) == 4);
    assert_eq!((taken("month"), taken("moon")), (after, after));
    // A switch changes no window.
    office.taken("otto", &["stop", "--reward", "cinema"]);
    eventually("the stop", || runs(&office) == 5);
    assert_eq!((taken("month"), taken("moon")), (after, after));
    assert_eq!(terminate(&mut node), Some(0));
    let verified = run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"]);
    assert_eq!(verified["verified"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_switch_holds_back_what_the_bus_had_not_taken_until_it_is_off() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let rewards = context.get_stream("LARGESSE_REWARDS").await.unwrap();
    let out = async || rewards.get_info().await.unwrap().state.messages;
    // A stream that is full takes nothing: promises are recorded and wait for it.
    let config = rewards.get_info().await.unwrap().config;
    let full = jetstream::stream::Config {
        max_messages: 3,
        discard: jetstream::stream::DiscardPolicy::New,
        ..config.clone()
    };
    context.update_stream(full).await.unwrap();
    publish(server.url(), 0..400).await;
    eventually("promises", || granted(&office) >= 20);
    assert_eq!(out().await, 3);
    office.taken("otto", &["stop", "--program"]);
    eventually("the stop", || runs(&office) == 2);
    let promised = granted(&office);
    let held = || {
        let body = "SELECT body FROM record WHERE kind = 2 ORDER BY seq DESC LIMIT 1";
        let start: Value = serde_json::from_str(&query(&office.ledger(), body)).unwrap();
        start["held_back"].as_array().map_or(0, Vec::len) as u64
    };
    assert_eq!(held(), promised - 3, "the run does not say what it holds back");
    // Room again, events again, and another run: nothing that is stopped goes out.
    context.update_stream(config).await.unwrap();
    publish(server.url(), 400..500).await;
    office.taken("otto", &["stop", "--reward", "cinema"]);
    eventually("another run", || runs(&office) == 3);
    publish(server.url(), 500..600).await;
    eventually("the events", || rows(&office) >= 600);
    assert_eq!((out().await, held(), granted(&office)), (3, promised - 3, promised));
    // Of one reward it stays stopped; the others go out, each once.
    office.taken("berta", &["resume", "--program"]);
    eventually("the resumption", || runs(&office) == 4);
    let cinema =
        number(&office, "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0 AND reward = 'cinema'");
    assert_eq!((out().await, held()), (promised - held(), held()));
    assert!(held() <= cinema);
    office.taken("berta", &["resume", "--reward", "cinema"]);
    eventually("the last resumption", || runs(&office) == 5);
    assert_eq!((out().await, held()), (promised, 0));
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_of_before_a_stock_was_limited_gives_no_unit_back() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    office.copy_starter();
    let (draft, plain) = (office.path("draft"), office.path("plain"));
    std::fs::rename(&draft, &plain).unwrap();
    let catalog = std::fs::read_to_string(plain.join("catalog.toml")).unwrap();
    let unlimited: Vec<&str> = catalog.lines().filter(|line| !line.starts_with("inventory")).collect();
    std::fs::write(plain.join("catalog.toml"), unlimited.join("\n")).unwrap();
    let mut node = serve_with(&office, &server, &format!("policy = {plain:?}\n"));
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    publish(server.url(), 0..300).await;
    eventually("the events", || rows(&office) >= 300);
    let promise = |what: &str| {
        let limited = "reward IN ('voucher-10', 'free-delivery', 'fuel-10c', 'cinema', 'chefs-table')";
        query(
            &office.ledger(),
            &format!(
                "SELECT {what} FROM record WHERE kind = 11 AND outcome = 0 AND {limited} ORDER BY seq LIMIT 1"
            ),
        )
    };
    let (reward, decision, event) =
        (promise("reward"), promise("lower(hex(record_id))"), promise("event_id"));
    let decision = uuid::Uuid::parse_str(&decision).unwrap();
    let digest = approve_draft(&office);
    office.taken("berta", &["policy", "activate", &digest]);
    eventually("the activation", || runs(&office) == 2);
    let member = event.trim_start_matches("live-").parse::<u32>().unwrap() % 2_000;
    let now = runtime::clock::wall();
    let cancelled = format!(
        r#"{{"schema":1,"event_id":"undone","member":"live-{member}","type":"cancelled","event_time":"{now}",
        "source":"till","touchpoint":"pos","data":{{"decision":"{decision}"}}}}"#
    );
    let context = jetstream::new(async_nats::connect(server.url()).await.unwrap());
    context.publish("largesse.v1.event.till", cancelled.into()).await.unwrap().await.unwrap();
    let ended = "SELECT count(*) FROM record WHERE kind = 10 AND event_id = 'undone'";
    eventually("the cancellation", || number(&office, ended) == 1);
    publish(server.url(), 300..600).await;
    eventually("more events", || rows(&office) >= 600);
    assert!(node.try_wait().unwrap().is_none(), "the node ended");
    let stock = format!("FROM budget WHERE id = 'inventory/{reward}'");
    let sold = format!(
        "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0 AND reward = '{reward}' AND lower(hex(bundle)) = '{digest}'"
    );
    assert_eq!(number(&office, &format!("SELECT committed {stock}")), number(&office, &sold));
    assert!(number(&office, &format!("SELECT limit_micros {stock}")) >= 16);
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timer_that_a_policy_sets_earlier_is_set_for_members_of_before_it() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    let moments = office.path("draft/moments.toml");
    let early = "[[moment]]\nid = \"early\"\nlevel = \"L3\"\ntrigger = { quiet_days = 3 }\nrewards = [\"points-50\"]\nprovisional = \"deny\"\n";
    std::fs::write(&moments, std::fs::read_to_string(&moments).unwrap() + "\n" + early).unwrap();
    let digest = approve_draft(&office);
    publish(server.url(), 0..50).await;
    eventually("the events", || rows(&office) >= 50);
    let within = |days: i64| {
        let at = runtime::clock::wall().plus(days * domain::time::DAY).0;
        number(&office, &format!("SELECT count(*) FROM member_state WHERE next_due > 0 AND next_due < {at}"))
    };
    assert_eq!(within(10), 0, "a timer fires before the policy says");
    office.taken("berta", &["policy", "activate", &digest]);
    eventually("the activation", || runs(&office) == 2);
    // Timers are asked for while a period is open, which the first event of a run opens.
    publish(server.url(), 50..51).await;
    eventually("the earlier timers", || within(5) == 51);
    assert_eq!(terminate(&mut node), Some(0));
}

/// URL-safe base64 with padding, as object stores name their metadata.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_row_can_hold_is_refused_and_the_node_goes_on() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    office.copy_starter();
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    // Each file is within its limit; together they are more than one row holds.
    let draft = office.path("draft");
    for file in std::fs::read_dir(&draft).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(&file).unwrap();
            std::fs::write(&file, text + &"# words, words, words\n".repeat(35_000)).unwrap();
        }
    }
    office.refused("anna", &["policy", "submit", text(&draft)], "REG0038");
    // The statement is spent, its refusal a row, and the node still hears kill switches.
    assert!(office.history().iter().any(|step| step.to_string().contains("REG0038")));
    office.taken("otto", &["stop", "--program"]);
    terminate(&mut node);
}
