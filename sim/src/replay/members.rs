//! Members rebuilt by folding their own rows, and the rows they lead to.

use std::collections::BTreeMap;

use agents::member::{Member, Promise, Proposed, State, Step};
use agents::segment::verdict;
use domain::record::{self, Forms, PersonalObserved, PublicObserved};
use domain::{Decision, Event, EventId, MemberId, Scores, Timestamp};
use ledger::{DataKey, KeyError, Keys, Kind, Reader, Row, Seq, StoredState};
use models::features::FeatureVector;

use super::reinfer::{Reinference, Reinferred};
use super::run::{Run, Runs};
use super::under::{Answer, Under};
use super::{Difference, Error, Report};

/// A row as the replay sees it.
pub enum Rebuilt {
    /// Its member was erased.
    Erased,
    /// It, a row of its member before it, or the prices it was decided at were pruned.
    Pruned,
    Same(Kind),
    Different(Kind, Difference),
}

/// Every member met so far.
pub struct Members {
    keys: Keys,
    reinference: Option<Reinference>,
    under: Option<Under>,
    members: BTreeMap<MemberId, Option<Known>>,
}

/// A member whose rows can be opened.
struct Known {
    member: Member,
    key: DataKey,
    /// The newest row, and when the member needed attention next according to it.
    last: Seq,
    due: Option<Timestamp>,
    /// A row of the member was pruned: what the member knew then cannot be told any more.
    gap: bool,
}

impl Members {
    /// No members yet.
    pub fn new(keys: Keys, reinference: Option<Reinference>, under: Option<Under>) -> Members {
        Members { keys, reinference, under, members: BTreeMap::new() }
    }

    /// What the other policy said.
    pub fn take_answer(&mut self) -> Option<Answer> {
        self.under.take().map(|under| under.answer)
    }

    /// A row cannot be decided again, under no policy.
    pub fn nothing_to_ask(&mut self) {
        if let Some(under) = &mut self.under {
            under.answer.erased_or_pruned += 1;
        }
    }

    /// What the models said again.
    pub fn reinferred(&self) -> Option<Reinferred> {
        self.reinference.as_ref().map(|reinference| reinference.so_far)
    }

    /// Recomputes a row about a member and moves the member on.
    pub fn rebuild(
        &mut self,
        row: &Row,
        id: MemberId,
        run: &mut Run,
        report: &mut Report,
        compare: bool,
    ) -> Result<Rebuilt, Error> {
        let known = match self.members.get_mut(&id) {
            Some(known) => known,
            None => {
                let fresh = match self.keys.find(id) {
                    Ok(Some(key)) => {
                        let member = Member::enrol(id, run.bundle());
                        Some(Known { member, key, last: row.seq, due: None, gap: false })
                    }
                    Ok(None) | Err(KeyError::Erased(_)) => None,
                    Err(error) => return Err(error.into()),
                };
                self.members.entry(id).or_insert(fresh)
            }
        };
        let Some(known) = known else {
            run.skip(row.segment.as_deref());
            return Ok(Rebuilt::Erased);
        };
        let (Some(body), Some(sealed), false) = (&row.body, &row.sealed, known.gap) else {
            known.gap = true;
            run.skip(row.segment.as_deref());
            return Ok(Rebuilt::Pruned);
        };
        let personal = match known.key.open(&row.record_id, sealed) {
            Ok(personal) => personal,
            Err(error) => {
                let difference = Difference::of(row.seq, "sealed", "a part that opens", &error.to_string());
                return Ok(Rebuilt::Different(row.kind, difference));
            }
        };
        let found = Forms { public: body.clone().into_bytes(), personal };
        if run.is_unpriced() && row.kind == Kind::Decision {
            follow(row, &found, &mut known.member, run)?;
            (known.last, known.due) = (row.seq, known.member.state.next_due(run.bundle()));
            return Ok(Rebuilt::Pruned);
        }
        let before = self.under.as_mut().filter(|_| compare).map(|under| (under, known.member.clone()));
        let again = if row.kind == Kind::Decision {
            let reinference = self.reinference.as_mut().filter(|_| compare);
            decision(row, &found, &mut known.member, run, report, reinference)?
        } else {
            observed(row, &found, &mut known.member, run)?
        };
        if let Some((under, member)) = before {
            under.ask(row, &found, member, run)?;
        }
        (known.last, known.due) = (row.seq, known.member.state.next_due(run.bundle()));
        let difference = Difference::between(row.seq, "personal", &found.personal, &again.personal)
            .or_else(|| Difference::between(row.seq, "public", &found.public, &again.public));
        Ok(difference.map_or(Rebuilt::Same(row.kind), |difference| Rebuilt::Different(row.kind, difference)))
    }
}

impl Known {
    /// How a stored state differs from that of the row it is said to be of. States of earlier builds name no row.
    fn stored(
        &self,
        reader: &Reader,
        id: MemberId,
        stored: &StoredState,
    ) -> Result<Option<Difference>, Error> {
        let differs = |wanted: &str, found: &str| {
            Some(Difference::of(stored.as_of.min(self.last), "member_state.state", wanted, found))
        };
        let plain = self.key.open_state(id, &stored.ciphertext).ok();
        let Some(state) = plain.and_then(|plain| State::from_snapshot(&plain)) else {
            return Ok(differs("a state that opens", "one that does not"));
        };
        let wanted = reader.last_of_member(id, stored.as_of)?.and_then(|row| row.event_id);
        if state.is_as_of(wanted.as_ref()) {
            return Ok(None);
        }
        let said = |event: Option<&EventId>| {
            event.map_or_else(|| "no event".to_owned(), |event| format!("up to event {event}"))
        };
        Ok(differs(&said(wanted.as_ref()), &said(state.last_event.as_ref())))
    }
}

impl Members {
    /// Whether what the ledger stores about members is what their rows give.
    ///
    /// A state must be that of the row it is said to be of. Timers may ask too early, never too late and never not at all;
    /// one whose time was computed under an earlier bundle is only held to being remembered.
    pub fn compare_stored(&self, reader: &Reader, runs: &mut Runs, report: &mut Report) -> Result<(), Error> {
        for (id, known) in &self.members {
            let bundle = runs.of(*id).bundle();
            let Some(known) = known.as_ref().filter(|known| !known.gap) else { continue };
            if let Some(stored) = reader.state(*id)? {
                known
                    .stored(reader, *id, &stored)?
                    .into_iter()
                    .for_each(|difference| report.differ(difference));
            }
            let (Some(due), Some(now)) = (known.due, known.member.state.next_due(bundle)) else { continue };
            let stored = reader.state(*id)?.and_then(|state| state.next_due);
            if stored.is_none_or(|stored| stored > due.max(now)) {
                let found = stored.map_or_else(|| "none".to_owned(), |stored| stored.to_string());
                report.differ(Difference::of(known.last, "member_state.next_due", &found, &due.to_string()));
            }
        }
        Ok(())
    }
}

fn decision(
    row: &Row,
    found: &Forms,
    member: &mut Member,
    run: &mut Run,
    report: &mut Report,
    reinference: Option<&mut Reinference>,
) -> Result<Forms, Error> {
    let recorded = record::read_decision(&found.public, &found.personal)
        .map_err(|why| Error::Row { seq: row.seq, why })?;
    let again = decide_again(&recorded, member, run, report, |features, report| {
        if let Some(reinference) = reinference {
            reinference.ask(row.seq, features, &recorded, report);
        }
    });
    keep_promise(row, &recorded, member);
    Ok(match again {
        Some(again) => record::decision(&again),
        // The replay does not see a moment here at all.
        None => Forms { public: b"null".to_vec(), personal: b"null".to_vec() },
    })
}

/// Moves a member on by a decision that cannot be recomputed.
fn follow(row: &Row, found: &Forms, member: &mut Member, run: &Run) -> Result<(), Error> {
    let wrong = |why| Error::Row { seq: row.seq, why };
    let recorded = record::read_decision(&found.public, &found.personal).map_err(wrong)?;
    let _step = member.handle(&recorded.event, recorded.considered_at, run.bundle(), run.stops());
    keep_promise(row, &recorded, member);
    Ok(())
}

fn takes_stock(row: &Row, reward: &str) -> bool {
    let stock = agents::policy::budgets::inventory(reward);
    row.debits.iter().any(|posting| posting.budget == stock)
}

/// The member goes on from what was recorded, so that one difference is reported once.
fn keep_promise(row: &Row, recorded: &Decision, member: &mut Member) {
    if let (Some(reward), Some(segment)) = (&row.reward, &row.segment)
        && let Some(promise) = Promise::of(recorded, reward, segment, takes_stock(row, reward))
    {
        std::sync::Arc::make_mut(&mut member.state).promise(promise);
    }
}

fn decide_again(
    recorded: &Decision,
    member: &mut Member,
    run: &mut Run,
    report: &mut Report,
    scored: impl FnOnce(&FeatureVector, &mut Report),
) -> Option<Decision> {
    let bundle = std::sync::Arc::clone(run.bundle());
    let seal = verdict::Seal {
        id: recorded.id,
        now: recorded.decided_at,
        host_now: recorded.decided_at,
        bundle: &bundle,
        stops: run.stops(),
        models: recorded.models.unwrap_or_default(),
    };
    let considered = match member.handle(&recorded.event, recorded.considered_at, &bundle, run.stops()) {
        Step::Denied(considered, refusal) => return Some(verdict::denied(&considered, refusal, &seal)),
        Step::Score(considered) => {
            scored(&considered.features, report);
            considered
        }
        Step::Unscored(considered) => considered,
        Step::Observed { .. } | Step::Refused(_) => return None,
    };
    // The row that was scored must be the one the events lead to; the scores themselves came from outside.
    let features = considered.features.digest();
    let scores = recorded.scores.map(|scores| Scores { features, ..scores });
    match considered.propose(scores, &bundle, run.stops()) {
        Proposed::NotAMoment(_) => None,
        Proposed::Proposal(proposal) => match proposal.segment {
            Err(refusal) => Some(verdict::without_segment(&proposal, refusal, &seal)),
            Ok(segment) => run.decide(segment, &proposal, recorded, report),
        },
    }
}

fn observed(row: &Row, found: &Forms, member: &mut Member, run: &Run) -> Result<Forms, Error> {
    let wrong = |error: serde_json::Error| Error::Row { seq: row.seq, why: error.to_string() };
    let public: PublicObserved = serde_json::from_slice(&found.public).map_err(wrong)?;
    let personal: PersonalObserved = serde_json::from_slice(&found.personal).map_err(wrong)?;
    let event: &Event = &personal.event;
    let at = public.observed_at;
    let considered = match member.handle(event, at, run.bundle(), run.stops()) {
        Step::Observed { .. } | Step::Refused(_) | Step::Denied(..) => {
            return Ok(record::observed(event, at, None, None));
        }
        Step::Score(considered) | Step::Unscored(considered) => considered,
    };
    let features = considered.features.digest();
    let scores = personal.scores.map(|scores| Scores { features, ..scores });
    let moment = considered.moment;
    Ok(match considered.propose(scores, run.bundle(), run.stops()) {
        Proposed::NotAMoment(rule) => record::observed(event, at, Some((moment.0, Some(rule.0))), scores),
        Proposed::Proposal(_) => record::observed(event, at, None, scores),
    })
}
