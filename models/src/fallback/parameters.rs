//! Parameters of the closed-form scorer. Written by `models/training/train.py`; do not edit by hand.
//!
//! | fitted to | r | alpha (days) | a | b |
//! |---|---|---|---|---|
//! | likelihood of purchase counts and times | 1.151 | 5.976 | 0.02511 | 15.45 |
//! | whether a purchase followed within 60 days | 3.921 | 104.7 | 0.03221 | 3.074 |
//!
//! Source: 1102 households of the Complete Journey panel at 4 cutoffs; four significant digits.

/// The four parameters of the MBG/NBD process; times in days.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Shape of the purchase rate among members.
    pub r: f64,
    /// Scale of the purchase rate, in days.
    pub alpha: f64,
    /// First parameter of the leaving probability.
    pub a: f64,
    /// Second parameter of the leaving probability.
    pub b: f64,
}

/// Fitted to the likelihood of purchase counts and times: the textbook line that models are compared with.
pub const LIKELIHOOD: Parameters = Parameters { r: 1.151, alpha: 5.976, a: 0.02511, b: 15.45 };

/// Fitted to whether a purchase followed within 60 days: what the fallback answers.
pub const OUTCOME: Parameters = Parameters { r: 3.921, alpha: 104.7, a: 0.03221, b: 3.074 };
