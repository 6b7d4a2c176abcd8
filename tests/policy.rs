//! A policy's life as a loyalty team lives it: written, tested, assessed, approved by somebody else, in force, rolled back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use common::office::Office;
use common::{run, run_json, text};
use serde_json::Value;

#[test]
fn a_policy_goes_into_force_only_by_the_whole_way_and_comes_back_by_one_step() {
    let office = Office::open();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    let draft = text(&draft);
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
    office.taken("otto", &["policy", "rollback"]);
    office.taken("otto", &["stop", "--reward", "voucher-5", "--note", "printer broken"]);
    office.refused("otto", &["resume", "--reward", "voucher-5"], "REG0008");
    office.refused("otto", &["stop", "--reward", "voucher-55"], "REG0021");
    office.taken("berta", &["resume", "--reward", "voucher-5"]);
    let steps: Vec<String> =
        office.history().iter().map(|step| step["what"].as_str().unwrap().to_owned()).collect();
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
    use ledger::person::PersonKey;
    use policies::registry::{Signed, Statement, Step, Target};
    use runtime::registry::{Answer, Request, ask};

    let office = Office::open();
    let ledger = office.ledger();
    let key = PersonKey::load(&office.path("otto.key")).unwrap();
    let other = PersonKey::load(&office.path("anna.key")).unwrap();
    let statement = |id: &str| Statement {
        v: 1,
        ledger: ledger::identity_of(&ledger).unwrap().unwrap(),
        id: id.to_owned(),
        at: runtime::clock::wall(),
        by: "otto".to_owned(),
        step: Step::Stop { target: Target::Program, note: String::new() },
    };
    let signed = |statement: Statement, key: &PersonKey| Request {
        signed: Signed { signature: key.sign(&statement.bytes()), statement, key: key.public() },
        attachment: None,
    };
    let put = async |request: Request| match ask(&ledger, &request).await.unwrap() {
        Answer::Taken { .. } => "taken".to_owned(),
        Answer::Refused { code, .. } => code,
    };
    let mut changed = signed(statement("1"), &key);
    changed.signed.statement.step =
        Step::Stop { target: Target::Segment("lapsing".to_owned()), note: String::new() };
    assert_eq!(put(changed).await, "REG0005");
    assert_eq!(put(signed(statement("2"), &other)).await, "REG0004");
    let mut old = statement("3");
    old.at = old.at.plus(-2 * domain::time::HOUR);
    assert_eq!(put(signed(old, &key)).await, "REG0007");
    let foreign = Statement { ledger: "largesse/other+00000000".to_owned(), ..statement("4") };
    assert_eq!(put(signed(foreign, &key)).await, "REG0002");
    let stranger = Statement { by: "nobody".to_owned(), ..statement("5") };
    assert_eq!(put(signed(stranger, &key)).await, "REG0003");
    let good = signed(statement("6"), &key);
    assert_eq!(put(good.clone()).await, "taken");
    assert_eq!(put(good).await, "REG0006");
}
