//! The feature contract: incremental equals batch, whatever the order of arrival.

use domain::time::DAY;
use domain::{Micros, Settlement, Timestamp};
use models::features::history::{HELD_MAX, RETAIN_DAYS, WAITING_MAX};
use models::features::{
    COUNT, FeatureVector, Folded, History, NAMES, Purchase, Reversal, Settling, WINDOW_DAYS,
};
use proptest::prelude::*;

/// The contract written down a second time, the slow way, over the purchases that count.
fn batch(purchases: &[Purchase], newest: i64, as_of: i64) -> [f32; COUNT] {
    let mut sorted = purchases.to_vec();
    sorted.sort_by_key(|purchase| (purchase.time, purchase.id));
    let count = sorted.len() as f64;
    let Some((first, last)) = sorted.first().zip(sorted.last()) else { return [0.0; COUNT] };
    let days = |micros: i64| micros as f64 / DAY as f64;
    let amounts: Vec<i64> = sorted.iter().map(|purchase| purchase.amount.0).collect();
    let recent: Vec<i64> = sorted
        .iter()
        .map(|purchase| purchase.time.0)
        .filter(|time| *time >= newest - RETAIN_DAYS * DAY)
        .collect();
    let gaps: Vec<i64> = recent.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let recency = (as_of - last.time.0).max(0);
    let total: i64 = amounts.iter().sum();
    let span = last.time.0 - first.time.0;
    let gap_mean = if sorted.len() < 2 { 0.0 } else { days(span) / (count - 1.0) };
    let overdue = if sorted.len() < 2 {
        0
    } else {
        let usual = (span / (sorted.len() as i64 - 1)).max(DAY);
        (i128::from(recency) * 1_000_000 / i128::from(usual)).min(9_999_000_000)
    };
    let mut row = vec![
        days(recency),
        days((as_of - first.time.0).max(0)),
        count,
        total as f64 / 1e6,
        total as f64 / 1e6 / count,
        *amounts.iter().max().expect("not empty") as f64 / 1e6,
        deviation(&amounts) / 1e6,
        last.amount.0 as f64 / 1e6,
        gap_mean,
        days(gaps.iter().copied().max().unwrap_or(0)),
        deviation(&gaps) / DAY as f64,
    ];
    let within = |days: i64| sorted.iter().filter(move |purchase| purchase.time.0 >= as_of - days * DAY);
    row.extend(WINDOW_DAYS.map(|days| within(days).count() as f64));
    row.extend(
        WINDOW_DAYS.map(|days| within(days).map(|purchase| purchase.amount.0).sum::<i64>() as f64 / 1e6),
    );
    row.push(overdue as f64 / 1e6);
    let row: Vec<f32> = row.into_iter().map(|value| value as f32).collect();
    row.try_into().expect("22 features")
}

fn deviation(values: &[i64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let count = values.len() as i128;
    let sum: i128 = values.iter().map(|value| i128::from(*value)).sum();
    let squares: i128 = values.iter().map(|value| i128::from(*value).pow(2)).sum();
    ((count * squares - sum * sum) as u128 as f64).sqrt() / count as f64
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Buy(Purchase),
    Reverse(u64),
    Settle(u64),
}

fn play(steps: &[Step]) -> History {
    let mut history = History::new();
    for step in steps {
        match *step {
            Step::Buy(purchase) => _ = history.purchase(purchase),
            Step::Reverse(id) => _ = history.reverse(id),
            Step::Settle(id) => _ = history.settle(id),
        }
    }
    history
}

const START: i64 = 1_483_228_800_000_000;

fn purchase(id: u64, day: f64, cents: i64) -> Purchase {
    let time = Timestamp(START + (day * DAY as f64) as i64);
    Purchase { id, time, amount: Micros(cents * 10_000), settlement: Settlement::Settled }
}

/// Up to 60 purchases over 400 days; a fate per purchase: nothing, reversed, settled. Reversals only of
/// purchases young enough to be held when the whole history is known.
fn lives() -> impl Strategy<Value = (Vec<Purchase>, Vec<Step>, u64)> {
    let one = (0i64..400 * 86_400, 0i64..20_000, any::<bool>(), 0u8..6);
    (proptest::collection::vec(one, 0..60), any::<u64>()).prop_map(|(rows, seed)| {
        let newest = rows.iter().map(|row| row.0).max().unwrap_or(0);
        let (mut kept, mut steps) = (Vec::new(), Vec::new());
        for (index, (second, cents, provisional, fate)) in rows.into_iter().enumerate() {
            let id = index as u64 * 7919;
            let settlement = if provisional { Settlement::Provisional } else { Settlement::Settled };
            let time = Timestamp(START + second * 1_000_000);
            let mut purchase = Purchase { id, time, amount: Micros(cents * 10_000), settlement };
            steps.push(Step::Buy(purchase));
            let reversible = second >= newest - RETAIN_DAYS * 86_400;
            match fate {
                0 if reversible => steps.push(Step::Reverse(id)),
                1 if reversible => {
                    steps.push(Step::Settle(id));
                    purchase.settlement = Settlement::Settled;
                    kept.push(purchase);
                }
                _ => kept.push(purchase),
            }
        }
        (kept, steps, seed)
    })
}

/// A shuffle that is a function of its seed. At most [`WAITING_MAX`] changes can wait, so each change stays
/// within a window of its purchase, as in a stream that reorders.
fn shuffled(steps: &[Step], seed: u64) -> Vec<Step> {
    let mut keyed: Vec<(u64, Step)> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let jitter = domain::random::splitmix64(seed ^ index as u64) % (WAITING_MAX as u64 - 2);
            (index as u64 + jitter, *step)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, step)| step).collect()
}

proptest! {
    #[test]
    fn incremental_equals_batch_bit_for_bit((kept, steps, seed) in lives(), later in 0i64..200 * 86_400) {
        let newest = steps.iter().filter_map(|step| match step {
            Step::Buy(purchase) => Some(purchase.time.0),
            Step::Reverse(_) | Step::Settle(_) => None,
        }).max().unwrap_or(START);
        let as_of = newest + later * 1_000_000;
        let history = play(&shuffled(&steps, seed));
        let expected = FeatureVector(batch(&kept, newest, as_of));
        prop_assert_eq!(history.features(Timestamp(as_of)).bits(), expected.bits());
    }

    #[test]
    fn order_of_arrival_does_not_matter((_, steps, seed) in lives()) {
        prop_assert_eq!(play(&steps), play(&shuffled(&steps, seed)));
    }

    #[test]
    fn a_full_shuffle_of_purchases_gives_the_same_history((kept, _, seed) in lives()) {
        let mut other = kept.clone();
        other.sort_by_key(|purchase| domain::random::splitmix64(seed ^ purchase.id));
        let steps = |list: &[Purchase]| list.iter().copied().map(Step::Buy).collect::<Vec<_>>();
        prop_assert_eq!(play(&steps(&kept)), play(&steps(&other)));
    }

    #[test]
    fn the_stored_form_round_trips((_, steps, seed) in lives()) {
        let history = play(&shuffled(&steps, seed));
        let bytes = history.to_bytes();
        prop_assert_eq!(History::from_bytes(&bytes), Ok(history.clone()));
        let json = serde_json::to_string(&history).unwrap();
        prop_assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history);
        for cut in 0..bytes.len() {
            prop_assert!(History::from_bytes(&bytes[..cut]).is_err(), "accepted {cut} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn junk_is_never_a_history_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(history) = History::from_bytes(&bytes) {
            prop_assert!(history.to_bytes().len() <= bytes.len() + 64);
            let _ = history.features(Timestamp(START));
        }
    }
}

#[test]
fn a_member_without_purchases_has_zero_features_and_was_never_seen() {
    let history = History::new();
    assert_eq!(history.features(Timestamp(START)), FeatureVector([0.0; COUNT]));
    assert_eq!(history.summary(Timestamp(START)).recency_days(), domain::facts::NEVER);
    assert!(history.is_empty());
}

#[test]
fn a_reversal_takes_the_purchase_out_as_if_it_had_never_happened() {
    let mut history = play(&[Step::Buy(purchase(1, 0.0, 500)), Step::Buy(purchase(2, 3.0, 2_000))]);
    assert_eq!(history.reverse(2), Reversal::Removed(purchase(2, 3.0, 2_000)));
    let without = play(&[Step::Buy(purchase(1, 0.0, 500))]);
    let as_of = Timestamp(START + 5 * DAY);
    assert_eq!(history.features(as_of).bits(), without.features(as_of).bits());
}

#[test]
fn a_reversal_that_overtakes_its_purchase_still_holds() {
    let mut history = History::new();
    assert_eq!(history.reverse(7), Reversal::Waiting);
    assert_eq!(history.purchase(purchase(7, 1.0, 100)), Folded::Reversed);
    assert!(history.is_empty());
    assert_eq!(history.purchase(purchase(8, 1.0, 100)), Folded::Held);
}

#[test]
fn the_same_purchase_twice_counts_once() {
    let mut history = play(&[Step::Buy(purchase(1, 0.0, 500)), Step::Buy(purchase(2, 3.0, 2_000))]);
    assert_eq!(history.purchase(purchase(1, 0.0, 500)), Folded::Duplicate);
    assert_eq!(history.summary(Timestamp(START + 4 * DAY)).trips, 2);
}

#[test]
fn settling_clears_the_provisional_count_in_either_order() {
    let provisional = Purchase { settlement: Settlement::Provisional, ..purchase(1, 0.0, 500) };
    let mut history = play(&[Step::Buy(provisional)]);
    assert_eq!(history.provisional(), 1);
    assert_eq!(history.settle(1), Settling::Settled);
    assert_eq!(history.settle(1), Settling::Already);
    assert_eq!(history, play(&[Step::Settle(1), Step::Buy(provisional)]));
    assert_eq!(history.provisional(), 0);
}

#[test]
fn a_reversal_of_a_folded_purchase_says_it_could_not_be_taken_out() {
    let mut history = play(&[Step::Buy(purchase(1, 0.0, 500)), Step::Buy(purchase(2, 300.0, 2_000))]);
    assert_eq!(history.reverse(1), Reversal::Waiting);
    assert_eq!(history.summary(Timestamp(START + 301 * DAY)).trips, 2);
}

#[test]
fn state_is_bounded_however_much_arrives() {
    let mut history = History::new();
    for index in 0..20_000_u32 {
        history.purchase(purchase(u64::from(index), f64::from(index) / 500.0, 100));
        history.reverse(u64::from(index) | 1 << 40);
    }
    assert_eq!(history.summary(Timestamp(START + 40 * DAY)).trips, 20_000);
    assert!(history.to_bytes().len() < 40 * HELD_MAX, "{} bytes", history.to_bytes().len());
}

#[test]
fn a_skewed_clock_reads_as_now() {
    let history = play(&[Step::Buy(purchase(1, 0.0, 500)), Step::Buy(purchase(2, 1.0, 700))]);
    let summary = history.summary(Timestamp(START + DAY - 1_000_000));
    assert_eq!((summary.recency, summary.trips_28d()), (0, 2));
}

#[test]
fn each_feature_names_the_events_it_came_from() {
    let steps = [purchase(1, 0.0, 500), purchase(2, 300.0, 2_000), purchase(3, 396.0, 100)].map(Step::Buy);
    let history = play(&steps);
    let as_of = Timestamp(START + 400 * DAY);
    let sources = |name: &str| {
        let index = NAMES.iter().position(|other| *other == name).expect("a feature");
        let sources = history.sources(index, as_of).expect("a feature");
        assert_eq!(sources.feature, name);
        (sources.events, sources.folded)
    };
    assert_eq!(sources("trips_7d"), (vec![3], 0));
    assert_eq!(sources("spend_91d"), (vec![3], 0));
    assert_eq!(sources("spend_last"), (vec![3], 0));
    assert_eq!(sources("trips"), (vec![2, 3], 1));
    assert_eq!(sources("gap_max_days"), (vec![2, 3], 0));
    assert!(history.sources(COUNT, as_of).is_none());
}

#[test]
fn a_damaged_stored_form_is_refused() {
    let history = play(&[Step::Buy(purchase(1, 0.0, 500)), Step::Buy(purchase(2, 3.0, 2_000))]);
    let bytes = history.to_bytes();
    assert!(History::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err(), "accepted a byte too many");
    let damaged = (0..bytes.len()).filter(|at| {
        let mut other = bytes.clone();
        other[*at] ^= 0x80;
        History::from_bytes(&other).is_err()
    });
    assert!(damaged.count() > 5);
    let mut newer = bytes;
    newer[0] = 2;
    assert_eq!(History::from_bytes(&newer), Err(models::features::Corrupt::Version(2)));
}

#[test]
fn the_digest_of_a_vector_is_fixed_for_ever() {
    let mut row = [0.0; COUNT];
    assert_eq!(FeatureVector(row).digest(), 0x10ee_f285_deef_7a4b);
    row[3] = -1.5;
    assert_eq!(FeatureVector(row).digest(), 0xfeb2_8dbf_9ed8_8c41);
}
