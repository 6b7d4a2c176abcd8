//! What came into the inbox, and what is judged first.

use std::path::PathBuf;

use policies::registry::Step;

use super::{JudgeError, Request};
use crate::registry::Checked;

/// Where a request came from, and its answer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    File(PathBuf),
    /// Over NATS, by its id.
    Door(String),
}

/// A request that is to be judged.
pub(super) struct Arrived {
    pub from: Origin,
    pub request: Result<Request, JudgeError>,
    /// What was found about what it hands in.
    pub checked: Option<Checked>,
}

impl Arrived {
    /// Which is judged first of those that are found at one look.
    ///
    /// Switches before everything: they concern nothing but each other. All else keeps its order, for a withdrawal that
    /// overtook its canary would be refused, and the canary begin. What comes with a bundle or a report is last: it is
    /// large, and nothing in the safe direction waits for it.
    pub(super) fn turn(&self) -> u8 {
        let Ok(Request::Policy(request)) = &self.request else { return 1 };
        match request.signed.statement.step {
            Step::Stop { .. } | Step::Resume { .. } => 0,
            Step::Withdraw { .. }
            | Step::RollBack { .. }
            | Step::Answer { .. }
            | Step::Approve { .. }
            | Step::Schedule { .. }
            | Step::Activate { .. }
            | Step::Shadow { .. }
            | Step::Canary { .. } => 1,
            Step::Submit { .. } | Step::Assess { .. } => 2,
        }
    }
}
