//! The same models on a real ONNX Runtime library, named by `ORT_DYLIB_PATH`.
//!
//! Without the variable the test says so and passes, unless `LARGESSE_TEST_ORT=required` is set, as the project's
//! test command does. `models/training/README.md` tells how to get the library.

#[path = "common/data.rs"]
mod data;
#[path = "common/folder.rs"]
mod folder;
#[path = "common/written.rs"]
mod written;

use domain::{Micros, Ppm};
use models::Models;
use models::engine::{Choice, Engine, LIBRARY_VARIABLE};
use models::scorer::Source;

#[test]
fn onnx_runtime_gives_the_scores_written_down_and_runs_trees() {
    let named = std::env::var(LIBRARY_VARIABLE).ok();
    let choice @ Choice::Library(_) = Choice::from_names(None, named.as_deref()) else {
        let required = std::env::var("LARGESSE_TEST_ORT").is_ok_and(|value| value == "required");
        let advice =
            "ORT_DYLIB_PATH names no ONNX Runtime library; models/training/README.md tells how to get one";
        assert!(!required, "{advice}");
        eprintln!("not run: {advice}");
        return;
    };
    let engine = Engine::start(&choice).expect("the library opens");
    assert_eq!(engine.info().name, "onnxruntime");
    let mut models = Models::load(&engine, &Source::Shipped).expect("golden outputs agree");
    let rows = written::households();
    for (index, ltv, churn) in written::WRITTEN_DOWN {
        let (Micros(found), Ppm(share)) = models.score(&rows[index..=index])[0].expect("a score");
        assert!((found - ltv).abs() <= ltv / 10_000 + 1, "household {index}: {found}, written down {ltv}");
        assert!(share.abs_diff(churn) <= 100, "household {index}: {share} ppm, written down {churn}");
    }
    let answer = |recency: f32| if recency > 60.0 { 0.75 } else { 0.125 };
    let trees = folder::fixture("trees", &["ai.onnx.ml.TreeEnsembleRegressor"], answer);
    let folder = folder::folder_with(&trees);
    let mut models = Models::load(&engine, &Source::Folder(folder.path().to_owned())).expect("trees load");
    let scores = models.score(&rows[..8]);
    assert!(scores.iter().all(|score| matches!(score, Ok((_, Ppm(125_000 | 750_000))))), "{scores:?}");
}
