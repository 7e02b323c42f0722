//! Tasks that an exception has ended, and nobody has looked at it: what they were to do nobody may do now.

use super::task;
use super::walk::Session;
use crate::cpython::frame::Frame as PyFrame;
use crate::cpython::object::Read;
use crate::cpython::references;
use crate::memory::addr::Addr;
use async_trace_core::frame::{FrameKind, Origin};
use async_trace_core::snapshot::{FailedTask, Failure};

/// Whoever lets more of them fail has seen some.
const MAX: usize = 1000;

/// Such a task.
pub(crate) struct Failed {
    pub exception: Addr,
    pub failure: Failure,
    /// The frames that the exception has passed, outermost first; their variables are as they were then.
    pub frames: Vec<PyFrame>,
}

/// Describes those of the tasks that have failed so. The target may run on: one that cannot be read is no more.
pub(crate) fn read(session: &Session<'_>, tasks: &[Addr]) -> Vec<Failed> {
    let failed = |task: &Addr| of_task(session, *task).ok().flatten();
    tasks.iter().take(MAX).filter_map(failed).collect()
}

fn of_task(session: &Session<'_>, task: Addr) -> Read<Option<Failed>> {
    let reader = session.reader;
    let Some(exception) = task::unseen_exception(reader, task)? else { return Ok(None) };
    let Some(mut failure) = failure(session, exception)? else { return Ok(None) };
    let frames: Vec<PyFrame> =
        references::traceback(reader, exception)?.into_iter().map(|(frame, _)| frame).collect();
    let is_own = |frame: &&PyFrame| session.places.origin_of(&frame.code.file) == Origin::Own;
    let function = frames.iter().find(is_own).map_or(&failure.at.function, |frame| &frame.code.name);
    failure.task =
        Some(FailedTask { name: task::name(reader, task)?, function: function.clone(), created: None });
    Ok(Some(Failed { exception, failure, frames }))
}

/// Where an exception was raised in the program's own code; nothing for one that has not passed any of it.
pub(crate) fn failure(session: &Session<'_>, exception: Addr) -> Read<Option<Failure>> {
    let reader = session.reader;
    let mut innermost = None;
    for (frame, lasti) in references::traceback(reader, exception)? {
        let places = &session.places;
        let place = places.of_code(reader, &frame.code, lasti, FrameKind::Function, None);
        if places.origin(place) == Origin::Own {
            innermost = places.frame(place);
        }
    }
    let error = reader.full_type_name(&*reader.type_of(exception)?);
    Ok(innermost.map(|at| Failure { error, at, task: None }))
}
