//! Where the ledger is that a step is taken on: a folder, or behind a NATS server.

use std::path::{Path, PathBuf};

use domain::Digest;
use ledger::Reader;
use runtime::bus::nats::{Door, NatsServer, Pointer, redacted};
use runtime::config::NatsOptions;
use runtime::requests::{Answer, JudgeError, Request};

use crate::exit::{Failure, Result};

/// Where the ledger is.
#[derive(clap::Args)]
pub struct Place {
    /// Folder of the ledger, of a running node or of none
    #[arg(long, value_name = "DIR", required_unless_present = "nats", conflicts_with = "nats")]
    pub dir: Option<PathBuf>,
    /// NATS server of a running node elsewhere; bundles, cases and decisions are then named by their whole ids
    #[arg(long, value_name = "URL")]
    pub nats: Option<String>,
    /// First tokens of the node's subjects, when it was configured with its own
    #[arg(long, value_name = "PREFIX", requires = "nats")]
    pub prefix: Option<String>,
    /// The ledger you mean, when your key signs for it over NATS for the first time
    #[arg(long, value_name = "IDENTITY", requires = "nats")]
    pub ledger: Option<String>,
}

/// A ledger that was found.
pub enum Found<'a> {
    Folder(&'a Path, Box<Reader>),
    Behind(NatsOptions, Pointer),
}

impl Place {
    /// Finds the ledger.
    ///
    /// # Errors
    /// When it cannot be read, or no node has said on the server what is in force.
    pub fn find(&self) -> Result<Found<'_>> {
        match (&self.dir, &self.nats) {
            (Some(dir), _) => {
                Ok(Found::Folder(dir, Box::new(Reader::open(dir).map_err(crate::ledger_errors)?)))
            }
            (None, Some(url)) => {
                let options = match &self.prefix {
                    Some(prefix) => NatsOptions::under(url, prefix).map_err(Failure::usage)?,
                    None => NatsOptions::at(url),
                };
                let pointer = crate::block_on(async {
                    let door = door(&options).await.map_err(Failure::unavailable)?;
                    door.pointer().await.map_err(Failure::unavailable)?.ok_or_else(|| nobody(url))
                })?;
                Ok(Found::Behind(options, pointer))
            }
            (None, None) => Err(Failure::usage("say with --dir or --nats where the ledger is")),
        }
    }
}

fn nobody(url: &str) -> Failure {
    Failure::unavailable(anyhow::anyhow!(
        "no node has said at {} what is in force; does one run there? One with its own prefix for subjects needs --prefix",
        redacted(url)
    ))
}

/// The registry's door on a server.
async fn door(options: &NatsOptions) -> std::result::Result<Door, anyhow::Error> {
    let server = NatsServer::reach(options.clone()).await?;
    server.door().await.ok_or_else(|| {
        anyhow::anyhow!(
            "no node has made a door for requests at {}; does one run there? One with its own prefix for subjects needs \
             --prefix",
            redacted(&options.url)
        )
    })
}

impl Found<'_> {
    /// The ledger's identity.
    ///
    /// # Errors
    /// When the folder holds none.
    pub fn identity(&self) -> Result<String> {
        match self {
            Found::Folder(dir, _) => identity(dir),
            Found::Behind(_, pointer) => Ok(pointer.ledger.clone()),
        }
    }

    /// The digest people mean.
    ///
    /// # Errors
    /// When none, or more than one, fits.
    pub fn digest(&self, text: &str) -> Result<Digest> {
        match self {
            Found::Folder(_, reader) => digest(reader, text),
            Found::Behind(..) => whole(text)?.ok_or_else(|| {
                let why = "is neither a folder nor a whole digest; over NATS it cannot be completed";
                Failure::usage(format!("{text:?} {why}"))
            }),
        }
    }

    /// The canary under way.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn canary(&self) -> Result<Option<Digest>> {
        match self {
            Found::Folder(_, reader) => {
                let registry = runtime::registry::load(reader, &self.identity()?);
                Ok(registry.map_err(crate::node_errors)?.canary().map(|canary| canary.of.bundle))
            }
            Found::Behind(_, pointer) => Ok(pointer.canary.map(|share| share.bundle)),
        }
    }

    /// What was in force before.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn before(&self) -> Result<Option<Digest>> {
        match self {
            Found::Folder(_, reader) => {
                let registry = runtime::registry::load(reader, &self.identity()?);
                Ok(registry.map_err(crate::node_errors)?.before())
            }
            Found::Behind(_, pointer) => Ok(pointer.before),
        }
    }

    /// What is in force, as far as one can see from here.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn in_force(&self) -> Result<Option<Digest>> {
        match self {
            Found::Folder(_, reader) => {
                let registry = runtime::registry::load(reader, &self.identity()?);
                Ok(registry.map_err(crate::node_errors)?.in_force())
            }
            Found::Behind(_, pointer) => Ok(Some(pointer.bundle)),
        }
    }

    /// Puts a request to whoever holds the ledger.
    ///
    /// # Errors
    /// When nobody could judge it.
    pub async fn ask(&self, request: &Request) -> std::result::Result<Answer, JudgeError> {
        match self {
            Found::Folder(dir, _) => runtime::requests::ask(dir, request).await,
            Found::Behind(options, _) => {
                let silent = |error: anyhow::Error| JudgeError::Silent(format!("{error:#}"));
                runtime::requests::ask_over(&door(options).await.map_err(silent)?, request).await
            }
        }
    }
}

pub fn identity(dir: &Path) -> Result<String> {
    let identity = ledger::identity_of(dir).map_err(crate::ledger_errors)?;
    identity.ok_or_else(|| crate::ledger_errors(ledger::Error::NoLedger(dir.to_owned())))
}

/// The digest of the bundle in a folder, or that a text is in full.
fn whole(text: &str) -> Result<Option<Digest>> {
    let folder = Path::new(text);
    if folder.is_dir() {
        return Ok(Some(super::load(folder)?.digest()));
    }
    Ok(text.parse().ok())
}

/// The digest of the bundle in a folder, or of a submitted one that begins with some digits.
///
/// # Errors
/// When the folder holds no bundle without mistakes, or none or more than one submitted bundle fits.
pub fn digest(reader: &Reader, text: &str) -> Result<Digest> {
    if let Some(digest) = whole(text)? {
        return Ok(digest);
    }
    let filter = ledger::Filter { kind: Some(ledger::Kind::Bundle), limit: 10_000, ..Default::default() };
    let rows = reader.list(&filter).map_err(crate::ledger_errors)?;
    let known: std::collections::BTreeSet<Digest> = rows.iter().filter_map(|row| row.bundle).collect();
    let mut fitting = known.into_iter().filter(|digest| digest.to_string().starts_with(text));
    match (fitting.next(), fitting.next()) {
        (Some(digest), None) if text.len() >= 4 => Ok(digest),
        (Some(_), _) => Err(Failure::usage(format!("{text:?} fits more than one bundle; give more digits"))),
        (None, _) => Err(Failure::usage(format!(
            "no bundle of this ledger begins with {text:?}; `largesse policy history` lists them"
        ))),
    }
}
