//! `largesse demo`: a year of real purchases through the full live runtime, then the proof of it.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ledger::{Files, Filter, Keys, Kind, Reader};
use runtime::config::{ClockKind, NatsOptions, Take};
use runtime::{Node, Options};
use sim::explain::Explanation;

use crate::exit::{Failure, Result, Verdict};
use crate::feed::{self, Feed};
use crate::folder;
use crate::node_errors;
use crate::output::{self, Document};
use crate::purchases::{Assumed, Purchases};
use crate::reading;

/// The shipped year: 1,692 real households of the Complete Journey panel (sim/data/completejourney/README.md).
const SHIPPED_EVENTS: &[u8] = include_bytes!("../sim/data/completejourney/events.csv.gz");
/// Where the demo writes when no folder is named.
const DEFAULT_DIR: &str = "largesse-demo";
/// Marks a folder as made by the demo, so that a later demo may replace its ledger.
const MARKER: &str = "made-by-largesse-demo";
/// The shipped year as the demo leaves it beside its ledger.
const EVENTS_FILE: &str = "events.csv.gz";

/// Replay real purchases through the full live runtime and show what was decided and why
#[derive(clap::Args)]
#[command(after_help = "\
The events file has the columns household_id, ts, store, basket_id, amount, items, departments,
fuel_amount, private_label_amount, retail_disc, coupon_disc, coupon_match_disc (plain or .gz).
Time runs at the speed of the events: a year takes seconds. They are replayed in order of time.")]
pub struct Args {
    /// Purchases to replay instead of the shipped year
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Policy bundle instead of the starter grocery program
    #[arg(long, value_name = "DIR")]
    policy: Option<PathBuf>,
    /// NATS server with JetStream instead of the in-process bus
    #[arg(long, value_name = "URL", env = "LARGESSE_NATS_URL")]
    nats: Option<String>,
    /// Empty or new folder for the ledger (default: largesse-demo, where each demo replaces the last one's ledger)
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

/// What the run itself measured.
struct Ran {
    sent: u64,
    assumed: Option<Assumed>,
    seconds: f64,
    metrics: Arc<runtime::metrics::Metrics>,
    engine: String,
    currency: String,
}

pub fn run(args: &Args) -> Result {
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_DIR));
    let options = Options {
        policy: args.policy.clone(),
        clock: ClockKind::Events,
        // Its own purchases only, not what services left on that server or an earlier demo did not finish.
        nats: args.nats.as_deref().map(|url| NatsOptions { take: Take::New, ..NatsOptions::at(url) }),
        onnxruntime: args.onnxruntime.clone(),
        ..Options::in_dir(&dir)
    };
    // Whatever is wrong with what was asked for is found before a folder is made or replaced.
    let given = args.events.as_deref().map(Purchases::read).transpose()?;
    crate::block_on(async { runtime::node::check(&options).await.map_err(node_errors) })?;
    if args.dir.is_some() {
        folder::refuse_used(&dir)?;
    } else {
        clear_last(&dir, given.is_none())?;
    }
    folder::make(&dir, MARKER, "Written by `largesse demo`; the next one replaces the ledger beside it.\n")?;
    let purchases = match given {
        Some(given) => given,
        None => {
            let file = dir.join(EVENTS_FILE);
            std::fs::write(&file, SHIPPED_EVENTS).map_err(|error| {
                Failure::runtime(anyhow::anyhow!("cannot write {}: {error}", file.display()))
            })?;
            Purchases::read(&file)?
        }
    };
    if purchases.reordered {
        output::say("largesse: the purchases are not in order of time; they are replayed in that order");
    }
    let ran = crate::block_on(play(&options, purchases))?;
    let summary = summarise(&dir, &ran)?;
    if args.output == Document::Table {
        let explained = one_decision(&dir)?;
        if let Some(explanation) = &explained {
            let (member, row) = (Some(explanation.event.member), Some(explanation.seq));
            let who = reading::Who { key: None, case: None };
            let purpose = "the example at the end of the demo";
            reading::record(&dir, &who, "demo", purpose, reading::Whose { member, row })?;
        }
        output::line(&report::text(&summary, &ran.currency, explained.as_ref(), &dir))?;
    } else {
        output::json(&summary)?;
    }
    Ok(if summary.is_good() { Verdict::Ok } else { Verdict::FoundBad })
}

/// Removes what an earlier demo left in its own folder, and nothing that somebody else made or went on with.
fn clear_last(dir: &Path, writes_events: bool) -> Result<()> {
    if !dir.join(MARKER).exists() {
        folder::refuse_ledger(dir)?;
        let events = dir.join(EVENTS_FILE);
        if writes_events && events.exists() {
            return Err(Failure::usage(format!(
                "{} is not from a demo; move it away, or name an empty folder with --dir",
                events.display()
            )));
        }
        return Ok(());
    }
    ledger::refuse_in_use(dir).map_err(crate::ledger_errors)?;
    refuse_continued(dir)?;
    folder::remove_ledger(dir)
}

/// A demo's ledger has one start. One with more is somebody's work by now.
fn refuse_continued(dir: &Path) -> Result<()> {
    if !Files::of(dir, None).database.exists() {
        return Ok(());
    }
    let why = match Reader::open(dir).and_then(|reader| reader.counts()) {
        Ok(counts) => {
            let starts: u64 =
                counts.iter().filter(|count| count.kind == Kind::Start).map(|count| count.rows).sum();
            if starts <= 1 {
                return Ok(());
            }
            "a node has gone on with it".to_owned()
        }
        Err(error) => format!("it cannot be read: {error}"),
    };
    Err(Failure::usage(format!(
        "the ledger in {} is not replaced, because {why}; move the folder away, or name an empty one with --dir",
        dir.display()
    )))
}

async fn play(options: &Options, mut purchases: Purchases) -> Result<Ran> {
    let node = Node::start(options).await.map_err(node_errors)?;
    let metrics = Arc::clone(&node.metrics);
    let engine = format!("{} {}", node.engine.name, node.engine.version);
    let currency = node.bundle.program().currency.clone();
    let assumed = purchases.assume(&node.bundle);
    let bar = output::progress("deciding");
    bar.set_length(purchases.events.len() as u64);
    let started = Instant::now();
    let fed = send_all(&node, purchases.events, &bar).await;
    let seconds = started.elapsed().as_secs_f64();
    let advice = format!(
        "the ledger in {0} is whole, and `largesse serve` with dir = \"{0}\" and clock = \"events\" publishes the rest",
        options.dir.display()
    );
    let sent = feed::close(node, options, fed, &advice).await?;
    bar.finish_and_clear();
    Ok(Ran { sent, assumed, seconds, metrics, engine, currency })
}

/// Sends everything and waits until it is done; returns how many events that were.
async fn send_all(
    node: &Node,
    events: Vec<Vec<u8>>,
    bar: &indicatif::ProgressBar,
) -> std::result::Result<u64, runtime::bus::Error> {
    let mut feed = Feed::into(node, "completejourney");
    for event in events {
        feed.send(Bytes::from(event)).await?;
        if feed.sent().is_multiple_of(512) {
            bar.set_position(feed.received());
        }
    }
    feed.settled(|received| bar.set_position(received)).await?;
    Ok(feed.sent())
}

fn summarise(dir: &Path, ran: &Ran) -> Result<report::Summary> {
    let bar = output::progress("verifying");
    let verified = ledger::verify(dir, &ledger::VerifyOptions::default(), |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let verified = verified.map_err(crate::ledger_errors)?;
    let replayed = crate::replay::with_progress(dir, sim::replay::Options::default())?;
    let reader = Reader::open(dir).map_err(crate::ledger_errors)?;
    let budgets = reader.budgets().map_err(crate::ledger_errors)?;
    Ok(report::Summary::of(ran, &verified, &replayed, &budgets))
}

/// A granted decision from the middle of the run, explained in full.
fn one_decision(dir: &Path) -> Result<Option<Explanation>> {
    let reader = Reader::open(dir).map_err(crate::ledger_errors)?;
    let keys = Keys::open_in(dir, None).map_err(Failure::unavailable)?;
    let middle = ledger::Seq(reader.size().map_err(crate::ledger_errors)? / 2);
    let filter = Filter {
        kind: Some(Kind::Decision),
        outcome: Some(domain::Outcome::Granted),
        after: Some(middle),
        limit: 1,
        ..Filter::default()
    };
    let row = reader.list(&filter).map_err(crate::ledger_errors)?.into_iter().next();
    row.map(|row| sim::explain::explain(&reader, &keys, &row).map_err(Failure::runtime)).transpose()
}
