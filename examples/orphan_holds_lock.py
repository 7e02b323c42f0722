"""The request is gone, its shielded clean-up is not: nobody awaits it, and it holds the lock."""

import asyncio

import _stage


async def finalize(lock, written):
    async with lock:
        await written


async def stream(lock, written):
    try:
        await asyncio.sleep(3600)
    finally:
        await asyncio.shield(finalize(lock, written))


async def list_chats(lock):
    async with lock:
        return []


async def main():
    lock = asyncio.Lock()
    written = asyncio.get_running_loop().create_future()
    request = asyncio.create_task(stream(lock, written), name="stream")
    await asyncio.sleep(0)
    request.cancel()
    while not lock.locked():
        await asyncio.sleep(0)
    request.cancel()
    await asyncio.wait([request])
    _stage.ready_when_parked()
    await asyncio.create_task(list_chats(lock), name="list-chats")


_stage.run(main)
