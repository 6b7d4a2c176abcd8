//! Rewards that a segment favours and a rule denies to every one of its members.
//!
//! A rule that denies some of them is no contradiction: guardrails are there to narrow. It is one when the lever
//! can never take effect.

use domain::{Milli, SegmentIndex};

use super::promises::{Refused, Shown};
use super::terms::{By, Term};
use super::{Analysis, Witness, listed};
use crate::bundle::Stops;
use crate::codes::Code;

impl<'a> Analysis<'a> {
    /// Reports every favour that can never take effect because rules deny it.
    pub(super) fn favoured_and_denied(&mut self, refused: &Refused) {
        if self.terms.denies.is_empty() {
            return;
        }
        let bundle = self.bundle;
        for (segment, terms) in bundle.segments.iter().enumerate() {
            let favoured = terms.levers.iter().enumerate().filter(|(_, lever)| **lever > Milli::ONE);
            for (reward, _) in favoured {
                self.favour(segment, reward, refused);
            }
        }
    }

    fn favour(&mut self, segment: usize, reward: usize, refused: &Refused) {
        let members = self.members(segment);
        let mut denied: Option<(Vec<&'a Term>, usize)> = None;
        for at in 0..self.bundle.moments.len() {
            let lists = self.bundle.moments[at].rewards >> reward & 1 == 1;
            if !lists || refused.contains(at, reward) {
                continue;
            }
            let asked: Vec<&'a Term> =
                self.promise(Some(at), reward).into_iter().chain(members.iter().copied()).collect();
            let about = [self.segment_name(segment), self.reward_name(reward)];
            if !self.never(&asked, &about) {
                return;
            }
            let is_deny = |term: &&&Term| matches!(term.by, By::Deny(_));
            let without: Vec<&'a Term> = asked.iter().filter(|term| !is_deny(term)).copied().collect();
            if self.ask(&without).row().is_some() && denied.is_none() {
                denied = Some((asked, at));
            }
        }
        if let Some((asked, moment)) = denied {
            self.report_favour(segment, reward, moment, &asked);
        }
    }

    /// What makes a member belong to a segment.
    pub(super) fn members(&self, segment: usize) -> Vec<&'a Term> {
        let segments = &self.terms.segments;
        let earlier = segments[..segment].iter().map(|earlier| &earlier.not_member);
        earlier.chain(&segments[segment].when).collect()
    }

    fn report_favour(&mut self, segment: usize, reward: usize, moment: usize, asked: &[&'a Term]) {
        let is_deny = |term: &&&Term| matches!(term.by, By::Deny(_));
        let mut denies: Vec<&'a Term> = self.core(&[], asked).iter().filter(is_deny).copied().collect();
        let mut others = asked.iter().filter(is_deny);
        // Where several rules each deny every member, nobody is denied by one of them alone.
        let witness = loop {
            if let Shown::By(witness) = self.refused_row(asked, &denies, moment, Some(reward)) {
                break witness;
            }
            let Some(other) = others.find(|other| denies.iter().all(|deny| deny.by != other.by)) else {
                return;
            };
            denies.push(other);
        };
        let denying = self.names(&denies);
        if !self.belongs(&witness, segment) {
            return;
        }
        let (name, terms) = (self.segment_name(segment), &self.bundle.segments[segment]);
        let lever = terms.levers[reward].0;
        let message = format!(
            "`{}` is favoured here (lever {lever}) and denied to every member by {}",
            self.bundle.rewards[reward].id,
            listed(&denying)
        );
        let help = "take the lever out, or narrow the rule";
        let rules = [name.clone(), self.reward_name(reward)].into_iter().chain(denying).collect();
        self.report(Code::FavouredAndDenied, &name, message, help, rules, Some(*witness));
    }

    /// Whether the engine puts the member of a witness into a segment.
    fn belongs(&self, witness: &Witness, segment: usize) -> bool {
        let found = witness.row().map(|facts| self.bundle.segment_of(&facts, Stops::default()));
        matches!(found, Some(Ok(SegmentIndex(found))) if usize::from(found) == segment)
    }
}
