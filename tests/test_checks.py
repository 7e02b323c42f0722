"""`check` says of each program in `examples/` what is wrong with it, names the line, and accuses nobody else.

All examples of one interpreter run at once, so that looking at each for a second does not take a second each.
"""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from rig import interpreters, target, tool
from test_examples import EXAMPLES, NAMES, SINCE, STAGED, start

# The checks that must speak, and a line of the program that the first of them must name.
SICK = {
    "blocked_loop_cpu": (["blocked-loop"], "return ADDRESS.fullmatch(address)"),
    "blocked_loop_sleep": (["blocked-loop"], "time.sleep(110)"),
    "blocked_loop_socket": (["blocked-loop"], "self.socket.recv(64)"),
    "cancel_swallowed": (["swallowed-cancel"], "await asyncio.shield(answer)"),
    "child_pipe_full": (["child-stuck"], "await child.wait()"),
    "child_stdin_open": (["child-stuck"], "return await child.stdout.read()"),
    "clients_gone": (["task-leak"], "writer.write(await news.get())"),
    "clients_left": (["task-leak"], "writer.write(await news.get())"),
    "consumer_died": (["queue-stuck"], "await jobs.put(amount)"),
    "deadlock_events": (["deadlock"], "await self.stocked.wait()"),
    "deadlock_lock_ring": (["deadlock"], "async with self.right"),
    "deadlock_self": (["deadlock"], "async with self._lock"),
    "deadlock_thread_lock": (["deadlock", "blocked-loop"], "with self._lock"),
    "deadlock_two_locks": (["deadlock"], "async with account.lock"),
    "executor_full": (["executor-starved"], "run_in_executor(None, read_template"),
    "feed_failed": (["never-wakes"], "seen.append(await inbox.get())"),
    "lost_wakeup": (["lost-wakeup"], "await device.connected.wait()"),
    "never_awaited": (["never-awaited"], "async def send_mail"),
    "never_set": (["never-wakes"], "await loaded.wait()"),
    "never_wakes": (["never-wakes"], "return await answer"),
    "orphan_holds_lock": (["stuck-task"], "async with lock"),
    "pool_exhausted": (["deadlock"], "await self._free.get()"),
    "queue_full": (["deadlock"], "await frontier.put("),
    "reader_died": (["never-wakes"], "return await answer"),
    "semaphore_exhausted": (["pool-exhausted"], "async with self._slots"),
    "shutdown_thread": (["shutdown-hang"], "more_mail.wait()"),
    "slow_call": (["slow-call"], "await asyncio.open_connection("),
    "task_flood": (["task-flood"], "async with self.lock"),
    "task_lost": (["never-wakes"], "return await answer"),
    "timeout_swallowed": (["lost-timeout"], "await asyncio.shield(answer)"),
}
# What is wrong with these cannot be seen on every interpreter, or only after a while: a peer may be slow to read.
UNDECIDED = {"task_leak", "streams"}


def check(program):
    result = tool.run("check", program.pid, "--json", "--for", "1s", *tool.UNHURRIED)
    assert result.returncode in (0, 1), result.stderr
    report = json.loads(result.stdout)
    assert result.returncode == bool(report["findings"])
    return report["findings"]


@pytest.fixture(scope="module")
def reports(interpreter, loop):
    """What is found in each example."""
    names = [name for name in NAMES if interpreter.at_least >= SINCE.get(name, (3, 9))]
    with ThreadPoolExecutor(4) as threads:
        programs = dict(zip(names, threads.map(lambda name: start(name, interpreter, loop), names)))
        try:
            return dict(zip(names, threads.map(check, programs.values())))
        finally:
            for program in programs.values():
                program.stop()


def lines_of(name, text):
    """The numbers of the lines with this text."""
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    return {number for number, line in enumerate(lines, 1) if text in line}


def test_names_what_is_wrong_and_where(reports):
    wrong = {}
    for name, (checks, text) in SICK.items():
        if name not in reports:
            continue
        found = [finding["check"] for finding in reports[name]]
        said = {line.get("line") for finding in reports[name][:1] for line in finding["evidence"]}
        if found != checks or not said & lines_of(name, text):
            wrong[name] = reports[name]
    assert wrong == {}


def test_accuses_nobody_else(reports):
    healthy = set(reports) - set(SICK) - UNDECIDED
    assert {name: reports[name] for name in healthy if reports[name]} == {}


def test_every_example_of_an_ailment_is_in_the_table():
    assert set(SICK) <= set(NAMES) and UNDECIDED <= set(NAMES)


def test_the_exit_code_follows_the_severity_that_is_asked_for(some_interpreter):
    with start("task_flood", some_interpreter, "asyncio") as program:
        options = ["check", program.pid, "--for", "1s"]
        assert tool.run(*options).returncode == 1
        assert tool.run(*options, "--fail-on", "error").returncode == 0
        assert tool.run(*options, "--only", "deadlock,blocked-loop").returncode == 0


def test_a_finding_has_what_the_contract_promises(some_interpreter):
    with start("deadlock_two_locks", some_interpreter, "asyncio") as program:
        result = tool.run("check", program.pid, "--json", "--for", "1s")
    report = json.loads(result.stdout)
    assert report["schema"] == 1 and report["pid"] == program.pid
    [finding] = report["findings"]
    assert set(finding) >= {"check", "severity", "certainty", "summary", "evidence", "try"}
    for line in finding["evidence"]:
        assert set(line) >= {"role", "text", "task", "function", "file", "line"}
    assert (finding["severity"], finding["certainty"]) == ("error", "proven")
    assert len(result.stdout.splitlines()) == 1


GENERATOR = """
import asyncio, _stage

async def rows():
    try:
        yield 1
    finally:
        _stage.ready_when_parked()
        await asyncio.Event().wait()

async def main():
    global left
    left = rows()
    async for row in left:
        break

_stage.run(main)
"""


def test_the_end_of_a_loop_that_a_generator_holds_up(interpreter, tmp_path):
    path = tmp_path / "export.py"
    path.write_text(GENERATOR)
    with target.Target([interpreter.path, path], env=STAGED) as program:
        [finding] = check(program)
    assert (finding["check"], finding["certainty"]) == ("shutdown-hang", "proven"), finding
    assert "shutdown_asyncgens() in task" in finding["summary"] and "in rows() at export.py:9" in finding["summary"]


BOTH_WRITE = """
import asyncio, _stage

async def send(reader, writer):
    writer.write(bytes(30_000_000))
    await writer.drain()
    await reader.readexactly(30_000_000)

async def main():
    server = await asyncio.start_server(send, "127.0.0.1", 0)
    send_to = asyncio.ensure_future(send(*await asyncio.open_connection(*server.sockets[0].getsockname())))
    _stage.ready_when_parked(also=lambda: len(asyncio.all_tasks()) == 3)
    await send_to

_stage.run(main)
"""


def test_two_ends_of_a_connection_that_only_write(interpreter, loop, tmp_path):
    path = tmp_path / "exchange.py"
    path.write_text(BOTH_WRITE)
    python = interpreters.with_uvloop(interpreter) if loop == "uvloop" else interpreter.path
    flags = ["--uvloop"] if loop == "uvloop" else []
    with target.Target([python, path, *flags], env=STAGED) as program:
        target.wait_idle(program)
        # The kernel moves some more for a while.
        found = []
        target.wait_until(lambda: found.extend(check(program)) or found, "both directions are full")
    [finding] = found
    assert (finding["check"], finding["certainty"]) == ("deadlock", "proven"), finding
    assert "each to the other over tcp socket" in finding["summary"]
    assert [line["line"] for line in finding["evidence"]] == [6, 6]


BLOCKED = """\
import asyncio, concurrent.futures, os, queue, select, socket, subprocess, sys, threading
import _stage

jobs = concurrent.futures.ThreadPoolExecutor(1)
left, right = socket.socketpair()

async def price():
    return 1

def keep(lock, has_it):
    lock.acquire()
    has_it.set()
    left.recv(1)

def block(how):
    if how == "poll":
        left.settimeout(100)
        return left.recv(1)
    if how == "child":
        return subprocess.run(["sleep", "100"], capture_output=True)
    if how == "queue":
        return queue.Queue().get(timeout=100)
    if how == "jobs":
        return concurrent.futures.wait([jobs.submit(left.recv, 1)])
    if how == "coroutine":
        return asyncio.run_coroutine_threadsafe(price(), asyncio.get_running_loop()).result()
    if how == "rlock":
        lock, has_it = threading.RLock(), threading.Event()
        threading.Thread(target=keep, args=(lock, has_it), name="keeper", daemon=True).start()
        has_it.wait()
        lock.acquire()

async def main():
    _stage.ready()
    block(sys.argv[1])

_stage.run(main)
"""
# What is said of each, and the line.
BLOCKED_BY = {
    "poll": ("waiting for unix socket", "return left.recv(1)"),
    "child": ("waiting for a child process", "subprocess.run("),
    "queue": ("waiting for another thread's queue", "queue.Queue().get("),
    "jobs": ("waiting for jobs of an executor", "concurrent.futures.wait("),
    "coroutine": ("which only this loop could run: deadlock", "run_coroutine_threadsafe("),
    "rlock": ("held by thread keeper in keep()", "        lock.acquire()"),
}


@pytest.mark.parametrize("how", BLOCKED_BY)
def test_what_a_loop_is_blocked_by_is_the_same_in_every_look(interpreter, tmp_path, how):
    """A system call that was interrupted by a look has another number in the next."""
    path = tmp_path / "blocks.py"
    path.write_text(BLOCKED)
    with target.Target([interpreter.path, path, how], env=STAGED) as program:
        first, second = check(program), check(program)
    words, text = BLOCKED_BY[how]
    line = next(number for number, line in enumerate(BLOCKED.splitlines(), 1) if text in line)
    for findings in (first, second):
        *others, blocked = findings
        assert blocked["check"] == "blocked-loop" and words in blocked["summary"], findings
        assert blocked["evidence"][0]["line"] == line, blocked
        assert [finding["check"] for finding in others] == (["deadlock"] if how == "coroutine" else []), findings


def test_what_cannot_be_read_is_an_error():
    assert tool.failure("check", 4194999)[0] == "no-such-process"


def test_one_process_more_or_less_does_not_matter_to_all(some_interpreter):
    """`--all` looks at every process it may, and names each."""
    with start("deadlock_self", some_interpreter, "asyncio") as sick, start("idle_server", some_interpreter, "asyncio") as well:
        result = tool.run("check", "--all", "--json", "--for", "1s")
    found = {report["pid"]: [f["check"] for f in report["findings"]] for report in map(json.loads, result.stdout.splitlines())}
    assert (found[sick.pid], found[well.pid]) == (["deadlock"], [])
    assert result.returncode == 1


