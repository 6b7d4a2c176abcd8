//! The default oracle: microlp, a simplex solver in Rust. It solves the program and its dual separately,
//! because it does not report dual values; both are a few dozen rows.

use microlp::{ComparisonOp, LinearExpr, OptimizationDirection, Problem, Solution, Variable};

use super::master::{MasterProblem, MasterSolution, MasterSolver, SolverError};

/// Solves master programs with microlp.
#[derive(Clone, Copy, Debug, Default)]
pub struct Microlp;

impl MasterSolver for Microlp {
    fn solve(&mut self, problem: &MasterProblem) -> Result<MasterSolution, SolverError> {
        let weights = primal(problem)?;
        let (prices, subsidies) = dual(problem)?;
        Ok(MasterSolution { prices, subsidies, weights })
    }
}

/// Weights of the columns.
fn primal(master: &MasterProblem) -> Result<Vec<f64>, SolverError> {
    let mut program = Problem::new(OptimizationDirection::Maximize);
    let mut rows = vec![LinearExpr::empty(); master.rows];
    let mut convex = vec![LinearExpr::empty(); master.penalties.len()];
    let mut floors = vec![LinearExpr::empty(); master.penalties.len()];
    let mut weights = Vec::with_capacity(master.columns.len());
    for column in &master.columns {
        let weight = program.add_var(column.value, (0.0, 1.0));
        for (row, share) in &column.uses {
            rows[*row].add(weight, *share);
        }
        convex[column.segment].add(weight, 1.0);
        floors[column.segment].add(weight, column.grants);
        weights.push(weight);
    }
    for expr in rows.into_iter().chain(convex) {
        program.add_constraint(expr, ComparisonOp::Le, 1.0);
    }
    for (mut expr, penalty) in floors.into_iter().zip(&master.penalties) {
        if let Some(penalty) = penalty {
            let short = program.add_var(-penalty, (0.0, 1.0));
            expr.add(short, 1.0);
            program.add_constraint(expr, ComparisonOp::Ge, 1.0);
        }
    }
    let solution = solve(&program)?;
    Ok(values(&solution, &weights))
}

/// Prices of the rows and subsidies of the floors.
fn dual(master: &MasterProblem) -> Result<(Vec<f64>, Vec<f64>), SolverError> {
    let mut program = Problem::new(OptimizationDirection::Minimize);
    let prices: Vec<Variable> =
        (0..master.rows).map(|_| program.add_var(1.0, (0.0, f64::INFINITY))).collect();
    let profits: Vec<Variable> =
        master.penalties.iter().map(|_| program.add_var(1.0, (0.0, f64::INFINITY))).collect();
    let subsidies: Vec<Variable> =
        master.penalties.iter().map(|penalty| program.add_var(-1.0, (0.0, penalty.unwrap_or(0.0)))).collect();
    for column in &master.columns {
        let mut expr = LinearExpr::empty();
        expr.add(profits[column.segment], 1.0);
        expr.add(subsidies[column.segment], -column.grants);
        for (row, share) in &column.uses {
            expr.add(prices[*row], *share);
        }
        program.add_constraint(expr, ComparisonOp::Ge, column.value);
    }
    let solution = solve(&program)?;
    Ok((values(&solution, &prices), values(&solution, &subsidies)))
}

fn solve(program: &Problem) -> Result<Solution, SolverError> {
    let outcome = program.solve().map_err(|error| SolverError(error.to_string()))?;
    outcome.into_solution().map_err(|_| SolverError("it was interrupted".to_owned()))
}

fn values(solution: &Solution, variables: &[Variable]) -> Vec<f64> {
    variables.iter().map(|variable| solution.var_value(*variable)).collect()
}
