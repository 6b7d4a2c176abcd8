//! The supervision tree.
//!
//! ```text
//! root
//! ├── policy       a panic ends the node, as the planner's
//! ├── planner      a panic ends the node: it keeps the books of the budgets, and only the ledger can rebuild them
//! ├── segment *    a panic ends the node: its mailbox cannot be recovered, and nothing of it was acknowledged
//! nursery
//! └── member *     a panic harms nobody else; the intake starts a new agent from the ledger
//! ```

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};
use tokio::sync::mpsc;

use crate::work::Feedback;

/// Supervises the member agents.
pub struct Nursery {
    pub feedback: mpsc::UnboundedSender<Feedback>,
}

/// Supervises the segment agents and the planner, whose failure ends the node.
pub struct Root {
    pub feedback: mpsc::UnboundedSender<Feedback>,
}

/// Supervisors receive nothing but the fate of their children.
pub enum Never {}

impl Actor for Nursery {
    type Msg = Never;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<Never>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<Never>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(child, why) = event {
            let why = why.to_string();
            let _closing = self.feedback.send(Feedback::MemberFailed { actor: child.get_id(), why });
        }
        Ok(())
    }
}

impl Actor for Root {
    type Msg = Never;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<Never>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _me: ActorRef<Never>,
        event: SupervisionEvent,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(child, why) = event {
            let name = child.get_name().unwrap_or_else(|| "agent".to_owned());
            let _closing = self.feedback.send(Feedback::Fatal(format!("{name} agent failed: {why}")));
        }
        Ok(())
    }
}
