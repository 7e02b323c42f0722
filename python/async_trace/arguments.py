"""``--async-trace`` for programs that parse their command line with argparse, click or typer."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Callable

from ._activate import FLAG, switch_on

__all__ = ["add_argument", "click_option"]


class _Switch(argparse.Action):
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, True)
        switch_on()


def add_argument(parser: argparse.ArgumentParser) -> argparse.Action:
    """Add ``--async-trace`` to an ``argparse`` parser; parsing it switches tracing on.

    Returns the argument. Its value is True when the flag was given.
    """
    return parser.add_argument(
        FLAG, action=_Switch, nargs=0, default=False, dest="async_trace", help="trace where tasks come from"
    )


def click_option() -> Callable[[Any], Any]:
    """A decorator that adds ``--async-trace`` to a click command; the flag switches tracing on.

    A typer application gets it through ``typer.main.get_command`` and click's ``params``.
    """
    import click  # type: ignore[import-not-found,unused-ignore]

    def switch(_context: Any, _option: Any, value: bool) -> None:
        if value:
            switch_on()

    option: Callable[[Any], Any] = click.option(
        FLAG,
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=switch,
        help="Trace where tasks come from.",
    )
    return option
