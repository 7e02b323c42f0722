//! `async-trace schema [dump|check]`: what `--json` prints, as a JSON Schema made from the types themselves.

use crate::args::{Described, SchemaArguments};
use crate::output::Output;
use crate::{Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_core::finding::Report;

pub(crate) fn run(arguments: &SchemaArguments, output: &mut Output) -> Result<Outcome> {
    let schema = match arguments.what {
        Described::Dump => schemars::schema_for!(Snapshot),
        Described::Check => schemars::schema_for!(Report),
    };
    output.data(|out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        out.write_all(b"\n")
    })?;
    Ok(Outcome::Done)
}
