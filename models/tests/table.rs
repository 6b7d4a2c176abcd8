//! Purchase files: every line is either a purchase or a dead letter, and training equals serving.

#[path = "common/data.rs"]
mod data;

use std::collections::BTreeMap;
use std::path::Path;

use domain::event::wire::{Limits, parse};
use domain::{EventKind, MemberId, Micros, Settlement, Timestamp};
use models::csv::{self, Line};
use models::features::{FeatureVector, History, Purchase};
use models::table;

const HEADER: &str = "household_id,ts,store,basket_id,amount,items,departments,fuel_amount,private_label_amount,\
                      retail_disc,coupon_disc,coupon_match_disc";

fn lines(text: &[u8]) -> Vec<Line> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.csv");
    std::fs::write(&path, [HEADER.as_bytes(), b"\n", text].concat()).expect("writable");
    csv::open(&path).expect("opens").map(|line| line.expect("readable")).collect()
}

fn check_wrong(text: &str, field: &str) {
    let line = &lines(text.as_bytes())[0];
    let error = line.row.as_ref().expect_err(text);
    assert_eq!(error.field, field, "{text}: {error}");
    let limits = Limits::at("2018-01-02T00:00:00Z".parse().expect("a time"));
    assert!(parse(&line.wire(), &limits).is_err(), "intake would accept {text}");
}

#[test]
fn every_row_of_the_shipped_file_is_an_event_that_intake_accepts() {
    let limits = Limits::at("2018-01-02T00:00:00Z".parse().expect("a time"));
    let mut count = 0;
    for line in csv::open(&data::events()).expect("opens") {
        let line = line.expect("readable");
        let row = line.row.as_ref().expect("a purchase");
        count += 1;
        if count % 50 != 1 {
            continue;
        }
        let incoming =
            parse(&line.wire(), &limits).unwrap_or_else(|why| panic!("line {}: {why:?}", line.number));
        assert_eq!(incoming.member, row.household);
        let event = incoming.under(MemberId::default());
        assert_eq!((&event.event_id, event.event_time), (&row.basket, row.time));
        let EventKind::Purchase { amount, items, discount } = event.kind else { panic!("not a purchase") };
        assert_eq!((amount, items, discount), (row.amount, row.items, row.discount));
    }
    assert_eq!(count, 105_316);
}

#[test]
fn junk_is_passed_on_as_it_stands_and_stops_nothing() {
    check_wrong("900", "ts");
    check_wrong(",2017-01-01T06:53:26,1,77,0.50,1,1,0,0,0,0,0", "household_id");
    check_wrong("900,yesterday,1,77,0.50,1,1,0,0,0,0,0", "ts");
    check_wrong("900,2017-13-01T06:53:26,1,77,0.50,1,1,0,0,0,0,0", "ts");
    check_wrong("900,2017-01-01T06:53:26,1,,0.50,1,1,0,0,0,0,0", "basket_id");
    check_wrong("900,2017-01-01T06:53:26,1,two words,0.50,1,1,0,0,0,0,0", "basket_id");
    check_wrong("900,2017-01-01T06:53:26,1,77,abc,1,1,0,0,0,0,0", "amount");
    check_wrong("900,2017-01-01T06:53:26,1,77,-1.00,1,1,0,0,0,0,0", "amount");
    check_wrong("900,2017-01-01T06:53:26,1,77,0.50,many,1,0,0,0,0,0", "items");
    check_wrong("900,2017-01-01T06:53:26,1,77,0.50,1,1,0,0,x,0,0", "retail_disc");
    check_wrong("\"900,2017-01-01T06:53:26,1,77,0.50,1,1,0,0,0,0,0", "line");
    let good = "900,2017-01-01T06:53:26,1,78,0.50,1,1,0,0,0.25,0,0.25";
    let mixed = [b"\xff\xfe junk\n".as_slice(), &[b'x'; 20_000], b"\r\n", good.as_bytes(), b"\n\n"].concat();
    let mixed = lines(&mixed);
    let numbers: Vec<(u64, bool)> = mixed.iter().map(|line| (line.number, line.row.is_ok())).collect();
    assert_eq!(numbers, [(2, false), (3, false), (4, true), (5, false)]);
    assert!(mixed[1].raw.len() <= csv::LINE_BYTES_MAX + 1);
    assert_eq!(mixed[2].row.as_ref().map(|row| row.discount), Ok(Micros(500_000)));
}

#[test]
fn quoted_fields_are_read() {
    let line = &lines(b"\"9,00\",2017-01-01T06:53:26,1,78,\"0.50\",1,1,0,0,0,0,0\n")[0];
    assert_eq!(line.row.as_ref().map(|row| row.household.clone()), Ok("9,00".to_owned()));
}

#[test]
fn local_times_that_occur_twice_or_never_are_still_instants() {
    let at = |local: &str| {
        let text = format!("9,{local},1,78,0.50,1,1,0,0,0,0,0");
        lines(text.as_bytes())[0].row.clone().expect("a purchase")
    };
    let twice = at("2017-11-05T01:30:00");
    assert_eq!(twice.time, "2017-11-05T05:30:00Z".parse().expect("a time"));
    assert_eq!(twice.local_time, "2017-11-05T01:30:00-04:00");
    let never = at("2017-03-12T02:30:00");
    assert_eq!(never.time, "2017-03-12T07:30:00Z".parse().expect("a time"));
}

#[test]
fn a_file_without_the_columns_or_without_content_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |bytes: &[u8]| {
        let path = folder.path().join("events.csv");
        std::fs::write(&path, bytes).expect("writable");
        csv::open(&path).err().expect("refused").to_string()
    };
    assert!(refused(b"").contains("household_id"));
    assert!(refused(b"household_id,ts,amount,items\n").contains("basket_id"));
    assert!(refused(&[0x1f, 0x8b, 1, 2, 3]).contains("cannot read"));
    assert!(csv::open(Path::new("/nowhere")).is_err());
}

#[test]
fn a_gzip_stream_that_breaks_off_is_an_error_after_the_good_lines() {
    let whole = std::fs::read(data::events()).expect("readable");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.csv.gz");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("writable");
    let lines: Vec<_> = csv::open(&path).expect("opens").collect();
    assert!(lines.len() > 1_000 && lines.last().is_some_and(Result::is_err));
    assert_eq!(lines.iter().filter(|line| line.is_err()).count(), 1);
}

/// Online: one event after the other, late ones included. Offline: the training table.
#[test]
fn online_equals_offline_bit_for_bit_over_the_real_data() {
    let date = "2017-07-02".parse().expect("a date");
    let as_of = csv::end_of_day(date).expect("an instant");
    let mut online: BTreeMap<String, (History, Vec<Purchase>)> = BTreeMap::new();
    for (number, line) in csv::open(&data::events()).expect("opens").enumerate() {
        let row = line.expect("readable").row.expect("a purchase");
        if row.time >= as_of {
            continue;
        }
        let purchase = Purchase {
            id: row.basket.hash64(),
            time: row.time,
            amount: row.amount,
            settlement: if number % 3 == 0 { Settlement::Provisional } else { Settlement::Settled },
        };
        let (history, late) = online.entry(row.household).or_default();
        // Every fifth purchase arrives after the next ones; every seventh is sent twice and taken back once.
        if number % 5 == 0 {
            late.push(purchase);
        } else {
            history.purchase(purchase);
        }
        if number % 7 == 0 {
            let ghost = Purchase { id: purchase.id ^ 1, amount: Micros(99), ..purchase };
            history.purchase(ghost);
            history.reverse(ghost.id);
        }
        history.settle(purchase.id);
        if late.len() == 3 {
            for purchase in late.drain(..).rev() {
                history.purchase(purchase);
            }
        }
    }
    let offline = table::read(&data::events(), date).expect("a table");
    assert_eq!(offline.examples.len(), online.len());
    for example in offline.examples {
        let (mut history, late) = online.remove(&example.household).expect("the same households");
        late.into_iter().for_each(|purchase| _ = history.purchase(purchase));
        let stored = History::from_bytes(&history.to_bytes()).expect("readable");
        assert_eq!(stored.features(as_of).bits(), example.features.bits(), "household {}", example.household);
        assert_eq!(history.provisional(), 0);
    }
}

#[test]
fn the_table_reads_back_to_the_same_bits_and_knows_the_labels() {
    let mut written = Vec::new();
    let table =
        table::write(&data::events(), "2017-10-01".parse().expect("a date"), &mut written).expect("a table");
    let text = String::from_utf8(written).expect("text");
    let mut rows = text.lines();
    let header: Vec<&str> = rows.next().expect("a header").split(',').collect();
    assert_eq!(header.len(), 1 + 22 + 3);
    assert_eq!(&header[23..], ["label_spend_91d", "label_churn_30d", "label_churn_60d"]);
    let (mut spend, mut churned) = (Micros::ZERO, [0, 0]);
    for (row, example) in rows.zip(&table.examples) {
        let fields: Vec<&str> = row.split(',').collect();
        let values: Vec<f32> = fields[1..23].iter().map(|field| field.parse().expect("a number")).collect();
        let values = FeatureVector(values.try_into().expect("22 features"));
        assert_eq!(values.bits(), example.features.bits(), "household {}", example.household);
        spend += fields[23].parse::<Micros>().expect("an amount");
        churned[0] += u32::from(fields[24] == "1");
        churned[1] += u32::from(fields[25] == "1");
    }
    // Totals of the panel's own labels for 2017-10-01.
    assert_eq!((table.examples.len(), churned), (1675, [271, 149]));
    assert_eq!(spend.to_string(), "796102.91");
}

#[test]
fn labels_that_the_file_cannot_know_are_left_out() {
    let mut written = Vec::new();
    table::write(&data::events(), "2017-11-15".parse().expect("a date"), &mut written).expect("a table");
    let header = String::from_utf8(written).expect("text").lines().next().map(str::to_owned);
    assert!(header.expect("a header").ends_with("overdue_ratio,label_churn_30d"));
}

#[test]
fn the_end_of_a_day_follows_the_clock_change() {
    let end = |date: &str| csv::end_of_day(date.parse().expect("a date")).expect("an instant");
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    assert_eq!(end("2017-03-11"), at("2017-03-12T05:00:00Z"));
    assert_eq!(end("2017-03-12"), at("2017-03-13T04:00:00Z"));
}
