//! Members who leave memory and return, at whatever time, are the members that a replay rebuilds (R-1).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::random::splitmix64;
use runtime::config::ClockKind;
use runtime::{Node, Options};

fn options(dir: &Path) -> Options {
    Options { clock: ClockKind::Events, ..Options::in_dir(dir) }
}

/// In minutes.
const DAY: u64 = 24 * 60;

/// One purchase of a member, so many minutes after the first of January.
fn purchase(member: u64, minute: u64) -> (u64, String) {
    let time = jiff::Timestamp::from_second(1_546_318_800 + (minute * 60).cast_signed()).unwrap();
    let event = format!(
        r#"{{"schema":1,"event_id":"e{member}-{minute}","member":"m{member}","type":"purchase",
        "event_time":"{time}","source":"test","touchpoint":"pos","data":{{"amount":"{}.00","items":5}}}}"#,
        20 + splitmix64(member + minute) % 120,
    );
    (minute, event)
}

/// Runs a node over some events.
async fn run(options: &Options, events: &[(u64, String)]) -> u64 {
    let node = Node::start(options).await.unwrap();
    for (_, event) in events {
        node.memory.as_ref().unwrap().send_event(Bytes::from(event.clone())).await.unwrap();
    }
    let (counters, sent) = (&node.metrics.counters, events.len() as u64);
    let deadline = Instant::now() + Duration::from_secs(60);
    while counters.received.load(Ordering::Acquire) < sent || counters.in_flight.load(Ordering::Acquire) > 0 {
        assert!(Instant::now() < deadline, "events were not finished");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let passivations = counters.snapshot().passivations;
    node.stop();
    node.join().await.unwrap();
    passivations
}

fn assert_replays(dir: &Path) {
    let report = sim::replay::replay(dir, sim::replay::Options::default(), |_, _| {}).unwrap();
    assert!(report.decisions > 200, "{} decisions", report.decisions);
    assert!(report.is_identical(), "{} differ: {:#?}", report.mismatches, report.differences.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_who_leave_and_return_under_load_are_replayed_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { resident_members_max: 16, in_flight_max: 24, ..options(dir.path()) };
    let visit = |member: u64, visit: u64| {
        purchase(member, (visit * 6 + member % 6) * DAY + splitmix64(member ^ visit) % DAY)
    };
    let mut events: Vec<(u64, String)> =
        (0..300).flat_map(|member| (0..23).map(move |at| visit(member, at))).collect();
    events.sort();
    let passivations = run(&options, &events).await;
    assert!(passivations > 1_000, "{passivations} passivations");
    assert_replays(dir.path());
}

/// The ledger knows of a timer (14 quiet days) that a later purchase has moved on. When it is asked for just as the member
/// handles another event, the state must not be written down with half of that event's work done: whoever
/// loads it would fold the event twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_who_were_woken_with_an_event_under_way_are_whole_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    const START: u64 = 500 * DAY;
    let apart = |member: u64| member * 120;
    let all = |day: u64| (0..60).map(move |member| purchase(member, apart(member) + START + day * DAY));
    run(&options, &all(0).chain(all(5)).collect::<Vec<_>>()).await;
    for member in 0..60 {
        // A purchase that arrives months late, and one of somebody else that moves the clock to the timer: the
        // wake-up comes right behind the late purchase. (A recent one would be recognised if folded twice.)
        let late = purchase(member, apart(member));
        let clock = purchase(1_000, apart(member) + START + 14 * DAY + 1);
        run(&options, &[late, clock]).await;
    }
    run(&options, &all(20).collect::<Vec<_>>()).await;
    assert_replays(dir.path());
}
