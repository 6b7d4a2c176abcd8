"""Trains the shipped models from raw purchases. See README.md.

    python train.py --events ../../sim/data/completejourney/events.csv.gz -- largesse model features

What follows `--` is the command that writes a training table; it gets `--events FILE --as-of DATE`.
Writes ../files/*.onnx, ../files/*.model.toml and ../src/fallback/parameters.rs.
"""

import argparse
import os
from pathlib import Path

# One thread: sums are added in one order, so a re-run finds the same bits.
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np
import onnxruntime

import columns as c
import data
import fit
import graph
import manifest
import mbg
import measure

HERE = Path(__file__).resolve().parent
VERSION = "1.0.0"

# Penalties were chosen by three-fold cross-validation over training households: fitted up to the third cutoff,
# judged at the fourth. Halving or doubling any of them moves MAE by less than 1 and AUC by less than 0.003.
RIDGE_PLAIN, RIDGE_WIDE = 3.0, 30.0
LOGISTIC_PLAIN, LOGISTIC_WIDE = 100.0, 300.0
# Share of "the next 91 days like the last" in the LTV: costs nothing in cross-validation and keeps the answer
# anchored where the columns are clipped.
PERSISTENCE = 0.15


def fit_ltv(train):
    """The LTV graph. The factor makes predictions and outcomes equal in total (a mean of roots is too small)."""
    caps = c.Caps(train.features)
    table = c.columns(train.features, caps)
    layers = fit.Layers(table)
    inputs = layers.units(table)
    weights, bias = fit.mean_of_two(inputs, np.sqrt(train.spend), fit.ridge, RIDGE_PLAIN, RIDGE_WIDE)
    squared = np.maximum(inputs @ weights + bias, 0.0) ** 2
    factor = train.spend.sum() / squared.sum()
    return graph.ltv(layers, caps, weights, bias, factor, PERSISTENCE)


def fit_churn(train, parameters):
    """The churn graph."""
    caps = c.Caps(train.features)
    table = c.columns(train.features, caps, parameters)
    layers = fit.Layers(table)
    inputs = layers.units(table)
    weights, bias = fit.mean_of_two(inputs, train.churn, fit.logistic, LOGISTIC_PLAIN, LOGISTIC_WIDE)
    return graph.churn(layers, caps, weights, bias, parameters)


def answers(model, features):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {"features": features.astype(np.float32)})[0][:, 0]


def golden_rows(features):
    """A member without purchases, extreme members, and typical ones."""
    rows = [np.zeros(data.FEATURES), features.max(axis=0), features.min(axis=0), np.median(features, axis=0)]
    rows += [features[index] for index in range(0, len(features), len(features) // 5)]
    return np.array(rows, dtype=np.float32)


def compare(measures, outcome, prediction, naive):
    """Metric rows; `naive` maps a name to its prediction. Where several lines exist the best stands beside."""
    better = {"mae": min, "rmse": min, "brier": min, "ece": min, "bias": lambda v: min(v, key=lambda x: abs(x[0] - 1))}
    rows = []
    for name, (value, low, high) in measure.intervals(measures, outcome, prediction).items():
        lines = [(measures[name](outcome, line), label) for label, line in naive.items()]
        beside, label = better.get(name, max)(lines)
        print(f"{name:9} {value:9.4f}  [{low:.4f}, {high:.4f}]   {label} {beside:.4f}")
        row = {"value": value, "low": low, "high": high, "baseline_value": beside}
        row = {key: manifest.number(round(number, 5)) for key, number in row.items()}
        rows.append({"name": manifest.text(name), "as_of": manifest.text(data.TEST_CUTOFF),
                     "households": len(outcome), "baseline": manifest.text(label), **row})
    return rows


def write(name, kind, horizon, unit, model, train, events, recipe, measures, outcome, test, naive):
    """Writes one model with its manifest."""
    print(f"\n{name}, {len(test.households)} households not trained on, as of {data.TEST_CUTOFF}")
    raw = model.SerializeToString(deterministic=True)
    golden = golden_rows(train.features)
    prediction = answers(model, test.features).astype(float)
    facts = {
        "name": manifest.text(name), "kind": manifest.text(kind), "horizon_days": horizon,
        "version": manifest.text(VERSION), "sha256": manifest.text(manifest.sha256(raw)), "opset": graph.OPSET,
        "operators": manifest.array(sorted({node.op_type for node in model.graph.node})),
        "feature_schema": 1, "features": manifest.array(train.names),
        "input": manifest.text("features"), "output": manifest.text(name),
        "transform": manifest.text("identity"), "unit": manifest.text(unit),
    }
    training = {
        "source": manifest.text("Complete Journey panel (84.51/dunnhumby), CRAN completejourney, CC0"),
        "source_sha256": manifest.text(manifest.sha256(Path(events).read_bytes())),
        "from": manifest.text("2017-01-01"), "to": manifest.text("2017-10-01"),
        "cutoffs": manifest.array(data.TRAIN_CUTOFFS), "households": len(set(train.households)),
        "rows": len(train.households), "split": manifest.text(data.SPLIT), "recipe": manifest.text(recipe),
    }
    baseline = [(label, *measure.histogram(train.features[:, i])) for i, label in enumerate(train.names)]
    baseline.append(("score", *measure.histogram(answers(model, train.features))))
    metrics = compare(measures, outcome, prediction, naive)
    calibration = measure.tenths(outcome, prediction)
    text = manifest.written(facts, training, metrics, calibration, baseline, zip(golden, answers(model, golden)))
    (HERE / f"../files/{name}.onnx").write_bytes(raw)
    (HERE / f"../files/{name}.model.toml").write_text(text)


PARAMETERS = """\
//! Parameters of the closed-form scorer. Written by `models/training/train.py`; do not edit by hand.
//!
//! | fitted to | r | alpha (days) | a | b |
//! |---|---|---|---|---|
//! | likelihood of purchase counts and times | {0} | {1} | {2} | {3} |
//! | whether a purchase followed within 60 days | {4} | {5} | {6} | {7} |
//!
//! Source: {households} households of the Complete Journey panel at {cutoffs} cutoffs; four significant digits.

/// The four parameters of the MBG/NBD process; times in days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {{
    /// Shape of the purchase rate among members.
    pub r: f64,
    /// Scale of the purchase rate, in days.
    pub alpha: f64,
    /// First parameter of the leaving probability.
    pub a: f64,
    /// Second parameter of the leaving probability.
    pub b: f64,
}}

/// Fitted to the likelihood of purchase counts and times: the textbook line that models are compared with.
pub const LIKELIHOOD: Parameters = Parameters {{ r: {0}, alpha: {1}, a: {2}, b: {3} }};

/// Fitted to whether a purchase followed within 60 days: what the fallback answers.
pub const OUTCOME: Parameters = Parameters {{ r: {4}, alpha: {5}, a: {6}, b: {7} }};
"""


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", required=True, help="purchases, CSV or CSV.gz")
    arguments.add_argument("command", nargs="+", help="command that writes a training table")
    arguments = arguments.parse_args()
    tables = [data.load(arguments.command, arguments.events, cutoff) for cutoff in data.TRAIN_CUTOFFS]
    train = data.pool([table.where(~table.held_out) for table in tables])
    test = data.load(arguments.command, arguments.events, data.TEST_CUTOFF)
    test = test.where(test.held_out)

    by_likelihood, by_outcome = mbg.fit(train)
    numbers = [repr(value) for value in by_likelihood + by_outcome]
    text = PARAMETERS.format(*numbers, households=len(set(train.households)), cutoffs=len(tables))
    (HERE / "../src/fallback/parameters.rs").write_text(text)

    last = test.features[:, 20]
    write("ltv_91d", "ltv", 91, "currency", fit_ltv(train), train, arguments.events,
          "root of spend: mean of two ridge fits over columns and 32 random units; 15 % persistence",
          measure.LTV, test.spend, test, {"persistence": last})
    naive = {"mbg_nbd": mbg.no_purchase(by_likelihood, test.features)}
    write("churn_60d", "churn", 60, "probability", fit_churn(train, by_likelihood), train, arguments.events,
          "mean of two logistic fits over columns, MBG/NBD log odds and 32 random units",
          measure.CHURN, test.churn, test, naive)


if __name__ == "__main__":
    main()
