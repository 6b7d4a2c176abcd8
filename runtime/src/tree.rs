//! The agents of a run, started: supervisors, then each side's segments and planner, then the policy agent.

use std::sync::Arc;

use agents::negotiation::{PriceQuote, PriceTable};
use agents::policy::{GlobalPolicy, Past};
use domain::Ppm;
use policies::registry::Share;
use ractor::{Actor, ActorRef};

use crate::actors::planner::{self, PlannerActor};
use crate::actors::policy::{self, PolicyActor};
use crate::actors::root::{Children, Never, Supervisor};
use crate::actors::segment::{self, SegmentActor};
use crate::bus::subject::Subjects;
use crate::bus::{self, Bus};
use crate::config::Options;
use crate::node::NodeError;
use crate::shared::Shared;
use crate::sides::{Agents, Side, Sides};

/// The agents of a node.
pub struct Tree {
    pub root: ActorRef<Never>,
    pub nursery: ActorRef<Never>,
    pub policy: ActorRef<policy::Message>,
    pub sides: Sides,
}

/// What the agents of a run are made from.
pub struct Soil<'a> {
    pub bus: &'a Bus,
    pub subjects: &'a Subjects,
    /// The run of this node.
    pub run: u64,
    /// What the run before left.
    pub past: Option<Arc<Past>>,
    pub options: &'a Options,
}

/// A candidate with what its agents share.
pub struct Candidate {
    pub share: Share,
    pub shared: Arc<Shared>,
    /// For the candidate alone: what its agents are made for.
    pub policy: GlobalPolicy,
}

fn start_error(error: impl std::fmt::Display) -> NodeError {
    NodeError::Start(error.to_string())
}

impl Tree {
    /// Starts every agent but the members', which start when they are first heard of.
    ///
    /// # Errors
    /// When an agent does not start or the bus refuses a subscription.
    pub async fn grow(
        soil: &Soil<'_>,
        shared: &Arc<Shared>,
        policy: GlobalPolicy,
        candidate: Option<Candidate>,
    ) -> Result<Tree, NodeError> {
        let supervisor = |children| Supervisor { feedback: shared.feedback.clone(), children };
        let (root, _) = Supervisor::spawn(None, supervisor(Children::Root), ()).await.map_err(start_error)?;
        let (nursery, _) =
            Supervisor::spawn(None, supervisor(Children::Nursery), ()).await.map_err(start_error)?;
        let lent = candidate.as_ref().map_or(Ppm(0), |candidate| candidate.share.share);
        let rest = lent.complement();
        let (in_force, planner) = soil.side(Side::InForce, rest, shared, &policy, &root).await?;
        let mut planners = vec![planner];
        let mut canary = None;
        if let Some(Candidate { share, shared, policy }) = candidate {
            let (agents, planner) = soil.side(Side::Canary, lent, &shared, &policy, &root).await?;
            planners.push(planner);
            canary = Some((share, agents));
        }
        let (policy, _) = PolicyActor::spawn_linked(None, PolicyActor { planners }, policy, root.get_cell())
            .await
            .map_err(start_error)?;
        Ok(Tree { root, nursery, policy, sides: Sides { in_force, canary } })
    }
}

impl Soil<'_> {
    /// Starts the segment agents and the planner of one side, which decides about this share of the members.
    async fn side(
        &self,
        side: Side,
        share: Ppm,
        shared: &Arc<Shared>,
        policy: &GlobalPolicy,
        root: &ActorRef<Never>,
    ) -> Result<(Agents, ActorRef<planner::Message>), NodeError> {
        let Soil { bus, subjects, run, ref past, options } = *self;
        // One subscription for everything the leader says, so that a table never overtakes the next quote.
        let leader = bus.subscribe(&subjects.negotiation(run, side, "*")).await?;
        let answer = subjects.negotiation(run, side, "answer");
        let answers = bus.subscribe(&answer).await?;
        let mut segments = Vec::new();
        for brain in policy.segments() {
            let actor =
                SegmentActor { shared: Arc::clone(shared), bus: bus.clone(), answers: answer.clone() };
            let (agent, _) =
                SegmentActor::spawn_linked(None, actor, brain, root.get_cell()).await.map_err(start_error)?;
            segments.push(agent);
        }
        let segments: Arc<[ActorRef<segment::Message>]> = segments.into();
        let actor = PlannerActor {
            side,
            purse: Arc::clone(&shared.purse),
            writer: shared.writer.clone(),
            bus: bus.clone(),
            subjects: subjects.clone(),
            clock: shared.clock.clone(),
            metrics: Arc::clone(&shared.metrics),
            feedback: shared.feedback.clone(),
            segments: Arc::clone(&segments),
            layout: policy.layout(),
            run,
            past: past.clone(),
            share,
            every: options.negotiate_every,
            every_moments: options.negotiate_moments,
        };
        let (planner, _) =
            PlannerActor::spawn_linked(None, actor, (), root.get_cell()).await.map_err(start_error)?;
        tokio::spawn(hear_leader(leader, Arc::clone(&segments)));
        tokio::spawn(hear_answers(answers, planner.clone()));
        Ok((Agents { shared: Arc::clone(shared), segments }, planner))
    }
}

/// What the leader says to segment agents.
enum Heard {
    Quote(Arc<PriceQuote>),
    Table(Arc<PriceTable>),
}

/// Delivers the leader's quotes and tables to every segment agent, in order.
async fn hear_leader(mut leader: bus::Subscription, segments: Arc<[ActorRef<segment::Message>]>) {
    while let Some(message) = leader.next().await {
        let heard = match message.subject.rsplit('.').next() {
            Some("quote") => parse(&message).map(|quote| Heard::Quote(Arc::new(quote))),
            Some("table") => parse(&message).map(|table| Heard::Table(Arc::new(table))),
            Some(_) | None => None,
        };
        for segment in segments.iter() {
            // An agent that is gone takes the node down by its supervisor.
            let _going_down = match &heard {
                Some(Heard::Quote(quote)) => segment.send_message(segment::Message::Quote(Arc::clone(quote))),
                Some(Heard::Table(table)) => segment.send_message(segment::Message::Table(Arc::clone(table))),
                None => Ok(()),
            };
        }
    }
}

/// Delivers the segment agents' answers to the planner.
async fn hear_answers(mut answers: bus::Subscription, planner: ActorRef<planner::Message>) {
    while let Some(message) = answers.next().await {
        if let Some(answer) = parse(&message) {
            let _going_down = planner.send_message(planner::Message::Answer(Box::new(answer)));
        }
    }
}

/// A message in its wire form; anything else is logged and ignored.
fn parse<W: serde::de::DeserializeOwned>(message: &bus::Message) -> Option<W> {
    match serde_json::from_slice(&message.payload) {
        Ok(value) => Some(value),
        Err(error) => {
            tracing::warn!(subject = message.subject, %error, "message ignored");
            None
        }
    }
}
