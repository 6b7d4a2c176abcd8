//! `largesse demo`: a year of real purchases through the full live runtime, then the proof of it.

mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ledger::{Filter, Keys, Kind, Reader};
use runtime::bus::Bus;
use runtime::bus::memory::MemoryBus;
use runtime::config::{ClockKind, NatsOptions, Take};
use runtime::{Node, Options};
use sim::explain::Explanation;

use crate::exit::{Failure, Result, Verdict};
use crate::node_errors;
use crate::output::{self, Document};
use crate::purchases::Purchases;

/// The shipped year: 1,692 real households of the Complete Journey panel (sim/data/completejourney/README.md).
const SHIPPED_EVENTS: &[u8] = include_bytes!("../sim/data/completejourney/events.csv.gz");
/// Where the demo writes when no folder is named.
const DEFAULT_DIR: &str = "largesse-demo";
/// Marks a folder as made by the demo, so that a later demo may replace it.
const MARKER: &str = "made-by-largesse-demo";
/// Events on their way to a NATS server without confirmation.
const UNCONFIRMED_MAX: usize = 1_000;

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
    /// Folder for the ledger (default: largesse-demo, replaced by each demo)
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
    prepare_dir(&dir, args.dir.is_some())?;
    let purchases = match given {
        Some(given) => given,
        None => {
            let file = dir.join("events.csv.gz");
            std::fs::write(&file, SHIPPED_EVENTS)?;
            Purchases::read(&file)?
        }
    };
    if purchases.reordered {
        eprintln!("largesse: the purchases are not in order of time; they are replayed in that order");
    }
    let ran = crate::block_on(play(&options, purchases))?;
    let summary = summarise(&dir, &ran)?;
    if args.output == Document::Table {
        let explained = one_decision(&dir)?;
        output::line(&report::text(&summary, &ran.currency, explained.as_ref(), &dir))?;
    } else {
        output::json(&summary)?;
    }
    Ok(if summary.is_good() { Verdict::Ok } else { Verdict::FoundBad })
}

/// The folder to write to: the named one, which must not hold a ledger, or the default, which is replaced.
fn prepare_dir(dir: &Path, named: bool) -> Result<()> {
    let failed = |error| Failure::runtime(anyhow::anyhow!("cannot write to {}: {error}", dir.display()));
    if dir.join("ledger.db").exists() {
        if named || !dir.join(MARKER).exists() {
            return Err(Failure::usage(format!(
                "{} already holds a ledger; name an empty folder with --dir, or read this one with \
                 `largesse log list --dir {0}`",
                dir.display()
            )));
        }
        ledger::refuse_in_use(dir).map_err(crate::ledger_errors)?;
        std::fs::remove_dir_all(dir).map_err(failed)?;
    }
    std::fs::create_dir_all(dir).map_err(failed)?;
    std::fs::write(dir.join(MARKER), "Written by `largesse demo`, replaced by the next one.\n")
        .map_err(failed)
}

async fn play(options: &Options, purchases: Purchases) -> Result<Ran> {
    let node = Node::start(options).await.map_err(node_errors)?;
    let metrics = Arc::clone(&node.metrics);
    let engine = format!("{} {}", node.engine.name, node.engine.version);
    let currency = node.bundle.program().currency.clone();
    let bar = output::progress("deciding");
    bar.set_length(purchases.events.len() as u64);
    let started = Instant::now();
    let sent = {
        let mut producer = Producer::of(&node);
        for event in purchases.events {
            if let Err(failure) = producer.send(event).await {
                // A node that ended on its own says why when it is joined.
                node.stop();
                node.join().await.map_err(node_errors)?;
                return Err(failure);
            }
            if producer.sent.is_multiple_of(512) {
                bar.set_position(handled(&metrics, producer.sent));
            }
        }
        producer.finish().await?
    };
    while !node.is_finished() && !is_done(&metrics, sent) {
        bar.set_position(handled(&metrics, sent));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let seconds = started.elapsed().as_secs_f64();
    node.stop();
    node.join().await.map_err(node_errors)?;
    bar.finish_and_clear();
    Ok(Ran { sent, seconds, metrics, engine, currency })
}

fn handled(metrics: &runtime::metrics::Metrics, sent: u64) -> u64 {
    metrics.counters.received.load(Ordering::Relaxed).min(sent)
}

fn is_done(metrics: &runtime::metrics::Metrics, sent: u64) -> bool {
    metrics.counters.received.load(Ordering::Acquire) >= sent
        && metrics.counters.in_flight.load(Ordering::Acquire) == 0
}

/// Sends events as an outside system would.
struct Producer {
    bus: Bus,
    memory: Option<MemoryBus>,
    subject: String,
    unconfirmed: std::collections::VecDeque<runtime::bus::nats::PendingEvent>,
    sent: u64,
}

impl Producer {
    fn of(node: &Node) -> Producer {
        let subject = node.subjects.event("completejourney");
        let (bus, memory) = (node.bus.clone(), node.memory.clone());
        Producer { bus, memory, subject, unconfirmed: std::collections::VecDeque::new(), sent: 0 }
    }

    async fn send(&mut self, event: Vec<u8>) -> Result<()> {
        let bytes = Bytes::from(event);
        match (&self.bus, &self.memory) {
            (Bus::Memory(_), Some(memory)) => memory.send_event(bytes).await.map_err(Failure::runtime)?,
            (Bus::Nats(nats), _) => {
                let pending = nats.send_event(self.subject.clone(), bytes).await;
                self.unconfirmed.push_back(pending.map_err(Failure::unavailable)?);
                if self.unconfirmed.len() > UNCONFIRMED_MAX
                    && let Some(oldest) = self.unconfirmed.pop_front()
                {
                    oldest.stored().await.map_err(Failure::unavailable)?;
                }
            }
            (Bus::Memory(_), None) => {}
        }
        self.sent += 1;
        Ok(())
    }

    async fn finish(self) -> Result<u64> {
        for pending in self.unconfirmed {
            pending.stored().await.map_err(Failure::unavailable)?;
        }
        Ok(self.sent)
    }
}

fn summarise(dir: &Path, ran: &Ran) -> Result<report::Summary> {
    let bar = output::progress("verifying");
    let verified = ledger::verify(dir, &ledger::VerifyOptions::default(), |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let verified = verified.map_err(crate::ledger_errors)?;
    let replayed = crate::replay::with_progress(dir, None)?;
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
