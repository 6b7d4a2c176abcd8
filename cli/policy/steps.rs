//! The signed steps: `largesse policy submit|approve|shadow|canary|activate|withdraw|rollback`, and what kill switches share with them.

use std::path::PathBuf;

use agents::policy::budgets::pays_for_nothing;
use domain::{Digest, Ppm, Timestamp};
use ledger::Reader;
use policies::registry::{Step, describe, percent};
use runtime::opening::recorded_bundle;
use runtime::registry;
use sim::impact::Impact;

use super::impact::covered;
use super::place::Found;
use super::report::{otherwise, recheck};
use crate::exit::{Failure, Result, Verdict};
use crate::output;
use crate::signing::{Keyed, ledger_of, put, signed};

/// Hand in a checked and tested bundle
#[derive(clap::Args)]
pub struct Submit {
    /// Folder of the bundle
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// What changes and why, for whoever approves it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Approve a submitted bundle with the impact report you looked at
#[derive(clap::Args)]
#[command(after_help = "\
The report is computed again from the same recorded events first: one that comes out otherwise is not approved
(exit 3). Over NATS the events are out of reach, so the report's numbers are its author's word, and the history
says so: run `largesse policy report BUNDLE --dir DIR --recheck` where the ledger is. It is said how much of the
ledger the report is about; one about no event is refused where the ledger holds some.")]
pub struct Approve {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    /// Digest of the impact report you looked at
    #[arg(long, value_name = "DIGEST")]
    impact: Digest,
    /// Do not compute the report again: its numbers are then its author's word
    #[arg(long)]
    unchecked: bool,
    /// libonnxruntime.so to score with instead of the embedded engine
    #[arg(long, value_name = "FILE", env = "ORT_DYLIB_PATH")]
    onnxruntime: Option<PathBuf>,
    #[command(flatten)]
    keyed: Keyed,
}

/// Put an approved bundle in force, now or at a time
#[derive(clap::Args)]
pub struct Activate {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    /// When, instead of now (RFC 3339)
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    #[command(flatten)]
    keyed: Keyed,
}

/// Have it computed beside what is in force what a submitted bundle would decide
#[derive(clap::Args)]
#[command(after_help = "\
A shadow decides nothing: it is computed from the log, by `largesse policy impact DIGEST --log DIR --shadow`,
which counts what happened since the bundle went into shadow, and with --follow goes on as rows arrive.")]
pub struct Shadow {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Let an approved bundle decide for a share of the members
#[derive(clap::Args)]
#[command(after_help = "\
Which members follows from the bundle and the member alone: nobody changes sides while the canary lasts, and
whoever the candidate decides about stays with it when the share grows. The candidate may spend the same share
of every budget and limit; it is said when that pays for no reward. Repeat the command with another share to widen or narrow it, `largesse policy activate` to take
everybody, `largesse policy withdraw` to end it.")]
pub struct Canary {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    /// Of all members, in per cent: 5, 0.5
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    share: Ppm,
    #[command(flatten)]
    keyed: Keyed,
}

/// Take back a shadow, a canary or a schedule
#[derive(clap::Args)]
pub struct Withdraw {
    /// The bundle: its folder, its digest, or the digest's first digits
    #[arg(value_name = "BUNDLE")]
    bundle: String,
    #[command(flatten)]
    keyed: Keyed,
}

/// Put back in force what was in force before
#[derive(clap::Args)]
#[command(after_help = "\
A canary ends with it; to end only the canary, withdraw it. What was promised stays promised.")]
pub struct Rollback {
    /// While a canary is under way: end it, and go back to what was in force before as well
    #[arg(long)]
    with_canary: bool,
    /// What to put back, when what was in force just before is no good either: any bundle that was in force; what came
    /// into force after it is passed over
    #[arg(long, value_name = "BUNDLE")]
    to: Option<String>,
    #[command(flatten)]
    keyed: Keyed,
}

/// Per cent as people write them, exact to a ten-thousandth.
fn share(text: &str) -> std::result::Result<Ppm, String> {
    let wrong = || format!("{text:?} is no share: write per cent, such as 5 or 0.5");
    let (whole, part) =
        text.trim_end_matches('%').trim().split_once('.').unwrap_or((text.trim_end_matches('%').trim(), ""));
    if part.len() > 4 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u32 = whole.parse().map_err(|_| wrong())?;
    let part: u32 = format!("{part:0<4}").parse().map_err(|_| wrong())?;
    whole.checked_mul(10_000).and_then(|whole| whole.checked_add(part)).map(Ppm).ok_or_else(wrong)
}

pub fn submit(args: &Submit) -> Result {
    let bundle = super::check::must_hold(&args.bundle)?;
    let tests = super::test::must_pass(&args.bundle, &bundle)?;
    let canonical = String::from_utf8_lossy(bundle.canonical()).into_owned();
    let step = Step::Submit { bundle: bundle.digest(), note: args.note.clone(), tests: Some(tests.digest()) };
    let found = args.keyed.place.find()?;
    let along = Along { attachment: Some(canonical), tests: Some(tests.canonical()) };
    take_with(&args.keyed, &found, step, along, &format!("submitted {}", bundle.digest()))
}

pub fn approve(args: &Approve) -> Result {
    let found = args.keyed.place.find()?;
    let bundle = found.digest(&args.bundle)?;
    let mut unchecked = true;
    say_idle_stops(&found, bundle)?;
    if let Found::Folder(dir, reader) = &found
        && let Some(report) = approved_report(reader, bundle, args.impact)?
    {
        output::say(&covers(reader, &report)?);
        if !args.unchecked {
            let again = recheck(dir, reader, &report, args.onnxruntime.as_deref())?;
            if again != args.impact {
                output::say(&format!("not approved: {}", otherwise(again)));
                return Ok(Verdict::FoundBad);
            }
            unchecked = false;
        }
    }
    let step = Step::Approve { bundle, impact: args.impact, unchecked };
    take(&args.keyed, &found, step, &format!("approved {bundle}"))
}

/// The recorded report with the digest that is approved. One that is not the newest is for the registry to refuse.
fn approved_report(reader: &Reader, bundle: Digest, impact: Digest) -> Result<Option<Impact>> {
    let row = registry::report(reader, bundle).map_err(crate::node_errors)?;
    let text = row.and_then(|row| row.body).filter(|text| Digest::of(text.as_bytes()) == impact);
    text.map(|text| serde_json::from_str(&text).map_err(Failure::runtime)).transpose()
}

/// How much of the ledger a report is about, so that nobody approves what little somebody chose for what there is.
fn covers(reader: &Reader, report: &Impact) -> Result<String> {
    let rows = registry::event_rows(reader).map_err(crate::node_errors)?;
    Ok(format!(
        "the report is about {}; the ledger holds {} rows of events, timers among them",
        covered(report),
        output::grouped(rows)
    ))
}

pub fn activate(args: &Activate) -> Result {
    let found = args.keyed.place.find()?;
    let bundle = found.digest(&args.bundle)?;
    say_idle_stops(&found, bundle)?;
    match args.at {
        Some(at) => {
            let step = Step::Schedule { bundle, at };
            take(&args.keyed, &found, step, &format!("{bundle} goes into force at {at}"))
        }
        None => take(&args.keyed, &found, Step::Activate { bundle }, &format!("{bundle} is in force")),
    }
}

/// Says which kill switches that are on would stop nothing under a bundle: of a renamed reward everything goes on.
fn say_idle_stops(found: &Found, bundle: Digest) -> Result<()> {
    let Found::Folder(dir, reader) = found else { return Ok(()) };
    let Ok(bundle) = recorded_bundle(reader, bundle) else { return Ok(()) };
    let identity = ledger::identity_of(dir).map_err(crate::ledger_errors)?.unwrap_or_default();
    let registry = registry::load(reader, &identity).map_err(crate::node_errors)?;
    for target in registry.idle_stops(&bundle) {
        output::say(&format!(
            "note: the kill switch on {} is on and stops nothing under this policy, where that has another name or is gone",
            describe(target)
        ));
    }
    Ok(())
}

pub fn shadow(args: &Shadow) -> Result {
    let found = args.keyed.place.find()?;
    let bundle = found.digest(&args.bundle)?;
    take(&args.keyed, &found, Step::Shadow { bundle }, &format!("{bundle} is in shadow"))
}

pub fn canary(args: &Canary) -> Result {
    let found = args.keyed.place.find()?;
    let bundle = found.digest(&args.bundle)?;
    if let Found::Folder(_, reader) = &found
        && let Ok(candidate) = recorded_bundle(reader, bundle)
    {
        for name in pays_for_nothing(&candidate, args.share) {
            let share = percent(args.share);
            output::say(&format!(
                "note: {share} of {name} pays for no reward, so it promises nothing from there"
            ));
        }
    }
    let done = format!("{bundle} decides for {} of the members", percent(args.share));
    take(&args.keyed, &found, Step::Canary { bundle, share: args.share }, &done)
}

pub fn withdraw(args: &Withdraw) -> Result {
    let found = args.keyed.place.find()?;
    let bundle = found.digest(&args.bundle)?;
    take(&args.keyed, &found, Step::Withdraw { bundle }, &format!("{bundle} is withdrawn"))
}

pub fn rollback(args: &Rollback) -> Result {
    let found = args.keyed.place.find()?;
    if let (Some(canary), false) = (found.canary()?, args.with_canary) {
        return Err(Failure::usage(format!(
            "{canary} is a canary: `largesse policy withdraw {}` ends it and changes nothing else; --with-canary ends \
             it and takes the policy in force back, too",
            canary.short()
        )));
    }
    let to = match &args.to {
        Some(to) => found.digest(to)?,
        None => {
            found.before()?.ok_or_else(|| Failure::usage("nothing was in force before the present policy"))?
        }
    };
    let from = found.in_force()?;
    take(&args.keyed, &found, Step::RollBack { to, from }, &format!("{to} is in force again"))
}

/// Signs a step, has it judged and recorded, and says what became of it.
///
/// # Errors
/// Exit 3 with a code when it is refused; exit 4 when nobody could judge it.
pub fn take(keyed: &Keyed, found: &Found, step: Step, done: &str) -> Result {
    take_with(keyed, found, step, Along::default(), done)
}

/// What goes along with a statement that names it.
#[derive(Default)]
pub struct Along {
    pub attachment: Option<String>,
    pub tests: Option<String>,
}

/// As [`take`], with what the step names.
///
/// # Errors
/// As [`take`].
pub fn take_with(keyed: &Keyed, found: &Found, step: Step, along: Along, done: &str) -> Result {
    let signed = signed(&keyed.person()?, ledger_of(keyed, found)?, step);
    let Along { attachment, tests } = along;
    put(keyed, found, &registry::Request { signed, attachment, tests }.into(), done, None)
}
