//! The rules of cases, without a ledger.

use domain::statement::{Person, Role, VERSION};
use domain::{DecisionId, Digest, Timestamp};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

/// A desk with its cases; every decision below 100 exists, and its promise is open.
struct Desk {
    cases: Cases,
    standing: Standing,
    taken: u64,
}

fn decision(number: u32) -> DecisionId {
    serde_json::from_value(format!("01990000-0000-7000-8000-{number:012x}").into()).unwrap()
}

impl Desk {
    fn new() -> Desk {
        Desk { cases: Cases::default(), standing: Standing::Open, taken: 0 }
    }

    /// A desk with one case about decision 1.
    fn with_case() -> (Desk, CaseId) {
        let mut desk = Desk::new();
        desk.take("ada", Step::Open { title: "a complaint".to_owned(), about: vec![decision(1)] });
        let id = desk.cases.iter().next().unwrap().id;
        (desk, id)
    }

    fn statement(&self, by: &str, step: Step) -> Statement {
        let (ledger, id) = ("log+0".to_owned(), format!("{:032}", self.taken));
        Statement { v: VERSION, ledger, id, at: NOW, by: by.to_owned(), step }
    }

    fn judge(&self, statement: &Statement) -> Result<(), Refusal> {
        let roles = match statement.by.as_str() {
            "ada" | "abe" => vec![Role::Auditor],
            "berta" | "ada again" => vec![Role::Approver],
            "both" => vec![Role::Auditor, Role::Approver],
            _ => vec![Role::Author, Role::Operator],
        };
        let person = Person { name: statement.by.clone(), roles, key: key_of(&statement.by) };
        let decisions = (0..100).map(decision).collect();
        let standing = statement.step.reverses().map(|_| self.standing);
        self.cases.admit(statement, &person, &Found { decisions, standing }, "log+0", NOW)
    }

    fn ask(&self, by: &str, step: Step) -> &'static str {
        match self.judge(&self.statement(by, step)) {
            Ok(()) => "taken",
            Err(refusal) => {
                let code = refusal.code();
                assert!(code.starts_with("REG") || explain(code).is_some(), "{code} has no page");
                code
            }
        }
    }

    fn take(&mut self, by: &str, step: Step) {
        let statement = self.statement(by, step);
        self.judge(&statement).unwrap();
        self.taken += 1;
        self.cases.take(&signed(statement), NOW, Seq(self.taken));
    }
}

/// Somebody's key; it stays theirs under a new name.
fn key_of(by: &str) -> String {
    format!("key of {}", by.trim_end_matches(" again"))
}

/// A statement as it stands in a row; signatures are looked at elsewhere.
fn signed(statement: Statement) -> Signed {
    Signed { key: key_of(&statement.by), signature: String::new(), statement }
}

fn note(case: CaseId, text: &str) -> Step {
    Step::Note { case, text: text.to_owned() }
}

fn reverse(case: CaseId, number: u32) -> Step {
    Step::Reverse { case, decision: decision(number), why: "a promise by mistake".to_owned() }
}

fn confirm(case: CaseId, number: u32) -> Step {
    Step::Confirm { case, decision: decision(number) }
}

fn withdraw(case: CaseId, number: u32) -> Step {
    Step::Withdraw { case, decision: decision(number), why: "it was right".to_owned() }
}

fn close(case: CaseId, reason: Closing) -> Step {
    Step::Close { case, reason }
}

fn attach(case: CaseId, number: u32) -> Step {
    Step::Attach { case, what: Attachment::Decision { decision: decision(number) } }
}

#[test]
fn a_reversal_takes_two_people_of_the_right_roles() {
    let (mut desk, case) = Desk::with_case();
    assert_eq!(desk.ask("berta", confirm(case, 1)), "CAS0010");
    assert_eq!(desk.ask("berta", reverse(case, 1)), "REG0008");
    desk.take("both", reverse(case, 1));
    assert_eq!(desk.ask("both", confirm(case, 1)), "CAS0012", "whoever asked confirms");
    assert_eq!(desk.ask("ada", confirm(case, 1)), "REG0008", "an auditor confirms");
    assert_eq!(desk.ask("otto", confirm(case, 1)), "REG0008");
    desk.take("berta", confirm(case, 1));
    assert_eq!(desk.ask("berta", confirm(case, 1)), "CAS0011");
    assert_eq!(desk.ask("berta", withdraw(case, 1)), "CAS0011");
    assert_eq!(desk.ask("ada", reverse(case, 1)), "CAS0009");
}

#[test]
fn only_a_known_decision_of_the_case_with_an_open_promise_is_reversed() {
    let (mut desk, case) = Desk::with_case();
    assert_eq!(desk.ask("ada", reverse(case, 2)), "CAS0007");
    assert_eq!(desk.ask("ada", reverse(case, 100)), "CAS0004");
    assert_eq!(desk.ask("ada", attach(case, 100)), "CAS0004");
    let ended = [Ended::Redeemed, Ended::Expired, Ended::Cancelled, Ended::LongAgo].map(Standing::Ended);
    for standing in ended.into_iter().chain([Standing::NoPromise, Standing::Erased]) {
        desk.standing = standing;
        assert_eq!(desk.ask("ada", reverse(case, 1)), "CAS0008", "{standing:?}");
    }
    desk.standing = Standing::Open;
    desk.take("ada", reverse(case, 1));
    // It was redeemed while the second person thought about it; the request can be taken back.
    desk.standing = Standing::Ended(Ended::Redeemed);
    assert_eq!(desk.ask("berta", confirm(case, 1)), "CAS0008");
    desk.take("berta", withdraw(case, 1));
    desk.take("ada", close(case, Closing::NoFault));
}

#[test]
fn one_promise_is_asked_for_in_one_case_at_a_time() {
    let (mut desk, first) = Desk::with_case();
    desk.take("abe", Step::Open { title: "another".to_owned(), about: vec![decision(1)] });
    let second = desk.cases.iter().find(|case| case.id != first).unwrap().id;
    desk.take("ada", reverse(first, 1));
    assert_eq!(desk.ask("abe", reverse(second, 1)), "CAS0009");
    desk.take("ada", withdraw(first, 1));
    desk.take("abe", reverse(second, 1));
}

#[test]
fn nothing_happens_in_a_closed_case_and_none_closes_over_what_waits() {
    let (mut desk, case) = Desk::with_case();
    assert_eq!(desk.ask("ada", close(case, Closing::Reversed)), "CAS0014");
    desk.take("ada", reverse(case, 1));
    assert_eq!(desk.ask("ada", close(case, Closing::Reversed)), "CAS0013");
    assert_eq!(desk.ask("ada", close(case, Closing::NoFault)), "CAS0013");
    desk.take("berta", confirm(case, 1));
    desk.take("ada", close(case, Closing::Reversed));
    let steps = [note(case, "late"), attach(case, 2), reverse(case, 1), close(case, Closing::Fraud)];
    assert!(steps.into_iter().all(|step| desk.ask("ada", step) == "CAS0002"));
    assert_eq!(desk.ask("berta", confirm(case, 1)), "CAS0002");
    assert_eq!(desk.ask("ada", note(CaseId::of("none"), "?")), "CAS0001");
}

#[test]
fn only_auditors_keep_cases() {
    let (desk, case) = Desk::with_case();
    let open = Step::Open { title: "t".to_owned(), about: vec![decision(1)] };
    for step in [open, note(case, "n"), attach(case, 2), reverse(case, 1), close(case, Closing::NoFault)] {
        assert_eq!(desk.ask("otto", step.clone()), "REG0008", "{}", step.name());
        assert_eq!(desk.ask("berta", step.clone()), "REG0008", "{}", step.name());
        assert_eq!(desk.ask("abe", step.clone()), "taken", "{}", step.name());
    }
}

#[test]
fn texts_and_counts_are_bounded() {
    let (mut desk, case) = Desk::with_case();
    let longest = "ä".repeat(TEXT_CHARS_MAX);
    assert_eq!(desk.ask("ada", note(case, &longest)), "taken");
    for wrong in [format!("{longest}.").as_str(), " \n ", "", "bell \u{7}", "\u{1b}[2J", "c1 \u{9b}"] {
        assert_eq!(desk.ask("ada", note(case, wrong)), "CAS0003", "{wrong:?}");
    }
    assert_eq!(desk.ask("ada", note(case, "two\nlines")), "taken");
    let file = |name: &str| {
        let what = Attachment::File { name: name.to_owned(), bytes: 1, sha256: Digest::of(b"x") };
        Step::Attach { case, what }
    };
    assert_eq!(desk.ask("ada", file("evidence.json")), "taken");
    for name in ["", "a/b", &"x".repeat(FILE_NAME_BYTES_MAX + 1), &"ä".repeat(200)] {
        assert_eq!(desk.ask("ada", file(name)), "CAS0003", "{name:?}");
    }
    let about = |numbers: std::ops::Range<u32>| Step::Open {
        title: "many".to_owned(),
        about: numbers.map(|number| decision(number % 100)).collect(),
    };
    assert_eq!(desk.ask("ada", about(0..0)), "CAS0005");
    assert_eq!(desk.ask("ada", about(0..200)), "taken");
    assert_eq!(desk.ask("ada", about(0..201)), "CAS0006");
    assert_eq!(desk.ask("ada", attach(case, 1)), "CAS0015");
    desk.take("ada", reverse(case, 1));
    while desk.cases.get(case).unwrap().entries.len() < STEPS_MAX {
        desk.take("ada", note(case, "more"));
    }
    assert_eq!(desk.ask("ada", note(case, "too many")), "CAS0006");
    // What ends something is always taken.
    desk.take("berta", confirm(case, 1));
    desk.take("ada", close(case, Closing::Reversed));
    for number in 0..CASES_OPEN_MAX {
        let title = format!("case {number}");
        desk.take("ada", Step::Open { title, about: vec![decision(2)] });
    }
    assert_eq!(desk.ask("ada", about(0..1)), "CAS0006");
}

#[test]
fn whoever_asked_does_not_confirm_under_another_name() {
    let (mut desk, case) = Desk::with_case();
    desk.take("ada", reverse(case, 1));
    assert_eq!(desk.ask("ada again", confirm(case, 1)), "CAS0012");
    assert_eq!(desk.ask("berta", confirm(case, 1)), "taken");
}

#[test]
fn a_signature_for_a_case_is_worth_nothing_as_another_statement() {
    let (desk, case) = Desk::with_case();
    let statement = desk.statement("ada", note(case, "seen"));
    let text = String::from_utf8(statement.bytes()).unwrap();
    assert!(text.starts_with("largesse-case 1\n{\"v\":1,\"ledger\":\"log+0\""), "{text}");
    let steps = [
        Step::Open { title: "t".to_owned(), about: vec![decision(1)] },
        note(case, "n"),
        attach(case, 1),
        reverse(case, 1),
        confirm(case, 1),
        withdraw(case, 1),
        close(case, Closing::OutOfScope),
    ];
    for step in steps {
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step);
        assert!(text.contains(&format!("\"do\":\"{}\"", step.name())), "{text}");
    }
}

#[test]
fn closing_reasons_have_the_words_they_are_written_with() {
    for reason in Closing::ALL {
        assert_eq!(serde_json::to_value(reason).unwrap(), reason.name());
        assert_eq!(Closing::from_name(reason.name()), Some(*reason));
    }
}

fn any_step() -> impl Strategy<Value = (usize, u32)> {
    (0usize..7, 0u32..4)
}

proptest! {
    /// Whoever tries what, in whichever order: what is confirmed was asked for by somebody else, closed cases stay as they
    /// are, and the fold of what was taken is the same again.
    #[test]
    fn no_order_of_steps_gets_around_the_second_person(
        steps in proptest::collection::vec((any_step(), 0usize..4), 1..60),
    ) {
        let mut desk = Desk::new();
        let mut log = Vec::new();
        for ((kind, number), who) in steps {
            let by = ["ada", "berta", "both", "otto"][who];
            let case = desk.cases.iter().nth(number as usize % 2).map_or(CaseId::of("none"), |case| case.id);
            let step = match kind {
                0 => Step::Open { title: "t".to_owned(), about: vec![decision(0), decision(number)] },
                1 => note(case, "n"),
                2 => attach(case, number),
                3 => reverse(case, number),
                4 => confirm(case, number),
                5 => withdraw(case, number),
                _ => close(case, if number == 0 { Closing::Reversed } else { Closing::NoFault }),
            };
            let statement = desk.statement(by, step);
            let before = desk.cases.clone();
            if desk.judge(&statement).is_err() {
                prop_assert_eq!(&before, &desk.cases);
                continue;
            }
            desk.taken += 1;
            let signed = signed(statement);
            desk.cases.take(&signed, NOW, Seq(desk.taken));
            prop_assert_eq!(desk.judge(&signed.statement).unwrap_err().code(), "REG0006");
            log.push((signed, Seq(desk.taken)));
            for closed in before.iter().filter(|case| case.closed.is_some()) {
                prop_assert_eq!(desk.cases.get(closed.id), Some(closed));
            }
            for case in desk.cases.iter() {
                for (_, reversal, confirmed) in case.confirmed() {
                    prop_assert_ne!(&reversal.asked_by, &confirmed.by);
                    prop_assert!(["berta", "both"].contains(&confirmed.by.as_str()));
                }
                prop_assert!(case.closed.is_none() || case.waiting().next().is_none());
                let reversed = case.confirmed().next().is_some();
                prop_assert!(case.closed != Some(Closing::Reversed) || reversed);
            }
        }
        let mut again = Cases::default();
        log.iter().for_each(|(signed, row)| again.take(signed, NOW, *row));
        prop_assert_eq!(again, desk.cases);
    }
}
