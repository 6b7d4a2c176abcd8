//! A run that ends and the next one: prices and forecast go on, so that no restart raises spending.

use crate::program::{Program, Setup, layout};
use agents::check::{Violation, verify_table};
use agents::negotiation::Purpose;
use agents::negotiation::integers::CLOSED;
use agents::planner::{Planner, PlannerOptions, Taken};
use agents::segment::Escrow;
use agents::segment::rows::ROWS_MAX;

/// The first period of a program: nobody knows how many moments will come.
fn unplanned() -> Setup {
    let mut setup = Setup::default();
    setup.config.expected_events = None;
    setup
}

/// What the ledger would say of a program's last plan.
fn left_by(program: &Program) -> Taken {
    let open = |price: &i64| if *price < CLOSED { (*price).max(0) } else { 0 };
    let row = |row: &Vec<i64>| -> Vec<i64> { row.iter().map(open).collect() };
    let arrivals = program.planner.arrivals().to_vec();
    Taken {
        at: program.now(),
        prices: program.tables.last().unwrap().rows.iter().map(row).collect(),
        enough: arrivals.iter().map(|moments| (*moments).min(ROWS_MAX as u64)).collect(),
        arrivals,
        expected_events: None,
    }
}

/// The same program in a new run: its agents remember nothing, its escrow what is promised.
fn restarted(before: &Program, taken: Taken) -> Program {
    let setup = unplanned();
    let held = before.escrow.view();
    let limited: Vec<bool> = setup.config.limits.iter().map(Option::is_some).collect();
    let escrow = Escrow::rebuild(layout(), limited, held.reserved.clone(), held.spent.clone());
    let options = PlannerOptions { epoch: 2, ..setup.options };
    let planner = Planner::new(setup.config, options, setup.solver, escrow.view().clone()).after(taken);
    let table = planner.first_table(before.now());
    let mut program = Program::new(unplanned());
    for segment in &mut program.segments {
        *segment = segment.next_period(table.clone());
    }
    Program { planner, escrow, event: before.event, ..program }
}

#[test]
fn a_new_run_promises_nothing_the_one_before_would_not_have() {
    let mut before = Program::new(unplanned());
    before.run_to(2_000);
    let mut next = restarted(&before, left_by(&before));
    next.negotiate();
    let moments = before.moments(200).into_iter().zip(next.moments(200));
    let mut promised = (0, 0);
    for (old, new) in moments {
        assert!(new.best_net <= old.best_net, "{} > {}", new.best_net, old.best_net);
        promised.0 += u32::from(old.best_net > 0);
        promised.1 += u32::from(new.chosen.is_some());
    }
    assert!(promised.1 <= promised.0, "{promised:?}");
}

#[test]
fn a_new_run_expects_what_is_still_to_come_and_proves_what_it_holds() {
    let mut before = Program::new(unplanned());
    before.run_to(2_000);
    let mut next = restarted(&before, left_by(&before));
    next.run_to(3_000);
    let regular: Vec<_> =
        next.certificates.iter().filter(|certificate| certificate.purpose == Purpose::Regular).collect();
    let phases = regular[0].weights.iter().flat_map(|weights| &weights.phases);
    let expected: i64 = phases.map(|phase| phase.events_q16 >> 16).sum();
    assert!((1_500..=2_200).contains(&expected), "{expected}");
    assert!(!regular[0].held.is_empty());
    for (certificate, table) in regular.into_iter().zip(&next.tables) {
        verify_table(certificate, table).unwrap();
        let mut held = certificate.held.iter().flatten().zip(table.rows.iter().flatten());
        assert!(held.all(|(held, posted)| posted >= held || *held == 0));
        let mut cheaper = table.clone();
        cheaper.rows[2][0] -= 1;
        assert_eq!(verify_table(certificate, &cheaper), Err(Violation::Table("prices")));
    }
}
