"""A proxy: one task reads from a client that is silent, one writes to a client that does not read."""

import asyncio

import _stage


async def read_command(reader):
    return await reader.readline()


async def session(reader, writer):
    await read_command(reader)


async def push(writer):
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def main():
    server = await asyncio.start_server(session, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    reader, silent = await asyncio.open_connection(*address)
    _, deaf = await asyncio.open_connection(*address)
    pusher = asyncio.create_task(push(deaf), name="push")
    client = asyncio.create_task(read_command(reader), name="read-answer")
    _stage.ready_when_parked(also=lambda: deaf.transport.get_write_buffer_size() > 65536)
    await asyncio.gather(pusher, client)


_stage.run(main)
