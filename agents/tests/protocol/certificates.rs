//! Certificates prove what they say, and nothing in them can be altered unnoticed.

use crate::program::{Program, REWARDS, SEGMENTS, Setup};
use agents::check::{Violation, verify, verify_table};
use agents::negotiation::{Certificate, Purpose, Status};
use serde_json::Value;

fn program_with_certificates() -> Program {
    let mut program = Program::new(Setup::default());
    program.run_to(1_000);
    let mut next = Program::new(Setup { carries: program.carries(), ..Setup::default() });
    next.run_to(1_000);
    next
}

/// A certificate with several rounds and a corridor.
fn sample() -> Certificate {
    let program = program_with_certificates();
    let several = |certificate: &&Certificate| {
        certificate.purpose == Purpose::Regular
            && certificate.rounds.len() > 2
            && certificate.corridor.is_some()
    };
    program.certificates.iter().rfind(several).expect("a warm negotiation of several rounds").clone()
}

#[test]
fn every_certificate_of_a_running_program_is_confirmed() {
    let program = program_with_certificates();
    for certificate in &program.certificates {
        let verified = verify(certificate).unwrap_or_else(|violation| panic!("{violation}"));
        assert!(verified.fresh && verified.lower <= verified.upper);
        assert!(certificate.status == Status::Certified, "{:?}", certificate.status);
        assert!(certificate.gap_ppm <= 5_000 && certificate.rounds.len() <= 12);
    }
}

#[test]
fn every_table_follows_from_its_certificate() {
    let program = program_with_certificates();
    let regular = program.certificates.iter().filter(|certificate| certificate.purpose == Purpose::Regular);
    for (certificate, table) in regular.zip(&program.tables) {
        verify_table(certificate, table).unwrap();
        let mut dearer = table.clone();
        dearer.rows[1][2] += 1;
        assert_eq!(verify_table(certificate, &dearer), Err(Violation::Table("prices")));
    }
}

/// The paths of every leaf in a JSON value.
fn leaves(value: &Value, path: String, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(key, member)| leaves(member, format!("{path}/{key}"), into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| leaves(item, format!("{path}/{place}"), into));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => into.push(path),
    }
}

/// Another value of the same kind.
fn altered(leaf: &Value) -> Value {
    match leaf {
        Value::Null => Value::from(7_000_000),
        Value::Bool(flag) => Value::from(!flag),
        Value::Number(number) => Value::from(number.as_i64().unwrap() * 2 + 7),
        Value::String(text) => match text.parse::<i128>() {
            Ok(number) => Value::from((number * 2 + 7_000_000_000).to_string()),
            Err(_) => Value::from(text.replace(['0', 'e', 'h'], "1")),
        },
        Value::Array(_) | Value::Object(_) => leaf.clone(),
    }
}

fn tampered(original: &Certificate, path: &str) -> Option<Certificate> {
    let mut json = serde_json::to_value(original).unwrap();
    let leaf = json.pointer_mut(path).unwrap();
    *leaf = altered(leaf);
    serde_json::from_value(json).ok()
}

fn all_leaves(certificate: &Certificate) -> Vec<String> {
    let mut paths = Vec::new();
    leaves(&serde_json::to_value(certificate).unwrap(), String::new(), &mut paths);
    paths
}

#[test]
fn altering_any_field_breaks_the_seal() {
    let original = sample();
    for path in all_leaves(&original) {
        if let Some(forged) = tampered(&original, &path).filter(|forged| *forged != original) {
            assert!(verify(&forged).is_err(), "{path} was altered unnoticed");
        }
    }
}

#[test]
fn a_forger_who_seals_anew_is_caught_by_the_arithmetic() {
    // Context that no arithmetic ties down: it is bound by the ledger row and the table, not by the proof.
    let context = [
        "/envelope/program",
        "/envelope/epoch",
        "/envelope/batch",
        "/envelope/price_version",
        "/envelope/deadline",
        "/concluded_at",
        "/table_version",
        "/digest",
        "/mix/recent",
    ];
    let original = sample();
    let mut unnoticed = Vec::new();
    for path in all_leaves(&original) {
        if context.contains(&path.as_str()) {
            continue;
        }
        let forged = tampered(&original, &path).map(Certificate::sealed);
        if forged.is_some_and(|forged| forged != original && verify(&forged).is_ok()) {
            unnoticed.push(path);
        }
    }
    // What is left is slack: it changes the claim only where the bounds do not depend on it.
    let slack = |path: &String| {
        ["/capacities/", "/floors/", "/corridor/"].iter().any(|slack| path.starts_with(slack))
            || path.ends_with("/value")
            || (path.starts_with("/weights/") && path.ends_with("/events_q16"))
    };
    let caught_not: Vec<&String> = unnoticed.iter().filter(|path| !slack(path)).collect();
    assert!(caught_not.is_empty(), "altered unnoticed: {caught_not:?}");
}

#[test]
fn a_plan_beyond_a_capacity_is_refused() {
    let mut forged = sample();
    for answer in forged.rounds.iter_mut().flat_map(|round| &mut round.answers) {
        answer.theta_q30 = (1 << 30) / 2;
    }
    assert!(matches!(verify(&forged.sealed()), Err(Violation::Plan(_))));
}

#[test]
fn a_segment_that_overstates_its_demand_is_found_out_by_its_own_other_answers() {
    let mut forged = sample();
    let round = forged.rounds.len() - 1;
    let answer = &mut forged.rounds[round].answers[0];
    for demand in &mut answer.demand {
        demand.value_q16 = demand.value_q16 * 11 / 10;
    }
    let gained: i128 = answer.demand.iter().map(|demand| demand.value_q16 / 11).sum();
    answer.net_q16 += gained;
    assert!(verify(&forged.sealed()).is_err());
}

#[test]
fn closing_a_reward_that_could_be_paid_for_is_noticed_even_when_nobody_wanted_it() {
    let unwanted = |certificate: &Certificate| {
        let pairs = (0..SEGMENTS).flat_map(|segment| (0..REWARDS).map(move |reward| (segment, reward)));
        let never = |(segment, reward): &(usize, usize)| {
            let mut rounds = certificate.rounds.iter();
            rounds.all(|round| round.answers[*segment].demand[*reward].events_q16 == 0)
        };
        pairs.into_iter().find(never).map(|pair| (certificate.clone(), pair))
    };
    let program = program_with_certificates();
    let (mut forged, (segment, reward)) =
        program.certificates.iter().find_map(unwanted).expect("a reward that nobody wanted");
    forged.weights[segment].closed |= 1 << reward;
    assert_eq!(verify(&forged.sealed()), Err(Violation::Closed { segment }));
}
