//! asyncio as it lies in memory: tasks, what they wait for, and who holds it.
//!
//! Everything is done twice: once to learn which pages are needed, while the target runs; and once
//! more on a copy of those pages that was made while it stood still. What never changes (types,
//! code, texts) is kept from the first time.

mod blocked;
mod chain;
mod closure;
mod connection;
mod describe;
mod event_loop;
mod executor;
pub(crate) mod failed;
mod find;
mod generators;
pub(crate) mod heap;
mod hold;
mod hook;
pub(crate) mod input;
mod io;
pub(crate) mod kept;
pub(crate) mod link;
mod motion;
mod names;
mod places;
pub(crate) mod polls;
pub(crate) mod reach;
mod resource;
mod slots;
pub(crate) mod task;
pub(crate) mod users;
mod verify;
mod wait;
pub(crate) mod walk;

pub(crate) use places::Places;
pub(crate) use verify::Scouted;
