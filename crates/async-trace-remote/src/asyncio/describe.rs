//! A value in a few words: what it is and how large, never the result of its own code.

use crate::cpython::object::{Kind, Reader};
use crate::memory::addr::Addr;
use async_trace_core::text::Text;

const MAX_SHOWN: u64 = 80;

/// Describes an object.
pub(crate) fn value(reader: &Reader<'_>, object: Addr) -> Text {
    let described = match reader.kind_of(object) {
        Ok(Kind::None) => Some("None".to_owned()),
        Ok(Kind::Bool) => reader.truth(object).ok().map(|b| if b { "True".into() } else { "False".into() }),
        Ok(Kind::Int) => Some(reader.int(object).map_or("a large int".into(), |n| n.to_string())),
        Ok(Kind::Float) => reader.float(object).ok().map(|x| x.to_string()),
        Ok(Kind::Str) => reader.text_up_to(object, MAX_SHOWN).ok().map(|shown| {
            let more = if reader.size(object).is_ok_and(|n| n <= MAX_SHOWN) { "" } else { "…" };
            format!("'{shown}{more}'")
        }),
        Ok(Kind::Bytes) => reader.size(object).ok().map(|n| format!("<{n} bytes>")),
        Ok(kind @ (Kind::Tuple | Kind::List | Kind::Deque)) => {
            let what = match kind {
                Kind::Tuple => "tuple",
                Kind::List => "list",
                _ => "deque",
            };
            reader.size(object).ok().map(|n| format!("<{what} of {n}>"))
        }
        Ok(Kind::Set) => reader.set_len(object).ok().map(|n| format!("<set of {n}>")),
        Ok(Kind::Dict) => reader.dict_len(object).ok().map(|n| format!("<dict of {n}>")),
        Ok(Kind::Function) => reader.function_qualname(object).ok().map(|name| format!("<function {name}>")),
        Ok(_) => reader.type_of(object).ok().map(|of| format!("<{}>", reader.full_type_name(&of))),
        Err(_) => None,
    };
    reader.intern(&described.unwrap_or_else(|| "<unreadable>".into()))
}
