//! A bundle's own tests: members and moments as a loyalty team imagines them, and what the policy must say.
//!
//! Cases run through the same gates as live decisions. [`read`] finds them in a bundle's `tests` folder, [`of`] in texts
//! that were handed in with it; [`run`] says which fail and how, [`mutate`](mutate::survivors) names rules that no case would miss.

mod check;
mod expect;
mod files;
pub mod mutate;
mod situation;
mod texts;

use std::path::Path;

use domain::{Reason, RewardIndex};
use serde::Serialize;

use crate::bundle::{Bundle, Stops};
use crate::check::Names;
use crate::codes::Code;
use crate::documents::cases::Expect;
use crate::problem::{Problem, Problems};
pub use files::CASES_MAX;
use situation::Imagined;
pub use texts::Texts;

/// One case, ready to run against the bundle it was read for.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub file: String,
    pub line: u32,
    imagined: Imagined,
    expect: Expect,
}

/// A case that did not come out as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    pub name: String,
    pub file: String,
    pub line: u32,
    /// Each difference: what was expected, what the policy said.
    pub differences: Vec<String>,
}

/// What the policy says about a case.
#[derive(Clone, Debug, Default)]
struct Said {
    moment: Option<String>,
    denied: Option<Reason>,
    held: Option<Reason>,
    segment: Option<String>,
    rewards: Vec<(String, Option<Reason>)>,
}

/// Reads a bundle's `tests` folder, as text and as cases; none of either when there is no such folder.
///
/// # Errors
/// Every mistake in them, with its place.
pub fn read(folder: &Path, bundle: &Bundle) -> Result<(Texts, Vec<Case>), Problems> {
    let (texts, problems) = Texts::from_folder(folder);
    let cases = ready(&texts, bundle, problems)?;
    Ok((texts, cases))
}

/// The cases in texts.
///
/// # Errors
/// Every mistake in them, with its place.
pub fn of(texts: &Texts, bundle: &Bundle) -> Result<Vec<Case>, Problems> {
    ready(texts, bundle, Vec::new())
}

fn ready(texts: &Texts, bundle: &Bundle, mut problems: Vec<Problem>) -> Result<Vec<Case>, Problems> {
    let (found, mut wrong) = files::find(texts, &Names::of(bundle));
    problems.append(&mut wrong);
    let mut cases = Vec::new();
    for files::Found { file, line, case } in found {
        let name = case.name.get_ref().clone();
        match Imagined::of(&case, bundle) {
            Ok(imagined) => cases.push(Case { name, file, line, imagined, expect: case.expect }),
            // What cannot be imagined was reported where it stands, but for hours that a zone leaves out.
            Err(why) if problems.is_empty() => {
                let problem = Problem::of_file(Code::BadCase, &file, format!("in {name:?}: {why}"));
                problems.push(Problem { line, ..problem });
            }
            Err(_) => {}
        }
    }
    if problems.is_empty() { Ok(cases) } else { Err(Problems(problems)) }
}

/// Every mistake in the cases of a bundle that cannot be used itself, with its place.
pub fn mistakes(folder: &Path, names: &Names) -> Vec<Problem> {
    let (texts, mut problems) = Texts::from_folder(folder);
    problems.append(&mut files::find(&texts, names).1);
    problems
}

/// Runs cases against a bundle; returns those that fail.
pub fn run(bundle: &Bundle, cases: &[Case]) -> Vec<Failed> {
    cases.iter().filter_map(|case| case.run(bundle)).collect()
}

impl Case {
    fn run(&self, bundle: &Bundle) -> Option<Failed> {
        let differences = expect::differences(&self.expect, &say(bundle, &self.imagined));
        (!differences.is_empty()).then(|| Failed {
            name: self.name.clone(),
            file: self.file.clone(),
            line: self.line,
            differences,
        })
    }
}

/// Asks every gate in the order of a live decision.
fn say(bundle: &Bundle, imagined: &Imagined) -> Said {
    let mut said = Said::default();
    let Some(triggered) = bundle.triggered(&imagined.facts) else { return said };
    if let Err(refusal) = bundle.gate_before_scores(&imagined.facts, Stops::default()) {
        said.moment = Some(bundle.moment(triggered).id.clone());
        said.denied = Some(refusal.reason);
        return said;
    }
    let Ok(moment) = bundle.confirmed(triggered, &imagined.facts) else { return said };
    said.moment = Some(bundle.moment(moment).id.clone());
    let segment = bundle.segment_of(&imagined.facts, Stops::default());
    said.segment = segment.ok().map(|segment| bundle.segment(segment).id.clone());
    let held = bundle.gate(moment, &imagined.with(&imagined.facts)).err().or(segment.err());
    said.held = held.map(|refusal| refusal.reason);
    let (None, Ok(segment)) = (said.held, segment) else { return said };
    let mut facts = imagined.facts.clone();
    let mut open = 0;
    for (index, reward) in (0u8..).map(RewardIndex).zip(bundle.rewards()) {
        bundle.put_reward_facts(index, imagined.now, &imagined.grants, &mut facts);
        let answer = bundle.candidate(moment, Some(segment), index, &imagined.with(&facts));
        open |= u64::from(answer.is_ok()) << index.0;
        said.rewards.push((reward.id.clone(), answer.err().map(|(reason, _)| reason)));
    }
    let (gave_way, _) = bundle.giving_way(open).unzip();
    for (at, (_, refused)) in said.rewards.iter_mut().enumerate() {
        if gave_way.is_some_and(|rewards| rewards >> at & 1 == 1) {
            *refused = Some(Reason::ExclusiveReward);
        }
    }
    said
}
