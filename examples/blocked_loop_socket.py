"""A synchronous client inside a handler: the loop sleeps in recv() until a slow server answers."""

import asyncio
import socket

import _stage


class InventoryClient:
    def __init__(self, address):
        self.socket = socket.create_connection(address)

    def stock(self, article):
        self.socket.sendall(f"STOCK {article}\n".encode())
        return int(self.socket.recv(64))


async def show_article(client, article):
    return {"article": article, "stock": client.stock(article)}


async def ping():
    while True:
        await asyncio.sleep(1)


async def main():
    silent_server = socket.create_server(("127.0.0.1", 0))
    client = InventoryClient(silent_server.getsockname())
    pinger = asyncio.create_task(ping(), name="ping")
    await asyncio.sleep(0)
    handler = asyncio.create_task(show_article(client, "shoe-44"), name="show-article")
    _stage.ready()
    await asyncio.gather(pinger, handler)


_stage.run(main)
