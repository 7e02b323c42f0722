"""``--async-trace`` for programs that parse their command line with argparse, click or typer."""

from ._activate import FLAG, switch_on

__all__ = ["add_argument", "click_option"]


def add_argument(parser):
    """Add ``--async-trace`` to an ``argparse`` parser; parsing it switches tracing on.

    Returns the argument. Its value is True when the flag was given.
    """
    import argparse

    class Switch(argparse.Action):
        def __call__(self, parser, namespace, values, option_string=None):
            setattr(namespace, self.dest, True)
            switch_on()

    return parser.add_argument(
        FLAG, action=Switch, nargs=0, default=False, dest="async_trace", help="trace where tasks come from"
    )


def click_option():
    """A decorator that adds ``--async-trace`` to a click command; the flag switches tracing on.

    A typer application gets it through ``typer.main.get_command`` and click's ``params``.
    """
    import click

    def switch(_context, _option, value):
        if value:
            switch_on()

    return click.option(
        FLAG,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=switch,
        help="Trace where tasks come from.",
    )
