//! Variables that a function has taken from the one around it.

use crate::cpython::object::{Kind, Read, Reader};
use crate::memory::addr::Addr;

/// The free variable `name` of a function object.
pub(crate) fn variable(reader: &Reader<'_>, function: Addr, name: &str) -> Read<Option<Addr>> {
    let Some(closure) = reader.ptr(function + reader.layout.function.closure)?.non_null() else {
        return Ok(None);
    };
    let code = reader.code(reader.ptr(function + reader.layout.function.code)?)?;
    let variables = code.variables(reader)?;
    let free = variables.iter().filter(|variable| variable.free);
    for (variable, cell) in free.zip(reader.tuple(closure)?) {
        if &*variable.name == name && reader.kind_of(cell)? == Kind::Cell {
            return Ok(reader.cell(cell)?.non_null());
        }
    }
    Ok(None)
}

/// All that a function object has taken from the one around it.
pub(crate) fn contents(reader: &Reader<'_>, function: Addr) -> Read<Vec<Addr>> {
    let Some(closure) = reader.ptr(function + reader.layout.function.closure)?.non_null() else {
        return Ok(Vec::new());
    };
    let mut out = Vec::new();
    for cell in reader.tuple(closure)? {
        if reader.kind_of(cell)? == Kind::Cell {
            out.extend(reader.cell(cell)?.non_null());
        }
    }
    Ok(out)
}
