//! Drift is seen where it is, and only there.

#[path = "common/data.rs"]
mod data;

use models::Models;
use models::drift::{Level, Reading, Window, outputs};
use models::engine::{Choice, Engine};
use models::features::FeatureVector;
use models::scorer::Source;

/// Readings of both models over all households at a date, after `change`.
fn readings(date: &str, change: impl Fn(&mut FeatureVector)) -> Vec<Reading> {
    let engine = Engine::start(&Choice::Embedded).expect("the embedded engine starts");
    let mut models = Models::load(&engine, &Source::Shipped).expect("shipped models load");
    let mut windows = models.manifests().map(Window::new);
    let table = models::table::read(&data::events(), date.parse().expect("a date")).expect("a table");
    for example in table.examples {
        let mut row = example.features;
        change(&mut row);
        let (ltv, churn) = outputs(models.score(&[row])[0].expect("a score"));
        windows[0].observe(&row, ltv);
        windows[1].observe(&row, churn);
    }
    windows.iter().flat_map(Window::readings).collect()
}

#[test]
fn members_of_the_training_months_are_steady() {
    let readings = readings("2017-05-28", |_| ());
    assert_eq!(readings.len(), 2 * 23);
    assert!(readings.iter().all(|reading| reading.level < Level::Alarm), "lifetime totals gave an alarm");
    // Tenure and lifetime totals grow with the calendar; everything else is as in training.
    let lifetime = ["tenure_days", "trips", "spend_total"];
    let moved: Vec<_> = readings
        .iter()
        .filter(|reading| reading.level != Level::Steady && !lifetime.contains(&reading.name.as_str()))
        .collect();
    assert!(moved.is_empty(), "{moved:?}");
}

#[test]
fn an_alarm_names_the_feature_that_moved_and_the_model() {
    let readings = readings("2017-05-28", |row| row.0[8] *= 3.0);
    let alarms = readings.iter().filter(|reading| reading.level == Level::Alarm);
    let named: Vec<_> = alarms.map(|reading| (reading.model.as_str(), reading.name.as_str())).collect();
    assert!(named.contains(&("ltv_91d", "gap_mean_days")) && named.contains(&("churn_60d", "gap_mean_days")));
    assert!(!named.contains(&("ltv_91d", "spend_28d")), "{named:?}");
}

#[test]
fn few_members_give_no_reading() {
    let engine = Engine::start(&Choice::Embedded).expect("the embedded engine starts");
    let models = Models::load(&engine, &Source::Shipped).expect("shipped models load");
    let mut window = Window::new(models.manifests()[0]);
    (0..999).for_each(|_| window.observe(&FeatureVector([0.0; 22]), 0.0));
    assert!(window.readings().is_empty());
    window.observe(&FeatureVector([0.0; 22]), 0.0);
    assert!(!window.readings().is_empty());
}
