//! What is made from types and definitions, and committed because people look there.
//!
//! `BLESS=1 cargo test -p async-trace --test generated` writes the files anew.
#![allow(clippy::unwrap_used)] // clippy knows functions that are tests, not those they call

use std::path::Path;
use std::process::Command;

/// The committed file must be what the command prints.
fn check(file: &str, arguments: &[&str]) {
    let run = Command::new(env!("CARGO_BIN_EXE_async-trace")).args(arguments).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let made = String::from_utf8(run.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &made).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(made == committed, "{file} is out of date: BLESS=1 cargo test -p async-trace --test generated");
}

#[test]
fn the_schema_is_that_of_the_types() {
    check("docs/schema/snapshot.schema.json", &["schema"]);
}

#[test]
fn the_schema_of_findings_is_that_of_the_types() {
    check("docs/schema/findings.schema.json", &["schema", "check"]);
}

#[test]
fn the_schemas_of_what_is_made_from_recordings_are_those_of_the_types() {
    for what in ["diff", "latency", "sites"] {
        check(&format!("docs/schema/{what}.schema.json"), &["schema", what]);
    }
}

#[test]
fn the_reference_is_that_of_the_definition() {
    check("docs/cli.md", &["generate", "markdown"]);
}

#[test]
fn man_page_and_completions_can_be_made() {
    for what in ["man", "bash", "zsh", "fish"] {
        let run = Command::new(env!("CARGO_BIN_EXE_async-trace")).args(["generate", what]).output().unwrap();
        assert!(run.status.success() && run.stdout.len() > 500, "{what}");
    }
}

#[test]
fn the_example_in_the_docs_is_a_snapshot_to_the_last_field() {
    let page = include_str!("../../../docs/json.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let written: serde_json::Value = serde_json::from_str(example).unwrap();
    let snapshot: async_trace_core::Snapshot = serde_json::from_str(example).unwrap();
    assert_eq!(serde_json::to_value(&snapshot).unwrap(), written);
}

#[test]
fn the_page_on_the_format_of_recordings_is_of_its_version() {
    let page = include_str!("../../../docs/recording-format.md");
    let version = async_trace_core::recording::VERSION;
    assert!(page.contains(&format!("Version {version}, as")));
    assert!(page.contains(&format!("the version, `{version}`")));
}
