//! The wait graph for Graphviz: `async-trace dump PID --format dot | dot -Tsvg > waits.svg`.

use super::Canvas;
use super::Role;
use super::wait_graph::{Kind, Node, WaitGraph};
use crate::snapshot::Snapshot;
use crate::text::escape;

/// Writes the wait graph of a snapshot in the DOT language.
pub fn dot(snapshot: &Snapshot, canvas: &mut impl Canvas) {
    let graph = WaitGraph::of(snapshot);
    let mut line = |text: &str| {
        canvas.span(Role::Plain, text);
        canvas.end_line();
    };
    line("digraph waits {");
    line(&format!(
        "  graph [label={}, labelloc=t, rankdir=LR, fontname=\"sans-serif\"];",
        quoted(&graph.title)
    ));
    line(
        "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f4f4f0\", color=\"#555555\", fontname=\"sans-serif\", fontsize=11];",
    );
    line("  edge [color=\"#555555\", fontname=\"sans-serif\", fontsize=9];");
    for (n, node) in graph.nodes.iter().enumerate() {
        line(&format!("  n{n} [label={}{}];", label(node), look(node)));
    }
    for edge in &graph.edges {
        let mut look = String::new();
        if edge.ring.is_some() {
            look.push_str(", color=\"#c00000\", fontcolor=\"#c00000\", penwidth=3");
        }
        if edge.guessed {
            look.push_str(", style=dashed");
        }
        line(&format!("  n{} -> n{} [label={}{look}];", edge.from, edge.to, quoted(&edge.words())));
    }
    line("}");
}

fn label(node: &Node) -> String {
    let lines: Vec<String> = node.lines.iter().map(|text| inner(text)).collect();
    let mark = node.ring.map_or_else(String::new, |ring| format!("{}\\n", ring.words()));
    format!("\"{mark}{}\"", lines.join("\\n"))
}

fn look(node: &Node) -> String {
    let shape = match node.kind {
        Kind::Task => "",
        Kind::Tasks => ", shape=box3d, style=filled",
        Kind::Resource => ", shape=ellipse, style=filled, fillcolor=\"#fff2cc\"",
        Kind::Thread => ", shape=component, style=filled, fillcolor=\"#dde8f8\"",
    };
    let ring = if node.ring.is_some() { ", color=\"#c00000\", penwidth=3, peripheries=2" } else { "" };
    format!("{shape}{ring}")
}

/// A text within a quoted string: what the target calls a thing must not end it.
fn inner(text: &str) -> String {
    escape(text).replace('\\', "\\\\").replace('"', "\\\"")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", inner(text))
}
