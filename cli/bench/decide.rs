//! `largesse bench decide`: load on the real path, measured from the arrival of the JSON to the published row.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::builder::RangedU64ValueParser;
use domain::Timestamp;
use domain::random::splitmix64;
use runtime::bus;
use runtime::bus::nats::NatsServer;
use runtime::config::NatsOptions;
use runtime::metrics::CountersSnapshot;
use runtime::{Node, Options};
use serde::Serialize;

use super::bare::{Recording, Took};
use super::explanation::{self, Explanation};
use crate::exit::{Failure, Result, Verdict};
use crate::feed::{self, Feed};
use crate::folder;
use crate::node_errors;
use crate::output;

/// Marks a folder as made by this bench, so that a later one may add to its ledger.
const MARKER: &str = "made-by-largesse-bench";
/// Where the loop without actors keeps its ledger, inside the bench's folder; each run makes it anew.
const BARE: &str = "bare";

/// Which bus carries the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum BusKind {
    Memory,
    Nats,
}

/// Drive events through the real path and print what it takes
#[derive(clap::Args)]
#[command(after_help = "\
Over NATS it uses subjects and streams of its own, which no other node sees, and deletes the streams at the end.
A folder named with --dir must hold no ledger, or one of an earlier bench, which is added to.")]
pub struct Args {
    /// Members the events are spread over
    #[arg(long, value_name = "N", default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
    /// Events to send
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// In-process bus or NATS
    #[arg(long, value_enum, default_value = "memory")]
    bus: BusKind,
    /// NATS server for --bus nats
    #[arg(long, value_name = "URL", default_value = "nats://127.0.0.1:4222", env = "LARGESSE_NATS_URL")]
    nats: String,
    /// Events per second; as fast as possible when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// Do not let every member make a purchase before the clock starts: events of unknown members enrol them
    #[arg(long)]
    cold: bool,
    /// Member agents kept in memory
    #[arg(
        long, value_name = "N", default_value_t = runtime::config::RESIDENT_MEMBERS_MAX,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    resident: usize,
    /// Events being handled at once
    #[arg(
        long, value_name = "N", default_value_t = runtime::config::IN_FLIGHT_MAX,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
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
    /// Also run the loop without actors this many times with and without recording what explains a decision, by turns
    #[arg(long, value_name = "RUNS", value_parser = clap::value_parser!(u32).range(1..=100))]
    explanation: Option<u32>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

#[derive(Serialize)]
struct WithoutActors {
    events_per_s: f64,
    ratio: f64,
}

pub fn run(args: &Args) -> Result {
    // Also names the subjects, so no two runs on one server meet.
    let run = format!("largesse-bench-{}", uuid::Uuid::now_v7().simple());
    let dir = args.dir.clone().unwrap_or_else(|| std::env::temp_dir().join(&run));
    let nats = match args.bus {
        BusKind::Memory => None,
        BusKind::Nats => Some(NatsOptions::under(&args.nats, &format!("{run}.v1")).map_err(Failure::usage)?),
    };
    let options = Options {
        resident_members_max: args.resident,
        in_flight_max: args.in_flight,
        nats,
        onnxruntime: args.onnxruntime.clone(),
        ..Options::in_dir(&dir)
    };
    prepare(&dir)?;
    let report = crate::block_on(Box::pin(with_own_streams(&options, work(args, &options))));
    if args.dir.is_none()
        && let Err(error) = std::fs::remove_dir_all(&dir)
    {
        output::say(&format!("largesse: the temporary folder {} is left over: {error}", dir.display()));
    }
    output::json(&report?)?;
    Ok(Verdict::Ok)
}

/// Synthetic rows are added to a bench's ledger only.
fn prepare(dir: &Path) -> Result<()> {
    if !dir.join(MARKER).exists() {
        folder::refuse_ledger(dir)?;
    }
    folder::make(dir, MARKER, "Written by `largesse bench decide`: synthetic events, nobody's promises.\n")
}

/// Does the work; over NATS with streams that are deleted afterwards, however it ended.
async fn with_own_streams<T>(options: &Options, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(nats) = &options.nats else { return work.await };
    let server = NatsServer::reach(nats.clone()).await.map_err(Failure::unavailable)?;
    let result = work.await;
    if let Err(error) = server.remove_streams().await {
        let prefix = &nats.stream_prefix;
        output::say(&format!(
            "largesse: {error}; {prefix}_EVENTS and {prefix}_REWARDS may be left over; delete them with `nats stream rm`"
        ));
    }
    result
}

/// The measurements, unless a signal ends them early.
async fn work(args: &Args, options: &Options) -> Result<Report> {
    let measured = async {
        let mut report = measure(args, options).await?;
        if args.without_actors {
            let events_per_s = bare_loop(args, options, Recording::Whole).await?.events_per_s;
            let ratio = (report.events_per_s / events_per_s * 1000.0).round() / 1000.0;
            report.without_actors = Some(WithoutActors { events_per_s, ratio });
        }
        if let Some(runs) = args.explanation {
            report.explanation = Some(explanation::measure(args, options, runs).await?);
        }
        Ok(report)
    };
    tokio::select! {
        report = measured => report,
        () = crate::serve::signalled() => Err(Failure::runtime(anyhow::anyhow!("interrupted"))),
    }
}

/// What the loop takes, on a thread of its own so that a signal is still heard.
pub(super) async fn bare_loop(args: &Args, options: &Options, recording: Recording) -> Result<Took> {
    let dir = options.dir.join(BARE);
    prepare(&dir)?;
    folder::remove_ledger(&dir)?;
    let models = runtime::node::load_models(options).map_err(node_errors)?;
    let (introductions, events) = (introductions(args), generate(args));
    let (done, loop_done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        // Nobody waits for it any more after a signal.
        let _interrupted = done.send(super::bare::measure(&dir, recording, models, introductions, &events));
    });
    loop_done.await.map_err(|_| Failure::runtime(anyhow::anyhow!("the loop without actors panicked")))?
}

async fn measure(args: &Args, options: &Options) -> Result<Report> {
    let (introductions, events) = (introductions(args), generate(args));
    let starting = Instant::now();
    let node = Node::start(options).await.map_err(node_errors)?;
    let report = load(args, &node, starting, introductions, &events).await;
    feed::close(node, options, report, "nothing was measured").await
}

async fn load(
    args: &Args,
    node: &Node,
    starting: Instant,
    introductions: impl ExactSizeIterator<Item = Bytes>,
    events: &[Bytes],
) -> std::result::Result<Report, bus::Error> {
    let known = introductions.len() as u64;
    let mut feed = Feed::into(node, "bench");
    for event in events.iter().take(1) {
        feed.send(event.clone()).await?;
    }
    feed.settled(|_| ()).await?;
    let first_decision_ms = u64::try_from(starting.elapsed().as_millis()).unwrap_or(u64::MAX);
    drive(&mut feed, "enrolling", introductions, None).await?;
    let counters = &node.metrics.counters;
    let before = counters.snapshot();
    node.metrics.restart_latencies();
    let (cpu_before, started) = (cpu_seconds(), Instant::now());
    drive(&mut feed, "deciding", events.iter().skip(1).cloned(), args.rate).await?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu_before);
    let counted = counters.snapshot();
    let news = |pick: fn(&CountersSnapshot) -> u64| pick(&counted) - pick(&before);
    let stages: std::collections::BTreeMap<_, _> = node.metrics.quantiles().into_iter().collect();
    let total = stages.get("total").copied().unwrap_or_default();
    let per = |amount: u64, of: u64| (amount as f64 / of.max(1) as f64 * 10.0).round() / 10.0;
    Ok(Report {
        bus: if args.bus == BusKind::Nats { "nats" } else { "memory" },
        members: u64::from(args.members),
        known,
        events: args.events,
        rate: args.rate,
        engine: format!("{} {}", node.engine.name, node.engine.version),
        events_per_s: ((args.events - 1) as f64 / seconds).round(),
        p50_us: total.p50,
        p99_us: total.p99,
        cpu_s_per_1k: (cpu / args.events as f64 * 1e6).round() / 1e3,
        rss_mb: peak_memory_mb(),
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
        explanation: None,
    })
}

/// Sends events at a rate, shows progress, and waits until they are durable and published.
async fn drive(
    feed: &mut Feed<'_>,
    doing: &'static str,
    events: impl ExactSizeIterator<Item = Bytes>,
    rate: Option<u64>,
) -> std::result::Result<(), bus::Error> {
    let bar = output::progress(doing);
    bar.set_length(events.len() as u64);
    let (before, started) = (feed.sent(), Instant::now());
    for (sent, event) in (0u64..).zip(events) {
        if let Some(rate) = rate {
            // Sent in steps of a millisecond, the finest the timer keeps.
            let due = started + Duration::from_micros(sent.saturating_mul(1_000_000) / rate);
            if due > Instant::now() {
                tokio::time::sleep_until(due.into()).await;
            }
        }
        feed.send(event).await?;
        if sent.is_multiple_of(512) {
            bar.set_position(feed.received().saturating_sub(before));
        }
    }
    feed.settled(|received| bar.set_position(received.saturating_sub(before))).await?;
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

/// CPU time of this process so far, user and system.
pub(super) fn cpu_seconds() -> f64 {
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
