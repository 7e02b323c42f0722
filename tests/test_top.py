"""`async-trace top` on real processes in a real terminal."""

import json
import os
import re
import signal
from pathlib import Path

import pytest

from rig import target, terminal, tool
from test_examples import start

COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|4[0-7]|38;5;\d+|48;5;\d+)m")
TARGETS = Path(__file__).parent / "targets"


@pytest.fixture(scope="module", autouse=True)
def tmux_is_there():
    terminal.needs_tmux()


def view(term, *command):
    """Starts the tool in a terminal whose settings were noted, with something on the screen to come back to."""
    term.command("stty -a > before; echo what stood here is $((40 + 2))")
    term.wait_for("what stood here is 42")
    term.command(tool.binary(), *command)


def top(term, *args):
    view(term, "top", *args, *tool.UNHURRIED)


def assert_restored(term, code=0):
    """The shell has its terminal back as it was."""
    term.wait_for_shell()
    term.command("echo the code is $?")
    screen = term.wait_for(f"the code is {code}")
    assert "what stood here is 42" in screen
    assert term.modes() == {"alternate": False, "cursor": True, "mouse": False}
    term.command("stty -a > after; echo noted")
    term.wait_for("\nnoted")
    before, after = (Path(term.directory.name, name).read_text() for name in ("before", "after"))
    assert before == after
    return screen


@pytest.mark.minors("3.11", "3.14")
def test_a_deadlock_can_be_followed_to_its_lock(interpreter):
    with start("deadlock_two_locks", interpreter, "asyncio") as program, terminal.Terminal() as term:
        top(term, program.pid)
        screen = term.wait_for("findings: 1 error", "deadlock (proven)", "4 tasks in 3 groups by stack")
        assert f"process {program.pid}: " in screen and f"Python {interpreter.version}, 4 tasks" in screen
        assert re.search(r"MainThread +idle", screen)
        assert all(len(line) <= 80 for line in screen.splitlines())
        assert term.modes()["alternate"] and term.modes()["mouse"]

        term.keys("Tab", "Enter")
        term.wait_for("finding: deadlock", "from here to")
        term.keys("NPage", "NPage")
        term.wait_for("try: take these locks in the same order everywhere")
        term.keys("Enter")
        screen = term.wait_for("task alice-pays-bob, waits", "async with account.lock:")
        assert "held by task bob-pays-alice" in screen
        term.keys("Enter")
        screen = term.wait_for("type asyncio.locks.Lock", "held by task bob-pays-alice at deadlock_two_locks.py:22")
        assert "2 tasks wait for it" in screen
        term.keys("Escape", "Escape", "Escape")
        term.wait_for("findings: 1 error")

        term.keys("Tab", "/")
        term.type("statement")
        term.wait_for("filter: statement", "1 task in 1 group")
        term.keys("Enter", "g")
        term.wait_for("by creation site", "with `statement`")
        term.keys("Escape", "s")
        term.wait_for("4 tasks in 3 groups", "oldest first")
        term.keys("?")
        term.wait_for("keys (any key closes this)")
        term.keys("Escape", "q")
        assert_restored(term)


def test_a_blocked_loop_and_its_threads(some_interpreter):
    with start("blocked_loop_sleep", some_interpreter, "asyncio") as program, terminal.Terminal() as term:
        top(term, program.pid, "--no-mouse")
        term.wait_for("blocked-loop (proven)", "BUSY", "running")
        assert not term.modes()["mouse"]
        term.keys("t")
        term.wait_for("loops and threads", "charge_card", "time.sleep(")
        term.keys("q")
        assert_restored(term)


def test_a_leak_shows_as_check_tells_it(some_interpreter):
    with start("task_leak", some_interpreter, "asyncio") as program, terminal.Terminal() as term:
        found = json.loads(tool.run("check", program.pid, "--json", *tool.UNHURRIED).stdout)["findings"]
        top(term, program.pid)
        term.wait_for("    200  waiting ", "send_updates", *(f"{f['check']} ({f['certainty']})" for f in found))
        term.keys("q")
        assert_restored(term)


def test_a_healthy_server_resized_paused_and_saved(some_interpreter):
    with start("busy_server", some_interpreter, "asyncio") as program, terminal.Terminal() as term:
        top(term, program.pid, "--interval", "200ms")
        term.wait_for("findings: none", "look 3")
        term.resize(130, 40)
        term.wait_for("busy_server.py:", "look 9")
        assert max(map(len, term.screen().splitlines())) == 130
        term.resize(50, 12)
        term.wait_for("process", "findings")
        term.resize(80, 24)
        term.keys("p")
        shown = term.wait_for("PAUSED at look", "newer looks")
        number = re.search(r"PAUSED at look ([\d,]+)", shown)[1]
        term.keys("w")
        saved = re.search(r"written to (\S+\.json)", term.wait_for("written to async-trace-"))[1]
        snapshot = json.loads(Path(term.directory.name, saved).read_text())
        assert saved.startswith(f"async-trace-{program.pid}-")
        assert (snapshot["schema"], snapshot["process"]["pid"]) == (1, program.pid)
        assert f"{len([t for t in snapshot['tasks'] if t['state'] != 'done'])} tasks in" in shown
        assert f"PAUSED at look {number}" in term.screen()
        term.keys("Space")
        target.wait_until(lambda: "PAUSED" not in term.screen(), "it goes on")
        term.keys("C-c")
        assert_restored(term)


def test_no_colour_and_ascii(some_interpreter):
    with start("deadlock_two_locks", some_interpreter, "asyncio") as program:
        with terminal.Terminal() as term:
            top(term, program.pid)
            term.wait_for("deadlock (proven)")
            assert re.search(COLOUR, term.screen("-e"))
            term.keys("q")
        for option, env in [("--color never --ascii", {}), ("--ascii", {"NO_COLOR": "1"})]:
            with terminal.Terminal(env=env) as term:
                top(term, program.pid, option)
                term.wait_for("ERROR   deadlock (proven)", "> ")
                assert not re.search(COLOUR, term.screen("-e"))
                assert term.screen().isascii()
                term.keys("q")
                assert_restored(term)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda s: s.name)
def test_signals_give_the_terminal_back(some_interpreter, number):
    with start("idle_server", some_interpreter, "asyncio") as program, terminal.Terminal() as term:
        top(term, program.pid)
        term.wait_for("findings: none")
        os.kill(term.child(), number)
        assert_restored(term)


def test_it_can_be_suspended(some_interpreter):
    with start("idle_server", some_interpreter, "asyncio") as program, terminal.Terminal() as term:
        top(term, program.pid)
        term.wait_for("findings: none")
        term.keys("C-z")
        target.wait_until(lambda: not term.modes()["alternate"], "it is suspended")
        term.command("echo $((1 + 1)) shells")
        term.wait_for("2 shells", "what stood here is 42")
        term.command("fg")
        term.wait_for("findings: none")
        term.keys("q")
        target.wait_until(lambda: not term.modes()["alternate"], "it has ended")


def test_the_last_state_stays_when_the_target_is_killed(some_interpreter):
    with start("deadlock_two_locks", some_interpreter, "asyncio") as program, terminal.Terminal() as term:
        top(term, program.pid)
        term.wait_for("deadlock (proven)")
        os.kill(program.pid, signal.SIGKILL)
        term.wait_for(f"process {program.pid} has ended", "ENDED", "deadlock (proven)", "withdraw")
        term.keys("Enter", "Enter")
        term.wait_for("-pays-", "from here to")
        term.keys("q")
        assert_restored(term)


def test_several_processes(some_interpreter):
    with start("deadlock_two_locks", some_interpreter, "asyncio") as one, start("idle_server", some_interpreter, "asyncio") as two:
        with terminal.Terminal() as term:
            top(term, one.pid, two.pid)
            screen = term.wait_for("2 processes", "1 error", "none")
            assert f"{one.pid} " in screen and f"{two.pid} " in screen
            term.keys("Enter")
            term.wait_for(f"1 of 2: process {one.pid}", "deadlock")
            term.keys("]")
            term.wait_for(f"2 of 2: process {two.pid}", "findings: none")
            term.keys("Escape")
            term.wait_for("2 processes")
            term.keys("q")
            assert_restored(term)


def test_workers_that_come_later_are_shown(some_interpreter):
    """Of a pre-fork server all processes that run asyncio are shown, and new ones as they start."""
    with target.Target([some_interpreter.path, TARGETS / "prefork.py"]) as server, terminal.Terminal() as term:
        top(term, "--workers", server.pid)
        term.wait_for("2 processes")
        server.process.stdin.write(b"one more\n")
        server.process.stdin.flush()
        term.wait_for("3 processes")
        term.keys("q")
        assert_restored(term)


def test_a_terminal_is_needed(some_interpreter):
    with start("idle_server", some_interpreter, "asyncio") as program:
        code, text = tool.failure("top", program.pid)
        assert code == "no-terminal"
        assert "async-trace dump PID" in text and "async-trace check PID" in text


def test_what_cannot_be_read_is_said_before_the_screen_is_taken(some_interpreter):
    with terminal.Terminal() as term:
        top(term, 4194303)
        term.wait_for("error: there is no process 4194303 [no-such-process]", "hint:")
        assert_restored(term, code=2)


def test_a_recording_is_replayed(some_interpreter, tmp_path):
    path = tmp_path / "bank.recording"
    with start("deadlock_two_locks", some_interpreter, "asyncio") as program:
        assert tool.run("record", program.pid, "-d", "2s", "-o", path).returncode == 0
    with terminal.Terminal() as term:
        view(term, "replay", path, "--interval", "200ms")
        term.wait_for("deadlock (proven)", "4 tasks in 3 groups")
        term.wait_for("the recording ends here")
        term.keys("q")
        assert_restored(term)


def test_ends_when_its_terminal_is_gone(some_interpreter):
    with start("idle_server", some_interpreter, "asyncio") as program:
        with terminal.Terminal() as term:
            top(term, program.pid)
            term.wait_for("tasks in")
            assert len(tops(program.pid)) == 1
        target.wait_until(lambda: tops(program.pid) == [], "it has ended")


def tops(pid):
    """The processes that watch this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[1:3] == [b"top", str(pid).encode()]:
            found.append(int(path.parent.name))
    return found
