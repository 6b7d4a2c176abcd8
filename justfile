# `just` lists the recipes; CI calls the same ones.
default:
    @just --list

# Everything CI checks.
ci: fmt lint test docs

# Formatting, checked.
fmt:
    cargo fmt --all -- --check

# Warnings are errors.
lint:
    cargo clippy --workspace --all-targets --release -- -D warnings

# All tests; fetches nats-server and ONNX Runtime into target/test-tools first.
test:
    tests/run

# The commands in README.md's console blocks still work.
docs:
    tests/docs

# Licences, sources and bans of dependencies (needs cargo-deny).
deny:
    cargo deny check bans licenses sources

# The decision path under load, in-process.
bench:
    cargo run --release -- bench decide --members 50000 --events 100000
