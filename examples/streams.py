"""One task reads from a server that is silent, one writes to a server that does not read."""

import asyncio

import _stage


async def session(reader, writer):
    await asyncio.Event().wait()  # neither reads nor answers


async def read_answer(reader):
    return await reader.readline()


async def push(writer):
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def main():
    server = await asyncio.start_server(session, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    reader, _silent = await asyncio.open_connection(*address)
    _, deaf = await asyncio.open_connection(*address)
    pusher = asyncio.create_task(push(deaf), name="push")
    client = asyncio.create_task(read_answer(reader), name="read-answer")
    _stage.ready_when_parked(also=lambda: deaf.transport.get_write_buffer_size() > 65536)
    await asyncio.gather(pusher, client)


_stage.run(main)
