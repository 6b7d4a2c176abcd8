//! How good predictions are. Definitions follow the textbooks; ties count as ties.

use serde::Serialize;

/// How good predicted spend is, against what was spent. Money in currency units.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LtvMeasures {
    /// Mean absolute error.
    pub mae: f64,
    /// Root mean squared error.
    pub rmse: f64,
    /// Predicted total over actual total.
    pub bias: f64,
    /// Rank correlation.
    pub spearman: f64,
    /// Area between the model's Lorenz curve and chance, over that of a perfect ranking.
    pub gini: f64,
    /// Share of actual spend among the tenth of members predicted highest.
    pub top_decile_capture: f64,
}

/// How good predicted churn is, against what happened.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ChurnMeasures {
    /// Area under the ROC curve.
    pub auc: f64,
    /// Average precision.
    pub pr_auc: f64,
    /// Mean squared error of the probability.
    pub brier: f64,
    /// Expected calibration error over ten equal bins.
    pub ece: f64,
}

impl LtvMeasures {
    /// The measures in the order of [`LtvMeasures::values`].
    pub const NAMES: [&'static str; 6] = ["mae", "rmse", "bias", "spearman", "gini", "top_decile_capture"];

    /// Measures predictions against outcomes of the same members.
    pub fn of(actual: &[f64], predicted: &[f64]) -> LtvMeasures {
        let count = actual.len() as f64;
        let errors = || actual.iter().zip(predicted).map(|(actual, predicted)| actual - predicted);
        let total: f64 = actual.iter().sum();
        let order = descending(predicted);
        let best = order.iter().take(actual.len().div_ceil(10)).map(|index| actual[*index]);
        LtvMeasures {
            mae: errors().map(f64::abs).sum::<f64>() / count,
            rmse: (errors().map(|error| error * error).sum::<f64>() / count).sqrt(),
            bias: predicted.iter().sum::<f64>() / total,
            spearman: correlation(&ranks(actual), &ranks(predicted)),
            gini: lorenz_area(actual, &order) / lorenz_area(actual, &descending(actual)),
            top_decile_capture: best.sum::<f64>() / total,
        }
    }

    /// The values in the order of [`LtvMeasures::NAMES`].
    pub fn values(&self) -> [f64; 6] {
        [self.mae, self.rmse, self.bias, self.spearman, self.gini, self.top_decile_capture]
    }
}

impl ChurnMeasures {
    /// The measures in the order of [`ChurnMeasures::values`].
    pub const NAMES: [&'static str; 4] = ["auc", "pr_auc", "brier", "ece"];

    /// Measures probabilities against outcomes of the same members.
    pub fn of(churned: &[bool], predicted: &[f64]) -> ChurnMeasures {
        let outcome = |churned: bool| if churned { 1.0 } else { 0.0 };
        let squares = churned.iter().zip(predicted).map(|(churned, p)| (outcome(*churned) - p).powi(2));
        ChurnMeasures {
            auc: auc(churned, predicted),
            pr_auc: average_precision(churned, predicted),
            brier: squares.sum::<f64>() / churned.len() as f64,
            ece: calibration_error(churned, predicted),
        }
    }

    /// The values in the order of [`ChurnMeasures::NAMES`].
    pub fn values(&self) -> [f64; 4] {
        [self.auc, self.pr_auc, self.brier, self.ece]
    }
}

/// Positions from the largest value to the smallest; equal values keep their order.
fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    order
}

/// Ranks from 1, equal values sharing the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut done = 0;
    for group in order.chunk_by(|a, b| values[*a].total_cmp(&values[*b]).is_eq()) {
        let mean = (2 * done + group.len() + 1) as f64 / 2.0;
        for index in group {
            ranks[*index] = mean;
        }
        done += group.len();
    }
    ranks
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (middle_a, middle_b) = (mean(a), mean(b));
    let product = |x: &[f64], mx: f64, y: &[f64], my: f64| {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum::<f64>()
    };
    let spread = (product(a, middle_a, a, middle_a) * product(b, middle_b, b, middle_b)).sqrt();
    product(a, middle_a, b, middle_b) / spread
}

fn lorenz_area(actual: &[f64], order: &[usize]) -> f64 {
    let total: f64 = actual.iter().sum();
    let mut sum = 0.0;
    let curve = order.iter().map(|index| {
        sum += actual[*index];
        sum / total
    });
    curve.sum::<f64>() / order.len() as f64 - 0.5
}

fn auc(churned: &[bool], predicted: &[f64]) -> f64 {
    let positive = churned.iter().filter(|churned| **churned).count() as f64;
    let ranks = ranks(predicted);
    let sum: f64 = ranks.iter().zip(churned).filter(|(_, churned)| **churned).map(|(rank, _)| rank).sum();
    (sum - positive * (positive + 1.0) / 2.0) / (positive * (churned.len() as f64 - positive))
}

fn average_precision(churned: &[bool], predicted: &[f64]) -> f64 {
    let order = descending(predicted);
    let (mut seen, mut hits, mut area) = (0.0, 0.0, 0.0);
    for group in order.chunk_by(|a, b| predicted[*a].total_cmp(&predicted[*b]).is_eq()) {
        let found = group.iter().filter(|index| churned[**index]).count() as f64;
        seen += group.len() as f64;
        hits += found;
        area += found * hits / seen;
    }
    area / hits
}

fn calibration_error(churned: &[bool], predicted: &[f64]) -> f64 {
    let mut gaps = [0.0; 10];
    for (churned, p) in churned.iter().zip(predicted) {
        let bin = ((p * 10.0) as usize).min(9);
        gaps[bin] += f64::from(u8::from(*churned)) - p;
    }
    gaps.map(f64::abs).iter().sum::<f64>() / predicted.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found}, expected {expected}");
    }

    #[test]
    fn a_perfect_prediction_measures_perfect() {
        let spend: Vec<f64> = (0..20).map(f64::from).collect();
        let measures = LtvMeasures::of(&spend, &spend);
        near(measures.mae + measures.rmse, 0.0);
        near(measures.bias + measures.spearman + measures.gini, 3.0);
        near(measures.top_decile_capture, 37.0 / 190.0);
        let churned: Vec<bool> = (0..20).map(|number| number % 4 == 0).collect();
        let sure: Vec<f64> = churned.iter().map(|churned| f64::from(u8::from(*churned))).collect();
        let [auc, pr_auc, brier, ece] = ChurnMeasures::of(&churned, &sure).values();
        near(auc + pr_auc, 2.0);
        near(brier + ece, 0.0);
    }

    #[test]
    fn hand_computed_values_are_met() {
        let measures = LtvMeasures::of(&[10.0, 0.0, 30.0, 20.0], &[12.0, 0.0, 20.0, 28.0]);
        near(measures.mae, 5.0);
        near(measures.rmse, 42.0_f64.sqrt());
        near(measures.spearman, 0.8);
        near(measures.top_decile_capture, 20.0 / 60.0);
        let churn = ChurnMeasures::of(&[true, false, true, false], &[0.9, 0.8, 0.35, 0.1]);
        near(churn.auc, 0.75);
        near(churn.pr_auc, (1.0 + 2.0 / 3.0) / 2.0);
        near(churn.ece, (0.1 + 0.8 + 0.65 + 0.1) / 4.0);
    }

    #[test]
    fn a_constant_ranks_like_chance() {
        let churn = ChurnMeasures::of(&[true, false, false, true], &[0.5; 4]);
        near(churn.auc, 0.5);
        near(churn.pr_auc, 0.5);
    }
}
