//! Segments and moments that earlier ones leave nothing for.

use domain::SegmentIndex;

use super::terms::{By, Term};
use super::{Analysis, Dead, listed, witness};
use crate::bundle::{MomentIndex, Stops};
use crate::codes::Code;

impl<'a> Analysis<'a> {
    /// Reports segments all of whose members belong to earlier ones.
    pub(super) fn shadowed_segments(&mut self, dead: &Dead) {
        let terms = self.terms;
        for (at, segment) in terms.segments.iter().enumerate() {
            let own: Vec<&'a Term> = segment.when.iter().collect();
            let earlier = terms.segments[..at].iter().map(|earlier| &earlier.not_member);
            let asked: Vec<&'a Term> = earlier.chain(own.iter().copied()).collect();
            if dead.segments[at] || !self.never(&asked, &[self.segment_name(at)]) {
                continue;
            }
            let core = self.core(&[], &asked);
            let taken: Vec<usize> = core
                .iter()
                .filter_map(|term| if let By::Segment(at) = term.by { Some(at) } else { None })
                .collect();
            let shown = self.ask(&own).row();
            let earlier = |facts| {
                let found = self.bundle.segment_of(facts, Stops::default());
                found.is_ok_and(|SegmentIndex(found)| usize::from(found) < at)
            };
            // What the engine does otherwise is not reported.
            if shown.as_ref().is_some_and(|facts| !earlier(facts)) {
                continue;
            }
            let mut all_read = own.clone();
            all_read.extend(taken.iter().map(|at| &terms.segments[*at].not_member));
            let witness = shown.map(|facts| witness(&facts, &all_read, None, None));
            let names: Vec<String> = taken.iter().map(|at| self.segment_name(*at)).collect();
            let name = self.segment_name(at);
            let message = format!(
                "no member reaches this segment: all it describes belong to {} before",
                listed(&names)
            );
            let help = "move it further up, or describe others";
            let rules = std::iter::once(name.clone()).chain(names).collect();
            self.report(Code::ShadowedSegment, &name, message, help, rules, witness);
        }
    }

    /// Reports moments all of whose events are earlier ones; which moments never happen, for this or another
    /// reason.
    pub(super) fn shadowed_moments(&mut self, dead: &Dead) -> Vec<bool> {
        let terms = self.terms;
        let mut never = dead.moments.clone();
        for (at, moment) in terms.moments.iter().enumerate() {
            let own: Vec<&'a Term> = std::iter::once(&moment.trigger).chain(&moment.when).collect();
            let earlier = terms.moments[..at].iter().map(|earlier| &earlier.not_taken);
            let asked: Vec<&'a Term> = earlier.chain(own.iter().copied()).collect();
            if dead.moments[at] || !self.never(&asked, &[self.moment_name(at)]) {
                continue;
            }
            let core = self.core(&[], &asked);
            let taken: Vec<usize> = core
                .iter()
                .filter_map(|term| if let By::Moment(at) = term.by { Some(at) } else { None })
                .collect();
            let shown = self.ask(&own).row();
            let earlier = |facts| {
                let found = super::witness::moment_of(self.bundle, facts);
                found.is_some_and(|MomentIndex(found)| usize::from(found) < at)
            };
            if shown.as_ref().is_some_and(|facts| !earlier(facts)) {
                continue;
            }
            never[at] = true;
            let mut all_read = own.clone();
            all_read.extend(taken.iter().map(|at| &terms.moments[*at].not_taken));
            let witness = shown.map(|facts| witness(&facts, &all_read, Some(&self.bundle.moments[at]), None));
            let names: Vec<String> = taken.iter().map(|at| self.moment_name(*at)).collect();
            let name = self.moment_name(at);
            let message = format!("no event reaches this moment: {} takes them all before", listed(&names));
            let help = "move it further up, or give the earlier one a condition";
            let rules = std::iter::once(name.clone()).chain(names).collect();
            self.report(Code::ShadowedMoment, &name, message, help, rules, witness);
        }
        never
    }
}
