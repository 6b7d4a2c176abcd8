//! `largesse stop` and `largesse resume`: kill switches.

use policies::RewardKind;
use policies::registry::{Step, Target, describe};

use crate::exit::Result;
use crate::policy::take;
use crate::signing::Keyed;

pub const AFTER_HELP: &str = "\
A switch holds within a second, survives restarts and other policies, and is a row of the ledger.
What was promised before stays promised; of it, what the message bus had not taken yet is held back, and goes out
when the switch is off if it still stands then. `largesse resume` turns it off.";

/// Which part of the program.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Part {
    /// Everything
    #[arg(long)]
    program: bool,
    /// One segment
    #[arg(long, value_name = "ID")]
    segment: Option<String>,
    /// One reward
    #[arg(long, value_name = "ID")]
    reward: Option<String>,
    /// Every reward of a kind: points, voucher, shipping, experience, partner
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<RewardKind>,
    /// Every reward of a partner, by the name the catalog gives
    #[arg(long, value_name = "NAME")]
    partner: Option<String>,
    /// One moment
    #[arg(long, value_name = "ID")]
    moment: Option<String>,
    /// Whatever a rule lets through: the segment, reward or moment whose condition it is
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
}

fn kind(text: &str) -> std::result::Result<RewardKind, String> {
    RewardKind::from_name(text)
        .ok_or_else(|| format!("one of {}", RewardKind::ALL.map(RewardKind::name).join(", ")))
}

impl Part {
    fn target(&self) -> Target {
        let segment = self.segment.clone().map(Target::Segment);
        let reward = self.reward.clone().map(Target::Reward);
        let kind = self.kind.map(Target::Kind);
        let partner = self.partner.clone().map(Target::Partner);
        let moment = self.moment.clone().map(Target::Moment);
        let rule = self.rule.clone().map(Target::Rule);
        segment.or(reward).or(kind).or(partner).or(moment).or(rule).unwrap_or(Target::Program)
    }
}

/// A kill switch, by whom and why.
#[derive(clap::Args)]
pub struct Switch {
    #[command(flatten)]
    part: Part,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    keyed: Keyed,
}

pub fn stop(args: &Switch) -> Result {
    let target = args.part.target();
    let done = format!("{} is stopped", describe(&target));
    let found = args.keyed.place.find()?;
    take(&args.keyed, &found, Step::Stop { target, note: args.note.clone() }, &done)
}

pub fn resume(args: &Switch) -> Result {
    let target = args.part.target();
    let done = format!("{} runs again", describe(&target));
    let found = args.keyed.place.find()?;
    take(&args.keyed, &found, Step::Resume { target, note: args.note.clone() }, &done)
}
