//! Percentile intervals over resampled households (the bootstrap).

use serde::Serialize;

/// A measure's 95 % interval, and that of its difference to the naive line on the same households.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The measure.
    pub name: &'static str,
    /// 2.5th and 97.5th percentile.
    pub low: f64,
    pub high: f64,
    /// Measure of the model minus measure of the naive line: 2.5th and 97.5th percentile.
    pub gain_low: f64,
    pub gain_high: f64,
}

/// The values at these positions.
pub fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|row| values[*row]).collect()
}

/// Intervals of `N` measures; `measure` gives them for the model and for the naive line.
pub fn intervals<const N: usize>(
    names: &[&'static str; N],
    samples: &[Vec<usize>],
    measure: impl Fn(&[usize]) -> ([f64; N], [f64; N]),
) -> Vec<Interval> {
    let pairs: Vec<_> = samples.iter().map(|rows| measure(rows)).collect();
    let of = |position: usize, name: &'static str| {
        let (low, high) = percentiles(pairs.iter().map(|(model, _)| model[position]));
        let (gain_low, gain_high) =
            percentiles(pairs.iter().map(|(model, line)| model[position] - line[position]));
        Interval { name, low, high, gain_low, gain_high }
    };
    names.iter().enumerate().map(|(position, name)| of(position, name)).collect()
}

/// A sample without churners has no AUC; such samples are left out.
fn percentiles(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let mut sorted: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(index).copied().unwrap_or(f64::NAN)
    };
    (at(0.025), at(0.975))
}
