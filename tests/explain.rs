//! What an explanation adds to the record: what would have led to another answer, and what a member may be told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeMap;

use common::{folder, purchases, query, run, run_json, stderr, text};
use ledger::{Filter, Keys, Kind, Reader};
use sim::explain::{self, Explanation};

/// Most decisions that are explained.
const EXPLAINED: u32 = 300;

/// Explanations of many decisions of a small demo.
fn explained(dir: &std::path::Path) -> Vec<Explanation> {
    explained_under(dir, std::path::Path::new(common::office::STARTER))
}

fn explained_under(dir: &std::path::Path, policy: &std::path::Path) -> Vec<Explanation> {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, 120);
    let demo = ["demo", "--events", text(&events), "--dir", text(&ledger), "--policy", text(policy)];
    run_json(&[&demo[..], &["--output", "json"]].concat());
    let reader = Reader::open(&dir.join("ledger")).unwrap();
    let keys = Keys::open_in(&dir.join("ledger"), None).unwrap();
    let filter = Filter { kind: Some(Kind::Decision), limit: EXPLAINED, ..Filter::default() };
    let rows = reader.list(&filter).unwrap();
    rows.iter().map(|row| explain::explain(&reader, &keys, row).unwrap()).collect()
}

#[test]
fn what_would_have_led_to_another_answer_names_the_value_at_which_it_turns() {
    let folder = folder();
    let explanations = explained(folder.path());
    let mut by_reason: BTreeMap<&str, Vec<&Explanation>> = BTreeMap::new();
    for explanation in &explanations {
        by_reason.entry(explanation.reason.name()).or_default().push(explanation);
    }
    let turned = |reason: &str, fact: &str| -> Vec<String> {
        let of_reason = by_reason.get(reason).into_iter().flatten();
        let changes = of_reason.filter_map(|explanation| explanation.counterfactual.as_ref());
        let changes = changes.flat_map(|counterfactual| &counterfactual.changes);
        changes.filter(|change| change.what == fact).map(|change| change.to.clone()).collect()
    };
    // The starter waits 48 hours after a promise, and keeps quiet from 21 hours to 8.
    let cool_downs = turned("COOL_DOWN", "member.hours_since_offer");
    assert!(!cool_downs.is_empty() && cool_downs.iter().all(|hours| hours == "48"), "{cool_downs:?}");
    let promised = explanations.iter().filter(|explanation| explanation.reward.is_some());
    let mut turning = 0;
    for explanation in promised {
        let Some(counterfactual) = &explanation.counterfactual else { continue };
        turning += 1;
        let [change] = counterfactual.changes.as_slice() else { panic!("{counterfactual:?}") };
        assert_eq!(change.what, "member.churn_60d");
        let number = |text: &str| text.parse::<f64>().unwrap();
        assert!(number(&change.to) < number(&change.from), "{change:?}");
        assert_ne!(counterfactual.reward, explanation.reward, "the same would have been promised");
    }
    assert!(turning > 0, "no promise turned");
    for explanation in &explanations {
        let control = explanation.outcome == domain::Outcome::Control;
        assert!(!control || explanation.counterfactual.is_none(), "chance has no other answer");
    }
}

#[test]
fn what_chance_drew_is_not_called_the_best() {
    let office = common::office::Office { dir: folder() };
    office.copy_starter();
    office.edit("experiments.toml", "share = \"2 %\"", "share = \"60 %\"");
    explained_under(&office.path("."), &office.path("draft"));
    let ledger = office.ledger();
    let sql = "SELECT group_concat(seq) FROM (SELECT seq FROM record WHERE kind = 11 AND body ->> '$.cause' = 'exploration' LIMIT 60)";
    let (reader, keys) = (Reader::open(&ledger).unwrap(), Keys::open_in(&ledger, None).unwrap());
    let drawn: Vec<Explanation> = query(&ledger, sql)
        .split(',')
        .map(|seq| reader.row(ledger::Seq(seq.parse().unwrap())).unwrap().unwrap())
        .map(|row| explain::explain(&reader, &keys, &row).unwrap())
        .collect();
    let (promised, nothing): (Vec<_>, Vec<_>) =
        drawn.iter().partition(|explanation| explanation.reward.is_some());
    assert!(!promised.is_empty() && !nothing.is_empty(), "{} and {}", promised.len(), nothing.len());
    for explanation in promised.into_iter().chain(nothing) {
        assert!(explanation.explored && explanation.propensity < 1_000_000_000);
        assert!(explanation.text.contains("chance drew") || explanation.text.contains("drawn by chance"));
        let candidates = explanation.candidates.iter().map(|candidate| candidate.text);
        for said in candidates.chain([explanation.text]) {
            let is_false = said.contains("the best positive") || said.contains("another candidate was worth");
            assert!(!is_false, "row {}: {said}", explanation.seq);
        }
        assert!(explanation.for_member().because.contains("chance decides"), "row {}", explanation.seq);
    }
}

#[test]
fn a_member_hears_facts_and_rule_and_nothing_about_worth() {
    let folder = folder();
    let explanations = explained(folder.path());
    for explanation in &explanations {
        let answer = serde_json::to_string(&explanation.for_member()).unwrap();
        let scores =
            explanation.scores.map(|scores| [scores.ltv_91d.to_string(), scores.churn_60d.to_string()]);
        for secret in scores.iter().flatten().filter(|number| number.len() > 4) {
            assert!(!answer.contains(secret.as_str()), "row {}: {answer}", explanation.seq);
        }
        let candidates = explanation.candidates.iter().flat_map(|candidate| [candidate.value, candidate.net]);
        for money in candidates.filter(|money| money.0 % 10_000 != 0) {
            assert!(!answer.contains(&money.to_string()), "row {}: {answer}", explanation.seq);
        }
        assert!(!answer.contains(&explanation.bundle.to_string()));
    }
    let suppressed =
        explanations.iter().find(|explanation| explanation.reason.name() == "COOL_DOWN").unwrap();
    let (ledger, row) = (folder.path().join("ledger"), suppressed.seq.to_string());
    let why = ["--purpose", "a question of the member"];
    let said =
        run(&[&["log", "explain", &row, "--for", "member", "--dir", text(&ledger)], &why[..]].concat());
    let said = String::from_utf8(said.stdout).unwrap();
    for part in
        ["We did not promise you anything.", "guardrails.cool_down_hours", "hours since the last promise"]
    {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn losses_add_up_scores_come_out_again_and_another_policy_can_be_asked() {
    let folder = folder();
    let (events, ledger) = (folder.path().join("events.csv"), folder.path().join("ledger"));
    purchases(&events, 60);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    let losses = run_json(&["log", "losses", "--dir", text(&ledger), "--output", "json"]);
    let told: i64 =
        losses.as_array().unwrap().iter().map(|loss| loss["forgone_micros"].as_i64().unwrap()).sum();
    let recorded = "SELECT sum(best_net - chosen_net) FROM v_decisions WHERE cause != 'nothing' AND best_net > chosen_net";
    assert_eq!(told.to_string(), query(&ledger, recorded));
    assert!(told > 0);
    let again = run_json(&["replay", "--all", "--reinfer", "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(again["mismatches"], 0, "{again}");
    let reinferred = &again["reinferred"];
    assert!(reinferred["decisions"].as_u64().unwrap() > 0, "{again}");
    assert_eq!(reinferred["decisions"], reinferred["identical"], "{again}");
    // A stopped program promises nobody anything.
    let draft = folder.path().join("draft");
    let made = run(&["policy", "init", text(&draft), "--from", "grocery"]);
    assert!(made.status.success());
    let path = draft.join("program.toml");
    let program = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, program.replace("\nprogram = false", "\nprogram = true")).unwrap();
    let own = query(&ledger, "SELECT lower(hex(bundle)) FROM record WHERE kind = 11 LIMIT 1");
    let same = run_json(&["replay", "--all", "--under", &own, "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(same["different"], serde_json::json!([]), "the policy that decided differs from itself");
    assert!(same["same"].as_u64() > Some(100), "{same}");
    let count = |said: &serde_json::Value, what: &str| said[what].as_u64().unwrap();
    assert_eq!(count(&same, "compared"), count(&same, "same"));
    assert!(count(&same, "as_recorded") <= count(&same, "compared") && count(&same, "erased_or_pruned") == 0);
    let granted = query(&ledger, "SELECT min(seq) FROM record WHERE kind = 11 AND outcome = 0");
    let args = ["replay", &granted, "--under", text(&draft), "--dir", text(&ledger), "--output", "json"];
    // Made-up rules could be questions about a member, so whoever asks leaves a row.
    let refused = run(&args);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    let under = run_json(&[&args[..], &["--purpose", "what a stop would have done"]].concat());
    let readings = run_json(&["log", "readings", "--dir", text(&ledger), "--output", "json"]);
    assert!(readings.to_string().contains("what a stop would have done"), "{readings}");
    let line = &under["different"][0];
    assert!(line["recorded"].as_str().unwrap().starts_with("granted "), "{under}");
    assert_eq!(
        (line["under"].as_str(), line["reason"].as_str()),
        (Some("denied"), Some("KILL_SWITCH")),
        "{under}"
    );
    // A certificate is about nobody's event, and what was erased can be decided by nobody.
    let certificate = query(&ledger, "SELECT min(seq) FROM record WHERE kind = 20");
    let about_nobody = run(&["replay", &certificate, "--under", &own, "--dir", text(&ledger)]);
    assert!(about_nobody.status.code() == Some(2) && stderr(&about_nobody).contains("no event of a member"));
    let member = query(&ledger, &format!("SELECT lower(hex(member)) FROM record WHERE seq = {granted}"));
    let rows = query(
        &ledger,
        &format!("SELECT count(*) FROM record WHERE kind IN (10, 11) AND hex(member) = upper('{member}')"),
    );
    run_json(&[
        "member",
        "erase",
        &member,
        "--pseudonym",
        "--purpose",
        "asked for",
        "--dir",
        text(&ledger),
        "--output",
        "json",
    ]);
    let after = run_json(&["replay", "--all", "--under", &own, "--dir", text(&ledger), "--output", "json"]);
    assert_eq!(count(&after, "erased_or_pruned").to_string(), rows, "{after}");
    assert_eq!(count(&after, "compared") + count(&after, "erased_or_pruned"), count(&same, "compared"));
    let gone = run(&["replay", &granted, "--under", &own, "--dir", text(&ledger)]);
    assert!(gone.status.code() == Some(2) && stderr(&gone).contains("erased or pruned"), "{}", stderr(&gone));
}
