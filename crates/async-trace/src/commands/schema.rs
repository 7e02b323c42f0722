//! `async-trace schema [dump|check|diff|latency|sites]`: what `--json` prints, as a JSON Schema made from the types themselves.

use crate::args::{Described, SchemaArguments};
use crate::output::Output;
use crate::{Outcome, Result};
use async_trace_core::Snapshot;
use async_trace_core::diff::Comparison;
use async_trace_core::finding::Report;
use async_trace_core::recording::Timeline;
use async_trace_core::recording::latency::Latency;

pub(crate) fn run(arguments: &SchemaArguments, output: &mut Output) -> Result<Outcome> {
    let schema = match arguments.what {
        Described::Dump => schemars::schema_for!(Snapshot),
        Described::Check => schemars::schema_for!(Report),
        Described::Diff => schemars::schema_for!(Comparison),
        Described::Latency => schemars::schema_for!(Latency),
        Described::Sites => schemars::schema_for!(Timeline),
    };
    output.data(|out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        out.write_all(b"\n")
    })?;
    Ok(Outcome::Done)
}
