//! Pictures that a library draws for us.

use crate::args::Counted;
use async_trace_core::frame::Origin;
use async_trace_core::recording::Reader;
use async_trace_core::recording::stacks::Stacks;
use async_trace_core::render::units::{amount, seconds};
use async_trace_core::text::escape;
use inferno::flamegraph::color::{BackgroundColor, Color, PaletteMap};
use inferno::flamegraph::{Options, TextTruncateDirection};
use std::io::{self, Write};

/// What a picture shows.
pub(crate) struct Title {
    /// The process: `process 4711: python3 app.py`.
    pub process: String,
    samples: u64,
}

impl Title {
    /// Of a recording that has at least one sample.
    pub(crate) fn of(reader: &mut Reader<'_>) -> Option<Self> {
        let first = reader.next()?;
        let process = &first.snapshot.process;
        let process = format!("process {}: {}", process.pid, escape(&process.command.join(" ")));
        Some(Self { process, samples: 1 + reader.count() as u64 })
    }
}

/// Draws a flame graph: one's own code warm, libraries pale, what is waited for blue.
pub(crate) fn flamegraph(stacks: &Stacks, of: Counted, title: &Title, out: &mut dyn Write) -> io::Result<()> {
    let what = match of {
        Counted::Waiting => "Where tasks wait, and for what",
        Counted::Busy => "What the event loops are busy with",
    };
    let mut palette = PaletteMap::default();
    for (name, origin) in stacks.origins() {
        let color = color(&name, origin);
        palette.insert(name, color);
    }
    // The foot on which all of them stand.
    palette.insert("", Color { r: 226, g: 226, b: 222 });
    let mut lines: Vec<String> = stacks.lines().collect();
    if lines.is_empty() {
        // A picture of nothing, not an error: that the loops were idle is an answer.
        let nothing = match of {
            Counted::Waiting => "no task was seen to wait",
            Counted::Busy => "no loop was seen to be busy",
        };
        palette.insert(nothing, color(nothing, None));
        lines.push(format!("{nothing} 1000000"));
    }
    let mut options = Options::default();
    options.title = what.into();
    options.subtitle = Some(format!(
        "{}; {}, {}",
        title.process,
        seconds(stacks.duration_s()),
        amount(title.samples, "sample")
    ));
    options.count_name = "ms".into();
    options.factor = 1e-3;
    options.name_type = "".into();
    options.notes = "the time of all tasks together; a blue leaf is what they waited for".into();
    options.bgcolors = Some(BackgroundColor::Flat(Color { r: 252, g: 252, b: 250 }));
    options.palette_map = Some(&mut palette);
    options.font_type = "sans-serif".into();
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.min_width = 0.05;
    options.image_width = Some(1200);
    inferno::flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
}

/// By whose code it is; neighbours differ a little, and the same name has the same colour in all pictures.
fn color(name: &str, origin: Option<Origin>) -> Color {
    let (r, g, b) = match origin {
        Some(Origin::Own) => (240, 150, 70),
        Some(Origin::Library) => (214, 200, 170),
        Some(Origin::Stdlib) => (212, 212, 208),
        None => (122, 170, 222),
    };
    let hash = name.bytes().fold(0_u8, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte));
    let shade = |c: u8| c.saturating_sub(hash % 24);
    Color { r: shade(r), g: shade(g), b: shade(b) }
}
