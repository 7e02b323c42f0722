"""Clients that leave in good order: each handler was told that nothing more will come, and waits for news all the same."""

import asyncio
import socket

import _stage

CLIENTS = 12
inboxes = []


async def send_news(reader, writer):
    inboxes.append(asyncio.Queue())
    news = inboxes[-1]
    while True:
        writer.write(await news.get())
        await writer.drain()


async def main():
    server = await asyncio.start_server(send_news, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    clients = [socket.create_connection(address) for _ in range(CLIENTS)]
    while len(inboxes) < CLIENTS:
        await asyncio.sleep(0)
    for client in clients:
        client.close()
    _stage.ready_when_parked()
    async with server:
        await server.serve_forever()


_stage.run(main)
