//! From results to exit codes, and errors said in one place.

use std::process::ExitCode;

/// The result of a subcommand: `Ok` with a verdict, or an error with its exit code.
pub type Result<T = Verdict> = std::result::Result<T, Failure>;

/// How a command that ran to its end ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Fine.
    Ok,
    /// The thing was checked and found bad; what is bad has been printed.
    FoundBad,
}

/// An error and the exit code it means.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// Exit 1: something failed while running.
    pub fn runtime(error: impl Into<anyhow::Error>) -> Failure {
        Failure { code: 1, error: error.into() }
    }

    /// Exit 2: the command cannot mean what was typed.
    pub fn usage(message: impl std::fmt::Display) -> Failure {
        Failure { code: 2, error: anyhow::anyhow!("{message}") }
    }

    /// Exit 3: an input was checked and found bad.
    pub fn found_bad(error: impl Into<anyhow::Error>) -> Failure {
        Failure { code: 3, error: error.into() }
    }

    /// Exit 4: a server, library or file the command depends on is unavailable.
    pub fn unavailable(error: impl Into<anyhow::Error>) -> Failure {
        Failure { code: 4, error: error.into() }
    }
}

impl std::fmt::Display for Failure {
    /// The error and its causes; many errors say their cause themselves, and then it is not said again.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = self.error.to_string();
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                said = format!("{said}: {cause}");
            }
        }
        out.write_str(&said)
    }
}

/// Prints the error, if any, and gives the exit code.
pub fn code(result: Result) -> ExitCode {
    match result {
        Ok(Verdict::Ok) => ExitCode::SUCCESS,
        Ok(Verdict::FoundBad) => ExitCode::from(3),
        Err(failure) => {
            crate::output::say(&format!("largesse: {failure}"));
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_said_once() {
        let missing = || std::io::Error::other("No such file");
        let names_its_cause = anyhow::Error::new(missing()).context("read x: No such file");
        assert_eq!(Failure { code: 1, error: names_its_cause }.to_string(), "read x: No such file");
        let hides_its_cause = anyhow::Error::new(missing()).context("read x");
        assert_eq!(Failure { code: 1, error: hides_its_cause }.to_string(), "read x: No such file");
    }
}
