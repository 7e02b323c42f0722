//! What the text of a program tells about which of its functions can still be called: a look at words and
//! indentation, not a parser. Whatever it does not understand can be called.

use super::text::{STARTERS, has_word, indentation, is_of_a_name, last_word, names};
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// So many functions are asked for those that call them, and so many lines are joined to find what a call is of.
const MAX_ASKED: u32 = 64;
const MAX_JOINED: usize = 8;
/// What is mentioned in a line with one of these is called once, when a server starts.
const ONCE: &[&str] = &["startup", "lifespan", "before_serving", "cleanup_ctx"];
/// Decorators that leave a function to those who call it.
const PLAIN_DECORATORS: &[&str] =
    &["staticmethod", "classmethod", "asynccontextmanager", "contextmanager", "override"];
/// Who is handed something by one of these keeps it, or passes it on to what is awaited, and does nothing to it.
const KEEPERS: &[&str] = &[
    "add",
    "append",
    "appendleft",
    "create_task",
    "ensure_future",
    "gather",
    "insert",
    "put",
    "put_nowait",
    "shield",
    "setdefault",
    "wait",
    "wait_for",
];

/// What makes something that tasks wait for.
const MAKERS: &[&str] = &["Event(", "Condition(", "Queue("];

/// The text of a program, and where it is now.
#[derive(Default)]
pub(super) struct Program {
    files: Vec<Source>,
    /// What a line makes that tasks wait for, by the name it has there, as in `self.ready = asyncio.Event()`: two names of
    /// which that is true are of two things.
    made: FxHashSet<String>,
    /// Whether each function can still be called, as far as it is known.
    callable: FxHashMap<Place, bool>,
    asked: u32,
}

struct Source {
    name: Text,
    raw: Vec<Text>,
    /// The same lines, without comments and what is in strings.
    code: Vec<String>,
    functions: Vec<Function>,
    classes: Vec<String>,
    /// The lines that tasks and threads are at now.
    at: Vec<At>,
}

/// A line that somebody is at, and the first one of the function that it is in.
struct At {
    function: Option<usize>,
    line: usize,
}

/// A function: its first line and the last one, as numbers from 0.
struct Function {
    name: String,
    start: usize,
    end: usize,
}

/// A line of a file, or the function that begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub file: usize,
    /// From 0 on.
    pub line: usize,
}

/// How a line makes use of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Calls it, here and now.
    Call,
    /// Makes a task of what it returns.
    Creation,
    /// Hands it to somebody who calls it when a server starts.
    Once,
    /// Hands it to somebody who may call it at any time.
    Other,
}

impl Program {
    /// Adds a file, and the lines (from 1 on) of it that tasks and threads are at.
    pub(super) fn add(&mut self, name: Text, raw: &[Text], at: impl Iterator<Item = u32>) {
        self.made.extend(raw.iter().filter_map(|line| name_of_made(line)).map(str::to_owned));
        let code = without_strings(raw);
        let functions = functions(&code);
        let class = |line: &String| {
            let rest = line.trim_start().strip_prefix("class ")?;
            Some(rest.chars().take_while(|c| is_of_a_name(*c)).collect())
        };
        let classes = code.iter().filter_map(class).collect();
        let mut source = Source { name, raw: raw.to_vec(), code, functions, classes, at: Vec::new() };
        let at = at.filter_map(|line| (line as usize).checked_sub(1));
        source.at = at.map(|line| source.at(line)).collect();
        self.files.push(source);
    }

    /// The place of a line (from 1 on).
    pub(super) fn place(&self, file: &str, line: u32) -> Option<Place> {
        let file = self.files.iter().position(|source| &*source.name == file)?;
        let line = (line as usize).checked_sub(1)?;
        (line < self.files[file].raw.len()).then_some(Place { file, line })
    }

    pub(super) fn file(&self, place: Place) -> (&Text, &[Text]) {
        let source = &self.files[place.file];
        (&source.name, &source.raw)
    }

    /// The lines of the function that a line is in, or only this one; and without strings.
    pub(super) fn around(&self, place: Place) -> impl Iterator<Item = (&Text, &str)> {
        let source = &self.files[place.file];
        let range = match source.function(place.line) {
            Some(function) => function.start..function.end + 1,
            None => place.line..place.line + 1,
        };
        source.raw[range.clone()].iter().zip(source.code[range].iter().map(String::as_str))
    }

    /// The lines that call a method of one of these names, of what goes by the name `of` or may be the same. Nothing where
    /// such a method is handed to somebody who may call it at any time.
    pub(super) fn calls_of_methods(&self, methods: &[&str], of: &str) -> Option<Vec<Place>> {
        let is_made = self.made.contains(of);
        let mut found = Vec::new();
        for (file, source) in self.files.iter().enumerate() {
            for (line, code) in source.code.iter().enumerate() {
                for method in methods {
                    for (before, after) in names(code, method) {
                        let Some(owner) = before.strip_suffix('.') else { continue };
                        let owner = name_of(&source.raw[line], owner);
                        if is_made && owner.is_some_and(|owner| owner != of && self.made.contains(owner)) {
                            continue;
                        }
                        if !after.starts_with('(') || has_word(before, "lambda") {
                            return None;
                        }
                        found.push(Place { file, line });
                    }
                }
            }
        }
        found.dedup();
        Some(found)
    }

    /// A line that takes the condition of this name, in a function that does not wait for it.
    pub(super) fn takes_only(&self, name: &str) -> Option<Place> {
        let is_taken = |code: &str| {
            let is_in_with =
                |after: &str| code.contains("with ") && after.trim_start().starts_with([':', ',', ')']);
            names(code, name).any(|(_, after)| is_in_with(after) || after.starts_with(".acquire("))
        };
        let waits = |code: &str| names(code, name).any(|(_, after)| after.starts_with(".wait"));
        let lines = |(file, source): (usize, &Source)| {
            let taken = source.code.iter().enumerate().filter(|(_, code)| is_taken(code));
            taken.map(|(line, _)| Place { file, line }).collect::<Vec<_>>()
        };
        let mut places = self.files.iter().enumerate().flat_map(lines);
        places.find(|place| !self.around(*place).any(|(_, code)| waits(code)))
    }

    /// Whether something that is called by this name is nowhere handed to what is not of the program. In files where it is
    /// the name of a function it is nothing else.
    pub(super) fn stays_inside(&self, name: &str) -> bool {
        let is_of_function = |source: &&Source| source.functions.iter().any(|function| function.name == name);
        self.files.iter().filter(|source| !is_of_function(source)).all(|source| {
            source.code.iter().enumerate().all(|(line, code)| {
                names(code, name).all(|(before, after)| {
                    !after.trim_start().starts_with([',', ')'])
                        || source.called_with(line, before).is_some_and(|called| self.is_inside(called))
                })
            })
        })
    }

    fn is_inside(&self, called: &str) -> bool {
        let is_own = |source: &Source| {
            source.classes.iter().any(|class| class == called)
                || source.functions.iter().any(|function| function.name == called)
        };
        called.is_empty() || KEEPERS.contains(&called) || self.files.iter().any(is_own)
    }

    /// The lines that make a task of what the function returns that a line is in, or of what calls it.
    pub(super) fn creations(&self, place: Place) -> Vec<Place> {
        let mut todo = vec![place];
        let mut seen = Vec::new();
        while let Some(place) = todo.pop() {
            let Some(function) = self.files[place.file].function(place.line) else { continue };
            if seen.contains(&function.name.as_str()) || seen.len() > MAX_JOINED {
                continue;
            }
            seen.push(&function.name);
            let (created, called): (Vec<_>, Vec<_>) =
                self.uses(&function.name).into_iter().partition(|(_, how)| *how == Use::Creation);
            if !created.is_empty() {
                return created.into_iter().map(|(place, _)| place).collect();
            }
            todo.extend(called.into_iter().map(|(place, _)| place));
        }
        Vec::new()
    }

    /// Whether the result of a call that a line begins with is kept by nobody.
    pub(super) fn is_dropped(&self, place: Place) -> bool {
        let source = &self.files[place.file];
        let code = source.code[source.statement(place.line)].trim_start();
        let called = code.split('(').next().unwrap_or_default();
        !called.is_empty() && called.chars().all(|c| is_of_a_name(c) || c == '.')
    }

    /// Whether a line has been passed for good: nobody comes back to it, nor will the function be called again.
    pub(super) fn is_over(&mut self, place: Place) -> bool {
        self.is_passed(place, false) && self.is_left(place)
    }

    /// Whether somebody is in the function that a line is in.
    pub(super) fn is_inhabited(&self, place: Place) -> bool {
        let source = &self.files[place.file];
        let function = source.function_place(place.line);
        source.at.iter().any(|at| at.function == function)
    }

    /// Whether all who are in the function have passed a line, or are `at` it, and do not come back.
    fn is_passed(&self, place: Place, at: bool) -> bool {
        let source = &self.files[place.file];
        let function = source.function_place(place.line);
        // Who stands at a `yield` is not known: a context manager that is entered goes on when it is left.
        let yields = |start: usize| {
            let mut lines = start + 1..=source.function(place.line).map_or(start, |function| function.end);
            lines.any(|line| {
                has_word(&source.code[line], "yield")
                    && source.function_place(line) == function
                    && (line <= place.line || source.are_in_a_loop(place.line, line))
            })
        };
        if function.is_some_and(yields) {
            return false;
        }
        let mut here = source.at.iter().filter(|at| at.function == function);
        here.all(|now| {
            (now.line > place.line || at && now.line == place.line)
                && !source.are_in_a_loop(place.line, now.line)
        })
    }

    /// Whether nobody will enter the function again that a line is in.
    fn is_left(&mut self, place: Place) -> bool {
        let source = &self.files[place.file];
        let Some(start) = source.function_place(place.line) else { return true };
        let place = Place { file: place.file, line: start };
        if let Some(known) = self.callable.get(&place) {
            return !known;
        }
        self.asked += 1;
        if self.asked > MAX_ASKED {
            return false;
        }
        // Functions that only call each other are called by nobody.
        self.callable.insert(place, false);
        let callable = self.can_be_called(place);
        if callable {
            // So can be what was found not to be, as long as this was not known.
            self.callable.retain(|_, callable| *callable);
        }
        self.callable.insert(place, callable);
        !callable
    }

    fn can_be_called(&mut self, place: Place) -> bool {
        let source = &self.files[place.file];
        let Some(function) = source.functions.iter().find(|function| function.start == place.line) else {
            return true;
        };
        let decorators = source.raw[..place.line].iter().rev().map(|line| line.trim());
        let decorators: Vec<&str> = decorators.take_while(|line| line.starts_with('@')).collect();
        let is_plain = |line: &&str| {
            let name = line[1..].split('(').next().unwrap_or_default();
            PLAIN_DECORATORS.contains(&last_word(name)) || is_once(line)
        };
        if function.name.starts_with("__") || !decorators.iter().all(is_plain) {
            return true;
        }
        let is_started = decorators.iter().any(|line| is_once(line));
        let name = function.name.clone();
        let uses = self.uses(&name);
        if uses.is_empty() {
            // Libraries call methods that they know by name.
            return !is_started;
        }
        uses.into_iter().any(|(place, how)| match how {
            Use::Other => true,
            Use::Once => false,
            Use::Call | Use::Creation => !(self.is_passed(place, true) && self.is_left(place)),
        })
    }

    /// Where a function of this name is made use of.
    fn uses(&self, name: &str) -> Vec<(Place, Use)> {
        let mut found = Vec::new();
        for (file, source) in self.files.iter().enumerate() {
            for (line, code) in source.code.iter().enumerate() {
                let words = code.trim_start();
                let is_import = words.starts_with("from ") || words.starts_with("import ");
                if is_import && !has_word(code, "as") {
                    continue;
                }
                for (before, after) in names(code, name) {
                    // It is defined, or is a parameter.
                    let is_definition = words.starts_with("def ") || words.starts_with("async def ");
                    // Or is what another function calls an argument: `print(text, flush=True)`.
                    let is_keyword = after.starts_with('=')
                        && !after.starts_with("==")
                        && before.trim_end().ends_with(['(', ',']);
                    let is_parameter = !before.ends_with('.') && source.is_parameter(line, name);
                    if is_definition || is_keyword || is_parameter {
                        continue;
                    }
                    found.push((Place { file, line }, source.how(line, before, after)));
                }
            }
        }
        found
    }
}

impl Source {
    /// The innermost function that a line is in; its first line is not.
    fn function(&self, line: usize) -> Option<&Function> {
        let around = self.functions.iter().filter(|f| f.start < line && line <= f.end);
        around.max_by_key(|function| function.start)
    }

    /// Where somebody is who is at a line. Whoever has not begun yet is at the first line of the function.
    fn at(&self, line: usize) -> At {
        let decorators = self.code[line.min(self.code.len())..].iter();
        let start = line + decorators.take_while(|line| line.trim().starts_with('@')).count();
        match self.functions.iter().any(|function| function.start == start) {
            true => At { function: Some(start), line: start },
            false => At { function: self.function_place(line), line },
        }
    }

    fn function_place(&self, line: usize) -> Option<usize> {
        self.function(line).map(|function| function.start)
    }

    /// Whether a name is a parameter of the function that a line is in.
    fn is_parameter(&self, line: usize, name: &str) -> bool {
        let Some(function) = self.function(line) else { return false };
        let header = &self.code[function.start..=function.end];
        let len = header.iter().position(|line| line.trim_end().ends_with(':')).unwrap_or(0);
        header[..=len].iter().any(|line| {
            names(line, name)
                .any(|(before, _)| before.trim_end().ends_with(['(', ',', '*']) || before.trim().is_empty())
        })
    }

    /// How a name is used, from what stands before and after it.
    fn how(&self, line: usize, before: &str, after: &str) -> Use {
        let is_call = after.starts_with('(') && !has_word(before, "lambda");
        let called = self.called_with(line, before);
        match called {
            Some(called) if STARTERS.contains(&called) && (is_call || after.starts_with([',', ')'])) => {
                Use::Creation
            }
            // `run(main)` calls it now.
            _ if is_call || called == Some("run") => Use::Call,
            _ if is_once(&self.raw[line]) => Use::Once,
            _ => Use::Other,
        }
    }

    /// The function or method of whose call an argument is that `before` stands before, `""` of none; nothing where that
    /// is not found.
    fn called_with<'a>(&'a self, line: usize, before: &'a str) -> Option<&'a str> {
        let start = self.statement(line);
        let above = self.code[start..line].iter().rev().map(String::as_str);
        let mut depth = 0_u32;
        for text in std::iter::once(before).chain(above).take(MAX_JOINED) {
            for (at, c) in text.char_indices().rev() {
                match c {
                    ')' | ']' | '}' => depth += 1,
                    '(' | '[' | '{' if depth > 0 => depth -= 1,
                    '(' => return Some(last_word(&text[..at])),
                    '[' | '{' => return Some(""),
                    _ => {}
                }
            }
        }
        (line - start < MAX_JOINED).then_some("")
    }

    /// Where the statement begins that a line is in.
    fn statement(&self, line: usize) -> usize {
        let is_open = |above: &&String| above.trim_end().ends_with(['(', '[', '{', ',', '\\']);
        line - self.code[..line].iter().rev().take_while(is_open).count()
    }

    /// Whether there is a loop around a line that another line is in, too.
    fn are_in_a_loop(&self, line: usize, other: usize) -> bool {
        let depth = |line: usize| indentation(&self.code[line]);
        let top = self.function_place(line).map_or(0, |start| start + 1);
        let Some(mut inner) = depth(line) else { return true };
        // A line that continues another one is not indented less.
        for above in (top..=line).rev() {
            let Some(outer) = depth(above).filter(|depth| *depth < inner || above == line) else { continue };
            inner = outer;
            let words = self.code[above].trim_start();
            let is_loop =
                ["while ", "while(", "for ", "async for "].iter().any(|word| words.starts_with(word));
            let mut below = above + 1..=other;
            if is_loop && below.all(|line| depth(line).is_none_or(|depth| depth > outer)) {
                return true;
            }
        }
        false
    }
}

/// The name of what stands at the begin of a line, of the length of `path`: `ready` of `self.ready` and of `app["ready"]`.
fn name_of<'a>(line: &'a str, path: &str) -> Option<&'a str> {
    let path = line.get(..path.len())?;
    let inner = path.strip_suffix(']').map_or(path, |inner| inner.trim_end_matches(['"', '\'']));
    let name = last_word(inner);
    (!name.is_empty() && (inner.len() == path.len() || inner.len() + 1 < path.len())).then_some(name)
}

/// The name that a line gives to what it makes.
fn name_of_made(line: &str) -> Option<&str> {
    let (to, what) = line.split_once('=')?;
    let is_made = MAKERS.iter().any(|maker| what.contains(maker));
    name_of(line, to.split(':').next()?.trim_end()).filter(|_| is_made)
}

fn is_once(line: &str) -> bool {
    ONCE.iter().any(|word| line.contains(word))
}

/// The functions of a file.
fn functions(code: &[String]) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, line) in code.iter().enumerate() {
        let words = line.trim_start();
        let Some(rest) = words.strip_prefix("async def ").or_else(|| words.strip_prefix("def ")) else {
            continue;
        };
        let depth = line.len() - words.len();
        let name = rest.chars().take_while(|c| is_of_a_name(*c)).collect();
        // What a `def` of several lines ends with stands where it began.
        let is_inside = |line: &String| {
            indentation(line).is_none_or(|indent| indent > depth)
                || indentation(line) == Some(depth) && line.trim_start().starts_with([')', ']'])
        };
        let len = code[start + 1..].iter().take_while(|line| is_inside(line)).count();
        found.push(Function { name, start, end: start + len });
    }
    found
}

/// Lines without comments, and with spaces for what is in strings.
fn without_strings(lines: &[Text]) -> Vec<String> {
    let mut open: Option<&str> = None;
    let strip = |line: &Text| {
        let mut out = String::with_capacity(line.len());
        let mut rest: &str = line;
        while let Some(c) = rest.chars().next() {
            let mut len = c.len_utf8();
            match open {
                None if c == '#' => break,
                None => {
                    open = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote));
                    len = open.map_or(len, str::len);
                    out.push_str(&rest[..len]);
                }
                Some(quote) if rest.starts_with(quote) => {
                    open = None;
                    len = quote.len();
                    out.push_str(quote);
                }
                Some(_) => {
                    if c == '\\' {
                        len += rest[len..].chars().next().map_or(0, char::len_utf8);
                    }
                    out.extend(std::iter::repeat_n(' ', len));
                }
            }
            rest = &rest[len..];
        }
        // Only strings with three quotes go on in the next line.
        open = open.filter(|quote| quote.len() > 1);
        // A line of a string is no code, however it is indented.
        if out.chars().all(|c| c == ' ' || c == '"' || c == '\'') { String::new() } else { out }
    };
    lines.iter().map(strip).collect()
}

#[cfg(test)]
mod tests {
    use super::Program;
    use async_trace_core::text::Text;

    /// A program of one file, of which one line ends with `# here`, where its task waits.
    fn program(text: &str) -> Program {
        let lines: Vec<Text> = text.lines().map(Text::from).collect();
        let here =
            lines.iter().zip(1..).filter(|(line, _)| line.ends_with("# here")).map(|(_, number)| number);
        let mut program = Program::default();
        program.add("app.py".into(), &lines, here);
        program
    }

    /// Whether nothing comes any more by any line that calls `set` of something called `ready`.
    fn is_over(text: &str) -> bool {
        let mut program = program(text);
        let calls = program.calls_of_methods(&["set"], "ready");
        calls.is_some_and(|calls| {
            !calls.is_empty()
                && calls.iter().all(|call| program.is_over(*call))
                && program.stays_inside("ready")
        })
    }

    #[test]
    fn who_takes_a_condition_and_does_not_wait_for_it() {
        let taken = |text: &str| program(text).takes_only("ready").map(|place| place.line);
        let text = "\
async def get(self):
    async with self.ready:
        await self.ready.wait_for(lambda: self.items)

async def put(self, item):
    async with self.ready:
        self.items.append(item)
";
        assert_eq!(taken(text), Some(5));
        let (other, waits, by_hand) = (
            text.replace("ready:\n        self.items", "other:\n        self.items"),
            text.replace("self.items.append(item)", "await self.ready.wait()"),
            text.replace("async with self.ready:\n        self", "await self.ready.acquire()\n    self"),
        );
        assert_eq!((taken(&other), taken(&waits), taken(&by_hand)), (None, None, Some(5)));
    }

    const LOST: &str = "\
async def load(ready):
    '''ready.set() is called (at the end).'''
    await fetch()
    ready.set()

async def main():
    ready = asyncio.Event()
    asyncio.create_task(load(ready))
    await ready.wait()  # here

asyncio.run(main())  # here
";

    #[test]
    fn an_argument_of_that_name_calls_nobody() {
        let flush = LOST.replace("load", "flush");
        assert!(is_over(&flush));
        assert!(is_over(&flush.replace("await fetch()", "print(1, flush=True)")));
        assert!(is_over(&flush.replace("await fetch()", "print(flush=True)")));
        assert!(!is_over(&flush.replace("await fetch()", "register(callback=flush)")));
        assert!(!is_over(&flush.replace("await fetch()", "if known(flush == it): pass")));
    }

    #[test]
    fn who_is_called_no_more() {
        assert!(is_over(LOST));
        // It is still there, and has not come so far.
        assert!(!is_over(&LOST.replace("fetch()", "fetch()  # here")));
        assert!(is_over(&LOST.replace("ready.set()", "ready.set()\n    await rest()  # here")));
        let endless = "while True:\n        ready.set()\n        await rest()  # here";
        assert!(!is_over(&LOST.replace("ready.set()", endless)));
        // It is created again and again, or later.
        let looped = "while True:\n        asyncio.create_task(load(ready))\n        await ready.wait()";
        assert!(!is_over(&LOST.replace("asyncio.create_task(load(ready))\n    await ready.wait()", looped)));
        let ended = "for _ in names:\n        asyncio.create_task(load(ready))\n    await ready.wait()";
        assert!(is_over(&LOST.replace("asyncio.create_task(load(ready))\n    await ready.wait()", ended)));
        assert!(!is_over(&LOST.replace("# here\n\n", "# here\n    await load(ready)\n\n")));
        assert!(is_over(&LOST.replace("run(main())", "run(main)")));
        assert!(!is_over(&LOST.replace("asyncio.run(main())", "register(main)\nloop.run()")));
        // It is about to begin.
        assert!(!is_over(&LOST.replace("load(ready):", "load(ready):  # here")));
        assert!(!is_over(&LOST.replace("async def load", "@staticmethod  # here\nasync def load")));
        // It goes on when the context manager is left.
        let manager = "@asynccontextmanager\nasync def load(ready):\n    yield\n";
        assert!(!is_over(&LOST.replace("async def load(ready):\n", manager)));
        assert!(is_over(
            &LOST
                .replace("async def load", "@asynccontextmanager\nasync def load")
                .replace("set()", "set()\n    yield")
        ));
        // Two functions call each other; one of them is called from outside.
        let again = "async def again():\n    await load(ready)\n\nasync def load(ready):\n    await again()\n    on(load)";
        assert!(!is_over(&LOST.replace("async def load(ready):", again)));
        let parameter = "def run(main):\n    if uvloop:\n        return uvloop.run(main())  # here\n    asyncio.run(main())\n\nrun(main)";
        assert!(is_over(&LOST.replace("asyncio.run(main())", parameter)));
        // By those who are called from outside.
        assert!(!is_over(&LOST.replace("async def load", "@app.get('/')\nasync def load")));
        assert!(!is_over(
            &LOST.replace("async def main", "async def on_load():\n    await load(x)\n\nasync def main")
        ));
        assert!(is_over(
            &LOST.replace("async def main", "async def rest():\n    await rest()\n\nasync def main")
        ));
        assert!(!is_over(
            &LOST.replace("    ready = asyncio.Event()", "    ready = asyncio.Event()\n    on(load)")
        ));
    }

    #[test]
    fn what_may_be_set_by_others() {
        let with = |line: &str| LOST.replace("Event()\n", &format!("Event()\n    {line}\n"));
        assert!(!is_over(&with("loop.add_signal_handler(15, ready.set)")));
        assert!(!is_over(&with("loop.call_later(9, lambda: ready.set())")));
        assert!(!is_over(&with("library.watch(ready)")));
        // A library calls it for each client, and does so just now.
        let served =
            LOST.replace("asyncio.create_task(load(ready))\n    await ready.wait()", "await serve(load)");
        assert!(!is_over(&served));
        assert!(!is_over(&with("library.watch(\n        'x',\n        ready,\n    )")));
        assert!(is_over(&with("events.append(ready)")));
        assert!(is_over(&with("print(ready.is_set(), [ready])")));
        // Somebody sets an event that may be the same.
        let handler = "async def handle(event):\n    event.set()\n\n";
        assert!(!is_over(&format!("{handler}{LOST}")));
        // That is another one.
        let other =
            "loop.add_signal_handler(15, stop.set)\n    stop = asyncio.Event()\n    app['stop'] = Event()";
        assert!(is_over(&with(other)));
        assert!(!is_over(&with("loop.add_signal_handler(15, stop.set)\n    stop = ready")));
    }

    #[test]
    fn what_is_called_when_a_server_starts() {
        let server = LOST.replace("async def main():", "async def start(app):").replace(
            "    await ready.wait()  # here\n",
            "    app['ready'] = ready\n\nasync def get():\n    await app['ready'].wait()  # here\n\nasync def main():\n    \
             await app.serve()  # here\n",
        );
        assert!(!is_over(&server));
        let hook = |line: &str| server.replace("async def main", &format!("{line}\n\nasync def main"));
        assert!(!is_over(&hook("app.on_request.append(start)")));
        assert!(is_over(&hook("app.on_startup.append(start)")));
        assert!(is_over(&server.replace("async def start", "@app.on_event('startup')\nasync def start")));
        assert!(is_over(&hook("app = App(\n    lifespan=start,\n)")));
    }

    #[test]
    fn where_tasks_are_made() {
        let program = program(
            &LOST.replace("create_task(load(ready))", "create_task(\n        load(ready), name='x'\n    )"),
        );
        let set = program.place("app.py", 4).unwrap();
        let creations = program.creations(set);
        assert_eq!(creations.iter().map(|place| place.line + 1).collect::<Vec<_>>(), [9]);
        assert!(program.is_dropped(creations[0]));
        let kept = super::tests::program(
            &LOST.replace("asyncio.create_task(load", "task = create_task(\n        load"),
        );
        assert!(!kept.is_dropped(kept.creations(kept.place("app.py", 4).unwrap())[0]));
    }
}
