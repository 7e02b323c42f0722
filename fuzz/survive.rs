//! What is done with every input: it is read, checked and shown.

use async_trace_core::{checks, render};
use async_trace_remote::{Limits, Options, read_image};

struct Nothing;

impl render::Canvas for Nothing {
    fn span(&mut self, _: render::Role, _: &str) {}
    fn end_line(&mut self) {}
}

pub fn survive(file: &[u8]) {
    let limits = Limits { copy: 64 << 20, budget: 1 << 22 };
    let options = Options { locals: true, heap: true, limits, ..Options::default() };
    let Ok(snapshot) = read_image(file, &options) else { return };
    let _ = checks::run(&[&snapshot], &checks::Config::default());
    let all = render::Options { all_frames: true, threads: true, width: Some(80), ..Default::default() };
    render::tree(&snapshot, &all, &mut Nothing);
    render::tree(&snapshot, &render::Options::default(), &mut Nothing);
}
