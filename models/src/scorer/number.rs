//! The border between floats and integers.

use domain::{Micros, Ppm};

use super::Fault;

/// Largest LTV a model may claim: the largest amount one purchase may have.
pub const LTV_MAX: Micros = Micros::units(1_000_000);

/// Currency units as micros, half to even.
pub(super) fn money(value: f64) -> Result<Micros, Fault> {
    if !value.is_finite() {
        return Err(Fault::NotFinite);
    }
    let micros = (value * 1e6).round_ties_even();
    if (0.0..=LTV_MAX.0 as f64).contains(&micros) {
        Ok(Micros(micros as i64))
    } else {
        Err(Fault::OutOfRange)
    }
}

/// A probability as parts per million, half to even.
pub(super) fn share(value: f64) -> Result<Ppm, Fault> {
    if !value.is_finite() {
        return Err(Fault::NotFinite);
    }
    let ppm = (value * 1e6).round_ties_even();
    if (0.0..=1e6).contains(&ppm) { Ok(Ppm(ppm as u32)) } else { Err(Fault::OutOfRange) }
}

#[cfg(test)]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_even_and_nonsense_is_a_fault() {
        assert_eq!(share(0.000_000_5), Ok(Ppm(0)));
        assert_eq!(share(0.000_001_5), Ok(Ppm(2)));
        assert_eq!(money(12.34), Ok(Micros(12_340_000)));
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!((share(nonsense), money(nonsense)), (Err(Fault::NotFinite), Err(Fault::NotFinite)));
        }
        assert_eq!((share(1.01), share(-0.01)), (Err(Fault::OutOfRange), Err(Fault::OutOfRange)));
        assert_eq!((money(-0.01), money(1_000_000.5)), (Err(Fault::OutOfRange), Err(Fault::OutOfRange)));
    }
}
