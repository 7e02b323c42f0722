"""The checks and the dump of a process about itself: what `async-trace check` says from outside, and what tracing adds."""

import json

DEADLOCK = """
import asyncio, json
import async_trace

async def transfer(own, other):
    async with own:
        await asyncio.sleep(0)
        async with other:
            pass

async def main():
    a, b = asyncio.Lock(), asyncio.Lock()
    tasks = [asyncio.create_task(transfer(a, b), name="alice"), asyncio.create_task(transfer(b, a), name="bob")]
    await asyncio.sleep(0.01)
    found = await asyncio.get_running_loop().run_in_executor(None, async_trace.check, 0.5)
    print(json.dumps(found))
    print(found)
    for task in tasks:
        task.cancel()
"""


def test_a_deadlock(execute, interpreter):
    assert_deadlock(execute(interpreter.path, DEADLOCK + "asyncio.run(main())\n").stdout)


def assert_deadlock(out):
    """What `DEADLOCK` has to print."""
    data, _, text = out.partition("\n")
    [finding] = json.loads(data)
    assert (finding["check"], finding["certainty"], finding["severity"]) == ("deadlock", "proven", "error")
    said = {(line["task"]["name"], line["line"]) for line in finding["evidence"] if line.get("task")}
    assert {("alice", 8), ("bob", 8)} <= said
    assert "ERROR deadlock (proven)" in text


FLOOD = """
import asyncio, json
import async_trace

async def store(lock, item):
    async with lock:
        await asyncio.sleep(60)

async def spawn(lock):
    return [asyncio.create_task(store(lock, item)) for item in range(1500)]

async def main():
    tasks = await spawn(asyncio.Lock())
    await asyncio.sleep(0.01)
    found = await asyncio.get_running_loop().run_in_executor(None, async_trace.check, SECONDS)
    print(json.dumps(found))
    for task in tasks:
        task.cancel()

asyncio.run(main())
"""


def test_too_many_tasks_with_the_line_that_creates_them(execute, interpreter):
    [finding] = json.loads(execute(interpreter.path, FLOOD.replace("SECONDS", "0")).stdout)
    assert finding["check"] == "task-flood"
    created = [(line["function"], line["line"]) for line in finding["evidence"] if line["role"] == "created"]
    assert [line for _, line in created] == [10]
    assert len(created) == 1 and finding["evidence"][0]["count"] == 1499


HEALTHY = """
import asyncio, json
import async_trace

async def consume(jobs):
    while True:
        await jobs.get()

async def main():
    tasks = [asyncio.create_task(consume(asyncio.Queue())), asyncio.create_task(asyncio.sleep(60))]
    print(json.dumps(await asyncio.get_running_loop().run_in_executor(None, async_trace.check, 0.5)))
    snapshot = async_trace.snapshot()
    print(snapshot["schema"], sorted(task["name"] for task in snapshot["tasks"]))
    async_trace.dump()
    for task in tasks:
        task.cancel()

asyncio.run(main())
"""


def test_a_healthy_program_and_its_dump(execute, interpreter):
    done = execute(interpreter.path, HEALTHY)
    assert done.stdout == "[]\n1 ['Task-1', 'Task-2', 'Task-3']\n"
    assert "  consume  app.py:7\n" in done.stderr and "waits for an item from Queue jobs" in done.stderr


def test_a_time_below_zero_is_refused(execute, interpreter):
    done = execute(interpreter.path, "import async_trace\nasync_trace.check(-1)\n", check=False)
    assert "ValueError" in done.stderr and done.returncode == 1
