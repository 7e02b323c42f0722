//! File names short enough to read and long enough to find the file.

use crate::frame::{Frame, Origin};
use crate::snapshot::Snapshot;
use rustc_hash::FxHashSet;

/// How files are named: the user's own below their common directory, a library's below the place
/// it is installed in.
pub(crate) struct Paths {
    base: String,
}

impl Paths {
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let stacks = snapshot.tasks.iter().map(|t| &*t.chain);
        let stacks = stacks.chain(snapshot.threads.iter().map(|t| &*t.stack));
        let stacks = stacks.chain(snapshot.coroutines.iter().map(|c| std::slice::from_ref(&c.defined)));
        let stacks = stacks.chain(snapshot.dropped.iter().map(|d| std::slice::from_ref(&d.at)));
        Self::of_stacks(stacks)
    }

    /// For the files of some stacks.
    pub(crate) fn of_stacks<'a>(stacks: impl Iterator<Item = &'a [Frame]>) -> Self {
        let (mut chains, mut files) = (FxHashSet::default(), FxHashSet::default());
        let mut base: Option<&str> = None;
        for stack in stacks.filter(|s| chains.insert(s.as_ptr())) {
            for frame in stack.iter().filter(|f| f.origin == Origin::Own && f.file.starts_with('/')) {
                if files.insert(frame.file.as_ptr()) {
                    let known = base.unwrap_or_else(|| directory(&frame.file));
                    base = Some(common(known, &frame.file));
                }
            }
        }
        // Below `/` nothing would be gained.
        Self { base: base.filter(|b| b.len() > 1).unwrap_or_default().to_owned() }
    }

    /// The directory that names are relative to, if they are.
    pub(super) fn base(&self) -> Option<&str> {
        (!self.base.is_empty()).then(|| self.base.trim_end_matches('/'))
    }

    pub(crate) fn short<'a>(&self, frame: &'a Frame) -> &'a str {
        let file = &*frame.file;
        if frame.origin == Origin::Own {
            return file.strip_prefix(&*self.base).filter(|_| !self.base.is_empty()).unwrap_or(file);
        }
        installed(file)
    }
}

/// A library's file below its place of installation.
fn installed(file: &str) -> &str {
    // Directory by directory from the end: this is asked for every library frame there is.
    let mut end = file.len();
    while let Some(slash) = file[..end].rfind('/') {
        if file[..slash].ends_with("/site-packages") || file[..slash].ends_with("/dist-packages") {
            return &file[slash + 1..];
        }
        let parent = file[..slash].rfind('/').map_or(0, |parent| parent + 1);
        if file[parent..slash].starts_with("python3") {
            return &file[slash + 1..];
        }
        end = slash;
    }
    file
}

/// The library that a frame belongs to, in a word: `aiohttp`, `asyncio`, `concurrent.futures`.
pub(crate) fn package(frame: &Frame) -> &str {
    let file = &*frame.file;
    if let Some(module) = file.strip_prefix("<frozen ").and_then(|f| f.strip_suffix('>')) {
        return module.split('.').next().unwrap_or(module);
    }
    if file.is_empty() {
        return "native code";
    }
    let short = installed(file);
    if short.starts_with("concurrent/futures/") {
        return "concurrent.futures";
    }
    let first = short.trim_start_matches('/').split('/').next().unwrap_or(short);
    if short.starts_with('/') {
        // Not below a known place: the last directory says more than the first.
        let mut parts = short.rsplit('/');
        return parts.nth(1).filter(|p| !p.is_empty()).unwrap_or(first);
    }
    first.strip_suffix(".py").unwrap_or(first)
}

fn directory(file: &str) -> &str {
    file.rfind('/').map_or("", |end| &file[..=end])
}

/// The longest directory (with its slash) that both are below.
fn common<'a>(base: &'a str, file: &str) -> &'a str {
    let same = base.bytes().zip(file.bytes()).take_while(|(a, b)| a == b).count();
    // `same` may lie within a character; a slash never does.
    let end = base.as_bytes()[..same].iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
    &base[..end]
}

#[cfg(test)]
mod tests {
    use super::{Paths, common, installed, package};
    use crate::fixture::snapshot;

    #[test]
    fn finds_what_own_files_share() {
        let s = snapshot(
            "task a\n  f /srv/app/bank/pay.py:1\n  std g asyncio/tasks.py:2\ntask b\n  f /srv/app/main.py:2",
        );
        let paths = Paths::of(&s);
        assert_eq!(paths.base(), Some("/srv/app"));
        assert_eq!(paths.short(&s.tasks[0].chain[0]), "bank/pay.py");
        assert_eq!(paths.short(&s.tasks[0].chain[1]), "asyncio/tasks.py");
        let s = snapshot("thread 1 a\n  f /srv/main.py:1\nthread 2 b\n  g /opt/x.py:2");
        assert_eq!(Paths::of(&s).base(), None);
        assert_eq!(Paths::of(&s).short(&s.threads[0].stack[0]), "/srv/main.py");
        assert_eq!(common("/a/é/", "/a/è/x.py"), "/a/");
    }

    #[test]
    fn names_libraries() {
        let cases = [
            ("lib x aiohttp/web.py:1", "aiohttp"),
            ("lib x six.py:1", "six"),
            ("std x asyncio/tasks.py:1", "asyncio"),
            ("std x concurrent/futures/thread.py:1", "concurrent.futures"),
            ("x \"<frozen importlib._bootstrap>:1\"", "importlib"),
            ("native x", "native code"),
        ];
        for (frame, expected) in cases {
            let s = snapshot(&format!("task a\n  {frame}"));
            assert_eq!(package(&s.tasks[0].chain[0]), expected);
        }
        assert_eq!(installed("/odd/place.py"), "/odd/place.py");
    }
}
