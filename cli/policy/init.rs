//! `largesse policy init`.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use policies::starter::{ALL, Starter};
use policies::{Bundle, Code, Problem, Problems};

use crate::exit::{Failure, Result, Verdict};
use crate::output;

/// Start a policy from one of the shipped programs
#[derive(clap::Args)]
#[command(after_help = "\
What is not said with a flag is asked when somebody sits at the terminal, and otherwise stays as shipped.
The starters: grocery, subscription, restaurant, fashion; each with tests and a README.")]
pub struct Args {
    /// Folder to make
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Which program to start from
    #[arg(long, value_name = "STARTER", value_parser = starter)]
    from: Option<&'static Starter>,
    /// Name of your program
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Three letters of ISO 4217
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// IANA time zone, such as Europe/Berlin
    #[arg(long, value_name = "ZONE", visible_alias = "zone")]
    timezone: Option<String>,
}

fn starter(name: &str) -> std::result::Result<&'static Starter, String> {
    let names = || ALL.iter().map(|starter| starter.name).collect::<Vec<_>>().join(", ");
    Starter::named(name).ok_or_else(|| format!("one of {}", names()))
}

pub fn run(args: &Args) -> Result {
    if args.folder.exists() {
        return Err(Failure::usage(format!("{} exists; name a new folder", args.folder.display())));
    }
    let from = match args.from {
        Some(starter) => starter,
        None => chosen()?,
    };
    let name = answer(args.name.as_ref(), "Name of the program")?;
    let currency = answer(args.currency.as_ref(), "Currency (three letters)")?;
    let timezone = answer(args.timezone.as_ref(), "Time zone (such as Europe/Berlin)")?;
    let mut files: Vec<(&str, String)> =
        from.files.iter().map(|(file, text)| (*file, (*text).to_owned())).collect();
    let mut set = |file: &str, key: &str, value: Option<&String>| {
        let Some(value) = value else { return };
        if let Some((_, text)) = files.iter_mut().find(|(name, _)| *name == file) {
            *text = with_value(text, key, value);
        }
    };
    set("program.toml", "name", name.as_ref());
    set("program.toml", "currency", currency.as_ref());
    set("program.toml", "timezone", timezone.as_ref());
    // Another program has other control groups.
    set("experiments.toml", "salt", name.as_ref());
    let bundle: Vec<(&str, &str)> = files
        .iter()
        .filter(|(file, _)| !file.contains('/') && file.ends_with(".toml"))
        .map(|(file, text)| (*file, text.as_str()))
        .collect();
    let bundle = Bundle::from_files(&bundle).map_err(|problems| refused(&problems))?;
    write(&args.folder, &files)?;
    let shown = args.folder.display();
    output::line(&format!(
        "{} in {shown}, from the {} program: {} segments, {} rewards, {} moments\n\
         Comments, names of tests and amounts are still those of the example; {shown}/README.md says what to change \
         first.\n\nNext\n  \
         largesse policy check {shown}\n  largesse policy test {shown} --mutate\n  \
         largesse demo --policy {shown} --dir NEW-FOLDER",
        bundle.program().name,
        from.name,
        bundle.segments().len(),
        bundle.rewards().len(),
        bundle.moments().len(),
    ))?;
    Ok(Verdict::Ok)
}

/// What was answered wrong; the files it would stand in do not exist yet.
fn refused(problems: &Problems) -> Failure {
    let said: Vec<String> = problems.0.iter().map(in_words).collect();
    Failure::usage(said.join("\n"))
}

fn in_words(problem: &Problem) -> String {
    let flags = [(Code::BadCurrency, "--currency"), (Code::BadZone, "--timezone")];
    let flag = flags.iter().find(|(code, _)| *code == problem.code).map_or("--name", |(_, flag)| flag);
    let more = problem.expected.iter().chain(&problem.help).map(|more| format!("; {more}"));
    format!("{flag}: {}{} [{}]", problem.message, more.collect::<String>(), problem.code)
}

fn chosen() -> Result<&'static Starter> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("say with --from which program to start from; --help lists them"));
    }
    for starter in ALL {
        output::say(&format!("  {:<13} {}", starter.name, starter.about));
    }
    let Some(word) = answer(None, "Start from")? else {
        return Err(Failure::usage("no program was chosen"));
    };
    starter(&word).map_err(Failure::usage)
}

/// The flag's value, or what is typed; nothing typed keeps what is shipped.
fn answer(given: Option<&String>, question: &str) -> Result<Option<String>> {
    if given.is_some() || !std::io::stdin().is_terminal() {
        return Ok(given.cloned());
    }
    eprint!("{question}: ");
    std::io::stderr().flush().map_err(Failure::runtime)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Failure::runtime)?;
    let line = line.trim();
    Ok((!line.is_empty()).then(|| line.to_owned()))
}

/// The text with another value for a top-level key.
fn with_value(text: &str, key: &str, value: &str) -> String {
    let start = format!("{key} = ");
    let mut replaced = false;
    let lines = text.lines().map(|line| {
        if replaced || !line.starts_with(&start) {
            return line.to_owned();
        }
        replaced = true;
        // A JSON text is a TOML text too.
        format!("{start}{}", serde_json::Value::from(value))
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn write(folder: &std::path::Path, files: &[(&str, String)]) -> Result<()> {
    let failed = |error: std::io::Error| {
        Failure::runtime(anyhow::anyhow!("cannot write to {}: {error}", folder.display()))
    };
    std::fs::create_dir_all(folder.join("tests")).map_err(failed)?;
    for (file, text) in files {
        std::fs::write(folder.join(file), text).map_err(failed)?;
    }
    Ok(())
}
