//! The node's configuration file and the options it turns into.
//!
//! The document is versioned by its keys: unknown keys are refused, every key has a default, and the doc
//! comment of a key is its manual. [`Options`] is what the node runs on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::bus::subject::{BadPrefix, Subjects};

/// `largesse.toml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Document {
    pub node: NodeSection,
    pub nats: NatsSection,
    pub models: ModelsSection,
}

/// `[node]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeSection {
    /// Folder of the ledger and its keys; made when absent. Relative to the configuration file.
    pub dir: PathBuf,
    /// Folder of the policy bundle; the starter grocery bundle when absent.
    pub policy: Option<PathBuf>,
    /// Member agents kept in memory; the least recently used leave first.
    pub resident_members_max: usize,
    /// Events being handled at once; more wait in the bus.
    pub in_flight_max: usize,
    /// Where time comes from: `wall`, or `events` to replay the past live.
    pub clock: ClockKind,
}

/// Values of `node.clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockKind {
    Wall,
    Events,
}

impl Default for NodeSection {
    fn default() -> NodeSection {
        NodeSection {
            dir: PathBuf::from("largesse-data"),
            policy: None,
            resident_members_max: RESIDENT_MEMBERS_MAX,
            in_flight_max: IN_FLIGHT_MAX,
            clock: ClockKind::Wall,
        }
    }
}

/// `[nats]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSection {
    /// `nats://host:port`; without it the node uses the in-process bus. Also `LARGESSE_NATS_URL`.
    pub url: Option<String>,
    /// First tokens of every subject.
    pub subject_prefix: String,
    /// Allows an unencrypted, anonymous server beyond this machine.
    pub allow_plaintext: bool,
}

impl Default for NatsSection {
    fn default() -> NatsSection {
        NatsSection {
            url: None,
            subject_prefix: crate::bus::subject::PREFIX.to_owned(),
            allow_plaintext: false,
        }
    }
}

/// `[models]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelsSection {
    /// Path of `libonnxruntime.so`; without it the embedded pure-Rust engine runs. Also `ORT_DYLIB_PATH`.
    pub onnxruntime: Option<PathBuf>,
    /// Folder with models and their manifests; the shipped ones when absent.
    pub dir: Option<PathBuf>,
}

/// Default of `node.resident_members_max`: about 0.5 GiB of agents and their histories.
pub const RESIDENT_MEMBERS_MAX: usize = 50_000;
/// Default of `node.in_flight_max`: a few full commit batches, so that commits stay full while latency under
/// load stays at tens of milliseconds.
pub const IN_FLIGHT_MAX: usize = 2_048;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read {path}: {why}")]
    Unreadable { path: PathBuf, why: std::io::Error },
    #[error("{path}: {why}")]
    Invalid { path: PathBuf, why: String },
    #[error(transparent)]
    Prefix(#[from] BadPrefix),
}

/// What one node runs on.
#[derive(Clone, Debug)]
pub struct Options {
    pub dir: PathBuf,
    pub policy: Option<PathBuf>,
    pub resident_members_max: usize,
    pub in_flight_max: usize,
    pub clock: ClockKind,
    pub nats: Option<NatsOptions>,
    pub onnxruntime: Option<PathBuf>,
    pub models_dir: Option<PathBuf>,
    /// A run of this process went before: what it decided by stays until a step changes it, whatever lies in the folder now.
    pub again: bool,
    /// The operator says that the ledger's checkpoint file is gone for good ([`ledger::Options::heads_lost`]).
    pub heads_lost: bool,
    /// How often prices are negotiated at the latest, while moments come in.
    pub negotiate_every: Duration,
    /// Moments after which prices are negotiated at the latest.
    pub negotiate_moments: u64,
    pub faults: Faults,
}

/// Faults a test injects; no file and no flag sets them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The member agent panics whenever it handles an event with this id.
    pub panic_on_event: Option<String>,
}

impl Faults {
    /// Panics if this event is the chosen one.
    pub fn strike(&self, event: &domain::Event) {
        let struck = self.panic_on_event.as_deref() == Some(event.event_id.as_str());
        assert!(!struck, "injected fault on event {}", event.event_id);
    }
}

/// How a node uses a NATS server.
#[derive(Clone, Debug)]
pub struct NatsOptions {
    /// `nats://host:port`, `tls://host:port`, with `user:password@` where the server wants it.
    pub url: String,
    pub subjects: Subjects,
    /// Names streams: `<PREFIX>_EVENTS`, `<PREFIX>_REWARDS`.
    pub stream_prefix: String,
    /// Allows an unencrypted, anonymous server beyond this machine.
    pub allow_plaintext: bool,
    /// Which events a ledger takes that meets this server for the first time.
    pub take: Take,
}

/// Which of the stored events a new ledger takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Everything the server still holds.
    All,
    /// What is published from now on; another ledger may do the same later, in place of this one.
    New,
}

impl Take {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Take::All => "all",
            Take::New => "new",
        }
    }
}

impl NatsOptions {
    /// A server under the default subjects.
    pub fn at(url: &str) -> NatsOptions {
        NatsOptions {
            url: url.to_owned(),
            subjects: Subjects::default(),
            stream_prefix: stream_prefix(crate::bus::subject::PREFIX),
            allow_plaintext: false,
            take: Take::All,
        }
    }

    /// A server under subjects of one's own.
    ///
    /// # Errors
    /// When `prefix` cannot start a subject.
    pub fn under(url: &str, prefix: &str) -> Result<NatsOptions, BadPrefix> {
        let subjects = Subjects::under(prefix)?;
        Ok(NatsOptions { subjects, stream_prefix: stream_prefix(prefix), ..NatsOptions::at(url) })
    }
}

/// Streams are named after the subjects: `largesse.v1` gives `LARGESSE`, `acme.loyalty.v2` `ACME_LOYALTY`.
fn stream_prefix(prefix: &str) -> String {
    let tokens = prefix.split('.').filter(|token| {
        let version =
            token.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        !version
    });
    tokens.collect::<Vec<_>>().join("_").to_uppercase().replace('-', "_")
}

impl Options {
    /// Defaults around a ledger folder.
    pub fn in_dir(dir: &Path) -> Options {
        Options {
            dir: dir.to_owned(),
            policy: None,
            resident_members_max: RESIDENT_MEMBERS_MAX,
            in_flight_max: IN_FLIGHT_MAX,
            clock: ClockKind::Wall,
            nats: None,
            onnxruntime: None,
            models_dir: None,
            again: false,
            heads_lost: false,
            negotiate_every: Duration::from_millis(100),
            negotiate_moments: 500,
            faults: Faults::default(),
        }
    }

    /// Uses another server, keeping the rest of the NATS configuration.
    pub fn use_nats(&mut self, url: &str) {
        match &mut self.nats {
            Some(nats) => nats.url = url.to_owned(),
            None => self.nats = Some(NatsOptions::at(url)),
        }
    }

    /// Reads a configuration file; paths in it are relative to the file.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key or a value out of range.
    pub fn load(path: &Path) -> Result<Options, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|why| Error::Unreadable { path: path.to_owned(), why })?;
        let invalid = |why: String| Error::Invalid { path: path.to_owned(), why };
        let document: Document = toml::from_str(&text).map_err(|error| invalid(error.to_string()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        if document.node.in_flight_max == 0 || document.node.resident_members_max == 0 {
            return Err(invalid(
                "node.in_flight_max and node.resident_members_max must be at least 1".to_owned(),
            ));
        }
        let empty = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str().is_empty());
        let texts = [
            ("node.dir", document.node.dir.as_os_str().is_empty(), "name the ledger's folder"),
            ("node.policy", empty(&document.node.policy), "name a bundle's folder"),
            (
                "nats.url",
                document.nats.url.as_ref().is_some_and(|url| url.trim().is_empty()),
                "name a server",
            ),
            ("models.onnxruntime", empty(&document.models.onnxruntime), "name libonnxruntime.so"),
            ("models.dir", empty(&document.models.dir), "name a folder of models"),
        ];
        if let Some((key, _, what)) = texts.iter().find(|(_, empty, _)| *empty) {
            return Err(invalid(format!("{key} is empty; {what}, or leave the key out for the default")));
        }
        let nats = match document.nats.url {
            None => None,
            Some(url) => Some(NatsOptions {
                allow_plaintext: document.nats.allow_plaintext,
                ..NatsOptions::under(&url, &document.nats.subject_prefix)?
            }),
        };
        Ok(Options {
            policy: document.node.policy.map(|policy| base.join(policy)),
            resident_members_max: document.node.resident_members_max,
            in_flight_max: document.node.in_flight_max,
            clock: document.node.clock,
            nats,
            onnxruntime: document.models.onnxruntime.map(|library| base.join(library)),
            models_dir: document.models.dir.map(|dir| base.join(dir)),
            ..Options::in_dir(&base.join(document.node.dir))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_is_the_default_node() {
        let document: Document = toml::from_str("").unwrap();
        assert_eq!(document.node.resident_members_max, RESIDENT_MEMBERS_MAX);
        assert!(document.nats.url.is_none());
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<Document>("[node]\nfolder = \"x\"").is_err());
        assert!(toml::from_str::<Document>("[natz]\n").is_err());
    }

    #[test]
    fn empty_texts_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("largesse.toml");
        for (key, document) in [
            ("node.dir", "[node]\ndir = ''"),
            ("node.policy", "[node]\npolicy = ''"),
            ("nats.url", "[nats]\nurl = ' '"),
            ("models.onnxruntime", "[models]\nonnxruntime = ''"),
        ] {
            std::fs::write(&file, document).unwrap();
            let error = Options::load(&file).unwrap_err().to_string();
            assert!(error.contains(&format!("{key} is empty")), "{error}");
        }
    }

    #[test]
    fn streams_are_named_after_the_subjects() {
        assert_eq!(stream_prefix("largesse.v1"), "LARGESSE");
        assert_eq!(stream_prefix("acme.loyalty-eu.v2"), "ACME_LOYALTY_EU");
    }
}
