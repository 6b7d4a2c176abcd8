//! The floors hold: a crate depends only on lower floors, and libraries stay where they belong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

const PREFIX: &str = "largesse-";

/// Floor of each crate of the workspace; the root package, with the binary, stands on top.
const FLOORS: [(&str, u8); 8] = [
    ("domain", 0),
    ("ledger", 1),
    ("models", 1),
    ("policies", 1),
    ("agents", 2),
    ("runtime", 3),
    ("sim", 3),
    ("largesse", 4),
];

/// Libraries with one home: nobody else may depend on them directly.
const HOMES: [(&str, &[&str]); 8] = [
    ("rusqlite", &["ledger"]),
    ("ort", &["models"]),
    ("ort-tract", &["models"]),
    ("libloading", &["models"]),
    ("ractor", &["runtime"]),
    ("async-nats", &["runtime"]),
    ("tokio", &["runtime", "largesse"]),
    ("parquet", &["largesse"]),
];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")).exec().unwrap()
}

fn short(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// What each crate of the workspace depends on to be built (tests may use more).
fn dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let packages = metadata.workspace_packages();
    let of = |package: &cargo_metadata::Package| -> BTreeSet<String> {
        let normal =
            package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
        normal.map(|dependency| short(&dependency.name).to_owned()).collect()
    };
    packages.iter().map(|package| (short(&package.name).to_owned(), of(package))).collect()
}

#[test]
fn every_crate_has_a_floor_and_imports_only_from_below() {
    let floors = BTreeMap::from(FLOORS);
    let dependencies = dependencies(&metadata());
    assert_eq!(
        dependencies.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        floors.keys().copied().collect()
    );
    for (name, needs) in &dependencies {
        for need in needs.iter().filter(|need| floors.contains_key(need.as_str())) {
            assert!(
                floors[need.as_str()] < floors[name.as_str()],
                "{name} (floor {}) may not depend on {need} (floor {})",
                floors[name.as_str()],
                floors[need.as_str()]
            );
        }
    }
}

#[test]
fn libraries_stay_in_their_homes() {
    let dependencies = dependencies(&metadata());
    for (library, homes) in HOMES {
        for (name, needs) in &dependencies {
            if needs.contains(library) {
                assert!(
                    homes.contains(&name.as_str()),
                    "{name} depends on {library}, whose home is {homes:?}"
                );
            }
        }
    }
}

#[test]
fn only_one_sqlite_is_linked() {
    let metadata = metadata();
    let linking = metadata.packages.iter().filter(|package| package.links.as_deref() == Some("sqlite3"));
    assert_eq!(linking.count(), 1);
}

#[test]
fn pure_floors_ban_clocks_randomness_and_hash_maps() {
    for name in ["domain", "policies", "agents"] {
        let path = format!("{}/{name}/clippy.toml", env!("CARGO_MANIFEST_DIR"));
        let bans = std::fs::read_to_string(&path).unwrap();
        for banned in ["Instant::now", "SystemTime::now", "Timestamp::now", "now_v7", "HashMap", "HashSet"] {
            assert!(bans.contains(banned), "{path} does not ban {banned}");
        }
    }
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for (name, _) in FLOORS {
        let folder = if name == "largesse" { String::new() } else { format!("{name}/") };
        let manifest =
            std::fs::read_to_string(format!("{}/{folder}Cargo.toml", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{name} does not take the workspace lints");
    }
}
