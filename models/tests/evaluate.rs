//! The shipped models beat or tie the naive lines on households they have not seen.

#[path = "common/data.rs"]
mod data;

use models::Models;
use models::engine::{Choice, Engine};
use models::evaluate::{self, Error, Options, Report, is_held_out};
use models::inspect::inspect;
use models::scorer::Source;

fn models() -> Models {
    let engine = Engine::start(&Choice::Embedded).expect("the embedded engine starts");
    Models::load(&engine, &Source::Shipped).expect("shipped models load")
}

fn report(held_out_only: bool, bootstraps: u32) -> Report {
    let options = Options { as_of: "2017-10-01".parse().expect("a date"), held_out_only, bootstraps };
    evaluate::evaluate(&mut models(), &data::events(), &options).expect("a report")
}

#[test]
fn on_unseen_households_the_models_beat_every_naive_line() {
    let report = report(true, 0);
    assert_eq!((report.households, report.faults, report.refused_lines), (553, 0, 0));
    let (model, naive) = (report.ltv, report.baselines.persistence);
    assert!(model.mae < naive.mae && model.rmse < naive.rmse, "{model:?} {naive:?}");
    assert!(model.spearman > naive.spearman && model.gini > naive.gini, "{model:?} {naive:?}");
    assert!((0.93..=1.07).contains(&model.bias), "bias {}", model.bias);
    let (model, naive) = (report.churn, report.baselines.mbg_nbd);
    assert!(model.auc > naive.auc && model.pr_auc > naive.pr_auc, "{model:?} {naive:?}");
    assert!(model.brier < naive.brier && model.ece < naive.ece, "{model:?} {naive:?}");
    assert!(model.auc > report.baselines.recency.auc);
}

#[test]
fn the_fallback_is_no_worse_than_the_textbook_line() {
    let report = report(false, 0);
    let (fallback, naive) = (report.baselines.fallback, report.baselines.mbg_nbd);
    assert!(
        fallback.churn.brier < naive.brier && fallback.churn.auc > naive.auc - 0.01,
        "{fallback:?} {naive:?}"
    );
    assert!((0.93..=1.07).contains(&fallback.ltv.bias), "{fallback:?}");
}

#[test]
fn the_report_has_the_keys_that_scripts_read() {
    let json = serde_json::to_value(report(true, 20)).expect("JSON");
    for path in
        ["/ltv/mae", "/ltv/rmse", "/ltv/bias", "/ltv/spearman", "/ltv/gini", "/ltv/top_decile_capture"]
    {
        assert!(json.pointer(path).is_some_and(serde_json::Value::is_f64), "{path} is missing");
    }
    for path in ["/churn/auc", "/churn/pr_auc", "/churn/brier", "/churn/ece"] {
        assert!(json.pointer(path).is_some_and(serde_json::Value::is_f64), "{path} is missing");
    }
    for path in ["/baselines/persistence/mae", "/baselines/recency/auc", "/baselines/mbg_nbd/auc"] {
        assert!(json.pointer(path).is_some_and(serde_json::Value::is_f64), "{path} is missing");
    }
    let interval = &json["intervals"]["ltv"][0];
    assert!(interval["low"].as_f64() < interval["high"].as_f64(), "{interval}");
    assert!(json["intervals"]["ltv"][0]["gain_high"].is_f64());
}

#[test]
fn a_file_that_ends_too_early_cannot_be_judged() {
    let options =
        Options { as_of: "2017-11-15".parse().expect("a date"), held_out_only: false, bootstraps: 0 };
    let refused = evaluate::evaluate(&mut models(), &data::events(), &options);
    assert!(matches!(refused, Err(Error::NoFuture(_))), "{refused:?}");
}

#[test]
fn the_split_is_the_one_of_the_training_script() {
    // sha256("1") begins with 6b86b273ff34fce1, which is 13 modulo 100.
    assert_eq!(0x6b86_b273_ff34_fce1_u64 % 100, 13);
    assert!(is_held_out("1"));
    let table = models::table::read(&data::events(), "2017-10-01".parse().expect("a date")).expect("a table");
    let held_out = table.examples.iter().filter(|example| is_held_out(&example.household)).count();
    assert_eq!((table.examples.len(), held_out), (1675, 553));
}

#[test]
fn an_inspection_shows_digest_metrics_and_engine() {
    let models = models();
    let inspection = inspect(&models);
    assert_eq!(inspection.digest, models.digest());
    assert_eq!(inspection.engine.name, "tract");
    let names: Vec<&str> = inspection.models.iter().map(|card| card.name.as_str()).collect();
    assert_eq!(names, ["ltv_91d", "churn_60d"]);
    assert!(inspection.models.iter().all(|card| card.metrics.len() >= 4 && card.golden_rows >= 3));
}
