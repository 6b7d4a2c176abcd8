//! Measures the scorer on this machine: microseconds per run and per row at several batch sizes, then rows per
//! second through the batching thread. `ORT_DYLIB_PATH` chooses ONNX Runtime.
//! `cargo run --release -p largesse-models --example throughput -- EVENTS`

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use models::Models;
use models::batch::{BatchScorer, Options, Scored};
use models::engine::{Choice, Engine, LIBRARY_VARIABLE};
use models::features::{FeatureVector, History, Purchase};
use models::scorer::Source;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let events = std::env::args().nth(1).ok_or("usage: EVENTS")?;
    let mut out = std::io::stdout().lock();
    let variable = std::env::var(LIBRARY_VARIABLE).ok();
    let engine = Engine::start(&Choice::from_names(None, variable.as_deref()))?;
    let mut models = Models::load(&engine, &Source::Shipped)?;
    writeln!(out, "engine {}", engine.info())?;
    let rows: Vec<FeatureVector> = models::table::read(Path::new(&events), "2017-10-01".parse()?)?
        .examples
        .iter()
        .map(|example| example.features)
        .collect();
    for batch in [1, 16, 64, 256] {
        let runs = 20_000 / batch;
        let started = Instant::now();
        for run in 0..runs {
            let from = run * batch % (rows.len() - batch);
            std::hint::black_box(models.score(&rows[from..from + batch]));
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / runs as f64;
        writeln!(
            out,
            "batch {batch:3}: {micros:7.1} us per run (both models), {:.2} us per row",
            micros / batch as f64
        )?;
    }
    drop(out);
    features(Path::new(&events))?;
    queued(models, &rows)
}

/// The cost of folding a purchase and of reading the features.
fn features(events: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut purchases = Vec::new();
    for line in models::csv::open(events)? {
        if let Ok(row) = line?.row {
            purchases.push((
                row.household,
                Purchase {
                    id: row.basket.hash64(),
                    time: row.time,
                    amount: row.amount,
                    settlement: domain::Settlement::Settled,
                },
            ));
        }
    }
    let mut index = std::collections::BTreeMap::new();
    let slots: Vec<usize> = purchases
        .iter()
        .map(|(household, _)| {
            let next = index.len();
            *index.entry(household.as_str()).or_insert(next)
        })
        .collect();
    let mut histories = vec![History::new(); index.len()];
    let per = |started: Instant| started.elapsed().as_secs_f64() * 1e9 / purchases.len() as f64;
    let started = Instant::now();
    for (slot, (_, purchase)) in slots.iter().zip(&purchases) {
        histories[*slot].purchase(*purchase);
    }
    let fold = per(started);
    let mut histories = vec![History::new(); index.len()];
    let started = Instant::now();
    for (slot, (_, purchase)) in slots.iter().zip(&purchases) {
        histories[*slot].purchase(*purchase);
        std::hint::black_box(histories[*slot].features(purchase.time));
    }
    let both = per(started);
    let bytes: usize = histories.iter().map(|history| history.to_bytes().len()).sum();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "update {fold:.0} ns, features {:.0} ns, stored {} bytes per member",
        both - fold,
        bytes / histories.len()
    )?;
    Ok(())
}

fn queued(models: Models, rows: &[FeatureVector]) -> Result<(), Box<dyn std::error::Error>> {
    let total = 200_000;
    let scorer: BatchScorer =
        BatchScorer::start(models, Options { waiting_max: total, ..Options::default() })?;
    let answered = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    for row in rows.iter().cycle().take(total) {
        let answered = Arc::clone(&answered);
        scorer.submit(*row, Box::new(move |_: Scored| _ = answered.fetch_add(1, Ordering::Relaxed)));
    }
    while answered.load(Ordering::Relaxed) < total as u64 {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let seconds = started.elapsed().as_secs_f64();
    let mut out = std::io::stdout().lock();
    writeln!(out, "queued: {:.0} rows/s; {:?}", total as f64 / seconds, scorer.counts())?;
    Ok(())
}
