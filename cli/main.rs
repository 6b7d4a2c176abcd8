//! The `largesse` command: one file per subcommand, nothing decided here.
//!
//! Data goes to stdout, everything said to people goes to stderr. Exit codes: 0 ok, 1 runtime failure,
//! 2 usage, 3 checked and found bad, 4 a dependency is unavailable.

mod bench;
mod case;
mod completions;
mod demo;
mod doctor;
mod exit;
mod explain;
mod feed;
mod folder;
mod log;
mod member;
mod model;
mod output;
mod pending;
mod people;
mod policy;
mod purchases;
mod reading;
mod replay;
mod schema;
mod serve;
mod signing;
mod simulate;
mod stop;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clap::{Parser, Subcommand};

/// Decides, in milliseconds after each event, which reward a loyalty program should promise a member,
/// inside hard budgets, and proves afterwards why.
#[derive(Parser)]
#[command(name = "largesse", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    /// What to log to stderr: error, warn, info, debug, or a filter such as runtime=debug
    #[arg(
        long,
        global = true,
        env = "LARGESSE_LOG",
        default_value = "warn,async_nats=error",
        value_name = "FILTER"
    )]
    log_level: String,

    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Start here:
  largesse demo                        replay a year of real purchases through the live runtime
  largesse log list --dir largesse-demo
  largesse log explain --dir largesse-demo ID --purpose TEXT
  largesse replay --dir largesse-demo --all
  largesse doctor                      check that this machine can run a node

Exit codes: 0 ok, 1 failure, 2 wrong usage, 3 checked and found bad, 4 a dependency is unavailable.";

#[derive(Subcommand)]
enum Command {
    /// Replay real purchases through the full live runtime and show what was decided and why
    Demo(demo::Args),
    /// Run a live node until SIGTERM
    Serve(serve::Args),
    /// Check engine, policy, ledger, keys, disk and NATS; say what to do about each problem
    Doctor(doctor::Args),
    /// Write, check, assess, approve and activate policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// Say who may write, approve and stop policies, and keep cases
    #[command(subcommand)]
    People(people::Command),
    /// Approve or decline promises that wait for a person
    #[command(subcommand, after_help = pending::AFTER_HELP)]
    Pending(pending::Command),
    /// Stop promising, at once: the whole program or a part of it
    #[command(after_help = stop::AFTER_HELP)]
    Stop(stop::Switch),
    /// Turn a kill switch off
    Resume(stop::Switch),
    /// Read, verify and prove the decision log
    #[command(subcommand)]
    Log(log::Command),
    /// Keep cases about decisions, and take promises back with four eyes
    #[command(subcommand)]
    Case(case::Command),
    /// Everything about one member: hand it out, or erase it
    #[command(subcommand)]
    Member(member::Command),
    /// Recompute decisions from their recorded inputs and compare them byte for byte
    Replay(replay::Args),
    /// Run purchases through the same brains on a virtual clock: same input, same decisions, bit for bit
    Simulate(simulate::Args),
    /// Look at models, compute features, measure predictions
    #[command(subcommand)]
    Model(model::Command),
    /// Measure the planner or the whole decision path
    #[command(subcommand)]
    Bench(bench::Command),
    /// Explain a reason or diagnostic code, e.g. `largesse explain QUIET_HOURS`
    Explain(explain::Args),
    /// Print what may be written in a policy: a schema for editors, the page of facts
    #[command(subcommand)]
    Schema(schema::Command),
    /// Print a shell completion script
    Completions(completions::CompletionsArgs),
    /// Print the manual page (roff), or write one page per subcommand with --dir
    Man(completions::ManArgs),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Err(failure) = start_logging(&cli.log_level) {
        return exit::code(Err(failure));
    }
    let result = match cli.command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Policy(command) => policy::run(&command),
        Command::People(command) => people::run(&command),
        Command::Pending(command) => pending::run(&command),
        Command::Stop(args) => stop::stop(&args),
        Command::Resume(args) => stop::resume(&args),
        Command::Log(command) => log::run(&command),
        Command::Case(command) => case::run(&command),
        Command::Member(command) => member::run(&command),
        Command::Replay(args) => replay::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Model(command) => model::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Explain(args) => explain::run(&args),
        Command::Schema(command) => schema::run(&command),
        Command::Completions(args) => completions::completions(&args),
        Command::Man(args) => completions::man(&args),
    };
    exit::code(result)
}

/// Runs a future on a runtime with one worker per core.
fn block_on<T>(future: impl Future<Output = exit::Result<T>>) -> exit::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(exit::Failure::runtime)?.block_on(future)
}

/// The exit code an error of a node means.
fn node_errors(error: runtime::NodeError) -> exit::Failure {
    use runtime::NodeError;
    match error {
        NodeError::Policy { .. } | NodeError::Shape { .. } => exit::Failure::found_bad(error),
        NodeError::Engine(_) | NodeError::Models(_) | NodeError::Bus(_) => exit::Failure::unavailable(error),
        NodeError::Ledger(error) => ledger_errors(error),
        NodeError::Intake(runtime::intake::Error::Ledger(error)) => ledger_errors(error),
        NodeError::Intake(runtime::intake::Error::Bus(_)) => exit::Failure::unavailable(error),
        NodeError::Intake(runtime::intake::Error::Fatal(_)) | NodeError::Start(_) | NodeError::Row { .. } => {
            exit::Failure::runtime(error)
        }
    }
}

/// The exit code an error of the ledger means.
#[expect(clippy::wildcard_enum_match_arm, reason = "everything not named here is a failure at run time")]
fn ledger_errors(error: ledger::Error) -> exit::Failure {
    use ledger::Error;
    match error {
        Error::Locked { .. } | Error::NoLedger(_) | Error::DiskFull | Error::Keys(_) => {
            exit::Failure::unavailable(error)
        }
        Error::Foreign { .. }
        | Error::NewerFormat { .. }
        | Error::Damaged(_)
        | Error::GuardsChanged(_)
        | Error::Tail { .. }
        | Error::Altered { .. }
        | Error::Truncated { .. }
        | Error::Forked { .. }
        | Error::CheckpointFile { .. }
        | Error::KeyHistory { .. }
        | Error::Cut { .. }
        | Error::Held { .. }
        | Error::BudgetDrift { .. } => exit::Failure::found_bad(error),
        other => exit::Failure::runtime(other),
    }
}

fn start_logging(filter: &str) -> exit::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        let help = "use error, warn, info, debug, or parts such as runtime=debug,warn";
        exit::Failure::usage(format!("--log-level (LARGESSE_LOG) {filter:?} is no filter: {error}; {help}"))
    })?;
    // A second subscriber can only exist if a test installed one; then that one stays.
    let _already = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::colour(&std::io::stderr()))
        .try_init();
    Ok(())
}
