//! Kill -9 in the middle, then a restart: no stored event is lost, no reward is repeated (D-1, D-2, D-3).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use common::{
    NatsServer, exit_code, folder, largesse, purchases, query, refused, run, run_json, terminate, text,
};

/// Messages that are no events.
const GARBAGE: u64 = 200;

async fn context(server: &NatsServer) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

async fn stream_messages(context: &jetstream::Context, name: &str) -> u64 {
    match context.get_stream(name).await {
        Ok(stream) => stream.get_info().await.unwrap().state.messages,
        Err(_) => 0,
    }
}

/// The ids of all rewards out there, in order, repeats included.
async fn rewards(context: &jetstream::Context) -> Vec<String> {
    let stream = context.get_stream("LARGESSE_REWARDS").await.unwrap();
    let state = stream.get_info().await.unwrap().state;
    let mut ids = Vec::new();
    for sequence in state.first_sequence.max(1)..=state.last_sequence {
        let message = stream.get_raw_message(sequence).await.unwrap();
        ids.push(message.headers.get("Nats-Msg-Id").unwrap().to_string());
    }
    ids
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what} did not happen within a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn rows(ledger: &Path) -> u64 {
    if !ledger.join("ledger.db").exists() {
        return 0;
    }
    query(ledger, "SELECT count(*) FROM record WHERE event_id IS NOT NULL").parse().unwrap_or(0)
}

fn serve(config: &Path) -> Child {
    largesse()
        .args(["serve", "--config", text(config)])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn after_kill_nine_a_restarted_node_loses_no_event_and_repeats_no_reward() {
    let server = NatsServer::start();
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    purchases(&events, 400);
    let mut demo = largesse()
        .args(["demo", "--events", text(&events), "--nats", &server.url(), "--dir", text(&ledger)])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let context = context(&server).await;
    // The demo takes what is published once it listens.
    eventually("the consumer", async || match context.get_stream("LARGESSE_EVENTS").await {
        Ok(stream) => stream.consumer_info("largesse-intake").await.is_ok(),
        Err(_) => false,
    })
    .await;
    for number in 0..GARBAGE {
        // Nothing an id could be read from: only its place in the stream tells a redelivery.
        context.publish("largesse.v1.event.test", format!("garbage {number}").into()).await.unwrap();
    }
    let letters = || query(&ledger, "SELECT count(*) FROM record WHERE kind = 12").parse::<u64>().unwrap();
    eventually("a few hundred rows", async || rows(&ledger) > 300).await;
    demo.kill().unwrap();
    demo.wait().unwrap();
    let stored = stream_messages(&context, "LARGESSE_EVENTS").await;
    let before = rewards(&context).await.len();
    assert!(
        rows(&ledger) + letters() < stored,
        "the kill came too late to prove anything: {} of {stored}",
        rows(&ledger)
    );

    let config = dir.path().join("largesse.toml");
    let document =
        format!("[node]\ndir = \"ledger\"\nclock = \"events\"\n[nats]\nurl = \"{}\"\n", server.url());
    std::fs::write(&config, document).unwrap();
    let mut node = serve(&config);
    let stream = context.get_stream("LARGESSE_EVENTS").await.unwrap();
    eventually("all events acknowledged", async || {
        let info = stream.consumer_info("largesse-intake").await.unwrap();
        assert!(node.try_wait().unwrap().is_none(), "the node ended on its own");
        info.num_pending == 0 && info.num_ack_pending == 0
    })
    .await;
    assert_eq!(terminate(&mut node), Some(0));

    let answered = query(
        &ledger,
        "SELECT count(*) FROM record WHERE event_id IS NOT NULL AND event_id NOT LIKE 'quiet-%' AND event_id NOT LIKE 'expired-%'",
    );
    let bodies = query(&ledger, "SELECT body FROM record WHERE kind = 12 LIMIT 3");
    assert_eq!(
        answered,
        (stored - GARBAGE).to_string(),
        "every stored event has exactly one row; dead letters: {bodies}"
    );
    assert_eq!(letters(), GARBAGE, "every message that is no event has exactly one dead letter");
    let out = rewards(&context).await;
    let distinct: BTreeSet<&String> = out.iter().collect();
    assert_eq!(distinct.len(), out.len(), "a reward was repeated");
    let granted = query(&ledger, "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0");
    assert_eq!(out.len().to_string(), granted, "every grant is out, nothing else is");
    assert!(out.len() > before, "the restarted node promised nothing");
    assert_eq!(run_json(&["log", "verify", "--dir", text(&ledger), "--output", "json"])["verified"], true);
    let replay = run_json(&["replay", "--dir", text(&ledger), "--all", "--output", "json"]);
    assert_eq!(replay["mismatches"], 0, "{replay}");
}

/// A purchase of one of a few members, as a producer sends it.
fn purchase(number: u32) -> String {
    format!(
        r#"{{"schema":1,"event_id":"e-{number:06}","member":"m-{}","type":"purchase","event_time":"{}",
        "source":"till","touchpoint":"pos","data":{{"amount":"20.00"}}}}"#,
        number % 40,
        now(),
    )
}

/// The time now, RFC 3339.
fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    domain::Timestamp(i64::try_from(now.as_micros()).unwrap()).to_string()
}

#[tokio::test]
async fn a_members_events_keep_their_order_over_a_restart() {
    let server = NatsServer::start();
    let dir = folder();
    let config = dir.path().join("largesse.toml");
    let document =
        format!("[node]\ndir = \"ledger\"\nin_flight_max = 16\n[nats]\nurl = \"{}\"\n", server.url());
    std::fs::write(&config, document).unwrap();
    let ledger = dir.path().join("ledger");
    let mut node = serve(&config);
    let context = context(&server).await;
    eventually("the stream", async || context.get_stream("LARGESSE_EVENTS").await.is_ok()).await;
    for number in 0..6_000 {
        context.publish("largesse.v1.event.till", purchase(number).into()).await.unwrap();
    }
    eventually("some rows", async || rows(&ledger) > 100).await;
    assert_eq!(terminate(&mut node), Some(0));
    let stream = context.get_stream("LARGESSE_EVENTS").await.unwrap();
    let info = stream.consumer_info("largesse-intake").await.unwrap();
    assert!(info.num_ack_pending > 40, "nothing was handed out and left: {}", info.num_ack_pending);
    let mut node = serve(&config);
    eventually("all events", async || rows(&ledger) >= 6_000).await;
    assert_eq!(terminate(&mut node), Some(0));
    let order =
        query(&ledger, "SELECT hex(member), event_id FROM record WHERE event_id LIKE 'e-%' ORDER BY seq");
    let mut last = std::collections::BTreeMap::new();
    for (member, event) in order.lines().map(|line| line.split_once('|').unwrap()) {
        let before = last.insert(member, event);
        assert!(before.is_none_or(|before| before < event), "{event} came after {before:?}");
    }
}

#[tokio::test]
async fn a_node_whose_server_is_gone_still_stops_in_time() {
    let server = NatsServer::start();
    let dir = folder();
    let config = dir.path().join("largesse.toml");
    std::fs::write(&config, format!("[node]\ndir = \"ledger\"\n[nats]\nurl = \"{}\"\n", server.url()))
        .unwrap();
    let mut node = serve(&config);
    let context = context(&server).await;
    eventually("the stream", async || context.get_stream("LARGESSE_EVENTS").await.is_ok()).await;
    for number in 0..4_000 {
        context.publish("largesse.v1.event.till", purchase(number).into()).await.unwrap();
    }
    eventually("some rows", async || rows(&dir.path().join("ledger")) > 100).await;
    drop(server);
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test]
async fn a_second_process_on_the_same_ledger_is_refused() {
    let server = NatsServer::start();
    let dir = folder();
    let config = dir.path().join("largesse.toml");
    std::fs::write(&config, format!("[node]\ndir = \"ledger\"\n[nats]\nurl = \"{}\"\n", server.url()))
        .unwrap();
    let mut first = serve(&config);
    eventually("the first node's ledger", async || dir.path().join("ledger/ledger.db").exists()).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let output = run(&["serve", "--config", text(&config)]);
    assert_eq!(output.status.code(), Some(4));
    let said = common::stderr(&output);
    assert!(said.contains(&first.id().to_string()), "the holder's pid is not named: {said}");
    assert_eq!(terminate(&mut first), Some(0));
}

#[tokio::test]
async fn events_of_one_prefix_go_to_one_ledger() {
    let server = NatsServer::start();
    let dir = folder();
    let config = |ledger: &str| {
        let config = dir.path().join(format!("{ledger}.toml"));
        let document = format!("[node]\ndir = {ledger:?}\n[nats]\nurl = {:?}\n", server.url());
        std::fs::write(&config, document).unwrap();
        config
    };
    let context = context(&server).await;
    let owner = async || {
        let stream = context.get_stream("LARGESSE_EVENTS").await.ok()?;
        let info = stream.consumer_info("largesse-intake").await.ok()?;
        info.config.metadata.get("largesse-ledger").cloned()
    };
    let (events, first) = (dir.path().join("events.csv"), config("first"));
    purchases(&events, 20);
    let demo = |ledger: &str| {
        let ledger = dir.path().join(ledger);
        let args = ["demo", "--events", text(&events), "--nats", &server.url(), "--dir", text(&ledger)];
        run(&[&args[..], &["--output", "json"]].concat())
    };
    // One demo after the other: each takes its own purchases only.
    let decided = |output: &std::process::Output| {
        assert!(output.status.success(), "{}", common::stderr(output));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (summary["events"].clone(), summary["dead_letters"].clone())
    };
    let alone = decided(&demo("demo-1"));
    assert_eq!(alone.1, 0);
    assert_eq!(decided(&demo("demo-2")), alone, "a second demo saw more than its own purchases");

    // A node does not take over what a demo listens for, nor a demo or a node what a node does.
    let taken = |output: std::process::Output, why: &str| {
        assert_eq!(output.status.code(), Some(4), "{}", common::stderr(&output));
        assert!(common::stderr(&output).contains(why), "{}", common::stderr(&output));
    };
    let owned_by_demo = owner().await.unwrap();
    taken(run(&["serve", "--config", text(&first)]), &owned_by_demo);
    assert!(!dir.path().join("first").exists(), "a refused start made a ledger");
    context.get_stream("LARGESSE_EVENTS").await.unwrap().delete_consumer("largesse-intake").await.unwrap();
    let mut node = serve(&first);
    eventually("the first node's consumer", async || owner().await.is_some()).await;
    let owned_by_first = owner().await.unwrap();
    assert_ne!(owned_by_first, owned_by_demo, "two ledgers of one program have one name");
    taken(run(&["serve", "--config", text(&config("second"))]), &owned_by_first);
    taken(demo("demo-3"), &owned_by_first);
    assert_eq!(terminate(&mut node), Some(0));
    // The owner itself comes back.
    let mut node = serve(&first);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(terminate(&mut node), Some(0));
}

#[tokio::test]
async fn the_demo_over_nats_shows_its_traffic_on_the_subjects() {
    let server = NatsServer::start();
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    purchases(&events, 40);
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut traffic = client.subscribe("largesse.v1.>").await.unwrap();
    client.flush().await.unwrap();
    let (events, path) = (events.clone(), ledger.clone());
    let url = server.url();
    let demo = tokio::task::spawn_blocking(move || {
        run_json(&[
            "demo",
            "--events",
            text(&events),
            "--nats",
            &url,
            "--dir",
            text(&path),
            "--output",
            "json",
        ])
    });
    let mut seen = BTreeSet::new();
    let mut subjects = async || {
        while let Some(message) = futures::StreamExt::next(&mut traffic).await {
            let words: Vec<&str> = message.subject.split('.').collect();
            let kind = if words[2] == "nego" { words[4] } else { words[2] };
            seen.insert(kind.to_owned());
            if seen.len() >= 8 {
                break;
            }
        }
    };
    let _timeout = tokio::time::timeout(Duration::from_secs(60), subjects()).await;
    let summary = demo.await.unwrap();
    assert_eq!(summary["replay"]["mismatches"], 0);
    for kind in ["event", "reward", "decision", "checkpoint", "quote", "answer", "certificate", "table"] {
        assert!(seen.contains(kind), "no {kind} among {seen:?}");
    }
}

#[tokio::test]
async fn a_demo_whose_server_dies_ends_and_a_node_publishes_the_rest() {
    let mut server = NatsServer::start();
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    purchases(&events, 400);
    let mut demo = largesse()
        .args(["demo", "--events", text(&events), "--nats", &server.url(), "--dir", text(&ledger)])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    eventually("a few hundred rows", async || rows(&ledger) > 300).await;
    server.kill();
    assert_eq!(exit_code(&mut demo, Duration::from_secs(90)), Some(4));
    let said = std::io::read_to_string(demo.stderr.take().unwrap()).unwrap();
    for part in [&server.url(), text(&ledger), "is whole", "largesse serve"] {
        assert!(said.contains(part), "{part:?} is missing from {said}");
    }
    assert_eq!(run_json(&["log", "verify", "--dir", text(&ledger), "--output", "json"])["verified"], true);

    server.restart();
    let config = dir.path().join("largesse.toml");
    let document =
        format!("[node]\ndir = \"ledger\"\nclock = \"events\"\n[nats]\nurl = \"{}\"\n", server.url());
    std::fs::write(&config, document).unwrap();
    let mut node = serve(&config);
    let context = context(&server).await;
    let stream = context.get_stream("LARGESSE_EVENTS").await.unwrap();
    eventually("all events acknowledged", async || {
        let info = stream.consumer_info("largesse-intake").await.unwrap();
        info.num_pending == 0 && info.num_ack_pending == 0
    })
    .await;
    assert_eq!(terminate(&mut node), Some(0));
    let out = rewards(&context).await;
    assert_eq!(out.iter().collect::<BTreeSet<_>>().len(), out.len(), "a reward was repeated");
    let granted = query(&ledger, "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0");
    assert_eq!(out.len().to_string(), granted, "every grant is out, nothing else is");
}

#[tokio::test]
async fn a_bench_over_nats_leaves_the_server_as_it_was() {
    let server = NatsServer::start();
    let dir = folder();
    let context = context(&server).await;
    let config = jetstream::stream::Config {
        name: "LARGESSE_EVENTS".to_owned(),
        subjects: vec!["largesse.v1.event.>".to_owned()],
        ..jetstream::stream::Config::default()
    };
    context.create_stream(config).await.unwrap();
    context.publish("largesse.v1.event.till", "somebody's event".into()).await.unwrap().await.unwrap();
    let streams = async || {
        let names = context.stream_names();
        futures::TryStreamExt::try_collect::<Vec<String>>(names).await.unwrap()
    };
    let bench = |dir: &Path| {
        let load = ["bench", "decide", "--bus", "nats", "--members", "50", "--events", "200"];
        run(&[&load[..], &["--nats", &server.url(), "--dir", text(dir)]].concat())
    };
    let (good, broken) = (dir.path().join("good"), dir.path().join("broken"));
    let output = bench(&good);
    assert!(output.status.success(), "{}", common::stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["granted"].as_u64().unwrap() > 0, "nothing was published: {report}");
    assert_eq!(streams().await, ["LARGESSE_EVENTS"]);

    // A ledger that cannot be opened, found once the streams are there.
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("made-by-largesse-bench"), "").unwrap();
    std::fs::write(broken.join("ledger.db"), "not a database").unwrap();
    let output = bench(&broken);
    assert_eq!(output.status.code(), Some(1), "{}", common::stderr(&output));
    assert_eq!(streams().await, ["LARGESSE_EVENTS"]);
    let untouched = context.get_stream("LARGESSE_EVENTS").await.unwrap();
    assert!(untouched.consumer_info("largesse-intake").await.is_err(), "the bench consumed events of others");
    assert_eq!(stream_messages(&context, "LARGESSE_EVENTS").await, 1);
}

#[test]
fn a_bench_keeps_away_from_ledgers_that_are_not_its_own() {
    let dir = folder();
    let (events, ledger) = (dir.path().join("events.csv"), dir.path().join("ledger"));
    purchases(&events, 5);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    let before = query(&ledger, "SELECT count(*) FROM record");
    refused(&["bench", "decide", "--dir", text(&ledger)], 2, "already holds a ledger");
    assert_eq!(query(&ledger, "SELECT count(*) FROM record"), before);
    for option in ["--in-flight", "--resident", "--members", "--events", "--rate"] {
        refused(&["bench", "decide", option, "0"], 2, option);
    }
    // Its own are added to; a start that fails says why and leaves nothing in the temporary folder.
    let (own, temporary) = (dir.path().join("own"), folder());
    let load = ["bench", "decide", "--members", "20", "--events", "40", "--dir", text(&own)];
    run_json(&load);
    run_json(&[&load[..], &["--cold", "--seed", "2"]].concat());
    let output = largesse()
        .args(["bench", "decide", "--bus", "nats", "--nats", "nats://127.0.0.1:1"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(common::stderr(&output).contains("127.0.0.1:1"), "{}", common::stderr(&output));
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "the temporary folder is left over");
}
