//! Which rows a person asks for: the same options for lists, counts and exports.

use domain::{Digest, MemberId, Outcome, Reason, Timestamp};
use ledger::{Filter, Kind};
use serde_json::{Value, json};

/// Which rows
#[derive(clap::Args)]
pub struct Asked {
    /// Rows of one kind: decision, observed, dead_letter, certificate, budget, bundle, ...
    #[arg(long, value_name = "KIND", value_parser = kind)]
    pub kind: Option<Kind>,
    /// Decisions with one outcome: granted, none, suppressed, denied, control, pending, fallback
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    pub outcome: Option<Outcome>,
    /// Rows with one reason, e.g. QUIET_HOURS (`largesse explain` lists them)
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Option<Reason>,
    /// Decisions in one segment
    #[arg(long, value_name = "ID")]
    pub segment: Option<String>,
    /// Decisions that promised one reward
    #[arg(long, value_name = "ID")]
    pub reward: Option<String>,
    /// Rows about one member, by whole pseudonym; the table shows its first 8 digits, `--output json` all
    #[arg(long, value_name = "HEX")]
    pub member: Option<MemberId>,
    /// Decisions by one policy, by whole digest (`log facets --by policy` shows them)
    #[arg(long, value_name = "DIGEST")]
    pub policy: Option<Digest>,
    /// Decisions scored by one set of models, by whole digest (`log facets --by models` shows them)
    #[arg(long, value_name = "DIGEST")]
    pub models: Option<Digest>,
    /// About events of this time or later (RFC 3339, or a day, which begins at midnight UTC); rows about no event go by when they were recorded
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    pub since: Option<Timestamp>,
    /// About events before this time
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    pub until: Option<Timestamp>,
    /// Recorded at this time or later
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    pub recorded_since: Option<Timestamp>,
    /// Recorded before this time
    #[arg(long, value_name = "TIME", value_parser = super::day_or_time)]
    pub recorded_until: Option<Timestamp>,
}

impl Asked {
    /// The filter that lets these rows through.
    pub fn filter(&self) -> Filter {
        Filter {
            kind: self.kind,
            outcome: self.outcome,
            reason: self.reason,
            segment: self.segment.clone(),
            reward: self.reward.clone(),
            member: self.member,
            bundle: self.policy,
            models: self.models,
            since: self.since,
            until: self.until,
            recorded_since: self.recorded_since,
            recorded_until: self.recorded_until,
            ..Filter::default()
        }
    }

    /// What was asked for, as it is written down in a manifest.
    pub fn to_json(&self) -> Value {
        let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
        let asked = json!({
            "kind": self.kind.map(Kind::name),
            "outcome": self.outcome.map(Outcome::name),
            "reason": self.reason.map(Reason::name),
            "segment": self.segment,
            "reward": self.reward,
            "member": self.member,
            "policy": self.policy,
            "models": self.models,
            "since": time(self.since),
            "until": time(self.until),
            "recorded_since": time(self.recorded_since),
            "recorded_until": time(self.recorded_until),
        });
        let Value::Object(asked) = asked else { return asked };
        asked.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    /// What to say when no row matches: an empty list may be an answer, or a misspelt id.
    pub fn nothing(&self) -> &'static str {
        if self.segment.is_none() && self.reward.is_none() {
            return "no row matches";
        }
        "no row matches; the ids of segments and rewards are in the policy (`largesse log list --kind bundle` \
         finds the rows that hold it, `largesse log show` prints one)"
    }
}

fn kind(text: &str) -> Result<Kind, String> {
    let names = || Kind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
    Kind::from_name(text).ok_or_else(|| format!("one of {}", names()))
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let names = || Outcome::ALL.iter().map(|outcome| outcome.name()).collect::<Vec<_>>().join(", ");
    Outcome::from_name(text).ok_or_else(|| format!("one of {}", names()))
}

fn reason(text: &str) -> Result<Reason, String> {
    Reason::from_name(&text.to_uppercase())
        .ok_or_else(|| "no such reason; `largesse explain` lists them".to_owned())
}
