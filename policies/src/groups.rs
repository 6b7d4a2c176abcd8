//! Who is in the control group, and which events explore: draws that depend on nothing but their inputs.

use domain::random::{DrawPurpose, draw_ppm};
use domain::{EventId, MemberId, Timestamp};

use crate::bundle::{Bundle, Sticky};

impl Bundle {
    /// Whether the member belongs to the control group at this time.
    ///
    /// With `sticky = "quarter"` the group is drawn anew each calendar quarter of the program's time zone; a
    /// new bundle with the same salt keeps everybody where they are.
    pub fn is_control(&self, member: MemberId, at: Timestamp) -> bool {
        let experiments = &self.experiments;
        let period = match experiments.sticky {
            Sticky::Quarter => self.quarter(at),
            Sticky::Always => 0,
        };
        draw_ppm(experiments.seed, member.as_u128(), period, DrawPurpose::Holdout) < experiments.holdout.0
    }

    /// The position of the member's variant, from 1; 0 when in none. It stays for as long as the salt does.
    pub fn variant_of(&self, member: MemberId) -> u8 {
        let experiments = &self.experiments;
        let draw = draw_ppm(experiments.seed, member.as_u128(), 0, DrawPurpose::Variant);
        let mut taken = 0;
        for (position, variant) in (1..).zip(&experiments.variants) {
            taken += variant.share.0;
            if draw < taken {
                return position;
            }
        }
        0
    }

    /// Whether this event is in the exploration share.
    pub fn explores(&self, member: MemberId, event: &EventId) -> bool {
        let experiments = &self.experiments;
        let draw = draw_ppm(experiments.seed, member.as_u128(), event.hash64(), DrawPurpose::Explore);
        draw < experiments.exploration.0
    }

    /// Calendar quarters since year zero.
    fn quarter(&self, at: Timestamp) -> u64 {
        let instant = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let local = self.program.zone.to_datetime(instant);
        let quarter = i64::from(local.year()) * 4 + i64::from((local.month() - 1) / 3);
        quarter.unsigned_abs()
    }
}
