//! A policy's life as a loyalty team lives it: written, tested, assessed, approved by somebody else, in force, rolled back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use common::office::Office;
use common::{query, run, run_json, stderr, text};
use ledger::person::PersonKey;
use policies::cases::Texts;
use policies::registry::{Signed, Statement, Step, Target};
use runtime::registry::Request;
use runtime::requests::{Answer, ask};
use serde_json::Value;

/// A step as somebody says it now, before they sign it.
fn statement(office: &Office, id: &str, by: &str, step: Step) -> Statement {
    let ledger = ledger::identity_of(&office.ledger()).unwrap().unwrap();
    Statement { v: 1, ledger, id: id.to_owned(), at: runtime::clock::wall(), by: by.to_owned(), step }
}

/// The request, signed with the key of whoever is named.
fn signed(office: &Office, statement: Statement, who: &str, attachment: Option<String>) -> Request {
    let key = PersonKey::load(&office.path(&format!("{who}.key"))).unwrap();
    Request {
        signed: Signed { signature: key.sign(&statement.bytes()), statement, key: key.public() },
        attachment,
        tests: None,
    }
}

/// The draft as it is handed in, and the tests in its folder.
fn draft(office: &Office) -> (policies::Bundle, Texts) {
    let bundle = policies::check::check_folder(&office.path("draft")).0.unwrap();
    (bundle, Texts::from_folder(&office.path("draft")).0)
}

/// A request that hands in the draft with some tests, past the program that would have refused it.
fn handed_in(office: &Office, id: &str, named: Option<&Texts>, sent: Option<&Texts>) -> Request {
    let (bundle, _) = draft(office);
    let step = Step::Submit { bundle: bundle.digest(), note: String::new(), tests: named.map(Texts::digest) };
    let canonical = String::from_utf8(bundle.canonical().to_vec()).unwrap();
    let request = signed(office, statement(office, id, "anna", step), "anna", Some(canonical));
    Request { tests: sent.map(Texts::canonical), ..request }
}

/// What becomes of a request, past the program that would have refused it.
async fn put(office: &Office, request: Request) -> String {
    match ask(&office.ledger(), &request.into()).await.unwrap() {
        Answer::Taken { .. } => "taken".to_owned(),
        Answer::Refused { code, .. } => code,
    }
}

#[test]
fn a_policy_goes_into_force_only_by_the_whole_way_and_comes_back_by_one_step() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    let draft = text(&draft);
    let started = policies::starter::grocery().unwrap().digest().to_string();
    office.refused("otto", &["policy", "submit", draft], "REG0008");
    // A bundle whose own tests fail is not handed in.
    office.edit("guardrails.toml", "cool_down_hours = 48", "cool_down_hours = 240");
    office.refused("anna", &["policy", "submit", draft], "of the bundle fail");
    office.edit("guardrails.toml", "cool_down_hours = 240", "cool_down_hours = 48");
    office.taken("anna", &["policy", "submit", draft, "--note", "a smaller budget"]);
    office.refused("anna", &["policy", "submit", draft], "REG0010");
    office.refused("berta", &["policy", "approve", &digest, "--impact", &digest], "REG0012");
    let impact = office.assess();
    office.refused("berta", &["policy", "approve", &digest, "--impact", &digest], "REG0013");
    office.refused("anna", &["policy", "approve", &digest, "--impact", &impact], "REG0008");
    office.refused("berta", &["policy", "activate", &digest], "REG0015");
    office.taken("berta", &["policy", "approve", &digest[..8], "--impact", &impact]);
    office.refused("otto", &["policy", "activate", &digest], "REG0008");
    office.taken("berta", &["policy", "activate", &digest]);
    office.refused("berta", &["policy", "activate", &digest], "REG0016");
    // An operator acts in the safe direction.
    office.refused("otto", &["policy", "rollback", "--to", &digest], "REG0016");
    office.taken("otto", &["policy", "rollback", "--to", &started]);
    office.taken("otto", &["stop", "--reward", "voucher-5", "--note", "printer broken"]);
    office.refused("otto", &["resume", "--reward", "voucher-5"], "REG0008");
    office.refused("otto", &["stop", "--reward", "voucher-55"], "REG0021");
    office.taken("berta", &["resume", "--reward", "voucher-5"]);
    let steps = office.steps();
    assert_eq!(steps, ["started", "submit", "assess", "approve", "activate", "roll_back", "stop", "resume"]);
    assert_eq!(
        run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"])["verified"],
        true
    );
}

#[test]
fn a_contradiction_is_shown_by_somebody_it_happens_to_and_kept_out_of_the_registry() {
    let office = Office::open();
    let (draft, path) = (office.path("draft"), office.path("draft").join("guardrails.toml"));
    let rule = r#"
[[rule]]
id = "no-vouchers"
action = "deny"
reason = "No vouchers."
when = [
  { id = "a-voucher", expr = '''reward.kind == "voucher"''' },
]
"#;
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + rule).unwrap();
    let shown = run(&["policy", "check", text(&draft)]);
    assert_eq!(shown.status.code(), Some(3));
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(said.contains("POL0070") && said.contains("guardrails.rule.no-vouchers"), "{said}");
    assert!(said.contains("for example"), "no witness: {said}");
    let sarif = run(&["policy", "check", text(&draft), "--output", "sarif"]);
    let sarif: Value = serde_json::from_slice(&sarif.stdout).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|result| result["ruleId"] == "POL0070"), "{sarif}");
    office.refused("anna", &["policy", "submit", text(&draft)], "POL0070");
}

#[test]
fn a_bundle_without_tests_is_not_handed_in() {
    let office = Office::open();
    let draft = office.path("draft");
    for test in std::fs::read_dir(draft.join("tests")).unwrap() {
        std::fs::remove_file(test.unwrap().path()).unwrap();
    }
    office.refused("anna", &["policy", "submit", text(&draft)], "has no tests");
    std::fs::remove_dir(draft.join("tests")).unwrap();
    office.refused("anna", &["policy", "submit", text(&draft)], "has no tests");
    assert_eq!(office.history().len(), 1, "something besides the first run was recorded");
}

#[test]
fn steps_taken_at_the_same_time_without_a_node_all_hold() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let impact = office.assess();
    let other = office.path("other");
    common::office::copy(&draft, &other);
    let program = std::fs::read_to_string(other.join("program.toml")).unwrap();
    std::fs::write(other.join("program.toml"), program.replace("\"3000.00\"", "\"2000.00\"")).unwrap();
    let steps: [(&str, Vec<&str>); 5] = [
        ("berta", vec!["policy", "approve", &digest, "--impact", &impact]),
        ("anna", vec!["policy", "submit", text(&other)]),
        ("anna", vec!["policy", "shadow", &digest]),
        ("otto", vec!["stop", "--reward", "cinema"]),
        ("otto", vec!["stop", "--segment", "loyal"]),
    ];
    std::thread::scope(|scope| {
        for (who, step) in &steps {
            let office = &office;
            scope.spawn(move || office.taken(who, step));
        }
    });
    let history = office.history();
    let mut taken: Vec<&str> = history[3..].iter().map(|step| step["what"].as_str().unwrap()).collect();
    taken.sort_unstable();
    assert_eq!(taken, ["approve", "shadow", "stop", "stop", "submit"]);
    let verified = run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"]);
    assert_eq!(verified["verified"], true);
}

#[test]
fn what_init_is_told_wrong_is_named_with_what_was_meant() {
    let dir = common::folder();
    let folder = dir.path().join("q");
    let start = ["policy", "init", text(&folder), "--from", "grocery"];
    let said = |more: &[&str]| {
        let output = run(&[&start, more].concat());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        stderr(&output)
    };
    let currency = said(&["--currency", "EURO"]);
    assert!(currency.contains("--currency") && currency.contains("ISO 4217"), "{currency}");
    assert!(currency.contains("did you mean `EUR`?"), "{currency}");
    let zone = said(&["--zone", "Europe/Berln"]);
    assert!(zone.contains("--timezone") && zone.contains("did you mean `Europe/Berlin`?"), "{zone}");
    assert!(!folder.exists());
}

#[test]
fn policy_check_reads_the_tests_too() {
    let dir = common::folder();
    let folder = dir.path().join("q");
    assert!(run(&["policy", "init", text(&folder), "--from", "grocery"]).status.success());
    let case = "[[case]]\nname = \"x\"\nevent = { quiet_days = 14 }\nexpect = { may = [\"point-50\"] }\n";
    std::fs::write(folder.join("tests/ours.toml"), case).unwrap();
    let checked = run(&["policy", "check", text(&folder)]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(3), "{said}");
    assert!(said.contains("tests/ours.toml:4:19") && said.contains("did you mean `points-50`?"), "{said}");
}

#[test]
fn nobody_approves_their_own_work_even_with_both_roles() {
    let office = Office::open();
    let key = office.path("carla.key");
    let args = ["people", "add", "carla", "--role", "author", "--role", "approver", "--key", text(&key)];
    assert!(run(&[&args[..], &["--dir", text(&office.ledger())]].concat()).status.success());
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    office.taken("carla", &["policy", "submit", text(&draft)]);
    let impact = office.assess();
    office.refused("carla", &["policy", "approve", &digest, "--impact", &impact], "REG0014");
    // A changed draft is another bundle: nothing that was said about the first one counts for it.
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    office.edit("program.toml", "limit = \"3000.00\"", "limit = \"2999.00\"");
    office.refused("berta", &["policy", "activate", &office.draft()], "REG0009");
}

#[tokio::test]
async fn forged_replayed_old_and_foreign_statements_are_refused() {
    let office = Office::open();
    let stop = |target| Step::Stop { target, note: String::new() };
    let by_otto = |id: &str| statement(&office, id, "otto", stop(Target::Program));
    let signed_by = |who: &str, statement: Statement| signed(&office, statement, who, None);
    let mut changed = signed_by("otto", by_otto("1"));
    changed.signed.statement.step = stop(Target::Segment("lapsing".to_owned()));
    assert_eq!(put(&office, changed).await, "REG0005");
    assert_eq!(put(&office, signed_by("anna", by_otto("2"))).await, "REG0004");
    let mut old = by_otto("3");
    old.at = old.at.plus(-25 * domain::time::HOUR);
    assert_eq!(put(&office, signed_by("otto", old)).await, "REG0007");
    let foreign = Statement { ledger: "largesse/other+00000000".to_owned(), ..by_otto("4") };
    assert_eq!(put(&office, signed_by("otto", foreign)).await, "REG0002");
    let stranger = Statement { by: "nobody".to_owned(), ..by_otto("5") };
    assert_eq!(put(&office, signed_by("otto", stranger)).await, "REG0003");
    // What was refused is spent: put back when it would be right, it does nothing.
    let resume = Step::Resume { target: Target::Program, note: String::new() };
    let resume = signed_by("berta", statement(&office, "7", "berta", resume));
    assert_eq!(put(&office, resume.clone()).await, "REG0020");
    let good = signed_by("otto", by_otto("6"));
    assert_eq!(put(&office, good.clone()).await, "taken");
    assert_eq!(put(&office, good).await, "REG0006");
    assert_eq!(put(&office, resume).await, "REG0006");
    let history = office.history();
    let refused = history.iter().find(|step| step["what"] == "refused" && step["by"] == "berta").unwrap();
    assert_eq!(refused["detail"], "resume: REG0020");
}

#[tokio::test]
async fn an_impact_report_is_of_the_bundle_beside_what_is_in_force_and_can_be_computed_again() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest, ledger) = (office.path("draft"), office.draft(), office.ledger());
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let key = office.path("anna.key");
    let with_itself = ["policy", "impact", text(&draft), "--log", text(&ledger), "--against", text(&draft)];
    let recorded = run(&[&with_itself[..], &["--key", text(&key)]].concat());
    assert_eq!(recorded.status.code(), Some(2), "{}", stderr(&recorded));
    let own = run_json(&[&with_itself[..], &["--output", "json"]].concat());
    // Somebody with an author's key and a program of their own.
    let handed_in = async |text: String| {
        let id = uuid::Uuid::now_v7().simple().to_string();
        let (bundle, impact) = (digest.parse().unwrap(), domain::Digest::of(text.as_bytes()));
        let says = statement(&office, &id, "anna", Step::Assess { bundle, impact });
        put(&office, signed(&office, says, "anna", Some(text))).await
    };
    assert_eq!(handed_in("everything is fine, trust me".to_owned()).await, "REG0035");
    assert_eq!(handed_in(own["impact"].to_string()).await, "REG0035");
    office.assess();
    let report = ["policy", "report", &digest, "--dir", text(&ledger)];
    let again = run_json(&[&report[..], &["--recheck", "--output", "json"]].concat());
    assert_eq!(again["rechecked"]["same"], true, "{again}");
    let honest: sim::impact::Impact = serde_json::from_value(again["impact"].clone()).unwrap();
    let elsewhere = sim::impact::Impact { currency: "USX".to_owned(), ..honest.clone() };
    assert_eq!(handed_in(elsewhere.text()).await, "REG0035");
    let beyond = sim::impact::Impact { until: Some(u64::MAX), ..honest.clone() };
    assert_eq!(handed_in(beyond.text()).await, "REG0035");
    // Numbers that are not this ledger's have the form of a report; computing them again shows it.
    let mut forged = honest;
    forged.promises.to += 1;
    assert_eq!(handed_in(forged.text()).await, "taken");
    let rechecked = run(&[&report[..], &["--recheck"]].concat());
    assert_eq!(rechecked.status.code(), Some(3), "{}", stderr(&rechecked));
    let impact = domain::Digest::of(forged.text().as_bytes()).to_string();
    let approve = ["policy", "approve", &digest, "--impact", &impact];
    let refused = office.by("berta", &approve);
    assert_eq!(refused.status.code(), Some(3), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("not approved: computed again"), "{}", stderr(&refused));
    assert!(stderr(&refused).starts_with("the report is about "), "{}", stderr(&refused));
    office.refused("anna", &["policy", "activate", &digest], "REG0008");
    let history = run_json(&["policy", "history", "--dir", text(&ledger), "--output", "json"]);
    assert!(!history.to_string().contains("\"approve\""), "{history}");
    // Whoever takes the author's word for it says so.
    office.taken("berta", &[&approve[..], &["--unchecked"]].concat());
    let history = run_json(&["policy", "history", "--dir", text(&ledger), "--output", "json"]);
    assert!(history.to_string().contains("not computed again"), "{history}");
}

#[tokio::test]
async fn a_node_searches_for_contradictions_whatever_the_authors_program_said() {
    let office = Office::open();
    let rule = "[[rule]]\nid = \"never\"\naction = \"deny\"\nreason = \"None.\"\n\
                when = [{ id = \"all\", expr = 'member.spend >= member.spend_28d' }]\n\n";
    let first = "[[rule]]\nid = \"unused-rewards-first\"";
    office.edit("guardrails.toml", first, &format!("{rule}{first}"));
    let (_, tests) = draft(&office);
    assert_eq!(put(&office, handed_in(&office, "1", Some(&tests), Some(&tests))).await, "REG0042");
}

#[tokio::test]
async fn a_node_runs_the_tests_of_a_bundle_itself_and_keeps_them() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (_, tests) = draft(&office);
    let written = std::fs::read_dir(office.path("draft").join("tests")).unwrap();
    let one = written.map(|file| file.unwrap().path()).min().unwrap();
    let written = std::fs::read_to_string(&one).unwrap();
    std::fs::write(&one, written.replacen("event = {", "event = { tpye = 1,", 1)).unwrap();
    let (_, mistaken) = draft(&office);
    std::fs::write(&one, written.replacen("NO_CONSENT", "NO_REASON", 1)).unwrap();
    let (_, unknown) = draft(&office);
    std::fs::write(&one, &written).unwrap();
    office.edit("guardrails.toml", "cool_down_hours = 48", "cool_down_hours = 240");
    let failing = handed_in(&office, "failing", Some(&tests), Some(&tests));
    assert_eq!(put(&office, failing).await, "REG0043");
    office.edit("guardrails.toml", "cool_down_hours = 240", "cool_down_hours = 48");
    let none = Texts::default();
    for (id, named, sent) in [
        ("unnamed", None, Some(&tests)),
        ("unsent", Some(&tests), None),
        ("others", Some(&tests), Some(&mistaken)),
        ("mistaken", Some(&mistaken), Some(&mistaken)),
        ("unknown", Some(&unknown), Some(&unknown)),
        ("none", Some(&none), Some(&none)),
    ] {
        assert_eq!(put(&office, handed_in(&office, id, named, sent)).await, "REG0043", "{id}");
    }
    assert_eq!(put(&office, handed_in(&office, "good", Some(&tests), Some(&tests))).await, "taken");
    let (digest, ledger) = (office.draft(), office.ledger());
    let again = run_json(&["policy", "test", &digest, "--dir", text(&ledger), "--output", "json"]);
    let folder = run_json(&["policy", "test", text(&office.path("draft")), "--output", "json"]);
    assert_eq!((&again["cases"], &again["failed"]), (&folder["cases"], &folder["failed"]));
    assert!(again["cases"].as_u64() > Some(5), "{again}");
    let handed_in = office.history().into_iter().find(|step| step["what"] == "submit").unwrap();
    assert_eq!(handed_in["detail"], format!("passed its {} tests", again["cases"]));
    // What was in force from the start was handed in by nobody, with no tests.
    let started = policies::starter::grocery().unwrap().digest().to_string();
    let asked = run(&["policy", "test", &started, "--dir", text(&ledger)]);
    assert_eq!(asked.status.code(), Some(2), "{}", stderr(&asked));
}

#[test]
fn a_difference_says_who_is_affected() {
    let office = Office::open();
    // A stopped program promises nobody anything.
    office.edit("program.toml", "\nprogram = false", "\nprogram = true");
    let (ledger, started) = (office.ledger(), policies::starter::grocery().unwrap().digest().to_string());
    let (draft, log) = (office.path("draft"), text(&ledger));
    let differ =
        |after: &str| run_json(&["policy", "diff", &started, after, "--log", log, "--output", "json"]);
    let total = |said: &Value, what: &str| -> u64 {
        said["affected"].as_array().unwrap().iter().map(|of| of[what].as_u64().unwrap()).sum()
    };
    let said = differ(text(&draft));
    assert!(!said["differences"].as_array().unwrap().is_empty());
    let (members, otherwise) = (total(&said, "members"), total(&said, "decided_otherwise"));
    assert!(members >= otherwise && otherwise > 0, "{said}");
    let (gain, lose) = (total(&said, "gain"), total(&said, "lose"));
    assert!(gain == 0 && lose > 0 && lose <= otherwise, "{said}");
    let same = differ(&started);
    assert_eq!(same["differences"], Value::Array(Vec::new()));
    assert_eq!((total(&same, "members"), total(&same, "decided_otherwise")), (members, 0), "{same}");
    let shown = run(&["policy", "diff", &started, text(&draft), "--log", log]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let line = format!("{otherwise} of {members} members are decided otherwise");
    assert!(shown.contains(&line) && shown.contains("promised only by the old"), "{shown}");
    let listed = run(&["policy", "diff", &started, text(&draft), "--log", log, "--output", "csv"]);
    assert_eq!(listed.status.code(), Some(2), "{}", stderr(&listed));
}

#[test]
fn an_approval_does_not_outlive_its_approver() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let digest = office.draft();
    office.taken("anna", &["policy", "submit", text(&office.path("draft"))]);
    let impact = office.assess();
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    let people = office.ledger().join("people.toml");
    let listed = std::fs::read_to_string(&people).unwrap();
    std::fs::write(&people, listed.replace("\"approver\"", "\"auditor\"")).unwrap();
    let (carl, ledger) = (office.path("carl.key"), office.ledger());
    let added = ["people", "add", "carl", "--role", "approver", "--key", text(&carl), "--dir", text(&ledger)];
    assert!(run(&added).status.success());
    office.refused("carl", &["policy", "activate", &digest], "REG0041");
    office.taken("carl", &["policy", "approve", &digest, "--impact", &impact]);
    office.taken("carl", &["policy", "activate", &digest]);
    let changes = office.changes_of_people();
    assert!(changes[0].contains("berta came (approver)"), "{changes:?}");
    assert_eq!(changes[1..], ["berta: approver -> auditor; carl came (approver)"]);
    // What nobody has asked for anything under is said, too, before it can be put back.
    std::fs::write(&people, &listed).unwrap();
    let listed = run(&["people", "list", "--dir", text(&ledger)]);
    let said = stderr(&listed);
    assert!(said.contains("berta: auditor -> approver; carl went"), "{said}");
}

#[test]
fn a_report_about_no_event_is_not_approved_where_there_are_events() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (digest, ledger) = (office.draft(), office.ledger());
    office.taken("anna", &["policy", "submit", text(&office.path("draft"))]);
    office.taken("anna", &["policy", "shadow", &digest]);
    // Nothing has happened since then.
    let key = office.path("anna.key");
    let args = ["policy", "impact", &digest, "--log", text(&ledger), "--shadow", "--key", text(&key)];
    let report = run_json(&[&args[..], &["--output", "json"]].concat());
    assert_eq!(report["impact"]["events"], 0, "{report}");
    let impact = report["digest"].as_str().unwrap();
    office.refused("berta", &["policy", "approve", &digest, "--impact", impact], "REG0045");
    let impact = office.assess();
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
}

/// A ledger whose node has run and taken nothing.
fn ledger_without_events(office: &Office) -> std::path::PathBuf {
    let (events, ledger) = (office.path("none.csv"), office.path("new"));
    std::fs::write(&events, format!("{}\n", common::HEADER)).unwrap();
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}

#[test]
fn an_impact_without_recorded_events_says_so() {
    let office = Office::open();
    let (ledger, draft) = (ledger_without_events(&office), office.path("draft"));
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let args = ["policy", "impact", text(&draft), "--log", text(&ledger)];
    let said = run(&args);
    assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.starts_with("nothing to compare") && !said.contains("0 of 0"), "{said}");
    assert_eq!(said.trim_end().lines().count(), 3, "no empty table follows: {said}");
    let report = run_json(&[&args[..], &["--output", "json"]].concat());
    assert_eq!(report["nothing_recorded"], true);
    assert!(report["impact"]["nothing_recorded"].is_null(), "the report's own bytes stay what they were");
    let (draft, ledger) = (office.path("draft"), office.ledger());
    let some = run_json(&["policy", "impact", text(&draft), "--log", text(&ledger), "--output", "json"]);
    assert!(some["nothing_recorded"].is_null());
}

#[test]
fn an_impact_counts_what_each_guardrail_refused() {
    let office = Office::open();
    let rule = "[[rule]]\nid = \"never-vouchers\"\naction = \"deny\"\nreason = \"None.\"\n\
                when = [{ id = \"voucher\", expr = 'reward.kind == \"voucher\"' }]\n\n";
    let first = "[[rule]]\nid = \"unused-rewards-first\"";
    office.edit("guardrails.toml", first, &format!("{rule}{first}"));
    let (draft, ledger) = (office.path("draft"), office.ledger());
    let report = run_json(&["policy", "impact", text(&draft), "--log", text(&ledger), "--output", "json"]);
    let guardrails = report["impact"]["guardrails"].as_object().unwrap();
    let (id, hits) = guardrails.iter().find(|(id, _)| id.contains("never-vouchers")).unwrap();
    assert!(hits["from"] == 0 && hits["to"].as_i64().unwrap() > 0, "{id}: {hits}");
    assert!(guardrails.values().any(|hits| hits["from"].as_i64().unwrap() > 0), "those in force count, too");
    let table = run(&["policy", "impact", text(&draft), "--log", text(&ledger)]);
    assert!(String::from_utf8_lossy(&table.stdout).contains(id.as_str()));
}

#[test]
fn a_recorded_impact_is_one_json_document() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, key, ledger) = (office.path("draft"), office.path("anna.key"), office.ledger());
    let args =
        ["policy", "impact", text(&draft), "--log", text(&ledger), "--key", text(&key), "--output", "json"];
    let refused = run(&args);
    assert_eq!(refused.status.code(), Some(3), "the draft was not handed in: {}", stderr(&refused));
    let refused: serde_json::Value = serde_json::from_slice(&refused.stdout).unwrap();
    assert_eq!(refused["recorded"]["is"], "refused");
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let report = run_json(&args);
    assert_eq!(report["recorded"]["is"], "taken");
    assert!(report["recorded"]["row"].is_u64() && report["digest"].is_string(), "{report}");
}

#[test]
fn status_says_what_holds_now() {
    let office = Office::open();
    let ledger = office.ledger();
    let status = || run_json(&["policy", "status", "--dir", text(&ledger), "--output", "json"]);
    let before = status();
    assert_eq!((&before["chosen"], &before["canary"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(before["program"], "Northgate Market Rewards");
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let impact = office.assess();
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    office.taken("anna", &["policy", "shadow", &digest]);
    office.taken("berta", &["policy", "canary", &digest, "--share", "5"]);
    office.taken("otto", &["stop", "--reward", "points-50"]);
    let staged = status();
    assert_eq!(staged["in_force"], before["in_force"]);
    assert_eq!(staged["canary"]["bundle"], digest.as_str());
    assert_eq!(staged["canary"]["share_ppm"], 50_000);
    assert_eq!(staged["shadows"][0]["bundle"], digest.as_str());
    assert_eq!(staged["stopped"], serde_json::json!(["reward points-50"]));
    let history = run(&["policy", "history", "--dir", text(&ledger)]);
    let said = String::from_utf8_lossy(&history.stdout).into_owned();
    for line in
        ["in force   ", "canary     ", "5 % of the members", "shadow     ", "stopped    reward points-50"]
    {
        assert!(said.contains(line), "{line:?} is not in {said}");
    }
    assert!(office.history().len() > 4, "as JSON the history is the list it was");
    office.taken("berta", &["policy", "activate", &digest]);
    let after = status();
    assert_eq!((&after["in_force"], &after["chosen"]), (&digest.as_str().into(), &true.into()));
}

#[test]
fn why_a_guardrail_cannot_be_stopped_is_said() {
    let office = Office::open();
    let said = office.by("otto", &["stop", "--rule", "guardrails.quiet_hours"]);
    assert_eq!(said.status.code(), Some(3));
    assert!(
        stderr(&said).contains("is a guardrail") && stderr(&said).contains("REG0021"),
        "{}",
        stderr(&said)
    );
    let said = office.by("otto", &["stop", "--rule", "guardrails.quiet_hour"]);
    assert!(!stderr(&said).contains("is a guardrail:"), "{}", stderr(&said));
    // People know a condition by its last name; it may stand in several places.
    let said = office.by("otto", &["stop", "--rule", "knows-us"]);
    assert!(
        stderr(&said).contains("did you mean `catalog.voucher-3.eligible.knows-us` or `"),
        "{}",
        stderr(&said)
    );
}

#[test]
fn init_refuses_a_name_of_two_lines_and_says_what_stays_the_examples() {
    let dir = common::folder();
    let folder = dir.path().join("q");
    let start = ["policy", "init", text(&folder), "--from", "restaurant"];
    common::refused(&[&start[..], &["--name", "a\"b\nc"]].concat(), 2, "POL0019");
    assert!(!folder.exists());
    let made = run(&[&start[..], &["--name", "a\"b", "--currency", "GBP"]].concat());
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(made.status.success() && said.contains("still those of the example"), "{said}");
    let readme = std::fs::read_to_string(folder.join("README.md")).unwrap();
    assert!(readme.contains("largesse policy check .") && !readme.contains("policies/bundles"), "{readme}");
    let tested = common::largesse().args(["policy", "test", "."]).current_dir(&folder).output().unwrap();
    assert!(tested.status.success(), "{}", stderr(&tested));
}

#[test]
fn mutation_names_what_it_never_takes_out() {
    let dir = common::folder();
    let folder = dir.path().join("q");
    assert!(run(&["policy", "init", text(&folder), "--from", "grocery"]).status.success());
    let said = run(&["policy", "test", text(&folder), "--mutate"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("0 unnoticed\nnot taken out: "), "{said}");
    assert!(said.contains("guardrails.consent, guardrails.objection"), "{said}");
    let report = run_json(&["policy", "test", text(&folder), "--mutate", "--output", "json"]);
    let left = report["mutation"]["not_taken_out"].as_array().unwrap();
    assert!(left.iter().any(|left| left["rule"] == "program.stop" && left["why"].is_string()), "{report}");
}

#[test]
fn a_draft_in_another_currency_than_the_ledger_is_not_compared_with_its_events() {
    let office = Office::open();
    office.edit("program.toml", "currency = \"USD\"", "currency = \"EUR\"");
    let (draft, ledger) = (office.path("draft"), office.ledger());
    let started = policies::starter::grocery().unwrap().digest().to_string();
    for args in [
        &["policy", "impact", text(&draft), "--log", text(&ledger)][..],
        &["policy", "diff", &started, text(&draft), "--log", text(&ledger)],
    ] {
        common::refused(args, 3, "counts in EUR, the events of this ledger in USD");
    }
}

#[test]
fn what_counts_over_the_whole_ledger_stays_as_it_is() {
    for (from, to, says) in [
        ("currency = \"USD\"", "currency = \"EUR\"", "counts in EUR, this ledger in USD"),
        ("period_days = 91", "period_days = 7", "periods of 7 days, those of this ledger for 91"),
    ] {
        let office = Office::open();
        office.edit("program.toml", from, to);
        let draft = office.path("draft");
        office.refused("anna", &["policy", "submit", text(&draft)], "REG0011");
        // Nor does a start take it from the configured folder, where the registry chose nothing yet.
        serves_on(&office, says);
    }
}

#[test]
fn a_configured_folder_that_contradicts_itself_does_not_come_into_force_by_a_restart() {
    let office = Office::open();
    let text = std::fs::read_to_string(office.path("draft/catalog.toml")).unwrap();
    let exclusive = text.replace("kind = \"points\"", "kind = \"points\"\nexclusive = true");
    std::fs::write(office.path("draft/catalog.toml"), exclusive).unwrap();
    serves_on(&office, "POL0082");
}

/// A node whose configured folder is the draft starts, says what is wrong with it, and decides by what the last run did.
fn serves_on(office: &Office, says: &str) {
    let (draft, ledger) = (office.path("draft"), office.ledger());
    let runs = || query(&ledger, "SELECT group_concat(lower(hex(bundle))) FROM record WHERE kind = 2");
    let before = runs();
    let (config, said) = (office.path("largesse.toml"), office.path("said"));
    std::fs::write(&config, format!("[node]\ndir = {ledger:?}\npolicy = {draft:?}\n")).unwrap();
    let mut node = common::largesse()
        .args(["serve", "--config", text(&config)])
        .env("LARGESSE_LOG", "error")
        .stderr(std::fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    common::live::eventually("the run", || runs() != before);
    assert_eq!(common::terminate(&mut node), Some(0));
    let (first, after) = (before.split(',').next().unwrap(), runs());
    assert!(after.split(',').all(|bundle| bundle == first), "{after}");
    let said = std::fs::read_to_string(&said).unwrap();
    assert!(said.contains(says) && said.contains("is not taken"), "{said}");
}
