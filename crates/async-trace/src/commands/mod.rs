//! One file for each command. A command returns an outcome or an error; what it has to say goes
//! through [`Output`].

mod check;
mod demo;
mod diff;
mod doctor;
mod dump;
mod generate;
mod image;
mod look;
mod page;
mod ps;
mod record;
mod recorded;
mod replay;
mod report;
mod schema;
mod top;

use crate::args::Command;
use crate::output::Output;
use crate::{Outcome, Result};

pub(crate) fn run(command: &Command, output: &mut Output) -> Result<Outcome> {
    match command {
        Command::Dump(arguments) => dump::run(arguments, output),
        Command::Image(arguments) => image::run(arguments, output),
        Command::Check(arguments) => check::run(arguments, output),
        Command::Record(arguments) => record::run(arguments, output),
        Command::Replay(arguments) => replay::run(arguments, output),
        Command::Report(arguments) => report::run(arguments, output),
        Command::Diff(arguments) => diff::run(arguments, output),
        Command::Top(arguments) => top::run(arguments, output),
        Command::Ps(arguments) => ps::run(arguments, output),
        Command::Doctor(arguments) => doctor::run(arguments, output),
        Command::Demo(arguments) => demo::run(arguments, output),
        Command::Schema(arguments) => schema::run(arguments, output),
        Command::Generate(arguments) => generate::run(arguments, output),
    }
}
