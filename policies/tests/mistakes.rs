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
fn arrow_for_at_least_and_at_most() {
    assert!(condition("member.trips => 3").contains("at least is written `>=`"));
    assert!(condition("member.trips =< 3").contains("at most is written `<=`"));
}

#[test]
fn quotes_of_a_word_processor() {
    insta::assert_snapshot!(condition("event.touchpoint == “pos”"));
    insta::assert_snapshot!(mistakes(&[("guardrails.toml", "minors = \"exclude\"", "minors = “exclude”")]));
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

#[test]
fn what_is_missing_in_the_first_entry_hides_nothing_in_the_others() {
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "kind = \"points\"\n", ""),
        ("catalog.toml", "valid_days = 21\n", ""),
        ("moments.toml", "trigger = { quiet_days = 21 }", "trigger = { quiet_day = 21 }"),
        ("program.toml", "[budget]\n", "[[budget]]\n"),
        ("experiments.toml", "[holdout]\n", "exploration = [\"2 %\"]\n[holdout]\n"),
        (
            "experiments.toml",
            "[exploration]\n# One moment in fifty may try a reward that is nearly as good as the best.\nshare = \"2 %\"\n",
            "",
        ),
    ]));
}

/// What the analysis says of the starter bundle after some edits.
fn contradictions(edits: &[(&str, &str, &str)]) -> String {
    let bundle = edited_all(edits).unwrap_or_else(|problems| panic!("{}", problems.render()));
    let sources = policies::Sources::from_canonical(bundle.canonical()).unwrap();
    policies::analyse(&bundle, &sources).iter().map(|insight| format!("{insight}\n")).collect()
}

#[test]
fn unknown_key_in_a_condition_and_in_a_nested_table() {
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", "expr = '''member.churn_60d >= 0.15'''", "when = '''member.churn_60d >= 0.15'''"),
        (
            "catalog.toml",
            "source = \"Assumption (Loyalty and Finance): small",
            "sauce = \"Assumption (Loyalty and Finance): small"
        ),
        ("moments.toml", "trigger = { quiet_days = 45 }", "trigger = { quite_days = 45 }"),
    ]));
}

#[test]
fn whole_number_where_money_is_text_and_decimal_where_days_are_counted() {
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "cost = \"0.50\"", "cost = 0.50"),
        ("catalog.toml", "cost = \"2.00\"", "cost = 2"),
        ("guardrails.toml", "complaint_days = 14", "complaint_days = 14.5"),
        ("guardrails.toml", "refund_days = 7", "refund_days = \"7\""),
        (
            "moments.toml",
            "rewards = [\"points-50\", \"points-200\", \"free-delivery\"]",
            "rewards = \"points-50\""
        ),
        ("program.toml", "program = false", "program = \"no\""),
    ]));
}

#[test]
fn count_compared_with_a_decimal() {
    insta::assert_snapshot!(condition("member.trips >= 2.5"));
}

#[test]
fn money_compared_with_a_ratio() {
    insta::assert_snapshot!(condition("member.spend > member.churn_60d"));
}

#[test]
fn quoted_number() {
    insta::assert_snapshot!(condition("member.trips >= \"3\""));
}

#[test]
fn words_joined_by_and() {
    insta::assert_snapshot!(condition("member.trips > 3 and member.minor"));
}

#[test]
fn unclosed_bracket() {
    insta::assert_snapshot!(condition("(member.trips > 3"));
}

#[test]
fn order_of_words() {
    insta::assert_snapshot!(condition("event.touchpoint > \"pos\""));
}

#[test]
fn yes_or_no_compared_with_one() {
    insta::assert_snapshot!(condition("member.minor == 1"));
}

#[test]
fn list_with_a_fact_in_it() {
    insta::assert_snapshot!(condition("member.trips in [3, member.trips_28d]"));
}

#[test]
fn letters_outside_ascii() {
    insta::assert_snapshot!(condition("member.trips ≥ 3"));
}

#[test]
fn empty_condition() {
    insta::assert_snapshot!(condition("  "));
}

#[test]
fn condition_that_is_too_long() {
    insta::assert_snapshot!(condition(&vec!["member.trips > 3"; 120].join(" || ")));
}

#[test]
fn condition_that_costs_too_much() {
    insta::assert_snapshot!(condition(
        &(0..70).map(|at| format!("now.day>{}", at % 10)).collect::<Vec<_>>().join("||")
    ));
}

#[test]
fn list_of_too_many_literals() {
    let days: Vec<String> = (0..40).map(|day| day.to_string()).collect();
    insta::assert_snapshot!(condition(&format!("now.day in [{}]", days.join(", "))));
}

#[test]
fn a_million_letters() {
    insta::assert_snapshot!(condition(&format!("now.day > 3 {}", "&& now.day > 3 ".repeat(60_000))));
}

#[test]
fn condition_that_is_too_deep() {
    insta::assert_snapshot!(condition(&format!("{}now.day > 3{}", "(".repeat(20), ")".repeat(20))));
}

#[test]
fn five_thousand_parentheses() {
    insta::assert_snapshot!(condition(&format!("{}now.day > 3{}", "(".repeat(5_000), ")".repeat(5_000))));
}

#[test]
fn comprehensions_inside_comprehensions() {
    insta::assert_snapshot!(condition(
        "[1,2,3].all(a, [1,2,3].all(b, [1,2,3].all(c, [1,2,3].all(d, [1,2,3].exists(e, e * d * c * b * a > member.trips)))))"
    ));
}

#[test]
fn toml_nested_five_thousand_deep() {
    let text = mistakes(&[(
        "experiments.toml",
        "salt = \"northgate-2017\"",
        &format!("salt = {}{}", "[".repeat(5_000), "]".repeat(5_000)),
    )]);
    insta::assert_snapshot!(text);
}

#[test]
fn unknown_reward_in_levers_caps_and_switches() {
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", "rewards = { welcome-coffee = 1300 }", "rewards = { welcome-tea = 1300 }"),
        ("segments.toml", "partner = 1100", "partners = 1100"),
        ("guardrails.toml", "rewards = [\"free-delivery\"]", "rewards = [\"delivery\"]"),
        ("program.toml", "rewards = []", "rewards = [\"hat\"]"),
    ]));
}

#[test]
fn unknown_segment_in_priors_and_switches() {
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "segments = { loyal = \"15 %\" }", "segments = { loyalty = \"15 %\" }"),
        ("program.toml", "segments = []", "segments = [\"everybody\"]"),
    ]));
}

#[test]
fn segment_budget_above_the_programs() {
    insta::assert_snapshot!(mistakes(&[("program.toml", "loyal = \"600.00\"", "loyal = \"6000.00\"")]));
}

#[test]
fn reward_that_costs_more_than_the_budget() {
    insta::assert_snapshot!(mistakes(&[("catalog.toml", "cost = \"25.00\"", "cost = \"4500.01\"")]));
}

#[test]
fn budget_that_is_zero_negative_or_beyond_all_bounds() {
    insta::assert_snapshot!(mistakes(&[
        ("program.toml", "loyal = \"600.00\"", "loyal = \"-600.00\""),
        ("program.toml", "growing = \"500.00\"", "growing = \"0\""),
        ("program.toml", "limit = \"4500.00\"", "limit = \"99999999999.00\""),
    ]));
}

#[test]
fn segment_budgets_that_leave_money_over() {
    insta::assert_snapshot!(contradictions(&[(
        "program.toml",
        "limit = \"4500.00\"",
        "limit = \"8000.00\""
    ),]));
}

#[test]
fn windows_of_no_days_and_of_a_thousand() {
    insta::assert_snapshot!(mistakes(&[
        ("guardrails.toml", "limit = 2\nwindow_days = 28", "limit = 0\nwindow_days = 0"),
        ("guardrails.toml", "limit = 1\nwindow_days = 182", "limit = 1\nwindow_days = 1000"),
        ("moments.toml", "trigger = { quiet_days = 45 }", "trigger = { quiet_days = 0 }"),
        ("moments.toml", "stale_hours = 96", "stale_hours = -1"),
        ("catalog.toml", "valid_days = 56", "valid_days = 0"),
        ("program.toml", "period_days = 91", "period_days = 400"),
    ]));
}

#[test]
fn inventory_of_zero() {
    insta::assert_snapshot!(mistakes(&[("catalog.toml", "inventory = 60", "inventory = 0")]));
}

#[test]
fn quiet_hours_that_cover_the_day() {
    insta::assert_snapshot!(mistakes(&[("guardrails.toml", "from = 21\nto = 8", "from = 8\nto = 8")]));
}

#[test]
fn quiet_hours_that_do_not_exist() {
    insta::assert_snapshot!(mistakes(&[("guardrails.toml", "from = 21\nto = 8", "from = 24\nto = 8")]));
}

#[test]
fn ids_used_twice() {
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", "id = \"lapsing\"", "id = \"loyal\""),
        ("guardrails.toml", "id = \"one-coffee-in-four-weeks\"", "id = \"one-delivery-in-eight-weeks\""),
        (
            "moments.toml",
            "id = \"wavering\", expr = '''member.churn_60d >= 0.08'''",
            "id = \"knows-us\", expr = '''member.churn_60d >= 0.08'''"
        ),
    ]));
}

#[test]
fn ids_that_are_none() {
    insta::assert_snapshot!(mistakes(&[
        ("moments.toml", "id = \"online-order\"", "id = \"Online Order\""),
        ("segments.toml", "id = \"growing\"", "id = \"\""),
        ("guardrails.toml", "id = \"bought-at-night\"", "id = \"2-bought-at-night\""),
        (
            "guardrails.toml",
            "id = \"large-for-the-basket\"",
            "id = \"large-for-the-basket-and-for-every-other-basket\""
        ),
    ]));
}

#[test]
fn names_and_sources_left_empty() {
    insta::assert_snapshot!(mistakes(&[
        ("program.toml", "name = \"Northgate Market Rewards\"", "name = \"\""),
        ("catalog.toml", "name = \"50 bonus points\"", "name = \"  \""),
        ("guardrails.toml", "reason = \"You had this one recently.\"", "reason = \"\""),
        ("experiments.toml", "salt = \"northgate-2017\"", "salt = \"\""),
    ]));
}

#[test]
fn rule_without_reason_and_reward_without_prior() {
    insta::assert_snapshot!(mistakes(&[
        ("guardrails.toml", "reason = \"You had this one recently.\"\n", ""),
        ("catalog.toml", "[reward.prior]\ndefault = \"80 %\"\nsource", "note"),
    ]));
}

#[test]
fn lists_left_empty() {
    insta::assert_snapshot!(mistakes(&[
        ("moments.toml", "rewards = [\"points-50\", \"points-200\", \"free-delivery\"]", "rewards = []"),
        ("catalog.toml", "touchpoints = [\"app\", \"web\", \"checkout\", \"batch\"]", "touchpoints = []"),
        ("guardrails.toml", "  { id = \"three-open\", expr = '''member.open_promises >= 3''' },\n", ""),
        ("guardrails.toml", "rewards = [\"welcome-coffee\"]", "rewards = []"),
    ]));
}

#[test]
fn currency_of_no_country() {
    insta::assert_snapshot!(mistakes(&[("program.toml", "currency = \"USD\"", "currency = \"EUX\"")]));
}

#[test]
fn currency_that_is_none() {
    insta::assert_snapshot!(mistakes(&[("program.toml", "currency = \"USD\"", "currency = \"dollars\"")]));
}

#[test]
fn time_zone_that_is_none() {
    insta::assert_snapshot!(mistakes(&[("program.toml", "America/New_York", "EST5")]));
    insta::assert_snapshot!(mistakes(&[("program.toml", "America/New_York", "Europe/Berlim")]));
}

#[test]
fn shares_that_are_none() {
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "default = \"9 %\"", "default = \"109 %\""),
        ("catalog.toml", "default = \"22 %\"", "default = \"0.22\""),
        ("guardrails.toml", "max_discount = \"40 %\"", "max_discount = \"forty\""),
        ("experiments.toml", "share = \"2 %\"", "share = \"-2 %\""),
    ]));
}

#[test]
fn levers_out_of_range() {
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", "voucher = 800", "voucher = 0"),
        ("segments.toml", "experience = 1300", "experience = 13000"),
    ]));
}

#[test]
fn unknown_touchpoints_purposes_and_events() {
    insta::assert_snapshot!(mistakes(&[
        (
            "catalog.toml",
            "touchpoints = [\"app\", \"web\", \"checkout\", \"batch\"]",
            "touchpoints = [\"app\", \"till\", \"chekout\"]"
        ),
        (
            "program.toml",
            "[\"personalised_marketing\", \"profiling\"]",
            "[\"personalized_marketing\", \"profiling\"]"
        ),
        (
            "moments.toml",
            "{ event = \"visit\", touchpoints = [\"app\", \"web\"] }",
            "{ event = \"visits\", touchpoints = [\"app\", \"web\"] }"
        ),
        ("moments.toml", "{ quiet_days = 45 }", "{ event = \"quiet\" }"),
    ]));
}

#[test]
fn trigger_that_is_two_things() {
    insta::assert_snapshot!(mistakes(&[(
        "moments.toml",
        "{ quiet_days = 45 }",
        "{ quiet_days = 45, event = \"visit\" }"
    )]));
}

#[test]
fn words_for_autonomy_level_and_action_that_are_none() {
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", "autonomy = \"auto\"", "autonomy = \"automatic\""),
        ("moments.toml", "level = \"L1\"", "level = \"L4\""),
        ("guardrails.toml", "action = \"warn\"", "action = \"warning\""),
        ("experiments.toml", "sticky = \"quarter\"", "sticky = \"quaterly\""),
    ]));
}

#[test]
fn reward_in_no_moment() {
    insta::assert_snapshot!(mistakes(&[
        (
            "moments.toml",
            ", \"chefs-table\"]\nprovisional = \"deny\"\nstale_hours = 48\n\n[[moment]]\nid = \"churn-warning-21\"",
            "]\nprovisional = \"deny\"\nstale_hours = 48\n\n[[moment]]\nid = \"churn-warning-21\""
        ),
        (
            "moments.toml",
            ", \"chefs-table\"]\nprovisional = \"deny\"\nstale_hours = 48\n\n# The last",
            "]\nprovisional = \"deny\"\nstale_hours = 48\n\n# The last"
        ),
        ("moments.toml", ", \"chefs-table\"]", "]"),
    ]));
}

#[test]
fn key_given_twice_and_open_quote() {
    insta::assert_snapshot!(mistakes(&[
        ("program.toml", "currency = \"USD\"", "currency = \"USD\"\ncurrency = \"EUR\""),
        ("experiments.toml", "sticky = \"quarter\"", "sticky = \"quarter"),
    ]));
}

#[test]
fn segment_nobody_reaches() {
    insta::assert_snapshot!(contradictions(&[(
        "segments.toml",
        "member.trips_91d <= 9",
        "member.churn_60d >= 0.20"
    )]));
    insta::assert_snapshot!(contradictions(&[(
        "segments.toml",
        "member.trips_91d <= 9",
        "member.trips_91d <= 9 && member.trips_28d >= 10"
    )]));
}

#[test]
fn rule_that_never_acts() {
    insta::assert_snapshot!(contradictions(&[(
        "guardrails.toml",
        "member.open_promises >= 3",
        "now.hour > 20 && now.hour < 8"
    )]));
}

#[test]
fn reward_nobody_is_eligible_for() {
    insta::assert_snapshot!(contradictions(&[(
        "catalog.toml",
        "member.trips_91d >= 5",
        "reward.kind == \"voucher\""
    )]));
}

/// The mistakes of the starter bundle in a folder after something happened to the folder.
fn folder_mistakes(happens: impl FnOnce(&std::path::Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in policies::starter::GROCERY {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    happens(folder.path());
    let problems = policies::Bundle::load(folder.path()).unwrap_err();
    problems.render().replace(&folder.path().display().to_string(), "FOLDER")
}

#[test]
fn file_of_more_than_a_megabyte() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        std::fs::write(folder.join("segments.toml"), "# padding\n".repeat(110_000)).unwrap();
    }));
}

#[test]
fn sparse_file_is_refused_by_its_size() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        std::fs::File::create(folder.join("catalog.toml")).unwrap().set_len(100 << 20).unwrap();
    }));
}

#[test]
fn file_that_is_not_utf8() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        let text = policies::starter::GROCERY[0].1.replace("Northgate", "N\u{1}rthgate");
        let bytes: Vec<u8> = text.bytes().map(|byte| if byte == 1 { 0xF6 } else { byte }).collect();
        std::fs::write(folder.join("program.toml"), bytes).unwrap();
    }));
}

#[test]
fn folder_in_the_place_of_a_file_and_unknown_files() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        std::fs::remove_file(folder.join("moments.toml")).unwrap();
        std::fs::create_dir(folder.join("moments.toml")).unwrap();
        std::fs::write(folder.join("segment.toml"), "").unwrap();
    }));
}

#[cfg(unix)]
#[test]
fn links_in_a_circle() {
    insta::assert_snapshot!(folder_mistakes(|folder| {
        std::fs::remove_file(folder.join("moments.toml")).unwrap();
        std::os::unix::fs::symlink("moments.toml", folder.join("moments.toml")).unwrap();
    }));
}

#[cfg(unix)]
#[test]
fn links_to_files_inside_the_folder_are_followed() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    // As configuration is mounted: each file leads through a link to the folder of the newest version.
    std::fs::create_dir(folder.path().join("..2026")).unwrap();
    symlink("..2026", folder.path().join("..data")).unwrap();
    for (name, text) in policies::starter::GROCERY {
        std::fs::write(folder.path().join("..2026").join(name), text).unwrap();
        symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
    }
    assert!(policies::Bundle::load(folder.path()).is_ok());
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(folder.path(), elsewhere.path().join("linked")).unwrap();
    assert!(
        policies::Bundle::load(&elsewhere.path().join("linked")).is_ok(),
        "the folder itself may be a link"
    );
}

#[cfg(unix)]
#[test]
fn link_that_leads_out_of_the_folder_is_refused_and_not_read() {
    use std::os::unix::fs::symlink;
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("passwords");
    std::fs::write(&file, "root:hunter2:0:0\n").unwrap();
    let said = folder_mistakes(|folder| {
        std::fs::remove_file(folder.join("catalog.toml")).unwrap();
        symlink(&file, folder.join("catalog.toml")).unwrap();
        std::fs::create_dir(folder.join("tests")).unwrap();
        symlink(&file, folder.join("tests/ours.toml")).unwrap();
    });
    assert!(said.contains("POL0020") && !said.contains("hunter2"), "{said}");
    let (folder, bundle) = (tempfile::tempdir().unwrap(), policies::starter::grocery().unwrap());
    symlink(secret.path(), folder.path().join("tests")).unwrap();
    std::fs::rename(&file, secret.path().join("ours.toml")).unwrap();
    let refused = policies::cases::read(folder.path(), &bundle).unwrap_err().render();
    assert!(refused.contains("POL0020") && !refused.contains("hunter2"), "{refused}");
}

#[test]
fn tests_in_folders_that_are_not_read_are_reported() {
    let (folder, bundle) = (tempfile::tempdir().unwrap(), policies::starter::grocery().unwrap());
    let tests = folder.path().join("tests");
    for name in ["spring/late", "notes", "..mounted"] {
        std::fs::create_dir_all(tests.join(name)).unwrap();
    }
    std::fs::write(tests.join("notes/readme.txt"), "nothing to run").unwrap();
    std::fs::write(tests.join("..mounted/a.toml"), "").unwrap();
    assert!(policies::cases::read(folder.path(), &bundle).is_ok());
    std::fs::write(tests.join("spring/late/a.toml"), "").unwrap();
    let refused = policies::cases::read(folder.path(), &bundle).unwrap_err().render();
    assert!(refused.contains("POL0021") && refused.contains("tests/spring"), "{refused}");
    assert!(!refused.contains("notes") && !refused.contains("mounted"), "{refused}");
}

#[test]
fn program_name_with_a_line_break_or_another_control_character() {
    let named = |name: &str| mistakes(&[("program.toml", "\"Northgate Market Rewards\"", name)]);
    for name in [r#""a\nb""#, r#""a\tb""#, r#""a\u001b[31m""#, r#""a\u2028b""#, "\"\"\"a\nb\"\"\""] {
        assert!(named(name).contains("POL0019"), "{name}: {}", named(name));
    }
    insta::assert_snapshot!(named(r#""a\nb""#));
}

#[test]
fn folder_that_does_not_exist() {
    insta::assert_snapshot!(policies::Bundle::load("no/such/folder".as_ref()).unwrap_err().render());
}

#[test]
fn stored_bundle_that_was_cut_off() {
    let bundle = policies::starter::grocery().unwrap();
    let bytes = bundle.canonical();
    insta::assert_snapshot!(policies::Bundle::from_canonical(&bytes[..900]).unwrap_err().render());
}

fn several() -> policies::Problems {
    edited_all(&[
        ("moments.toml", WAVERING, "member.chrun_60d >= 0.08'''"),
        ("program.toml", "\"4500.00\"", "\"4,500\""),
        ("catalog.toml", "name = \"50 bonus points\"", "nam = \"50 bonus points\""),
    ])
    .unwrap_err()
}

#[test]
fn mistakes_as_json() {
    insta::assert_json_snapshot!(several());
}

#[test]
fn mistakes_and_findings_as_sarif() {
    insta::assert_json_snapshot!(several().sarif());
    let bundle = edited("guardrails.toml", "member.open_promises >= 3", "now.hour >= 0").unwrap();
    let sources = policies::Sources::from_canonical(bundle.canonical()).unwrap();
    let insights = policies::analyse(&bundle, &sources).into_iter().map(|insight| insight.problem);
    insta::assert_json_snapshot!(policies::Problems(insights.collect()).sarif());
}

#[test]
fn floors_that_no_budget_can_pay() {
    let floor = |segment: &str, floor: u32| {
        (format!("id = \"{segment}\""), format!("id = \"{segment}\"\nfloor = {floor}"))
    };
    let (one, other) = (floor("newcomers", 3_000), floor("loyal", 100_000));
    insta::assert_snapshot!(mistakes(&[
        ("segments.toml", &one.0, &one.1),
        ("segments.toml", &other.0, &other.1),
    ]));
}

#[test]
fn margins_that_leave_nothing() {
    let margin = "[margin]\ngross = \"28 %\"\nmin = \"28 %\"\n\n[consent]";
    insta::assert_snapshot!(mistakes(&[("guardrails.toml", "[consent]", margin)]));
}

#[test]
fn a_date_that_stands_bare() {
    let until = "[[partner]]\nname = \"Regent\"\nuntil = 2027-01-01\n\n[[reward]]";
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "[[reward]]", until),
        ("catalog.toml", "id = \"cinema\"\n", "id = \"cinema\"\npartner = \"Regent\"\n"),
    ]));
}

#[test]
fn an_element_that_goes_by_another_name() {
    insta::assert_snapshot!(condition("member.recent_amounts.exists(a, b >= 100.00)"));
}

#[test]
fn wording_that_nobody_could_read() {
    let worded = "stale_hours = 48\nwording = \"Once your order is packed.\"";
    insta::assert_snapshot!(mistakes(&[("moments.toml", "stale_hours = 48", worded)]));
}

#[test]
fn partners_terms_that_do_not_fit() {
    let terms = "[[partner]]\nname = \"Harbour Fuel\"\nuntil = \"31 March\"\nlimit = \"100.00\"\n\n\
                 [[partner]]\nname = \"Regent\"\nexposure = \"1.00\"\n\n[[reward]]";
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "[[reward]]", terms),
        ("catalog.toml", "id = \"fuel-10c\"\n", "id = \"fuel-10c\"\npartner = \"Harbor Fuel\"\n"),
        ("catalog.toml", "id = \"cinema\"\n", "id = \"cinema\"\npartner = \"Regent\"\n"),
    ]));
}

#[test]
fn limits_that_hold_everything_or_make_no_sense() {
    let limits = "[[budget.window]]\nid = \"day\"\nhours = 1000\nlimit = \"0.10\"\nsegment = \"loyals\"\n\n\
                  [exposure]\nlimit = \"0.01\"\n\n[escalation]\nburn = \"50 %\"\nwaiting = 0\n\n[approval]";
    insta::assert_snapshot!(mistakes(&[("program.toml", "[approval]", limits)]));
}

#[test]
fn variants_that_do_not_fit() {
    let variants = "[[variant]]\nid = \"a\"\nshare = \"60 %\"\nwithhold = [\"voucher-33\"]\n\
                    [[variant]]\nid = \"a\"\nshare = \"50 %\"\nwithhold = []\n\n[holdout]";
    insta::assert_snapshot!(mistakes(&[("experiments.toml", "[holdout]", variants)]));
}

#[test]
fn risk_scores_above_the_highest() {
    let risk = "risk_max = 101\ncool_down_hours";
    insta::assert_snapshot!(mistakes(&[("guardrails.toml", "cool_down_hours", risk)]));
}

#[test]
fn partner_names_that_no_account_could_have() {
    let long = "x".repeat(65);
    insta::assert_snapshot!(mistakes(&[
        ("catalog.toml", "id = \"fuel-10c\"\n", &format!("id = \"fuel-10c\"\npartner = \"{long}\"\n")),
        ("catalog.toml", "id = \"cinema\"\n", "id = \"cinema\"\npartner = \"The\\nRegent\"\n"),
    ]));
}
