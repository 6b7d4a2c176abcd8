use std::sync::Arc;

use domain::time::{DAY, HOUR};
use domain::{DecisionId, Event, EventId, EventKind, MemberId, Micros, Timestamp};
use ledger::Seq;
use models::Models;
use models::engine::{Choice, Engine};
use models::scorer::Source;
use policies::starter;

use super::recorded::Promised;
use super::{Assessment, Impact, Recorded, Side, Taken};

fn models() -> Models {
    Models::load(&Engine::start(&Choice::Embedded).unwrap(), &Source::Shipped).unwrap()
}

fn taken(event: Event, about: Option<Promised>) -> Taken {
    Taken { at: event.event_time, event, counts: true, seq: Seq(1), about }
}

fn event(id: String, member: MemberId, at: Timestamp, kind: EventKind) -> Event {
    let wire = format!(
        r#"{{"schema":1,"event_id":"{id}","member":"m","event_time":"{at}","source":"pos","touchpoint":"pos","type":"visit"}}"#
    );
    let limits = crate::host::Options::around(at).limits;
    let event = domain::event::wire::parse(wire.as_bytes(), &limits).unwrap().under(member);
    Event { kind, ..event }
}

/// Twenty members who shop every week for half a year.
fn purchases() -> Vec<Taken> {
    let start: Timestamp = "2019-01-01T12:00:00Z".parse().unwrap();
    let purchase = |member: u8, week: i64| {
        let amount = Micros((20 + i64::from(member) * 7 + week * 13 % 60) * 1_000_000);
        let at = start.plus(week * 7 * DAY + i64::from(member) * 8 * HOUR);
        let kind = EventKind::Purchase { amount, items: 3, discount: Micros::ZERO };
        taken(event(format!("b{member}-{week}"), MemberId([member; 16]), at, kind), None)
    };
    (0..26).flat_map(|week| (0..20).map(move |member| purchase(member, week))).collect()
}

/// The purchases, and within the hour the use of every promise as the log has it.
fn used(promises: &[(EventId, MemberId, Timestamp, String)]) -> Recorded {
    let mut events = purchases();
    for (number, (made_at, member, at, reward)) in promises.iter().enumerate() {
        // Under the id the live node gave it, which is that of no promise here.
        let kind = EventKind::Redeemed { decision: DecisionId(uuid::Uuid::from_u128(number as u128)) };
        let about = Promised { event: made_at.clone(), reward: reward.clone() };
        events.push(taken(event(format!("u{number}"), *member, at.plus(HOUR), kind), Some(about)));
    }
    events.sort_by_key(|taken| taken.at);
    Recorded { events, ..Recorded::default() }
}

fn assessed(recorded: &Recorded) -> Impact {
    let bundle = Arc::new(starter::grocery().unwrap());
    let mut assessment = Assessment::new(&bundle, &bundle, (models(), models()), None).unwrap();
    assessment.take(recorded, |_| {}).unwrap();
    assessment.report()
}

#[test]
fn a_promise_that_was_used_live_is_used_on_the_side_that_made_it_and_left_out_where_another_was_made() {
    let recorded = Recorded { events: purchases(), ..Recorded::default() };
    let mut side = Side::new(&Arc::new(starter::grocery().unwrap()), models()).unwrap();
    side.take(&recorded, |_| {}).unwrap();
    let of = |(id, (_, reward)): (&EventId, &(DecisionId, Arc<str>))| {
        let made = recorded.events.iter().find(|taken| taken.event.event_id == *id)?;
        Some((id.clone(), made.event.member, made.at, reward.to_string()))
    };
    let mut promises: Vec<_> = side.promised.iter().filter_map(of).collect();
    assert!(promises.len() > 20, "{}", promises.len());
    let unused = assessed(&recorded);
    assert!(unused.exposed_micros.from > 0 && unused.left_out == super::Change::default());
    let all = assessed(&used(&promises));
    assert!(
        all.exposed_micros.from < unused.exposed_micros.from / 2,
        "{:?} of {:?}",
        all.exposed_micros,
        unused.exposed_micros
    );
    for slice in all.segments.iter().chain(&all.rewards) {
        assert!(
            slice.exposed_micros.from <= all.exposed_micros.from
                && slice.promises.from <= slice.decisions.from
        );
        assert!(slice.exposed_micros.from > 0 || slice.promises.from == 0, "{slice:?}");
    }
    promises.iter_mut().for_each(|(.., reward)| reward.push_str("-of-another-policy"));
    let others = assessed(&used(&promises));
    let count = i64::try_from(promises.len()).unwrap();
    assert_eq!(others.left_out, super::Change { from: count, to: count });
    assert_eq!(others.exposed_micros, unused.exposed_micros, "nothing was used");
    assert_eq!((all.flipped, others.flipped), (0, 0), "the same policy differs in nothing");
}
