//! A node that serves beside the commands, and events for it.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;

use super::office::Office;
use super::{NatsServer, largesse, query, text};

/// Serves the office's ledger, or a new one, behind a server.
pub fn serve(office: &Office, server: &NatsServer) -> Child {
    serve_with(office, server, "")
}

/// The same, with more keys under `[node]`.
pub fn serve_with(office: &Office, server: &NatsServer, keys: &str) -> Child {
    let config = office.path("largesse.toml");
    let document = format!("[node]\ndir = \"ledger\"\n{keys}\n[nats]\nurl = \"{}\"\n", server.url());
    std::fs::write(&config, document).unwrap();
    largesse()
        .args(["serve", "--config", text(&config)])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Waits until something is so.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A purchase now, of one of many members.
pub fn purchase(number: u32) -> String {
    let now = runtime::clock::wall();
    format!(
        r#"{{"schema":1,"event_id":"live-{number:06}","member":"live-{}","type":"purchase","event_time":"{now}",
        "source":"till","touchpoint":"pos","data":{{"amount":"70.00"}}}}"#,
        number % 2_000,
    )
}

/// Sends purchases with these numbers.
pub async fn publish(url: String, numbers: std::ops::Range<u32>) {
    let context = jetstream::new(async_nats::connect(url).await.unwrap());
    for number in numbers {
        context.publish("largesse.v1.event.till", purchase(number).into()).await.unwrap().await.unwrap();
    }
}

/// The number a query of the ledger returns; 0 while there is no ledger.
pub fn number(office: &Office, sql: &str) -> u64 {
    if !office.ledger().join("ledger.db").exists() {
        return 0;
    }
    query(&office.ledger(), sql).parse().unwrap_or(0)
}

/// Rows of published events.
pub fn rows(office: &Office) -> u64 {
    number(office, "SELECT count(*) FROM record WHERE event_id LIKE 'live-%'")
}

/// Runs of the node so far.
pub fn runs(office: &Office) -> u64 {
    number(office, "SELECT count(*) FROM record WHERE kind = 2")
}
