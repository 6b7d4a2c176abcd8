//! `largesse bench decide`: load on the real path, measured from the arrival of the JSON to the published row.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::Timestamp;
use domain::random::splitmix64;
use runtime::bus::Bus;
use runtime::config::NatsOptions;
use runtime::metrics::CountersSnapshot;
use runtime::{Node, Options};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::node_errors;
use crate::output;

/// Events on their way to a NATS server without confirmation.
const UNCONFIRMED_MAX: usize = 2_000;

/// Which bus carries the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum BusKind {
    Memory,
    Nats,
}

/// Drive events through the real path and print what it takes
#[derive(clap::Args)]
pub struct Args {
    /// Members the events are spread over
    #[arg(long, value_name = "N", default_value_t = 50_000)]
    members: u32,
    /// Events to send
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// In-process bus or NATS
    #[arg(long, value_enum, default_value = "memory")]
    bus: BusKind,
    /// NATS server for --bus nats
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222", env = "LARGESSE_NATS_URL")]
    nats: String,
    /// Events per second; as fast as possible when absent
    #[arg(long, value_name = "N")]
    rate: Option<u64>,
    /// Do not let every member make a purchase before the clock starts: events of unknown members enrol them
    #[arg(long)]
    cold: bool,
    /// Member agents kept in memory
    #[arg(long, value_name = "N", default_value_t = runtime::config::RESIDENT_MEMBERS_MAX)]
    resident: usize,
    /// Events being handled at once
    #[arg(long, value_name = "N", default_value_t = runtime::config::IN_FLIGHT_MAX)]
    in_flight: usize,
    /// Seed of the events
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Ledger folder, kept afterwards; a temporary one when absent
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Also run the same work as one loop without actors, bus and relay, and report the ratio
    #[arg(long)]
    without_actors: bool,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
}

/// What was measured.
#[derive(Serialize)]
struct Report {
    bus: &'static str,
    members: u64,
    /// Members enrolled before the clock started.
    known: u64,
    events: u64,
    rate: Option<u64>,
    engine: String,
    events_per_s: f64,
    p50_us: u64,
    p99_us: u64,
    /// CPU seconds of this process per 1,000 events (a NATS server's own are not included).
    cpu_s_per_1k: f64,
    /// Highest resident memory of this process.
    rss_mb: u64,
    /// From the start of the node to its first durable decision.
    first_decision_ms: u64,
    moments: u64,
    granted: u64,
    fallback_scores: u64,
    negotiations: u64,
    certified: u64,
    commits: u64,
    rows_per_commit: f64,
    commit_us_mean: f64,
    stages_us: std::collections::BTreeMap<&'static str, runtime::metrics::Quantiles>,
    /// Events per second of the same work without actors, and this run's share of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    without_actors: Option<WithoutActors>,
}

#[derive(Serialize)]
struct WithoutActors {
    events_per_s: f64,
    ratio: f64,
}

pub fn run(args: &Args) -> Result {
    if args.members == 0 || args.events == 0 || args.rate == Some(0) {
        return Err(Failure::usage("--members, --events and --rate must be at least 1"));
    }
    let (dir, temporary) = match &args.dir {
        Some(dir) => (dir.clone(), false),
        None => (std::env::temp_dir().join(format!("largesse-bench-{}", std::process::id())), true),
    };
    let options = Options {
        resident_members_max: args.resident,
        in_flight_max: args.in_flight,
        nats: (args.bus == BusKind::Nats).then(|| NatsOptions::at(&args.nats)),
        onnxruntime: args.onnxruntime.clone(),
        ..Options::in_dir(&dir)
    };
    let mut report = crate::block_on(measure(args, &options));
    if let (Ok(report), true) = (&mut report, args.without_actors) {
        let models = runtime::node::load_models(&options).map_err(node_errors)?;
        let events_per_s =
            super::bare::measure(&dir.join("bare"), models, introductions(args), &generate(args))?;
        let ratio = (report.events_per_s / events_per_s * 1000.0).round() / 1000.0;
        report.without_actors = Some(WithoutActors { events_per_s, ratio });
    }
    if temporary {
        std::fs::remove_dir_all(&dir)?;
    }
    output::json(&report?)?;
    Ok(Verdict::Ok)
}

async fn measure(args: &Args, options: &Options) -> Result<Report> {
    let (introductions, events) = (introductions(args), generate(args));
    let known = introductions.len() as u64;
    let starting = Instant::now();
    let node = Node::start(options).await.map_err(node_errors)?;
    let counters = &node.metrics.counters;
    send(&node, events.iter().take(1).cloned(), None).await?;
    wait(&node, 1).await;
    let first_decision_ms = u64::try_from(starting.elapsed().as_millis()).unwrap_or(u64::MAX);
    drive(&node, "enrolling", introductions, None, 1).await?;
    let before = counters.snapshot();
    node.metrics.restart_latencies();
    let (cpu_before, started) = (cpu_seconds(), Instant::now());
    drive(&node, "deciding", events[1..].iter().cloned(), args.rate, 1 + known).await?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let counted = counters.snapshot();
    let news = |pick: fn(&CountersSnapshot) -> u64| pick(&counted) - pick(&before);
    let stages: std::collections::BTreeMap<_, _> = node.metrics.quantiles().into_iter().collect();
    let total = stages.get("total").copied().unwrap_or_default();
    let engine = format!("{} {}", node.engine.name, node.engine.version);
    let rss_mb = peak_memory_mb();
    node.stop();
    node.join().await.map_err(node_errors)?;
    let per = |amount: u64, of: u64| (amount as f64 / of.max(1) as f64 * 10.0).round() / 10.0;
    Ok(Report {
        bus: if args.bus == BusKind::Nats { "nats" } else { "memory" },
        members: u64::from(args.members),
        known,
        events: args.events,
        rate: args.rate,
        engine,
        events_per_s: ((args.events - 1) as f64 / seconds).round(),
        p50_us: total.p50,
        p99_us: total.p99,
        cpu_s_per_1k: (cpu / args.events as f64 * 1e6).round() / 1e3,
        rss_mb,
        first_decision_ms,
        moments: news(|c| c.moments),
        granted: news(|c| c.granted),
        fallback_scores: news(|c| c.fallback_scores),
        negotiations: news(|c| c.negotiations),
        certified: news(|c| c.certified),
        commits: news(|c| c.commits),
        rows_per_commit: per(news(|c| c.records), news(|c| c.commits)),
        commit_us_mean: per(news(|c| c.commit_us), news(|c| c.commits)),
        stages_us: stages,
        without_actors: None,
    })
}

/// Sends events, shows progress, and waits until they are durable and published.
async fn drive(
    node: &Node,
    doing: &'static str,
    events: impl ExactSizeIterator<Item = Bytes>,
    rate: Option<u64>,
    before: u64,
) -> Result<()> {
    let until = before + events.len() as u64;
    let received = || node.metrics.counters.received.load(Ordering::Relaxed);
    let bar = output::progress(doing);
    bar.set_length(events.len() as u64);
    let watching = async {
        while received() < until && !node.is_finished() {
            bar.set_position(received() - before);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::join!(send(node, events, rate), watching).0?;
    wait(node, until).await;
    bar.finish_and_clear();
    Ok(())
}

/// One purchase of every member, a week before the measured ones; made as they are sent, since a million of
/// them would take more memory than the node.
fn introductions(args: &Args) -> impl ExactSizeIterator<Item = Bytes> + use<> {
    let members = if args.cold { 0 } else { args.members };
    let time = Timestamp(runtime::clock::wall().0 - 7 * domain::time::DAY);
    (0..members).map(move |member| {
        purchase("i", u64::from(member), u64::from(member), time, splitmix64(u64::from(member)))
    })
}

/// Purchases of members drawn with a skew (half of the events come from a sixth of the members), made before
/// the clock starts.
fn generate(args: &Args) -> Vec<Bytes> {
    let now = runtime::clock::wall();
    let event = |index: u64| {
        let draw = splitmix64(args.seed.wrapping_mul(0x9E37_79B9).wrapping_add(index));
        let unit = draw >> 40;
        let member = (u128::from(unit) * u128::from(unit) * u128::from(args.members)) >> 48;
        let time = Timestamp(now.0 - 1_000_000 + i64::try_from(index % 1_000_000).unwrap_or(0));
        purchase(&format!("b{}-", args.seed), index, member as u64, time, draw)
    };
    (0..args.events).map(event).collect()
}

fn purchase(prefix: &str, index: u64, member: u64, time: Timestamp, draw: u64) -> Bytes {
    let cents = 200 + splitmix64(draw) % 12_000;
    Bytes::from(format!(
        "{{\"schema\":1,\"event_id\":\"{prefix}{index}\",\"member\":\"m{member}\",\"type\":\"purchase\",\
         \"event_time\":\"{time}\",\"source\":\"bench\",\"touchpoint\":\"pos\",\
         \"data\":{{\"amount\":\"{}.{:02}\",\"items\":{},\"discount\":\"0.00\"}}}}",
        cents / 100,
        cents % 100,
        1 + draw % 20
    ))
}

async fn send(node: &Node, events: impl Iterator<Item = Bytes>, rate: Option<u64>) -> Result<()> {
    let started = Instant::now();
    let subject = node.subjects.event("bench");
    let mut unconfirmed = std::collections::VecDeque::new();
    for (sent, event) in (0u64..).zip(events) {
        if let Some(rate) = rate {
            // Sent in steps of a millisecond, the finest the timer keeps.
            let due = started + Duration::from_micros(sent * 1_000_000 / rate);
            if due > Instant::now() {
                tokio::time::sleep_until(due.into()).await;
            }
        }
        match (&node.bus, &node.memory) {
            (Bus::Memory(_), Some(memory)) => memory.send_event(event).await.map_err(Failure::runtime)?,
            (Bus::Nats(nats), _) => {
                let pending = nats.send_event(subject.clone(), event).await;
                unconfirmed.push_back(pending.map_err(Failure::unavailable)?);
                if unconfirmed.len() > UNCONFIRMED_MAX
                    && let Some(oldest) = unconfirmed.pop_front()
                {
                    oldest.stored().await.map_err(Failure::unavailable)?;
                }
            }
            (Bus::Memory(_), None) => {}
        }
    }
    for pending in unconfirmed {
        pending.stored().await.map_err(Failure::unavailable)?;
    }
    Ok(())
}

async fn wait(node: &Node, events: u64) {
    let counters = &node.metrics.counters;
    let done = || {
        counters.received.load(Ordering::Acquire) >= events && counters.in_flight.load(Ordering::Acquire) == 0
    };
    while !done() && !node.is_finished() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// CPU time of this process so far, user and system.
fn cpu_seconds() -> f64 {
    // Fields 14 and 15 of /proc/self/stat, in clock ticks of 10 ms; the name in field 2 may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / 100.0
}

fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
