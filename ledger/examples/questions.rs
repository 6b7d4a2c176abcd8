//! Asks a large ledger the questions people ask, and says how long each takes. Makes the ledger first when there is none.
//!
//! `cargo run --release -p largesse-ledger --example questions -- FOLDER [ROWS]`
//!
//! Rows are small (no sealed part, a body of some 120 bytes), everything that is asked by varies as a program's does: 12 weeks,
//! six policies and four models one after the other with overlaps, eight segments, twenty rewards, 200,000 members.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use domain::time::DAY;
use domain::{Digest, EventId, MemberId, Outcome, Reason, Timestamp, Touchpoint};
use ledger::{Entry, Facet, Filter, Kind, Maintenance, Options, Reader, Seq, Writer};

const START: i64 = 1_767_225_600_000_000;
const SPAN: i64 = 84 * DAY;
const MEMBERS: u64 = 200_000;
const BATCH: u64 = 4_096;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(arguments.first().ok_or("which folder?")?);
    let rows: u64 = arguments.get(1).map_or(Ok(10_000_000), |text| text.parse())?;
    if !folder.join("ledger.db").exists() {
        make(folder, rows)?;
    }
    ask(&Reader::open(folder)?)
}

fn make(folder: &Path, rows: u64) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let (mut writer, _) = Writer::open(&Options::new(folder, "largesse/questions/0", Timestamp(START)))?;
    let _maintenance = Maintenance::start(folder)?;
    for from in (0..rows).step_by(usize::try_from(BATCH)?) {
        let entries: Vec<Entry> = (from..rows.min(from + BATCH)).map(|number| entry(number, rows)).collect();
        writer.append(Timestamp(time(from, rows) + 1_000_000), &entries)?;
        if from % (BATCH * 256) == 0 {
            eprintln!("  {from} rows after {:.0} s", started.elapsed().as_secs_f64());
        }
    }
    writer.sign_head(Timestamp(START + SPAN))?;
    Ok(())
}

fn time(number: u64, rows: u64) -> i64 {
    START + (i128::from(SPAN) * i128::from(number) / i128::from(rows)) as i64
}

fn entry(number: u64, rows: u64) -> Entry {
    let draw = domain::random::splitmix64(number);
    let pick = |of: u64, shift: u32| (draw >> shift) % of;
    let week = number * 12 / rows;
    let event_time = Timestamp(time(number, rows) - (pick(3_600, 5) * 1_000_000).cast_signed());
    let share = pick(100, 11);
    let (outcome, reason) = match share {
        0..=21 => (Outcome::Granted, Reason::Chosen),
        22..=51 => (Outcome::None, Reason::PricedOut),
        52..=70 => (Outcome::None, Reason::NoValue),
        71..=84 => (Outcome::Suppressed, Reason::QuietHours),
        85..=94 => (Outcome::Control, Reason::ControlGroup),
        _ => (Outcome::Denied, Reason::Minor),
    };
    let segments = ["vip", "loyal", "new", "lapsing", "family", "student", "online", "fuel"];
    let granted = outcome == Outcome::Granted;
    let cost = if granted { 5_000_000 } else { 0 };
    let bundle = (week / 2 + u64::from(pick(10, 17) == 0)) % 6;
    let models = (week / 3 + u64::from(pick(20, 23) == 0)) % 4;
    let id = (u128::from(number) << 64 | u128::from(draw)).to_be_bytes();
    let member = domain::random::splitmix64(pick(MEMBERS, 29) | 1 << 40);
    Entry {
        event_time: Some(event_time),
        member: Some(MemberId((u128::from(member) << 64 | u128::from(!member)).to_be_bytes())),
        event_id: Some(
            format!("till-{number:09}")
                .parse::<EventId>()
                .unwrap_or_else(|_| unreachable!("the id is legal")),
        ),
        outcome: Some(outcome),
        reason: Some(reason),
        segment: Some(Arc::from(segments[pick(8, 41) as usize])),
        reward: granted.then(|| format!("reward-{}", pick(20, 47)).into()),
        touchpoint: Some(if pick(3, 53) == 0 { Touchpoint::App } else { Touchpoint::Pos }),
        bundle: Some(digest(b'b', bundle)),
        models: (outcome != Outcome::Denied).then(|| digest(b'm', models)),
        ..Entry::new(
            Kind::Decision,
            id,
            format!(
                "{{\"v\":1,\"candidates\":[[0,1,0],[1,60,0]],\"cost\":{cost},\"table\":{week},\"explored\":false,\"propensity\":1000000000}}"
            ),
        )
    }
}

fn digest(sort: u8, number: u64) -> Digest {
    Digest::of(&[sort, number as u8])
}

fn ask(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    eprintln!("{} rows", reader.size()?);
    let member = reader.row(Seq(reader.size()? / 2))?.and_then(|row| row.member);
    let last_week = Filter { since: Some(Timestamp(START + SPAN - 7 * DAY)), ..Filter::default() };
    let all = Filter::default;
    let questions = [
        ("outcome = denied", Filter { outcome: Some(Outcome::Denied), ..all() }),
        ("reason = QUIET_HOURS", Filter { reason: Some(Reason::QuietHours), ..all() }),
        (
            "reason never used",
            Filter { reason: Some(Reason::Chosen), outcome: Some(Outcome::Denied), ..all() },
        ),
        ("segment = vip", Filter { segment: Some("vip".into()), ..all() }),
        ("reward = reward-7", Filter { reward: Some("reward-7".into()), ..all() }),
        ("policy 0", Filter { bundle: Some(digest(b'b', 0)), ..all() }),
        ("models 0", Filter { models: Some(digest(b'm', 0)), ..all() }),
        ("one member", Filter { member, ..all() }),
        ("events of the last week", last_week.clone()),
        (
            "events of one hour in the middle",
            Filter {
                since: Some(Timestamp(START + SPAN / 2)),
                until: Some(Timestamp(START + SPAN / 2 + DAY / 24)),
                ..all()
            },
        ),
        (
            "models 3, segment vip, last week",
            Filter { models: Some(digest(b'm', 3)), segment: Some("vip".into()), ..last_week.clone() },
        ),
        (
            "models 0, segment vip, last week (few)",
            Filter { models: Some(digest(b'm', 0)), segment: Some("vip".into()), ..last_week.clone() },
        ),
        (
            "policy 5, granted reward-7 to fuel, one day",
            Filter {
                bundle: Some(digest(b'b', 5)),
                outcome: Some(Outcome::Granted),
                reward: Some("reward-7".into()),
                segment: Some("fuel".into()),
                since: Some(Timestamp(START + SPAN - 2 * DAY)),
                until: Some(Timestamp(START + SPAN - DAY)),
                ..all()
            },
        ),
    ];
    for (said, filter) in questions {
        let filter = Filter { newest_first: true, limit: 1_000, ..filter };
        let (listed, list) = timed(|| reader.list(&filter))?;
        let (counted, count) = timed(|| reader.facets(&filter, &[Facet::Outcome, Facet::Reason], 0))?;
        eprintln!(
            "{said:45} list of {:5}: {list:6.1} ms   count of {:8} by outcome and reason: {count:6.1} ms",
            listed.len(),
            counted.rows
        );
    }
    let facets = [
        ("outcome", Facet::Outcome),
        ("reason", Facet::Reason),
        ("segment", Facet::Segment),
        ("reward", Facet::Reward),
        ("policy", Facet::Policy),
        ("models", Facet::Models),
        ("touchpoint", Facet::Touchpoint),
        ("day", Facet::Day),
        ("member", Facet::Member),
    ];
    for (said, facet) in facets {
        let (whole, of_all) = timed(|| reader.facets(&all(), &[facet], 20))?;
        let (week, of_week) = timed(|| reader.facets(&last_week, &[facet], 20))?;
        eprintln!(
            "all rows by {said:12} {:5} values: {of_all:6.1} ms   of the last week {:5}: {of_week:6.1} ms",
            whole.by[0].len(),
            week.by[0].len()
        );
    }
    let (_, at_once) = timed(|| reader.facets(&last_week, &facets.map(|(_, facet)| facet), 20))?;
    eprintln!("the last week by all of these at once: {at_once:.1} ms");
    let (mut page, mut pages, started) = (
        Filter { outcome: Some(Outcome::Control), newest_first: true, limit: 10_000, ..all() },
        0,
        Instant::now(),
    );
    while let Some(last) = reader.seqs(&page)?.last() {
        (page.before, pages) = (Some(*last), pages + 1);
    }
    eprintln!(
        "every control decision in pages of 10,000: {pages} pages in {:.2} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

fn timed<T>(answer: impl Fn() -> Result<T, ledger::Error>) -> Result<(T, f64), ledger::Error> {
    let started = Instant::now();
    let answered = answer()?;
    Ok((answered, started.elapsed().as_secs_f64() * 1e3))
}
