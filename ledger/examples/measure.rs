//! Measures the ledger on this machine: appends, look-ups, restart, full check. Results go to stderr.
//!
//! `cargo run --release -p largesse-ledger --example measure -- FOLDER ROWS [BATCH] [MEMBERS] [inline] [append]`
//! `inline` leaves WAL checkpoints on the commit path, to show what keeping them off it brings; `append` stops after appending.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::{Digest, EventId, MemberId, Micros, Outcome, Reason, Timestamp, Touchpoint};
use ledger::{DataKey, Debit, Entry, Kind, Maintenance, Options, Reader, Seq, VerifyOptions, Writer, verify};

const NOW: i64 = 1_500_000_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let folder = Path::new(arguments.first().ok_or("which folder?")?);
    let (rows, batch, members) = (number(1, 1_000_000), number(2, 256), number(3, 100_000));
    let inline = arguments.iter().any(|argument| argument == "inline");
    let start = Instant::now();
    let (mut writer, recovery) = Writer::open(&Options::new(folder, "largesse/measure/0", Timestamp(NOW)))?;
    eprintln!("open: {:?} with {} rows", start.elapsed(), recovery.rows);
    let maintenance = if inline { None } else { Some(Maintenance::start(folder)?) };
    append(&mut writer, rows, batch, members, inline)?;
    drop(maintenance);
    if arguments.iter().any(|argument| argument == "append") {
        return Ok(());
    }
    look_up(&writer.reader()?, writer.size(), members)?;
    let closing = Instant::now();
    drop(writer);
    eprintln!("close: {:?}", closing.elapsed());
    let start = cpu();
    let report = verify(folder, &VerifyOptions::default(), |_, _| ())?;
    let seconds = (cpu() - start).as_secs_f64();
    eprintln!(
        "verify: {} rows in {seconds:.2} s of CPU, {:.0} rows/s, findings {:?}",
        report.rows,
        report.rows as f64 / seconds,
        report.findings
    );
    Ok(())
}

fn append(
    writer: &mut Writer,
    rows: u64,
    batch: u64,
    members: u64,
    inline: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let key = writer.keys().program_key();
    if writer.balance("global").is_none() {
        let debits = vec![Debit::limit("global".into(), Micros(i64::MAX / 2))];
        writer
            .append(Timestamp(NOW), &[Entry { debits, ..Entry::new(Kind::Budget, [7; 16], "{}".into()) }])?;
    }
    let (first, mut spent, mut busy, mut commits) =
        (writer.size(), Duration::ZERO, Duration::ZERO, Vec::new());
    let connection =
        if inline { Some(rusqlite::Connection::open(writer.folder().join("ledger.db"))?) } else { None };
    let mut at = 0;
    while at < rows {
        let entries: Vec<Entry> =
            (at..rows.min(at + batch)).map(|number| entry(&key, first + number, members)).collect();
        let (start, cpu_before) = (Instant::now(), cpu());
        writer.append(Timestamp(NOW + at.cast_signed()), &entries)?;
        if let Some(connection) = &connection {
            connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        commits.push(start.elapsed());
        spent += start.elapsed();
        busy += cpu() - cpu_before;
        at += batch;
        if at % (batch * 400) == 0 {
            eprintln!("  {at} rows, {:.2} us/row", spent.as_secs_f64() * 1e6 / at as f64);
        }
    }
    commits.sort();
    let percentile = |share: usize| commits[(commits.len() - 1) * share / 1000];
    let per_row = spent.as_secs_f64() * 1e6 / rows as f64;
    eprintln!(
        "append: {rows} rows, batch {batch}: {per_row:.2} us/row, {:.0} rows/s; {:.2} us/row of CPU on the writer's thread",
        1e6 / per_row,
        busy.as_secs_f64() * 1e6 / rows as f64
    );
    eprintln!(
        "commit: p50 {:?} p90 {:?} p99 {:?} p999 {:?} max {:?}",
        percentile(500),
        percentile(900),
        percentile(990),
        percentile(999),
        percentile(1000)
    );
    for name in ["ledger.db", "ledger.db-wal"] {
        let length = std::fs::metadata(writer.folder().join(name)).map_or(0, |file| file.len());
        eprintln!(
            "{name}: {:.1} MB, {:.0} bytes/row",
            length as f64 / 1e6,
            length as f64 / writer.size() as f64
        );
    }
    Ok(())
}

/// Time this thread has run on a CPU (Linux).
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn look_up(reader: &Reader, size: u64, members: u64) -> Result<(), Box<dyn std::error::Error>> {
    let time = |what: &str, count: u64, each: &dyn Fn(u64) -> Result<bool, ledger::Error>| {
        let start = cpu();
        let mut hits = 0;
        for number in 0..count {
            hits += u64::from(each(mix(number) % size)?);
        }
        eprintln!(
            "{what}: {:.2} us of CPU each, {hits} of {count} found",
            (cpu() - start).as_secs_f64() * 1e6 / count as f64
        );
        Ok::<(), ledger::Error>(())
    };
    time("event known", 200_000, &|number| reader.contains_event(&event(number)))?;
    time("event unknown", 200_000, &|number| reader.contains_event(&event(u64::MAX - number)))?;
    let unknown: Vec<EventId> = (0..64_000).map(|number| event(u64::MAX - number)).collect();
    let start = cpu();
    for batch in unknown.chunks(64) {
        reader.event_seqs(batch)?;
    }
    eprintln!(
        "event unknown, 64 at a time: {:.2} us of CPU each",
        (cpu() - start).as_secs_f64() * 1e6 / 64_000.0
    );
    time("row by record id", 50_000, &|number| Ok(reader.record(&id(number))?.is_some()))?;
    time("rows of a member", 20_000, &|number| {
        Ok(!reader.member_after(member(number % members), Seq::START, 100)?.is_empty())
    })?;
    time("inclusion proof", 1_000, &|number| Ok(!reader.inclusion(Seq(number + 1), size)?.is_empty()))?;
    Ok(())
}

fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

fn event(number: u64) -> EventId {
    format!("shop-{:016x}", mix(number)).parse().unwrap_or_else(|_| unreachable!("the id is legal"))
}

fn id(number: u64) -> [u8; 16] {
    (u128::from(number) << 64 | u128::from(mix(number))).to_be_bytes()
}

fn member(number: u64) -> MemberId {
    MemberId((u128::from(mix(number)) << 64 | u128::from(mix(!number))).to_be_bytes())
}

/// About 900 bytes: 430 public, 420 sealed, and columns.
fn entry(key: &DataKey, number: u64, members: u64) -> Entry {
    let id = id(number);
    let granted = number.is_multiple_of(4);
    let debits = if granted { vec![Debit::commit("global".into(), Micros(1))] } else { Vec::new() };
    Entry {
        event_time: Some(Timestamp(NOW)),
        member: Some(member(mix(number) % members)),
        event_id: Some(event(number)),
        outcome: Some(if granted { Outcome::Granted } else { Outcome::None }),
        reason: Some(if granted { Reason::Chosen } else { Reason::PricedOut }),
        segment: Some(Arc::from(["vip", "loyal", "new", "lapsing"][(mix(number) % 4) as usize])),
        reward: granted.then(|| Arc::from("voucher-5")),
        touchpoint: Some(Touchpoint::App),
        bundle: Some(Digest([7; 32])),
        models: Some(Digest([8; 32])),
        sealed: Some(key.seal(&id, &[b'p'; 380])),
        debits,
        ..Entry::new(
            Kind::Decision,
            id,
            format!("{{\"v\":1,\"n\":{number},\"pad\":\"{}\"}}", "x".repeat(400)),
        )
    }
}
