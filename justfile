# The one door for developers: `just` lists what there is.

python := ".venv/bin/python"

_default:
    @just --list --unsorted

# make .venv, find the interpreters, build: what `just live` needs; once
setup *args:
    python3 tools/setup_and_test.py --setup {{args}}

# types and borrow checks only
check:
    cargo check --workspace --all-targets --all-features

# everything that must pass: what CI runs
test:
    python3 tools/setup_and_test.py

# formatting, clippy, dependencies (cargo-deny and cargo-machete are installed on first use)
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
    command -v cargo-machete > /dev/null || cargo install --locked cargo-machete
    cargo machete
    command -v cargo-deny > /dev/null || cargo install --locked cargo-deny
    cargo deny --locked check bans licenses sources
    python3 tools/notices.py --check

# the tests on live processes, on every interpreter found: just live tests/test_oracle.py -k chain --pythons 3.13
live *args="tests":
    {{python}} -m pytest -q {{args}}

# write the expected outputs of examples/ anew; look at the diff
update:
    {{python}} -m pytest -q tests/test_examples.py --update -k update

# compare with other tools in one interleaved run
bench *args:
    cargo build --release -p async-trace
    python3 bench/outside/run.py {{args}}

# feed damaged memory to the reader until stopped (needs a nightly toolchain and cargo-fuzz)
fuzz target="image" *args:
    cargo +nightly fuzz run --fuzz-dir fuzz {{target}} {{args}}

# run the commands in README.md and docs/, put what they print where it stands
docs *args:
    cargo build --release -p async-trace
    {{python}} tools/docs_outputs.py {{args}}

# the Python package
wheel:
    {{python}} -m pip wheel --no-deps -w dist .

# a small server with a real hang, and what it looks like
demo:
    cargo run --release -q -p async-trace -- demo
