//! Reason codes: one closed list of every answer to "why?" and "why not?".
//!
//! A code's number and name never change meaning and are never reused; new codes are added at the end of
//! their block. Each has a member-safe or operator text and a page (`largesse explain CODE`).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Who a reason speaks about; decides the outcome a moment ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The reward was chosen.
    Chosen,
    /// The member may not be considered at all.
    Denied,
    /// The program holds itself back.
    Suppressed,
    /// The reward is not for this member or moment.
    Ineligible,
    /// Another use of the money is worth more.
    Economic,
    /// The system answered with its safe default.
    Fallback,
    /// The event was refused at the door.
    DeadLetter,
}

macro_rules! reasons {
    ($($number:literal $variant:ident $class:ident $name:literal $text:literal $page:literal)*) => {
        /// Why a candidate won or lost, why a moment ended as it did, or why an event was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $text] $variant = $number,)* }

        impl Reason {
            /// Every reason, by number.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The stable number written in records.
            pub fn number(self) -> u8 { self as u8 }

            /// The reason with this number.
            pub fn from_number(number: u8) -> Option<Reason> {
                match number { $($number => Some(Reason::$variant),)* _ => None }
            }

            /// The stable name, e.g. `QUIET_HOURS`.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// One line for people.
            pub fn text(self) -> &'static str {
                match self { $(Reason::$variant => $text,)* }
            }

            /// What it means and what to do about it.
            pub fn page(self) -> &'static str {
                match self { $(Reason::$variant => $page,)* }
            }

            /// Who it speaks about.
            pub fn class(self) -> Class {
                match self { $(Reason::$variant => Class::$class,)* }
            }
        }
    };
}

reasons! {
    1 Chosen Chosen "CHOSEN" "the best positive net value among the candidates"
        "The candidate's value for this member, after the segment's lever, exceeded its price (budget prices and inventory price) and the member's own opportunity price by more than any other candidate did."

    10 NoConsent Denied "NO_CONSENT" "the member has not consented to this purpose"
        "No model ran and no personal fact was read. A consent event for the purpose lifts this from the next event on."
    11 Objected Denied "OBJECTED" "the member objected to profiling"
        "GDPR Art. 21. No model ran. Only the member can lift this, with an objection event that is not active."
    12 Minor Denied "MINOR" "the member is a minor"
        "The program excludes minors from personalised rewards."
    13 KillSwitch Denied "KILL_SWITCH" "an operator stopped this program, segment or reward"
        "A kill switch in the policy bundle or set by an operator covers this candidate. It stays until it is lifted."
    14 Erased Denied "ERASED" "the member's data was erased"
        "The member's key was destroyed; nothing personal can be read."

    20 ComplaintOpen Suppressed "COMPLAINT_OPEN" "the member has a recent or open complaint"
        "Offers wait until the complaint is resolved and the waiting time in guardrails.toml has passed."
    21 RecentRefund Suppressed "RECENT_REFUND" "a recent purchase was reversed"
        "Offers wait for the time guardrails.toml gives after a reversal."
    22 SensitiveContext Suppressed "SENSITIVE_CONTEXT" "the member was recently in a sensitive context"
        "Offers wait for the time guardrails.toml gives after a sensitive context; which one is not kept."
    23 QuietHours Suppressed "QUIET_HOURS" "it is quiet time for the member"
        "No message is sent during the quiet hours of the program's time zone."
    24 MemberCap Suppressed "MEMBER_CAP" "the member received as many rewards as a window allows"
        "A frequency cap per member in guardrails.toml is used up; it frees itself as grants leave the window."
    25 CoolDown Suppressed "COOL_DOWN" "too little time since the member's last reward"
        "The cool-down in guardrails.toml has not passed."
    26 RewardCap Suppressed "REWARD_CAP" "the member received this reward as often as a window allows"
        "A frequency cap per reward in guardrails.toml is used up for this member."
    27 ProvisionalFact Suppressed "PROVISIONAL_FACT" "the promise would rest on a purchase that may still be taken back"
        "The moment does not allow provisional facts. The same moment can be granted once the event settles."
    28 GuardrailDenied Suppressed "GUARDRAIL_DENIED" "a guardrail rule of the policy denied it"
        "The rule is named in the finding; `largesse log explain` shows its condition and the actual values."
    29 RiskLimit Suppressed "RISK_LIMIT" "the event's risk score is above the policy's limit"
        "The producer's fraud system gave the event a higher risk score than risk_max in guardrails.toml allows. An event without a score counts as 0."

    40 NotEligible Ineligible "NOT_ELIGIBLE" "an eligibility condition of the reward is not met"
        "The condition is named in the finding; `largesse log explain` shows required and actual values."
    41 NotInMoment Ineligible "NOT_IN_MOMENT" "the reward does not compete in this moment"
        "moments.toml lists which rewards compete in each moment."
    42 NoSegment Ineligible "NO_SEGMENT" "no segment of the policy describes the member"
        "segments.toml is read in order; add a last segment without conditions to catch everybody."
    43 IneligibleAtCommit Ineligible "INELIGIBLE_AT_COMMIT" "eligible when scored, no longer when the promise was to be made"
        "Conditions are evaluated again at the moment of commitment (invariant E-1)."
    44 MaxDiscount Ineligible "MAX_DISCOUNT" "the reward would exceed the highest discount on this purchase"
        "A value rail in guardrails.toml bounds the reward's cost against the amount of the event."
    45 MinMargin Ineligible "MIN_MARGIN" "too little would be left of this purchase"
        "A value rail in guardrails.toml: of the purchase's gross margin, less the reward's face cost, at least the share under [margin] must be left."
    46 SegmentCeiling Ineligible "SEGMENT_CEILING" "the reward costs more than a member of this segment may be promised"
        "segments.toml sets a ceiling on the face cost of one promise in this segment."
    47 ExclusiveReward Ineligible "EXCLUSIVE_REWARD" "an exclusive reward is open to the member at this moment"
        "catalog.toml marks a reward as exclusive: where a member may have it, nothing else competes. Where two were open at once, neither is promised: the policy checker refuses such policies (POL0082)."
    48 PartnerTerms Ineligible "PARTNER_TERMS" "the partner's agreement ends before the promise would"
        "catalog.toml gives the last day of the partner's agreement; a promise that could still be used after it is not made."
    49 VariantWithheld Ineligible "VARIANT_WITHHELD" "the member's experiment variant leaves this reward out"
        "experiments.toml sets aside a share of members who are not offered this reward, so that its effect can be measured."

    60 Outbid Economic "OUTBID" "another candidate was worth more"
        "It had a positive net value, but the chosen candidate's was higher."
    61 PricedOut Economic "PRICED_OUT" "its price exceeded its value for this member"
        "The negotiated price of the money (or of the last units) is higher than what the reward is expected to bring here; the same money does more elsewhere."
    62 NoValue Economic "NO_VALUE" "it is not expected to change anything for this member"
        "Save probability times customer value is zero or negative."
    63 GlobalBudget Economic "GLOBAL_BUDGET" "the program's budget for now is used"
        "The global escrow could not cover the face cost. Budgets are hard: nothing is promised that cannot be paid."
    64 SegmentBudget Economic "SEGMENT_BUDGET" "the segment's budget for now is used"
        "The segment's escrow could not cover the face cost."
    65 Inventory Economic "INVENTORY" "no unit of the reward is left"
        "The reward's inventory is used up or held by pending approvals."
    66 Pacing Economic "PACING" "the spending limit of this negotiation period is reached"
        "The grant limiter keeps one burst from taking what later moments need."
    67 NotTried Economic "NOT_TRIED" "better candidates were refused and no more attempts were allowed"
        "At most three candidates are tried per moment."
    68 NoCandidate Economic "NO_CANDIDATE" "no reward could be considered"
        "Every candidate was excluded before valuation; each carries its own reason."
    69 ExposureLimit Economic "EXPOSURE_LIMIT" "as much as allowed is promised and not yet used"
        "The exposure limit of the program, the segment or the partner is reached. It frees itself as promises are used, expire or are cancelled."
    70 WindowBudget Economic "WINDOW_BUDGET" "the budget of this window of time is used"
        "A window budget of the program, the segment or the partner is used; the next window opens a new one."

    80 ControlGroup Denied "CONTROL_GROUP" "the member belongs to the control group"
        "A fixed share of members gets no promises so that the program's effect can be measured."
    81 ApprovalRequired Fallback "APPROVAL_REQUIRED" "a person has to approve this promise first"
        "The unit cost is at or above the escalation limit."
    82 LeaderSilent Fallback "LEADER_SILENT" "prices were too old to spend by"
        "No price table arrived within its time to live; after a period of rising caution nothing is promised."
    83 ModelUnavailable Fallback "MODEL_UNAVAILABLE" "a model could not score the member; the closed-form fallback did"
        "The model was missing, failed, or returned a value out of range."
    84 DeadlinePassed Fallback "DEADLINE_PASSED" "the moment had passed before it could be decided"
        "The event waited longer than its level allows."
    87 EscalationLimit Economic "ESCALATION_LIMIT" "as many promises as allowed wait for a person"
        "The promise would need a person's approval, and [escalation] in program.toml bounds how many may wait. Another reward may be promised instead."
    86 Shadow Ineligible "SHADOW" "the segment is run in shadow: recorded, never promised"
        "segments.toml sets autonomy = \"shadow\" for the segment. `best_net` of the decision says what it would have been worth."
    85 StaleMoment Suppressed "STALE_MOMENT" "the event is too old for a reward to make sense"
        "Late events update what is known about the member but do not cause promises."

    100 MalformedJson DeadLetter "MALFORMED_JSON" "the event is not the JSON object it should be"
        "The position is in the detail. The original bytes are kept in the dead-letter row."
    101 NotUtf8 DeadLetter "NOT_UTF8" "the event is not UTF-8 text"
        "Send JSON in UTF-8."
    102 EventTooLarge DeadLetter "EVENT_TOO_LARGE" "the event is larger than allowed"
        "Send references, not documents."
    103 UnknownType DeadLetter "UNKNOWN_TYPE" "the event type is unknown"
        "The detail lists the accepted types."
    104 MissingField DeadLetter "MISSING_FIELD" "a required field is missing"
        "The field is named."
    105 BadField DeadLetter "BAD_FIELD" "a field has a value that cannot be used"
        "The field is named and the detail says what was expected."
    106 AmountOutOfRange DeadLetter "AMOUNT_OUT_OF_RANGE" "an amount is negative or absurdly large"
        "Take money back with a reversal event, not with a negative amount."
    107 TimeInFuture DeadLetter "TIME_IN_FUTURE" "the event claims to be from the future"
        "Check the producer's clock and time zone."
    108 TimeTooOld DeadLetter "TIME_TOO_OLD" "the event is older than the program accepts"
        "Import older history as a batch with a wider limit."
    109 DuplicateEvent DeadLetter "DUPLICATE_EVENT" "an event with this id was already accepted"
        "The first one stands. A redelivery of the identical message is answered silently with the stored decision."
    110 UnknownMember DeadLetter "UNKNOWN_MEMBER" "the member is not enrolled"
        "The program accepts events of known members only; send an enrolment first or set `members = \"enrol\"`."
    111 Poison DeadLetter "POISON" "handling the event failed every time it was tried"
        "The event was quarantined so that others are not held up. The detail has the last failure."
    112 UnknownReference DeadLetter "UNKNOWN_REFERENCE" "the event refers to something this member does not have"
        "A redemption or cancellation must name a promise of the same member."
    113 BadTransition DeadLetter "BAD_TRANSITION" "the event would move another one into a state it cannot take"
        "Provisional may settle or reverse, settled may reverse, reversed is final."
}

impl Reason {
    /// The reason with this name.
    pub fn from_name(name: &str) -> Option<Reason> {
        Reason::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Reason, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Reason::from_name(&name).ok_or_else(|| serde::de::Error::custom(format!("unknown reason {name:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_identify_a_reason() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
            assert_eq!(Reason::from_name(reason.name()), Some(*reason));
            assert!(!reason.text().is_empty() && !reason.page().is_empty());
        }
    }
}
