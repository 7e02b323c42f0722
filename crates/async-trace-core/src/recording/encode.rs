//! From snapshots to bytes.

use super::bytes::{Wire, Writer};
use super::model::Sparse;
use super::times::{micros, seconds};
use super::{Info, MAGIC, MAX_FRAME, Reason, VERSION, kind, list};
use crate::snapshot::{Capture, Process, Snapshot};

/// After so much time a sample stands for itself again, so that tables do not grow for ever.
const WHOLE_EVERY_US: i64 = 60_000_000;
/// And when the tables hold so much.
const MAX_KNOWN: usize = 1 << 19;
/// Shorter contents are not worth packing.
const MIN_PACKED: usize = 400;
/// Fast: names are interned already, and what is left packs nearly as well as with the best.
const LEVEL: u8 = 1;

/// Makes a recording out of snapshots.
pub struct Encoder {
    writer: Writer,
    /// What the reader has; nothing before the first sample.
    last: Option<Snapshot>,
    /// When the last sample was that stands for itself.
    whole_us: i64,
}

impl Encoder {
    /// Begins a recording: the encoder, and the bytes it begins with.
    #[must_use]
    pub fn new(info: &Info) -> (Self, Vec<u8>) {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        let mut encoder = Self { writer: Writer::default(), last: None, whole_us: 0 };
        encoder.writer.begin();
        info.tool.write(&mut encoder.writer);
        info.started_s.write(&mut encoder.writer);
        info.interval_s.write(&mut encoder.writer);
        bytes.extend(encoder.frame(kind::INFO));
        encoder.writer.forget();
        (encoder, bytes)
    }

    /// Adds a sample, and returns the bytes to add to the recording. `missed` samples were due since the one
    /// before and could not be taken.
    ///
    /// `None` for a snapshot that is too large: then this sample is missed, too.
    pub fn sample(&mut self, mut snapshot: Snapshot, missed: u64) -> Option<Vec<u8>> {
        let now_us = micros(snapshot.capture.time_s);
        snapshot.capture.time_s = seconds(now_us);
        if now_us.saturating_sub(self.whole_us) > WHOLE_EVERY_US || self.writer.known() > MAX_KNOWN {
            self.last = None;
        }
        let frame = if self.last.is_some() { kind::CHANGES } else { kind::WHOLE };
        let mut last = self.last.take().unwrap_or_else(blank);
        let out = &mut self.writer;
        if frame == kind::WHOLE {
            out.forget();
            self.whole_us = now_us;
        }
        out.begin();
        out.number(missed);
        write(&mut snapshot, &mut last, out);
        if self.writer.bytes.len() > MAX_FRAME {
            return None;
        }
        self.last = Some(snapshot);
        Some(self.frame(frame))
    }

    /// The last sample as a reader will see it.
    #[must_use]
    pub fn last(&self) -> Option<&Snapshot> {
        self.last.as_ref()
    }

    /// Ends the recording: its last bytes.
    #[must_use]
    pub fn end(mut self, reason: Reason, missed: u64, time_s: f64) -> Vec<u8> {
        self.writer.begin();
        self.writer.number(match reason {
            Reason::Time => 0,
            Reason::Asked => 1,
            Reason::TargetEnded => 2,
            Reason::Unreadable => 3,
        });
        self.writer.number(missed);
        time_s.write(&mut self.writer);
        self.frame(kind::END)
    }

    /// Puts what was written into a frame.
    fn frame(&mut self, mut kind: u8) -> Vec<u8> {
        let mut content = std::mem::take(&mut self.writer.bytes);
        if content.len() >= MIN_PACKED {
            let raw = content.len();
            let packed = miniz_oxide::deflate::compress_to_vec(&content, LEVEL);
            self.writer.bytes.clear();
            if packed.len() + 8 < raw {
                self.writer.number(raw as u64);
                self.writer.bytes.extend(packed);
                content = std::mem::take(&mut self.writer.bytes);
                kind |= kind::PACKED;
            }
        }
        let length = (content.len() as u32).to_le_bytes();
        let mut bytes = Vec::with_capacity(super::FRAME + content.len());
        bytes.extend(length);
        bytes.push(kind);
        bytes.extend(checksum(length, kind, &content).to_le_bytes());
        bytes.extend(&content);
        content.clear();
        self.writer.bytes = content;
        bytes
    }
}

/// Of everything in a frame but itself.
pub(super) fn checksum(length: [u8; 4], kind: u8, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(&[kind]);
    hasher.update(content);
    hasher.finalize()
}

/// What a sample that stands for itself differs from.
pub(super) fn blank() -> Snapshot {
    Snapshot {
        schema: 0,
        process: Process::blank(),
        capture: Capture::blank(),
        threads: Vec::new(),
        loops: Vec::new(),
        tasks: Vec::new(),
        resources: Vec::new(),
        coroutines: Vec::new(),
        dropped: Vec::new(),
        problems: Vec::new(),
    }
}

/// Writes a snapshot as its differences from `last`.
fn write(snapshot: &mut Snapshot, last: &mut Snapshot, out: &mut Writer) {
    let Snapshot {
        schema,
        process,
        capture,
        threads,
        loops,
        tasks,
        resources,
        coroutines,
        dropped,
        problems,
    } = snapshot;
    // A time that passes by itself is no change.
    let elapsed = micros(capture.time_s).saturating_sub(micros(last.capture.time_s));
    out.number(u64::from(*schema));
    capture.write_changes(&last.capture, out);
    process.write_changes(&last.process, out);
    list::write(threads, &mut last.threads, elapsed, out);
    list::write(loops, &mut last.loops, elapsed, out);
    list::write(tasks, &mut last.tasks, elapsed, out);
    list::write(resources, &mut last.resources, elapsed, out);
    whole(coroutines, &last.coroutines, out);
    whole(dropped, &last.dropped, out);
    whole(problems, &last.problems, out);
}

/// A list that hardly ever changes: all of it or nothing.
fn whole<T: Wire + PartialEq>(new: &Vec<T>, old: &Vec<T>, out: &mut Writer) {
    (new != old).write(out);
    if new != old {
        new.write(out);
    }
}
