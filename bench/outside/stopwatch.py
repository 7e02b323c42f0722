"""Runs one command at a time for the benchmark and says what it cost.

A process of its own, and a small one: the kernel counts the memory of the process that starts a command
towards the command's peak, so the big parsing of outputs must happen elsewhere. Reads a job per line on
stdin, `{"argv": […], "out": path, "err": path, "timeout_s": n}`, and answers with a line on stdout.
"""
import json
import os
import signal
import sys
import time


def run(job):
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, job["out"], flags, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, job["err"], flags, 0o600),
    ]
    timed_out = False
    started = time.perf_counter()
    pid = os.posix_spawn(job["argv"][0], job["argv"], os.environ, file_actions=actions)

    def kill(_signal, _frame):
        nonlocal timed_out
        timed_out = True
        os.kill(pid, signal.SIGKILL)  # not reaped yet, so the id is still ours

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, job["timeout_s"])
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "rss_kb": usage.ru_maxrss,
        "code": os.waitstatus_to_exitcode(status),
        "timed_out": timed_out,
    }


def main():
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
