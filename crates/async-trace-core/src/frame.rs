//! One line of a stack or of an await chain, and whose code it is.

use crate::text::Text;
use serde::{Deserialize, Serialize};

/// One function at one line, suspended or running.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Frame {
    /// Qualified name (`Bank.pay`). CPython 3.9 and 3.10 know it for coroutines and generators
    /// only; a plain function then has its bare name.
    pub function: Text,
    /// The file as the code object names it; empty for native frames.
    pub file: Text,
    /// The current line, 1-based; 0 where it is not known (native frames, code without lines).
    pub line: u32,
    /// What kind of frame this is.
    pub kind: FrameKind,
    /// Whose code this is.
    pub origin: Origin,
    /// 0-based UTF-8 byte columns `[start, end)` of the current expression within its line, where
    /// the interpreter keeps them (3.11+).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<(u32, u32)>,
    /// The source line, trimmed, where the file could be read and was not changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Text>,
    /// Local variables; only when they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locals: Vec<Local>,
}

impl Frame {
    /// A frame of which nothing more is known.
    #[must_use]
    pub fn new(function: Text, file: Text, line: u32, kind: FrameKind, origin: Origin) -> Self {
        Self { function, file, line, kind, origin, columns: None, source: None, locals: Vec::new() }
    }
}

/// A local variable as it was found: a bounded description, never the result of running `repr()`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Local {
    /// The variable's name.
    pub name: Text,
    /// Its value in a few words.
    pub value: Text,
}

/// What kind of frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FrameKind {
    /// `async def`.
    Coroutine,
    /// `async def` with `yield`.
    AsyncGenerator,
    /// A generator: `types.coroutine`, or an `__await__` that is written with `yield from`.
    Generator,
    /// A plain function (on a thread's stack).
    Function,
    /// Compiled code (Cython) that keeps a name but no line.
    Native,
    /// An awaitable object that is not code: shown by its type's name; the chain may go on behind it.
    Awaitable,
}

/// Whose code a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The user's program: everything that is neither of the others.
    Own,
    /// Installed below `site-packages` or `dist-packages`, or compiled.
    Library,
    /// Python's own standard library.
    Stdlib,
}

impl Origin {
    /// Tells from the path of a code object whose code it is.
    ///
    /// `stdlib` is the directory of the target's standard library, where it is known; without it a
    /// directory named `pythonX.Y` below a `lib` is taken for it.
    #[must_use]
    pub fn of(file: &str, stdlib: Option<&str>) -> Self {
        if file.is_empty() || file.contains("/site-packages/") || file.contains("/dist-packages/") {
            return Self::Library;
        }
        if file.starts_with("<frozen ") {
            return Self::Stdlib;
        }
        let below = |dir: &str| file.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
        if stdlib.is_some_and(below) || is_below_versioned_lib(file) { Self::Stdlib } else { Self::Own }
    }
}

/// `…/lib/python3.11/asyncio/tasks.py`, but not `…/lib/python3.11/../app.py` or a venv's own file.
fn is_below_versioned_lib(file: &str) -> bool {
    let mut parts = file.split('/').peekable();
    while let Some(part) = parts.next() {
        if (part == "lib" || part == "lib64")
            && let Some(version) = parts.peek().and_then(|next| next.strip_prefix("python3."))
            && !version.is_empty()
            && version.bytes().all(|b| b.is_ascii_digit() || b == b't')
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn tells_whose_code_a_path_is() {
        let cases = [
            ("/srv/app/bank.py", Origin::Own),
            ("/srv/venv/lib/python3.11/site-packages/aiohttp/web.py", Origin::Library),
            ("/usr/lib/python3/dist-packages/yarl.py", Origin::Library),
            ("/usr/lib/python3.11/asyncio/tasks.py", Origin::Stdlib),
            ("/opt/python/lib/python3.14t/asyncio/tasks.py", Origin::Stdlib),
            ("<frozen runpy>", Origin::Stdlib),
            ("<stdin>", Origin::Own),
            ("/home/me/lib/pythonic/app.py", Origin::Own),
            ("", Origin::Library),
        ];
        for (file, expected) in cases {
            assert_eq!(Origin::of(file, None), expected, "{file}");
        }
        assert_eq!(Origin::of("/weird/stdlib/asyncio/tasks.py", Some("/weird/stdlib")), Origin::Stdlib);
    }
}
