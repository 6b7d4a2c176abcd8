//! The rules of a policy's life: who may take which step, and what has to come before it.

use domain::statement::is_unseen;
use domain::{Digest, Ppm, Timestamp};

use super::switches::{near, turned_off};
use super::{Approval, Person, Refusal, Registry, Since, Statement, Step, Version};
use crate::bundle::Bundle;

/// Longest note: a paragraph; longer reasons belong where they can be changed.
const NOTE_CHARS_MAX: usize = 500;

impl Registry {
    /// Whether a person may take a step now.
    ///
    /// `bundles` are those that decide or are about to, for the names of kill switches.
    ///
    /// # Errors
    /// Why not.
    pub fn admit(
        &self,
        statement: &Statement,
        person: &Person,
        now: Timestamp,
        bundles: &[Bundle],
    ) -> Result<(), Refusal> {
        self.taken.admit(statement, person, statement.step.roles(), &self.ledger, now)?;
        self.admit_step(&statement.step, person, now, bundles)?;
        self.signed_since(statement)
    }

    /// Refuses to bring something on for somebody who signed before it was turned off, or before what is in force came: a request
    /// that was held back undoes no roll-back, no withdrawal and no kill switch.
    fn signed_since(&self, statement: &Statement) -> Result<(), Refusal> {
        let in_force = || self.reigns.last().map(|reign| (reign.since, Since::InForce(reign.bundle)));
        let version = |bundle: &Digest| self.versions.get(bundle);
        let withdrawn = |bundle: &Digest| Some((version(bundle)?.withdrawn?, Since::Withdrawn(*bundle)));
        let seen = match &statement.step {
            Step::Activate { bundle } | Step::Schedule { bundle, .. } | Step::Canary { bundle, .. } => {
                [in_force(), withdrawn(bundle)]
            }
            Step::Shadow { bundle } => [withdrawn(bundle), None],
            Step::Approve { bundle, .. } => {
                let taken_back = version(bundle).and_then(|version| version.taken_back);
                [taken_back.map(|since| (since, Since::TakenBack(*bundle))), None]
            }
            Step::Resume { target, .. } => {
                [self.stopped.get(target).map(|since| (*since, Since::Stopped(target.clone()))), None]
            }
            Step::Submit { .. }
            | Step::Assess { .. }
            | Step::Withdraw { .. }
            | Step::RollBack { .. }
            | Step::Stop { .. }
            | Step::Answer { .. } => [None, None],
        };
        match seen.into_iter().flatten().find(|(since, _)| statement.at < *since) {
            Some((since, what)) => Err(Refusal::SignedBefore { what, since }),
            None => Ok(()),
        }
    }

    fn admit_step(
        &self,
        step: &Step,
        person: &Person,
        now: Timestamp,
        bundles: &[Bundle],
    ) -> Result<(), Refusal> {
        check_note(step)?;
        match step {
            Step::Submit { bundle, .. } if self.versions.contains_key(bundle) => {
                Err(Refusal::KnownBundle(*bundle))
            }
            Step::Submit { .. } => Ok(()),
            // A new report would undo the approval that the schedule rests on.
            Step::Assess { bundle, .. } if self.is_scheduled(*bundle) => Err(Refusal::Scheduled(*bundle)),
            Step::Assess { bundle, .. } => self.version(*bundle).map(|_| ()),
            Step::Approve { bundle, impact, .. } => {
                let version = self.version(*bundle)?;
                let newest = version.impact.ok_or(Refusal::NotAssessed(*bundle))?;
                if newest != *impact {
                    return Err(Refusal::StaleApproval { approved: *impact, newest });
                }
                self.compared(version)?;
                if version.by == person.name || version.key == person.key {
                    return Err(Refusal::OwnWork(person.name.clone()));
                }
                let assessed_by = version.assessed_by.as_ref();
                if assessed_by.is_some_and(|(name, key)| *name == person.name || *key == person.key) {
                    return Err(Refusal::OwnReport(person.name.clone()));
                }
                Ok(())
            }
            Step::Schedule { bundle, .. } if self.in_force() == Some(*bundle) => {
                Err(Refusal::InForce(*bundle))
            }
            Step::Schedule { bundle, at } => {
                let other = self.scheduled.as_ref().filter(|scheduled| scheduled.bundle != *bundle);
                if let Some(other) = other {
                    return Err(Refusal::OtherSchedule(other.bundle));
                }
                self.approved_now(*bundle)?;
                if *at <= now { Err(Refusal::Past(*at)) } else { Ok(()) }
            }
            Step::Activate { bundle } => {
                if self.in_force() == Some(*bundle) {
                    return Err(Refusal::InForce(*bundle));
                }
                self.approved_now(*bundle)
            }
            Step::Shadow { bundle } if self.shadows.contains_key(bundle) => Err(Refusal::InShadow(*bundle)),
            Step::Shadow { bundle } => self.version(*bundle).map(|_| ()),
            Step::Canary { bundle, share } => {
                if self.in_force() == Some(*bundle) {
                    return Err(Refusal::InForce(*bundle));
                }
                if share.0 == 0 || share.0 >= Ppm::ONE.0 {
                    return Err(Refusal::NoShare(*share));
                }
                match self.canary {
                    Some(other) if other.of.bundle != *bundle => Err(Refusal::OtherCanary(other.of.bundle)),
                    Some(_) | None => self.approved_now(*bundle),
                }
            }
            Step::Withdraw { bundle } if self.is_staged(*bundle) => Ok(()),
            Step::Withdraw { bundle } => Err(Refusal::NotStaged(*bundle)),
            Step::RollBack { to, .. } if self.in_force() == Some(*to) => Err(Refusal::InForce(*to)),
            // Whoever looked before something else came into force means what they saw.
            Step::RollBack { from, .. } if *from != self.in_force() => {
                Err(Refusal::TakesBackOther { from: *from, in_force: self.in_force() })
            }
            Step::RollBack { to, .. } if self.reigns.iter().any(|reign| reign.bundle == *to) => Ok(()),
            Step::RollBack { to, .. } => Err(Refusal::NotBefore(*to)),
            Step::Stop { target, .. } => {
                if self.stopped.contains_key(target) {
                    return Err(Refusal::Stopped(target.clone()));
                }
                match bundles.iter().any(|bundle| turned_off(target, bundle).is_some()) {
                    true => Ok(()),
                    false => {
                        Err(Refusal::UnknownTarget { target: target.clone(), help: near(target, bundles) })
                    }
                }
            }
            Step::Resume { target, .. } if self.stopped.contains_key(target) => Ok(()),
            Step::Resume { target, .. } => Err(Refusal::NotStopped(target.clone())),
            Step::Answer { decision, .. } if self.answered.contains(decision) => {
                Err(Refusal::Answered(*decision))
            }
            Step::Answer { .. } => Ok(()),
        }
    }

    /// Whether the bundle is in shadow, a canary or scheduled.
    fn is_staged(&self, bundle: Digest) -> bool {
        self.shadows.contains_key(&bundle)
            || self.canary.is_some_and(|canary| canary.of.bundle == bundle)
            || self.is_scheduled(bundle)
    }

    fn is_scheduled(&self, bundle: Digest) -> bool {
        self.scheduled.as_ref().is_some_and(|scheduled| scheduled.bundle == bundle)
    }

    fn version(&self, bundle: Digest) -> Result<&Version, Refusal> {
        self.versions.get(&bundle).ok_or(Refusal::UnknownBundle(bundle))
    }

    /// Whether somebody who still may approved a bundle with its newest report.
    ///
    /// # Errors
    /// When nobody did, or whoever did may not any more.
    pub fn approved_by_any(
        &self,
        bundle: Digest,
        may_still: impl Fn(&Approval) -> bool,
    ) -> Result<(), Refusal> {
        self.approved(bundle)?;
        let version = self.version(bundle)?;
        let counts = |approval: &&Approval| Some(approval.impact) == version.impact;
        let newest = version.approvals.iter().rfind(counts).ok_or(Refusal::NotApproved(bundle))?;
        match version.approvals.iter().filter(counts).any(may_still) {
            true => Ok(()),
            false => Err(Refusal::ApproverGone(newest.by.clone())),
        }
    }

    /// Whether it is approved, and for a change of what is in force now.
    pub(super) fn approved_now(&self, bundle: Digest) -> Result<(), Refusal> {
        self.approved(bundle)?;
        self.compared(self.version(bundle)?)
    }

    /// Whether the newest report of a bundle compares it with what is in force now.
    fn compared(&self, version: &Version) -> Result<(), Refusal> {
        match (version.against, self.in_force()) {
            (Some(against), Some(in_force)) if against != in_force => {
                Err(Refusal::ComparedWithOther { against, in_force })
            }
            _ => Ok(()),
        }
    }

    fn approved(&self, bundle: Digest) -> Result<(), Refusal> {
        let version = self.version(bundle)?;
        match (version.is_approved(), version.approvals.is_empty()) {
            (true, _) => Ok(()),
            (false, true) if version.taken_back.is_some() => Err(Refusal::TakenBack(bundle)),
            (false, true) => Err(Refusal::NotApproved(bundle)),
            (false, false) => Err(Refusal::NewerReport(bundle)),
        }
    }
}

/// Whether what a person wrote can be shown as they wrote it.
fn check_note(step: &Step) -> Result<(), Refusal> {
    let note = step.note().unwrap_or_default();
    let count = note.chars().count();
    if count > NOTE_CHARS_MAX {
        return Err(Refusal::BadNote(format!("has {count} characters, at most {NOTE_CHARS_MAX} are kept")));
    }
    if note.chars().any(is_unseen) {
        return Err(Refusal::BadNote("holds a line break or another character nobody sees".to_owned()));
    }
    Ok(())
}
