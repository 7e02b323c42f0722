"""The pytest plugin: when a test with an event loop exceeds its time, say what every task does, and what is wrong.

It needs no switching on; with ``ASYNC_TRACE=1`` it says where each task was created, too. The time is, of
these, the first that is set: the option ``--async-trace-timeout`` or ini value ``async_trace_timeout``; the
timeout of the test by the plugin pytest-timeout; pytest's own ``faulthandler_timeout``. What is printed goes
past pytest's capturing to the terminal, once per test, just before pytest-timeout ends the test. The test
itself is left alone.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

# How long to look: what does not move meanwhile counts as stuck.
_LOOK = 0.6
# The report is begun so many seconds before another plugin ends the test, or the process: a large program on a
# busy machine takes a while to look through.
_LEAD = 3.0

_WIDTH = 80

_OPTION = "async_trace_timeout"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option and the ini value."""
    text = "seconds after which a running test with an event loop is reported on (0: never)"
    group = parser.getgroup("async-trace")
    group.addoption("--async-trace-timeout", type=float, default=None, metavar="SECONDS", dest=_OPTION, help=text)
    parser.addini(_OPTION, text, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Keep a way to the terminal, before pytest begins to capture."""
    config.pluginmanager.register(_Plugin(config), "async-trace-reports")


class _Plugin:
    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.watch: _Watch | None = None
        self.sections: dict[str, str] = {}
        try:
            self.terminal: int | None = os.dup(sys.__stderr__.fileno())  # type: ignore[union-attr]
        except (AttributeError, OSError, ValueError):
            self.terminal = None
        # Of a worker of pytest-xdist nobody sees the terminal.
        if hasattr(config, "workerinput"):
            self.terminal = None

    def pytest_unconfigure(self) -> None:
        self.stop()
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        seconds = self.own_limit()
        if seconds is None and not self.config.pluginmanager.hasplugin("timeout"):
            seconds = _number(self.ini("faulthandler_timeout"))
        if seconds:
            self.start(item, seconds)
        yield
        self.stop()

    @pytest.hookimpl(optionalhook=True, hookwrapper=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> Iterator[None]:
        """Called by pytest-timeout when the time of a test begins."""
        limit = getattr(settings, "timeout", None)
        if limit and self.own_limit() is None:
            lead = min(_LEAD, 0.5 * limit)
            self.start(item, limit - lead, look=min(_LOOK, 0.3 * lead))
        yield

    @pytest.hookimpl(optionalhook=True, hookwrapper=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> Iterator[None]:
        """Called by pytest-timeout when the test is over."""
        if self.own_limit() is None:
            self.stop()
        yield

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        outcome: Any = yield
        text = self.sections.pop(item.nodeid, None)
        if text is not None:
            outcome.get_result().sections.append(("async-trace", text))

    def own_limit(self) -> float | None:
        given = self.config.getoption(_OPTION)
        return _number(self.ini(_OPTION) if given is None else given)

    def ini(self, name: str) -> Any:
        try:
            return self.config.getini(name)
        except (KeyError, ValueError):
            return None

    def start(self, item: pytest.Item, seconds: float, look: float = _LOOK) -> None:
        self.stop()
        self.watch = _Watch(self, item.nodeid, seconds, look)

    def stop(self) -> None:
        if self.watch is not None:
            self.watch.cancel()
            self.watch = None

    def show(self, test: str, text: str) -> None:
        if self.terminal is None:
            self.sections[test] = text
            return
        data = f"\n{text}\n".encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self.terminal, data) :]


class _Watch:
    """Reports on one test when its time is over, from a thread of its own."""

    def __init__(self, plugin: _Plugin, test: str, seconds: float, look: float) -> None:
        self._plugin, self._test, self._seconds, self._look = plugin, test, seconds, look
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="async-trace", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        if self._over.wait(max(self._seconds, 0.0)):
            return
        from . import _core

        try:
            # The tasks as they are now, in a moment; what is wrong with them takes a while.
            dump = _core.dump_text(False, False, _WIDTH).rstrip("\n")
            if self._over.is_set() or " 0 tasks" in dump.partition("\n\n")[0]:
                return
            _, found = _core.check(self._look, _WIDTH)
        except RuntimeError:
            # Without asyncio in the process there is nothing to say.
            return
        # What was found when the test was over already is not about the test.
        parts = [dump] if self._over.is_set() else [found.rstrip("\n"), "", dump]
        title = f" async-trace: {self._test} has been running for {self._seconds:.1f} s "
        self._plugin.show(self._test, "\n".join([title.center(_WIDTH, "="), *parts, "=" * _WIDTH]))


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
