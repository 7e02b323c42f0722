//! Where time went, for <https://www.speedscope.app>: one profile of what all tasks waited for, one of what the
//! loops were busy with, in the order in which it was seen.

use super::stacks::Stacks;
use crate::frame::Frame;
use crate::text::escape;
use rustc_hash::FxHashMap;
use serde::Serialize;
use std::io::{self, Write};

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: &'a str,
    name: &'a str,
    active_profile_index: usize,
    shared: Shared,
    profiles: Vec<Profile>,
}

#[derive(Serialize)]
struct Shared {
    frames: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    start_value: f64,
    end_value: f64,
    samples: Vec<Vec<usize>>,
    weights: Vec<f64>,
}

/// Writes the file.
///
/// # Errors
/// Those of `out`.
pub fn write(
    waiting: &Stacks,
    busy: &Stacks,
    name: &str,
    exporter: &str,
    mut out: impl Write,
) -> io::Result<()> {
    let mut rows = Rows::default();
    let profiles = vec![
        profile("Waiting: all tasks, by await chain", waiting, &mut rows),
        profile("Busy: the event loops", busy, &mut rows),
    ];
    let file = File {
        schema: SCHEMA,
        exporter,
        name,
        active_profile_index: 0,
        shared: Shared { frames: rows.rows },
        profiles,
    };
    serde_json::to_writer(&mut out, &file)?;
    out.write_all(b"\n")
}

/// Rows, each with its number.
#[derive(Default)]
struct Rows {
    numbers: FxHashMap<(String, String), usize>,
    rows: Vec<Row>,
}

impl Rows {
    fn number(&mut self, name: &str, frame: Option<&Frame>) -> usize {
        let file = frame.map(|f| &*f.file).filter(|file| !file.is_empty()).unwrap_or_default();
        let rows = &mut self.rows;
        *self.numbers.entry((name.to_owned(), file.to_owned())).or_insert_with(|| {
            rows.push(Row {
                name: escape(name).into_owned(),
                file: (!file.is_empty()).then(|| escape(file).into_owned()),
                line: frame.map(|f| f.line).filter(|line| *line > 0),
            });
            rows.len() - 1
        })
    }
}

fn profile(name: &'static str, stacks: &Stacks, rows: &mut Rows) -> Profile {
    let (mut all, mut seconds): (Vec<Vec<usize>>, Vec<f64>) = stacks
        .spoken()
        .map(|s| (s.rows.iter().map(|row| rows.number(&row.name, row.frame)).collect(), s.seconds))
        .unzip();
    if !stacks.order().is_empty() {
        let samples = stacks.order().iter().map(|(place, _)| all[*place].clone()).collect();
        seconds = stacks.order().iter().map(|(_, seconds)| *seconds).collect();
        all = samples;
    }
    Profile {
        kind: "sampled",
        name,
        unit: "seconds",
        start_value: 0.0,
        end_value: seconds.iter().sum(),
        samples: all,
        weights: seconds,
    }
}
