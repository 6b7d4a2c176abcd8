//! Promises that wait for a person: who may answer, what an answer does, and that it does it once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use common::live::{eventually, number, publish, rows, runs, serve, serve_with};
use common::office::Office;
use common::{NatsServer, folder, query, run, run_json, stderr, terminate, text};
use futures::StreamExt;
use serde_json::Value;

/// The promises that wait.
fn waiting(office: &Office) -> Vec<Value> {
    let list = run_json(&["pending", "list", "--dir", text(&office.ledger()), "--output", "json"]);
    list.as_array().unwrap().clone()
}

fn id(line: &Value) -> &str {
    line["decision"].as_str().unwrap()
}

/// Amount reserved and committed in the program's budget, and how many promises wait.
fn balance(office: &Office) -> (u64, u64, u64) {
    let of = |sql: &str| number(office, sql);
    (
        of("SELECT reserved FROM budget WHERE id = 'global'"),
        of("SELECT committed FROM budget WHERE id = 'global'"),
        of("SELECT reserved FROM budget WHERE id = 'waiting'"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_that_waits_goes_out_once_a_person_approves_and_never_when_one_declines() {
    let server = NatsServer::start();
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut rewards = client.subscribe("largesse.v1.reward.>").await.unwrap();
    client.flush().await.unwrap();
    let office = Office { dir: folder() };
    // Every promise waits.
    office.copy_starter();
    office.edit("program.toml", "unit_cost = \"25.00\"", "unit_cost = \"0.01\"");
    let mut node = serve_with(&office, &server, "policy = \"draft\"");
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    let answers = "SELECT count(*) FROM record WHERE event_id LIKE 'answered-%'";
    publish(server.url(), 0..200).await;
    eventually("every event", || rows(&office) >= 200);
    let list = waiting(&office);
    assert!(list.len() >= 4, "too little waits to show anything: {list:?}");
    let cost = |line: &Value| (line["cost"].as_str().unwrap().parse::<f64>().unwrap() * 1e6).round() as u64;
    let (held, spent, count) = balance(&office);
    assert_eq!((held, spent, count), (list.iter().map(cost).sum(), 0, list.len() as u64));
    office.refused("anna", &["pending", "approve", id(&list[0])], "REG0008");
    office.refused("otto", &["pending", "approve", id(&list[0])], "REG0008");
    office.refused("berta", &["pending", "approve", &uuid::Uuid::nil().to_string()], "REG0033");
    // A kill switch holds for what waits, too.
    let reward = list[0]["reward"].as_str().unwrap();
    office.taken("otto", &["stop", "--reward", reward]);
    office.refused("berta", &["pending", "approve", id(&list[0])], "REG0034");
    office.taken("berta", &["resume", "--reward", reward]);
    office.taken("berta", &["pending", "approve", id(&list[0]), "--note", "a friend of the house"]);
    eventually("the approval", || number(&office, answers) == 1);
    let message = tokio::time::timeout(std::time::Duration::from_secs(30), rewards.next()).await;
    let message = message.unwrap().unwrap();
    let told: Value = serde_json::from_slice(&message.payload).unwrap();
    assert_eq!((told["decision"].as_str(), told["outcome"].as_str()), (Some(id(&list[0])), Some("granted")));
    assert_eq!(told["cost"].as_u64(), Some(cost(&list[0])));
    office.refused("berta", &["pending", "approve", id(&list[0])], "REG0032");
    office.taken("otto", &["pending", "decline", id(&list[1])]);
    eventually("the refusal", || number(&office, answers) == 2);
    let gone = cost(&list[0]) + cost(&list[1]);
    assert_eq!(balance(&office), (held - gone, cost(&list[0]), count - 2));
    assert_eq!(terminate(&mut node), Some(0));
    // Approved while no node runs: the next one does it, once.
    office.taken("berta", &["pending", "approve", id(&list[2])]);
    assert_eq!(number(&office, answers), 2);
    // Stopped since: it waits for the switch.
    let reward = list[2]["reward"].as_str().unwrap();
    office.taken("otto", &["stop", "--reward", reward]);
    let before = runs(&office);
    let mut node = serve(&office, &server);
    eventually("a run", || runs(&office) > before);
    // The node answers, so it has looked at what was left to do.
    office.refused("berta", &["pending", "approve", id(&list[2])], "REG0032");
    assert_eq!(number(&office, answers), 2, "a promise went out that was stopped");
    office.taken("berta", &["resume", "--reward", reward]);
    eventually("the approval from before", || number(&office, answers) == 3);
    assert_eq!(terminate(&mut node), Some(0));
    for _ in 0..2 {
        let mut node = serve(&office, &server);
        eventually("a start", || number(&office, answers) == 3);
        assert_eq!(terminate(&mut node), Some(0));
    }
    let message = tokio::time::timeout(std::time::Duration::from_secs(30), rewards.next()).await;
    let told: Value = serde_json::from_slice(&message.unwrap().unwrap().payload).unwrap();
    assert_eq!(told["decision"].as_str(), Some(id(&list[2])));
    let more = tokio::time::timeout(std::time::Duration::from_millis(500), rewards.next()).await;
    assert!(more.is_err(), "a reward went out twice, or one that was declined");
    let left: Vec<String> = waiting(&office).iter().map(|line| id(line).to_owned()).collect();
    assert!(list[..3].iter().all(|line| !left.contains(&id(line).to_owned())), "{left:?}");
    let outcomes = query(&office.ledger(), "SELECT count(*) FROM record WHERE kind = 12");
    assert_eq!(outcomes, "0", "something was refused");
    let replay = run_json(&["replay", "--dir", text(&office.ledger()), "--all", "--output", "json"]);
    assert_eq!(replay["mismatches"], 0, "{replay}");
    let verified = run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"]);
    assert_eq!(verified["verified"], true);
    let nobody = run(&["pending", "approve", "x", "--dir", text(&office.ledger()), "--key", "k"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", stderr(&nobody));
}
