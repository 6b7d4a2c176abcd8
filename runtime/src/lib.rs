//! The live host: actors, bus, scoring, ledger writer.
