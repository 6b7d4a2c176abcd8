//! Which inference engine runs the models: the embedded one, or an ONNX Runtime library chosen at start.
//!
//! The choice is made once per process, because both engines install one process-wide function table.
//! Nothing here panics or hangs on a bad library: [`library`] reads the file before it opens it, and opens it
//! on a thread of its own under a deadline.

pub mod elf;
pub mod library;

use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use ort::environment::Environment;
use serde::Serialize;

/// The environment variable that names an ONNX Runtime library when the configuration names none.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Which engine to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The engine compiled into the binary (pure Rust).
    Embedded,
    /// The ONNX Runtime in this shared library.
    Library(PathBuf),
}

impl Choice {
    /// The library named by the configuration, else the one named by [`LIBRARY_VARIABLE`]'s value, else the
    /// embedded engine. An empty name counts as none.
    pub fn from_names(configured: Option<&str>, variable: Option<&str>) -> Choice {
        let named = [configured, variable].into_iter().flatten().find(|name| !name.is_empty());
        named.map_or(Choice::Embedded, |name| Choice::Library(PathBuf::from(name)))
    }
}

/// What runs the models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineInfo {
    /// `tract` or `onnxruntime`.
    pub name: &'static str,
    /// Its version as it says itself.
    pub version: String,
    /// The library's path; absent for the embedded engine.
    pub library: Option<PathBuf>,
    /// Whether it runs operators of the `ai.onnx.ml` domain (tree ensembles).
    pub trees: bool,
}

/// Why no engine could be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library cannot be used.
    #[error(transparent)]
    Library(#[from] library::Error),
    /// Another engine was started in this process.
    #[error("an engine was already chosen in this process: {chosen}; restart to use another")]
    Chosen {
        /// The engine that runs.
        chosen: String,
    },
    /// The engine refused to start.
    #[error("the {name} engine did not start: {why}")]
    Start {
        /// Which engine.
        name: &'static str,
        /// What it said.
        why: String,
    },
}

/// A started engine: the proof that models may be loaded. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    info: EngineInfo,
    environment: Environment,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("info", &self.info).finish_non_exhaustive()
    }
}

static STARTED: OnceLock<(Choice, Engine)> = OnceLock::new();
/// Two threads that start at once must not both install a function table.
static STARTING: Mutex<()> = Mutex::new(());

impl Engine {
    /// Starts the chosen engine; asking again for the same choice returns the running one.
    ///
    /// # Errors
    /// [`Error::Library`] within [`library::DEADLINE`] when the library is missing, not a library, too old or
    /// stuck; [`Error::Chosen`] when another engine runs.
    pub fn start(choice: &Choice) -> Result<Engine, Error> {
        let _turn = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((running, engine)) = STARTED.get() {
            if running == choice {
                return Ok(engine.clone());
            }
            return Err(Error::Chosen { chosen: engine.info.to_string() });
        }
        let info = match choice {
            Choice::Embedded => embedded()?,
            Choice::Library(path) => opened(library::open(path)?)?,
        };
        let refused = |error: ort::Error| Error::Start { name: info.name, why: error.to_string() };
        let environment = ort::init().with_name("largesse").with_telemetry(false).build().map_err(refused)?;
        let engine = Engine { info, environment };
        _ = STARTED.set((choice.clone(), engine.clone()));
        Ok(engine)
    }

    /// What runs the models.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }
}

impl std::fmt::Display for EngineInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

fn embedded() -> Result<EngineInfo, Error> {
    install(ort_tract::api(), "tract")?;
    let version = ort::info().rsplit_once("version=").map_or(ort::info(), |(_, version)| version);
    Ok(EngineInfo { name: "tract", version: version.to_owned(), library: None, trees: false })
}

fn opened(runtime: library::Runtime) -> Result<EngineInfo, Error> {
    install(*runtime.api, "onnxruntime")?;
    Ok(EngineInfo { name: "onnxruntime", version: runtime.version, library: Some(runtime.path), trees: true })
}

fn install(api: ort::sys::OrtApi, name: &'static str) -> Result<(), Error> {
    if ort::set_api(api) {
        return Ok(());
    }
    Err(Error::Start { name, why: "another engine's function table is installed".to_owned() })
}
