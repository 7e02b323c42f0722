"""wait() for a child that writes more than its pipe holds, and nobody reads: both wait for ever."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import _stage

REPORT = "print('x' * 1_000_000)"


async def make_report():
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", REPORT, stdout=PIPE)
    return await child.wait()  # must be `await child.communicate()`


async def main():
    task = asyncio.create_task(make_report(), name="make-report")
    _stage.ready_when_parked()
    await task


_stage.run(main)
