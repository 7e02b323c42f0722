"""A child sorts what it is given until its input ends, which it never does: both wait for ever."""

import asyncio
from asyncio.subprocess import PIPE

import _stage

pids = []


async def sort(lines):
    child = await asyncio.create_subprocess_exec("sort", stdin=PIPE, stdout=PIPE)
    pids.append(child.pid)
    child.stdin.write(lines)
    await child.stdin.drain()
    return await child.stdout.read()  # must be `await child.communicate(lines)`


def child_waits():
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as command:
            return "sort" in command.read() and " S " in stat.read()


async def main():
    task = asyncio.create_task(sort(b"pears\napples\n"), name="sort-fruit")
    _stage.ready_when_parked(also=child_waits)
    await task


_stage.run(main)
