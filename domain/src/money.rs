//! Money in integer micros (one millionth of the program's currency unit).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of money in micros of the program currency; may be negative (a refund, a negative value).
///
/// `i64` micros hold about ±9.2 trillion currency units, far above any program budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Micros(pub i64);

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not of the form `[-]digits[.digits]`.
    #[error("{0:?} is not a decimal amount such as \"12.34\"")]
    NotDecimal(String),
    /// More than six decimals.
    #[error("{0:?} has more than six decimals; the smallest unit is 0.000001")]
    TooPrecise(String),
    /// Does not fit i64 micros.
    #[error("{0:?} is too large")]
    TooLarge(String),
}

impl MoneyError {
    /// What is wrong, without the text it is wrong with.
    pub fn without_text(&self) -> &'static str {
        match self {
            MoneyError::NotDecimal(_) => "not a decimal amount such as \"12.34\"",
            MoneyError::TooPrecise(_) => "more than six decimals; the smallest unit is 0.000001",
            MoneyError::TooLarge(_) => "too large",
        }
    }
}

impl Micros {
    /// No money.
    pub const ZERO: Micros = Micros(0);
    /// Micros in one currency unit.
    pub const PER_UNIT: i64 = 1_000_000;

    /// Whole currency units.
    pub const fn units(units: i64) -> Micros {
        Micros(units * Self::PER_UNIT)
    }

    /// Sum, or `None` when it leaves `i64`.
    pub fn checked_add(self, other: Micros) -> Option<Micros> {
        self.0.checked_add(other.0).map(Micros)
    }

    /// Sum clamped to the range of `i64`; for statistics, never for budgets.
    pub fn saturating_add(self, other: Micros) -> Micros {
        Micros(self.0.saturating_add(other.0))
    }

    /// `self * numerator / denominator` rounded half up (towards +infinity), through `i128`.
    pub fn scale(self, numerator: i64, denominator: i64) -> Micros {
        let product = i128::from(self.0) * i128::from(numerator);
        let denominator = i128::from(denominator);
        let scaled = (2 * product + denominator).div_euclid(2 * denominator);
        Micros(i64::try_from(scaled).unwrap_or(if scaled > 0 { i64::MAX } else { i64::MIN }))
    }
}

impl std::ops::Add for Micros {
    type Output = Micros;
    fn add(self, other: Micros) -> Micros {
        Micros(self.0 + other.0)
    }
}

impl std::ops::Sub for Micros {
    type Output = Micros;
    fn sub(self, other: Micros) -> Micros {
        Micros(self.0 - other.0)
    }
}

impl std::ops::Neg for Micros {
    type Output = Micros;
    fn neg(self) -> Micros {
        Micros(-self.0)
    }
}

impl std::ops::AddAssign for Micros {
    fn add_assign(&mut self, other: Micros) {
        self.0 += other.0;
    }
}

impl std::iter::Sum for Micros {
    fn sum<I: Iterator<Item = Micros>>(iter: I) -> Micros {
        iter.fold(Micros::ZERO, |total, amount| total + amount)
    }
}

/// Plain decimal, at least two decimals, no thousands separator: `12.34`, `-0.05`, `0.000001`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let absolute = self.0.unsigned_abs();
        let (units, fraction) = (absolute / 1_000_000, absolute % 1_000_000);
        let digits = format!("{fraction:06}");
        let kept = digits.trim_end_matches('0').len().max(2);
        write!(f, "{sign}{units}.{}", &digits[..kept])
    }
}

impl FromStr for Micros {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Micros, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (units, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if units.is_empty() || !all_digits(units) || !all_digits(fraction) || digits.ends_with('.') {
            return Err(MoneyError::NotDecimal(text.to_owned()));
        }
        if fraction.len() > 6 {
            return Err(MoneyError::TooPrecise(text.to_owned()));
        }
        let too_large = || MoneyError::TooLarge(text.to_owned());
        let units: i64 = units.parse().map_err(|_| too_large())?;
        let fraction: i64 = format!("{fraction:0<6}").parse().map_err(|_| too_large())?;
        let micros = units
            .checked_mul(1_000_000)
            .and_then(|whole| whole.checked_add(fraction))
            .ok_or_else(too_large)?;
        Ok(Micros(if negative { -micros } else { micros }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_read_as_people_write_them() {
        assert_eq!("12.34".parse(), Ok(Micros(12_340_000)));
        assert_eq!("-0.05".parse(), Ok(Micros(-50_000)));
        assert_eq!("7".parse(), Ok(Micros(7_000_000)));
        assert_eq!(Micros(12_340_000).to_string(), "12.34");
        assert_eq!(Micros(-50_000).to_string(), "-0.05");
        assert_eq!(Micros(1).to_string(), "0.000001");
    }

    #[test]
    fn nonsense_amounts_are_refused() {
        for text in
            ["", "-", ".5", "1.", "1e3", "NaN", "1,000", "0x10", "1.2345678", "99999999999999999999", "١"]
        {
            assert!(text.parse::<Micros>().is_err(), "{text:?} was accepted");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(micros in -9_000_000_000_000_000_000i64..9_000_000_000_000_000_000) {
            let amount = Micros(micros);
            prop_assert_eq!(amount.to_string().parse::<Micros>(), Ok(amount));
        }

        #[test]
        fn scaling_is_within_half_a_micro(micros in -1_000_000_000_000i64..1_000_000_000_000, numerator in 0i64..2_000_000) {
            let scaled = i128::from(Micros(micros).scale(numerator, 1_000_000).0);
            let exact = i128::from(micros) * i128::from(numerator);
            prop_assert!((scaled * 1_000_000 - exact).abs() <= 500_000);
        }
    }
}
