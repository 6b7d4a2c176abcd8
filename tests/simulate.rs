//! The simulator as its user meets it: the same input gives the same digest.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod common;

use common::{HEADER, folder, purchases, refused, run, run_json, stderr, text};

#[test]
fn two_simulations_of_the_same_purchases_are_identical() {
    let dir = folder();
    let events = dir.path().join("events.csv");
    let count = purchases(&events, 60);
    let args = ["simulate", "--events", text(&events), "--output", "json"];
    let (first, second) = (run_json(&args), run_json(&args));
    assert_eq!(first, second);
    assert_eq!(first["events"], count);
    assert_eq!(first["overspend"], 0);
    assert_eq!(first["dead_letters"], serde_json::json!({}));
    assert_eq!(first["digest"].as_str().unwrap().len(), 64);
    assert!(first["decisions"]["granted"].as_u64().unwrap() > 0, "{first}");
    assert!(first["certificates_verified"].as_u64() >= first["negotiations"].as_u64());
    let written: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(written.len(), 1, "nothing is written beside the purchases");
}

#[test]
fn purchases_are_simulated_in_order_of_time_whatever_their_order_in_the_file() {
    let dir = folder();
    let (sorted, shuffled) = (dir.path().join("sorted.csv"), dir.path().join("shuffled.csv"));
    purchases(&sorted, 20);
    let file = std::fs::read_to_string(&sorted).unwrap();
    let mut lines: Vec<&str> = file.lines().skip(1).collect();
    lines.sort();
    std::fs::write(&shuffled, format!("{HEADER}\n{}\n", lines.join("\n"))).unwrap();
    let of = |path| run_json(&["simulate", "--events", text(path), "--output", "json"]);
    assert_eq!(of(&shuffled)["events"], of(&sorted)["events"]);
    // Purchases of one minute keep the order of their file; the counts do not depend on it.
    assert_eq!(of(&shuffled)["timers"], of(&sorted)["timers"]);
}

#[test]
fn the_report_for_people_names_digest_and_budgets() {
    let dir = folder();
    let events = dir.path().join("events.csv");
    purchases(&events, 20);
    let output = run(&["simulate", "--events", text(&events)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = String::from_utf8(output.stdout).unwrap();
    for part in ["Digest of all decisions: ", "granted", "global", "certificates verified"] {
        assert!(shown.contains(part), "{part:?} is missing from:\n{shown}");
    }
}

#[test]
fn files_that_cannot_be_simulated_are_named() {
    let dir = folder();
    refused(&["simulate", "--events", "/nowhere/file.csv"], 2, "/nowhere/file.csv");
    let events = dir.path().join("events.csv");
    std::fs::write(&events, "a,b,c\n1,2,3\n").unwrap();
    refused(&["simulate", "--events", text(&events)], 2, "household_id");
    std::fs::write(&events, format!("{HEADER}\n")).unwrap();
    refused(&["simulate", "--events", text(&events), "--policy", text(dir.path())], 3, "program.toml");
    refused(
        &["simulate", "--events", text(&events), "--onnxruntime", "/nowhere/libonnxruntime.so"],
        4,
        "libonnxruntime.so",
    );
}
