//! The global policy actor: opens budget periods before anything is decided in them.

use agents::policy::{GlobalPolicy, Opening};
use domain::Timestamp;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use super::planner;

/// The mailbox.
pub enum Message {
    /// Make sure a budget period is open at this time and that the node may spend; answers with its end.
    Open { now: Timestamp, reply: RpcReplyPort<Timestamp> },
}

/// The actor.
pub struct PolicyActor {
    pub planner: ActorRef<planner::Message>,
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
            Message::Open { now, reply } => match (brain.open(now), brain.window()) {
                (Some(opening), _) => self.delegate(opening, reply),
                (None, Some(window)) => {
                    let _gone = reply.send(window.to);
                }
                (None, None) => {}
            },
        }
        Ok(())
    }
}

impl PolicyActor {
    /// The planner records the period, shares the budgets out, and answers once the first plan is in force.
    fn delegate(&self, opening: Opening, reply: RpcReplyPort<Timestamp>) {
        // A planner that is gone takes the node down by its supervisor.
        let _going_down = self.planner.send_message(planner::Message::Period { opening, reply });
    }
}
