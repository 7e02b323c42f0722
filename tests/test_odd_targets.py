"""Processes that are hard to read, and still are: stopped, traced, moved, embedded, deleted, hostile."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rig import embedding, interpreters, target, tool

TARGETS = Path(__file__).parent / "targets"
PARKED = TARGETS / "parked.py"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def names(snapshot):
    return sorted(task["name"] for task in snapshot["tasks"] if task["name"].startswith("parked-"))


def is_read(pid):
    """The three parked tasks are read whole."""
    snapshot = tool.snapshot(pid)
    assert names(snapshot) == ["parked-0", "parked-1", "parked-2"]
    assert snapshot["problems"] == []
    for task in snapshot["tasks"]:
        if task["name"].startswith("parked-"):
            assert [frame["function"] for frame in task["chain"]] == ["park", "Event.wait"]
    return snapshot


def test_a_stopped_process_is_read_and_stays_stopped(interpreter):
    with target.Target([interpreter.path, PARKED]) as program:
        os.kill(program.pid, signal.SIGSTOP)
        target.wait_until(lambda: target.thread_state(program.pid) == "T", "it is stopped")
        snapshot = is_read(program.pid)
        assert snapshot["capture"]["consistency"] == "still"
        # It goes back by itself, as soon as the kernel gives it a processor for that.
        target.wait_until(lambda: target.thread_state(program.pid) == "T", "it is stopped again")
        os.kill(program.pid, signal.SIGCONT)
        target.wait_until(lambda: target.thread_state(program.pid) == "S", "it goes on")
        assert is_read(program.pid)["capture"]["consistency"] == "paused"


def test_a_process_under_a_debugger_is_read_without_a_pause(some_interpreter):
    with target.Target([some_interpreter.path, PARKED]) as program:
        with target.Target([sys.executable, TARGETS / "tracer.py", program.pid]) as tracer:
            snapshot = tool.snapshot(program.pid)
            assert names(snapshot) == ["parked-0", "parked-1", "parked-2"]
            assert snapshot["capture"]["consistency"] == "unpaused"
            assert [problem["code"] for problem in snapshot["problems"]] == ["pause_refused"]
            assert f"(process {tracer.pid}) traces it already" in snapshot["problems"][0]["message"]
        is_read(program.pid)


def test_a_paused_process_goes_on_when_the_tool_is_killed(some_interpreter):
    with target.Target([some_interpreter.path, PARKED, 20000]) as program:
        reader = subprocess.Popen([tool.binary(), "dump", str(program.pid), "--json"], stdout=subprocess.DEVNULL)
        try:
            target.wait_until(
                lambda: target.thread_state(program.pid) == "t" or reader.poll() is not None, "the tool has paused it"
            )
        finally:
            reader.kill()
            reader.wait()
        target.wait_until(lambda: target.thread_state(program.pid) == "S", "it goes on")


def test_a_process_in_a_virtual_environment_is_read(interpreter):
    with target.Target([interpreters.with_uvloop(interpreter), PARKED]) as program:
        is_read(program.pid)


@ROOT
@pytest.mark.minors("3.9", "3.11", "3.14")
def test_a_process_in_another_mount_namespace_is_read(interpreter, tmp_path):
    """Neither its interpreter nor its sources exist under these names here."""
    prefix = Path(interpreter.path).parents[1]
    shutil.copy(PARKED, tmp_path / "app.py")
    script = 'mount --bind "$1" /mnt && mount --bind "$2" /srv && exec "/mnt/bin/$3" /srv/app.py'
    argv = ["unshare", "-m", "sh", "-ec", script, "-", prefix, tmp_path, Path(interpreter.path).name]
    with target.Target(argv) as program:
        snapshot = is_read(program.pid)
        (chain,) = {task["chain"][0]["file"] for task in snapshot["tasks"] if task["name"] == "parked-0"}
        assert chain == "/srv/app.py"


@ROOT
@pytest.mark.minors("3.9", "3.11", "3.14")
def test_a_process_in_a_chroot_is_read(interpreter, tmp_path):
    prefix = Path(interpreter.path).parents[1]
    root, app = tmp_path / "root", tmp_path / "app"
    root.mkdir()
    app.mkdir()
    shutil.copy(PARKED, app / "app.py")
    script = (
        'mount --rbind / "$1" && mount --bind "$2" "$1/mnt" && mount --bind "$3" "$1/srv" &&'
        ' exec chroot "$1" "/mnt/bin/$4" /srv/app.py'
    )
    argv = ["unshare", "-m", "sh", "-ec", script, "-", root, prefix, app, Path(interpreter.path).name]
    with target.Target(argv) as program:
        is_read(program.pid)


def test_a_process_whose_executable_was_deleted_is_read(interpreter, tmp_path):
    """As after an upgrade under a running server."""
    prefix = Path(interpreter.path).parents[1]
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    python = shutil.copy(os.path.realpath(interpreter.path), tmp_path / "bin")
    for library in (prefix / "lib").glob(f"libpython{interpreter.minor}*.so.*"):
        shutil.copy(library, tmp_path / "lib")
    env = {"PYTHONHOME": str(prefix), "LD_PRELOAD": ":".join(map(str, (tmp_path / "lib").iterdir()))}
    with target.Target([python, PARKED], env=env) as program:
        shutil.rmtree(tmp_path / "bin")
        shutil.rmtree(tmp_path / "lib")
        maps = Path(f"/proc/{program.pid}/maps").read_text()
        assert re.search(r"python\S* \(deleted\)$", maps, re.MULTILINE)
        assert not re.search(rf"{re.escape(str(prefix))}\S*/libpython", maps)
        is_read(program.pid)


@pytest.mark.minors("3.9", "3.10", "3.11", "3.12", "3.13")
def test_a_program_that_embeds_python_is_read(interpreter, tmp_path):
    server = embedding.build(interpreter, tmp_path)
    with target.Target([*server, PARKED]) as program:
        assert is_read(program.pid)["process"]["executable"] == str(server[0])


def test_a_process_with_another_name_is_read(some_interpreter, tmp_path):
    """`setproctitle` and the like: neither `comm` nor the command line says Python."""
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b'nginx: master', 0, 0, 0); "
    with target.Target(["exec-name", "-c", rename + PARKED.read_text()], executable=some_interpreter.path,
                       env={"PYTHONHOME": str(Path(some_interpreter.path).parents[1])}) as program:  # fmt: skip
        is_read(program.pid)


CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def test_no_text_of_the_target_reaches_the_terminal_unescaped(interpreter):
    with target.Target([interpreter.path, TARGETS / "hostile.py"]) as program:
        shown = tool.dump(program.pid)
        assert "all is lost" in shown
        assert CONTROL.findall(shown) == []
        assert not any(line.startswith("error: all is lost") for line in shown.splitlines())
        coloured = tool.run("dump", program.pid, "--color", "always").stdout
        assert CONTROL.findall(re.sub(r"\x1b\[[\d;]*m", "", coloured)) == []
        assert "\x1b[31m\r" not in coloured
        snapshot = tool.snapshot(program.pid)
        assert {task["name"] for task in snapshot["tasks"]} >= {
            "\x1b]0;title\x07\x1b[2J\x1b[31m\r\nerror: all is lost\u202egnp.exe\x9b1m"
        }


def test_a_thread_that_waits_for_the_gil_does_not_wait_for_the_lock_that_it_holds(interpreter):
    with target.Target([interpreter.path, TARGETS / "starved.py"]) as program:
        starved = 0
        for _ in range(200):
            (thread,) = [t for t in tool.snapshot(program.pid)["threads"] if t["name"] == "MainThread"]
            assert "waits_for" not in thread
            starved += thread.get("waits_for_gil", False)
            if starved == 3:
                return
        pytest.fail("it never waited for the GIL")
