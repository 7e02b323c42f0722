//! `async-trace schema`: what `dump --json` prints, as a JSON Schema made from the types themselves.

use crate::output::Output;
use crate::{Outcome, Result};
use async_trace_core::Snapshot;

pub(crate) fn run(output: &mut Output) -> Result<Outcome> {
    output.data(|out| {
        serde_json::to_writer_pretty(&mut *out, &schemars::schema_for!(Snapshot))?;
        out.write_all(b"\n")
    })?;
    Ok(Outcome::Done)
}
