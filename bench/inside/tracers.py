"""Tracers that can be switched while a loop runs. `load(mode)` imports one; it begins switched off."""

import asyncio
import importlib.util
import os
import socket


class _Tracer:
    def __init__(self, on, off):
        self.on = on
        self.off = off
        off()


def _plain():
    return _Tracer(lambda: None, lambda: None)


def _async_trace():
    import async_trace

    return _Tracer(async_trace.enable_tracing, async_trace.disable_tracing)


def original():
    """async-trace 0.1.2, from the directory ASYNC_TRACE_012, under another name."""
    path = os.path.join(os.environ["ASYNC_TRACE_012"], "async_trace", "__init__.py")
    spec = importlib.util.spec_from_file_location(
        "async_trace_012", path, submodule_search_locations=[os.path.dirname(path)]
    )
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _original():
    module = original()
    return _Tracer(module.enable_tracing, module.disable_tracing)


def _debug():
    loop = asyncio.get_running_loop()
    loop.slow_callback_duration = 1e9
    return _Tracer(lambda: loop.set_debug(True), lambda: loop.set_debug(False))


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _aiomonitor():
    import aiomonitor

    loop = asyncio.get_running_loop()
    ports = [_free_port() for _ in range(2)]
    monitor = aiomonitor.Monitor(
        loop, hook_task_factory=True, console_enabled=False, termui_port=ports[0], webui_port=ports[1]
    )
    # Its tasks report their end to the thread that this starts.
    monitor.start()
    factory = loop.get_task_factory()
    return _Tracer(lambda: loop.set_task_factory(factory), lambda: loop.set_task_factory(None))


MODES = {
    "plain": _plain,
    "async_trace": _async_trace,
    "async_trace_0.1.2": _original,
    "debug": _debug,
    "aiomonitor": _aiomonitor,
}


def load(mode):
    """The tracer of that name, switched off. Called inside of the running loop."""
    return MODES[mode]()
