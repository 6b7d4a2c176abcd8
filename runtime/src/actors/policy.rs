//! The global policy actor: opens budget periods before anything is decided in them.

use agents::policy::{GlobalPolicy, Opening};
use domain::Timestamp;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::planner;

/// The mailbox.
pub enum Message {
    /// Make sure a budget period is open at this time and that the node may spend; answers with its end.
    Open { now: Timestamp, reply: RpcReplyPort<Timestamp> },
}

/// The actor.
pub struct PolicyActor {
    /// One for each side, the bundle in force first.
    pub planners: Vec<ActorRef<planner::Message>>,
}

impl Actor for PolicyActor {
    type Msg = Message;
    type State = GlobalPolicy;
    type Arguments = GlobalPolicy;

    async fn pre_start(
        &self,
        _me: ActorRef<Message>,
        brain: GlobalPolicy,
    ) -> Result<GlobalPolicy, ActorProcessingErr> {
        Ok(brain)
    }

    async fn handle(
        &self,
        _me: ActorRef<Message>,
        message: Message,
        brain: &mut GlobalPolicy,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Open { now, reply } => {
                for (planner, opening) in self.planners.iter().zip(brain.open(now)) {
                    delegate(planner, opening).await?;
                }
                if let Some(window) = brain.window() {
                    let _gone = reply.send(window.to);
                }
            }
        }
        Ok(())
    }
}

/// The planner records the period, shares the budgets out, and answers once the first plan is in force.
async fn delegate(planner: &ActorRef<planner::Message>, opening: Opening) -> Result<(), ActorProcessingErr> {
    match planner.call(|reply| planner::Message::Period { opening, reply }, None).await? {
        CallResult::Success(_end) => Ok(()),
        CallResult::Timeout | CallResult::SenderError => Err("the planner did not open a period".into()),
    }
}
