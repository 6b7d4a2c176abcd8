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

/// Supervises agents and reports a panic.
pub struct Supervisor {
    pub feedback: mpsc::UnboundedSender<Feedback>,
    pub children: Children,
}

/// Whose failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Children {
    /// Policy, planner and segment agents: the node cannot go on without one.
    Root,
    /// Member agents: started again by the intake.
    Nursery,
}

/// Supervisors receive nothing but the fate of their children.
pub enum Never {}

impl Actor for Supervisor {
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
            let feedback = match self.children {
                Children::Nursery => Feedback::MemberFailed { actor: child.get_id(), why: why.to_string() },
                Children::Root => {
                    let name = child.get_name().unwrap_or_else(|| "agent".to_owned());
                    Feedback::Fatal(format!("{name} agent failed: {why}"))
                }
            };
            let _closing = self.feedback.send(feedback);
        }
        Ok(())
    }
}
