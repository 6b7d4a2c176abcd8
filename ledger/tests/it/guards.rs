//! Guards inside the file hold against any program that opens it; each test shows that it is the guard that holds.

use crate::support::*;

/// Refused with the guard, possible without it.
#[track_caller]
fn guarded(trigger: &str, sql: &str) {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..1_100, 20)).unwrap();
    let intruder = intruder(folder.path());
    let refused = intruder.execute_batch(sql).unwrap_err().to_string();
    assert!(refused.contains("append-only"), "{refused}");
    intruder.execute_batch(&format!("DROP TRIGGER {trigger}; {sql}")).unwrap();
}

const COPY: &str = "INTO record SELECT * FROM (SELECT * FROM record WHERE seq = 1101)";

#[test]
fn rows_are_not_updated() {
    guarded("record_refuses_update", "UPDATE record SET body = 'other' WHERE seq = 7");
}

#[test]
fn rows_are_not_deleted() {
    guarded("record_refuses_delete", "DELETE FROM record WHERE seq = 1101");
}

#[test]
fn rows_are_not_replaced_even_when_delete_triggers_are_off() {
    guarded("record_refuses_known", &format!("PRAGMA recursive_triggers = OFF; REPLACE {COPY}"));
}

#[test]
fn with_recursive_triggers_replace_also_meets_the_delete_guard() {
    let (folder, mut writer) = ledger();
    writer.append(NOW, &decisions(&writer, 0..1_100, 20)).unwrap();
    let intruder = intruder(folder.path());
    intruder.execute_batch("DROP TRIGGER record_refuses_known; PRAGMA recursive_triggers = ON").unwrap();
    let refused = intruder.execute_batch(&format!("REPLACE {COPY}")).unwrap_err().to_string();
    assert!(refused.contains("delete refused"), "{refused}");
}

#[test]
fn a_row_that_is_not_the_next_is_refused() {
    let column = |seq: &str, id: &str| {
        format!(
            "INSERT INTO record (seq, record_id, kind, recorded_at, partition, epoch, semantics, leaf) VALUES ({seq}, {id}, 1, 1, 0, 1, 1, zeroblob(32))"
        )
    };
    guarded("record_refuses_known", &column("2000", "randomblob(16)"));
    guarded("record_refuses_known", &column("-3", "randomblob(16)"));
}

#[test]
fn a_known_record_id_is_refused_before_a_replace_could_delete_its_row() {
    guarded(
        "record_refuses_known",
        "PRAGMA recursive_triggers = OFF; INSERT OR REPLACE INTO record (seq, record_id, kind, recorded_at, partition, epoch, semantics, leaf)
         SELECT 1102, record_id, 1, 1, 0, 1, 1, zeroblob(32) FROM record WHERE seq = 7",
    );
}

#[test]
fn tree_nodes_are_not_changed() {
    guarded("log_node_refuses_update", "UPDATE log_node SET hash = zeroblob(32)");
    guarded("log_node_refuses_delete", "DELETE FROM log_node WHERE idx = 0");
    guarded("log_node_refuses_known", "REPLACE INTO log_node VALUES (8, 0, zeroblob(32))");
}

#[test]
fn signed_heads_are_not_changed() {
    guarded("checkpoint_refuses_update", "UPDATE checkpoint SET root = zeroblob(32)");
    guarded("checkpoint_refuses_delete", "DELETE FROM checkpoint");
    guarded(
        "checkpoint_refuses_known",
        "REPLACE INTO checkpoint SELECT size, zeroblob(32), 0, '' FROM checkpoint WHERE size > 1000",
    );
}
