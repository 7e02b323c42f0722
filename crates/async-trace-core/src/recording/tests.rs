//! What goes in comes out; a cut leaves what was before it; damage is named.

use super::{Encoder, Ending, Info, Reader, Reason, Sample, Wrong};
use crate::fixture::snapshot;
use crate::snapshot::Snapshot;
use proptest::prelude::*;
use std::fmt::Write;

fn info() -> Info {
    Info { tool: "async-trace 0".into(), started_s: 1.5, interval_s: 0.1 }
}

/// The bytes of a recording, where each frame ends, and what a reader must see.
fn record(snapshots: &[Snapshot]) -> (Vec<u8>, Vec<usize>, Vec<Snapshot>) {
    let (mut encoder, mut bytes) = Encoder::new(&info());
    let mut ends = vec![bytes.len()];
    let mut seen = Vec::new();
    for (n, snapshot) in snapshots.iter().enumerate() {
        bytes.extend(encoder.sample(snapshot.clone(), n as u64).unwrap());
        ends.push(bytes.len());
        seen.push(encoder.last().unwrap().clone());
    }
    bytes.extend(encoder.end(Reason::Asked, 3, 99.25));
    ends.push(bytes.len());
    (bytes, ends, seen)
}

/// A program at one moment: some tasks in some order, some of them changed, timers that run.
fn moment() -> impl Strategy<Value = Vec<(u8, u8, u16)>> {
    prop::collection::vec((0..12_u8, 0..6_u8, 0..2000_u16), 0..12)
}

fn text(time: usize, tasks: &[(u8, u8, u16)]) -> String {
    let mut text = format!("process 7 at {}.{:02}\nlock a\nqueue jobs 0/10\n", 1000 + time, time % 100);
    let mut names = std::collections::BTreeSet::new();
    for (name, what, n) in tasks {
        if !names.insert(name) {
            continue;
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "task t{name}\n  main app.py:{}\n  work{what} \"лок; b.py:{n}\"", name % 3);
        let _ = match what {
            0 => writeln!(text, "  waits acquire a timeout {}", f64::from(*n) - time as f64),
            1 => writeln!(text, "  waits get jobs"),
            2 => writeln!(text, "  waits sleep timer {}", 3000.0 - time as f64 + f64::from(n % 3) / 200.0),
            3 => writeln!(text, "  holds a\n  waits await future asyncio.Future {n}"),
            4 => writeln!(text, "  waits read tcp {n} 10.0.0.1:80 10.0.0.2:99 ESTABLISHED"),
            _ => writeln!(text, "  local x {n}\n  created main app.py:{n} hook"),
        };
    }
    let _ = writeln!(text, "problem task_unreadable {} \"…\"", time + 1);
    text
}

/// The same but for what a recording does not keep: fractions of a second of what passes by itself.
fn without_times(snapshot: &Snapshot) -> Snapshot {
    use super::times::Timed;
    let mut snapshot = snapshot.clone();
    for task in &mut snapshot.tasks {
        task.times(&mut |time, _| *time = 0.0);
    }
    for event_loop in &mut snapshot.loops {
        event_loop.times(&mut |time, _| *time = 0.0);
    }
    snapshot
}

fn times(snapshot: &Snapshot) -> Vec<f64> {
    use super::times::Timed;
    let mut all = Vec::new();
    let mut snapshot = snapshot.clone();
    for task in &mut snapshot.tasks {
        task.times(&mut |time, _| all.push(*time));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_goes_in_comes_out(moments in prop::collection::vec(moment(), 0..8)) {
        let snapshots: Vec<Snapshot> =
            moments.iter().enumerate().map(|(time, tasks)| snapshot(&text(time, tasks))).collect();
        let (bytes, ends, seen) = record(&snapshots);
        let mut reader = Reader::new(&bytes).unwrap();
        prop_assert_eq!(reader.info(), &info());
        let samples: Vec<Sample> = reader.by_ref().collect();
        prop_assert_eq!(samples.len(), snapshots.len());
        for (n, (sample, (seen, original))) in samples.iter().zip(seen.iter().zip(&snapshots)).enumerate() {
            prop_assert_eq!(&sample.snapshot, seen);
            prop_assert_eq!(without_times(&sample.snapshot), without_times(original));
            for (kept, original) in times(&sample.snapshot).iter().zip(times(original)) {
                prop_assert!((kept - original).abs() <= 0.02 + 1e-6, "{} {}", kept, original);
            }
            prop_assert_eq!(sample.missed, n as u64);
        }
        prop_assert_eq!(
            reader.ending(),
            Some(&Ending::Ended { reason: Reason::Asked, missed: 3, time_s: 99.25 })
        );

        // Wherever it is cut, what is before the cut can be read.
        for cut in 0..bytes.len() {
            match Reader::new(&bytes[..cut]) {
                Err(wrong) => {
                    prop_assert!(cut < ends[0]);
                    prop_assert!(matches!(wrong, Wrong::Short | Wrong::NotARecording));
                }
                Ok(mut reader) => {
                    let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
                    let read: Vec<Sample> = reader.by_ref().collect();
                    prop_assert_eq!(&read[..], &samples[..whole]);
                    prop_assert_eq!(reader.ending(), Some(&Ending::CutOff { at: ends[whole] as u64 }));
                }
            }
        }
    }

    #[test]
    fn damage_is_named_and_never_a_panic(
        moments in prop::collection::vec(moment(), 1..5),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        repair in any::<bool>(),
    ) {
        let snapshots: Vec<Snapshot> =
            moments.iter().enumerate().map(|(time, tasks)| snapshot(&text(time, tasks))).collect();
        let (good, ends, _) = record(&snapshots);
        let mut bytes = good.clone();
        for (place, value) in hits {
            let at = place.index(bytes.len());
            bytes[at] = value;
        }
        if repair {
            // As somebody would who means harm.
            for range in std::iter::once(10).chain(ends.iter().copied()).zip(&ends) {
                let frame = &bytes[range.0..*range.1];
                let Some(([a, b, c, d, kind, ..], content)) = frame.split_first_chunk::<9>() else { continue };
                let sum = super::encode::checksum([*a, *b, *c, *d], *kind, content);
                bytes[range.0 + 5..range.0 + 9].copy_from_slice(&sum.to_le_bytes());
            }
        }
        if let Ok(mut reader) = Reader::new(&bytes) {
            let read: Vec<Sample> = reader.by_ref().collect();
            prop_assert!(read.len() <= snapshots.len());
            prop_assert!(reader.ending().is_some());
            if !repair && bytes != good {
                let ended = matches!(reader.ending(), Some(Ending::Ended { .. }));
                prop_assert!(!ended, "what is damaged does not end as it should");
            }
        }
    }
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let wrong = |bytes: &[u8]| Reader::new(bytes).err();
    assert_eq!(wrong(b"{\"schema\":1}"), Some(Wrong::NotARecording));
    assert_eq!(wrong(b"\x89ATR\r\n\x1a\n"), Some(Wrong::Short));
    assert_eq!(wrong(b"\x89ATR\r\n\x1a\n\x07\x00"), Some(Wrong::Version(7)));
    let (bytes, ..) = record(&[snapshot("task a")]);
    let mut damaged = bytes.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let mut reader = Reader::new(&damaged).unwrap();
    assert_eq!(reader.by_ref().count(), 1);
    assert!(matches!(reader.ending(), Some(Ending::Damaged { wrong: Wrong::Checksum, .. })));
}

#[test]
fn few_bytes_make_no_large_things() {
    // A frame that claims a list of 2^60 texts, and one that unpacks to more than it says.
    for content in
        [&b"\xff\xff\xff\xff\xff\xff\xff\xff\x0f"[..], b"\x00\x01\x7f\xff\xff\xff\xff\xff\xff\xff\xff\x0f"]
    {
        for kind in [super::kind::WHOLE, super::kind::WHOLE | super::kind::PACKED] {
            let (_, mut bytes) = Encoder::new(&info());
            let length = (content.len() as u32).to_le_bytes();
            bytes.extend(length);
            bytes.push(kind);
            bytes.extend(super::encode::checksum(length, kind, content).to_le_bytes());
            bytes.extend(content);
            let mut reader = Reader::new(&bytes).unwrap();
            assert_eq!(reader.by_ref().count(), 0);
            assert!(matches!(reader.ending(), Some(Ending::Damaged { .. })));
        }
    }
}

#[test]
fn what_only_grows_older_costs_nothing() {
    let many = |at: f64| {
        let left = 60.0 - at + (at * 7.0).sin() / 100.0;
        let text = format!(
            "process 1 at {}\nloop main idle next {left}\ntask t x1000\n  main app.py:1\n  waits sleep timer {left}",
            1000.0 + at
        );
        snapshot(&text)
    };
    let snapshots: Vec<Snapshot> = (0..50).map(|n| many(f64::from(n) / 10.0)).collect();
    let (_, ends, seen) = record(&snapshots);
    let largest = ends.windows(2).skip(1).map(|w| w[1] - w[0]).max();
    assert!(largest < Some(40), "{largest:?}");
    let crate::snapshot::Target::Timer { left_s } = seen[49].tasks[7].waits_for.as_ref().unwrap().target
    else {
        panic!()
    };
    assert!((left_s.unwrap() - 55.1).abs() < 0.03, "{left_s:?}");
}

#[test]
fn a_long_recording_stands_for_itself_again() {
    let at =
        |s: u32| snapshot(&format!("process 1 at {s}\ntask t{s}\n  main app.py:{s}\n  waits sleep timer 1"));
    let snapshots: Vec<Snapshot> = (1000..1200).map(at).collect();
    let (bytes, _, seen) = record(&snapshots);
    let kinds = |bytes: &[u8]| {
        let (mut at, mut whole) = (10, 0);
        while at < bytes.len() {
            whole += u32::from(bytes[at + 4] & 0x7f == super::kind::WHOLE);
            at += 9 + u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        }
        whole
    };
    assert_eq!(kinds(&bytes), 4);
    let read: Vec<Snapshot> = Reader::new(&bytes).unwrap().map(|s| s.snapshot).collect();
    assert_eq!(read, seen);
}

mod exports;
