//! Writes a training table to standard output, as `largesse model features` does:
//! `cargo run --release -p largesse-models --example features_table -- --events FILE --as-of DATE`.

use std::io::BufWriter;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [_, events, _, date] = arguments.as_slice() else {
        return Err("usage: --events FILE --as-of DATE".into());
    };
    models::table::write(Path::new(events), date.parse()?, BufWriter::new(std::io::stdout().lock()))?;
    Ok(())
}
