//! `largesse member erase`.

use std::path::{Path, PathBuf};

use ledger::{Erased, Keys, Kind, Reader, Row};
use runtime::bus::nats::{NatsServer, Traces, redacted};
use runtime::config::NatsOptions;
use serde_json::json;

use super::{Who, alone, nobody, stated};
use crate::exit::{Failure, Result, Verdict};
use crate::output::{self, Document, grouped};

/// Erase a member: destroy the key, empty the rows, keep every proof; no node may be running
#[derive(clap::Args)]
#[command(after_help = "\
What goes: the member's key and identifier in keys.db, the sealed part and event id of every row about
the member, the stored state, and refused events that name the member. With --nats also the raw events
and rewards a server still stores (it keeps them for seven days): stop whoever sends events first.
What stays: each row's leaf, outcome, reason, segment, reward, times and debits under a pseudonym nothing
leads to any more; old proofs, `log verify` and heads hold. Promises stay committed: they may have been
handed out. An event of the same identifier that comes later is a stranger's.
Beyond reach: backups of keys.db together with the log, evidence and proofs handed out, other systems. Exports
hold pseudonyms only; those made with --event-ids, and what `member export` wrote, are named.

A member under a legal hold is not erased. Exit codes: 2 nobody of that name, 3 erased before,
4 a node is running, the server is unreachable, or another process still reads the files.")]
pub struct Args {
    #[command(flatten)]
    who: Who,
    /// Folder of the ledger
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Why, for the record; never name the person here
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// Also delete what this NATS server stores about the member
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// First tokens of the node's subjects, when it was configured with its own
    #[arg(long, value_name = "PREFIX", requires = "nats")]
    prefix: Option<String>,
    /// Table or JSON
    #[arg(long, value_enum, default_value = "table")]
    output: Document,
}

pub fn run(args: &Args) -> Result {
    let purpose = stated("--purpose", &args.purpose)?;
    let mut writer = alone(&args.dir)?;
    let member = args.who.find(writer.keys())?;
    // Looked up before anything is destroyed: afterwards nobody knows what to look for.
    let stored = args.nats.as_deref().map(|url| look(args, url, writer.keys())).transpose()?;
    let found = stored.as_ref().map(|(_, traces)| traces.count()).unwrap_or_default();
    let mentions = stored.as_ref().map(|(_, traces)| traces.mentions()).unwrap_or_default();
    match member {
        Some(member) => drop(writer.may_erase(member, purpose).map_err(errors)?),
        // Nobody in the ledger, but a server may still hold what was never taken, or came after an erasure.
        None if found.0 > 0 => {}
        None => return Err(nobody()),
    }
    // The server first: once the ledger has forgotten the member, an erasure that was cut short here could not be taken up again.
    if let Some((options, traces)) = stored {
        crate::block_on(async {
            let server = NatsServer::reach(options).await.map_err(Failure::unavailable)?;
            server.forget(&traces).await.map_err(Failure::unavailable)
        })?;
    }
    let erased = member.map(|member| writer.erase(runtime::clock::wall(), member, purpose).map_err(errors));
    let erased = erased.transpose()?;
    let handed_out = handed_out(&args.dir, erased.as_ref())?;
    show(args, erased.as_ref(), &handed_out, found, mentions)?;
    Ok(Verdict::Ok)
}

/// What the server holds, and where it is.
fn look(args: &Args, url: &str, keys: &Keys) -> Result<(NatsOptions, Traces)> {
    let options = match &args.prefix {
        Some(prefix) => NatsOptions::under(url, prefix).map_err(Failure::usage)?,
        None => NatsOptions::at(url),
    };
    let member = args.who.find(keys)?;
    let raw = if args.who.pseudonym {
        member.and_then(|member| keys.identity(member).ok().flatten())
    } else {
        Some(args.who.member.clone())
    };
    crate::block_on(async {
        let server = NatsServer::reach(options.clone()).await.map_err(Failure::unavailable)?;
        let traces = server.traces(raw.as_deref(), member).await.map_err(Failure::unavailable)?;
        Ok((options, traces))
    })
}

/// Rows that say of files that they were handed out, and may hold what an erasure took out of the ledger: exports with event ids,
/// and what the ledger held about this member.
fn handed_out(dir: &Path, erased: Option<&Erased>) -> Result<Vec<u64>> {
    let Some(erased) = erased else { return Ok(Vec::new()) };
    let reader = Reader::open(dir).map_err(crate::ledger_errors)?;
    let exports = reader.of_kinds(&[Kind::Export]).map_err(crate::ledger_errors)?;
    let may_hold = |row: &Row| {
        let body: serde_json::Value =
            serde_json::from_str(row.body.as_deref().unwrap_or_default()).unwrap_or_default();
        row.member == Some(erased.member) || body["what"] == "rows" && body["event_ids"] != false
    };
    Ok(exports.iter().filter(|row| may_hold(row)).map(|row| row.seq.0).collect())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "all other errors mean what they mean everywhere")]
fn errors(error: ledger::Error) -> Failure {
    use ledger::{Error, KeyError};
    match error {
        Error::Keys(KeyError::Erased(_)) | Error::Held { .. } => Failure::found_bad(error),
        Error::UnknownMember(_) | Error::TooLarge { .. } | Error::NamesMember => Failure::usage(error),
        Error::ReadMeanwhile => Failure::unavailable(error),
        other => crate::ledger_errors(other),
    }
}

fn show(
    args: &Args,
    erased: Option<&Erased>,
    handed_out: &[u64],
    (events, rewards): (usize, usize),
    mentions: usize,
) -> Result<()> {
    if args.output == Document::Json {
        return output::json(&json!({
            "member": erased.map(|erased| erased.member), "row": erased.map(|erased| erased.seq.0),
            "rows_emptied": erased.map_or(0, |erased| erased.rows),
            "dead_letters_emptied": erased.map_or(0, |erased| erased.dead_letters),
            "exports_handed_out": handed_out,
            "event_ids_of_others": erased.map_or(0, |erased| erased.mentions),
            "nats": args.nats.as_ref().map(|_| json!({ "events_deleted": events, "rewards_deleted": rewards, "events_of_others_left": mentions })),
        }));
    }
    match erased {
        Some(erased) => output::line(&format!(
            "row {}: member {} is erased: key destroyed, {} rows and {} refused events emptied",
            erased.seq,
            erased.member,
            grouped(erased.rows),
            grouped(erased.dead_letters)
        ))?,
        None => output::line("no member of this ledger has this identifier; nothing to erase in it")?,
    }
    if let Some(mentions) = erased.map(|erased| erased.mentions).filter(|mentions| *mentions > 0) {
        output::say(&format!(
            "{} rows hold this identifier where it is left, as part of what is proven: in an event id of another member, \
             or in what people wrote; have services publish ids that name nobody",
            grouped(mentions)
        ));
    }
    if !handed_out.is_empty() {
        let rows: Vec<String> = handed_out.iter().map(u64::to_string).collect();
        output::say(&format!(
            "files were handed out that may hold what was erased here; destroy them, too: rows {} say by whom and what for",
            rows.join(", ")
        ));
    }
    match &args.nats {
        Some(url) => {
            output::line(&format!("{events} events and {rewards} rewards deleted at {}", redacted(url)))?;
            if mentions > 0 {
                output::say(&format!(
                    "{mentions} events of other members name this one in other fields; they are left, for nobody knows \
                     whether a node took them yet, and the server drops them by age"
                ));
            }
        }
        None => output::say(
            "a NATS server keeps raw events for seven days: where one is used, run this again with --nats and the \
             member's own identifier",
        ),
    }
    Ok(())
}
