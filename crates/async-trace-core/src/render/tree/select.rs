//! Which tasks are asked for.

use super::super::forest::pending;
use crate::frame::Frame;
use crate::index::Index;
use crate::snapshot::{Id, Snapshot, Task};

/// The tasks with this name or id.
#[must_use]
pub fn named(snapshot: &Snapshot, name: &str) -> Vec<u32> {
    let id = name.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok()).map(Id);
    let is_it = |t: &Task| &*t.name == name || Some(t.id) == id;
    (0..).zip(&snapshot.tasks).filter(|(_, t)| is_it(t)).map(|(i, _)| i).collect()
}

/// How many tasks a filter selects.
#[must_use]
pub fn selected(snapshot: &Snapshot, pattern: &str) -> usize {
    let pattern = Pattern::new(pattern);
    snapshot.tasks.iter().filter(|t| pattern.fits(t)).count()
}

/// The tasks that are shown under a filter: those it selects, what they wait for, and who waits for
/// them, so that each still stands in its place.
pub(super) fn kept(index: &Index<'_>, pattern: &str) -> Vec<bool> {
    let tasks = &index.snapshot.tasks;
    let pattern = Pattern::new(pattern);
    let selected: Vec<u32> = (0..).zip(tasks).filter(|(_, t)| pattern.fits(t)).map(|(i, _)| i).collect();
    let mut keep = vec![false; tasks.len()];
    let spread = |keep: &mut Vec<bool>, next: &dyn Fn(&Task, &mut Vec<u32>)| {
        let (mut seen, mut todo) = (vec![false; tasks.len()], selected.clone());
        while let Some(position) = todo.pop() {
            if !std::mem::replace(&mut seen[position as usize], true) {
                keep[position as usize] = true;
                next(&tasks[position as usize], &mut todo);
            }
        }
    };
    spread(&mut keep, &|task, todo| todo.extend(pending(task).iter().filter_map(|id| index.task(*id))));
    spread(&mut keep, &|task, todo| todo.extend(task.awaited_by.iter().filter_map(|a| index.task(a.task))));
    keep
}

/// A substring, or a pattern over the whole when it has `*` or `?`; in lower case it fits both cases.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Vec<char>,
    whole: bool,
    any_case: bool,
}

impl Pattern {
    /// As it was typed.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.chars().collect(),
            whole: text.contains(['*', '?']),
            any_case: !text.chars().any(char::is_uppercase),
        }
    }

    /// Whether it is in a task's name, or in the functions or files of its chain.
    #[must_use]
    pub fn fits(&self, task: &Task) -> bool {
        self.is_in(&task.name) || self.fits_chain(&task.chain)
    }

    /// Whether it is in the functions or files of a chain. Many tasks share one.
    #[must_use]
    pub fn fits_chain(&self, chain: &[Frame]) -> bool {
        chain.iter().any(|f| self.is_in(&f.function) || self.is_in(&f.file))
    }

    /// Whether it is in this text.
    #[must_use]
    pub fn is_in(&self, text: &str) -> bool {
        let text: Vec<char> = if self.any_case {
            text.chars().flat_map(char::to_lowercase).collect()
        } else {
            text.chars().collect()
        };
        if self.whole {
            return glob(&self.text, &text);
        }
        self.text.is_empty() || text.windows(self.text.len()).any(|w| w == self.text)
    }
}

/// `*` is any text, `?` any character. Linear in both for each `*`.
fn glob(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: that `*` takes one more character.
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match &mut retry {
                Some((after, taken)) => {
                    *taken += 1;
                    (p, t) = (*after, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn patterns_fit_as_people_expect() {
        let cases = [
            ("pay", "Bank.pay", true),
            ("PAY", "Bank.pay", false),
            ("bank", "Bank.pay", true),
            ("Bank*", "Bank.pay", true),
            ("*pay", "Bank.pay", true),
            ("pay*", "Bank.pay", false),
            ("b?nk.*y", "Bank.pay", true),
            ("*a*a*b", "aaaaaaaaaaaaaaaa", false),
            ("", "x", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).is_in(text), expected, "{pattern} {text}");
        }
    }
}
