//! Which objects stand for which file descriptor: transports, their protocols, pending socket calls.

use super::walk::{Session, Walked};
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use async_trace_core::snapshot::ProblemCode;
use rustc_hash::FxHashMap;

/// How many descriptors of one loop are looked at.
pub(super) const MAX_FILES: usize = 1 << 17;
/// How much of a compiled protocol's own memory is searched for futures.
const MAX_PROTOCOL: u64 = 4096;
/// By which attributes an object of a library leads to its connection, and how far that is followed.
const LINKS: &[&str] = &[
    "_transport",
    "transport",
    "_protocol",
    "protocol",
    "_ssl_protocol",
    "_stream",
    "_raw_stream",
    "_network_stream",
    "_connection",
    "_conn",
    "connection",
    "_reader",
    "_writer",
    "_stream_reader",
    "_stream_writer",
    "transport_stream",
];
const MAX_LINKS: usize = 4;
/// How many protocols may be one behind the other: TLS in TLS, through a proxy, has two.
const MAX_LAYERS: u32 = 8;

/// Objects that stand for a descriptor.
#[derive(Default)]
pub(crate) struct Files {
    pub by_object: FxHashMap<Addr, i32>,
    /// The objects of a library along the chain of a wait, by what is waited for, innermost first.
    pub carriers: FxHashMap<Addr, Vec<Addr>>,
}

/// Reads what the loops watch; nothing is read where no wait could profit from it.
pub(crate) fn read_all(session: &Session<'_>, walked: &mut Walked) {
    use super::walk::On;
    let futures = walked
        .tasks
        .iter()
        .filter_map(|task| task.wait.as_ref())
        .any(|wait| matches!(wait.on, On::Future(_) | On::Resource(_) | On::Process(_)));
    if !futures {
        return;
    }
    for index in 0..walked.loops.len() {
        let (addr, is_uvloop) = (walked.loops[index].addr, &*walked.loops[index].kind == "uvloop.Loop");
        let result = if is_uvloop {
            uvloop(session.reader, addr, &mut walked.files)
        } else {
            selector(session.reader, addr, &mut walked.files)
        };
        if let Err(torn) = result {
            walked.problems.note(ProblemCode::LoopUnreadable, torn, None);
        }
    }
}

fn selector(reader: &Reader<'_>, event_loop: Addr, files: &mut Files) -> Read<()> {
    super::event_loop::watched(reader, event_loop, &mut |fd, handle| {
        add_handle(reader, handle, event_loop, fd, files)
    })?;
    // Transports that are paused are not watched, but the loop knows them.
    if let Some(transports) = reader.attr(event_loop, "_transports")?
        && let Some(data) = reader.attr(transports, "data")?
    {
        for (fd, reference) in reader.dict(data)?.into_iter().take(MAX_FILES) {
            if let Some(transport) = reader.weakref(reference)? {
                add_transport(reader, transport, i32::try_from(reader.int(fd)?).unwrap_or(-1), files)?;
            }
        }
    }
    Ok(())
}

/// Takes what a handle calls: a transport's method, or a loop's own with a future as argument.
fn add_handle(reader: &Reader<'_>, handle: Addr, event_loop: Addr, fd: i32, files: &mut Files) -> Read<()> {
    if let Some(callback) = reader.attr(handle, "_callback")?
        && reader.kind_of(callback)? == Kind::Method
    {
        let (_, owner) = reader.method(callback)?;
        if owner != event_loop {
            add_transport(reader, owner, fd, files)?;
        }
    }
    if let Some(args) = reader.attr(handle, "_args")?
        && reader.kind_of(args)? == Kind::Tuple
    {
        for arg in reader.tuple(args)? {
            if matches!(reader.kind_of(arg)?, Kind::Future) {
                files.by_object.insert(arg, fd);
            }
        }
    }
    Ok(())
}

/// Notes a transport and its protocol.
fn add_transport(reader: &Reader<'_>, transport: Addr, fd: i32, files: &mut Files) -> Read<()> {
    if files.by_object.insert(transport, fd).is_some() {
        return Ok(());
    }
    for name in ["_protocol", "_read_fut", "_sock_recv_fut"] {
        if let Some(protocol) = reader.not_none(reader.attr(transport, name)?)? {
            add_protocol(reader, protocol, fd, MAX_LAYERS, files)?;
        }
    }
    Ok(())
}

/// Notes a protocol; one that is compiled keeps its futures in fields without names.
fn add_protocol(reader: &Reader<'_>, protocol: Addr, fd: i32, layers: u32, files: &mut Files) -> Read<()> {
    files.by_object.insert(protocol, fd);
    let of = reader.type_of(protocol)?;
    let compiled = reader.bases(protocol)?.into_iter().find(|base| base.has_fields_of_c());
    if let Some(compiled) = compiled {
        let size = compiled.basicsize.min(of.basicsize).min(MAX_PROTOCOL);
        for word in reader.pointers(protocol + 16, size.saturating_sub(16) / 8)? {
            if reader.is_object(word) && reader.kind_of(word) == Ok(Kind::Future) {
                files.by_object.insert(word, fd);
            }
        }
    }
    // TLS: the application's protocol is behind the one that encrypts.
    for name in ["_app_protocol", "_app_transport"] {
        if let Some(inner) = reader.not_none(reader.attr(protocol, name)?)?
            && layers > 0
            && !files.by_object.contains_key(&inner)
        {
            add_protocol(reader, inner, fd, layers - 1, files)?;
        }
    }
    Ok(())
}

/// uvloop's transports by descriptor, from the loop's `WeakValueDictionary`, and its polls of plain
/// sockets, from a dict {fd: UVPoll}.
fn uvloop(reader: &Reader<'_>, event_loop: Addr, files: &mut Files) -> Read<()> {
    for word in reader.pointers(event_loop + 16, 32)? {
        if !reader.is_object(word) {
            continue;
        }
        if reader.kind_of(word)? == Kind::Dict {
            polls(reader, word, files)?;
            continue;
        }
        if reader.type_of(word)?.short_name() != "WeakValueDictionary" {
            continue;
        }
        let Some(data) = reader.attr(word, "data")? else { continue };
        for (fd, reference) in reader.dict(data)?.into_iter().take(MAX_FILES) {
            let Some(transport) = reader.weakref(reference)? else { continue };
            let fd = i32::try_from(reader.int(fd)?).unwrap_or(-1);
            if files.by_object.insert(transport, fd).is_some() {
                continue;
            }
            // UVStream: what it points to are handles of libuv, the loop, its protocol, futures.
            for field in reader.pointers(transport + 16, 40)? {
                if !reader.is_object(field) || field == event_loop {
                    continue;
                }
                let of = reader.type_of(field)?;
                if of.kind == Kind::Future {
                    files.by_object.insert(field, fd);
                } else if of.kind == Kind::Other && !of.name.starts_with("uvloop.loop.") && of.is_heap() {
                    add_protocol(reader, field, fd, MAX_LAYERS, files)?;
                }
            }
        }
    }
    Ok(())
}

/// The futures of `sock_recv` and its kin: arguments of the handles that a `UVPoll` will call.
fn polls(reader: &Reader<'_>, dict: Addr, files: &mut Files) -> Read<()> {
    let is = |object: Addr, name: &str| {
        reader.is_object(object) && reader.type_of(object).is_ok_and(|of| &*of.name == name)
    };
    for (fd, poll) in reader.dict(dict)?.into_iter().take(MAX_FILES) {
        if !is(poll, "uvloop.loop.UVPoll") {
            return Ok(());
        }
        let fd = i32::try_from(reader.int(fd)?).unwrap_or(-1);
        let size = reader.type_of(poll)?.basicsize.min(MAX_PROTOCOL);
        for handle in reader.pointers(poll + 16, size.saturating_sub(16) / 8)? {
            if !is(handle, "uvloop.loop.Handle") {
                continue;
            }
            // cdef class Handle: arg1 to arg4 from +72 on.
            for argument in reader.pointers(handle + 72, 4)? {
                if reader.is_object(argument) && reader.kind_of(argument) == Ok(Kind::Future) {
                    files.by_object.insert(argument, fd);
                }
            }
        }
    }
    Ok(())
}

impl Files {
    /// The descriptor that a wait is for: the future itself may be known, or an object of a library
    /// along the chain leads to a connection.
    pub(crate) fn find(&self, reader: &Reader<'_>, waited_for: Addr) -> Option<i32> {
        if let Some(fd) = self.by_object.get(&waited_for) {
            return Some(*fd);
        }
        let carriers = self.carriers.get(&waited_for)?;
        for carrier in carriers {
            let mut frontier = vec![*carrier];
            let mut seen = Vec::new();
            for _ in 0..MAX_LINKS {
                let mut next = Vec::new();
                for object in frontier {
                    if let Some(fd) = self.by_object.get(&object) {
                        return Some(*fd);
                    }
                    if seen.contains(&object) || seen.len() > 64 {
                        continue;
                    }
                    seen.push(object);
                    for name in LINKS {
                        if let Ok(Some(linked)) = reader.attr(object, name)
                            && reader.kind_of(linked) == Ok(Kind::Other)
                        {
                            next.push(linked);
                        }
                    }
                }
                frontier = next;
            }
        }
        None
    }
}
