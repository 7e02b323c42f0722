"""A server whose event loop is stuck in synchronous code, with tasks that wait behind it.

    blocked.py --board FILE --how sleep

sleep  time.sleep (the GIL is free)          regex  a catastrophic regular expression (GIL held, in C)
spin   `while True: pass` (GIL held)         lock   a threading.Lock that nobody will release

A useful dump shows both: `blocked_call` under `handler` on the loop's thread, and the waiting tasks `idle-N`.
"""
import argparse
import asyncio
import re
import threading
import time

from board import Board, announce

HOWS = ("sleep", "regex", "spin", "lock")


async def idle_inner():
    await asyncio.sleep(3600)


async def idle():
    await idle_inner()


def blocked_call(how, board, tasks):
    # Announced from inside: whoever reads READY finds this frame on the stack.
    announce(board, tasks + 2, tasks)
    if how == "sleep":
        time.sleep(3600)
    elif how == "regex":
        re.match(r"(a+)+$", "a" * 60 + "b")
    elif how == "spin":
        while True:
            pass
    elif how == "lock":
        lock = threading.Lock()
        lock.acquire()
        lock.acquire()


async def handler(how, board, tasks):
    blocked_call(how, board, tasks)


async def serve(how, board, tasks):
    await handler(how, board, tasks)


async def main(args):
    kept = [asyncio.ensure_future(idle()) for _ in range(args.tasks)]
    for i, task in enumerate(kept):
        task.set_name("idle-%d" % i)
    await asyncio.sleep(0)
    await asyncio.ensure_future(serve(args.how, Board(args.board), args.tasks))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", required=True, help="file of the shared page")
    parser.add_argument("--how", choices=HOWS, default="sleep")
    parser.add_argument("--tasks", type=int, default=5)
    asyncio.run(main(parser.parse_args()))
