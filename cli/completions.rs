//! Shell completions and manual pages, generated from the same definitions as `--help`.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::exit::{Failure, Result, Verdict};
use crate::output;

/// Print a shell completion script
#[derive(clap::Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

/// Print the manual page
#[derive(clap::Args)]
pub struct ManArgs {
    /// Write one page per subcommand into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs) -> Result {
    // Rendered in memory first: the generator panics when its writer fails, e.g. on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "largesse", &mut script);
    output::bytes(&script)?;
    Ok(Verdict::Ok)
}

pub fn man(args: &ManArgs) -> Result {
    match &args.dir {
        Some(dir) => {
            let written = std::fs::create_dir_all(dir)
                .and_then(|()| clap_mangen::generate_to(crate::Cli::command(), dir));
            written.map_err(|error| {
                Failure::runtime(anyhow::anyhow!("cannot write pages to {}: {error}", dir.display()))
            })?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(crate::Cli::command()).render(&mut page).map_err(Failure::runtime)?;
            output::bytes(&page)?;
        }
    }
    Ok(Verdict::Ok)
}
