//! placeholder until the subcommands stand.
fn main() {}
