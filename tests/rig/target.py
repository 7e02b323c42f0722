"""Starts the programs that the tests read, and knows when they have reached their state."""

import os
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

DEADLINE = 30.0


class TargetFailed(AssertionError):
    """The program under observation did not do its part."""


def wait_until(condition, what, seconds=DEADLINE):
    """Polls `condition` until it holds; returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TargetFailed(f"waited {seconds:.0f} s in vain until {what}")
        time.sleep(0.002)


class Target:
    """A running program: from its line `READY <pid>` until the end of the `with` block."""

    def __init__(self, argv, *, env=None, wait_ready=True, **popen):
        self._stderr = tempfile.TemporaryFile()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        environment.pop("PYTHONASYNCIODEBUG", None)
        environment.update(env or {})
        self.process = subprocess.Popen(
            [str(arg) for arg in argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=environment,
            **popen,
        )
        self.argv = argv
        self.pid = self.process.pid
        self.lines = []
        if wait_ready:
            try:
                self.pid = self.wait_ready()
            except BaseException:
                self.stop()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stderr(self):
        """What the program has written to its standard error so far."""
        self._stderr.seek(0)
        return self._stderr.read().decode(errors="replace")

    def read_line(self, seconds=DEADLINE):
        """One line of its standard output."""
        end = time.monotonic() + seconds
        line = bytearray()
        fd = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([fd], [], [], max(0.0, end - time.monotonic()))
            byte = os.read(fd, 1) if readable else b""
            if not byte:
                how = "ended" if readable else f"said nothing for {seconds:.0f} s"
                raise TargetFailed(f"{self.argv} {how}; stderr:\n{self.stderr()}")
            line += byte
        return line.decode().rstrip("\n")

    def wait_ready(self, seconds=DEADLINE):
        """Waits for `READY <pid>`; returns that pid."""
        while True:
            line = self.read_line(seconds)
            if line.startswith("READY "):
                return int(line.split()[1])
            self.lines.append(line)

    def stop(self):
        """Ends the program, kindly if it listens."""
        self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(DEADLINE)
        self.process.stdout.close()
        self._stderr.close()


def thread_state(pid, tid=None):
    """The kernel's one-letter state of a thread (`S`, `R`, `T`, `t`, `Z`)."""
    stat = Path(f"/proc/{pid}/task/{tid or pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0]


def cpu_ticks(pid, tid=None):
    """User and system time of a thread, in clock ticks."""
    fields = Path(f"/proc/{pid}/task/{tid or pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


_POLLING = {7, 23, 232, 270, 271, 281, 441}  # poll, select, epoll_wait, pselect6, ppoll, epoll_pwait(2)


def syscall(pid, tid=None):
    """The number of the system call a thread sleeps in, or None while it runs."""
    word = Path(f"/proc/{pid}/task/{tid or pid}/syscall").read_text().split()[0]
    return int(word) if word.lstrip("-").isdigit() else None


def wait_blocked(target):
    """Waits until the main thread sleeps in a system call that is not the loop's own waiting."""
    pid = target.pid
    wait_until(lambda: (syscall(pid) or 232) not in (232, 281, 441) and thread_state(pid) == "S", "the loop is blocked")


def wait_computing(target):
    """Waits until the main thread has burnt some CPU time since now."""
    start = cpu_ticks(target.pid)
    wait_until(lambda: cpu_ticks(target.pid) >= start + 3, "the loop burns CPU")


def wait_idle(target):
    """Waits until the main thread sleeps in its selector."""
    wait_until(lambda: syscall(target.pid) in (232, 281, 441), "the loop is idle")


def wait_asleep(target):
    """Waits until all of its threads sleep: then there is nobody left who could change something."""

    def asleep():
        try:
            return {thread_state(target.pid, task.name) for task in Path(f"/proc/{target.pid}/task").iterdir()} == {"S"}
        except (FileNotFoundError, ProcessLookupError):
            return False  # a thread has just ended

    wait_until(asleep, "all threads sleep")


def kill_group(process):
    """Ends a process that leads a group of its own, with all of that group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEADLINE)
