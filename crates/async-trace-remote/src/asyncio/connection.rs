//! The client connection that a task serves, and whether the client has gone.
//!
//! A server's library runs a task for each connection or request, in a method of its protocol: the outermost
//! frame's `self` has the transport. A handler of `asyncio.start_server` gets a `StreamWriter`.

use super::chain::Node;
use super::walk::Session;
use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;
use async_trace_core::frame::Origin;
use async_trace_core::snapshot::Connection;

/// How many of a task's outermost frames may be those of the server's library.
const MAX_FRAMES: usize = 3;
/// How many of a handler's arguments are looked at.
const MAX_ARGUMENTS: usize = 4;
/// `UVHandle._handle`, after `PyObject` and the table of C methods; NULL when it is closed
/// (`uvloop/handles/handle.pxd`).
const UV_HANDLE: u64 = 24;

/// Reads it, and says which transport it is; nothing for a task that serves none, or where the library keeps it elsewhere.
pub(super) fn read(session: &Session<'_>, nodes: &[Node]) -> Option<(Connection, Addr)> {
    let reader = session.reader;
    for (depth, node) in nodes.iter().take(MAX_FRAMES).enumerate() {
        let Some(frame) = &node.frame else { continue };
        if session.places.origin(node.place) == Origin::Library {
            let Ok(Some(owner)) = frame.local(reader, "self") else { continue };
            if let Ok(Some((closed, transport))) = of_protocol(reader, owner) {
                return Some((Connection { closed, half_closed: false, file: None }, transport));
            }
            continue;
        }
        if depth > 0 {
            return None;
        }
        // Any other name is not worth to touch an object that many tasks may share.
        let arguments = frame.code.variables(reader).ok()?;
        let is_writer = |name: &str| name.contains("writer") || name == "w";
        let writer = arguments.iter().take(MAX_ARGUMENTS).find(|argument| is_writer(&argument.name))?;
        let writer = frame.local(reader, &writer.name).ok()??;
        let is_writer = &*reader.type_of(writer).ok()?.name == "StreamWriter";
        let transport = if is_writer { reader.attr(writer, "_transport").ok()?? } else { return None };
        // It may as well be one that the task has opened itself, until it is known to be of no use.
        let closed = is_closed(reader, transport) == Ok(Some(true));
        let of_server = is_of_server(reader, writer) == Ok(true);
        let half_closed = !closed && of_server && has_hung_up(reader, writer) == Ok(true);
        let connection = Connection { closed, half_closed, file: None };
        return (closed || of_server).then_some((connection, transport));
    }
    None
}

/// Whether a `StreamWriter` is one that a server has given to its handler.
fn is_of_server(reader: &Reader<'_>, writer: Addr) -> Read<bool> {
    let protocol = reader.need(writer, "_protocol")?;
    Ok(reader.not_none(reader.attr(protocol, "_client_connected_cb")?)?.is_some())
}

/// Whether the client of a server's `StreamWriter` sends no more: streams leave such a connection open.
fn has_hung_up(reader: &Reader<'_>, writer: Addr) -> Read<bool> {
    let Some(stream) = reader.not_none(reader.attr(writer, "_reader")?)? else { return Ok(false) };
    reader.truth(reader.need(stream, "_eof")?)
}

/// Whether the transport of a protocol, or of an object like one, is closed.
fn of_protocol(reader: &Reader<'_>, owner: Addr) -> Read<Option<(bool, Addr)>> {
    for name in ["transport", "_transport"] {
        let Some(transport) = reader.attr(owner, name)? else { continue };
        if reader.kind_of(transport)? != Kind::None {
            return Ok(is_closed(reader, transport)?.map(|closed| (closed, transport)));
        }
        // Protocols forget their transport in `connection_lost`, and have one before any task runs.
        let is_protocol = reader
            .bases(owner)?
            .iter()
            .any(|base| &*reader.full_type_name(base) == "asyncio.protocols.BaseProtocol");
        return Ok(is_protocol.then_some((true, transport)));
    }
    Ok(None)
}

/// Whether a transport is closed or closing; nothing for one that is not known.
fn is_closed(reader: &Reader<'_>, transport: Addr) -> Read<Option<bool>> {
    let of = reader.type_of(transport)?;
    if matches!(&*of.name, "uvloop.loop.TCPTransport" | "uvloop.loop.UnixTransport") {
        return reader.ptr(transport + UV_HANDLE).map(|handle| Some(handle.is_null()));
    }
    // `_SelectorTransport` has the first two, `_SSLProtocolTransport` the last.
    for name in ["_closing", "_conn_lost", "_closed"] {
        if let Some(value) = reader.attr(transport, name)?
            && matches!(reader.kind_of(value)?, Kind::Bool | Kind::Int)
        {
            if reader.truth(value)? {
                return Ok(Some(true));
            }
            if name != "_closing" {
                return Ok(Some(false));
            }
        }
    }
    Ok(None)
}
