//! Numbers, times and amounts in words.

/// A number with its thousands apart: `10,000`.
#[must_use]
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number and a noun that agrees with it: `1 task`, `2 tasks`.
#[must_use]
pub fn amount(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", number(n))
}

/// Seconds as one would say them: `450 ms`, `3.2 s`, `2 min 5 s`, `3 h 20 min`, `4 d 3 h`.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    let s = seconds.abs();
    if !s.is_finite() || s >= 36_500.0 * 86_400.0 {
        return "for ever".into();
    }
    // In whole numbers: formatting a float is slow, and there may be a hundred thousand of them.
    let (ms, tenths, whole) = ((s * 1e3).round() as u64, (s * 10.0).round() as u64, s.round() as u64);
    match (ms, tenths, whole) {
        (0..100, ..) => format!("{ms} ms"),
        (_, 0..100, _) => format!("{}.{} s", tenths / 10, tenths % 10),
        (.., 0..60) => format!("{whole} s"),
        (.., 60..3_600) => format!("{} min {} s", whole / 60, whole % 60),
        (.., 3_600..86_400) => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Microseconds as milliseconds: `3.1 ms`, `450 ms`, `0.2 ms`.
#[must_use]
pub fn milliseconds(us: u64) -> String {
    match us {
        0..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{} ms", us / 1000),
        _ => seconds(us as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, milliseconds, number, seconds};

    #[test]
    fn speaks_of_times_as_people_do() {
        let cases = [
            (0.0, "0 ms"),
            (0.0421, "42 ms"),
            (0.45, "0.5 s"),
            (3.21, "3.2 s"),
            (9.96, "10 s"),
            (59.6, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (12_000.0, "3 h 20 min"),
            (356_400.0, "4 d 3 h"),
            (f64::INFINITY, "for ever"),
        ];
        for (s, expected) in cases {
            assert_eq!(seconds(s), expected);
        }
        assert_eq!([3_100, 450_000, 2_500_000].map(milliseconds), ["3.1 ms", "450 ms", "2.5 s"]);
    }

    #[test]
    fn parts_thousands_and_agrees_in_number() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([amount(1, "task"), amount(2, "task")], ["1 task", "2 tasks"]);
    }
}
