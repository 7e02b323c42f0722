//! From bytes to snapshots.

use super::bytes::{Reader as Input, Tables, Wire};
use super::encode::{blank, checksum};
use super::model::Sparse;
use super::times::micros;
use super::{Ending, FRAME, Info, MAGIC, MAX_FRAME, PREAMBLE, Reason, Sample, VERSION, Wrong, kind, list};
use crate::snapshot::{Capture, Snapshot};
use crate::text::Text;
use std::borrow::Cow;

/// A frame: its kind, its content, and where the next one begins.
type Found<'a> = (u8, Cow<'a, [u8]>, usize);

/// Reads a recording from its bytes: an iterator of samples, the oldest first. After the last,
/// [`ending`](Self::ending) tells why it was the last.
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    info: Info,
    tables: Tables,
    last: Option<Snapshot>,
    /// Beside [`Self::last`]: the memory it takes.
    taken: usize,
    ending: Option<Ending>,
}

impl<'a> Reader<'a> {
    /// Whether a file that begins so is a recording, of whatever version.
    #[must_use]
    pub fn recognises(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Begins to read.
    ///
    /// # Errors
    /// When this is no recording, of another version of the format, or not even its first frame is whole.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Wrong> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(Wrong::NotARecording)?;
        let version = rest.first_chunk::<2>().ok_or(Wrong::Short)?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(Wrong::Version(version));
        }
        let mut reader = Self {
            bytes,
            at: PREAMBLE,
            info: Info { tool: "".into(), started_s: 0.0, interval_s: 0.0 },
            tables: Tables::default(),
            last: None,
            taken: 0,
            ending: None,
        };
        let (kind, content, next) = reader.frame()?.ok_or(Wrong::Short)?;
        if kind != kind::INFO {
            return Err(Wrong::Order);
        }
        let mut tables = Tables::default();
        let mut input = Input::new(&content, &mut tables, 0);
        reader.info = Info {
            tool: Text::read(&mut input)?,
            started_s: f64::read(&mut input)?,
            interval_s: f64::read(&mut input)?,
        };
        reader.at = next;
        Ok(reader)
    }

    /// About the recording.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// How the recording ends; `None` while there may be more samples.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Each sample with how long it lasted: until the next one. The last one counts as long as one was
    /// to take.
    pub fn lasting(&mut self) -> Lasting<'_, 'a> {
        Lasting { held: self.next(), reader: self }
    }

    /// The next frame. `None` where the bytes end before it does.
    fn frame(&self) -> Result<Option<Found<'a>>, Wrong> {
        let rest = &self.bytes[self.at..];
        let Some((head, rest)) = rest.split_first_chunk::<FRAME>() else { return Ok(None) };
        let [a, b, c, d, kind, sum @ ..] = *head;
        let length = [a, b, c, d];
        let size = u32::from_le_bytes(length) as usize;
        if size > MAX_FRAME {
            return Err(Wrong::TooLarge);
        }
        let Some(content) = rest.get(..size) else { return Ok(None) };
        if checksum(length, kind, content) != u32::from_le_bytes(sum) {
            return Err(Wrong::Checksum);
        }
        let next = self.at + FRAME + size;
        if kind & kind::PACKED == 0 {
            return Ok(Some((kind, content.into(), next)));
        }
        Ok(Some((kind & !kind::PACKED, unpack(content)?.into(), next)))
    }

    fn sample(&mut self, content: &[u8]) -> Result<Sample, Wrong> {
        let last = self.last.take().ok_or(Wrong::Order)?;
        let mut input = Input::new(content, &mut self.tables, self.taken);
        let missed = input.number()?;
        let snapshot = read(last, &mut input)?;
        if !input.bytes.is_empty() {
            return Err(Wrong::Long);
        }
        self.taken = list::memory(&snapshot.threads)
            + list::memory(&snapshot.loops)
            + list::memory(&snapshot.tasks)
            + list::memory(&snapshot.resources)
            + snapshot.coroutines.heap()
            + snapshot.dropped.heap()
            + snapshot.problems.heap();
        self.last = Some(snapshot.clone());
        Ok(Sample { snapshot, missed })
    }

    fn step(&mut self) -> Result<Option<Sample>, Wrong> {
        loop {
            let Some((kind, content, next)) = self.frame()? else {
                self.ending = Some(Ending::CutOff { at: self.at as u64 });
                return Ok(None);
            };
            match kind {
                kind::WHOLE => {
                    self.tables = Tables::default();
                    self.taken = 0;
                    self.last = Some(blank());
                }
                kind::CHANGES => {}
                kind::END => {
                    self.ending = Some(end(&content)?);
                    return Ok(None);
                }
                kind::INFO => return Err(Wrong::Order),
                _ => {
                    self.at = next;
                    continue;
                }
            }
            let sample = self.sample(&content)?;
            self.at = next;
            return Ok(Some(sample));
        }
    }
}

impl Iterator for Reader<'_> {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        if self.ending.is_some() {
            return None;
        }
        self.step().unwrap_or_else(|wrong| {
            self.ending = Some(Ending::Damaged { at: self.at as u64, wrong });
            None
        })
    }
}

fn unpack(content: &[u8]) -> Result<Vec<u8>, Wrong> {
    let mut tables = Tables::default();
    let mut input = Input::new(content, &mut tables, 0);
    let raw = usize::try_from(input.number()?).map_err(|_| Wrong::Number)?;
    if raw > MAX_FRAME {
        return Err(Wrong::TooLarge);
    }
    let unpacked =
        miniz_oxide::inflate::decompress_to_vec_with_limit(input.bytes, raw).map_err(|_| Wrong::Packed)?;
    if unpacked.len() == raw { Ok(unpacked) } else { Err(Wrong::Packed) }
}

fn end(content: &[u8]) -> Result<Ending, Wrong> {
    let mut tables = Tables::default();
    let mut input = Input::new(content, &mut tables, 0);
    let reason = match input.number()? {
        0 => Reason::Time,
        1 => Reason::Asked,
        2 => Reason::TargetEnded,
        3 => Reason::Unreadable,
        _ => return Err(Wrong::Variant),
    };
    Ok(Ending::Ended { reason, missed: input.number()?, time_s: f64::read(&mut input)? })
}

/// Reads a snapshot that was written as its differences from `last`.
fn read(last: Snapshot, input: &mut Input<'_>) -> Result<Snapshot, Wrong> {
    let schema = u32::read(input)?;
    let capture = Capture::read_changes(&last.capture, input)?;
    let elapsed = micros(capture.time_s).saturating_sub(micros(last.capture.time_s));
    Ok(Snapshot {
        schema,
        capture,
        process: Sparse::read_changes(&last.process, input)?,
        threads: list::read(last.threads, elapsed, input)?,
        loops: list::read(last.loops, elapsed, input)?,
        tasks: list::read(last.tasks, elapsed, input)?,
        resources: list::read(last.resources, elapsed, input)?,
        coroutines: whole(last.coroutines, input)?,
        dropped: whole(last.dropped, input)?,
        problems: whole(last.problems, input)?,
    })
}

fn whole<T: Wire>(old: Vec<T>, input: &mut Input<'_>) -> Result<Vec<T>, Wrong> {
    if bool::read(input)? { Wire::read(input) } else { Ok(old) }
}

/// Samples, each with the seconds that it lasted.
pub struct Lasting<'r, 'a> {
    reader: &'r mut Reader<'a>,
    held: Option<Sample>,
}

impl Iterator for Lasting<'_, '_> {
    type Item = (Sample, f64);

    fn next(&mut self) -> Option<(Sample, f64)> {
        let sample = self.held.take()?;
        self.held = self.reader.next();
        let lasted = match &self.held {
            Some(next) => next.snapshot.capture.time_s - sample.snapshot.capture.time_s,
            None => self.reader.info.interval_s,
        };
        Some((sample, lasted.max(0.0)))
    }
}
