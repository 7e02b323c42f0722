"""Rows stream through three async generators; the innermost one waits for its socket."""

import asyncio

import _stage


async def packets(socket):
    yield b"first"
    yield await socket


async def rows(source):
    async for packet in source:
        yield packet.decode()


async def numbered(source):
    n = 0
    async for row in source:
        n += 1
        yield n, row


async def print_report(socket):
    async for n, row in numbered(rows(packets(socket))):
        print(n, row)


async def peek(socket):
    source = packets(socket)
    await source.__anext__()
    return await source.asend(None)


async def main():
    loop = asyncio.get_running_loop()
    tasks = [
        asyncio.create_task(print_report(loop.create_future()), name="report"),
        asyncio.create_task(peek(loop.create_future()), name="peek"),
    ]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
