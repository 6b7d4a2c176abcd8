//! Deleting what a server still holds about one member: raw events, and rewards under the pseudonym.

use domain::MemberId;
use ledger::Named;

use super::{NatsServer, TAIL_PAGE, failed, stored};
use crate::bus::Error;

/// Messages about a member, by their place in the streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traces {
    events: Vec<u64>,
    rewards: Vec<u64>,
    /// Events of others that name the member; those are not deleted, for nobody knows whether they were taken yet.
    mentions: usize,
}

impl Traces {
    /// Raw events and rewards found.
    pub fn count(&self) -> (usize, usize) {
        (self.events.len(), self.rewards.len())
    }

    /// Events of other members that name the member somewhere; they stay until the server drops them by age.
    pub fn mentions(&self) -> usize {
        self.mentions
    }
}

impl NatsServer {
    /// Looks at every stored message for a member: events that name the program's own identifier, rewards to the pseudonym.
    ///
    /// Reads both streams once from end to end; a stream that does not exist holds nothing.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn traces(&self, raw: Option<&str>, member: Option<MemberId>) -> Result<Traces, Error> {
        let mut mentions = 0;
        let events = match raw {
            Some(raw) => {
                let about = |_: &str, payload: &[u8]| {
                    let named = ledger::named(payload, raw);
                    mentions += usize::from(named == Some(Named::Mentioned));
                    named == Some(Named::About)
                };
                self.find("EVENTS", about).await?
            }
            None => Vec::new(),
        };
        let rewards = match member.map(|member| member.to_string()) {
            Some(member) => {
                let is_to = |subject: &str, _: &[u8]| subject.rsplit('.').next() == Some(member.as_str());
                self.find("REWARDS", is_to).await?
            }
            None => Vec::new(),
        };
        Ok(Traces { events, rewards, mentions })
    }

    async fn find(
        &self,
        what: &str,
        mut is_theirs: impl FnMut(&str, &[u8]) -> bool,
    ) -> Result<Vec<u64>, Error> {
        let name = self.stream_name(what);
        let Ok(mut stream) = self.context.get_stream(&name).await else { return Ok(Vec::new()) };
        let state = stream.info().await.map_err(failed("read a stream"))?.state.clone();
        let (mut found, mut from) = (Vec::new(), state.first_sequence.max(1));
        while from <= state.last_sequence {
            let to = (from + TAIL_PAGE - 1).min(state.last_sequence);
            let messages = stored(&stream, from..=to).await?;
            let theirs = messages.iter().filter(|message| is_theirs(&message.subject, &message.payload));
            found.extend(theirs.map(|message| message.sequence));
            from = to + 1;
        }
        Ok(found)
    }

    /// Deletes messages; the server overwrites them in its files.
    ///
    /// # Errors
    /// When the server refuses; what was deleted until then is gone.
    pub async fn forget(&self, traces: &Traces) -> Result<(), Error> {
        for (what, places) in [("EVENTS", &traces.events), ("REWARDS", &traces.rewards)] {
            if places.is_empty() {
                continue;
            }
            let stream = self.stream(what).await?;
            for place in places {
                stream.delete_message(*place).await.map_err(failed("delete a message"))?;
            }
        }
        Ok(())
    }
}
