//! A policy's life as a loyalty team lives it: written, tested, assessed, approved by somebody else, in force, rolled back.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use common::{NatsServer, folder, largesse, purchases, query, run, run_json, stderr, terminate, text};
use serde_json::Value;

/// A ledger of a small demo, three people, and a copy of the starter bundle.
struct Office {
    dir: tempfile::TempDir,
}

impl Office {
    fn open() -> Office {
        let office = Office { dir: folder() };
        let events = office.path("events.csv");
        purchases(&events, 60);
        run_json(&["demo", "--events", text(&events), "--dir", text(&office.ledger()), "--output", "json"]);
        office.staff();
        office
    }

    fn staff(&self) {
        for (name, role) in [("anna", "author"), ("berta", "approver"), ("otto", "operator")] {
            let key = self.path(&format!("{name}.key"));
            let added = run(&[
                "people",
                "add",
                name,
                "--role",
                role,
                "--key",
                text(&key),
                "--dir",
                text(&self.ledger()),
            ]);
            assert!(added.status.success(), "{}", stderr(&added));
        }
        copy(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/bundles/grocery")),
            &self.path("draft"),
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn ledger(&self) -> PathBuf {
        self.path("ledger")
    }

    /// Changes a file of the draft.
    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path("draft").join(file);
        let written = std::fs::read_to_string(&path).unwrap();
        assert!(written.contains(from), "{from:?} is not in {file}");
        std::fs::write(path, written.replace(from, to)).unwrap();
    }

    /// Takes a step as somebody.
    fn by(&self, who: &str, args: &[&str]) -> Output {
        let key = self.path(&format!("{who}.key"));
        run(&[args, &["--dir", text(&self.ledger()), "--key", text(&key)]].concat())
    }

    fn taken(&self, who: &str, args: &[&str]) {
        let output = self.by(who, args);
        assert!(output.status.success(), "{who} {args:?}: {}", stderr(&output));
    }

    fn refused(&self, who: &str, args: &[&str], code: &str) {
        let output = self.by(who, args);
        assert_eq!(output.status.code(), Some(3), "{who} {args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(code), "{who} {args:?}: {}", stderr(&output));
    }

    /// The digest of the draft.
    fn draft(&self) -> String {
        let draft = self.path("draft");
        let checked = run_json(&["policy", "check", text(&draft), "--output", "json"]);
        checked["digest"].as_str().unwrap().to_owned()
    }

    /// Records an impact report and returns its digest.
    fn assess(&self) -> String {
        let (draft, key, ledger) = (self.path("draft"), self.path("anna.key"), self.ledger());
        let args = ["policy", "impact", text(&draft), "--log", text(&ledger)];
        let report = run_json(&[&args[..], &["--output", "json"]].concat());
        let recorded = run(&[&args[..], &["--key", text(&key)]].concat());
        assert!(recorded.status.success(), "{}", stderr(&recorded));
        report["digest"].as_str().unwrap().to_owned()
    }

    fn history(&self) -> Vec<Value> {
        let history = run_json(&["policy", "history", "--dir", text(&self.ledger()), "--output", "json"]);
        history.as_array().unwrap().clone()
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

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
        bundle: None,
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

fn serve(office: &Office, server: &NatsServer) -> Child {
    let config = office.path("largesse.toml");
    let document = format!("[node]\ndir = \"ledger\"\n[nats]\nurl = \"{}\"\n", server.url());
    std::fs::write(&config, document).unwrap();
    largesse()
        .args(["serve", "--config", text(&config)])
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A purchase now, of one of many members.
fn purchase(number: u32) -> String {
    let now = runtime::clock::wall();
    format!(
        r#"{{"schema":1,"event_id":"live-{number:06}","member":"live-{}","type":"purchase","event_time":"{now}",
        "source":"till","touchpoint":"pos","data":{{"amount":"70.00"}}}}"#,
        number % 2_000,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_every_decision_names_one_bundle_and_a_kill_switch_survives_a_restart() {
    let server = NatsServer::start();
    let office = Office { dir: folder() };
    let mut node = serve(&office, &server);
    eventually("the ledger", || office.ledger().join("verifier.txt").exists() && runs(&office) > 0);
    office.staff();
    office.edit("program.toml", "limit = \"4500.00\"", "limit = \"3000.00\"");
    let (draft, digest) = (office.path("draft"), office.draft());
    office.taken("anna", &["policy", "submit", text(&draft)]);
    let impact = office.assess();
    office.taken("berta", &["policy", "approve", &digest, "--impact", &impact]);
    let producer = tokio::spawn(publish(server.url(), 0..8_000));
    eventually("some rows", || rows(&office) > 1_000);
    office.taken("berta", &["policy", "activate", &digest]);
    eventually("the new policy", || runs(&office) > 1);
    publish(server.url(), 9_000..9_300).await;
    let under = format!("SELECT count(*) FROM record WHERE kind = 11 AND lower(hex(bundle)) = '{digest}'");
    eventually("decisions under it", || number(&office, &under) >= 300);
    office.taken("otto", &["policy", "rollback"]);
    eventually("the old policy", || runs(&office) > 2);
    office.taken("otto", &["stop", "--program"]);
    eventually("the stop", || runs(&office) > 3);
    producer.await.unwrap();
    eventually("every event", || rows(&office) >= 8_300);
    let before = granted(&office);
    publish(server.url(), 8_000..8_500).await;
    eventually("the stopped events", || rows(&office) >= 8_800);
    assert_eq!(terminate(&mut node), Some(0));
    let mut node = serve(&office, &server);
    publish(server.url(), 8_500..9_000).await;
    eventually("the events after the restart", || rows(&office) >= 9_300);
    assert_eq!(terminate(&mut node), Some(0));
    assert_eq!(granted(&office), before, "something was promised while the program was stopped");
    let events = query(
        &office.ledger(),
        "SELECT count(DISTINCT event_id), count(*) FROM record WHERE event_id LIKE 'live-%'",
    );
    assert_eq!(events, "9300|9300", "each event has exactly one row");
    let bundles: BTreeSet<String> =
        query(&office.ledger(), "SELECT DISTINCT lower(hex(bundle)) FROM record WHERE kind = 11")
            .lines()
            .map(str::to_owned)
            .collect();
    assert!(bundles.contains(&digest) && bundles.len() == 2, "{bundles:?}");
    let replay = run_json(&["replay", "--dir", text(&office.ledger()), "--all", "--output", "json"]);
    assert_eq!(replay["mismatches"], 0, "{replay}");
    assert_eq!(
        run_json(&["log", "verify", "--dir", text(&office.ledger()), "--output", "json"])["verified"],
        true
    );
}

async fn publish(url: String, numbers: std::ops::Range<u32>) {
    let context = jetstream::new(async_nats::connect(url).await.unwrap());
    for number in numbers {
        context.publish("largesse.v1.event.till", purchase(number).into()).await.unwrap().await.unwrap();
    }
}

fn number(office: &Office, sql: &str) -> u64 {
    if !office.ledger().join("ledger.db").exists() {
        return 0;
    }
    query(&office.ledger(), sql).parse().unwrap_or(0)
}

fn rows(office: &Office) -> u64 {
    number(office, "SELECT count(*) FROM record WHERE event_id LIKE 'live-%'")
}

fn runs(office: &Office) -> u64 {
    number(office, "SELECT count(*) FROM record WHERE kind = 2")
}

fn granted(office: &Office) -> u64 {
    number(office, "SELECT count(*) FROM record WHERE kind = 11 AND outcome = 0")
}
