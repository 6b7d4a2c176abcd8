//! Bundles that are handed in: what takes long about them, apart from what the registry says of them.
//!
//! [`HandIn::check`] reads no ledger and no clock, so it runs wherever there is time for it; what it found is judged afterwards,
//! by what is in force then.

use domain::Digest;
use ledger::BODY_BYTES_MAX;
use policies::cases::{self, Texts};
use policies::registry::Refusal;
use policies::{Bundle, Insight, Problems, Severity, Sources, analyse};

use super::Request;
use crate::opening::origin;

/// Most mistakes that are told of a bundle or of its tests: an answer is read in a terminal, and `largesse policy check`
/// shows the rest.
const TOLD_MAX: usize = 20;

/// A bundle and its tests, as a statement names them and as they came along.
#[derive(Clone, Debug)]
pub struct HandIn {
    bundle: Digest,
    canonical: String,
    tests: String,
}

/// What was found about a hand-in, whatever is in force.
pub struct Checked {
    bundle: Digest,
    found: Result<Box<Bundle>, Refusal>,
}

impl HandIn {
    /// What a request hands in, if it is worth a check: what came along is what the statement names, and no larger than a
    /// row holds.
    ///
    /// # Errors
    /// Why it is not.
    pub(super) fn of(request: &Request, bundle: Digest, tests: Option<Digest>) -> Result<HandIn, Refusal> {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        let hand_in = HandIn { bundle, canonical: given(&request.attachment), tests: given(&request.tests) };
        let (found, max) = (hand_in.canonical.len().max(hand_in.tests.len()), BODY_BYTES_MAX);
        if found > max {
            return Err(Refusal::TooLarge { found, max });
        }
        let found = Digest::of(hand_in.canonical.as_bytes());
        if found != bundle {
            return Err(Refusal::OtherBundle { expected: bundle, why: format!("it is {found}") });
        }
        let untested = |why: String| Refusal::Untested { bundle, why };
        let named = tests.ok_or_else(|| {
            untested(
                "the statement names no tests; hand the bundle in with the program the node runs".to_owned(),
            )
        })?;
        if Digest::of(hand_in.tests.as_bytes()) != named {
            return Err(untested(format!("the tests sent along are not those the statement names, {named}")));
        }
        Ok(hand_in)
    }

    /// Looks for mistakes and contradictions in the bundle, whatever the program said that handed it in, and runs its tests.
    /// Takes seconds where both are as large as they may be.
    pub fn check(&self) -> Checked {
        let bundle = self.bundle;
        let found = sound(bundle, &self.canonical).and_then(|found| {
            passes(&found, &self.tests).map_err(|why| Refusal::Untested { bundle, why })?;
            Ok(Box::new(found))
        });
        Checked { bundle, found }
    }
}

impl Checked {
    /// Whether it is about this bundle.
    pub(super) fn is_of(&self, bundle: Digest) -> bool {
        self.bundle == bundle
    }

    /// Whether what was checked can live in this ledger.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn fits(&self, in_force: &Bundle) -> Result<(), Refusal> {
        let bundle = self.found.as_ref().map_err(Refusal::clone)?;
        let other = |why: String| Refusal::OtherBundle { expected: bundle.digest(), why };
        other_terms(bundle, in_force).map_or(Ok(()), |why| Err(other(why)))
    }
}

/// What a bundle has otherwise that stays for the life of a ledger: whose it is, the currency its amounts are in, and how long a
/// budget period is, for limits count what all periods so far allowed.
pub fn other_terms(bundle: &Bundle, here: &Bundle) -> Option<String> {
    let (program, ours) = (bundle.program(), here.program());
    if origin(bundle) != origin(here) {
        let (found, here) = (&program.name, &ours.name);
        return Some(format!("it is for program {found:?}, this ledger is that of {here:?}"));
    }
    if program.currency != ours.currency {
        return Some(format!("it counts in {}, this ledger in {}", program.currency, ours.currency));
    }
    let (found, here) = (bundle.plan().period_days, here.plan().period_days);
    (found != here).then(|| {
        format!(
            "its budgets are for periods of {found} days, those of this ledger for {here}: that stays, for a limit counts what \
             all periods so far allowed; `[[budget.window]]` bounds other stretches of time"
        )
    })
}

/// What a bundle says against itself, each finding rendered with its place.
pub fn contradictions(bundle: &Bundle) -> Vec<String> {
    // The canonical bytes are the texts that it was made of.
    let Ok(sources) = Sources::from_canonical(bundle.canonical()) else { return Vec::new() };
    let against = |insight: &Insight| insight.severity == Severity::Error;
    let insights = analyse(bundle, &sources).into_iter().filter(against);
    insights.take(TOLD_MAX).map(|insight| insight.to_string()).collect()
}

/// The bundle in canonical bytes, if it has neither mistakes nor contradictions.
fn sound(named: Digest, canonical: &str) -> Result<Bundle, Refusal> {
    let other = |why: String| Refusal::OtherBundle { expected: named, why };
    let bundle = Bundle::from_canonical(canonical.as_bytes())
        .map_err(|problems| other(problems.render_first(TOLD_MAX)))?;
    let sources = Sources::from_canonical(canonical.as_bytes())
        .map_err(|problems| other(Problems(problems).render_first(TOLD_MAX)))?;
    match analyse(&bundle, &sources).into_iter().find(|insight| insight.severity == Severity::Error) {
        Some(insight) => Err(Refusal::Contradiction { bundle: named, why: insight.problem.message }),
        None => Ok(bundle),
    }
}

/// Whether a bundle passes the tests that came along with it.
///
/// # Errors
/// Why not.
fn passes(bundle: &Bundle, canonical: &str) -> Result<(), String> {
    let texts =
        Texts::from_canonical(canonical).map_err(|why| format!("what came along is no tests: {why}"))?;
    let cases = cases::of(&texts, bundle).map_err(|problems| problems.render_first(TOLD_MAX))?;
    if cases.is_empty() {
        return Err("it came without a test".to_owned());
    }
    let failed = cases::run(bundle, &cases);
    match failed.first() {
        None => Ok(()),
        Some(first) => {
            let (failed, of, why) = (failed.len(), cases.len(), first.differences.join("; "));
            Err(format!(
                "{failed} of {of} tests fail, first {}:{} {}: {why}",
                first.file, first.line, first.name
            ))
        }
    }
}
