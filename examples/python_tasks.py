"""Tasks and futures of asyncio's pure-Python implementation, as where the C one is missing."""

import asyncio

import _stage

twigs = []


async def leaf(future):
    return await future


async def branch(loop):
    twig = asyncio.tasks._PyTask(leaf(asyncio.futures._PyFuture(loop=loop)), loop=loop, name="twig")
    twigs.append(twig)
    return await twig


async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.tasks._PyTask(branch(loop), loop=loop, name="branch")
    _stage.ready_when_parked(also=lambda: twigs and twigs[0]._fut_waiter is not None)
    await task


_stage.run(main)
