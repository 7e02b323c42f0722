//! Any bytes, as the file of an image. Seeds: `crates/async-trace-remote/tests/images`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../survive.rs"]
mod survive;

fuzz_target!(|file: &[u8]| survive::survive(file));
