//! A page for the browser: one file that needs no network, made of a snapshot, what is wrong in it, and a
//! timeline where there is a recording.
//!
//! Rust says everything in words and decides what belongs together ([`data`]); the page's script lays it
//! out. The page trusts nothing of the target: its data is JSON that cannot end its element, the script
//! makes text nodes only, and a content security policy allows this script, this style, and nothing else.

mod collect;
mod data;
mod graph;
mod intern;
mod resources;
#[cfg(test)]
mod tests;

use async_trace_core::finding::Report;
use async_trace_core::recording::Timeline;
use async_trace_core::render::{self, FindingOptions};
use async_trace_core::{Snapshot, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The page around what is put into it: at `<!--NAME-->`, each once.
const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
/// The script's files, in one scope: they need no loader, and the page no second file.
const SCRIPT: &str = concat!(
    "\"use strict\";(()=>{\n",
    include_str!("js/dom.js"),
    include_str!("js/model.js"),
    include_str!("js/words.js"),
    include_str!("js/list.js"),
    include_str!("js/rows.js"),
    include_str!("js/tasks.js"),
    include_str!("js/findings.js"),
    include_str!("js/layout.js"),
    include_str!("js/graph.js"),
    include_str!("js/resources.js"),
    include_str!("js/threads.js"),
    include_str!("js/timeline.js"),
    include_str!("js/page.js"),
    "})();\n"
);

/// Makes the page. `report` is on snapshots of which `snapshot` is the newest.
#[must_use]
pub fn page(snapshot: &Snapshot, report: &Report, timeline: Option<&Timeline>) -> String {
    let data = collect::data(snapshot, report, timeline);
    // Plain data with texts for keys: there is nothing in it that JSON could not say.
    let data = serde_json::to_string(&data).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let mut title = render::tree::command(&snapshot.process);
    if snapshot.process.pid != 0 {
        // Writing into a String cannot fail.
        let _ = write!(title, " ({})", snapshot.process.pid);
    }
    let plain = plain(snapshot, report);
    let mut page = String::with_capacity(data.len() + SCRIPT.len() + STYLE.len() + 16_384);
    for part in TEMPLATE.split("<!--") {
        let Some((name, rest)) = part.split_once("-->") else {
            page.push_str(part);
            continue;
        };
        match name {
            "POLICY" => page.push_str(&policy),
            "TITLE" => escape(&text::escape(&title), &mut page),
            "STYLE" => page.push_str(STYLE),
            "PLAIN" => escape(&plain, &mut page),
            "DATA" => json(&data, &mut page),
            "SCRIPT" => page.push_str(SCRIPT),
            _ => {}
        }
        page.push_str(rest);
    }
    page
}

/// The findings as text, for browsers that run no scripts.
fn plain(snapshot: &Snapshot, report: &Report) -> String {
    let mut text = String::new();
    render::findings(report, snapshot, &FindingOptions { width: Some(96), ascii: false }, &mut text);
    text
}

/// As a content security policy names what it allows.
fn hash(content: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(content.as_bytes())))
}

/// Text between tags or in a quoted attribute.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// JSON within a script element: nothing in it looks like a tag or a comment. These characters stand
/// within strings of JSON only, where they can be written otherwise.
fn json(json: &str, out: &mut String) {
    for c in json.chars() {
        match c {
            '<' => out.push_str("\\u003c"),
            '>' => out.push_str("\\u003e"),
            '&' => out.push_str("\\u0026"),
            '\u{2028}' => out.push_str("\\u2028"),
            '\u{2029}' => out.push_str("\\u2029"),
            c => out.push(c),
        }
    }
}
