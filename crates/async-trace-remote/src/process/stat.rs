//! `/proc/PID/stat`, of a process or a thread.

/// What we need of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub name: String,
    pub state: char,
    pub parent: u32,
    pub flags: u64,
    /// CPU time, in hundredths of a second.
    pub ticks: u64,
    /// When it was started, in hundredths of a second since the machine was.
    pub start: u64,
}

impl Stat {
    /// The name is in parentheses and may contain some itself: the last one counts.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (front, rest) = text.rsplit_once(')')?;
        let (_, name) = front.split_once('(')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        // proc_pid_stat(5) counts from 1; the state is 3.
        let fields: Vec<&str> = fields.collect();
        let number = |n: usize| fields.get(n - 4)?.parse::<u64>().ok();
        Some(Self {
            name: name.to_owned(),
            state,
            parent: number(4).and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            flags: number(9)?,
            ticks: number(14)?.saturating_add(number(15)?),
            start: number(22)?,
        })
    }

    /// `PF_KTHREAD`, include/linux/sched.h.
    pub(super) fn is_kernel_thread(&self) -> bool {
        self.flags & 0x0020_0000 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_with_parentheses() {
        let text = b"712 (a) R (b c) S 1 712 712 0 -1 4194560 99 0 0 0 31 11 0 0 20 0 4 0 8800 1 2";
        let stat = Stat::parse(text).expect("a stat line");
        assert_eq!((stat.name.as_str(), stat.state, stat.parent), ("a) R (b c", 'S', 1));
        assert_eq!((stat.ticks, stat.start, stat.is_kernel_thread()), (42, 8800, false));
        for cut in 0..text.len() {
            let _ = Stat::parse(&text[..cut]);
        }
    }
}
