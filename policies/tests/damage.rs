//! Damaged bundles: whatever happens to the files, the checker answers with mistakes that have a place.

use domain::facts::Field;
use domain::{Facts, RewardIndex, Timestamp};
use policies::{Bundle, MomentIndex, Problems, Situation, Sources, Stops, starter};
use proptest::prelude::*;

/// The starter bundle with a part of one file replaced.
fn damaged(file: usize, from: usize, length: usize, with: &str) -> (Vec<String>, Result<Bundle, Problems>) {
    let mut texts: Vec<String> = starter::GROCERY.iter().map(|(_, text)| (*text).to_owned()).collect();
    let text = &mut texts[file];
    let mut from = from % text.len();
    while !text.is_char_boundary(from) {
        from -= 1;
    }
    let mut to = (from + length).min(text.len());
    while !text.is_char_boundary(to) {
        to += 1;
    }
    text.replace_range(from..to, with);
    let files: Vec<(&str, &str)> =
        starter::GROCERY.iter().zip(&texts).map(|((name, _), text)| (*name, text.as_str())).collect();
    let bundle = Bundle::from_files(&files);
    (texts, bundle)
}

/// Asks everything that can be asked, to see that no position is out of range.
fn ask_everything(bundle: &Bundle) {
    let mut facts = Facts::default();
    facts.set(Field::EventSettlement, 1);
    let _ = bundle.triggered(&facts);
    let _ = Sources::from_canonical(bundle.canonical()).map(|sources| policies::analyse(bundle, &sources));
    let grants = [];
    for moment in (0..u8::try_from(bundle.moments().len()).unwrap_or(u8::MAX)).map(MomentIndex) {
        let asked = Situation { facts: &facts, now: Timestamp(0), grants: &grants, stops: Stops::default() };
        let _ = bundle.confirmed(moment, &facts);
        let _ = bundle.gate(moment, &asked);
        let segment = bundle.segment_of(&facts, Stops::default()).ok();
        for reward in (0..u8::try_from(bundle.rewards().len()).unwrap_or(u8::MAX)).map(RewardIndex) {
            let _ = bundle.candidate(moment, None, reward, &asked);
            if let Some(segment) = segment {
                let _ = bundle.value(segment, reward, domain::Micros::units(100), domain::Ppm(500_000));
            }
        }
        let _ = bundle.findings(moment, segment, &asked);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn damage_is_reported_with_a_place_or_does_no_harm(
        file in 0usize..6,
        from: usize,
        length in 0usize..40,
        with in "[a-z0-9_.=\"'\\[\\]{}#\n -]{0,12}",
    ) {
        let (texts, result) = damaged(file, from, length, &with);
        match result {
            Ok(bundle) => {
                ask_everything(&bundle);
                let again = Bundle::from_canonical(bundle.canonical());
                prop_assert_eq!(again.map(|again| again.digest()), Ok(bundle.digest()));
            }
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                for problem in &problems.0 {
                    let at = starter::GROCERY.iter().position(|(name, _)| *name == problem.file);
                    let text = &texts[at.unwrap_or(0)];
                    prop_assert!(problem.span.end <= text.len() && problem.span.start <= problem.span.end);
                    prop_assert!(problem.excerpt.is_empty() || text.contains(&problem.excerpt));
                }
                prop_assert!(problems.render().contains("error[POL"));
            }
        }
    }
}

#[test]
fn lists_longer_than_allowed_are_refused_not_cut() {
    let (_, catalog) = starter::GROCERY[2];
    let reward = "\n[[reward]]\nid = \"extra-N\"\nname = \"x\"\nkind = \"points\"\ncost = \"1.00\"\nvalid_days = 1\ntouchpoints = [\"pos\"]\nprior = { default = \"1 %\", source = \"test\" }\n";
    let extra: String = (0..60).map(|at| reward.replace('N', &at.to_string())).collect();
    let text = format!("{catalog}{extra}");
    let mut files = starter::GROCERY;
    files[2].1 = &text;
    let problems = Bundle::from_files(&files).map(|bundle| bundle.digest()).err();
    let problems = problems.map(|problems| problems.render()).unwrap_or_default();
    assert!(problems.contains("70 rewards, at most 64 are allowed"), "{problems}");
}
