//! What is on screen, as a file: the same JSON as that of `dump --json`.

use async_trace_core::{Snapshot, json};
use std::fs::File;
use std::io;

/// Writes a snapshot into the working directory; returns the name of the file. A file that is there already
/// is left alone.
///
/// # Errors
/// With the name of the file that could not be written.
pub(crate) fn save(snapshot: &Snapshot) -> Result<String, (String, io::Error)> {
    let name = name(snapshot.process.pid, snapshot.capture.time_s);
    let written = File::create_new(&name).and_then(|file| json::write(snapshot, file));
    match written {
        Ok(()) => Ok(name),
        Err(error) => Err((name, error)),
    }
}

/// `async-trace-4711-20240131T120305.250Z.json`: of which process and moment (UTC) it is.
fn name(pid: u32, time_s: f64) -> String {
    let ms = (time_s.max(0.0) * 1e3) as u64;
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("async-trace-{pid}-{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{ms:03}Z.json")
}

/// The date that is so many days after 1970-01-01. Years begin in March here, so that a leap day is the last
/// day of its year; 400 years have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month_of_year) =
        (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month_of_year <= 2), month_of_year, day)
}

#[cfg(test)]
mod tests {
    use super::{date, name};

    #[test]
    fn names_the_moment() {
        assert_eq!(name(7, 1_700_000_000.25), "async-trace-7-20231114T221320.250Z.json");
    }

    #[test]
    fn knows_leap_days() {
        assert_eq!(date(0), (1970, 1, 1));
        assert_eq!(date(11_016), (2000, 2, 29));
        assert_eq!(date(19_782), (2024, 2, 29));
        assert_eq!(date(19_783), (2024, 3, 1));
        assert_eq!(date(20_088), (2024, 12, 31));
    }
}
