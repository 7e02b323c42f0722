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
        line.say("; the longest turn of the loop had lasted ").put(Role::Resource, &fine(latency.longest_turn_s));
    }
    line.end(&mut canvas, &page, ["", ""], 2);
    line.say("What became due at a random moment");
    for (i, part) in [0.5, 0.9, 0.99].into_iter().enumerate() {
        line.say(if i > 0 { ", in " } else { " was late, in " }).say(&percent(part)).say(" of all cases, ");
        match latency.exceeded_for(1.0 - part) {
            Some(to) => _ = line.say("by less than ").put(Role::Resource, &fine(to)),
            None => _ = line.say("by more than ").put(Role::Alarm, "30 s"),
        }
    }
    line.end(&mut canvas, &page, ["", ""], 2);
    canvas.end_line();
    line.put(Role::Heading, "LATE BY          TIME        SHARE");
    line.end(&mut canvas, &page, ["", ""], 0);
    let last = latency.buckets.iter().rposition(|b| b.samples > 0).unwrap_or(0);
    for bucket in &latency.buckets[..=last.min(latency.buckets.len().saturating_sub(1))] {
        let part = bucket.seconds / latency.observed_s;
        line.say(&format!("{:<15}  {:<10}  ", range(bucket, options.ascii), fine(bucket.seconds)));
        line.say(&format!("{:>7}  ", percent(part)));
        line.put(role(bucket), &bar(part, options.ascii));
        line.end(&mut canvas, &page, ["", ""], 0);
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
    let block = if ascii { "#" } else { "█" };
    if part > 0.0 { block.repeat(length.clamp(1, BAR)) } else { String::new() }
}
