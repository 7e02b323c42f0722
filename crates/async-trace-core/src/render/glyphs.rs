//! The few characters that are not letters, in two sets.

/// A set of characters to draw with.
pub(super) struct Glyphs {
    /// Before a child that has siblings below it.
    pub tee: &'static str,
    /// Before the last child.
    pub last: &'static str,
    /// Beside a line that goes on further down.
    pub bar: &'static str,
    /// Before what is waited for.
    pub arrow: &'static str,
    /// Before another fact.
    pub bullet: &'static str,
    /// For what was left out.
    pub ellipsis: &'static str,
    /// Between two numbers.
    pub dash: &'static str,
    /// The first, a further and the last member of a ring, and the line between them.
    pub ring: [&'static str; 4],
    /// From one end of a connection to the other.
    pub to: &'static str,
}

pub(super) const UNICODE: Glyphs = Glyphs {
    tee: "├─ ",
    last: "└─ ",
    bar: "│  ",
    arrow: "→ ",
    bullet: "• ",
    ellipsis: "…",
    dash: "–",
    ring: ["┌▶ ", "├▶ ", "└▶ ", "│  "],
    to: " → ",
};

/// For views that draw arrows and bullets themselves.
pub(super) const BARE: Glyphs = Glyphs { arrow: "", bullet: "", ..UNICODE };

pub(super) const ASCII: Glyphs = Glyphs {
    tee: "|- ",
    last: "`- ",
    bar: "|  ",
    arrow: "-> ",
    bullet: "*  ",
    ellipsis: "...",
    dash: "-",
    ring: [",> ", "|> ", "`> ", "|  "],
    to: " -> ",
};
