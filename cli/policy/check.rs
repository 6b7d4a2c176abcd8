//! `largesse policy check`.

use std::path::PathBuf;

use clap::ValueEnum;
use policies::Bundle;

use crate::exit::{Result, Verdict};
use crate::output;

/// Report every mistake of a bundle, with its place and how to mend it; exit 3 when there is one
#[derive(clap::Args)]
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
}

pub fn run(args: &Args) -> Result {
    match (Bundle::load(&args.bundle), args.output) {
        (Ok(bundle), Form::Table) => {
            output::line(&format!(
                "{}: no mistakes; {} segments, {} rewards, {} moments, {} rules\ndigest {}",
                bundle.program().name,
                bundle.segments().len(),
                bundle.rewards().len(),
                bundle.moments().len(),
                bundle.rules().len(),
                bundle.digest()
            ))?;
            Ok(Verdict::Ok)
        }
        (Ok(bundle), Form::Json) => {
            output::json(&serde_json::json!({ "digest": bundle.digest(), "mistakes": [] }))?;
            Ok(Verdict::Ok)
        }
        (Err(problems), form) => {
            match form {
                Form::Table => output::line(problems.render().trim_end())?,
                Form::Json => output::json(&serde_json::json!({ "mistakes": problems }))?,
            }
            Ok(Verdict::FoundBad)
        }
    }
}
