//! `largesse people`: who may do what.

use std::path::{Path, PathBuf};

use domain::statement::Role;
use ledger::person::PersonKey;
use ledger::{Kind, Reader};
use runtime::requests::{self, People, PersonEntry};
use serde::Serialize;

use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Columns, Format};

/// Say who may write, approve and stop policies, and keep cases
#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a person, with a new key or one they made themselves
    Add(Add),
    /// List everybody
    List(List),
}

/// Add a person, with a new key or one they made themselves
#[derive(clap::Args)]
#[command(after_help = "\
Roles: author (hands policies in), approver (approves what others wrote, activates, resumes),
operator (stops, rolls back), auditor (keeps cases). Nobody approves their own work.
Whoever may write people.toml in the ledger folder decides who is in it. What it said when a request was judged is a row
of the ledger before the request's own; `largesse policy history` says who came, went or changed.")]
pub struct Add {
    /// Name, one word
    name: String,
    /// Roles; may be given several times
    #[arg(long = "role", value_name = "ROLE", value_parser = role, value_delimiter = ',', required = true)]
    roles: Vec<Role>,
    /// Where to write the new key file
    #[arg(long, value_name = "FILE", required_unless_present = "public", conflicts_with = "public")]
    key: Option<PathBuf>,
    /// The public half of a key the person already has
    #[arg(long, value_name = "BASE64")]
    public: Option<String>,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

/// List everybody
#[derive(clap::Args)]
pub struct List {
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

fn role(text: &str) -> std::result::Result<Role, String> {
    let names = || Role::ALL.map(Role::name).join(", ");
    Role::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| format!("one of {}", names()))
}

pub fn run(command: &Command) -> Result {
    match command {
        Command::Add(args) => add(args),
        Command::List(args) => list(args),
    }
}

fn add(args: &Add) -> Result {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "-_.@".contains(letter);
    if args.name.is_empty() || args.name.len() > 64 || !args.name.chars().all(legal) {
        return Err(Failure::usage("a name is 1 to 64 letters, digits and - _ . @"));
    }
    let mut people = People::load(&args.dir).map_err(Failure::found_bad)?;
    if people.find(&args.name).is_some() {
        return Err(Failure::usage(format!("{} is in people.toml already", args.name)));
    }
    let public = match (&args.key, &args.public) {
        (Some(path), _) => PersonKey::create(&args.name, path).map_err(Failure::runtime)?.public(),
        (None, Some(public)) if ledger::person::is_key(public) => public.clone(),
        (None, Some(public)) => {
            return Err(Failure::usage(format!(
                "{public:?} is no public key: 32 bytes in base64, as `largesse people add --key FILE` shows them"
            )));
        }
        (None, None) => return Err(Failure::usage("name a key file with --key")),
    };
    if let Some(other) = people.person.iter().find(|person| person.key == public) {
        return Err(Failure::usage(format!(
            "{} has this key already: with two names for one key every step would be refused",
            other.name
        )));
    }
    people.person.push(PersonEntry {
        name: args.name.clone(),
        roles: args.roles.clone(),
        key: public.clone(),
    });
    people.save(&args.dir).map_err(Failure::runtime)?;
    let ledger = ledger::identity_of(&args.dir).map_err(crate::ledger_errors)?;
    if let (Some(path), Some(ledger)) = (&args.key, ledger) {
        crate::signing::remember(path, &ledger)?;
    }
    output::line(&format!("{} added to {}", args.name, People::path(&args.dir).display()))?;
    if let Some(path) = &args.key {
        output::line(&format!("secret key in {} (keep it; nobody else may read it)", path.display()))?;
    }
    Ok(Verdict::Ok)
}

#[derive(Serialize)]
struct Line {
    name: String,
    roles: String,
    key: String,
}

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["name", "roles", "key"];

    fn cells(self) -> Vec<String> {
        vec![self.name, self.roles, self.key]
    }
}

fn list(args: &List) -> Result {
    let people = People::load(&args.dir).map_err(Failure::found_bad)?;
    let line = |entry: PersonEntry| Line {
        roles: entry.roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", "),
        name: entry.name,
        key: entry.key,
    };
    let unrecorded = unrecorded(&args.dir, &people)?;
    output::rows(args.output, people.person.into_iter().map(line).map(Ok))?;
    if !unrecorded.is_empty() {
        output::say(&format!("since the last request that was judged: {}", unrecorded.join("; ")));
    }
    Ok(Verdict::Ok)
}

/// How the file differs from what the log last knew of it.
fn unrecorded(dir: &Path, people: &People) -> Result<Vec<String>> {
    if ledger::identity_of(dir).map_err(crate::ledger_errors)?.is_none() {
        return Ok(Vec::new());
    }
    let rows = Reader::open(dir).and_then(|reader| reader.of_kinds(&[Kind::People]));
    let known = rows.map_err(crate::ledger_errors)?.last().map_or_else(Vec::new, requests::recorded_people);
    Ok(requests::changes(&known, &people.person))
}
