"""A page asks two services; one has answered, the other does not even accept the connection."""

import asyncio
import socket

import _stage


async def prices(address):
    return "prices"


async def stock(address):
    reader, writer = await asyncio.open_connection(*address)
    return await reader.readline()


async def show_page(address):
    return await asyncio.gather(prices(address), stock(address))


async def main():
    overloaded = socket.create_server(("127.0.0.1", 0), backlog=0)
    others = socket.create_connection(overloaded.getsockname())
    page = asyncio.create_task(show_page(overloaded.getsockname()), name="show-page")
    _stage.ready_when_parked()
    await page
    others.close()


_stage.run(main)
