//! By which name a line of code calls an object: a local variable, an attribute of one, a global.
//!
//! Nothing is run and no source is needed: the frame's variables are looked through for the object,
//! following only attributes that the function itself mentions.

use super::chain::Node;
use super::walk::Session;
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use async_trace_core::text::Text;

/// How many attributes deep a name may be: `self.app.state.lock` has three.
const MAX_DEPTH: usize = 3;
/// How many objects are looked at for one name.
const MAX_LOOKS: usize = 400;

/// The name by which the frame at `index` calls `object`.
pub(crate) fn of(session: &Session<'_>, object: Addr, nodes: &[Node], index: usize) -> Option<Text> {
    let node = nodes.get(index)?;
    let frame = node.frame.as_ref()?;
    // What another frame at this line calls it is likely its name here too. But it may not be: what is the
    // `source` of one transfer is the `target` of another.
    let known = session.names.borrow().get(&(object, node.place)).cloned();
    if let Some(known) = known {
        match known {
            None => return None,
            Some(name) if is_called(session.reader, frame, &name, object) == Ok(true) => return Some(name),
            Some(_) => {}
        }
    }
    let found = search(session.reader, frame, object).ok().flatten();
    session.names.borrow_mut().insert((object, node.place), found.clone());
    found
}

/// Whether a frame calls an object by this name.
fn is_called(reader: &Reader<'_>, frame: &PyFrame, name: &str, object: Addr) -> Read<bool> {
    let mut parts = name.split('.');
    let first = parts.next().unwrap_or_default();
    let mut at = match frame.local(reader, first)? {
        Some(value) => Some(value),
        None => reader.dict_get(frame.globals(reader)?, first)?,
    };
    for part in parts {
        let Some(owner) = at else { return Ok(false) };
        at = reader.attrs(owner)?.into_iter().find(|(name, _)| &**name == part).map(|(_, value)| value);
    }
    Ok(at == Some(object))
}

fn search(reader: &Reader<'_>, frame: &PyFrame, object: Addr) -> Read<Option<Text>> {
    let mut frontier: Vec<(Text, Addr)> = Vec::new();
    for (name, value) in frame.locals(reader)? {
        if value == object {
            return Ok(Some(name));
        }
        frontier.push((name, value));
    }
    let mentioned = frame.code.mentioned(reader)?;
    if let Ok(globals) = frame.globals(reader) {
        for name in &mentioned {
            if let Some(value) = reader.dict_get(globals, name)? {
                if value == object {
                    return Ok(Some(name.clone()));
                }
                frontier.push((name.clone(), value));
            }
        }
    }
    let mut looks = 0;
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::new();
        for (path, owner) in frontier {
            if !reader.kind_of(owner).is_ok_and(has_attributes) {
                continue;
            }
            looks += 1;
            if looks > MAX_LOOKS {
                return Ok(None);
            }
            let Ok(attributes) = reader.attrs(owner) else { continue };
            for (name, value) in attributes {
                reader.spend_looking(mentioned.len())?;
                if !mentioned.contains(&name) {
                    continue;
                }
                reader.spend_looking(path.len() + name.len())?;
                let path: Text = format!("{path}.{name}").into();
                if value == object {
                    return Ok(Some(reader.intern(&path)));
                }
                next.push((path, value));
            }
        }
        frontier = next;
    }
    Ok(None)
}

fn has_attributes(kind: Kind) -> bool {
    matches!(kind, Kind::Other | Kind::Task | Kind::Future)
}
