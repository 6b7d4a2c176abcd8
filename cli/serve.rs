//! `largesse serve`: the live node until a signal ends it.

use std::path::PathBuf;
use std::sync::Arc;

use runtime::config::Error as ConfigError;
use runtime::metrics::CountersSnapshot;
use runtime::{Node, NodeError, Options};

use crate::exit::{Failure, Result, Verdict};
use crate::node_errors;
use crate::output::{self, grouped};

/// How long a run that cannot start waits before it is tried again, doubling up to the second.
const AGAIN_FIRST: std::time::Duration = std::time::Duration::from_millis(100);
const AGAIN_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Longest time from SIGTERM to exit: stop intake, drain, last signed head.
const SHUTDOWN_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);

/// Run a live node until SIGTERM
#[derive(clap::Args)]
#[command(after_help = "\
Without a [nats] url the node uses its in-process bus, which only embedded producers can reach.
On SIGTERM or Ctrl-C the node stops its intake, finishes what it has admitted, signs a last ledger
head and exits 0 within ten seconds.

Example largesse.toml:
  [node]
  dir = \"largesse-data\"
  policy = \"policies/bundles/grocery\"
  [nats]
  url = \"nats://127.0.0.1:4222\"")]
pub struct Args {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "largesse.toml")]
    config: PathBuf,
    /// NATS server, instead of the configuration's
    #[arg(long, value_name = "URL", env = "LARGESSE_NATS_URL")]
    nats: Option<String>,
    /// Ledger folder, instead of the configuration's
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// libonnxruntime.so, instead of the configuration's
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    /// The ledger's checkpoints.txt is gone for good: start without it this once, and record that
    #[arg(long)]
    heads_lost: bool,
}

pub fn run(args: &Args) -> Result {
    let mut options = Options::load(&args.config).map_err(|error| match error {
        ConfigError::Unreadable { path, why } if why.kind() == std::io::ErrorKind::NotFound => {
            Failure::usage(format!(
                "there is no {}; write one (an empty file takes every default, `largesse serve --help` shows an \
                 example, docs/configuration.md every key) or name another with --config",
                path.display()
            ))
        }
        error @ (ConfigError::Unreadable { .. } | ConfigError::Invalid { .. } | ConfigError::Prefix(_)) => {
            Failure::usage(error)
        }
    })?;
    if let Some(url) = &args.nats {
        options.use_nats(url);
    }
    if let Some(dir) = &args.dir {
        options.dir.clone_from(dir);
    }
    options.onnxruntime = args.onnxruntime.clone().or(options.onnxruntime);
    options.heads_lost = args.heads_lost;
    super::block_on(async {
        let signal = signalled();
        tokio::pin!(signal);
        loop {
            let node = tokio::select! {
                started = start(&options) => started.map_err(node_errors)?,
                () = &mut signal => return Ok(Verdict::Ok),
            };
            announce(&node, &options);
            let changed = node.changed();
            let goes_on = tokio::select! {
                () = &mut signal => {
                    output::say("largesse: stopping; finishing what was admitted");
                    false
                }
                () = changed.cancelled() => {
                    output::say("largesse: what is in force changed; finishing what was admitted under the old");
                    true
                }
                () = ended(&node) => false,
            };
            finish(node).await?;
            options.heads_lost = false;
            options.again = true;
            if !goes_on {
                return Ok(Verdict::Ok);
            }
        }
    })
}

/// Starts a run. A node that ran before waits for a server that is away and for somebody who takes a step on the
/// ledger at this moment: both come back, and it was told to go on.
async fn start(options: &Options) -> std::result::Result<Node, NodeError> {
    let mut wait = AGAIN_FIRST;
    loop {
        match Node::start(options).await {
            Err(error @ (NodeError::Bus(_) | NodeError::Ledger(ledger::Error::Locked { .. })))
                if options.again =>
            {
                output::say(&format!("largesse: {error}; trying again"));
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(AGAIN_MAX);
            }
            started => return started,
        }
    }
}

/// Ends one run of the node and says what it did.
async fn finish(node: Node) -> Result<()> {
    let metrics = Arc::clone(&node.metrics);
    node.stop();
    let joined = tokio::time::timeout(SHUTDOWN_WITHIN, node.join()).await;
    output::say(&format!("largesse: {}", counts(&metrics.counters.snapshot())));
    match joined {
        Ok(result) => result.map_err(node_errors),
        Err(_) => {
            let message =
                "the node did not finish within 10 s; what was not finished will be delivered again";
            Err(Failure::runtime(anyhow::anyhow!(message)))
        }
    }
}

fn announce(node: &Node, options: &Options) {
    let bus = options.nats.as_ref().map(|nats| runtime::bus::nats::redacted(&nats.url));
    let bus = bus.unwrap_or_else(|| "the in-process bus".to_owned());
    output::say(&format!(
        "largesse {}: {} on {bus}, policy {}, engine {} {}, ledger {}",
        env!("CARGO_PKG_VERSION"),
        node.bundle.program().name,
        node.bundle.digest().short(),
        node.engine.name,
        node.engine.version,
        node.folder.display(),
    ));
    output::say("ready");
}

/// What the run did, in one line.
fn counts(counted: &CountersSnapshot) -> String {
    let list = |counts: &[(u64, &str)]| {
        let texts: Vec<String> =
            counts.iter().map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
        texts.join(", ")
    };
    let events = [
        (counted.received, "events received"),
        (counted.duplicates, "duplicates"),
        (counted.dead_letters, "dead letters"),
        (counted.observed, "only observed"),
    ];
    let decisions = [
        (counted.granted, "granted"),
        (counted.none, "none"),
        (counted.suppressed, "suppressed"),
        (counted.denied, "denied"),
        (counted.control, "control"),
        (counted.pending, "pending"),
        (counted.fallback, "fallback"),
        (counted.fallback_scores, "scored by the fallback"),
    ];
    let plans = [
        (counted.negotiations, "plans"),
        (counted.certified, "certified"),
        (counted.planner_fallbacks, "fallbacks"),
    ];
    let agents = [
        (counted.activations, "members woken"),
        (counted.passivations, "put to sleep"),
        (counted.restarts, "restarted"),
    ];
    format!(
        "{}; decisions: {}; {} rewards published; {}; {}",
        list(&events),
        list(&decisions),
        grouped(counted.published),
        list(&plans),
        list(&agents)
    )
}

async fn ended(node: &Node) {
    while !node.is_finished() {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

/// SIGTERM or Ctrl-C, from the call on: whoever says "ready" before the first poll would otherwise be ended by a signal that
/// comes in between.
pub fn signalled() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let caught =
        [(SignalKind::terminate(), "SIGTERM"), (SignalKind::interrupt(), "Ctrl-C")].map(|(kind, name)| {
            let caught = signal(kind);
            caught.inspect_err(|error| tracing::error!(%error, "{name} cannot be handled")).ok()
        });
    async {
        let [terminate, interrupt] = caught.map(|caught| async {
            match caught {
                Some(mut caught) => {
                    caught.recv().await;
                }
                None => std::future::pending().await,
            }
        });
        tokio::select! {
            () = terminate => {}
            () = interrupt => {}
        }
    }
}
