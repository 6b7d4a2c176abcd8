//! Every kind of mistake reads well: what, where, what was expected, how to repair it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use support::{edited, edited_all};

/// The rendered mistakes of the starter bundle after some edits.
fn mistakes(edits: &[(&str, &str, &str)]) -> String {
    match edited_all(edits) {
        Ok(_) => panic!("no mistake was found after {edits:?}"),
        Err(problems) => problems.render(),
    }
}

const WAVERING: &str = "member.churn_60d >= 0.08'''";

/// One mistake in the first condition of moments.toml that reads a score.
fn condition(expr: &str) -> String {
    mistakes(&[("moments.toml", WAVERING, &format!("{expr}'''"))])
}

#[test]
fn misspelt_fact() {
    insta::assert_snapshot!(condition("member.chrun_60d >= 0.08"));
}

#[test]
fn fact_without_its_family() {
    insta::assert_snapshot!(condition("churn_60d >= 0.08"));
}

#[test]
fn ratio_compared_with_a_word() {
    insta::assert_snapshot!(condition("member.churn_60d >= \"high\""));
}

#[test]
fn misspelt_word() {
    insta::assert_snapshot!(condition("event.touchpoint == \"pso\""));
}

#[test]
fn money_added_to_days() {
    insta::assert_snapshot!(condition("member.spend + member.trips > 25.00"));
}

#[test]
fn functions_are_refused() {
    insta::assert_snapshot!(condition("[1, 2].exists(x, x == member.trips)"));
}

#[test]
fn division_is_refused() {
    insta::assert_snapshot!(condition("member.spend / member.trips > 5.00"));
}

#[test]
fn single_equals_sign() {
    insta::assert_snapshot!(condition("member.trips = 3"));
}

#[test]
fn number_instead_of_a_condition() {
    insta::assert_snapshot!(condition("member.trips + 3"));
}

#[test]
fn seven_decimals() {
    insta::assert_snapshot!(condition("member.churn_60d >= 0.1234567"));
}

#[test]
fn reward_fact_where_no_reward_is() {
    insta::assert_snapshot!(condition("reward.cost <= 5.00"));
}

#[test]
fn condition_without_facts() {
    insta::assert_snapshot!(condition("true || 1 < 2"));
}

#[test]
fn unknown_key_and_wrong_type_and_missing_key_in_one_run() {
    insta::assert_snapshot!(mistakes(&[
        ("guardrails.toml", "cool_down_hours = 48", "cooldown_hours = 48\ncool_down_hours = \"two days\""),
        ("catalog.toml", "valid_days = 28\n", ""),
        ("program.toml", "members = \"enrol\"", "members = \"everyone\""),
    ]));
}

#[test]
fn values_out_of_range_and_unknown_names() {
    insta::assert_snapshot!(mistakes(&[
        ("program.toml", "\"4500.00\"", "\"4,500\""),
        ("program.toml", "America/New_York", "America/NewYork"),
        ("program.toml", "growing = ", "growning = "),
        ("segments.toml", "voucher = 700", "voucher = 70"),
        (
            "moments.toml",
            "\"points-50\", \"points-200\", \"free-delivery\"]",
            "\"point-50\", \"free-delivery\"]"
        ),
        ("experiments.toml", "\"5 %\"", "\"0.05\""),
    ]));
}

#[test]
fn toml_syntax() {
    insta::assert_snapshot!(mistakes(&[("guardrails.toml", "cool_down_hours = 48", "cool_down_hours 48")]));
}

#[test]
fn consent_that_is_needed_and_not_asked_for() {
    insta::assert_snapshot!(mistakes(&[(
        "guardrails.toml",
        "[\"personalised_marketing\", \"profiling\"]",
        "[\"personalised_marketing\"]"
    )]));
}

#[test]
fn caps_that_need_too_much_memory() {
    insta::assert_snapshot!(mistakes(&[
        ("guardrails.toml", "limit = 2\nwindow_days = 28", "limit = 20\nwindow_days = 28"),
        ("guardrails.toml", "limit = 10\nwindow_days = 182", "limit = 200\nwindow_days = 182"),
    ]));
}

#[test]
fn reward_that_cannot_be_where_its_moment_is() {
    insta::assert_snapshot!(mistakes(&[
        (
            "moments.toml",
            "\"points-50\", \"points-200\", \"free-delivery\"]",
            "\"points-50\", \"voucher-10\", \"chefs-table\", \"welcome-coffee\", \"free-delivery\"]"
        ),
        (
            "catalog.toml",
            "touchpoints = [\"app\", \"batch\", \"pos\", \"checkout\"]",
            "touchpoints = [\"email\"]"
        )
    ]));
}

#[test]
fn missing_and_unknown_files() {
    let files: Vec<(&str, &str)> = policies::starter::GROCERY
        .into_iter()
        .map(|(name, text)| if name == "guardrails.toml" { ("guardrail.toml", text) } else { (name, text) })
        .collect();
    let problems = policies::Bundle::from_files(&files).unwrap_err();
    insta::assert_snapshot!(problems.render());
}

#[test]
fn places_are_where_the_mistake_is() {
    let problems =
        edited("moments.toml", WAVERING, "member.trips > 1 && member.chrun_60d >= 0.08'''").unwrap_err();
    let [problem] = problems.0.as_slice() else { panic!("{}", problems.render()) };
    let text = policies::starter::GROCERY[3].1.replacen(
        WAVERING,
        "member.trips > 1 && member.chrun_60d >= 0.08'''",
        1,
    );
    assert_eq!(&text[problem.span.clone()], "member.chrun_60d");
    let line = text.lines().nth(usize::try_from(problem.line - 1).unwrap()).unwrap();
    assert!(line[usize::try_from(problem.col - 1).unwrap()..].starts_with("member.chrun_60d"));
}
