//! Why a step is not taken.

use domain::statement::Unheard;
use domain::{DecisionId, Digest, Ppm, Timestamp};

use super::step::Target;

/// Why a step is not taken. Nothing changes then, and what is in force stays in force.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Unheard(#[from] Unheard),
    #[error("no bundle {0} was submitted here; `largesse policy history` lists them")]
    UnknownBundle(Digest),
    #[error("bundle {0} was already submitted")]
    KnownBundle(Digest),
    #[error("the bundle sent along cannot be taken as {expected}: {why}")]
    OtherBundle { expected: Digest, why: String },
    #[error("bundle {0} has no impact report yet; `largesse policy impact` makes and records one")]
    NotAssessed(Digest),
    #[error(
        "impact report {impact} compares no event, and the ledger holds {rows} rows of events: `largesse policy impact` makes one \
         that does"
    )]
    NothingCompared { impact: Digest, rows: u64 },
    #[error("the newest impact report of this bundle is {newest}, not {approved}: look at that one")]
    StaleApproval { approved: Digest, newest: Digest },
    #[error("{0} submitted this bundle, and nobody approves their own")]
    OwnWork(String),
    #[error("{0} recorded the report, and nobody approves by a report of their own")]
    OwnReport(String),
    #[error("{0} approved it, and is no approver with that key in people.toml any more")]
    ApproverGone(String),
    #[error("bundle {bundle} contradicts itself: {why}")]
    Contradiction { bundle: Digest, why: String },
    #[error("bundle {bundle} is not tested: {why}")]
    Untested { bundle: Digest, why: String },
    #[error("bundle {0} is not approved")]
    NotApproved(Digest),
    #[error("bundle {0} was in force and was taken back; its approval ended with that")]
    TakenBack(Digest),
    #[error("bundle {0} is in force already")]
    InForce(Digest),
    #[error("bundle {0} was never in force before this one")]
    NotBefore(Digest),
    #[error("it takes back {}, and {} is in force", named(.from), named(.in_force))]
    TakesBackOther { from: Option<Digest>, in_force: Option<Digest> },
    #[error("it was signed before {what}, at {since}; look again, and sign it anew if you mean it still")]
    SignedBefore { what: Since, since: Timestamp },
    #[error("{0} lies in the past; activate it, or name a later time")]
    Past(Timestamp),
    #[error("{} is stopped already", describe(.0))]
    Stopped(Target),
    #[error("{} is not stopped", describe(.0))]
    NotStopped(Target),
    #[error("there is no {} that could be stopped; {help}", describe(.target))]
    UnknownTarget { target: Target, help: String },
    #[error("bundle {0} is in shadow already")]
    InShadow(Digest),
    #[error("a canary takes more than none and less than all of the members, not {}", percent(*.0))]
    NoShare(Ppm),
    #[error("bundle {0} is the canary; withdraw it, or activate it, before another one begins")]
    OtherCanary(Digest),
    #[error("the report sent along is not the one the statement names, {0}")]
    OtherReport(Digest),
    #[error("bundle {0} is scheduled; withdraw it before another one is")]
    OtherSchedule(Digest),
    #[error("bundle {0} was approved with an older impact report; it takes an approval with the newest")]
    NewerReport(Digest),
    #[error("bundle {0} is neither in shadow, nor a canary, nor scheduled")]
    NotStaged(Digest),
    #[error("promise {0} was already answered")]
    Answered(DecisionId),
    #[error("{decision} does not wait for anybody: {why}")]
    NotWaiting { decision: DecisionId, why: String },
    #[error("{0} is stopped; what it would promise cannot be approved")]
    StoppedPromise(String),
    #[error("what was sent along is no impact report of {bundle} that can be approved: {why}")]
    NoReport { bundle: Digest, why: String },
    #[error("bundle {0} is scheduled, and a new report would undo its approval; withdraw it first")]
    Scheduled(Digest),
    #[error("the note {0}")]
    BadNote(String),
    #[error("what the ledger would have to keep has {found} bytes, at most {max} are kept")]
    TooLarge { found: usize, max: usize },
    #[error("its newest report compares with {against}, and {in_force} is in force: assess it again")]
    ComparedWithOther { against: Digest, in_force: Digest },
}

/// A bundle, or that there is none.
fn named(bundle: &Option<Digest>) -> String {
    bundle.map_or_else(|| "no bundle".to_owned(), |bundle| format!("bundle {bundle}"))
}

/// A share in per cent, as people say it.
pub fn percent(share: Ppm) -> String {
    let (whole, rest) = (share.0 / 10_000, share.0 % 10_000);
    if rest == 0 { format!("{whole} %") } else { format!("{whole}.{rest:04} %") }
}

/// A target as people say it.
pub fn describe(target: &Target) -> String {
    match target {
        Target::Program => "the program".to_owned(),
        Target::Segment(id) => format!("segment {id}"),
        Target::Reward(id) => format!("reward {id}"),
        Target::Kind(kind) => format!("reward kind {}", kind.name()),
        Target::Partner(name) => format!("partner {name}"),
        Target::Moment(id) => format!("moment {id}"),
        Target::Rule(id) => format!("rule {id}"),
    }
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::Unheard(unheard) => unheard.code(),
            Refusal::UnknownBundle(_) => "REG0009",
            Refusal::KnownBundle(_) => "REG0010",
            Refusal::OtherBundle { .. } => "REG0011",
            Refusal::NotAssessed(_) => "REG0012",
            Refusal::StaleApproval { .. } => "REG0013",
            Refusal::OwnWork(_) => "REG0014",
            Refusal::NotApproved(_) => "REG0015",
            Refusal::InForce(_) => "REG0016",
            Refusal::TakenBack(_) => "REG0047",
            Refusal::NotBefore(_) => "REG0017",
            Refusal::Past(_) => "REG0018",
            Refusal::Stopped(_) => "REG0019",
            Refusal::NotStopped(_) => "REG0020",
            Refusal::UnknownTarget { .. } => "REG0021",
            Refusal::InShadow(_) => "REG0026",
            Refusal::NoShare(_) => "REG0027",
            Refusal::OtherCanary(_) => "REG0028",
            Refusal::NotStaged(_) => "REG0029",
            Refusal::OtherSchedule(_) => "REG0030",
            Refusal::OtherReport(_) => "REG0031",
            Refusal::NewerReport(_) => "REG0015",
            Refusal::Answered(_) => "REG0032",
            Refusal::NotWaiting { .. } => "REG0033",
            Refusal::StoppedPromise(_) => "REG0034",
            Refusal::NoReport { .. } => "REG0035",
            Refusal::Scheduled(_) => "REG0036",
            Refusal::BadNote(_) => "REG0037",
            Refusal::TooLarge { .. } => "REG0038",
            Refusal::ComparedWithOther { .. } => "REG0039",
            Refusal::OwnReport(_) => "REG0040",
            Refusal::ApproverGone(_) => "REG0041",
            Refusal::Contradiction { .. } => "REG0042",
            Refusal::Untested { .. } => "REG0043",
            Refusal::NothingCompared { .. } => "REG0045",
            Refusal::TakesBackOther { .. } => "REG0044",
            Refusal::SignedBefore { .. } => "REG0046",
        }
    }
}

/// What somebody who signed earlier had not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Since {
    InForce(Digest),
    TakenBack(Digest),
    Withdrawn(Digest),
    Stopped(Target),
}

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Since::InForce(bundle) => write!(f, "{bundle} came into force"),
            Since::TakenBack(bundle) => write!(f, "{bundle} was taken back"),
            Since::Withdrawn(bundle) => write!(f, "{bundle} was withdrawn"),
            Since::Stopped(target) => write!(f, "{} was stopped", describe(target)),
        }
    }
}

/// What to do about each code; `largesse explain REG0014`.
pub fn explain(code: &str) -> Option<&'static str> {
    let page = match code {
        "REG0001" => {
            "The statement was made by another version of this program. Use the version the node runs."
        }
        "REG0002" => "A signature counts for one ledger. Name the folder of the ledger you mean with --dir.",
        "REG0003" => {
            "Only people in people.toml, in the ledger's folder, are heard. `largesse people add` adds somebody."
        }
        "REG0004" => {
            "Each name has one key. If the key was lost, take the person out of people.toml and add them again."
        }
        "REG0005" => {
            "The statement is not the one that was signed, or was signed by another key. Nothing was changed. Take the step again; if it happens again, somebody is tampering with the inbox."
        }
        "REG0006" => "Each statement is taken once. Take the step again if you mean it twice.",
        "REG0007" => {
            "Statements are taken within an hour of their signature, so that nobody uses an old one. Check both clocks."
        }
        "REG0008" => {
            "Authors hand in, assess and shadow; approvers approve policies and promises, schedule, start canaries, activate and resume, and confirm reversals in cases; operators stop, withdraw, decline promises and roll back; auditors keep cases. Ask somebody with the role, or change people.toml."
        }
        "REG0009" => {
            "Only bundles that were handed in can be approved or activated. `largesse policy submit DIR` hands one in. A changed file makes another bundle."
        }
        "REG0010" => "This exact bundle is in the registry. Go on with its digest.",
        "REG0011" => {
            "What was sent along is not the bundle the statement names, or cannot live in this ledger: it has mistakes, another program name, another currency or budget periods of another length."
        }
        "REG0012" => {
            "Nobody approves what nobody looked at. `largesse policy impact DRAFT --log DIR --key FILE` makes and records a report."
        }
        "REG0013" => "A newer report exists than the one you name. Look at it and approve with its digest.",
        "REG0014" => "Whoever hands a policy in does not approve it, whatever other roles they have.",
        "REG0015" => {
            "A bundle goes into force after somebody else approved it with its newest impact report."
        }
        "REG0016" => "Nothing to do: decisions are made by this bundle already.",
        "REG0017" => {
            "A roll-back goes back to what was in force before: one step, or with --to further. A bundle that was rolled back does not count as having been in force."
        }
        "REG0018" => {
            "The time has passed on the node's clock. Activate the bundle at once, or name a later time."
        }
        "REG0019" => "Nothing to do: this kill switch is on already.",
        "REG0020" => "Nothing to do: this kill switch is off.",
        "REG0021" => {
            "A kill switch names the program, or a segment, reward, kind of reward, partner, moment or rule of the policy in force. A guardrail cannot be stopped: that would not be the safe direction."
        }
        "REG0022" => "The registry begins with the first run of a node. Start one, or run the demo.",
        "REG0023" => "The file in the inbox is not a request, or too large.",
        "REG0024" => {
            "The ledger could not be read, or the node that holds it did not answer in time. Look with `largesse policy status` or `policy history` whether it took the step meanwhile, then ask again."
        }
        "REG0026" => "Nothing to do: `largesse policy shadow` shows what it would decide.",
        "REG0027" => {
            "A share lies between 0 % and 100 %, both excluded. To take everybody, activate the bundle."
        }
        "REG0028" => {
            "Two canaries at once could not be told apart in their effects. `largesse policy withdraw` ends the one under way."
        }
        "REG0031" => {
            "A report is recorded with its digest, so that whoever approves can read it. `largesse policy impact --key` sends both."
        }
        "REG0030" => "One bundle waits for its time at once. `largesse policy withdraw` takes it back.",
        "REG0029" => {
            "Only a shadow, a canary or a schedule can be withdrawn. What is in force is rolled back."
        }
        "REG0032" => "A promise is answered once. `largesse pending list` shows those that still wait.",
        "REG0033" => {
            "Only a decision with the outcome `pending`, whose time has not run out, can be approved or declined. `largesse pending list` shows them, `largesse log show ID` shows one."
        }
        "REG0034" => {
            "A kill switch holds for promises that wait, too. Decline the promise, or resume first what is stopped."
        }
        "REG0035" => {
            "An approval is bound to what changes: a report compares the bundle with what is in force, in the form `largesse policy impact --key` makes. `largesse policy report --recheck` computes one again from the same events."
        }
        "REG0036" => {
            "`largesse policy withdraw` takes the schedule back; the bundle then needs an approval with the new report."
        }
        "REG0037" => {
            "Notes are one line of at most 500 characters that can be seen: they stay in the ledger and are shown as they are."
        }
        "REG0038" => {
            "A row of the ledger holds at most 4 MiB. A bundle of that size is mostly comments or generated text: make it smaller. Nothing was changed."
        }
        "REG0039" => {
            "An approval is about a change from one policy to another. Something else came into force since the report was made: `largesse policy impact DRAFT --log DIR --key FILE` makes a new one, to be approved again."
        }
        "REG0040" => {
            "An approval says that somebody else looked at the numbers. Have the report recorded by the author, or approved by a third person."
        }
        "REG0041" => {
            "An approval counts as long as whoever gave it is an approver with the same key: somebody who left, or whose key was stolen, decides nothing any more. Have the bundle approved again."
        }
        "REG0042" => {
            "The node searches every bundle for contradictions itself, whatever the author's program said. `largesse policy check DIR` shows them with an example."
        }
        "REG0043" => {
            "The node runs the tests that are handed in with a bundle itself, and keeps them. `largesse policy test DIR` shows which fail and how; a bundle needs at least one."
        }
        "REG0044" => {
            "Something else came into force since you looked, and a roll-back takes back only what its signature names. `largesse policy status` shows what is in force now; take the step again if you mean that. Where it takes back no bundle, it was signed by an older version of this program."
        }
        "REG0045" => {
            "A report about no event says nothing about what the policy would change: it was made while the ledger was empty, or with `--shadow` before anything happened. Have its author record one over the events there are, look at it and approve that one."
        }
        "REG0047" => {
            "A roll-back ends the approvals of what it takes back: whoever gave them did not know what would come of it. Look at the report \
             again, or have another one made, and approve it anew; the bundle itself needs not be handed in again."
        }
        "REG0046" => {
            "Something else came into force after you signed, or what you sign for was taken back, withdrawn or stopped since. `largesse policy status` shows what is in force now; take the step again if you mean it still, and check your clock if you have only just signed."
        }
        "REG0025" => "people.toml cannot be read, or one name or key stands in it twice.",
        _ => return None,
    };
    Some(page)
}
