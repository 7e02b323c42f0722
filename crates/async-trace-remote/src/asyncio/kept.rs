//! By which variable of the program an object is still referred to.

use super::walk::{Session, Walked};
use super::{chain, task};
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::{Read, Reader};
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};

/// How many tasks and objects are looked at, and how many steps away from a variable.
const MAX_TASKS: usize = 1000;
const MAX_OBJECTS: usize = 20_000;
const MAX_STEPS: u32 = 4;

/// What a variable of the program refers to.
struct Variable {
    name: Text,
    /// `main()` or `module app`.
    of: Text,
}

/// The variables that lead to each of `wanted`, in words: "list `outbox` of module app"; the nearest one, where
/// there are several. What a library keeps for itself is not looked at.
pub(crate) fn variables(
    session: &Session<'_>,
    walked: &Walked,
    wanted: &FxHashSet<Addr>,
) -> FxHashMap<Addr, Text> {
    let reader = session.reader;
    let (variables, mut wave) = roots(session, walked);
    let mut found = FxHashMap::default();
    let mut seen = FxHashSet::default();
    for (value, variable) in &wave {
        if wanted.contains(value) {
            let Variable { name, of } = &variables[*variable];
            found.entry(*value).or_insert_with(|| format!("`{name}` of {of}").into());
        }
    }
    for step in 0..MAX_STEPS {
        let mut next = Vec::new();
        for (object, variable) in wave {
            if walked.index.contains_key(&object) || seen.len() >= MAX_OBJECTS || !seen.insert(object) {
                continue;
            }
            for referred in references::of(reader, object).unwrap_or_default() {
                if wanted.contains(&referred) {
                    let Variable { name, of } = &variables[variable];
                    let kind =
                        reader.type_of(object).map_or("object".into(), |of| of.short_name().to_owned());
                    found.entry(referred).or_insert_with(|| match step {
                        0 => format!("{kind} `{name}` of {of}").into(),
                        _ => format!("a {kind} in `{name}` of {of}").into(),
                    });
                } else if leads_on(reader, referred) {
                    next.push((referred, variable));
                }
            }
        }
        wave = next;
    }
    found
}

/// The variables of the program's own code: of tasks and threads that are in it, and of its modules.
fn roots(session: &Session<'_>, walked: &Walked) -> (Vec<Variable>, Vec<(Addr, usize)>) {
    let reader = session.reader;
    let mut variables = Vec::new();
    let mut values = Vec::new();
    let mut add = |name: Text, of: &Text, value: Addr| {
        if leads_on(reader, value) && values.len() < MAX_OBJECTS {
            values.push((value, variables.len()));
            variables.push(Variable { name, of: of.clone() });
        }
    };
    let mut frame = |frame: &PyFrame, function: &str| {
        if session.places.origin_of(&frame.code.file) == Origin::Own
            && let Ok(locals) = frame.locals(reader)
        {
            let of = format!("{function}()").into();
            locals.into_iter().for_each(|(name, value)| add(name, &of, value));
        }
    };
    let mut chain = chain::Chain::default();
    for task in walked.tasks.iter().take(MAX_TASKS) {
        let nodes = task::nodes(session, task.addr, &mut chain, walked).unwrap_or_default();
        for node in &nodes {
            if let (Some(of_node), Some(place)) = (&node.frame, session.places.frame(node.place)) {
                frame(of_node, &place.function);
            }
        }
    }
    for thread in &walked.threads {
        for of_thread in &thread.stack {
            frame(of_thread, &of_thread.code.name);
        }
    }
    for interpreter in &walked.interpreters {
        for (name, module) in reader.dict(interpreter.modules).unwrap_or_default() {
            if let (Ok(name), Ok(Some(globals))) = (reader.text(name), own_globals(session, module)) {
                let of = format!("module {name}").into();
                for (name, value) in reader.dict(globals).unwrap_or_default() {
                    if let Ok(name) = reader.text(name) {
                        add(name, &of, value);
                    }
                }
            }
        }
    }
    (variables, values)
}

/// The variables of a module that is the program's own.
fn own_globals(session: &Session<'_>, module: Addr) -> Read<Option<Addr>> {
    let reader = session.reader;
    let Some(globals) = reader.globals_of(module)? else { return Ok(None) };
    let file = reader.module_file(globals)?;
    Ok(file.is_some_and(|file| session.places.origin_of(&file) == Origin::Own).then_some(globals))
}

/// Whether an object can lead to others that are the program's.
fn leads_on(reader: &Reader<'_>, object: Addr) -> bool {
    reader.kind_of(object).is_ok_and(|kind| !references::is_end(kind))
}
