//! How late the loops were, as a histogram.

use super::line::{Line, Page};
use super::units::seconds;
use super::{Canvas, PageOptions, Role};
use crate::recording::latency::{Bucket, Latency};

/// The longest bar, in columns.
const BAR: usize = 32;

/// Writes the histogram.
pub fn latency(latency: &Latency, options: &PageOptions, mut canvas: &mut dyn Canvas) {
    let page = Page { width: options.width, ellipsis: if options.ascii { "..." } else { "…" } };
    let mut line = Line::default();
    if latency.observed_s <= 0.0 {
        line.say("no event loop was seen to run");
        return line.end(&mut canvas, &page, ["", ""], 2);
    }
    let share = |s: f64| percent(s / latency.observed_s);
    line.say("seen for ").say(&seconds(latency.observed_s));
    line.say(": idle ").say(&share(latency.idle_s)).say(", busy ").say(&share(latency.busy_s));
    if latency.longest_turn_s > 0.0 {
        line.say("; its longest turn had lasted ").put(Role::Resource, &fine(latency.longest_turn_s));
    }
    line.end(&mut canvas, &page, ["", ""], 2);
    shares(latency, &mut line);
    line.end(&mut canvas, &page, ["", ""], 2);
    canvas.end_line();
    line.put(Role::Heading, "LATE BY          TIME        SHARE");
    line.end(&mut canvas, &page, ["", ""], 0);
    let first = latency.buckets.iter().position(|b| b.samples > 0).unwrap_or(0);
    let last = latency.buckets.iter().rposition(|b| b.samples > 0).unwrap_or(0);
    for bucket in latency.buckets.iter().take(last + 1).skip(first) {
        let part = bucket.seconds / latency.observed_s;
        line.say(&format!("{:<15}  {:<10}  ", range(bucket, options.ascii), fine(bucket.seconds)));
        line.say(&format!("{:>7}", percent(part)));
        if part > 0.0 {
            line.say("  ").put(role(bucket), &bar(part, options.ascii));
        }
        line.end(&mut canvas, &page, ["", ""], 0);
    }
}

/// `less than 1 ms late for 90 % of the time, less than 0.5 s for 99 %`.
fn shares(latency: &Latency, line: &mut Line) {
    let mut said: Vec<(f64, Option<f64>)> = Vec::new();
    for share in [0.5, 0.9, 0.99] {
        let to = latency.exceeded_for(1.0 - share);
        match said.last_mut() {
            Some(last) if last.1 == to => last.0 = share,
            _ => said.push((share, to)),
        }
    }
    for (i, (share, to)) in said.into_iter().enumerate() {
        line.say(if i > 0 { ", " } else { "" });
        match to {
            Some(to) => _ = line.say("less than ").put(Role::Resource, &fine(to)),
            None => _ = line.put(Role::Alarm, "30 s and more"),
        }
        line.say(if i > 0 { " for " } else { " late for " }).say(&percent(share));
        line.say(if i > 0 { "" } else { " of the time" });
    }
}

/// A tenth of a second is what people notice.
fn role(bucket: &Bucket) -> Role {
    if bucket.from_s >= 0.1 { Role::Alarm } else { Role::Function }
}

fn range(bucket: &Bucket, ascii: bool) -> String {
    match bucket.to_s {
        Some(to) if bucket.from_s == 0.0 => format!("under {}", fine(to)),
        Some(to) => format!("{}{}{}", fine(bucket.from_s), if ascii { " - " } else { " – " }, fine(to)),
        None => format!("over {}", fine(bucket.from_s)),
    }
}

/// In milliseconds below a second.
fn fine(s: f64) -> String {
    if s > 0.0 && s < 0.000_5 {
        return "under 1 ms".into();
    }
    if s < 1.0 { format!("{} ms", (s * 1e3).round()) } else { seconds(s) }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        p if p > 0.0 && p < 0.1 => "<0.1 %".into(),
        p if p.fract().abs() < 0.05 || p >= 99.95 => format!("{p:.0} %"),
        p => format!("{p:.1} %"),
    }
}

fn bar(part: f64, ascii: bool) -> String {
    let length = (part * BAR as f64).ceil() as usize;
    if ascii { "#" } else { "█" }.repeat(length.clamp(1, BAR))
}

#[cfg(test)]
mod tests {
    use super::{PageOptions, latency};
    use crate::recording::latency::{Bucket, Latency};

    #[test]
    fn draws_what_was_seen() {
        let bucket =
            |from_s, to_s, seconds| Bucket { from_s, to_s, seconds, samples: u64::from(seconds > 0.0) };
        let seen = Latency {
            observed_s: 10.0,
            idle_s: 8.0,
            busy_s: 2.0,
            longest_turn_s: 0.31,
            buckets: vec![
                bucket(0.0, Some(0.001), 9.4),
                bucket(0.001, Some(0.2), 0.0),
                bucket(0.2, Some(0.5), 0.6),
                bucket(0.5, None, 0.0),
            ],
        };
        let mut text = String::new();
        latency(&seen, &PageOptions { width: Some(80), ascii: true }, &mut text);
        insta::assert_snapshot!(text, @"
        seen for 10 s: idle 80 %, busy 20 %; its longest turn had lasted 310 ms
        less than 1 ms late for 90 % of the time, less than 500 ms for 99 %

        LATE BY          TIME        SHARE
        under 1 ms       9.4 s          94 %  ###############################
        1 ms - 200 ms    0 ms            0 %
        200 ms - 500 ms  600 ms          6 %  ##
        ");
        let mut text = String::new();
        latency(&Latency::default(), &PageOptions::default(), &mut text);
        assert_eq!(text, "no event loop was seen to run\n");
    }
}
