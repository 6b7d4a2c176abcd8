//! The life of policies: who handed in what, who approved it, what is in force, what is stopped.
//!
//! Every step is a row of the ledger; [`Registry`] is the fold of those rows and the rules for the next. It checks
//! no signature (the ledger crate knows keys) and reads no clock: a statement comes with the person it was
//! verified to be from, and with the time.
//!
//! draft -> submit (checked, tested) -> assess (impact report) -> approve (by somebody else, bound to bundle and report)
//! -> shadow (computed beside, decides nothing) -> canary (decides for a share of the members) -> schedule or
//! activate -> superseded or rolled back.

mod admit;
mod canary;
mod impact;
mod refusal;
mod step;
mod switches;

use std::collections::{BTreeMap, BTreeSet};

pub use domain::statement::Person;
use domain::statement::Taken;
use domain::{DecisionId, Digest, Timestamp};

pub use canary::{Canary, CanarySide, Share, Sides};
pub use impact::{Affected, Burn, Change, Flip, IMPACT_VERSION, Impact, Slice, report_of};
pub use refusal::{Refusal, Since, describe, explain, percent};
pub use step::{Due, Role, Signed, Statement, Step, Target, VERSION};

use crate::bundle::{Bundle, Stops};
use switches::turned_off;

/// An approval that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub by: String,
    /// The key it was signed with: it counts as long as that key is an approver's.
    pub key: String,
    pub at: Timestamp,
    pub impact: Digest,
}

/// A bundle that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub by: String,
    /// The key it was signed with: whoever approves has another one, whatever they are called by then.
    pub key: String,
    pub at: Timestamp,
    pub note: String,
    /// The tests it passed when it was handed in; those of earlier builds were not recorded.
    pub tests: Option<Digest>,
    /// The newest impact report.
    pub impact: Option<Digest>,
    /// What was in force when that was recorded: what it compares with.
    pub against: Option<Digest>,
    /// Who recorded it, and their key: whoever approves looks at numbers of somebody else.
    pub assessed_by: Option<(String, String)>,
    /// Those that count; a roll-back of the bundle ends them.
    pub approvals: Vec<Approval>,
    /// When a roll-back last took it back.
    pub taken_back: Option<Timestamp>,
    /// When its shadow, canary or schedule was last withdrawn.
    pub withdrawn: Option<Timestamp>,
}

impl Version {
    /// Whether somebody approved it with its newest report.
    pub fn is_approved(&self) -> bool {
        self.impact.is_some_and(|impact| self.approvals.iter().any(|approval| approval.impact == impact))
    }
}

/// What was in force, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reign {
    pub bundle: Digest,
    pub since: Timestamp,
    /// A person or a schedule put it in force; otherwise it is what the node was configured with.
    pub chosen: bool,
}

/// A bundle that waits for its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheduled {
    pub bundle: Digest,
    pub at: Timestamp,
    /// The statement's id.
    pub by_statement: String,
}

/// The registry of one ledger.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Identity of the ledger.
    ledger: String,
    versions: BTreeMap<Digest, Version>,
    /// What is and was in force, oldest first; a roll-back removes what it rolls back.
    reigns: Vec<Reign>,
    scheduled: Option<Scheduled>,
    /// Computed beside what is in force, since when.
    shadows: BTreeMap<Digest, Timestamp>,
    canary: Option<Canary>,
    /// Since when.
    stopped: BTreeMap<Target, Timestamp>,
    /// Promises that waited and that somebody answered about.
    answered: BTreeSet<DecisionId>,
    taken: Taken,
    /// The newest time of any step: a schedule waits until the clock has passed it again.
    newest: Option<Timestamp>,
}

impl Registry {
    /// The registry of a ledger before its first row.
    pub fn new(ledger: &str) -> Registry {
        Registry { ledger: ledger.to_owned(), ..Registry::default() }
    }

    /// The bundle a person or a schedule put in force; absent while a node decides by its configuration.
    pub fn chosen(&self) -> Option<Digest> {
        self.reigns.last().filter(|reign| reign.chosen).map(|reign| reign.bundle)
    }

    /// What is in force.
    pub fn in_force(&self) -> Option<Digest> {
        self.reigns.last().map(|reign| reign.bundle)
    }

    /// What a roll-back would put back.
    pub fn before(&self) -> Option<Digest> {
        self.reigns.iter().rev().nth(1).map(|reign| reign.bundle)
    }

    /// What is and was in force, oldest first.
    pub fn reigns(&self) -> &[Reign] {
        &self.reigns
    }

    /// Every bundle that was handed in.
    pub fn versions(&self) -> &BTreeMap<Digest, Version> {
        &self.versions
    }

    /// What waits for its time.
    pub fn scheduled(&self) -> Option<&Scheduled> {
        self.scheduled.as_ref()
    }

    /// Bundles in shadow, since when.
    pub fn shadows(&self) -> &BTreeMap<Digest, Timestamp> {
        &self.shadows
    }

    /// The canary under way.
    pub fn canary(&self) -> Option<Canary> {
        self.canary
    }

    /// Whether a node decides in the same way by both: the same bundle, canary and switches.
    pub fn decides_as(&self, other: &Registry) -> bool {
        self.in_force() == other.in_force()
            && self.canary == other.canary
            && self.stopped.keys().eq(other.stopped.keys())
    }

    /// Whether somebody answered about a promise that waited.
    pub fn is_answered(&self, decision: DecisionId) -> bool {
        self.answered.contains(&decision)
    }

    /// Everything that is stopped.
    pub fn stopped(&self) -> &BTreeMap<Target, Timestamp> {
        &self.stopped
    }

    /// Whether what is scheduled will come into force at its time: its approval still stands, and is for a change of
    /// what is in force.
    ///
    /// # Errors
    /// Why not.
    pub fn scheduled_stands(&self) -> Result<(), Refusal> {
        self.scheduled.as_ref().map_or(Ok(()), |scheduled| self.approved_now(scheduled.bundle))
    }

    /// The scheduled bundle whose time has come, if it still stands.
    pub fn due(&self, now: Timestamp) -> Option<&Scheduled> {
        // A clock behind the last step is wrong; it must not decide what time it is.
        let is_behind = self.newest.is_some_and(|newest| now < newest);
        let is_due = |scheduled: &&Scheduled| !is_behind && scheduled.at <= now;
        self.scheduled.as_ref().filter(is_due).filter(|_| self.scheduled_stands().is_ok())
    }

    /// The kill switches as positions in a bundle; ids it does not have are kept for the bundles that do.
    pub fn stops(&self, bundle: &Bundle) -> Stops {
        let mut stops = Stops::default();
        for more in self.stopped.keys().filter_map(|target| turned_off(target, bundle)) {
            stops = stops.and(more);
        }
        stops
    }

    /// Kill switches that turn nothing off in a bundle: what they name has another id there, or is gone.
    pub fn idle_stops<'a>(&'a self, bundle: &'a Bundle) -> impl Iterator<Item = &'a Target> {
        self.stopped.keys().filter(|target| turned_off(target, bundle).is_none())
    }

    /// Folds a statement that was recorded at a time of the node's clock.
    pub fn take(&mut self, signed: &Signed, at: Timestamp) {
        let Signed { statement, key, .. } = signed;
        self.taken.take(&statement.id);
        self.newest = self.newest.max(Some(at));
        let by = &statement.by;
        match &statement.step {
            Step::Submit { bundle, note, tests } => {
                let version = Version {
                    by: by.clone(),
                    key: key.clone(),
                    at,
                    note: note.clone(),
                    tests: *tests,
                    impact: None,
                    against: None,
                    assessed_by: None,
                    approvals: Vec::new(),
                    taken_back: None,
                    withdrawn: None,
                };
                self.versions.insert(*bundle, version);
            }
            Step::Assess { bundle, impact } => {
                let against = self.in_force();
                if let Some(version) = self.versions.get_mut(bundle) {
                    (version.impact, version.against) = (Some(*impact), against);
                    version.assessed_by = Some((by.clone(), key.clone()));
                }
            }
            Step::Approve { bundle, impact, .. } => {
                if let Some(version) = self.versions.get_mut(bundle) {
                    let approval = Approval { by: by.clone(), key: key.clone(), at, impact: *impact };
                    version.approvals.push(approval);
                }
            }
            Step::Schedule { bundle, at } => {
                let by_statement = statement.id.clone();
                self.scheduled = Some(Scheduled { bundle: *bundle, at: *at, by_statement });
            }
            Step::Activate { bundle } => {
                self.reign(*bundle, at, true);
                // What somebody chose now goes before what was to come earlier and did not.
                self.scheduled = self.scheduled.take().filter(|scheduled| scheduled.at > at);
            }
            Step::Shadow { bundle } => {
                self.shadows.insert(*bundle, at);
            }
            Step::Canary { bundle, share } => {
                self.canary = Some(Canary { of: Share { bundle: *bundle, share: *share }, since: at });
            }
            Step::Withdraw { bundle } => {
                if let Some(version) = self.versions.get_mut(bundle) {
                    version.withdrawn = Some(at);
                }
                self.shadows.remove(bundle);
                self.canary = self.canary.filter(|canary| canary.of.bundle != *bundle);
                self.scheduled = self.scheduled.take().filter(|scheduled| scheduled.bundle != *bundle);
            }
            Step::RollBack { to, .. } => {
                // A canary was measured against what is taken back, and what was to come followed on it.
                self.canary = None;
                self.scheduled = None;
                let earlier = self.reigns.iter().rev().skip(1).position(|reign| reign.bundle == *to);
                let kept = self.reigns.len().saturating_sub(2 + earlier.unwrap_or(0));
                // Whoever approved what is taken back did not know why it would be.
                for reign in self.reigns.drain(kept..).filter(|reign| reign.bundle != *to) {
                    if let Some(version) = self.versions.get_mut(&reign.bundle) {
                        version.approvals.clear();
                        version.taken_back = Some(at);
                    }
                }
                self.reigns.push(Reign { bundle: *to, since: at, chosen: true });
            }
            Step::Stop { target, .. } => {
                self.stopped.insert(target.clone(), at);
            }
            Step::Resume { target, .. } => {
                self.stopped.remove(target);
            }
            Step::Answer { decision, .. } => {
                self.answered.insert(*decision);
            }
        }
    }

    /// Folds a schedule that came due.
    pub fn take_due(&mut self, due: &Due, at: Timestamp) {
        self.reign(due.bundle, at, true);
    }

    /// Folds the start of a run.
    pub fn started(&mut self, bundle: Digest, at: Timestamp) {
        if self.in_force() != Some(bundle) {
            self.reign(bundle, at, false);
        }
    }

    fn reign(&mut self, bundle: Digest, since: Timestamp, chosen: bool) {
        if let Some(reign) = self.reigns.last_mut().filter(|reign| reign.bundle == bundle) {
            // Nothing goes before it but what went before.
            reign.chosen |= chosen;
            self.scheduled = self.scheduled.take().filter(|scheduled| scheduled.bundle != bundle);
            return;
        }
        self.scheduled = self.scheduled.take().filter(|scheduled| scheduled.bundle != bundle);
        self.shadows.remove(&bundle);
        self.canary = None;
        self.reigns.push(Reign { bundle, since, chosen });
    }
}
