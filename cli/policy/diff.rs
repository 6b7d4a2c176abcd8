//! `largesse policy diff`.

use std::path::PathBuf;

use policies::diff::Difference;
use serde::Serialize;

use crate::exit::{Result, Verdict};
use crate::output::{self, Columns, Format};

/// Say in words and numbers what differs between two bundles
#[derive(clap::Args)]
#[command(after_help = "`largesse policy impact` says who would be affected, and by how much.")]
pub struct Args {
    /// A folder, or a digest that the ledger in --dir holds
    before: String,
    /// A folder, or a digest that the ledger in --dir holds
    after: String,
    /// Folder of the ledger that holds bundles named by digest
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Table, JSON, JSON lines or CSV
    #[arg(long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Line(Difference);

impl Columns for Line {
    const NAMES: &'static [&'static str] = &["place", "before", "after"];

    fn cells(self) -> Vec<String> {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        vec![self.0.place, shown(self.0.before), shown(self.0.after)]
    }
}

pub fn run(args: &Args) -> Result {
    let before = super::named(&args.before, args.dir.as_deref())?;
    let after = super::named(&args.after, args.dir.as_deref())?;
    let differences = policies::diff::diff(&before, &after);
    if differences.is_empty() && args.output == Format::Table {
        output::line("nothing differs that decisions depend on")?;
        return Ok(Verdict::Ok);
    }
    output::rows(args.output, differences.into_iter().map(|difference| Ok(Line(difference))))?;
    Ok(Verdict::Ok)
}
