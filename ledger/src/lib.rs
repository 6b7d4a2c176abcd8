//! What was decided, for ever: the append-only SQLite record with Merkle proofs.
