//! Other tools read what was decided: exports with their manifest, DuckDB on Parquet, Datasette on the ledger itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{folder, on_small_disk, purchases, query, refused, run, run_json, stderr, text};
use serde_json::{Value, json};

/// A small finished demo.
fn demo(dir: &Path) -> PathBuf {
    let (events, ledger) = (dir.join("events.csv"), dir.join("ledger"));
    purchases(&events, 40);
    run_json(&["demo", "--events", text(&events), "--dir", text(&ledger), "--output", "json"]);
    ledger
}

fn export(ledger: &Path, form: &str, out: &Path, asked: &[&str]) -> Value {
    let args = ["log", "export", "--dir", text(ledger), "--format", form, "--out", text(out)];
    run_json(&[&args[..], &["--purpose", "a report", "--output", "json"], asked].concat())
}

/// Python with the modules that tests/run fetches.
fn python(script: &str, args: &[&str]) -> Value {
    let mut command = Command::new("python3");
    if let Some(modules) = std::env::var_os("LARGESSE_TEST_PYTHONPATH") {
        command.env("PYTHONPATH", modules);
    }
    let output = command.args(["-c", script]).args(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Rows by outcome, as `log facets` counts them.
fn by_outcome(ledger: &Path) -> BTreeMap<String, u64> {
    let args =
        ["log", "facets", "--dir", text(ledger), "--by", "outcome", "--kind", "decision", "--output", "json"];
    let counted = run_json(&args);
    let facets = counted["facets"].as_array().unwrap();
    facets
        .iter()
        .map(|line| (line["value"].as_str().unwrap().to_owned(), line["rows"].as_u64().unwrap()))
        .collect()
}

fn files(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_export_is_recorded_and_is_what_its_manifest_says() {
    let dir = folder();
    let ledger = demo(dir.path());
    let decisions: u64 = query(&ledger, "SELECT count(*) FROM v_decisions").parse().unwrap();
    let candidates: u64 = query(&ledger, "SELECT count(*) FROM v_candidates").parse().unwrap();
    assert!(decisions > 100 && candidates > decisions);
    for form in ["jsonl", "csv", "parquet"] {
        let out = dir.path().join(form);
        let exported = export(&ledger, form, &out, &[]);
        let rows: Vec<u64> =
            exported["files"].as_array().unwrap().iter().map(|file| file["rows"].as_u64().unwrap()).collect();
        assert_eq!(rows[..2], [decisions, candidates], "{form}");
        let manifest = std::fs::read(out.join("manifest.json")).unwrap();
        let digest = domain::Digest::of(&manifest).to_string();
        assert_eq!(exported["manifest_sha256"], digest);
        let row = run_json(&["log", "show", "--dir", text(&ledger), &exported["row"].to_string()]);
        assert_eq!(row["kind"], "export");
        assert!(row.to_string().contains(&digest) && row.to_string().contains("a report"), "{row}");
        let key = ledger.join("verifier.txt");
        let checked = run_json(&["log", "check-export", text(&out), "--key", text(&key), "--output", "json"]);
        assert_eq!((&checked["same"], &checked["head_checked"]), (&json!(true), &json!(true)));
        assert_eq!(files(&out).len(), 6, "four views, a manifest and its proof, nothing half");
    }
    assert_eq!(run_json(&["log", "verify", "--dir", text(&ledger), "--output", "json"])["verified"], true);
}

#[test]
fn a_filter_leaves_what_a_list_leaves() {
    let dir = folder();
    let ledger = demo(dir.path());
    let asked = ["--outcome", "granted", "--until", "2019-03-01"];
    let out = dir.path().join("granted");
    export(&ledger, "jsonl", &out, &asked);
    let list =
        ["log", "list", "--dir", text(&ledger), "--limit", "100000", "--oldest-first", "--output", "json"];
    let listed = run_json(&[&list[..], &asked].concat());
    let listed: Vec<u64> =
        listed.as_array().unwrap().iter().map(|row| row["seq"].as_u64().unwrap()).collect();
    let lines = std::fs::read_to_string(out.join("decisions.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let exported: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert!(!listed.is_empty());
    assert_eq!(exported, listed);
    assert!(
        lines.iter().all(|line| line["event_time"].as_str().unwrap() < "2019-03-01"),
        "events, not recording"
    );
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["filter"], json!({ "outcome": "granted", "until": "2019-03-01T00:00:00Z" }));
    assert_eq!(manifest["rows"], json!({ "first": listed[0], "last": listed.last().unwrap() }));
}

#[test]
fn what_was_changed_in_an_export_is_named() {
    let dir = folder();
    let ledger = demo(dir.path());
    let out = dir.path().join("out");
    export(&ledger, "csv", &out, &[]);
    let path = out.join("decisions.csv");
    let written = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, written.replacen("granted", "denied!", 1)).unwrap();
    let found = |says: &str| {
        let output = run(&["log", "check-export", text(&out)]);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output));
        assert!(said.contains(says), "{said}");
    };
    found("decisions.csv: ");
    std::fs::write(&path, written).unwrap();
    let manifest = out.join("manifest.json");
    let text_then = std::fs::read_to_string(&manifest).unwrap();
    let mut other: Value = serde_json::from_str(&text_then).unwrap();
    other["tree"]["size"] = json!(7);
    std::fs::write(&manifest, other.to_string()).unwrap();
    found("not the manifest's tree");
    other = serde_json::from_str(&text_then).unwrap();
    other["files"][0]["name"] = json!("../ledger/ledger.db");
    std::fs::write(&manifest, other.to_string()).unwrap();
    found("no plain file name");
    std::fs::write(&manifest, &text_then).unwrap();
    // Files and manifest changed together, as whoever changes one would.
    let key = ledger.join("verifier.txt");
    let proven = || run(&["log", "check-export", text(&out), "--key", text(&key)]);
    assert_eq!(proven().status.code(), Some(0), "{}", stderr(&proven()));
    other = serde_json::from_str(&text_then).unwrap();
    other["filter"] = json!({ "segment": "loyal" });
    std::fs::write(&manifest, other.to_string()).unwrap();
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(proven().status.code(), Some(3));
    assert!(said(&proven()).contains("the log recorded another manifest"), "{}", said(&proven()));
    std::fs::write(&manifest, &text_then).unwrap();
    std::fs::remove_file(out.join("manifest.tlog-proof")).unwrap();
    assert_eq!(proven().status.code(), Some(3), "{}", said(&proven()));
    std::fs::remove_file(&manifest).unwrap();
    found("no whole export");
}

#[test]
fn an_export_goes_into_no_used_folder_and_not_beside_a_writer() {
    let dir = folder();
    let ledger = demo(dir.path());
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("somebody's"), "file").unwrap();
    let to = |out: &Path, purpose: &'static str| {
        ["log", "export", "--dir", text(&ledger), "--format", "csv", "--out", text(out), "--purpose", purpose]
            .map(str::to_owned)
    };
    let refused =
        |args: [String; 10], code, says: &str| refused(&args.each_ref().map(String::as_str), code, says);
    refused(to(&out, "a report"), 2, "is not empty");
    refused(to(&ledger, "a report"), 2, "already holds a ledger");
    let new = dir.path().join("new");
    refused(to(&new, " "), 2, "--purpose says nothing");
    let held = std::fs::File::options().write(true).open(ledger.join("lock")).unwrap();
    held.try_lock().unwrap();
    refused(to(&new, "a report"), 4, "stop it with SIGTERM");
    assert!(!new.exists());
}

#[test]
fn a_full_disk_leaves_nothing_that_looks_like_an_export() {
    let dir = folder();
    let ledger = demo(dir.path());
    let small = dir.path().join("small");
    for form in ["jsonl", "csv", "parquet"] {
        let out = small.join("out");
        let args = [
            "log",
            "export",
            "--dir",
            text(&ledger),
            "--format",
            form,
            "--out",
            text(&out),
            "--purpose",
            "a report",
        ];
        let output = on_small_disk(64, &small, &args);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{form}: {said}");
        assert!(said.contains("No space left on device"), "{form}: {said}");
        assert!(said.trim_end().ends_with("(os error 28)"), "{form}: something is left behind: {said}");
    }
    assert_eq!(query(&ledger, "SELECT count(*) FROM record WHERE kind = 41"), "0", "nothing left the ledger");
}

#[test]
fn duckdb_reads_the_parquet_files_and_counts_what_we_count() {
    let dir = folder();
    let ledger = demo(dir.path());
    let out = dir.path().join("out");
    export(&ledger, "parquet", &out, &[]);
    let script = "import duckdb,json,sys
c=duckdb.connect()
d=f\"'{sys.argv[1]}/decisions.parquet'\"
k=f\"'{sys.argv[1]}/candidates.parquet'\"
print(json.dumps({
 'outcomes': dict(c.execute(f'SELECT outcome, count(*) FROM {d} GROUP BY 1').fetchall()),
 'types': {r[0]: r[1] for r in c.execute(f'DESCRIBE SELECT * FROM {d}').fetchall()},
 'times': [str(t) for t in c.execute(f'SELECT min(epoch_us(event_time)), max(epoch_us(event_time)) FROM {d}').fetchone()],
 'cost': str(c.execute(f'SELECT sum(cost) FROM {d}').fetchone()[0]),
 'joined': c.execute(f'SELECT count(*) FROM {d} d JOIN {k} k USING (seq)').fetchone()[0],
}))";
    let found = python(script, &[text(&out)]);
    assert_eq!(found["outcomes"], json!(by_outcome(&ledger)));
    for (column, kind) in [
        ("seq", "BIGINT"),
        ("cost", "BIGINT"),
        ("event_time", "TIMESTAMP WITH TIME ZONE"),
        ("explored", "BOOLEAN"),
        ("reason", "VARCHAR"),
    ] {
        assert_eq!(found["types"][column], kind, "{column}");
    }
    let own = |sql: &str| query(&ledger, sql);
    let times = format!("{}|{}", found["times"][0].as_str().unwrap(), found["times"][1].as_str().unwrap());
    assert_eq!(times, own("SELECT min(event_time), max(event_time) FROM v_decisions"));
    assert_eq!(found["cost"], own("SELECT sum(cost) FROM v_decisions"));
    assert_eq!(found["joined"].to_string(), own("SELECT count(*) FROM v_candidates"));
}

#[test]
fn datasette_opens_the_ledger_read_only_and_the_views_answer() {
    let dir = folder();
    let ledger = demo(dir.path());
    let database = ledger.join("ledger.db");
    let before = std::fs::read(&database).unwrap();
    let script = "import asyncio,json,sys
from datasette.app import Datasette
async def main():
  ds=Datasette(files=[sys.argv[1]], settings={'num_sql_threads': 1})
  await ds.invoke_startup()
  out={}
  for view in ['v_decisions','v_candidates','v_certificates','v_outcomes','v_budgets']:
    r=await ds.client.get(f'/ledger/{view}.json?_shape=objects&_size=5')
    out[view]=[r.status_code, len(r.json()['rows'])]
  r=await ds.client.get('/ledger/v_decisions.json?_facet=outcome&_size=0')
  out['outcomes']={f['value']:f['count'] for f in r.json()['facet_results']['outcome']['results']}
  r=await ds.client.get('/ledger.json', params={'sql': 'DELETE FROM record'})
  out['write']=r.status_code
  print(json.dumps(out))
asyncio.run(main())";
    let found = python(script, &[text(&database)]);
    for (view, least) in
        [("v_decisions", 5), ("v_candidates", 5), ("v_certificates", 1), ("v_outcomes", 0), ("v_budgets", 2)]
    {
        assert_eq!(found[view][0], 200, "{view}: {found}");
        assert!(found[view][1].as_u64().unwrap() >= least, "{view}: {found}");
    }
    assert_eq!(found["outcomes"], json!(by_outcome(&ledger)));
    assert_eq!(found["write"], 400);
    assert!(std::fs::read(&database).unwrap() == before, "the file is as it was");
}
