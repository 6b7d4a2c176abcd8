//! Every mistake in one run: what is wrong with one file or key hides nothing in another.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use policies::Bundle;
use support::{edited, edited_all};

fn mistakes(edits: &[(&str, &str, &str)]) -> String {
    match edited_all(edits) {
        Ok(_) => panic!("no mistake was found after {edits:?}"),
        Err(problems) => problems.render(),
    }
}

/// A mistake in each file that has nothing to do with the others.
const ELSEWHERE: [(&str, &str, &str); 5] = [
    ("program.toml", "currency = \"USD\"", "currency = \"dollars\""),
    ("segments.toml", "voucher = 700", "voucher = 70"),
    ("catalog.toml", "cost = \"0.50\"", "cost = \"half\""),
    ("moments.toml", "member.churn_60d >= 0.08", "member.chrun_60d >= 0.08"),
    ("experiments.toml", "\"5 %\"", "\"0.05\""),
];

/// The starter bundle in a folder, with mistakes elsewhere, after something happened to a file.
fn folder_mistakes(happens: impl FnOnce(&std::path::Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in policies::starter::GROCERY {
        let edits = ELSEWHERE.iter().filter(|(file, ..)| *file == name);
        let text = edits.fold(text.to_owned(), |text, (_, from, to)| text.replacen(from, to, 1));
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    happens(folder.path());
    Bundle::load(folder.path()).unwrap_err().render()
}

#[test]
fn missing_file_hides_no_mistake_in_the_others() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        std::fs::remove_file(folder.join("moments.toml")).unwrap();
    }));
}

#[test]
fn file_that_is_not_utf8_hides_no_mistake_in_the_others() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        std::fs::write(folder.join("guardrails.toml"), b"minors = \"exclude\"\n# caf\xE9\n").unwrap();
    }));
}

#[test]
fn every_file_lost_but_one_is_still_one_run() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        for file in ["program.toml", "segments.toml", "catalog.toml", "guardrails.toml"] {
            std::fs::remove_file(folder.join(file)).unwrap();
        }
    }));
}

#[test]
fn what_refers_to_a_broken_catalog_is_not_complained_about() {
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "[[reward]]", "[[reward]"),
        ("segments.toml", "partner = 1100", "partners = 1100"),
    ]));
}

#[test]
fn one_missing_bracket_is_one_mistake() {
    insta::assert_snapshot!(mistakes(&[
        (
            "moments.toml",
            "rewards = [\"points-50\", \"points-200\", \"free-delivery\"]",
            "rewards = [\"points-50\", \"points-200\", \"free-delivery\"",
        ),
        ("moments.toml", "level = \"L1\"", "level = \"L4\""),
        ("program.toml", "America/New_York", "America/NewYork"),
    ]));
}

#[test]
fn broken_statements_in_one_file_are_each_reported_once() {
    insta::assert_snapshot!(mistakes(&[
        ("guardrails.toml", "minors = \"exclude\"", "minors = \"exclude"),
        ("guardrails.toml", "cool_down_hours = 48", "cool_down_hours 48"),
        ("guardrails.toml", "[suppress]", "[suppress"),
        ("guardrails.toml", "action = \"warn\"", "action = \"warning\""),
    ]));
}

#[test]
fn keys_of_a_table_without_header_do_not_fall_to_the_table_before() {
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", "[[segment]]\nid = \"growing\"", "segment]]\nid = \"growing\""),
        ("segments.toml", "voucher = 700", "voucher = 70"),
    ]));
}

#[test]
fn lines_of_a_text_that_look_like_statements_are_none() {
    let long = "expr = '''\nmember.churn_60d >= 0.08\n|| member.trips >\nmember.trips_28d\n'''";
    insta::assert_snapshot!(mistakes(&[
        ("moments.toml", "level = \"L1\"", "level \"L1\""),
        ("moments.toml", "expr = '''member.churn_60d >= 0.08'''", long),
        ("moments.toml", "member.churn_60d >= 0.10", "member.chrun_60d >= 0.10"),
    ]));
    insta::assert_snapshot!(mistakes(&[
        ("moments.toml", "level = \"L1\"", "level \"L1\""),
        ("moments.toml", "expr = '''member.churn_60d >= 0.08'''", long.trim_end_matches('\'')),
    ]));
}

#[test]
fn mistyped_key_is_the_only_mistake_and_names_what_was_meant() {
    let problems = edited("program.toml", "period_days", "perod_days").unwrap_err();
    let [problem] = problems.0.as_slice() else { panic!("{}", problems.render()) };
    assert_eq!(
        (problem.code.name(), problem.help.as_deref()),
        ("POL0004", Some("did you mean `period_days`?"))
    );
}

#[test]
fn unknown_key_hides_no_value_of_its_file() {
    insta::assert_snapshot!(mistakes(&[
        ("program.toml", "period_days", "perod_days"),
        ("program.toml", "currency = \"USD\"", "currency = \"dollars\""),
        ("program.toml", "America/New_York", "America/NewYork"),
        ("program.toml", "\"4500.00\"", "\"4,500\""),
        ("program.toml", "members = \"enrol\"", "members = \"enrol\"\nowner = \"Loyalty\""),
    ]));
}

#[test]
fn value_of_a_mistyped_key_is_checked_as_what_was_meant() {
    insta::assert_snapshot!(mistakes(&[
        ("guardrails.toml", "cool_down_hours = 48", "cooldown_hours = 48000"),
        ("catalog.toml", "touchpoints = [\"app\"", "touchpoint = [\"ap\""),
    ]));
}

#[test]
fn missing_key_hides_no_mistake_beside_it() {
    insta::assert_snapshot!(mistakes(&[
        ("program.toml", "currency = \"USD\"\n", ""),
        ("program.toml", "America/New_York", "America/NewYork"),
        ("program.toml", "growing = ", "growning = "),
        ("catalog.toml", "id = \"points-50\"\n", ""),
        ("catalog.toml", "valid_days = 28", "valid_days = 2800"),
    ]));
}

#[test]
fn unknown_key_in_one_entry_leaves_its_names_known() {
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "name = \"50 bonus points\"", "name = \"50 bonus points\"\ncolour = \"red\""),
        (
            "moments.toml",
            "\"points-50\", \"points-200\", \"free-delivery\"]",
            "\"point-50\", \"points-200\", \"free-delivery\"]"
        ),
    ]));
}

/// The starter bundle in a folder, with a file of tests beside its own.
fn with_tests(tests: &[u8], happens: impl FnOnce(&std::path::Path)) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in policies::starter::GROCERY {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::create_dir(folder.path().join("tests")).unwrap();
    std::fs::write(folder.path().join("tests/ours.toml"), tests).unwrap();
    happens(folder.path());
    let (bundle, problems) = policies::check::check_folder(folder.path());
    (bundle.is_some(), problems.render())
}

const WRONG_TESTS: &str = r#"
[[case]]
name = "a night"
at = "yesterday"
event = { type = "purchse", touchpoint = "pos", amount = 45.00, colour = "red" }
member = { trip = 3, churn_60d = "high", minor = "no" }
promised = [{ reward = "voucher-33", days_ago = -1 }]
expect = { moment = "purchases", segment = "lapsin", held = "QUIET_HOUR", may = ["point-50"], refused = { voucher-3 = "NO" } }

[[case]]
nam = "another night"
event = { type = "visit" }
expect = {}
"#;

#[test]
fn tests_are_checked_with_the_bundle() {
    let (usable, problems) = with_tests(WRONG_TESTS.as_bytes(), |_| {});
    assert!(usable, "a mistake in a test makes the bundle unusable");
    insta::assert_snapshot!(problems);
}

#[test]
fn a_test_names_a_variant_by_its_id() {
    let case = |variant: &str| {
        format!(
            "[[case]]\nname = \"less\"\nevent = {{ type = \"visit\", touchpoint = \"app\" }}\n\
             member = {{ variant = {variant}, recent_amounts = 3 }}\nexpect = {{ moment = \"none\" }}\n"
        )
    };
    let (_, problems) = with_tests(case("1").as_bytes(), |_| {});
    insta::assert_snapshot!(problems);
    let (_, problems) = with_tests(case("\"fewer-vouchers\"").as_bytes(), |folder| {
        let experiments = folder.join("experiments.toml");
        let variant = "\n[[variant]]\nid = \"few-vouchers\"\nshare = \"10 %\"\nwithhold = [\"voucher-3\"]\n";
        let text = std::fs::read_to_string(&experiments).unwrap() + variant;
        std::fs::write(experiments, text).unwrap();
    });
    insta::assert_snapshot!(problems);
}

#[test]
fn tests_are_checked_beside_a_bundle_with_mistakes() {
    let (usable, problems) = with_tests(WRONG_TESTS.as_bytes(), |folder| {
        // Whether its ids exist is not known then; what the other files name is.
        std::fs::remove_file(folder.join("catalog.toml")).unwrap();
    });
    assert!(!usable);
    insta::assert_snapshot!(problems);
}

#[test]
fn tests_that_are_no_text_and_no_toml_are_each_one_mistake() {
    let (_, problems) = with_tests(b"[[case]]\nname = \"caf\xE9\"\n", |folder| {
        let text = "[[case]]\nname = \"open\nevent = { type = \"visit\", touchpoint = \"app\" }\nexpect = { moment = \"none\" }\n";
        std::fs::write(folder.join("tests/theirs.toml"), text).unwrap();
    });
    insta::assert_snapshot!(problems);
}
