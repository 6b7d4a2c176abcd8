//! The message a service receives about a promise, rendered from the committed row of the decision and nothing else.
//!
//! Because it depends on the row alone, a relay that restarts renders the same bytes (invariant D-3).

use std::sync::Arc;

use bytes::Bytes;
use domain::decision::PublicDecision;
use domain::record::read_decision;
use domain::{Digest, EventId, MemberId, Micros, Outcome, Timestamp};
use ledger::{DataKey, Row};
use policies::Bundle;
use serde::Serialize;

use crate::bus::Publication;
use crate::bus::subject::Subjects;

/// The version of the message.
const SCHEMA: u32 = 1;

/// The message, schema 1.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    decision: domain::DecisionId,
    /// Sequence number of the row that makes the promise, and SHA-256 of the decision's public form.
    record: u64,
    digest: Digest,
    program: &'a str,
    member: MemberId,
    /// The producer's event this answers, so that a service can match it to its own customer.
    event_id: &'a EventId,
    outcome: domain::Outcome,
    moment: &'a str,
    reward: &'a str,
    name: &'a str,
    kind: &'static str,
    cost: Micros,
    currency: &'a str,
    decided_at: Timestamp,
    valid_until: Option<Timestamp>,
    /// What the member has to read beside it: the promise rests on facts that may still be taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    wording: Option<&'a str>,
}

/// What the relay needs besides the bundle; held in memory from commit to publication.
#[derive(Clone, Debug)]
pub struct Promised {
    pub public: PublicDecision,
    pub member: MemberId,
    pub event_id: EventId,
    /// SHA-256 of the public form as recorded.
    pub digest: Digest,
    /// The bundle it was made by, where that may be none of the run's: a person may approve later than it is in force.
    pub bundle: Option<Arc<Bundle>>,
}

impl Promised {
    /// What the row of a decision says was promised.
    ///
    /// # Errors
    /// When its parts were pruned or do not open.
    pub fn of_row(row: &Row, key: &DataKey) -> Result<Promised, String> {
        let body = row.body.as_deref().ok_or("its body was pruned")?;
        let sealed = row.sealed.as_deref().ok_or("its personal part was pruned")?;
        let personal = key.open(&row.record_id, sealed).map_err(|error| error.to_string())?;
        Ok(Promised::of(&read_decision(body.as_bytes(), &personal)?, body))
    }

    /// The same, once a person has approved it: what waited is granted.
    pub fn approved(mut self, bundle: Arc<Bundle>) -> Promised {
        self.public.outcome = Outcome::Granted;
        self.bundle = Some(bundle);
        self
    }

    /// What a decision announces; `body` is its public form as recorded.
    pub fn of(decision: &domain::Decision, body: &str) -> Promised {
        Promised {
            public: decision.public(),
            member: decision.member(),
            event_id: decision.event_id().clone(),
            digest: Digest::of(body.as_bytes()),
            bundle: None,
        }
    }
}

/// The publication of a committed grant; `None` when the row promises nothing.
pub fn publication(
    seq: u64,
    promised: &Promised,
    bundle: &Bundle,
    subjects: &Subjects,
) -> Option<Publication> {
    let public = &promised.public;
    let (reward, segment) = (bundle.reward(public.reward?), bundle.segment(public.segment?));
    let moment = bundle.moments().get(usize::from(public.moment))?;
    let document = Document {
        schema: SCHEMA,
        decision: public.decision,
        record: seq,
        digest: promised.digest,
        program: &bundle.program().name,
        member: promised.member,
        event_id: &promised.event_id,
        outcome: public.outcome,
        moment: &moment.id,
        reward: &reward.id,
        name: &reward.name,
        kind: domain::facts::REWARD_KIND_NAMES[reward.kind as usize],
        cost: public.cost,
        currency: &bundle.program().currency,
        decided_at: public.decided_at,
        valid_until: public.valid_until,
        wording: public.provisional.then_some(&*moment.wording),
    };
    Some(Publication {
        seq,
        subject: subjects.reward(public.outcome.name(), &segment.id, &promised.member),
        message_id: public.decision.to_string(),
        payload: Bytes::from(serde_json::to_vec(&document).ok()?),
    })
}
