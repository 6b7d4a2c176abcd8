//! The starters are checked, complete, rebuilt from their own bytes, and pass their own tests.

use std::path::{Path, PathBuf};

use policies::bundle::Action;
use policies::starter::{ALL, Starter};
use policies::{Bundle, Severity, Sources, analyse, cases};

fn folder(starter: &Starter) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bundles").join(starter.name)
}

#[test]
fn starters_have_no_mistakes_and_are_what_their_folders_are() {
    for starter in ALL {
        let bundle = starter.bundle().unwrap_or_else(|problems| panic!("{}", problems.render()));
        assert_eq!(Bundle::load(&folder(starter)).unwrap().digest(), bundle.digest(), "{}", starter.name);
        let again = Bundle::from_canonical(bundle.canonical()).unwrap();
        assert_eq!(again.digest(), bundle.digest());
        assert_eq!(format!("{again:?}"), format!("{bundle:?}"));
        assert!(bundle.segments().len() >= 5 && bundle.rewards().len() >= 6, "{}", starter.name);
    }
}

#[test]
fn starters_never_contradict_themselves() {
    for starter in ALL {
        let sources = Sources::from_folder(&folder(starter)).unwrap();
        let found = analyse(&starter.bundle().unwrap(), &sources);
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        let contradictions = found.iter().filter(|insight| insight.severity == Severity::Error);
        assert_eq!(contradictions.count(), 0, "{}: {}", starter.name, texts.join("\n"));
    }
}

#[test]
fn the_page_of_facts_is_up_to_date() {
    let page = include_str!("../../docs/facts.md");
    assert_eq!(
        page.trim_end(),
        policies::facts_page().trim_end(),
        "run `largesse schema facts > docs/facts.md`"
    );
}

#[test]
fn starters_pass_their_own_tests_and_no_rule_is_untested() {
    for starter in ALL {
        let bundle = starter.bundle().unwrap();
        let (_, cases) =
            cases::read(&folder(starter), &bundle).unwrap_or_else(|problems| panic!("{}", problems.render()));
        assert!(cases.len() >= 50, "{} has {} cases", starter.name, cases.len());
        assert_eq!(cases::run(&bundle, &cases), [], "{}", starter.name);
        let report = cases::mutate::survivors(&bundle, &cases);
        assert!(report.tried > 50, "{} rules of {}", report.tried, starter.name);
        assert_eq!(report.survivors, [], "{}", starter.name);
        let left: Vec<&str> = report.not_taken_out.iter().map(|left| left.rule.as_str()).collect();
        for rule in ["guardrails.consent", "guardrails.objection", "program.stop"] {
            assert!(left.contains(&rule), "{rule} is not among {left:?} of {}", starter.name);
        }
        let informing = bundle.guardrails().rules.iter().filter(|rule| rule.action != Action::Deny);
        assert!(left.len() >= 3 + informing.count() && left.len() < 20, "{left:?} of {}", starter.name);
    }
}
