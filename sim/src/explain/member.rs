//! What a member may be told: the facts and the rule, in plain words.
//!
//! Nothing here says what a member is worth, what a reward costs or what others got. Predictions are named, their
//! numbers are not: whoever wants those asks for the export of their data.

use domain::facts::Field;
use domain::reason::Class;
use domain::{Outcome, Purpose};
use policies::findings::Finding;
use serde::Serialize;

use super::counterfactual::Change;
use super::{CandidateAnswer, Explanation};

/// The answer, one sentence or fact per line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberAnswer {
    /// What happened, and what came of it.
    pub said: Vec<String>,
    /// Why, in the policy's words to members.
    pub because: String,
    /// The rule that says so, by its name in the policy; absent when none alone did.
    pub rule: Option<String>,
    /// What was looked at.
    pub looked_at: Vec<String>,
    /// What would have led to another answer.
    pub otherwise: Option<String>,
    /// What the member can do.
    pub rights: String,
}

impl Explanation {
    /// The answer for the member it is about.
    pub fn for_member(&self) -> MemberAnswer {
        let day = self.considered_at.to_string();
        let day = day.split('T').next().unwrap_or_default();
        let came_of_it = match (self.outcome, &self.reward, self.valid_until) {
            (Outcome::Granted, Some(reward), Some(until)) => {
                format!("We promised you {}, to be used until {until}.", self.name_of(reward))
            }
            (Outcome::Pending, Some(reward), _) => {
                format!("{} was considered for you; a person has to approve it first.", self.name_of(reward))
            }
            _ => "We did not promise you anything.".to_owned(),
        };
        let finding = self.deciding();
        MemberAnswer {
            said: vec![
                format!("On {day} we looked at whether to offer you something, {}.", occasion(self)),
                came_of_it,
            ],
            because: self.because(finding),
            rule: finding.map(|finding| finding.id.clone()),
            looked_at: match finding {
                Some(finding) => looked_at(finding),
                None if self.reason.class() == Class::Economic => vec![
                    "What you bought and when, and what that lets us expect of you with and without an offer.".to_owned(),
                ],
                None => Vec::new(),
            },
            otherwise: self.otherwise(),
            rights: "This was decided automatically. You can object to being profiled, and you can ask for a person to \
                     look at it."
                .to_owned(),
        }
    }

    fn name_of(&self, id: &str) -> String {
        let candidate = self.candidates.iter().find(|candidate| candidate.reward == id);
        candidate.map_or_else(|| id.to_owned(), |candidate| candidate.name.clone())
    }

    /// The finding that decided: of the moment, or of the candidate whose reason became the decision's.
    fn deciding(&self) -> Option<&Finding> {
        if matches!(self.outcome, Outcome::Granted | Outcome::Pending | Outcome::Control) {
            return None;
        }
        let of_rule = |finding: &&Finding| self.rule.as_ref().is_none_or(|rule| *rule == finding.id);
        let candidates = self.candidates.iter().filter(|candidate| candidate.reason == self.reason);
        self.against
            .iter()
            .find(of_rule)
            .or_else(|| candidates.flat_map(|candidate: &CandidateAnswer| &candidate.against).find(of_rule))
    }

    fn because(&self, finding: Option<&Finding>) -> String {
        if let Some(finding) = finding {
            return finding.text.clone();
        }
        if self.cause == domain::Cause::Exploration {
            return "Now and then chance decides which of the offers open to you is made, or that none is, so that we learn what \
                    offers do."
                .to_owned();
        }
        // Where rows before it are gone, nobody can say what the rule looked at; that it refused is recorded.
        let is_refusal = matches!(self.reason.class(), Class::Denied | Class::Suppressed | Class::Ineligible);
        if let (Some(text), true) = (&self.rule_text, is_refusal) {
            return text.clone();
        }
        match self.outcome {
            Outcome::Granted | Outcome::Pending => {
                "Of what we could offer at that moment, this suited you best.".to_owned()
            }
            Outcome::Control => {
                "You are in a group chosen by chance that gets no offers for a while, so that we can measure what offers do."
                    .to_owned()
            }
            Outcome::None | Outcome::Suppressed | Outcome::Denied | Outcome::Fallback => match self.reason.class() {
                Class::Fallback => "We could not decide safely in time, and then we promise nothing.",
                Class::Denied => "Offers were stopped at that time.",
                Class::Economic | Class::Chosen | Class::Suppressed | Class::Ineligible | Class::DeadLetter => {
                    "Offers are limited and go to where they are expected to matter most; at that moment that was elsewhere."
                }
            }
            .to_owned(),
        }
    }

    fn otherwise(&self) -> Option<String> {
        let counterfactual = self.counterfactual.as_ref()?;
        let changes: Option<Vec<String>> = counterfactual.changes.iter().map(said).collect();
        let came = match &counterfactual.reward {
            Some(reward) => format!("we would have promised you {}", self.name_of(reward)),
            None => "we would not have promised you anything".to_owned(),
        };
        Some(format!("If {}, {came}.", changes?.join(" and ")))
    }
}

fn occasion(explanation: &Explanation) -> &'static str {
    match explanation.event.kind.name() {
        "purchase" => "after your purchase",
        "quiet" => "after some time without a purchase",
        _ => "after something you did",
    }
}

/// A fact in the words of its documentation.
fn named(field: Field) -> String {
    let mut words = field.doc().split(';').next().unwrap_or_default().trim_end_matches('.').to_owned();
    if let Some(first) = words.get(..1).map(str::to_lowercase) {
        words.replace_range(..1, &first);
    }
    words
}

fn is_prediction(field: Field) -> bool {
    field.purpose() == Some(Purpose::Profiling)
}

fn looked_at(finding: &Finding) -> Vec<String> {
    let line = |(name, value): &(String, String)| match Field::from_name(name) {
        Some(field) if name.starts_with("reward.") => {
            Some(format!("{}: {value}", named(field))).filter(|_| field != Field::RewardCost)
        }
        Some(field) if is_prediction(field) => Some(format!("{} (our estimate)", named(field))),
        Some(field) => Some(format!("{}: {value}", named(field))),
        None => Some(format!("{name}: {value}")),
    };
    finding.values.iter().filter_map(line).collect()
}

/// A change as it is said to a member; `None` for one that cannot be said.
fn said(change: &Change) -> Option<String> {
    match Field::from_name(&change.what) {
        Some(field) if is_prediction(field) => {
            Some(format!("our estimate had been another ({})", named(field)))
        }
        Some(field) => {
            Some(format!("\"{}\" had been {} instead of {}", named(field), change.to, change.from))
        }
        None if change.what == "budget" => Some("there had been more left to give".to_owned()),
        None => Some(format!("\"{}\" had been {} instead of {}", change.what, change.to, change.from)),
    }
}
