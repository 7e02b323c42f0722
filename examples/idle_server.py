"""A healthy server with nothing to do: nothing here may be called a problem."""

import asyncio

import _stage


async def handle(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def housekeeping():
    while True:
        await asyncio.sleep(60)


async def consume(jobs):
    while True:
        await jobs.get()


async def main():
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    quiet_client = await asyncio.open_connection(*server.sockets[0].getsockname())
    keep = [
        asyncio.create_task(housekeeping(), name="housekeeping"),
        asyncio.create_task(consume(asyncio.Queue()), name="consumer"),
    ]
    _stage.ready_when_parked(also=lambda: len(asyncio.all_tasks()) == 4)
    async with server:
        await server.serve_forever()
    await asyncio.wait(keep)
    quiet_client[1].close()


_stage.run(main)
