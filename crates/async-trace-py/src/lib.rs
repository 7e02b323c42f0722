//! `async_trace._core`: what the Python package needs from Rust.
//!
//! Two doors. `run_cli` is the `async-trace` command inside a Python process; everything else serves
//! tracing from inside. This is the only crate with unsafe code, and all of it lives in `hook/`.
#![deny(unsafe_op_in_unsafe_fn, clippy::undocumented_unsafe_blocks)]

mod cli;
#[allow(unsafe_code)]
mod hook;
mod origin;
mod own;
mod trace;
mod tracing;

/// The native half of the `async_trace` package; its stub is `_core.pyi`.
#[pyo3::pymodule]
mod _core {
    #[pymodule_export]
    use crate::cli::run_cli;
    #[pymodule_export]
    use crate::own::{check, dump_json, dump_text};
    #[pymodule_export]
    use crate::trace::{collect, collect_creation};
    #[pymodule_export]
    use crate::tracing::{
        begin_operation, creation_sites, end_operation, find_operation, helpers_on, here, implement, install,
        is_installed, is_own, learn, line_of, operations, remove, set_helpers,
    };

    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        use pyo3::types::PyModuleMethods;
        module.add("_block", crate::hook::block::address())?;
        crate::hook::Switches::add_to(module)
    }
}
