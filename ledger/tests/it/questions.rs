//! Questions about many rows: lists and counts from columns say what a look at every row says.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::time::{DAY, HOUR};
use domain::{Digest, MemberId, Outcome, Reason, Timestamp, Touchpoint};
use ledger::{Entry, Facet, Filter, Kind, Reader, Row, Seq, VerifyOptions, Writer, verify};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, proptest};

use crate::support::*;

/// Two whole blocks of columns and the beginning of a third.
const ROWS: u64 = 2 * 8_192 + 700;

fn varied(number: u64) -> Entry {
    let draw = domain::random::splitmix64(number);
    let pick = |of: u64, shift: u32| (draw >> shift) % of;
    let entry = Entry::new(
        [Kind::Decision, Kind::Decision, Kind::Observed][usize::try_from(pick(3, 3)).unwrap()],
        record_id(number),
        "{}".to_owned(),
    );
    let member = MemberId((u128::from(1 + pick(50, 7)) << 64 | 9).to_be_bytes());
    let event_time = Some(Timestamp(NOW.0 - i64::try_from(pick(60 * 24, 11)).unwrap() * HOUR));
    let touchpoint = Some([Touchpoint::App, Touchpoint::Pos][usize::try_from(pick(2, 13)).unwrap()]);
    if entry.kind == Kind::Observed {
        return Entry { member: Some(member), event_time, touchpoint, ..entry };
    }
    Entry {
        member: Some(member),
        event_time,
        touchpoint,
        outcome: Some(
            [Outcome::Granted, Outcome::None, Outcome::Denied][usize::try_from(pick(3, 17)).unwrap()],
        ),
        reason: Some(
            [Reason::Chosen, Reason::PricedOut, Reason::Minor][usize::try_from(pick(3, 19)).unwrap()],
        ),
        segment: (pick(5, 23) > 0)
            .then(|| Arc::from(["vip", "loyal", "new", "rare"][usize::try_from(pick(4, 29)).unwrap()])),
        // Some rows early on have a reward each of their own: more than a byte can tell apart.
        reward: (pick(2, 31) == 0)
            .then(|| if number < 700 { format!("only-{number}").into() } else { Arc::from("voucher") }),
        bundle: Some(Digest::of(if number < 9_000 { b"one" } else { b"two" })),
        models: (pick(7, 37) > 0).then(|| Digest::of(b"models")),
        ..entry
    }
}

fn varied_ledger() -> (tempfile::TempDir, Writer) {
    let (folder, mut writer) = ledger();
    for (at, from) in (1..).zip((0..ROWS).step_by(500)) {
        let batch: Vec<Entry> = (from..ROWS.min(from + 500)).map(varied).collect();
        writer.append(Timestamp(NOW.0 + at * 1_000_000), &batch).unwrap();
    }
    (folder, writer)
}

/// What a facet counts by.
type Value<'f> = &'f dyn Fn(&Row) -> Option<String>;

/// What the filter says, row by row.
fn lets_through(filter: &Filter, row: &Row) -> bool {
    let same = |asked: Option<&str>, found: &Option<String>| {
        asked.is_none_or(|asked| found.as_deref() == Some(asked))
    };
    let time = row.event_time.unwrap_or(row.recorded_at);
    filter.kind.is_none_or(|kind| row.kind == kind)
        && filter.outcome.is_none_or(|outcome| row.outcome == Some(outcome))
        && filter.reason.is_none_or(|reason| row.reason == Some(reason))
        && same(filter.segment.as_deref(), &row.segment)
        && same(filter.reward.as_deref(), &row.reward)
        && filter.member.is_none_or(|member| row.member == Some(member))
        && filter.bundle.is_none_or(|bundle| row.bundle == Some(bundle))
        && filter.models.is_none_or(|models| row.models == Some(models))
        && filter.since.is_none_or(|since| time >= since)
        && filter.until.is_none_or(|until| time < until)
        && filter.recorded_since.is_none_or(|since| row.recorded_at >= since)
        && filter.recorded_until.is_none_or(|until| row.recorded_at < until)
        && filter.after.is_none_or(|after| row.seq > after)
        && filter.before.is_none_or(|before| row.seq < before)
}

fn filters() -> impl Strategy<Value = Filter> {
    let maybe = |of: &'static [&'static str]| {
        prop::option::weighted(0.2, prop::sample::select(of).prop_map(str::to_owned))
    };
    let hours =
        || prop::option::weighted(0.3, (0..60 * 24i64).prop_map(|hours| Timestamp(NOW.0 - hours * HOUR)));
    let seconds = || prop::option::weighted(0.2, (0..36i64).prop_map(|at| Timestamp(NOW.0 + at * 1_000_000)));
    let place = || prop::option::weighted(0.2, (0..ROWS + 9).prop_map(Seq));
    let columns = (
        prop::option::weighted(
            0.3,
            prop::sample::select(&[Kind::Decision, Kind::Observed, Kind::Genesis][..]),
        ),
        prop::option::weighted(
            0.3,
            prop::sample::select(&[Outcome::Granted, Outcome::None, Outcome::Pending][..]),
        ),
        prop::option::weighted(
            0.2,
            prop::sample::select(&[Reason::Chosen, Reason::Minor, Reason::QuietHours][..]),
        ),
        maybe(&["vip", "rare", "nowhere"]),
        maybe(&["voucher", "only-33", "nothing"]),
        prop::option::weighted(
            0.2,
            (1..51u64).prop_map(|member| MemberId((u128::from(member) << 64 | 9).to_be_bytes())),
        ),
        prop::option::weighted(0.2, prop::sample::select(vec![Digest::of(b"one"), Digest::of(b"two")])),
        prop::option::weighted(0.2, Just(Digest::of(b"models"))),
    );
    (columns, hours(), hours(), seconds(), seconds(), place(), place(), any::<bool>(), 1..9_000u32).prop_map(
        |(
            (kind, outcome, reason, segment, reward, member, bundle, models),
            since,
            until,
            from,
            to,
            after,
            before,
            newest_first,
            limit,
        )| Filter {
            kind,
            outcome,
            reason,
            segment,
            reward,
            member,
            bundle,
            models,
            since,
            until,
            recorded_since: from,
            recorded_until: to,
            after,
            before,
            newest_first,
            limit,
        },
    )
}

fn every(reader: &Reader) -> Vec<Row> {
    let (mut rows, mut after) = (Vec::new(), Seq::START);
    loop {
        let page = reader.after(after, 10_000).unwrap();
        let Some(last) = page.last() else { return rows };
        after = last.seq;
        rows.extend(page);
    }
}

#[test]
fn lists_and_counts_say_what_a_look_at_every_row_says() {
    let (folder, _writer) = varied_ledger();
    let reader = Reader::open(folder.path()).unwrap();
    let rows = every(&reader);
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(filter in filters())| {
        let through: Vec<&Row> = rows.iter().filter(|row| lets_through(&filter, row)).collect();
        let mut seqs: Vec<Seq> = through.iter().map(|row| row.seq).collect();
        if filter.newest_first {
            seqs.reverse();
        }
        seqs.truncate(filter.limit as usize);
        prop_assert_eq!(&reader.seqs(&filter).unwrap(), &seqs);
        let listed: Vec<Seq> = reader.list(&filter).unwrap().iter().map(|row| row.seq).collect();
        prop_assert_eq!(&listed, &seqs);
        let facets = [Facet::Segment, Facet::Reason, Facet::Day, Facet::Member, Facet::Reward];
        let counted = reader.facets(&filter, &facets, 1_000).unwrap();
        prop_assert_eq!(counted.rows, through.len() as u64);
        let day = |row: &Row| Timestamp(row.event_time.unwrap_or(row.recorded_at).0.div_euclid(DAY) * DAY).to_string()[..10].to_owned();
        let by: [Value<'_>; 5] = [
            &|row| row.segment.clone(),
            &|row| row.reason.map(|reason| reason.name().to_owned()),
            &|row| Some(day(row)),
            &|row| row.member.map(|member| member.to_string()),
            &|row| row.reward.clone(),
        ];
        for (found, of) in counted.by.into_iter().zip(by) {
            let mut expected = BTreeMap::<Option<String>, u64>::new();
            through.iter().for_each(|row| *expected.entry(of(row)).or_default() += 1);
            prop_assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    });
}

#[test]
fn pages_follow_one_another_without_gap_or_repeat() {
    let (folder, _writer) = varied_ledger();
    let reader = Reader::open(folder.path()).unwrap();
    let whole =
        Filter { outcome: Some(Outcome::Granted), newest_first: true, limit: 10_000, ..Filter::default() };
    let (mut paged, mut page) = (Vec::new(), Filter { limit: 77, ..whole.clone() });
    loop {
        let seqs = reader.seqs(&page).unwrap();
        let Some(last) = seqs.last() else { break };
        page.before = Some(*last);
        paged.extend(seqs);
    }
    assert_eq!(paged, reader.seqs(&whole).unwrap());
}

#[test]
fn a_refused_batch_leaves_nothing_in_the_columns() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &(0..8_000).map(varied).collect::<Vec<_>>()).unwrap();
    let mut refused: Vec<Entry> = (8_000..8_400).map(varied).collect();
    refused.push(varied(8_000));
    assert!(writer.append(NOW, &refused).is_err(), "its last row repeats an id");
    writer.append(NOW, &(9_000..9_400).map(varied).collect::<Vec<_>>()).unwrap();
    drop(writer);
    let mut writer = open(folder.path());
    writer.append(NOW, &(10_000..18_000).map(varied).collect::<Vec<_>>()).unwrap();
    assert_eq!(verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap().findings, []);
}

#[test]
fn a_changed_column_is_found() {
    let (folder, writer) = varied_ledger();
    drop(writer);
    let check = |sql: &str| {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        intruder(copy.path()).execute_batch(sql).unwrap();
        let report = verify(copy.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
        report.findings.iter().map(|finding| finding.what.clone()).collect::<Vec<_>>().join("; ")
    };
    let segment = 3i64 << 40;
    let changed = check(&format!(
        "UPDATE column_block SET data = zeroblob(length(data)) WHERE place = {}",
        segment + 1
    ));
    assert_eq!(changed, "column Segment of rows 8193 to 16384 differs from the log");
    let missing = check(&format!("DELETE FROM column_block WHERE place = {segment}"));
    assert_eq!(missing, "column Segment of rows 1 to 8192 differs from the log");
    let stray = check(&format!("INSERT INTO column_block VALUES ({}, x'00')", segment + 2));
    assert_eq!(stray, "there are columns of rows that do not exist");
}

#[test]
fn a_list_goes_by_the_time_it_shows() {
    let (folder, mut writer) = ledger();
    let at = |number: u64, time: i64| Entry { event_time: Some(Timestamp(time)), ..varied(number) };
    writer.append(NOW, &[at(1, NOW.0 - 9 * DAY), at(2, NOW.0 - DAY)]).unwrap();
    let reader = Reader::open(folder.path()).unwrap();
    let since =
        |since: i64| reader.seqs(&Filter { since: Some(Timestamp(since)), ..Filter::default() }).unwrap();
    assert_eq!(
        since(NOW.0 - 2 * DAY),
        [Seq(1), Seq(3)],
        "the first row is about no event: it goes by when it was recorded"
    );
    let recorded = Filter { recorded_since: Some(NOW), ..Filter::default() };
    assert_eq!(reader.seqs(&recorded).unwrap().len(), 3);
}
