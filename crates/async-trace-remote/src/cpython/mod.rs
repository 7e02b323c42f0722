//! CPython as it lies in memory: the runtime, its objects, its frames.

pub(crate) mod code;
pub(crate) mod frame;
pub(crate) mod generator;
pub(crate) mod layout;
pub mod locate;
pub(crate) mod object;
pub(crate) mod references;
pub(crate) mod runtime;
mod version;

pub use version::Version;
