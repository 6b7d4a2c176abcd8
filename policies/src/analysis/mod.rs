//! Findings of meaning: what a bundle that checks can never do, says twice, or says against itself.
//!
//! Conditions are asked, exactly, whether any member could meet them ([`search`]). What is reported as never
//! happening was proven; what is reported as happening comes with a [`Witness`] that the engine itself was asked
//! about. Where neither succeeds within the bound, it is said that the search did not end. It never changes a bundle
//! and is not part of making one.
//!
//! Start at [`analyse`]; [`terms`] says what a promise takes, the files of findings read in the order of
//! [`analyse`].

mod effort;
mod exclusive;
mod favours;
mod lists;
mod order;
mod pairs;
mod places;
mod promises;
mod region;
mod repeats;
mod search;
mod terms;
mod witness;
mod world;

use std::collections::BTreeSet;
use std::fmt;

use domain::Facts;
use domain::facts::Field;
use serde::Serialize;

use crate::bundle::{Bundle, Stops};
use crate::codes::{Code, Severity};
use crate::problem::Problem;
use crate::source::{File, Sources};
use places::Places;
use search::{Answer, Claim, Search};
use terms::{By, Term, Terms};

pub use witness::Witness;
pub(crate) use world::bounds;
pub use world::usual;

/// Most names in the message of what was not searched to the end; all of them stand in the finding.
const NAMED_MAX: usize = 4;
/// Most names in the text of a finding: what causes one are a few; a hard bundle has a thousand parts that were not searched.
const ABOUT_MAX: usize = 12;

/// A finding of meaning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Insight {
    /// What is wrong and where.
    pub problem: Problem,
    /// Errors are contradictions; warnings leave the bundle doing what it says.
    pub severity: Severity,
    /// What it is about, then the rules, segments and moments that together cause it, by name; each once.
    pub rules: Vec<String>,
    /// Facts that show it, where facts can.
    pub witness: Option<Witness>,
}

/// The mistake with its caret, what causes it, and who shows it.
impl fmt::Display for Insight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gutter = self.problem.line.to_string().len();
        write!(f, "{}", self.problem)?;
        let shown = &self.rules[..self.rules.len().min(ABOUT_MAX)];
        write!(f, "{:gutter$} = about: {}", "", shown.join(", "))?;
        match self.rules.len() - shown.len() {
            0 => writeln!(f)?,
            more => writeln!(f, " and {more} more")?,
        }
        match &self.witness {
            Some(witness) => writeln!(f, "{:gutter$} = for example: {witness}", ""),
            None => Ok(()),
        }
    }
}

/// Everything a bundle can never do, says twice, or says against itself, in file order.
///
/// `sources` are the texts the bundle was made of; they give the places. Kill switches of the bundle are taken
/// as open, because they are closed only for a while.
pub fn analyse(bundle: &Bundle, sources: &Sources) -> Vec<Insight> {
    let mut open = bundle.clone();
    open.stops = Stops::default();
    let terms = Terms::of(&open);
    let mut analysis = Analysis {
        bundle: &open,
        terms: &terms,
        places: Places::of(sources),
        search: Search::new(world::always(&open), world::usual_of(&open)),
        insights: Vec::new(),
        unproven: Vec::new(),
        noted: BTreeSet::new(),
    };
    let dead = analysis.lists();
    analysis.shadowed_segments(&dead);
    let dead_moments = analysis.shadowed_moments(&dead);
    let refused = analysis.refused_promises(&dead, &dead_moments);
    analysis.repeats(&dead);
    analysis.favoured_and_denied(&refused);
    analysis.overlapping_exclusive(&refused);
    analysis.not_searched();
    let mut insights = analysis.insights;
    let file = |insight: &Insight| File::ALL.iter().position(|file| file.name() == insight.problem.file);
    insights.sort_by_key(|insight| (file(insight), insight.problem.span.start, insight.problem.code));
    insights
}

/// What the findings share.
struct Analysis<'a> {
    bundle: &'a Bundle,
    terms: &'a Terms,
    places: Places<'a>,
    search: Search,
    insights: Vec<Insight>,
    /// What the search was not brought to an end about, by name, in the order it was asked about; each once.
    unproven: Vec<String>,
    noted: BTreeSet<String>,
}

/// Lists of conditions that never hold, by position.
struct Dead {
    segments: Vec<bool>,
    moments: Vec<bool>,
    rewards: Vec<bool>,
    rules: Vec<bool>,
}

impl<'a> Analysis<'a> {
    fn ask(&mut self, terms: &[&Term]) -> Answer {
        let claims: Vec<Claim<'_>> = terms.iter().map(|term| term.claim()).collect();
        self.search.ask(&claims)
    }

    /// Whether some terms never hold together; where that stays open, what it is `about` is noted.
    fn never(&mut self, terms: &[&Term], about: &[String]) -> bool {
        let answer = self.ask(terms);
        if matches!(answer, Answer::Open) {
            self.note(about);
        }
        matches!(answer, Answer::Never(_))
    }

    /// Notes what was not searched to the end.
    fn note(&mut self, about: &[String]) {
        for name in about {
            if self.noted.insert(name.clone()) {
                self.unproven.push(name.clone());
            }
        }
    }

    /// As few of some terms as never hold together with the `given` ones; they are dropped from the front where
    /// they can be. All of them, and noted, where what was proven before cannot be proven again within the bound.
    ///
    /// A term stays only if a row meets all the others, or if a proof rests on it and whether another proof could do
    /// without was not searched to the end, which is noted.
    fn core<'t>(&mut self, given: &[&'t Term], terms: &[&'t Term]) -> Vec<&'t Term> {
        let all: Vec<&Term> = given.iter().chain(terms).copied().collect();
        let claims: Vec<Claim<'_>> = all.iter().map(|term| term.claim()).collect();
        let Answer::Never(used) = self.search.ask_again(&claims) else {
            let names = self.names(terms);
            self.note(&names);
            return terms.to_vec();
        };
        let of = |used: &[usize], terms: &[&'t Term]| -> Vec<&'t Term> {
            used.iter().filter_map(|at| terms.get(at.checked_sub(given.len())?).copied()).collect()
        };
        let mut kept = of(&used, terms);
        let (mut at, mut doubtful) = (0, Vec::new());
        while at < kept.len() {
            let mut fewer = kept.clone();
            let dropped = fewer.remove(at);
            let asked: Vec<&Term> = given.iter().chain(&fewer).copied().collect();
            match self.ask(&asked) {
                Answer::Never(used) => {
                    at = used.iter().filter(|used| (given.len()..given.len() + at).contains(used)).count();
                    kept = of(&used, &fewer);
                }
                Answer::Sometimes(_) => at += 1,
                Answer::Open => {
                    doubtful.push(dropped);
                    at += 1;
                }
            }
        }
        doubtful.retain(|term| kept.iter().any(|kept| std::ptr::eq(*kept, *term)));
        let names = self.names(&doubtful);
        self.note(&names);
        kept
    }

    /// Reports that the search ended before it was through, with what it was asked about then.
    fn not_searched(&mut self) {
        let Some(first) = self.unproven.first().cloned() else { return };
        let rules = std::mem::take(&mut self.unproven);
        let shown = &rules[..rules.len().min(NAMED_MAX)];
        let more = rules.len() - shown.len();
        let named = match more {
            0 => listed(shown),
            more => {
                let quoted: Vec<String> = shown.iter().map(|name| format!("`{name}`")).collect();
                format!("{} and {more} more", quoted.join(", "))
            }
        };
        let message = format!(
            "the search ended at its bound, so more may be wrong than is reported here, with {named}"
        );
        let help = "compare fewer facts with each other here, or calculate with fewer of them";
        self.report(Code::NotSearched, &first, message, help, rules, None);
    }

    /// The names of those who say some terms, each once.
    fn names(&self, terms: &[&Term]) -> Vec<String> {
        let (mut names, mut named) = (Vec::new(), BTreeSet::new());
        for term in terms {
            let said: Vec<String> = match term.by {
                By::Nobody => Vec::new(),
                By::Moment(at) => vec![self.moment_name(at)],
                By::Segment(at) => vec![self.segment_name(at)],
                By::Segments(reward) => self.may_have(reward).map(|at| self.segment_name(at)).collect(),
                By::Condition(rule) | By::Key(rule) | By::Deny(rule) => {
                    self.bundle.rule(rule).map(|rule| rule.id.clone()).into_iter().collect()
                }
            };
            names.extend(said.into_iter().filter(|name| named.insert(name.clone())));
        }
        names
    }

    /// The segments whose ceiling a reward does not pass.
    fn may_have(&self, reward: usize) -> impl Iterator<Item = usize> {
        let cost = self.bundle.rewards[reward].cost;
        let segments = self.bundle.segments.iter().enumerate();
        segments
            .filter(move |(_, segment)| segment.ceiling.is_none_or(|(most, _)| cost <= most))
            .map(|(at, _)| at)
    }

    fn segment_name(&self, at: usize) -> String {
        format!("segments.{}", self.bundle.segments[at].id)
    }

    fn moment_name(&self, at: usize) -> String {
        format!("moments.{}", self.bundle.moments[at].id)
    }

    fn reward_name(&self, at: usize) -> String {
        format!("catalog.{}", self.bundle.rewards[at].id)
    }

    fn report(
        &mut self,
        code: Code,
        at: &str,
        message: String,
        help: &str,
        rules: Vec<String>,
        witness: Option<Witness>,
    ) {
        let problem = self.places.problem(code, at, message).help(help);
        let mut named = BTreeSet::new();
        let rules = rules.into_iter().filter(|rule| named.insert(rule.clone())).collect();
        self.insights.push(Insight { problem, severity: code.severity(), rules, witness });
    }
}

/// Every fact that some terms read.
fn read(terms: &[&Term]) -> Vec<Field> {
    let mut fields = Vec::new();
    for term in terms {
        term.truth.fields(&mut |field| {
            if !fields.contains(&field) {
                fields.push(field);
            }
        });
    }
    fields
}

/// The witness of a row for some terms, in a moment and for a reward of the bundle.
fn witness(
    facts: &Facts,
    terms: &[&Term],
    moment: Option<&crate::bundle::Moment>,
    reward: Option<&crate::bundle::Reward>,
) -> Witness {
    Witness {
        moment: moment.map(|moment| moment.id.clone()),
        reward: reward.map(|reward| reward.id.clone()),
        ..Witness::of(facts, &read(terms))
    }
}

/// `a`, `b` and `c`, as people list them.
fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}
