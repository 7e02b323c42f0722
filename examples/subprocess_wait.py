"""One task waits for a child process to end, another for a line of its output."""

import asyncio
import asyncio.subprocess

import _stage


async def convert(child):
    return await child.wait()


async def progress(child):
    return await child.stdout.readline()


async def main():
    child = await asyncio.create_subprocess_exec("sleep", "110", stdout=asyncio.subprocess.PIPE)
    tasks = [
        asyncio.create_task(convert(child), name="convert"),
        asyncio.create_task(progress(child), name="progress"),
    ]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
