//! Cases about decisions, and who read what: with real nodes, real ledgers, and people with keys.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use common::office::Office;
use common::{NatsServer, folder, largesse, query, refused, run, run_json, stderr, terminate, text};
use serde_json::Value;

/// An office with an auditor and an approver, its ledger made by a node that promised something.
struct Audit {
    office: Office,
    server: NatsServer,
}

impl Audit {
    /// With the node that made the ledger still running.
    async fn begin() -> (Audit, Child) {
        let audit = Audit { office: Office { dir: folder() }, server: NatsServer::start() };
        let node = audit.serve();
        eventually("the ledger", || audit.ledger_is_there());
        audit.office.staff();
        for (name, roles) in [("ada", "auditor"), ("both", "auditor,approver")] {
            let key = audit.office.path(&format!("{name}.key"));
            let dir = audit.office.ledger();
            let args = ["people", "add", name, "--role", roles, "--key", text(&key), "--dir", text(&dir)];
            assert!(run(&args).status.success());
        }
        audit.publish(0..200).await;
        eventually("the decisions", || audit.number("SELECT count(*) FROM record WHERE kind = 11") >= 200);
        (audit, node)
    }

    fn ledger_is_there(&self) -> bool {
        let dir = self.office.ledger();
        dir.join("verifier.txt").exists() && self.number("SELECT count(*) FROM record WHERE kind = 2") > 0
    }

    fn serve(&self) -> Child {
        let config = self.office.path("largesse.toml");
        let document = format!("[node]\ndir = \"ledger\"\n[nats]\nurl = \"{}\"\n", self.server.url());
        std::fs::write(&config, document).unwrap();
        let mut serve = largesse();
        serve.args(["serve", "--config", text(&config)]).stdout(Stdio::null()).stderr(Stdio::inherit());
        serve.spawn().unwrap()
    }

    async fn publish(&self, numbers: std::ops::Range<u32>) {
        let context = jetstream::new(async_nats::connect(self.server.url()).await.unwrap());
        for number in numbers {
            let now = runtime::clock::wall();
            let event = format!(
                r#"{{"schema":1,"event_id":"till-{number}","member":"m{number}","type":"purchase","event_time":"{now}",
                "source":"till","touchpoint":"pos","data":{{"amount":"70.00"}}}}"#
            );
            context.publish("largesse.v1.event.till", event.into()).await.unwrap().await.unwrap();
        }
    }

    fn dir(&self) -> String {
        text(&self.office.ledger()).to_owned()
    }

    fn number(&self, sql: &str) -> i64 {
        query(&self.office.ledger(), sql).parse().unwrap()
    }

    /// Decisions that promised something, by id.
    fn promises(&self) -> Vec<String> {
        let rows = run_json(&[
            "log",
            "list",
            "--dir",
            &self.dir(),
            "--outcome",
            "granted",
            "--limit",
            "200",
            "--output",
            "json",
        ]);
        rows.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    /// What the budget of the program has given out.
    fn committed(&self) -> i64 {
        self.number("SELECT committed FROM budget WHERE id = 'global'")
    }

    /// Opens a case and returns its id.
    fn open(&self, about: &[&str]) -> String {
        let key = self.office.path("ada.key");
        let step =
            ["case", "open", "--title", "promises by mistake", "--output", "json", "--key", text(&key)];
        let dir = self.dir();
        let opened = run_json(&[&step[..], &["--dir", &dir, "--about"], about].concat());
        opened["case"].as_str().unwrap().to_owned()
    }

    fn show(&self, case: &str) -> Value {
        run_json(&["case", "show", case, "--dir", &self.dir(), "--output", "json"])
    }

    /// How far the reversal of a decision has come.
    fn state(&self, case: &str, decision: &str) -> String {
        let shown = self.show(case);
        let mut decisions = shown["decisions"].as_array().unwrap().iter();
        let found = decisions.find(|line| line["decision"] == decision).unwrap();
        found["reversal"]["state"].as_str().unwrap_or("none").to_owned()
    }

    /// The rows by which promises were taken back.
    fn taken_back(&self) -> i64 {
        self.number("SELECT count(*) FROM record WHERE event_id LIKE 'case-reversal-%'")
    }

    /// Replays and verifies: nothing of what happened is in doubt.
    fn holds(&self) {
        let replayed = run_json(&["replay", "--all", "--dir", &self.dir(), "--output", "json"]);
        assert_eq!(replayed["mismatches"], 0, "{replayed}");
        let verified = run_json(&["log", "verify", "--dir", &self.dir(), "--output", "json"]);
        assert_eq!(verified["verified"], true, "{verified}");
    }
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_that_two_people_reverse_is_taken_back_by_the_running_node() {
    let (audit, mut node) = Audit::begin().await;
    let office = &audit.office;
    let promises = audit.promises();
    let [first, second, ..] = promises.as_slice() else { panic!("too little was promised: {promises:?}") };
    let cost = run_json(&["log", "show", first, "--dir", &audit.dir()])["debits"].clone();
    let debits = cost.as_array().unwrap();
    let global = debits.iter().find(|debit| debit["budget"] == "global").unwrap();
    let cost = global["committed"].as_i64().unwrap();
    let (before, exposure) =
        (audit.committed(), "SELECT reserved + committed FROM budget WHERE id = 'exposure'");
    let exposed = audit.number(exposure);
    let case = audit.open(&[first]);
    office.refused("otto", &["case", "note", &case, "--text", "me too"], "REG0008");
    office.taken("ada", &["case", "note", &case[..4], "--text", "seen by the till's log"]);
    office.refused("ada", &["case", "reverse", &case, second, "--why", "?"], "CAS0007");
    office.taken("ada", &["case", "attach", &case, "--decision", second]);
    let file = office.path("till.log");
    std::fs::write(&file, "a line of the till").unwrap();
    office.taken("ada", &["case", "attach", &case, "--file", text(&file)]);
    office.refused("berta", &["case", "confirm", &case, first], "CAS0010");
    office.taken("both", &["case", "reverse", &case, first, "--why", "the till repeated a basket"]);
    office.refused("both", &["case", "confirm", &case, first], "CAS0012");
    office.refused("ada", &["case", "confirm", &case, first], "REG0008");
    office.refused("ada", &["case", "close", &case, "--reason", "no_fault"], "CAS0013");
    assert_eq!((audit.state(&case, first), audit.taken_back()), ("waits".to_owned(), 0));
    office.taken("berta", &["case", "confirm", &case, first]);
    eventually("the reversal", || audit.state(&case, first) == "taken_back");
    office.refused("berta", &["case", "confirm", &case, first], "CAS0011");
    office.refused("ada", &["case", "reverse", &case, first, "--why", "again"], "CAS0009");
    assert_eq!(audit.committed(), before - cost, "the budget did not get its money back");
    assert_eq!(audit.number(exposure), exposed - cost, "the promise still counts as open");
    office.taken("ada", &["case", "close", &case, "--reason", "reversed"]);
    office.refused("ada", &["case", "note", &case, "--text", "late"], "CAS0002");
    let checked = |path: &std::path::Path| {
        run(&["case", "show", &case, "--dir", &audit.dir(), "--check", text(path)]).status.code()
    };
    assert_eq!(checked(&file), Some(0));
    std::fs::write(&file, "another line of the till").unwrap();
    assert_eq!(checked(&file), Some(3));
    assert_eq!(terminate(&mut node), Some(0));
    // The node goes on from there, and takes nothing back twice.
    let mut node = audit.serve();
    audit.publish(200..260).await;
    eventually("more decisions", || audit.number("SELECT count(*) FROM record WHERE kind = 11") >= 260);
    assert_eq!(terminate(&mut node), Some(0));
    assert_eq!(audit.taken_back(), 1);
    audit.holds();
    let why = ["--purpose", "the appeal", "--dir", &audit.dir()].map(str::to_owned);
    let why: Vec<&str> = why.iter().map(String::as_str).collect();
    let said = run(&[&["log", "explain", first], &why[..]].concat());
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("asked by both, confirmed by berta; taken back in row"), "{said}");
    let listed = run_json(&["log", "list", "--kind", "case", "--dir", &audit.dir(), "--output", "json"]);
    assert_eq!(listed.as_array().unwrap().len(), 7, "{listed}");
    let row = listed[0]["seq"].to_string();
    assert!(run(&["log", "prove", &row, "--dir", &audit.dir()]).status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_confirmed_while_no_node_runs_is_taken_back_once_by_the_next() {
    let (audit, mut node) = Audit::begin().await;
    assert_eq!(terminate(&mut node), Some(0));
    let (office, promises) = (&audit.office, audit.promises());
    let [first, second, third, ..] = promises.as_slice() else { panic!("{promises:?}") };
    let before = audit.committed();
    let case = audit.open(&[first, second, third]);
    for decision in [first, second, third] {
        office.taken("ada", &["case", "reverse", &case, decision, "--why", "a promise by mistake"]);
    }
    office.taken("berta", &["case", "confirm", &case, first]);
    office.taken("both", &["case", "confirm", &case, second]);
    // An approver declines by withdrawing.
    office.taken("berta", &["case", "withdraw", &case, third, "--why", "it was right"]);
    assert_eq!((audit.state(&case, first), audit.committed()), ("confirmed".to_owned(), before));
    let mut node = audit.serve();
    eventually("both reversals", || audit.taken_back() == 2);
    assert_eq!(audit.state(&case, first), "taken_back");
    assert_eq!(audit.state(&case, third), "none");
    let freed = before - audit.committed();
    assert!(freed > 0, "nothing came back");
    assert_eq!(terminate(&mut node), Some(0));
    let mut node = audit.serve();
    audit.publish(300..320).await;
    eventually("more decisions", || audit.number("SELECT count(*) FROM record WHERE kind = 11") >= 220);
    assert_eq!(terminate(&mut node), Some(0));
    assert_eq!(audit.taken_back(), 2, "a reversal was taken twice");
    office.refused("ada", &["case", "reverse", &case, first, "--why", "again"], "CAS0009");
    office.taken("ada", &["case", "close", &case, "--reason", "reversed"]);
    audit.holds();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_on_a_clock_of_events_takes_promises_back_after_its_first_event() {
    let audit = Audit { office: Office::open(), server: NatsServer::start() };
    let office = &audit.office;
    let key = office.path("ada.key");
    let dir = audit.dir();
    let args = ["people", "add", "ada", "--role", "auditor", "--key", text(&key), "--dir", &dir];
    assert!(run(&args).status.success());
    let promise = &audit.promises()[0];
    let case = audit.open(&[promise]);
    office.taken("ada", &["case", "reverse", &case, promise, "--why", "a promise by mistake"]);
    office.taken("berta", &["case", "confirm", &case, promise]);
    let config = office.path("largesse.toml");
    let url = audit.server.url();
    let document = format!("[node]\ndir = \"ledger\"\nclock = \"events\"\n[nats]\nurl = \"{url}\"\n");
    std::fs::write(&config, document).unwrap();
    let mut serve = largesse();
    serve.args(["serve", "--config", text(&config)]).stdout(Stdio::null()).stderr(Stdio::inherit());
    let mut node = serve.spawn().unwrap();
    eventually("the start", || audit.number("SELECT count(*) FROM record WHERE kind = 2") == 2);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(audit.taken_back(), 0, "something happened before anybody knew what time it is");
    let event = r#"{"schema":1,"event_id":"one-more","member":"x1","type":"visit","event_time":"2019-05-01T10:00:00Z",
        "source":"till","touchpoint":"pos"}"#;
    let context = jetstream::new(async_nats::connect(&url).await.unwrap());
    context.publish("largesse.v1.event.till", event.into()).await.unwrap().await.unwrap();
    eventually("the reversal", || audit.taken_back() == 1);
    assert_eq!(terminate(&mut node), Some(0));
    assert_eq!(audit.state(&case, promise), "taken_back");
    let latest = audit.number("SELECT max(event_time) FROM record WHERE event_id LIKE 'case-reversal-%'");
    assert!(latest < 1_600_000_000_000_000, "people's clock moved the members'");
    audit.holds();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_open_promises_are_reversed_and_cases_travel_over_nats() {
    let (audit, mut node) = Audit::begin().await;
    let (office, promises) = (&audit.office, audit.promises());
    let (promise, none) = (
        &promises[0],
        query(
            &audit.office.ledger(),
            "SELECT lower(hex(record_id)) FROM record WHERE kind = 11 AND outcome NOT IN (0, 5) LIMIT 1",
        ),
    );
    let none = format!("{}-{}-{}-{}-{}", &none[..8], &none[8..12], &none[12..16], &none[16..20], &none[20..]);
    let (url, key) = (audit.server.url(), office.path("ada.key"));
    let over = |args: &[&str]| run(&[args, &["--nats", &url, "--key", text(&key)]].concat());
    let opened =
        over(&["case", "open", "--title", "from afar", "--about", promise, &none, "--output", "json"]);
    assert!(opened.status.success(), "{}", stderr(&opened));
    let opened: Value = serde_json::from_slice(&opened.stdout).unwrap();
    let case = opened["case"].as_str().unwrap();
    office.refused("ada", &["case", "reverse", case, &none, "--why", "?"], "CAS0008");
    let stranger = "01990000-0000-7000-8000-000000000000";
    let unknown = over(&["case", "attach", case, "--decision", stranger]);
    assert!(stderr(&unknown).contains("CAS0004"), "{}", stderr(&unknown));
    // The member redeems the promise before anybody looks.
    let row = run_json(&["log", "show", promise, "--dir", &audit.dir()]);
    let member = row["event_id"].as_str().unwrap().replace("till-", "m");
    let context = jetstream::new(async_nats::connect(&url).await.unwrap());
    let now = runtime::clock::wall();
    let end = |id: &str, kind: &str| {
        format!(
            r#"{{"schema":1,"event_id":"{id}","member":"{member}","type":"{kind}","event_time":"{now}","source":"till",
            "touchpoint":"pos","data":{{"decision":"{promise}"}}}}"#
        )
    };
    // Nobody takes the place of the node's own event.
    let forged = end("case-reversal-00000000000000000000000000000000", "cancelled");
    for event in [forged, end("redeemed-1", "redeemed")] {
        context.publish("largesse.v1.event.till", event.into()).await.unwrap().await.unwrap();
    }
    eventually("the redemption", || {
        audit.number("SELECT count(*) FROM record WHERE event_id = 'redeemed-1'") == 1
    });
    assert_eq!((audit.taken_back(), audit.number("SELECT count(*) FROM record WHERE kind = 12")), (0, 1));
    office.refused("ada", &["case", "reverse", case, promise, "--why", "too late"], "it was redeemed");
    let wrong = run(&["case", "show", "zzzz", "--dir", &audit.dir()]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(terminate(&mut node), Some(0));
    audit.holds();
}

#[tokio::test]
async fn forged_replayed_old_and_foreign_steps_of_cases_are_refused() {
    use ledger::cases::{Signed, Statement, Step};
    use ledger::person::PersonKey;
    use runtime::requests::{Answer, ask};

    let office = Office::open();
    let dir = office.ledger();
    let path = office.path("ada.key");
    let args = ["people", "add", "ada", "--role", "auditor", "--key", text(&path), "--dir", text(&dir)];
    assert!(run(&args).status.success());
    let (key, other) = (PersonKey::load(&path).unwrap(), PersonKey::load(&office.path("berta.key")).unwrap());
    let decision = query(&dir, "SELECT lower(hex(record_id)) FROM record WHERE kind = 11 LIMIT 1");
    let decision: domain::DecisionId = serde_json::from_value(decision.into()).unwrap();
    let statement = |id: &str| Statement {
        v: 1,
        ledger: ledger::identity_of(&dir).unwrap().unwrap(),
        id: id.to_owned(),
        at: runtime::clock::wall(),
        by: "ada".to_owned(),
        step: Step::Open { title: "a case".to_owned(), about: vec![decision] },
    };
    let signed = |statement: Statement, key: &PersonKey| Signed {
        signature: key.sign(&statement.bytes()),
        statement,
        key: key.public(),
    };
    let put = async |signed: Signed| match ask(&dir, &signed.into()).await.unwrap() {
        Answer::Taken { .. } => "taken".to_owned(),
        Answer::Refused { code, .. } => code,
    };
    let mut changed = signed(statement("1"), &key);
    changed.statement.step = Step::Open { title: "another".to_owned(), about: vec![decision] };
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

#[test]
fn from_a_person_to_their_decisions_leads_a_recorded_question() {
    let office = Office::open();
    let dir = office.ledger();
    let at = text(&dir);
    // The members of the demo are households.
    let found =
        run_json(&["member", "find", "x1", "--dir", at, "--purpose", "a complaint", "--output", "json"]);
    let member = found["member"].as_str().unwrap();
    let listed = run_json(&[
        "log", "list", "--dir", at, "--member", member, "--kind", "decision", "--limit", "900", "--output",
        "json",
    ]);
    let about = query(
        &dir,
        &format!("SELECT count(*) FROM record WHERE kind = 11 AND lower(hex(member)) = '{member}'"),
    );
    assert_ne!(about, "0");
    assert_eq!(listed.as_array().unwrap().len().to_string(), about);
    let readings = run_json(&["log", "readings", "--dir", at, "--output", "json"]);
    assert_eq!((&readings[0]["command"], &readings[0]["member"]), (&"member find".into(), &member.into()));
    refused(
        &["member", "find", "nobody", "--dir", at, "--purpose", "a complaint"],
        2,
        "never enrolled, or erased",
    );
    assert_eq!(run_json(&["log", "readings", "--dir", at, "--output", "json"]).as_array().unwrap().len(), 1);
}

#[test]
fn nothing_personal_is_shown_before_it_is_recorded_who_asked_and_why() {
    let office = Office::open();
    let dir = office.ledger();
    let at = text(&dir);
    let decision = query(&dir, "SELECT min(seq) FROM record WHERE kind = 11 AND outcome = 0");
    let readings = || run_json(&["log", "readings", "--dir", at, "--output", "json"]);
    // Without a purpose: the public part, or nothing.
    let shown = run_json(&["log", "show", &decision, "--dir", at]);
    assert_eq!(shown["personal"], "sealed");
    refused(&["log", "explain", &decision, "--dir", at], 2, "--purpose");
    refused(&["log", "explain", &decision, "--dir", at, "--purpose", " "], 2, "says nothing");
    assert_eq!(readings().as_array().unwrap().len(), 0);
    let shown = run_json(&["log", "show", &decision, "--dir", at, "--purpose", "an appeal"]);
    assert!(shown["personal"].is_object(), "{shown}");
    let key = office.path("otto.key");
    let explained =
        run(&["log", "explain", &decision, "--dir", at, "--purpose", "an audit", "--key", text(&key)]);
    assert!(explained.status.success(), "{}", stderr(&explained));
    let member = shown["member"].as_str().unwrap();
    let exported =
        run(&["member", "export", member, "--pseudonym", "--dir", at, "--purpose", "an access request"]);
    assert!(exported.status.success(), "{}", stderr(&exported));
    let found = readings();
    let line = |at: usize, field: &str| found[at][field].clone();
    assert_eq!((line(2, "command"), line(2, "purpose")), ("log show".into(), "an appeal".into()));
    assert_eq!((line(2, "signed"), line(2, "row").to_string()), (false.into(), decision.clone()));
    assert_eq!((line(1, "by"), line(1, "signed")), ("otto".into(), true.into()));
    assert_eq!((line(0, "command"), line(0, "row")), ("member export".into(), Value::Null));
    assert!((0..3).all(|at| line(at, "member") == member), "{found}");
    // A row without a personal part shows none, so nobody has to say why.
    let rows = readings().as_array().unwrap().len();
    run_json(&["log", "show", "1", "--dir", at, "--purpose", "nothing there"]);
    assert_eq!(readings().as_array().unwrap().len(), rows);
    // Somebody who is not in people.toml is not heard, and shown nothing.
    let strange = office.path("strange.key");
    ledger::person::PersonKey::create("nobody", &strange).unwrap();
    let args = ["log", "explain", &decision, "--dir", at, "--purpose", "x", "--key", text(&strange)];
    refused(&args, 3, "REG0003");
    refused(&["log", "explain", &decision, "--dir", at, "--purpose", "x", "--case", "abcd"], 2, "no case");
    let verified = run_json(&["log", "verify", "--dir", at, "--output", "json"]);
    assert_eq!(verified["verified"], true);
}

#[test]
fn where_it_cannot_be_recorded_nothing_personal_is_shown() {
    let office = Office::open();
    let dir = office.ledger();
    let decision = query(&dir, "SELECT min(seq) FROM record WHERE kind = 11 AND outcome = 0");
    // A file where requests would lie: the folder cannot take one, for root neither.
    std::fs::write(dir.join("inbox"), "").unwrap();
    let explain = ["log", "explain", &decision, "--dir", text(&dir), "--purpose", "an appeal"];
    refused(&explain, 4, "a copy that cannot be written shows none");
    let show = ["log", "show", &decision, "--dir", text(&dir), "--purpose", "an appeal"];
    refused(&show, 4, "a copy that cannot be written shows none");
    let public = run_json(&["log", "show", &decision, "--dir", text(&dir)]);
    assert_eq!(public["personal"], "sealed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_node_records_who_reads() {
    let (audit, mut node) = Audit::begin().await;
    let (promise, dir) = (&audit.promises()[0], audit.dir());
    let case = audit.open(&[promise]);
    let key = audit.office.path("ada.key");
    let args = ["log", "explain", promise, "--dir", &dir, "--purpose", "a case", "--case", &case[..5]];
    let explained = run(&[&args[..], &["--key", text(&key)]].concat());
    assert!(explained.status.success(), "{}", stderr(&explained));
    let found = run_json(&["log", "readings", "--dir", &dir, "--case", &case, "--output", "json"]);
    assert_eq!((&found[0]["by"], &found[0]["case"]), (&"ada".into(), &case.as_str().into()), "{found}");
    audit.office.taken("ada", &["case", "close", &case, "--reason", "out_of_scope"]);
    refused(&args, 3, "CAS0002");
    assert_eq!(terminate(&mut node), Some(0));
    audit.holds();
}
