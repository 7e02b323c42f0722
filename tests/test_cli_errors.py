"""What the user reads where nothing can be read: one `error:`, one `hint:`, a stable code, exit 2."""

import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from rig import embedding, target, tool

TARGETS = Path(__file__).parent / "targets"
PARKED = TARGETS / "parked.py"


def dead_pid():
    """The id of a process that was, and is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_no_such_process():
    pid = dead_pid()
    code, text = tool.failure("dump", pid)
    assert code == "no-such-process"
    assert f"there is no process {pid}" in text


def test_not_python():
    with target.Target(["sleep", "100"], wait_ready=False) as program:
        target.wait_until(lambda: os.readlink(f"/proc/{program.pid}/exe").endswith(("sleep", "coreutils")), "it runs")
        code, text = tool.failure("dump", program.pid)
        assert code == "not-python"
        assert "sleep" in text or "coreutils" in text
        program.process.kill()


def test_a_kernel_thread():
    comm = Path("/proc/2/comm")
    if not comm.exists() or comm.read_text() != "kthreadd\n":
        pytest.skip("no kernel threads are to be seen here")
    assert tool.failure("dump", 2)[0] == "kernel-thread"


def test_python_without_asyncio(interpreter):
    with target.Target([interpreter.path, TARGETS / "no_asyncio.py"]) as program:
        code, text = tool.failure("dump", program.pid)
        assert code == "no-asyncio"


def test_a_zombie():
    process = subprocess.Popen(["true"])
    target.wait_until(lambda: target.thread_state(process.pid) == "Z", "it is a zombie")
    assert tool.failure("dump", process.pid)[0] == "zombie"
    process.wait()


def test_no_permission(some_interpreter, tmp_path_factory):
    if os.geteuid() == 0:
        # The tool must be where that other user can execute it.
        directory = Path("/tmp") / f"async-trace-test-{os.getpid()}"
        directory.mkdir(mode=0o755)
        copy = directory / "async-trace"
        try:
            copy.write_bytes(Path(tool.binary()).read_bytes())
            copy.chmod(0o755)
            with target.Target([some_interpreter.path, PARKED]) as program:
                result = subprocess.run(
                    ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "dump", str(program.pid)],
                    capture_output=True, text=True, timeout=60, cwd="/",
                )  # fmt: skip
                pid = program.pid
        finally:
            copy.unlink()
            directory.rmdir()
    else:
        pid = 1
        result = tool.run("dump", pid)
    assert (result.returncode, result.stdout) == (2, "")
    parsed = tool.ERROR.match(result.stderr)
    assert parsed and parsed["code"] == "no-permission", result.stderr
    assert f"async-trace doctor {pid}" in parsed["hint"]


def test_a_process_that_ends_while_it_is_read(some_interpreter):
    """Whatever moment it chooses, the tool says something true and ends in order."""
    outcomes = set()
    for _ in range(20):
        with target.Target([some_interpreter.path, PARKED, 3000]) as program:
            memory = f"/proc/{program.pid}/mem"
            reader = subprocess.Popen(
                [tool.binary(), "dump", str(program.pid), "--json", "--no-pause"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip

            def has_opened(reader=reader, memory=memory):
                try:
                    fds = os.listdir(f"/proc/{reader.pid}/fd")
                    return any(os.readlink(f"/proc/{reader.pid}/fd/{fd}") == memory for fd in fds)
                except OSError:
                    return reader.poll() is not None

            target.wait_until(has_opened, "the tool reads")
            os.kill(program.pid, signal.SIGKILL)
            out, err = reader.communicate(timeout=60)
            if reader.returncode == 0:
                assert out.startswith("{") and err == ""
                outcomes.add("read")
            else:
                assert (reader.returncode, out) == (2, "")
                parsed = tool.ERROR.match(err)
                assert parsed, err
                outcomes.add(parsed["code"])
    assert outcomes <= {"read", "process-gone", "no-such-process", "zombie"}


def test_an_interpreter_that_is_still_starting(interpreter, tmp_path):
    """It reads what `site` tells it to, and finds a pipe that says nothing."""
    packages = tmp_path / "lib" / f"python{interpreter.minor}" / "site-packages"
    packages.mkdir(parents=True)
    os.mkfifo(packages / "slow.pth")
    env = {"PYTHONUSERBASE": str(tmp_path)}
    with target.Target([interpreter.path, "-c", "pass"], env=env, wait_ready=False) as program:
        opening = (2, 257, 437)  # open, openat, openat2
        target.wait_until(lambda: target.syscall(program.pid) in opening, "it waits for its configuration")
        code, _ = tool.failure("dump", program.pid)
        assert code in ("not-initialized", "no-asyncio")
        program.process.kill()


@pytest.mark.minors("3.9", "3.10", "3.11", "3.12", "3.13")
@pytest.mark.parametrize("phase", ["before", "after"])
def test_an_embedded_interpreter_before_and_after_its_life(interpreter, phase, tmp_path):
    with target.Target([*embedding.build(interpreter, tmp_path), PARKED, phase]) as program:
        assert tool.failure("dump", program.pid)[0] == "not-initialized"


@pytest.mark.parametrize("args", [["dump"], ["dump", "abc"], ["dump", "-1"], ["frobnicate"], ["dump", "1", "--max", "x"]])
def test_wrong_usage_is_an_error_of_its_own_kind(args):
    result = tool.run(*args)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert "panicked" not in result.stderr


def test_a_closed_pipe_is_not_an_error(some_interpreter):
    with target.Target([some_interpreter.path, PARKED, 3000]) as program:
        reader, writer = os.pipe()
        os.close(reader)
        result = subprocess.run(
            [tool.binary(), "dump", str(program.pid), "--json"], stdout=writer, stderr=subprocess.PIPE, text=True
        )
        os.close(writer)
        assert (result.returncode, result.stderr) == (0, "")


def test_a_full_disk_is_an_error(some_interpreter):
    if not (os.path.exists("/dev/full") and stat.S_ISCHR(os.stat("/dev/full").st_mode)):
        pytest.skip("no /dev/full")
    with target.Target([some_interpreter.path, PARKED]) as program, open("/dev/full", "w") as full:
        result = subprocess.run(
            [tool.binary(), "dump", str(program.pid)], stdout=full, stderr=subprocess.PIPE, text=True
        )
        assert result.returncode == 2
        assert tool.ERROR.match(result.stderr), result.stderr


def test_the_tool_needs_no_python(some_interpreter):
    """It is one native file: it runs where no Python is on the PATH."""
    with target.Target([some_interpreter.path, PARKED]) as program:
        assert tool.run("dump", program.pid, env={"PATH": "/nonexistent"}).returncode == 0
