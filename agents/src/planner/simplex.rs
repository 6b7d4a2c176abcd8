//! The default oracle: a dense primal simplex for exactly this master program.
//!
//! All weights zero is a plan, so no first phase is needed; a few dozen rows and at most a few hundred columns
//! fit a dense tableau, and the prices are read off the objective row. It solves a usual master in some tens
//! of microseconds, a tenth of what a general sparse solver takes for program and dual. Dantzig's rule picks
//! the column; after many steps Bland's rule takes over, which cannot cycle.

use super::master::{MasterProblem, MasterSolution, MasterSolver, SolverError};

/// Pivots before giving up: usual masters take under a hundred.
const PIVOTS_MAX: usize = 5_000;
/// Pivots by Dantzig's rule before Bland's takes over.
const DANTZIG_MAX: usize = 1_000;
/// Numbers below this count as zero; amounts are scaled to one.
const EPSILON: f64 = 1e-9;

/// Solves master programs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Simplex;

impl MasterSolver for Simplex {
    fn solve(&mut self, problem: &MasterProblem) -> Result<MasterSolution, SolverError> {
        let mut tableau = Tableau::new(problem);
        tableau.optimise()?;
        Ok(tableau.solution(problem))
    }
}

/// Rows: capacities, one whole per segment, then per floored segment "met is not more than granted" and
/// "met is at most one". Columns: the answers, "met" per floored segment, one slack per row, the right side.
/// Meeting a floor earns its penalty, which is the same as being charged for what is short.
struct Tableau {
    width: usize,
    cells: Vec<f64>,
    /// Minus the gain of each column at the present prices, and the objective at the end.
    objective: Vec<f64>,
    /// The column that is basic in each row.
    basis: Vec<usize>,
    answers: usize,
    slacks: usize,
}

impl Tableau {
    fn new(problem: &MasterProblem) -> Tableau {
        let segments = problem.penalties.len();
        let floored: Vec<(usize, f64)> =
            problem.penalties.iter().enumerate().filter_map(|(s, penalty)| Some((s, (*penalty)?))).collect();
        let (answers, floors) = (problem.columns.len(), floored.len());
        let rows = problem.rows + segments + 2 * floors;
        let slacks = answers + floors;
        let width = slacks + rows + 1;
        let mut tableau = Tableau {
            width,
            cells: vec![0.0; rows * width],
            objective: vec![0.0; width],
            basis: (slacks..slacks + rows).collect(),
            answers,
            slacks,
        };
        let floor_row = |floor: usize| problem.rows + segments + 2 * floor;
        for (place, column) in problem.columns.iter().enumerate() {
            tableau.objective[place] = -column.value;
            for (row, share) in &column.uses {
                tableau.set(*row, place, *share);
            }
            tableau.set(problem.rows + column.segment, place, 1.0);
            if let Some(floor) = floored.iter().position(|(segment, _)| *segment == column.segment) {
                tableau.set(floor_row(floor), place, -column.grants);
            }
        }
        for (floor, (_, penalty)) in floored.iter().enumerate() {
            tableau.objective[answers + floor] = -penalty;
            tableau.set(floor_row(floor), answers + floor, 1.0);
            tableau.set(floor_row(floor) + 1, answers + floor, 1.0);
        }
        for row in 0..rows {
            tableau.set(row, slacks + row, 1.0);
            let is_met_row = row >= floor_row(0) && (row - floor_row(0)).is_multiple_of(2);
            tableau.set(row, width - 1, if is_met_row { 0.0 } else { 1.0 });
        }
        tableau
    }

    fn set(&mut self, row: usize, column: usize, value: f64) {
        self.cells[row * self.width + column] = value;
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.cells[row * self.width..(row + 1) * self.width]
    }

    fn optimise(&mut self) -> Result<(), SolverError> {
        for pivots in 0..PIVOTS_MAX {
            let Some(column) = self.entering(pivots >= DANTZIG_MAX) else { return Ok(()) };
            let row = self.leaving(column).ok_or_else(|| SolverError("it has no bound".to_owned()))?;
            self.pivot(row, column);
        }
        Err(SolverError("it took too many steps".to_owned()))
    }

    /// The column with the largest gain, or by Bland's rule the first with any.
    fn entering(&self, first: bool) -> Option<usize> {
        let gains = self.objective[..self.width - 1].iter().enumerate();
        let mut gains = gains.filter(|(_, cost)| **cost < -EPSILON);
        if first {
            return gains.next().map(|(column, _)| column);
        }
        gains.min_by(|left, right| left.1.total_cmp(right.1)).map(|(column, _)| column)
    }

    /// The row that limits the column first; the smallest basic column wins ties.
    fn leaving(&self, column: usize) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for row in 0..self.basis.len() {
            let cells = self.row(row);
            if cells[column] <= EPSILON {
                continue;
            }
            let ratio = cells[self.width - 1] / cells[column];
            let wins = best.is_none_or(|(least, held)| {
                ratio < least - EPSILON || (ratio < least + EPSILON && self.basis[row] < self.basis[held])
            });
            if wins {
                best = Some((ratio, row));
            }
        }
        best.map(|(_, row)| row)
    }

    fn pivot(&mut self, row: usize, column: usize) {
        let width = self.width;
        let pivot = self.cells[row * width + column];
        self.cells[row * width..(row + 1) * width].iter_mut().for_each(|cell| *cell /= pivot);
        let own = self.row(row).to_vec();
        let clear = |cells: &mut [f64]| {
            let factor = cells[column];
            if factor.abs() > 0.0 {
                cells.iter_mut().zip(&own).for_each(|(cell, own)| *cell -= factor * own);
                cells[column] = 0.0;
            }
        };
        for (place, cells) in self.cells.chunks_exact_mut(width).enumerate() {
            if place != row {
                clear(cells);
            }
        }
        clear(&mut self.objective);
        self.basis[row] = column;
    }

    fn solution(&self, problem: &MasterProblem) -> MasterSolution {
        let mut weights = vec![0.0; self.answers];
        for (row, column) in self.basis.iter().enumerate() {
            if let Some(weight) = weights.get_mut(*column) {
                *weight = self.row(row)[self.width - 1].max(0.0);
            }
        }
        let dual = |row: usize| self.objective[self.slacks + row].max(0.0);
        let mut floor = problem.rows + problem.penalties.len();
        let subsidy = |penalty: &Option<f64>| {
            penalty.map_or(0.0, |_| {
                floor += 2;
                dual(floor - 2)
            })
        };
        let subsidies = problem.penalties.iter().map(subsidy).collect();
        MasterSolution { prices: (0..problem.rows).map(dual).collect(), subsidies, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::master::Column;
    use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem};
    use proptest::prelude::*;

    /// The optimum according to a general solver.
    fn reference(problem: &MasterProblem) -> f64 {
        let mut program = Problem::new(OptimizationDirection::Maximize);
        let segments = problem.penalties.len();
        let mut rows = vec![LinearExpr::empty(); problem.rows + segments];
        let mut floors = vec![LinearExpr::empty(); segments];
        let mut constant = 0.0;
        for column in &problem.columns {
            let weight = program.add_var(column.value, (0.0, 1.0));
            for (row, share) in &column.uses {
                rows[*row].add(weight, *share);
            }
            rows[problem.rows + column.segment].add(weight, 1.0);
            floors[column.segment].add(weight, column.grants);
        }
        for row in rows {
            program.add_constraint(row, ComparisonOp::Le, 1.0);
        }
        for (mut floor, penalty) in floors.into_iter().zip(&problem.penalties) {
            if let Some(penalty) = penalty {
                let short = program.add_var(-penalty, (0.0, 1.0));
                floor.add(short, 1.0);
                program.add_constraint(floor, ComparisonOp::Ge, 1.0);
                constant += penalty;
            }
        }
        program.solve().unwrap().into_solution().unwrap().objective() + constant
    }

    /// What the solution is worth, penalties counted as earned when met; `None` when it breaks a row.
    fn worth(problem: &MasterProblem, solution: &MasterSolution) -> Option<f64> {
        let mut used = vec![0.0; problem.rows];
        let mut whole = vec![0.0; problem.penalties.len()];
        let mut granted = vec![0.0; problem.penalties.len()];
        let mut value = 0.0;
        for (column, weight) in problem.columns.iter().zip(&solution.weights) {
            value += weight * column.value;
            whole[column.segment] += weight;
            granted[column.segment] += weight * column.grants;
            column.uses.iter().for_each(|(row, share)| used[*row] += weight * share);
        }
        let earned =
            problem.penalties.iter().zip(granted).map(|(p, g): (_, f64)| p.unwrap_or(0.0) * g.min(1.0));
        let holds = used.iter().chain(&whole).all(|sum| *sum <= 1.0 + 1e-7);
        holds.then(|| value + earned.sum::<f64>())
    }

    fn problems() -> impl Strategy<Value = MasterProblem> {
        let column = (0usize..3, 0.0..1.0f64, prop::collection::vec(0.0..2.5f64, 5), 0.0..1.5f64);
        let floors = prop::collection::vec(prop::option::of(0.0..0.5f64), 3);
        (prop::collection::vec(column, 1..40), floors).prop_map(|(columns, penalties)| {
            let columns = columns.into_iter().map(|(segment, value, uses, grants)| Column {
                segment,
                value,
                uses: uses.into_iter().enumerate().filter(|(_, share)| *share > 0.4).collect(),
                grants: if penalties[segment].is_some() { grants } else { 0.0 },
            });
            MasterProblem { rows: 5, columns: columns.collect(), penalties, unit: 1.0 }
        })
    }

    proptest! {
        #[test]
        fn it_finds_the_optimum_a_general_solver_finds(problem in problems()) {
            let solution = Simplex.solve(&problem).unwrap().checked(&problem).unwrap();
            let best = reference(&problem);
            let own = worth(&problem, &solution);
            prop_assert!(own.is_some_and(|own| (own - best).abs() < 1e-6), "{own:?} against {best}");
        }

        #[test]
        fn its_prices_bound_the_optimum_from_above(problem in problems()) {
            let solution = Simplex.solve(&problem).unwrap();
            let gain = |column: &Column| {
                let paid: f64 = column.uses.iter().map(|(row, share)| solution.prices[*row] * share).sum();
                column.value + solution.subsidies[column.segment] * column.grants - paid
            };
            let mut profits = [0.0f64; 3];
            problem.columns.iter().for_each(|c| profits[c.segment] = profits[c.segment].max(gain(c)));
            let bound: f64 = solution.prices.iter().sum::<f64>() + profits.iter().sum::<f64>();
            let unmet: f64 = problem.penalties.iter().zip(&solution.subsidies)
                .map(|(penalty, subsidy)| penalty.map_or(0.0, |penalty| penalty - subsidy)).sum();
            prop_assert!((bound + unmet - reference(&problem)).abs() < 1e-6);
        }
    }
}
