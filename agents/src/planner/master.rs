//! The master program: which mix of the segments' answers is best within the capacities, and at what prices.
//!
//! ```text
//! max  sum w v - penalty * short     s.t.  sum w use <= 1 per resource,  sum_j w_sj <= 1 per segment,
//!                                          sum_j w_sj grants_sj + short_s >= floor_s,   w, short >= 0
//! ```
//! Its optimum is the value of a plan that exists; its duals are the next prices to try. Whoever solves it is
//! an oracle nobody trusts: weights are rounded down to integers that keep every capacity, and prices only
//! ever become questions.

/// A column: one answer of one segment.
#[derive(Clone, Debug)]
pub struct Column {
    pub segment: usize,
    /// Value in units of [`MasterProblem::unit`].
    pub value: f64,
    /// `(row, share of the row's capacity)`.
    pub uses: Vec<(usize, f64)>,
    /// Rewarded events relative to the segment's floor; zero without a floor.
    pub grants: f64,
}

/// The master program in floating point, scaled so that capacities and floors are one.
#[derive(Clone, Debug, Default)]
pub struct MasterProblem {
    /// Number of capacity rows.
    pub rows: usize,
    pub columns: Vec<Column>,
    /// Per segment: highest subsidy times floor, in value units; `None` without a floor.
    pub penalties: Vec<Option<f64>>,
    /// Micros per value unit.
    pub unit: f64,
}

/// An oracle's answer.
#[derive(Clone, Debug)]
pub struct MasterSolution {
    /// Price of each whole row, in value units.
    pub prices: Vec<f64>,
    /// Price of each segment's whole floor, in value units.
    pub subsidies: Vec<f64>,
    /// Weight of each column, 0..=1.
    pub weights: Vec<f64>,
}

/// The oracle failed; what it said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the linear program failed: {0}")]
pub struct SolverError(pub String);

/// Something that solves master programs.
pub trait MasterSolver {
    /// Solves the program.
    ///
    /// # Errors
    /// Whatever keeps the oracle from an answer; the planner then goes on without it.
    fn solve(&mut self, problem: &MasterProblem) -> Result<MasterSolution, SolverError>;
}

impl MasterSolution {
    /// The solution, if every number in it is finite and of the right count.
    ///
    /// # Errors
    /// Names what is wrong.
    pub fn checked(self, problem: &MasterProblem) -> Result<MasterSolution, SolverError> {
        let lengths = self.prices.len() == problem.rows
            && self.weights.len() == problem.columns.len()
            && self.subsidies.len() == problem.penalties.len();
        let numbers = self.prices.iter().chain(&self.weights).chain(&self.subsidies);
        if !lengths {
            Err(SolverError("it answered for another program".to_owned()))
        } else if numbers.clone().any(|number| !number.is_finite()) {
            Err(SolverError("it answered with something that is no number".to_owned()))
        } else {
            Ok(self)
        }
    }
}
