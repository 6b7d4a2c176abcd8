//! `largesse policy check`.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use policies::{Bundle, Insight, Problems, Severity, Sources, analyse, check};

use crate::exit::{Failure, Result, Verdict};
use crate::output;

/// Report every mistake of a bundle, with its place and how to mend it; exit 3 when there is one
#[derive(clap::Args)]
#[command(after_help = "\
First every mistake in the files and in the tests. Where the files have none: what the policy can never do,
says twice or says against itself; conflicts come with a member and an event that show them.")]
pub struct Args {
    /// Folder of the bundle
    #[arg(value_name = "DIR")]
    bundle: PathBuf,
    /// For people, or for tools
    #[arg(long, value_enum, default_value = "table")]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code hosts and CI
    Sarif,
}

/// What a check came to.
struct Checked {
    bundle: Option<Bundle>,
    problems: Problems,
    insights: Vec<Insight>,
}

fn checked(folder: &Path) -> Checked {
    let (bundle, problems) = check::check_folder(folder);
    let analysed = bundle
        .as_ref()
        .and_then(|bundle| Some(analyse(bundle, &Sources::from_canonical(bundle.canonical()).ok()?)));
    Checked { bundle, problems, insights: analysed.unwrap_or_default() }
}

impl Checked {
    fn is_bad(&self) -> bool {
        !self.problems.0.is_empty() || self.insights.iter().any(|insight| insight.severity == Severity::Error)
    }

    /// Mistakes and findings alike, in one list.
    fn all(&self) -> Problems {
        let found = self.insights.iter().map(|insight| insight.problem.clone());
        Problems(self.problems.0.iter().cloned().chain(found).collect())
    }
}

pub fn run(args: &Args) -> Result {
    let checked = checked(&args.bundle);
    match args.output {
        Form::Sarif => output::json(&checked.all().sarif())?,
        Form::Json => output::json(&serde_json::json!({
            "digest": checked.bundle.as_ref().map(Bundle::digest),
            "mistakes": checked.problems,
            "findings": checked.insights,
            "rules": checked.bundle.as_ref().map(Bundle::rules),
        }))?,
        Form::Table => show(&checked)?,
    }
    Ok(if checked.is_bad() { Verdict::FoundBad } else { Verdict::Ok })
}

fn show(checked: &Checked) -> Result<()> {
    for insight in &checked.insights {
        output::line(&insight.to_string())?;
    }
    let Some(bundle) = checked.bundle.as_ref().filter(|_| checked.problems.0.is_empty()) else {
        return output::line(checked.problems.render().trim_end());
    };
    let count = |severity| checked.insights.iter().filter(|insight| insight.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let found = match (errors, warnings) {
        (0, 0) => "no mistakes".to_owned(),
        (0, warnings) => format!("no mistakes, {warnings} to look at"),
        (errors, warnings) => format!("{errors} contradictions, {warnings} to look at"),
    };
    output::line(&format!(
        "{}: {found}; {} segments, {} rewards, {} moments, {} rules\ndigest {}",
        bundle.program().name,
        bundle.segments().len(),
        bundle.rewards().len(),
        bundle.moments().len(),
        bundle.rules().len(),
        bundle.digest()
    ))
}

/// Refuses a bundle that contradicts itself.
///
/// # Errors
/// Exit 3 with every mistake and contradiction.
pub fn must_hold(folder: &Path) -> Result<Bundle> {
    let checked = checked(folder);
    let bad = checked.is_bad();
    match checked.bundle {
        Some(bundle) if !bad => Ok(bundle),
        Some(_) | None => {
            let insights = checked.insights.iter().filter(|insight| insight.severity == Severity::Error);
            let findings: String = insights.map(|insight| format!("{insight}\n")).collect();
            let mistakes =
                if checked.problems.0.is_empty() { String::new() } else { checked.problems.render() };
            let text = format!("{findings}{mistakes}");
            Err(Failure::found_bad(anyhow::anyhow!("the bundle cannot be handed in:\n{}", text.trim_end())))
        }
    }
}
