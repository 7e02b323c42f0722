"""What the helpers say is the same on uvloop: a loop that is not written in Python, and makes futures of its own."""

import pytest
from test_check import DEADLOCK, assert_deadlock

SWITCHED = {"ASYNC_TRACE": "1"}


@pytest.fixture
def on_uvloop(execute, libraries, interpreter):
    """Runs a program whose last line, `run(main())`, is one on uvloop."""
    new = "def run(coroutine):\n    import asyncio, uvloop\n"
    if interpreter.at_least >= (3, 12):
        new += "    asyncio.run(coroutine, loop_factory=uvloop.new_event_loop)\n"
    else:
        new += "    uvloop.install()\n    asyncio.run(coroutine)\n"

    def run(source, **options):
        return execute(libraries, f"{source}\n{new}\nrun(main())\n", **{**SWITCHED, **options})

    return run


def test_the_path_across_tasks_and_threads(on_uvloop):
    done = on_uvloop("""
import asyncio
from async_trace.debug import debug_async_trace

def in_thread():
    debug_async_trace("in a thread")

async def my_handler():
    debug_async_trace("label")
    await asyncio.get_running_loop().run_in_executor(None, in_thread)

async def route_handler():
    await my_handler()

async def main():
    await asyncio.create_task(route_handler(), name="Task-42")
""")
    assert done.stdout == (
        "🔍 label\n"
        "↑ my_handler() at line 9 [app.py]\n"
        "  ↑ route_handler() at line 13 [app.py]\n"
        "    ↑ Task-42 created at line 16 [app.py]\n"
        "🔍 in a thread\n"
        "↑ in_thread() at line 6 [app.py]\n"
        "  ↑ my_handler() at line 10 [app.py] [EXECUTOR]\n"
        "    ↑ route_handler() at line 13 [app.py]\n"
        "      ↑ Task-42 created at line 16 [app.py]\n"
    )


def test_a_timeout(on_uvloop):
    done = on_uvloop("""
import asyncio
from async_trace.debug import debug_async_trace

async def call():
    await asyncio.get_running_loop().create_future()

async def main():
    try:
        await asyncio.wait_for(call(), 0.01)
    except asyncio.TimeoutError:
        debug_async_trace("too late")
""")
    assert "⏱ the await was cut off here:\n↑ call() at line 6 [app.py]\n" in done.stdout


def test_operations_and_counts(on_uvloop):
    done = on_uvloop("""
import asyncio
from async_trace.debug import configure, debug_before_await, log_task_info

configure(pending_after=0.05)

async def item():
    debug_before_await("slow query")
    await asyncio.sleep(0.3)

async def main():
    tasks = [asyncio.create_task(item()) for _ in range(100)]
    await asyncio.sleep(0.15)
    log_task_info()
    for task in tasks:
        task.cancel()
""")
    assert "⏳ slow query: pending for 0." in done.stdout
    assert "100 tasks (" in done.stdout and "created at line 12 [app.py]" in done.stdout


def test_what_is_lost(on_uvloop):
    done = on_uvloop("""
import asyncio, gc

import async_trace

async def fails():
    raise ValueError("lost")

async def forgotten():
    pass

async def main():
    forgotten()
    asyncio.create_task(fails())
    await asyncio.sleep(0)
    gc.collect()
""")
    assert "↑ forgotten() coroutine never awaited\n  ↑ main() at line 13 [app.py]\n" in done.stderr
    assert "Task exception was never retrieved" in done.stderr
    assert 'File "app.py", line 14, in main\n    asyncio.create_task(fails())\n' in done.stderr


def test_the_process_about_itself(on_uvloop):
    assert_deadlock(on_uvloop(DEADLOCK).stdout)
