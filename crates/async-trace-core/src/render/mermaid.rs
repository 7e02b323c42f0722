//! The wait graph for Mermaid, which GitHub and many editors draw within Markdown.

use super::wait_graph::{Kind, WaitGraph};
use super::{Canvas, Role};
use crate::snapshot::Snapshot;
use crate::text::escape;
use std::fmt::Write;

/// Writes the wait graph of a snapshot in the language of Mermaid.
pub fn mermaid(snapshot: &Snapshot, canvas: &mut impl Canvas) {
    let graph = WaitGraph::of(snapshot);
    let mut line = |text: &str| {
        canvas.span(Role::Plain, text);
        canvas.end_line();
    };
    line("---");
    // JSON is YAML.
    line(&format!("title: {}", serde_json::Value::from(&*escape(&graph.title))));
    line("---");
    line("flowchart LR");
    for (n, node) in graph.nodes.iter().enumerate() {
        let (open, close) = match node.kind {
            Kind::Task => ("(", ")"),
            Kind::Tasks => ("[[", "]]"),
            Kind::Resource => ("([", "])"),
            Kind::Thread => ("[/", "/]"),
        };
        let mut lines: Vec<String> = node.lines.iter().map(|text| encoded(text)).collect();
        if let Some(ring) = node.ring {
            lines.insert(0, ring.words().into());
        }
        let class = if node.ring.is_some() { ":::ring" } else { "" };
        line(&format!("  n{n}{open}\"{}\"{close}{class}", lines.join("<br/>")));
    }
    for edge in &graph.edges {
        let arrow = match (edge.ring.is_some(), edge.guessed) {
            (true, _) => "==>",
            (false, true) => "-.->",
            (false, false) => "-->",
        };
        line(&format!("  n{} {arrow}|\"{}\"| n{}", edge.from, encoded(&edge.words()), edge.to));
    }
    if graph.nodes.iter().any(|node| node.ring.is_some()) {
        line("  classDef ring stroke:#c00000,stroke-width:4px");
    }
    let ring: Vec<String> = graph
        .edges
        .iter()
        .enumerate()
        .filter(|(_, e)| e.ring.is_some())
        .map(|(n, _)| n.to_string())
        .collect();
    if !ring.is_empty() {
        line(&format!("  linkStyle {} stroke:#c00000,stroke-width:4px", ring.join(",")));
    }
}

/// A text within a label: everything that Mermaid, Markdown or HTML could take for its own is a number.
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for c in escape(text).chars() {
        if c.is_alphanumeric() || " .,:/-_()".contains(c) {
            out.push(c);
        } else {
            // Writing into a String cannot fail.
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}
