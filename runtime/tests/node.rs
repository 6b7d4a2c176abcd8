//! A whole node on the in-process bus: bad input, failing members, passivation, restarts.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Outcome, Reason};
use ledger::{Filter, Kind, Reader, Row};
use runtime::config::{ClockKind, Faults};
use runtime::{Node, Options};

fn options(dir: &Path) -> Options {
    Options { clock: ClockKind::Events, ..Options::in_dir(dir) }
}

fn purchase(member: &str, id: &str, day: u32) -> String {
    format!(
        r#"{{"schema":1,"event_id":"{id}","member":"{member}","type":"purchase","event_time":"2019-03-{day:02}T12:00:00-05:00",
        "source":"test","touchpoint":"pos","data":{{"amount":"80.00","items":5}}}}"#
    )
}

/// Sends events and waits until all of them are done.
async fn send(node: &Node, events: impl IntoIterator<Item = impl Into<Vec<u8>>>) {
    let memory = node.memory.as_ref().unwrap();
    let before = node.metrics.counters.received.load(Ordering::Acquire);
    let mut sent = 0;
    for event in events {
        memory.send_event(Bytes::from(event.into())).await.unwrap();
        sent += 1;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    let counters = &node.metrics.counters;
    while counters.received.load(Ordering::Acquire) < before + sent
        || counters.in_flight.load(Ordering::Acquire) > 0
    {
        assert!(Instant::now() < deadline, "events were not finished");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn stop(node: Node) {
    node.stop();
    node.join().await.unwrap();
}

fn rows(dir: &Path, kind: Kind) -> Vec<Row> {
    let filter = Filter { kind: Some(kind), limit: 1_000, ..Filter::default() };
    Reader::open(dir).unwrap().list(&filter).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_events_become_dead_letters_with_field_level_reasons() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(&options(dir.path())).await.unwrap();
    let good = purchase("m", "good", 1);
    let bad: Vec<Vec<u8>> = vec![
        b"not json".to_vec(),
        b"{\"member\":\"\xff\"}".to_vec(),
        good.replace("purchase", "wizard").replace("good", "b1").into(),
        good.replace("\"80.00\"", "\"-80.00\"").replace("good", "b2").into(),
        good.replace("2019-03-01", "2119-03-01").replace("good", "b3").into(),
        good.replace("2019-03-01", "1919-03-01").replace("good", "b4").into(),
        good.replace("\"member\":\"m\",", "").replace("good", "b5").into(),
    ];
    let events = std::iter::once(good.clone().into_bytes()).chain(bad).chain([good.into_bytes()]);
    send(&node, events).await;
    let counted = node.metrics.counters.snapshot();
    assert_eq!((counted.received, counted.moments, counted.dead_letters), (9, 1, 8));
    stop(node).await;
    let reasons: Vec<Reason> =
        rows(dir.path(), Kind::DeadLetter).iter().filter_map(|row| row.reason).collect();
    use Reason::*;
    let expected =
        [MalformedJson, NotUtf8, UnknownType, AmountOutOfRange, TimeInFuture, TimeTooOld, MissingField];
    for reason in expected.into_iter().chain([DuplicateEvent]) {
        assert!(reasons.contains(&reason), "{reason} is missing from {reasons:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_members_must_be_known_an_enrolment_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy");
    std::fs::create_dir(&policy).unwrap();
    for (file, text) in policies::starter::GROCERY {
        std::fs::write(policy.join(file), text.replace("\"enrol\"", "\"known\"")).unwrap();
    }
    let ledger = dir.path().join("ledger");
    let node = Node::start(&Options { policy: Some(policy), ..options(&ledger) }).await.unwrap();
    let enrolled = purchase("b", "e", 1).replace("purchase", "enrolled");
    send(&node, [purchase("a", "1", 1), enrolled, purchase("b", "2", 1)]).await;
    stop(node).await;
    let refused: Vec<_> = rows(&ledger, Kind::DeadLetter).iter().filter_map(|row| row.reason).collect();
    assert_eq!(refused, [Reason::UnknownMember]);
    assert_eq!(rows(&ledger, Kind::Decision).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn timers_cannot_be_forged() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(&options(dir.path())).await.unwrap();
    send(&node, [purchase("a", "expired-1", 1), purchase("a", "quiet-1", 1)]).await;
    let counted = node.metrics.counters.snapshot();
    assert_eq!((counted.dead_letters, counted.moments), (2, 0));
    stop(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_whose_agent_panics_harms_no_sibling_and_its_poison_is_quarantined() {
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults { panic_on_event: Some("poison".to_owned()) };
    let node = Node::start(&Options { faults, ..options(dir.path()) }).await.unwrap();
    let events = ["a1", "poison", "a2"].map(|id| purchase("a", id, 1)).into_iter();
    let siblings = (0..50).map(|number| purchase(&format!("s{number}"), &format!("s{number}"), 1));
    send(&node, events.chain(siblings)).await;
    let counted = node.metrics.counters.snapshot();
    assert_eq!(counted.restarts, 5, "tried five times");
    assert_eq!((counted.moments, counted.dead_letters), (52, 1), "everybody else was decided");
    stop(node).await;
    let dead = rows(dir.path(), Kind::DeadLetter);
    assert_eq!(dead[0].reason, Some(Reason::Poison));
    assert_eq!(dead[0].event_id.as_ref().map(|id| id.as_str()), Some("poison"));
    let replay_members = rows(dir.path(), Kind::Decision).iter().filter(|row| row.event_id.is_some()).count();
    assert_eq!(replay_members, 52);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_leave_and_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(&Options { resident_members_max: 8, ..options(dir.path()) }).await.unwrap();
    for day in 1..=5 {
        let events = (0..100).map(|member| purchase(&format!("m{member}"), &format!("e{day}-{member}"), day));
        send(&node, events).await;
    }
    let counted = node.metrics.counters.snapshot();
    assert!(counted.passivations > 100, "{} passivations", counted.passivations);
    assert_eq!(counted.moments, 500);
    stop(node).await;
    // A member with all its purchases has no second reward within the cool-down, wherever it lived meanwhile.
    let granted =
        rows(dir.path(), Kind::Decision).into_iter().filter(|row| row.outcome == Some(Outcome::Granted));
    let mut last = std::collections::BTreeMap::new();
    for row in granted {
        let (member, time) = (row.member.unwrap(), row.event_time.unwrap());
        if let Some(before) = last.insert(member, time) {
            assert!(time.since(before) >= 48 * domain::time::HOUR, "cool-down forgotten");
        }
    }
    assert!(!last.is_empty(), "nothing was granted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_node_remembers_its_members_and_budgets() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(&options(dir.path())).await.unwrap();
    send(&node, (0..40).map(|member| purchase(&format!("m{member}"), &format!("a{member}"), 1))).await;
    stop(node).await;
    let committed = |dir: &Path| {
        let budgets = Reader::open(dir).unwrap().budgets().unwrap();
        budgets.iter().find(|(id, _)| id == "global").map(|(_, balance)| balance.committed).unwrap()
    };
    let before = committed(dir.path());
    let node = Node::start(&options(dir.path())).await.unwrap();
    send(&node, (0..40).map(|member| purchase(&format!("m{member}"), &format!("b{member}"), 2))).await;
    let counted = node.metrics.counters.snapshot();
    assert!(counted.suppressed > 0, "nobody is in a cool-down after the restart");
    assert_eq!(counted.moments, 40);
    stop(node).await;
    assert!(committed(dir.path()) >= before);
    assert!(ledger::verify(dir.path(), &ledger::VerifyOptions::default(), |_, _| {}).unwrap().is_verified());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_events_of_a_member_are_handled_in_the_order_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(&options(dir.path())).await.unwrap();
    let events = (0..400)
        .map(|number| purchase(&format!("m{}", number % 7), &format!("e{number:03}"), 1 + number / 40));
    send(&node, events).await;
    stop(node).await;
    let reader = Reader::open(dir.path()).unwrap();
    let rows = reader.after(ledger::Seq::START, 1_000).unwrap();
    let mut last: std::collections::BTreeMap<_, String> = std::collections::BTreeMap::new();
    let mut seen = 0;
    for row in rows {
        let (Some(member), Some(event)) = (row.member, row.event_id) else { continue };
        if !event.as_str().starts_with('e') || event.as_str().starts_with("expired") {
            continue;
        }
        seen += 1;
        let before = last.insert(member, event.as_str().to_owned());
        assert!(
            before.is_none_or(|before| before.as_str() < event.as_str()),
            "{event} came after a later one"
        );
    }
    assert_eq!((seen, last.len()), (400, 7));
}

/// Only what is sealed says up to which row a stored state holds: a raised column must not hide what a member said since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_objection_is_heard_although_somebody_raised_the_row_of_the_stored_state() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    for day in 1..4 {
        let node = Node::start(&options).await.unwrap();
        send(&node, [purchase("m", &format!("t{day}"), day)]).await;
        stop(node).await;
    }
    let objects = purchase("m", "o", 5)
        .replace("purchase", "objection")
        .replace(r#""amount":"80.00","items":5"#, r#""active":true"#);
    let node = Node::start(&options).await.unwrap();
    send(&node, [objects]).await;
    stop(node).await;
    let reader = Reader::open(dir.path()).unwrap();
    let member = rows(dir.path(), Kind::Decision).pop().unwrap().member.unwrap();
    let stored = reader.state(member).unwrap().expect("no state is stored");
    let options_of = ledger::Options::new(dir.path(), &reader.origin().unwrap(), runtime::clock::wall());
    drop(reader);
    let mut writer = ledger::Writer::open(&options_of).unwrap().0;
    let as_of = ledger::Seq(writer.size());
    assert!(stored.as_of < as_of, "the objection is in the stored state");
    let state = ledger::State {
        sealed: ledger::Sealed::from_ciphertext(stored.ciphertext),
        next_due: stored.next_due,
    };
    writer.save(runtime::clock::wall(), &[ledger::Snapshot { member, as_of, state }]).unwrap();
    drop(writer);
    let node = Node::start(&options).await.unwrap();
    send(&node, [purchase("m", "after", 20)]).await;
    stop(node).await;
    let decision = rows(dir.path(), Kind::Decision).pop().unwrap();
    assert_eq!((decision.event_id.unwrap().as_str(), decision.reason), ("after", Some(Reason::Objected)));
}

/// A folder with the grocery program, where at most three dollars are promised and unused at a time.
fn little_exposure(dir: &Path) -> std::path::PathBuf {
    let policy = dir.join("policy");
    std::fs::create_dir(&policy).unwrap();
    for (file, text) in policies::starter::GROCERY {
        let limited = text.replace("\n[approval]\n", "\n[exposure]\nlimit = \"3.00\"\n\n[approval]\n");
        std::fs::write(policy.join(file), limited).unwrap();
    }
    policy
}

fn promised(dir: &Path) -> Vec<Row> {
    let granted = |row: &Row| row.outcome == Some(Outcome::Granted);
    rows(dir, Kind::Decision).into_iter().filter(granted).collect()
}

fn exposed(dir: &Path) -> i64 {
    let budgets = Reader::open(dir).unwrap().budgets().unwrap();
    budgets.iter().find(|(id, _)| &**id == "exposure").map_or(0, |(_, balance)| balance.reserved.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exposure_is_bounded_over_restarts_and_a_used_promise_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let (policy, ledger) = (little_exposure(dir.path()), dir.path().join("ledger"));
    let options = Options { policy: Some(policy), ..options(&ledger) };
    // Somebody who is slipping away is worth a promise: a few trips, then one after a long time.
    let trips = |member: u32| {
        (1..4).map(move |day| purchase(&format!("m{member}"), &format!("t{member}-{day}"), day))
    };
    let back = |member: u32| purchase(&format!("m{member}"), &format!("b{member}"), 29);
    let node = Node::start(&options).await.unwrap();
    for member in 0..40 {
        send(&node, trips(member)).await;
    }
    for member in 0..20 {
        send(&node, [back(member)]).await;
    }
    stop(node).await;
    let (first, open) = (promised(&ledger), exposed(&ledger));
    assert!(open > 0 && open <= 3_000_000, "{open} of {} promises", first.len());
    let refused = Reason::ExposureLimit.number().to_string();
    let full = |row: &Row| row.body.as_deref().is_some_and(|body| body.contains(&format!(",{refused},")));
    assert!(rows(&ledger, Kind::Decision).iter().any(full), "nothing was refused for exposure");
    let node = Node::start(&options).await.unwrap();
    for member in 20..30 {
        send(&node, [back(member)]).await;
    }
    stop(node).await;
    assert!(exposed(&ledger) <= 3_000_000, "the next run promised beyond it");
    let before = promised(&ledger).len();
    let node = Node::start(&options).await.unwrap();
    for (number, row) in promised(&ledger).iter().enumerate() {
        let id = uuid::Uuid::from_bytes(row.record_id);
        let event = row.event_id.as_ref().unwrap().as_str();
        let member = event.trim_start_matches(['b', 't']).split('-').next().unwrap();
        let used = purchase(&format!("m{member}"), &format!("u{number}"), 30)
            .replace("purchase", "redeemed")
            .replace(r#""amount":"80.00","items":5"#, &format!(r#""decision":"{id}""#));
        send(&node, [used]).await;
    }
    stop(node).await;
    assert_eq!(exposed(&ledger), 0, "what was used is no longer exposed");
    let node = Node::start(&options).await.unwrap();
    for member in 0..40 {
        send(&node, [purchase(&format!("m{member}"), &format!("a{member}"), 31)]).await;
    }
    stop(node).await;
    assert!(promised(&ledger).len() > before, "what was used made no room");
    assert!(exposed(&ledger) <= 3_000_000);
    ledger::verify(&ledger, &ledger::VerifyOptions::default(), |_, _| {}).unwrap();
}
