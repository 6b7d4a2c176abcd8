//! A writer that is killed at any moment leaves a prefix of whole batches, and everything it acknowledged.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ledger::{Error, Maintenance, Reader, Seq, VerifyOptions, Writer, verify};

use crate::support::*;

const FOLDER: &str = "LEDGER_CRASH_FOLDER";
const BATCH: u64 = 37;

/// Not a test of its own: the process that is killed below. It prints each size after it is durable.
#[test]
fn child_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut writer = open(folder.as_ref());
    let _maintenance = Maintenance::start(folder.as_ref()).unwrap();
    loop {
        let from = writer.size();
        // A member of its own for every fifth row, so that new keys are written all the time.
        let batch = decisions(&writer, from..from + BATCH, from / 5 + 10);
        writer.append(NOW, &batch).unwrap();
        eprintln!("durable {}", writer.size());
    }
}

/// What another program sees that looks into the ledger and goes away again. Python, because its SQLite is
/// older than ours: newer ones ask once more whether they are really the last to leave.
fn looked(folder: &Path) -> u64 {
    let script = "import sqlite3,sys; c=sqlite3.connect(sys.argv[1]); \
                  print(c.execute('SELECT count(*) FROM record').fetchone()[0]); c.close()";
    let output = Command::new("python3").args(["-c", script]).arg(folder.join("ledger.db")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// POSIX locks belong to the process and go with the first handle on the file that it closes.
#[test]
fn readers_in_the_same_process_do_not_cost_the_writer_its_locks() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path());
    let before = writer.size();
    writer.append(NOW, &decisions(&writer, 0..5, 3)).unwrap();
    drop(writer.reader().unwrap());
    drop(Reader::open(folder.path()).unwrap());
    verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
    // The last program to leave folds the WAL away; this one must know that it is not the last.
    assert_eq!(looked(folder.path()), before + 5);
    writer.append(NOW, &decisions(&writer, 5..9, 3)).unwrap();
    assert_eq!(looked(folder.path()), before + 9, "rows written after that are nowhere");
}

fn spawn(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::child_that_is_killed", "--exact", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged_and_leaves_no_half_batch() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..6u64 {
        let mut child = spawn(folder.path());
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut durable = 0;
        for line in lines.by_ref().take(usize::try_from(7 + 31 * round).unwrap()) {
            let line = line.unwrap();
            durable = line.strip_prefix("durable ").map_or(durable, |size| size.parse().unwrap());
        }
        let second = Writer::open(&options(folder.path()));
        assert!(matches!(second, Err(Error::Locked { pid, .. }) if pid == Some(child.id())), "round {round}");
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            durable = line.strip_prefix("durable ").and_then(|size| size.parse().ok()).unwrap_or(durable);
        }
        let writer = open(folder.path());
        assert!(
            durable > 0 && writer.size() >= durable,
            "round {round}: {durable} acknowledged, {} kept",
            writer.size()
        );
        assert_eq!((writer.size() - 1) % BATCH, 0, "round {round}: half a batch");
        let last = writer.reader().unwrap().row(Seq(writer.size())).unwrap().unwrap();
        let key =
            writer.keys().find(last.member.unwrap()).unwrap().expect("keys are durable before their rows");
        key.open(&last.record_id, &last.sealed.unwrap()).unwrap();
        drop(writer);
        let report = verify(folder.path(), &VerifyOptions::default(), |_, _| ()).unwrap();
        assert_eq!(report.findings, [], "round {round}");
    }
}
