//! What we predict: the feature contract, the scorers over ONNX, and their manifests.
//!
//! A member's purchases fold into a [`features::History`]; its [`features::FeatureVector`] goes to a model;
//! the answer leaves this floor as integers (micros, parts per million). Training reads the same features
//! through [`table`], so Python never computes one. This floor knows neither policies nor actors, never
//! touches the network, and never lets a float out next to money.
//!
//! Start reading at [`features`], then [`engine`], [`scorer`] and [`batch`].

pub mod batch;
pub mod csv;
pub mod drift;
pub mod engine;
pub mod evaluate;
pub mod fallback;
pub mod features;
pub mod inspect;
pub mod manifest;
pub mod onnx;
pub mod scorer;
pub mod table;

pub use scorer::Models;
