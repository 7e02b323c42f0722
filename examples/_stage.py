"""What every example shares: it says READY once its state is reached, and never outlives its reader.

Each example runs on its own, `python examples/deadlock_two_locks.py`, with `--uvloop` on uvloop, and
ends by itself: after two minutes, or when its standard input is a pipe that closes.
"""

import asyncio
import fcntl
import os
import signal
import stat
import sys

LIFETIME_S = 120


def run(main):
    """`asyncio.run(main())`, or the same with uvloop."""
    _end_by_itself()
    if "--uvloop" not in sys.argv:
        asyncio.run(main())
        return
    import uvloop

    if sys.version_info >= (3, 12):
        asyncio.run(main(), loop_factory=uvloop.new_event_loop)
    elif sys.version_info >= (3, 11):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    else:
        uvloop.install()
        asyncio.run(main())


def ready():
    """Tells whoever started this program that it is where it wants to be."""
    os.write(1, b"READY %d\n" % os.getpid())


def ready_when_parked(also=lambda: True):
    """Says READY once every task of this loop is suspended (and `also` holds)."""
    loop = asyncio.get_running_loop()

    def look():
        waits = [task._fut_waiter for task in asyncio.all_tasks(loop)]
        if also() and all(wait is not None and not wait.done() for wait in waits):
            ready()
        else:
            loop.call_later(0.001, look)

    loop.call_soon(look)


def _end_by_itself():
    # Both are the kernel's doing: they work even while this process is stuck inside C code.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(LIFETIME_S)
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
