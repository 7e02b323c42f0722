//! CPython in foreign memory.

pub mod locate;
mod version;

pub use version::Version;
