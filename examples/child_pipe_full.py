"""wait() for a child that writes more than its pipe holds, and nobody reads: both wait for ever."""

import asyncio
from asyncio.subprocess import PIPE

import _stage

children = []


async def make_report():
    child = await asyncio.create_subprocess_exec("seq", "1000000", stdout=PIPE)
    children.append(child)
    return await child.wait()  # must be `await child.communicate()`


def child_is_stuck():
    for child in children:
        with open(f"/proc/{child.pid}/stat") as stat:
            return len(child.stdout._buffer) > 2**17 and " S " in stat.read()


async def main():
    task = asyncio.create_task(make_report(), name="make-report")
    _stage.ready_when_parked(also=child_is_stuck)
    await task


_stage.run(main)
