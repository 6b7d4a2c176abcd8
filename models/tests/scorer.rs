//! Loading refuses what a manifest does not vouch for, and scores leave as integers or faults.

#[path = "common/data.rs"]
mod data;
#[path = "common/folder.rs"]
mod folder;
#[path = "common/written.rs"]
mod written;

use domain::{Digest, Micros, Ppm};
use folder::{Pair, fixture, folder_with, shipped};
use models::Models;
use models::engine::{Choice, Engine};
use models::features::FeatureVector;
use models::manifest::{Manifest, Refusal};
use models::scorer::{Error, Fault, Source};

fn engine() -> Engine {
    Engine::start(&Choice::Embedded).expect("the embedded engine starts")
}

fn load(churn: &Pair) -> Result<Models, Error> {
    let folder = folder_with(churn);
    Models::load(&engine(), &Source::Folder(folder.path().to_owned()))
}

fn load_changed(change: impl FnOnce(&mut Manifest)) -> Result<Models, Error> {
    let (mut manifest, onnx) = shipped("churn_60d");
    change(&mut manifest);
    load(&(manifest, onnx))
}

fn check_refused(loaded: Result<Models, Error>, words: &str) {
    let error = loaded.expect_err(words).to_string();
    assert!(error.contains(words), "{error:?} does not say {words:?}");
}

fn first(recency: f32) -> FeatureVector {
    let mut row = [0.0; 22];
    row[0] = recency;
    FeatureVector(row)
}

#[test]
fn shipped_models_load_and_score_every_household_within_range() {
    let mut models = Models::load(&engine(), &Source::Shipped).expect("shipped models load");
    let rows = written::households();
    for score in models.score(&rows) {
        let (ltv, churn) = score.expect("a score");
        assert!(ltv >= Micros::ZERO && churn <= Ppm::ONE);
    }
}

#[test]
fn scores_are_those_written_down() {
    let mut models = Models::load(&engine(), &Source::Shipped).expect("shipped models load");
    let rows = written::households();
    for (index, ltv, churn) in written::WRITTEN_DOWN {
        let (Micros(found), Ppm(share)) = models.score(&rows[index..=index])[0].expect("a score");
        assert!((found - ltv).abs() <= ltv / 10_000 + 1, "household {index}: {found}, written down {ltv}");
        assert!(share.abs_diff(churn) <= 100, "household {index}: {share} ppm, written down {churn}");
    }
}

#[test]
fn a_score_does_not_depend_on_its_batch() {
    let mut models = Models::load(&engine(), &Source::Shipped).expect("shipped models load");
    let rows = written::households();
    let together = models.score(&rows[..256]);
    for (row, score) in rows.iter().zip(together).step_by(17) {
        let (alone, score) = (models.score(&[*row])[0].expect("a score"), score.expect("a score"));
        assert!((alone.0.0 - score.0.0).abs() <= score.0.0 / 100_000 + 1, "{alone:?} {score:?}");
        assert!(alone.1.0.abs_diff(score.1.0) <= 1, "{alone:?} {score:?}");
    }
}

#[test]
fn no_rows_give_no_scores() {
    let mut models = Models::load(&engine(), &Source::Shipped).expect("shipped models load");
    assert!(models.score(&[]).is_empty());
}

#[test]
fn the_digest_is_that_of_both_model_files() {
    let models = Models::load(&engine(), &Source::Shipped).expect("shipped models load");
    let [ltv, churn] = ["ltv_91d", "churn_60d"].map(|name| Digest::of(&shipped(name).1).0);
    assert_eq!(models.digest(), Digest::of(&[ltv, churn].concat()));
}

#[test]
fn a_folder_with_the_shipped_models_loads_like_the_shipped_ones() {
    let models = load(&shipped("churn_60d")).expect("loads");
    assert_eq!(models.digest(), Models::load(&engine(), &Source::Shipped).expect("loads").digest());
}

#[test]
fn a_changed_file_is_refused_by_its_hash() {
    let (manifest, mut onnx) = shipped("churn_60d");
    *onnx.last_mut().expect("not empty") ^= 1;
    check_refused(load(&(manifest, onnx)), "SHA-256");
}

#[test]
fn each_statement_of_a_manifest_is_checked() {
    check_refused(load_changed(|m| m.feature_schema = 2), "feature_schema");
    check_refused(load_changed(|m| m.features.swap(0, 1)), "features");
    check_refused(load_changed(|m| m.horizon_days = 30), "horizon_days");
    check_refused(load_changed(|m| m.opset = 13), "opset");
    check_refused(load_changed(|m| _ = m.operators.pop()), "operators");
    check_refused(load_changed(|m| m.input = "x".to_owned()), "input");
    check_refused(load_changed(|m| m.output = "y".to_owned()), "output");
    check_refused(load_changed(|m| m.unit = models::manifest::Unit::Currency), "unit");
    check_refused(load_changed(|m| m.golden.truncate(2)), "golden");
    check_refused(load_changed(|m| _ = m.golden[1].features.pop()), "golden");
}

#[test]
fn a_golden_output_that_differs_is_refused() {
    check_refused(load_changed(|m| m.golden[2].output += 0.001), "golden row 2");
    check_refused(load_changed(|m| m.golden[1].output = f32::NAN), "golden row 1");
}

#[test]
fn an_unknown_key_in_a_manifest_is_refused() {
    let text = toml::to_string(&shipped("churn_60d").0).expect("a manifest");
    let refused = Manifest::parse(&format!("wizard = 1\n{text}"));
    assert!(matches!(refused, Err(Refusal::Unreadable(why)) if why.contains("wizard")));
}

#[test]
fn a_model_that_reaches_outside_itself_is_refused() {
    let refused = load(&fixture("external", &["MatMul"], |_| 0.0));
    let before_the_engine = matches!(refused, Err(Error::Refused { why: Refusal::ExternalData, .. }));
    assert!(before_the_engine, "{refused:?}");
}

#[test]
fn a_model_with_branches_is_refused() {
    check_refused(load(&fixture("nested", &["If", "Slice"], f32::sqrt)), "nested graphs");
}

#[test]
fn an_operator_outside_the_list_is_refused() {
    check_refused(load(&fixture("sine", &["Sin", "Slice"], f32::sin)), "operator Sin");
}

#[test]
fn a_model_of_another_shape_is_refused() {
    check_refused(load(&fixture("narrow", &["Slice", "Sqrt"], f32::sqrt)), "[rows, 21]");
}

#[test]
fn trees_on_the_embedded_engine_are_refused_with_advice() {
    let trees =
        fixture(
            "trees",
            &["ai.onnx.ml.TreeEnsembleRegressor"],
            |recency| if recency > 60.0 { 0.75 } else { 0.125 },
        );
    check_refused(load(&trees), "name an ONNX Runtime library");
}

#[test]
fn a_cut_off_or_random_file_is_no_model_and_no_panic() {
    let (_, onnx) = shipped("churn_60d");
    for length in (0..onnx.len()).step_by(97) {
        let (mut manifest, _) = shipped("churn_60d");
        manifest.sha256 = Digest::of(&onnx[..length]);
        assert!(manifest.check(&onnx[..length], false).is_err(), "accepted {length} bytes");
    }
}

#[test]
fn answers_that_are_no_number_or_out_of_range_are_faults_of_their_row_only() {
    let mut models = load(&fixture("root", &["Slice", "Sqrt"], f32::sqrt)).expect("loads");
    let scores = models.score(&[first(0.25), first(-1.0), first(4.0), first(f32::NAN), first(0.81)]);
    let churn: Vec<_> = scores.into_iter().map(|score| score.map(|(_, churn)| churn)).collect();
    assert_eq!(
        churn,
        [
            Ok(Ppm(500_000)),
            Err(Fault::NotFinite),
            Err(Fault::OutOfRange),
            Err(Fault::NotFinite),
            Ok(Ppm(900_000))
        ]
    );
}

#[test]
fn a_folder_needs_exactly_one_model_of_each_kind() {
    let empty = tempfile::tempdir().expect("a folder");
    check_refused(Models::load(&engine(), &Source::Folder(empty.path().to_owned())), "exactly one");
    let missing = empty.path().join("nowhere");
    check_refused(Models::load(&engine(), &Source::Folder(missing)), "cannot read");
}
