//! Whose code a frame runs, as far as output cares.

use async_trace_core::Origin;
use pyo3::prelude::*;
use std::sync::OnceLock;

/// Whose code a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The user's.
    Own,
    /// An installed package.
    Library,
    /// Python's standard library.
    Stdlib,
    /// The part of an event loop that calls tasks: what is outside of it did not create them.
    Runner,
    /// Ours.
    Tracer,
}

/// Directories that decide whose a file is.
struct Directories {
    package: String,
    stdlib: Option<String>,
}

static DIRECTORIES: OnceLock<Directories> = OnceLock::new();

/// Functions of asyncio between a program and its tasks.
const RUNNERS: [&str; 5] = ["_run_once", "run_forever", "run_until_complete", "_run", "run"];

/// Tells from a code object's file and function whose it is.
pub fn kind_of(py: Python<'_>, file: &str, function: &str) -> Kind {
    let directories = DIRECTORIES.get_or_init(|| find_directories(py));
    let below = |dir: &str| file.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    if !directories.package.is_empty() && below(&directories.package) {
        return Kind::Tracer;
    }
    match Origin::of(file, directories.stdlib.as_deref()) {
        Origin::Own => Kind::Own,
        Origin::Stdlib if file.contains("/asyncio/") && RUNNERS.contains(&function) => Kind::Runner,
        Origin::Stdlib => Kind::Stdlib,
        Origin::Library if function == "run" && file.ends_with("/uvloop/__init__.py") => Kind::Runner,
        Origin::Library => Kind::Library,
    }
}

fn find_directories(py: Python<'_>) -> Directories {
    let directory = |module: &str| -> PyResult<String> {
        let file: String = py.import(module)?.getattr("__file__")?.extract()?;
        Ok(file.rsplit_once('/').map(|(directory, _)| directory.to_owned()).unwrap_or_default())
    };
    Directories {
        package: directory("async_trace").unwrap_or_default(),
        stdlib: directory("os").ok().filter(|dir| !dir.is_empty()),
    }
}
