//! Writes a training table: `cargo run --release -p largesse-models --example features_table EVENTS DATE OUT`.
//! The same table comes from `largesse model features`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [events, date, out] = arguments.as_slice() else { return Err("usage: EVENTS DATE OUT".into()) };
    let out = BufWriter::new(File::create(out)?);
    models::table::write(Path::new(events), date.parse()?, out)?;
    Ok(())
}
