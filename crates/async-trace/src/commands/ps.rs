//! `async-trace ps`: the Python processes of this machine that run asyncio, a line each.

use crate::args::PsArguments;
use crate::output::Output;
use crate::{Outcome, Result};

pub(crate) fn run(_arguments: &PsArguments, _output: &mut Output) -> Result<Outcome> {
    Ok(Outcome::Done)
}
