//! `async_trace._core`: what the Python package needs from Rust.
//!
//! Two doors. `run_cli` is the `async-trace` command inside a Python process; everything else serves
//! tracing from inside. This is the only crate with unsafe code, and all of it lives in `hook/`.

mod cli;

/// The native half of the `async_trace` package; its stub is `_core.pyi`.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::cli::run_cli;
}
