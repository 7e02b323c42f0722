"""Each program in `examples/` prints what `examples/expected/` says, on every interpreter and loop.

`--update` writes the expected outputs anew; it needs all interpreters.
"""

import os
import re
import signal
from pathlib import Path

import pytest

from rig import golden, interpreters, target, tool

EXAMPLES = interpreters.ROOT / "examples"
EXPECTED = EXAMPLES / "expected"
# For programs elsewhere that are staged as the examples are.
STAGED = {"PYTHONPATH": str(EXAMPLES), "PYTHONDONTWRITEBYTECODE": "1"}

SINCE = {"task_group_tree": (3, 11), "cancel_swallowed": (3, 11), "eager_tasks": (3, 12), "timeout_swallowed": (3, 11)}

# How to know that a program that cannot say so itself has reached its state.
BLOCKED = {"blocked_loop_sleep", "blocked_loop_socket", "deadlock_thread_lock"}
COMPUTING = {"blocked_loop_cpu"}
SEVERAL_THREADS = {"shutdown_thread"}

# These change from one moment to the next: no two outputs are equal. Other tests read them.
CHANGING = {"busy_server", "task_flood"}

# So wide that no line is wrapped: where a line breaks would depend on how long a process id is.
WIDE = 300

# The demo of the Python package is tested with the package (tests/inside).
NAMES = sorted({path.stem for path in EXAMPLES.glob("[a-z]*.py")} - {"async_trace_demo"})

# A line of the standard library: another one in each patch release.
LIBRARY_LINE = re.compile(rf"\b((?!(?:_stage|{'|'.join(NAMES)})\.)\w+\.py):\d+")


def start(name, interpreter, loop):
    """Starts an example and waits until it is where it wants to be."""
    if interpreter.at_least < SINCE.get(name, (3, 9)):
        pytest.skip(f"{name} needs CPython {'.'.join(map(str, SINCE[name]))}")
    python = interpreters.with_uvloop(interpreter) if loop == "uvloop" else interpreter.path
    flags = ["--uvloop"] if loop == "uvloop" else []
    program = target.Target([python, EXAMPLES / f"{name}.py", *flags], cwd=EXAMPLES)
    try:
        if name in BLOCKED:
            target.wait_blocked(program)
        elif name in COMPUTING:
            target.wait_computing(program)
        elif name in SEVERAL_THREADS:
            target.wait_asleep(program)
        elif name not in CHANGING:
            target.wait_idle(program)
            target.wait_asleep(program)
    except BaseException:
        program.stop()
        raise
    return program


def normalised(text, program, interpreter):
    """The output without what differs from run to run: ids, ports, times, places, patch versions."""
    out = []
    prefix = os.path.dirname(os.path.dirname(os.path.realpath(interpreter.path)))
    text = text.replace(prefix, "PREFIX").replace(str(EXAMPLES), "EXAMPLES")
    text = re.sub(rf"\b{program.pid}\b", "PID", text)
    text = re.sub(r"\Aprocess PID: .*", "process PID: COMMAND", text)
    text = text.replace(f"Python {interpreter.version}", "Python VERSION")
    text = re.sub(r"\(thread (PID|\d+), (asyncio|uvloop)\)", "(thread TID, KIND)", text)
    for line in text.splitlines():
        line = re.sub(r"0x[0-9a-f]{6,}", "0xADDRESS", line)
        line = re.sub(r"\b(tid|pid|process) \d+", r"\1 N", line)
        line = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", line)
        line = re.sub(r"\b(fd|pipe) \d+", r"\1 N", line)
        line = re.sub(r"\b\d{4,}(?= \(fd)", "N", line)
        line = re.sub(r"(?<!\S)\(\d+\)", "(TID)", line)
        line = LIBRARY_LINE.sub(r"\1:N", line)
        line = re.sub(r"\b\d+(\.\d+)? ?(µs|us|ms|s|min|h)\b", "TIME", line)
        out.append(line.rstrip())
    return "".join(line + "\n" for line in out)


def output_of(name, interpreter, loop):
    """The normalised output of `dump` for one example."""
    with start(name, interpreter, loop) as program:
        return normalised(tool.dump(program.pid, columns=WIDE), program, interpreter)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CHANGING])
def test_example_prints_what_is_expected(name, interpreter, loop, request):
    if request.config.getoption("--update"):
        pytest.skip("the expected outputs are being written")
    text = (EXPECTED / f"{name}.txt").read_text()
    assert output_of(name, interpreter, loop) == golden.select(text, (interpreter.minor, loop))


@pytest.mark.minors("3.13")
@pytest.mark.parametrize("name", [name for name in NAMES if name not in CHANGING])
def test_80_columns_are_kept_and_say_the_same(name, interpreter):
    with start(name, interpreter, "asyncio") as program:
        narrow, wide = (tool.dump(program.pid, columns=columns) for columns in (80, WIDE))
    assert [line for line in narrow.splitlines() if len(line) > 80] == []

    def words(text):
        text = normalised(re.sub(r"\s*\n[\s│]*", "\n", text), program, interpreter)
        return re.sub(r"[\s│├└─┌┐▶]+", " ", text)

    assert words(narrow.partition("\n")[2]) == words(wide.partition("\n")[2])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in CHANGING])
def test_update_expected_output(name, request):
    if not request.config.getoption("--update"):
        pytest.skip("runs with --update only")
    found = interpreters.find()
    assert set(found) == set(interpreters.MINORS), "writing expected outputs needs every interpreter"
    outputs = {
        (minor, loop): output_of(name, found[minor], loop)
        for minor in interpreters.MINORS
        for loop in golden.LOOPS
        if found[minor].at_least >= SINCE.get(name, (3, 9))
    }
    EXPECTED.mkdir(exist_ok=True)
    (EXPECTED / f"{name}.txt").write_text(golden.merge(outputs))


def test_no_expected_output_without_an_example():
    assert {path.stem for path in EXPECTED.glob("*.txt")} == set(NAMES) - CHANGING


@pytest.mark.parametrize("path", [EXAMPLES / f"{name}.py" for name in NAMES], ids=NAMES)
def test_examples_are_short_and_say_what_they_show(path: Path):
    text = path.read_text()
    assert 15 <= len(text.splitlines()) <= 60
    assert text.startswith('"""')


@pytest.mark.minors("3.13")
@pytest.mark.parametrize("name", sorted(CHANGING))
def test_changing_examples_are_read_whole(name, interpreter, loop):
    with start(name, interpreter, loop) as program:
        snapshot = tool.snapshot(program.pid)
        assert snapshot["problems"] == []
        assert len(snapshot["tasks"]) > (20 if name == "busy_server" else 1000)
        assert "error" not in tool.dump(program.pid)


def test_an_example_ends_when_its_standard_input_closes():
    """Whoever starts one and goes away leaves nothing behind."""
    interpreter = next(iter(interpreters.find().values()))
    program = start("blocked_loop_cpu", interpreter, "asyncio")
    program.stop()
    assert program.process.returncode == -signal.SIGIO
