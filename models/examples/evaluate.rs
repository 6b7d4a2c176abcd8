//! Prints the report of `largesse model evaluate` as JSON:
//! `cargo run --release -p largesse-models --example evaluate -- EVENTS DATE [held-out]`.

use std::path::Path;

use models::Models;
use models::engine::{Choice, Engine};
use models::evaluate::{Options, evaluate};
use models::scorer::Source;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(events), Some(date)) = (arguments.first(), arguments.get(1)) else {
        return Err("usage: EVENTS DATE [held-out]".into());
    };
    let mut models = Models::load(&Engine::start(&Choice::Embedded)?, &Source::Shipped)?;
    let options = Options { as_of: date.parse()?, held_out_only: arguments.len() > 2, bootstraps: 500 };
    let report = evaluate(&mut models, Path::new(events), &options)?;
    serde_json::to_writer_pretty(std::io::stdout(), &report)?;
    Ok(())
}
