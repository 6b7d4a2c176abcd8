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
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:#}", self.error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::runtime(error)
    }
}

/// Prints the error, if any, and gives the exit code.
pub fn code(result: Result) -> ExitCode {
    match result {
        Ok(Verdict::Ok) => ExitCode::SUCCESS,
        Ok(Verdict::FoundBad) => ExitCode::from(3),
        Err(failure) if is_broken_pipe(&failure.error) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("largesse: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// `largesse ... | head` closes the pipe early; that is not a failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(broken)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|error| error.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe))
    })
}
