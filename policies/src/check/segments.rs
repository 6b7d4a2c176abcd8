//! segments.toml.

use domain::{Milli, Reason};

use super::Checker;
use super::conditions::Place;
use crate::bundle::{RewardKind, SEGMENTS_MAX, Segment};
use crate::documents::{self, catalog, segments};
use crate::source::File;

const FILE: File = File::Segments;
impl Checker<'_> {
    /// Segments without their priors, which the catalog declares.
    pub(super) fn segments(
        &mut self,
        document: &segments::Segments,
        catalog: Option<&catalog::Catalog>,
    ) -> Vec<Segment> {
        self.ids(FILE, document.segment.iter().map(|segment| &segment.id));
        self.list_length(FILE, 0..0, document.segment.len(), SEGMENTS_MAX, "segments");
        let kinds: Vec<RewardKind> =
            catalog.iter().flat_map(|document| &document.reward).map(|reward| reward.kind).collect();
        document.segment.iter().map(|segment| self.segment(segment, &kinds)).collect()
    }

    fn segment(&mut self, document: &segments::Segment, kinds: &[RewardKind]) -> Segment {
        let place = Place {
            file: FILE,
            owner: format!("{}.when", document.id.get_ref()),
            reason: Reason::NoSegment,
            text: "The member does not belong to this group.",
            reward: false,
        };
        Segment {
            id: document.id.get_ref().clone(),
            name: self.not_empty(FILE, &document.name),
            autonomy: document.autonomy,
            when: self.conditions(&place, &document.when),
            floor: document.floor.as_ref().map_or(0, |floor| {
                let why = "leave floor out when nothing is owed";
                self.count(FILE, floor, 1..=1_000_000_000, why)
            }),
            ceiling: document.ceiling.as_ref().and_then(|ceiling| {
                let id = format!("{}.ceiling", document.id.get_ref());
                let text = "This reward is meant for other members.";
                let rule = self.rule(FILE, &ceiling.span(), id, Reason::SegmentCeiling, text);
                Some((self.money(FILE, ceiling)?, rule))
            }),
            levers: self.levers(&document.levers, kinds),
            priors: Vec::new(),
        }
    }

    fn levers(&mut self, document: &segments::Levers, kinds: &[RewardKind]) -> Vec<Milli> {
        let mut levers = vec![Milli::ONE; kinds.len()];
        for (name, count) in &document.kinds {
            let milli = self.milli(FILE, count);
            match RewardKind::from_name(name.get_ref()) {
                Some(kind) => {
                    let of_kind = levers.iter_mut().zip(kinds).filter(|(_, found)| **found == kind);
                    of_kind.for_each(|(lever, _)| *lever = milli);
                }
                None => {
                    self.unknown_word(FILE, name, "a kind of reward", &RewardKind::ALL.map(RewardKind::name))
                }
            }
        }
        for (name, count) in &document.rewards {
            let milli = self.milli(FILE, count);
            if let Some(at) = self.reward_ref(FILE, name) {
                levers[at] = milli;
            }
        }
        levers
    }

    /// Priors per reward, in catalog order, for the segment at a position.
    pub(super) fn priors(&mut self, document: &documents::catalog::Catalog) -> Vec<Vec<domain::Ppm>> {
        let mut table = vec![Vec::new(); self.segment_ids.len()];
        for reward in &document.reward {
            let default = self.share(File::Catalog, &reward.prior.default);
            let mut row = vec![default; table.len()];
            for (name, share) in &reward.prior.segments {
                let share = self.share(File::Catalog, share);
                if let Some(at) = self.segment_ref(File::Catalog, name) {
                    row[at] = share;
                }
            }
            table.iter_mut().zip(row).for_each(|(priors, prior)| priors.push(prior));
        }
        table
    }
}
