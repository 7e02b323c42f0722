//! `async-trace image PID -o FILE`: records the memory that a dump of a process needs, so that it can be
//! dumped later, elsewhere, and without the interpreter: for bug reports, and for whoever comes to look
//! when the process has been restarted already.
//!
//! ```text
//! $ async-trace image 4711 -o hang.image
//! hang.image: 3 tasks of process 4711; it contains memory of the process
//! $ async-trace dump hang.image
//! ```

use crate::args::ImageArguments;
use crate::output::Output;
use crate::{Error, Outcome, Result};

pub(crate) fn run(arguments: &ImageArguments, output: &mut Output) -> Result<Outcome> {
    if arguments.pid == std::process::id() {
        return Err(Error::Own { pid: arguments.pid });
    }
    let path = &arguments.output;
    let snapshot = async_trace_remote::record_image(arguments.pid, path, &(&arguments.read).into())?;
    let (pid, tasks) = (snapshot.process.pid, snapshot.tasks.len());
    let tasks = if tasks == 1 { "1 task".to_owned() } else { format!("{tasks} tasks") };
    output.note(&format!("{}: {tasks} of process {pid}; it contains memory of the process", path.display()));
    for problem in &snapshot.problems {
        output.note(&format!("note: {}", problem.message));
    }
    Ok(Outcome::Done)
}
