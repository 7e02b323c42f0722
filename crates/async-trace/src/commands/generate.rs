//! `async-trace generate …`: man pages, completions and the reference, from the one definition of the
//! command line. Hidden: it is for packagers and for the tests that keep `docs/cli.md` true.

use crate::args::{Arguments, GenerateArguments, Generated};
use crate::output::Output;
use crate::{Outcome, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::{self, Write};

pub(crate) fn run(arguments: &GenerateArguments, output: &mut Output) -> Result<Outcome> {
    output.data(|out| match arguments.what {
        Generated::Man => man(out),
        Generated::Markdown => markdown(out),
        Generated::Bash => completions(Shell::Bash, out),
        Generated::Zsh => completions(Shell::Zsh, out),
        Generated::Fish => completions(Shell::Fish, out),
    })?;
    Ok(Outcome::Done)
}

fn completions(shell: Shell, mut out: &mut dyn Write) -> io::Result<()> {
    clap_complete::generate(shell, &mut Arguments::command(), "async-trace", &mut out);
    Ok(())
}

/// One page for all commands: whoever looks for an option need not know which command has it.
fn man(mut out: &mut dyn Write) -> io::Result<()> {
    let mut command = Arguments::command();
    command.build();
    clap_mangen::Man::new(command.clone()).render(&mut out)?;
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        clap_mangen::Man::new(sub.clone().display_name(sub.get_name().to_owned())).render(&mut out)?;
    }
    Ok(())
}

fn markdown(out: &mut dyn Write) -> io::Result<()> {
    let mut command = Arguments::command().term_width(96);
    command.build();
    writeln!(out, "# Command line\n")?;
    writeln!(out, "<!-- Made by `async-trace generate markdown`; a test keeps it true. -->\n")?;
    block(out, &command.render_long_help().to_string())?;
    let hidden = |c: &&mut clap::Command| !c.is_hide_set() && c.get_name() != "help";
    for sub in command.get_subcommands_mut().filter(hidden) {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "\n## `async-trace {}`\n\n{about}.\n", sub.get_name())?;
        block(out, &sub.clone().term_width(96).render_help().to_string())?;
    }
    Ok(())
}

fn block(out: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(out, "```text")?;
    for line in text.trim_end().lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    writeln!(out, "```")
}
