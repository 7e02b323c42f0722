"""websockets: a server that sends to all, whose handlers wait until their clients leave; clients that wait for messages."""

import asyncio

import _stage
import websockets

here = set()


async def stay(socket, path=None):
    here.add(socket)
    try:
        await socket.wait_closed()
    finally:
        here.discard(socket)


async def echo(socket, path=None):
    async for message in socket:
        await socket.send(message)


async def listen(port):
    async with websockets.connect("ws://127.0.0.1:%d" % port) as socket:
        async for _ in socket:
            pass


async def ask(port):
    async with websockets.connect("ws://127.0.0.1:%d" % port) as socket:
        while True:
            await socket.send("hello")
            await socket.recv()
            await asyncio.sleep(0.01)


async def main():
    async with websockets.serve(stay, "127.0.0.1", 0) as crowd, websockets.serve(echo, "127.0.0.1", 0) as answers:
        ports = [next(iter(server.sockets)).getsockname()[1] for server in (crowd, answers)]
        clients = [asyncio.create_task(listen(ports[0])) for _ in range(12)]
        clients += [asyncio.create_task(ask(ports[1])) for _ in range(3)]
        while len(here) < 12:
            await asyncio.sleep(0.01)
        _stage.ready()
        await asyncio.gather(*clients)


_stage.run(main)
