//! `async-trace doctor PID`: what can be read of a process here, and what to do about the rest.

use crate::args::DoctorArguments;
use crate::output::Output;
use crate::{Outcome, Result};

pub(crate) fn run(_arguments: &DoctorArguments, _output: &mut Output) -> Result<Outcome> {
    Ok(Outcome::Done)
}
