//! What the black-box tests share: the binary, a real nats-server, small purchase files, and a way to tamper.
#![expect(dead_code, reason = "each test binary uses its own part")]

pub mod live;
pub mod office;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub fn largesse() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_largesse"));
    for variable in ["LARGESSE_NATS_URL", "ORT_DYLIB_PATH", "LARGESSE_LOG"] {
        command.env_remove(variable);
    }
    command
}

/// Runs to the end and returns the output.
pub fn run(args: &[&str]) -> Output {
    largesse().args(args).stdin(Stdio::null()).output().unwrap()
}

/// The independent verifier; tests/run fetches what it needs.
pub fn python(args: &[&str]) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify/verify.py");
    let mut command = Command::new("python3");
    if let Some(modules) = std::env::var_os("LARGESSE_TEST_PYTHONPATH") {
        command.env("PYTHONPATH", modules);
    }
    command.arg(script).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs the command where its folder is a file system of this many kilobytes, which ends with it.
pub fn on_small_disk(kilobytes: u32, folder: &Path, args: &[&str]) -> Output {
    std::fs::create_dir_all(folder).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={kilobytes}k tmpfs \"$1\" || exit 99; shift; \"$@\"; code=$?; ls -A {0} >&2; exit $code",
        text(folder)
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "bash", "-c", &script, "bash", text(folder)]);
    command.arg(env!("CARGO_BIN_EXE_largesse")).args(args).stdin(Stdio::null()).output().unwrap()
}

/// Runs, expects exit 0 and parses stdout as JSON.
pub fn run_json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(
        output.status.success(),
        "{args:?} exits with {:?}: {}{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stdout),
        stderr(&output)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs, expects this exit code, this advice on stderr and nothing on stdout.
pub fn refused(args: &[&str], code: i32, says: &str) {
    let output = run(args);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
    assert!(stderr(&output).contains(says), "{args:?} said {}", stderr(&output));
    assert!(output.stdout.is_empty());
}

/// Ends a process politely and returns its exit code.
pub fn terminate(child: &mut Child) -> Option<i32> {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    exit_code(child, Duration::from_secs(15))
}

/// The exit code of a process that ends within this time.
pub fn exit_code(child: &mut Child, within: Duration) -> Option<i32> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "still running after {within:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder of the test's own.
pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The path as text.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub const HEADER: &str = "household_id,ts,store,basket_id,amount,items,departments,fuel_amount,\
private_label_amount,retail_disc,coupon_disc,coupon_match_disc";

/// A purchase file of other households: each shops every few days for four months.
pub fn purchases(path: &Path, households: u32) -> u64 {
    let mut lines = Vec::new();
    for household in 0..households {
        let gap = 2 + household % 9;
        for visit in 0..(120 / gap) {
            let day = visit * gap;
            let (month, date) = (1 + day / 28, 1 + day % 28);
            let amount = 20 + (household * 7 + visit * 13) % 140;
            lines.push(format!(
                "2019-{month:02}-{date:02}T{:02}:{:02}:00,x{household},{household}{visit:04},{amount}.50",
                9 + visit % 11,
                household % 60
            ));
        }
    }
    lines.sort();
    let row = |line: &String| {
        let parts: Vec<&str> = line.split(',').collect();
        format!("{},{},1,{},{},5,2,0.00,0.00,0.50,0.00,0.00", parts[1], parts[0], parts[2], parts[3])
    };
    let rows: Vec<String> = lines.iter().map(row).collect();
    std::fs::write(path, format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
    rows.len() as u64
}

/// A real nats-server on a free loopback port, with its own store.
pub struct NatsServer {
    child: Child,
    port: u16,
    store: TempDir,
}

fn nats_binary() -> PathBuf {
    match std::env::var_os("LARGESSE_TEST_NATS_SERVER") {
        Some(path) => path.into(),
        None => panic!(
            "LARGESSE_TEST_NATS_SERVER is not set: run the tests with tests/run, which fetches nats-server"
        ),
    }
}

impl NatsServer {
    pub fn start() -> NatsServer {
        let store = folder();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Self::spawn(port, store.path());
        let server = NatsServer { child, port, store };
        server.wait_ready();
        server
    }

    fn spawn(port: u16, store: &Path) -> Child {
        Command::new(nats_binary())
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd", text(store)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "nats-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends the server at once; what it stored stays.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on what it stored.
    pub fn restart(&mut self) {
        self.child = Self::spawn(self.port, self.store.path());
        self.wait_ready();
    }

    /// Where it keeps its streams.
    pub fn store(&self) -> &Path {
        self.store.path()
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        let _dead = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Runs Python's own sqlite3 on the ledger, as somebody with write access to the file could.
pub fn tamper(dir: &Path, sql: &str) {
    let script =
        "import sqlite3,sys\nc=sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\nc.commit()";
    let output =
        Command::new("python3").args(["-c", script, text(&dir.join("ledger.db")), sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// One value from the ledger, read by another program than ours.
pub fn query(dir: &Path, sql: &str) -> String {
    let script = "import sqlite3,sys\nfor row in sqlite3.connect(sys.argv[1]).execute(sys.argv[2]): print('|'.join(map(str,row)))";
    let output =
        Command::new("python3").args(["-c", script, text(&dir.join("ledger.db")), sql]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
