"""Each client that is gone leaves its handler behind: it waits for news, and nobody looks whether the client is still there."""

import asyncio
import socket
import struct

import _stage

CLIENTS = 12
inboxes = []


async def send_news(reader, writer):
    inboxes.append(asyncio.Queue())
    news = inboxes[-1]
    while True:
        writer.write(await news.get())
        await writer.drain()


def visit(address):
    """As a client that is killed: its connection is reset."""
    client = socket.create_connection(address)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return client


async def main():
    server = await asyncio.start_server(send_news, "127.0.0.1", 0)
    clients = [visit(server.sockets[0].getsockname()) for _ in range(CLIENTS)]
    while len(inboxes) < CLIENTS:
        await asyncio.sleep(0)
    for client in clients:
        client.close()
    _stage.ready_when_parked()
    async with server:
        await server.serve_forever()


_stage.run(main)
