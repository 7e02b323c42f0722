//! A recording: the snapshots of one process over time, as bytes.
//!
//! Consecutive snapshots are nearly equal, so a recording holds one of them in full and then what
//! has changed; names and stacks once, then their numbers. It may be cut off anywhere: what is before the
//! cut can be read. `docs/recording-format.md` describes every byte.
//!
//! [`Encoder`] makes the bytes, [`Reader`] reads them; this module opens no file. What is
//! made of a recording (who waited for how long, at which line) is in the modules beside them.

mod bytes;
mod decode;
mod encode;
pub mod latency;
mod list;
mod model;
pub mod sites;
pub mod speedscope;
pub mod stacks;
mod timeline;
mod times;
pub mod trace;

#[cfg(test)]
mod tests;

pub use decode::{Lasting, Reader};
pub use encode::Encoder;
pub use timeline::{SiteCounts, Timeline, TimelineBuilder};

use crate::snapshot::Snapshot;
use crate::text::Text;

/// The first bytes of every recording: no text, and damaged by whoever takes it for one.
pub const MAGIC: &[u8; 8] = b"\x89ATR\r\n\x1a\n";
/// The version of the format that is written, and the only one that is read.
pub const VERSION: u16 = 6;

/// The length of magic and version.
const PREAMBLE: usize = 10;
/// The length of a frame before its content: length, kind, checksum.
const FRAME: usize = 9;
/// The longest content of a frame, packed or not.
const MAX_FRAME: usize = 256 << 20;

/// The kinds of frames. A reader passes over those that it does not know.
mod kind {
    /// About the recording; the first frame.
    pub(super) const INFO: u8 = 0;
    /// A sample that stands for itself.
    pub(super) const WHOLE: u8 = 1;
    /// A sample as what has changed since the one before.
    pub(super) const CHANGES: u8 = 2;
    /// The last frame.
    pub(super) const END: u8 = 3;
    /// Added to a kind: the content is packed (raw deflate), after its length.
    pub(super) const PACKED: u8 = 0x80;
}

/// About a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Info {
    /// What recorded it, `async-trace 0.2.0`.
    pub tool: Text,
    /// When it was begun, in seconds since 1970 UTC.
    pub started_s: f64,
    /// The time between two samples as it was asked for, in seconds.
    pub interval_s: f64,
}

/// One sample of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// What was seen.
    pub snapshot: Snapshot,
    /// How many samples were due since the one before and could not be taken.
    pub missed: u64,
}

/// Why a recording was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The time was over.
    Time,
    /// It was asked to.
    Asked,
    /// The target ended.
    TargetEnded,
    /// The target could no longer be read.
    Unreadable,
}

/// How a recording ends.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// As it should.
    Ended {
        /// Why.
        reason: Reason,
        /// Samples that were due after the last one and could not be taken.
        missed: u64,
        /// When, in seconds since 1970 UTC.
        time_s: f64,
    },
    /// In the middle: who wrote it was killed, or the disk was full.
    CutOff {
        /// How many bytes could be used.
        at: u64,
    },
    /// In a frame that is damaged; what follows it cannot be understood.
    Damaged {
        /// Where the frame begins, in bytes.
        at: u64,
        /// What is wrong with it.
        wrong: Wrong,
    },
}

/// What is wrong with a frame, or with a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wrong {
    /// The file does not begin as a recording does.
    NotARecording,
    /// It is of a version of the format that is not known here.
    Version(u16),
    /// The checksum says that bytes have changed.
    Checksum,
    /// It ends too early.
    Short,
    /// It has more bytes than it needs.
    Long,
    /// A number is not one, or too large for what it counts.
    Number,
    /// A text is not UTF-8.
    Text,
    /// It refers to something that was not there before.
    Reference,
    /// A word that this version does not know.
    Variant,
    /// Its packed content cannot be unpacked.
    Packed,
    /// It would take more memory than a recording may.
    TooLarge,
    /// Something else should stand there: the first frame says what the recording is about, and the
    /// first sample stands for itself.
    Order,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotARecording => "it does not begin as a recording does",
            Self::Version(version) => {
                return write!(f, "it is of version {version} of the format; this is version {VERSION}");
            }
            Self::Checksum => "its checksum is wrong",
            Self::Short => "it ends too early",
            Self::Long => "it is longer than what it holds",
            Self::Number => "it holds a number that cannot be",
            Self::Text => "it holds text that is not UTF-8",
            Self::Reference => "it refers to something that was not there before",
            Self::Variant => "it holds a word that is not known",
            Self::Packed => "it cannot be unpacked",
            Self::TooLarge => "it would take too much memory",
            Self::Order => "it stands in the wrong place",
        })
    }
}
