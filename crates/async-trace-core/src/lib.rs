//! The model of a running asyncio program, and everything that can be said about it without I/O.
//!
//! Any source of memory is *read* (by `async-trace-remote`) into one [`Snapshot`]; [checks] find
//! what is wrong in it; [renderers](render) show it. No arrow runs back.
//!
//! This crate performs no I/O, looks at no clock and no environment, prints nothing, has no unsafe
//! code, and cannot fail: whatever a snapshot holds, every function here returns an answer.
#![forbid(unsafe_code)]

pub mod checks;
pub mod diff;
pub mod finding;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod frame;
pub mod graph;
pub mod index;
pub mod json;
pub mod recording;
pub mod render;
pub mod snapshot;
pub mod text;

pub use frame::{Frame, FrameKind, Origin};
pub use snapshot::Snapshot;
