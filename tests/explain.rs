//! What an explanation adds to the record: what would have led to another answer, and what a member may be told.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeMap;

use common::{folder, purchases, query, run, run_json, stderr, text};
use domain::facts::Field;
use domain::record::{self, read_decision};
use domain::{Outcome, Reason, Touchpoint};
use ledger::{Filter, Keys, Kind, Reader, Row, Seq};
use policies::Bundle;
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

/// A decision of the batch that refused for the hour at which the promise was to be made.
fn refused_late(row: &Row, keys: &Keys, bundle: &Bundle) -> Row {
    let key = keys.find(row.member.unwrap()).unwrap().unwrap();
    let personal = key.open(&row.record_id, row.sealed.as_ref().unwrap()).unwrap();
    let mut decision = read_decision(row.body.as_ref().unwrap().as_bytes(), &personal).unwrap();
    let rule = bundle.rules().iter().position(|rule| rule.id == "guardrails.quiet_hours").unwrap();
    let hours_to_night = 22 - i64::from(decision.considered_at.civil(&bundle.program().zone).hour);
    decision.decided_at = decision.considered_at.plus(hours_to_night * 3_600_000_000);
    decision.event.touchpoint = Touchpoint::Batch;
    decision.facts.set(Field::EventTouchpoint, Touchpoint::Batch as i64);
    (decision.outcome, decision.reason) = (Outcome::Suppressed, Reason::QuietHours);
    (decision.rule, decision.chosen) = (Some(u16::try_from(rule).unwrap()), None);
    let forms = record::decision(&decision);
    Row {
        body: Some(String::from_utf8(forms.public).unwrap()),
        sealed: Some(key.seal(&row.record_id, &forms.personal).ciphertext.to_vec()),
        reward: None,
        ..row.clone()
    }
}

#[test]
fn what_refused_when_a_promise_was_to_be_made_is_found_and_nothing_else_is_said_to_turn_it() {
    let folder = folder();
    let explanations = explained(folder.path());
    let ledger = folder.path().join("ledger");
    let (reader, keys) = (Reader::open(&ledger).unwrap(), Keys::open_in(&ledger, None).unwrap());
    let bundle = runtime::opening::recorded_bundle(&reader, explanations[0].bundle).unwrap();
    let promised = explanations.iter().find(|explanation| {
        let hour = explanation.considered_at.civil(&bundle.program().zone).hour;
        explanation.outcome == Outcome::Granted && (9..20).contains(&hour)
    });
    let row = reader.row(Seq(promised.unwrap().seq)).unwrap().unwrap();
    let said = explain::explain(&reader, &keys, &refused_late(&row, &keys, &bundle)).unwrap();
    let found = said.against.iter().find(|finding| finding.id == "guardrails.quiet_hours");
    let found = found.unwrap_or_else(|| panic!("{:?}", said.against));
    assert!(found.values.iter().any(|(_, value)| value == "22"), "{found:?}");
    assert_eq!(said.counterfactual, None);
    let told = said.for_member();
    assert!(told.because == found.text && told.rule.as_deref() == Some("guardrails.quiet_hours"));
}

#[test]
fn where_rows_before_a_decision_are_gone_its_rule_is_still_told_and_nothing_is_said_to_turn_it() {
    let folder = folder();
    let explanations = explained(folder.path());
    let ledger = folder.path().join("ledger");
    let suppressed = explanations.iter().filter(|explanation| explanation.reason.name() == "COOL_DOWN");
    let seqs: Vec<Seq> = suppressed.map(|explanation| Seq(explanation.seq)).collect();
    let rows: Vec<Row> = {
        let reader = Reader::open(&ledger).unwrap();
        seqs.iter().map(|seq| reader.row(*seq).unwrap().unwrap()).collect()
    };
    run_json(&["log", "retention", "--sealed-days", "0", "--dir", text(&ledger), "--output", "json"]);
    let (reader, keys) = (Reader::open(&ledger).unwrap(), Keys::open_in(&ledger, None).unwrap());
    let mut pruned = 0;
    for row in &rows {
        let said = explain::explain(&reader, &keys, row).unwrap();
        if said.rows_pruned > 0 {
            pruned += 1;
            assert_eq!(said.counterfactual, None, "row {}", said.seq);
            let told = said.for_member();
            assert!(!told.because.contains("elsewhere"), "{}", told.because);
            assert_eq!(Some(&told.because), said.rule_text.as_ref());
        }
    }
    assert!(pruned > 0, "of {} decisions none had rows before it that were pruned", rows.len());
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
    assert_eq!(count(&same, "erased_or_pruned"), 0);
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
