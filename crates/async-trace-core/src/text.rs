//! Text that comes from a target: names, paths, source lines. It is never trusted.

use std::sync::Arc;

/// Immutable shared text. Equal texts of one snapshot share their storage, so a hundred thousand
/// tasks with the same stack hold its names once.
pub type Text = Arc<str>;

/// Replaces everything that could move a cursor, recolour a terminal or reorder a line by a visible
/// escape: control characters, the Unicode bidirectional controls, and line separators.
///
/// Printable text, emoji and other scripts pass unchanged.
#[must_use]
pub fn escape(text: &str) -> std::borrow::Cow<'_, str> {
    use std::fmt::Write;
    if !text.chars().any(is_hostile) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hostile(c) => {
                let code = u32::from(c);
                // Writing into a String cannot fail.
                let _ =
                    if code < 0x100 { write!(out, "\\x{code:02x}") } else { write!(out, "\\u{code:04x}") };
            }
            c => out.push(c),
        }
    }
    out.into()
}

fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn passes_ordinary_text() {
        for text in ["Task-1", "задача", "日本", "😀", "naïve"] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn shows_terminal_escapes() {
        assert_eq!(escape("a\x1b[31mred\x07\nb\u{202e}c"), "a\\x1b[31mred\\x07\\nb\\u202ec");
    }
}
