//! What the text of a Python file tells where its compiled code does not: a look at words and indentation,
//! not a parser.

/// What is called with a coroutine, and will see to it that it runs.
const TAKERS: &[&str] = &[
    "create_task",
    "ensure_future",
    "gather",
    "run",
    "run_until_complete",
    "run_coroutine_threadsafe",
    "shield",
    "start_soon",
    "wait_for",
];

/// What is called to make a task of a coroutine.
pub(super) const STARTERS: &[&str] =
    &["create_task", "ensure_future", "run_coroutine_threadsafe", "start_soon", "spawn"];

/// The qualified name of the function that a line (from 1 on) is in.
pub(super) fn enclosing_function(lines: &[impl AsRef<str>], line: u32) -> Option<String> {
    let at = usize::try_from(line).ok()?.checked_sub(1)?;
    let mut depth = indentation(lines.get(at)?.as_ref())?;
    let mut names = Vec::new();
    let mut inner_is_function = false;
    for above in lines.get(..at)?.iter().rev() {
        let above = above.as_ref();
        let Some(indent) = indentation(above).filter(|indent| *indent < depth) else { continue };
        depth = indent;
        let words = above.trim_start();
        let (is_function, rest) =
            match words.strip_prefix("async def ").or_else(|| words.strip_prefix("def ")) {
                Some(rest) => (true, rest),
                None => match words.strip_prefix("class ") {
                    Some(rest) if !names.is_empty() => (false, rest),
                    // What is in the body of a class, or in an `if`, is in no function yet.
                    _ => continue,
                },
            };
        if is_function && !names.is_empty() {
            names.push("<locals>".to_owned());
        }
        inner_is_function |= is_function;
        names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    }
    names.reverse();
    inner_is_function.then(|| names.join("."))
}

/// The lines that call a function of this name, and neither await the result nor hand it to something that
/// runs it.
pub(super) fn unawaited_calls(lines: &[impl AsRef<str>], name: &str) -> Vec<u32> {
    let is_call = |line: &str| {
        let code = without_comment(line);
        names(code, name).any(|(before, after)| after.starts_with('(') && !is_used(without_path(before)))
    };
    let numbered = lines.iter().zip(1..);
    numbered.filter(|(line, _)| is_call(line.as_ref())).map(|(_, number)| number).collect()
}

/// The lines that make a task of a coroutine of a function of this name, or of what it returns.
pub(super) fn task_creations(lines: &[impl AsRef<str>], name: &str) -> Vec<u32> {
    let is_creation = |at: usize| {
        let code = without_comment(lines[at].as_ref());
        names(code, name).any(|(before, after)| {
            // The call may stand on a line of its own.
            let above = at.checked_sub(1).map_or("", |above| without_comment(lines[above].as_ref()));
            let opened = Some(without_path(before)).filter(|path| !path.trim().is_empty()).unwrap_or(above);
            after.starts_with(['(', ',', ')'])
                && opened
                    .trim_end()
                    .strip_suffix('(')
                    .is_some_and(|caller| STARTERS.contains(&last_word(caller)))
        })
    };
    (0..lines.len()).filter(|at| is_creation(*at)).filter_map(|at| u32::try_from(at + 1).ok()).collect()
}

/// What a function does with one of its variables, below the line it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LaterUse {
    /// Nothing that concerns a coroutine.
    None,
    /// It is an argument of a call.
    Argument,
    /// It is awaited, or handed to something that runs it.
    Run,
}

/// What becomes of a variable in the rest of the function that a line (from 1 on) is in.
pub(super) fn later_use(lines: &[impl AsRef<str>], line: u32, name: &str) -> LaterUse {
    let at = line as usize;
    let below = function_around(lines, at).skip_while(|(number, _)| *number <= at);
    below.map(|(_, line)| use_in(line, name)).max().unwrap_or(LaterUse::None)
}

/// Whether the function that a line (from 1 on) is in takes items from a container, or awaits them.
pub(super) fn takes_from(lines: &[impl AsRef<str>], line: u32, name: &str) -> bool {
    const TAKES: &[&str] = &[".pop(", ".popleft(", ".get("];
    function_around(lines, line as usize).any(|(_, line)| {
        occurrences(line, name).any(|(before, after)| {
            TAKES.iter().any(|call| after.starts_with(call))
                || after.starts_with(['.', '[']) && is_used(before)
        })
    })
}

/// Whether the function that a line (from 1 on) is in takes items from a container that is an attribute of an object.
pub(super) fn takes_from_part(lines: &[impl AsRef<str>], line: u32, name: &str) -> bool {
    let takes = |after: &str| {
        let path = after.split_once('(').map_or("", |(path, _)| path);
        let is_path =
            path.starts_with('.') && path.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
        is_path && path.matches('.').count() > 1 && (path.ends_with(".pop") || path.ends_with(".popleft"))
    };
    function_around(lines, line as usize)
        .any(|(_, line)| occurrences(line, name).any(|(_, after)| takes(after)))
}

/// The lines of a function below its `def`, without comments, with their numbers.
fn function_around(lines: &[impl AsRef<str>], line: usize) -> impl Iterator<Item = (usize, &str)> {
    let depth = |line: &str| indentation(line).unwrap_or(usize::MAX);
    let at = line.min(lines.len());
    let here = lines[..at].last().map_or(0, |line| depth(line.as_ref()));
    let is_around = |line: &str| {
        let words = line.trim_start();
        (words.starts_with("async def ") || words.starts_with("def ")) && depth(line) < here
    };
    let start = lines[..at].iter().rposition(|line| is_around(line.as_ref()));
    let outer = start.map_or(0, |start| depth(lines[start].as_ref()));
    let numbered = lines.iter().map(AsRef::as_ref).zip(1..).skip(start.map_or(at, |start| start + 1));
    // What a `def` of several lines ends with stands where it began.
    let is_inside = move |line: &str| depth(line) > outer || line.trim_start().starts_with([')', ']']);
    numbered
        .take_while(move |(line, _)| is_inside(line))
        .map(|(line, number)| (number, without_comment(line)))
}

/// What a line awaits by the name it has there: `ready` of `await self.ready.wait()`, of `await app["ready"].wait()`; `answer`
/// of `return await answer`.
pub(super) fn awaited(line: &str) -> Option<&str> {
    const METHODS: &[&str] = &[".wait(", ".wait_for(", ".get("];
    let line = without_comment(line);
    let path = match METHODS.iter().filter_map(|method| line.find(method)).min() {
        Some(end) => &line[..end],
        None => names(line, "await").next()?.1,
    };
    // What is made or called here has no name: `asyncio.Event().wait()`.
    let path = path.trim_end();
    if path.ends_with(')') {
        return None;
    }
    let word = last_word(path.trim_end_matches(|c: char| !is_of_a_name(c)));
    (!word.is_empty()).then_some(word)
}

/// Whether a line has a word, be it in a string.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    names(line, word).next().is_some()
}

/// The attributes that a line mentions, but no methods that it calls.
pub(super) fn attributes(code: &str) -> impl Iterator<Item = &str> {
    let parts = code
        .split('.')
        .skip(1)
        .map(|part| part.split_at(part.find(|c| !is_of_a_name(c)).unwrap_or(part.len())));
    parts.filter(|(name, after)| !name.is_empty() && !after.starts_with('(')).map(|(name, _)| name)
}

/// The last line up to `line` (both from 1 on), in the same function, that calls `acquire`.
pub(super) fn acquired_at(lines: &[impl AsRef<str>], line: u32) -> Option<u32> {
    let above = lines.iter().take(line as usize).enumerate().rev();
    let mut above = above.take_while(|(_, text)| {
        let text = text.as_ref().trim_start();
        !["def ", "async def ", "class "].iter().any(|starter| text.starts_with(starter))
    });
    above.find(|(_, text)| text.as_ref().contains(".acquire(")).and_then(|(at, _)| u32::try_from(at + 1).ok())
}

/// What stands before and after a name, wherever it stands by itself or as an attribute.
pub(super) fn names<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    let all = code.match_indices(name).map(|(at, _)| (&code[..at], &code[at + name.len()..]));
    all.filter(|(before, after)| !before.ends_with(is_of_a_name) && !after.starts_with(is_of_a_name))
}

/// What stands before and after a name, wherever it stands by itself.
fn occurrences<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    names(code, name).filter(|(before, _)| !before.ends_with('.'))
}

pub(super) fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What stands before the object that a name is an attribute of, `await ` of `await self.client.`.
fn without_path(before: &str) -> &str {
    before.trim_end_matches(|c| is_of_a_name(c) || c == '.')
}

fn use_in(code: &str, name: &str) -> LaterUse {
    let whole = occurrences(code, name).filter(|(_, after)| !after.starts_with(['.', '[', '(']));
    let uses = whole.map(|(before, after)| {
        if is_used(before) {
            LaterUse::Run
        } else if before.trim_end().ends_with(['(', ',', '*']) && after.trim_start().starts_with([',', ')']) {
            LaterUse::Argument
        } else {
            LaterUse::None
        }
    });
    uses.max().unwrap_or(LaterUse::None)
}

/// Whether what stands before a call's dotted name makes use of its result, or is no call at all.
fn is_used(before: &str) -> bool {
    let words = before.trim_end();
    if words.len() < before.len() && matches!(last_word(words), "await" | "def" | "class" | "from") {
        return true;
    }
    // In a string.
    if words.matches('"').count() % 2 == 1 || words.matches('\'').count() % 2 == 1 {
        return true;
    }
    words.strip_suffix('(').is_some_and(|caller| TAKERS.contains(&last_word(caller)))
}

/// The word that a text ends with.
pub(super) fn last_word(text: &str) -> &str {
    &text[text.trim_end_matches(is_of_a_name).len()..]
}

fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => return &line[..at],
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    line
}

/// How far a line is indented; none for one without code.
pub(super) fn indentation(line: &str) -> Option<usize> {
    let code = line.trim_start();
    (!code.is_empty() && !code.starts_with('#')).then_some(line.len() - code.len())
}

#[cfg(test)]
mod tests {
    use super::{
        LaterUse, enclosing_function, later_use, takes_from, takes_from_part, task_creations, unawaited_calls,
    };

    fn lines(text: &str) -> Vec<&str> {
        text.lines().collect()
    }

    #[test]
    fn a_line_is_in_the_function_around_it() {
        let text = lines(
            "import x\nclass Server:\n    limit = 3\n    async def close(self):\n        if self:\n\n# note\n            \
             self.ping()\n\ndef outer():\n    def inner():\n        return 1\n    return inner\nouter()\n",
        );
        let found: Vec<_> = [3, 8, 12, 13, 14, 99].map(|line| enclosing_function(&text, line)).into();
        let expected = [None, Some("Server.close"), Some("outer.<locals>.inner"), Some("outer"), None, None];
        assert_eq!(found, expected.map(|name| name.map(str::to_owned)));
    }

    #[test]
    fn a_call_is_one_whose_result_nobody_awaits() {
        let text = lines(
            "async def ping(self):\nws.ping()\nawait ws.ping()\nasyncio.create_task(self.ws.ping())\n\
             # ping()\nlog('ping()')\nx.append(ping(1))\nshipping()\nping\ny = ping()\ngather(ping())\n",
        );
        assert_eq!(unawaited_calls(&text, "ping"), [2, 7, 10]);
    }

    #[test]
    fn a_task_is_made_of_a_call() {
        let text = lines(
            "async def feed(self):\ntasks.append(asyncio.create_task(self.feed(), name='feed'))\nawait feed()\n\
             group.start_soon(feed, 1)\nx = loop.create_task(  # now\n    feed(1),\n)\n# create_task(feed())\n\
             create_task(refeed())\ncreate_task(feeds())\nfeed()\n",
        );
        assert_eq!(task_creations(&text, "feed"), [2, 4, 6]);
        assert!(task_creations(&lines("feed()"), "feed").is_empty());
    }

    #[test]
    fn what_is_awaited_by_its_name() {
        let of = |line| super::awaited(line);
        assert_eq!(of("    await self.ready.wait()  # or not"), Some("ready"));
        assert_eq!(of("await request.app['ready'].wait()"), Some("ready"));
        assert_eq!(of("item = await self.inbox.get()"), Some("inbox"));
        assert_eq!(of("return await answer"), Some("answer"));
        assert_eq!(of("await asyncio.Event().wait()"), None);
        assert_eq!(
            [of("await self.call(1)"), of("await answers[key(1)]"), of("pass")],
            [None, Some("1"), None]
        );
    }

    #[test]
    fn what_becomes_of_a_variable() {
        let text = lines(
            "async def limited(job, other, data):\n    await job\n    async with limit:\n        log(data.x)\n        \
             await ensure(a, other)\n    return await job\n\nasync def more(data):\n    await data\n",
        );
        let of = |line, name| later_use(&text, line, name);
        assert_eq!([of(3, "job"), of(6, "job")], [LaterUse::Run, LaterUse::None]);
        assert_eq!(of(3, "other"), LaterUse::Argument);
        assert_eq!([of(3, "data"), of(3, "at"), of(99, "data")], [LaterUse::None; 3]);
        let text =
            lines("async def limited(\n    job,\n) -> None:\n    async with limit:\n        await job\n");
        assert_eq!(later_use(&text, 4, "job"), LaterUse::Run);
        let text = lines(
            "async def work(jobs, done):\n    while jobs:\n        await jobs.pop()\n    done.append(1)\n",
        );
        assert!(takes_from(&text, 3, "jobs") && !takes_from(&text, 3, "done"));
        let text = lines(
            "    async def work(self):\n        job = self.pool.jobs.popleft()\n        await self.stop.wait()\n",
        );
        assert!(takes_from_part(&text, 3, "self") && !takes_from_part(&text[1..], 2, "self.stop"));
        assert!(!takes_from_part(&lines("def f(x):\n    x.pop()\n    x.y.get(1)\n    x.y\n"), 4, "x"));
    }
}
