//! `largesse explain CODE`: the page behind a reason or diagnostic code.

use domain::Reason;

use crate::exit::{Failure, Result, Verdict};
use crate::output;

/// Explain a code
#[derive(clap::Args)]
pub struct Args {
    /// A reason such as QUIET_HOURS, a policy diagnostic such as POL0003, or a refusal such as REG0014 or CAS0012; without it, all reasons
    code: Option<String>,
}

pub fn run(args: &Args) -> Result {
    let Some(code) = &args.code else {
        for reason in Reason::ALL {
            output::line(&format!("{:<22} {}", reason.name(), reason.text()))?;
        }
        return Ok(Verdict::Ok);
    };
    let wanted = code.to_uppercase().replace('-', "_");
    if let Some(reason) = Reason::from_name(&wanted) {
        output::line(&format!("{}: {}\n\n{}", reason.name(), reason.text(), reason.page()))?;
        return Ok(Verdict::Ok);
    }
    let pages = [policies::explain, policies::registry::explain, ledger::cases::explain];
    if let Some(page) = pages.into_iter().find_map(|explain| explain(&wanted)) {
        output::line(&format!("{wanted}\n\n{page}"))?;
        return Ok(Verdict::Ok);
    }
    Err(Failure::usage(format!("no code {code:?}; `largesse explain` lists every reason")))
}
