//! `async-trace demo`.

use crate::args::DemoArguments;
use crate::output::Output;
use crate::{Outcome, Result};

pub(crate) fn run(_arguments: &DemoArguments, _output: &mut Output) -> Result<Outcome> {
    Ok(Outcome::Done)
}
