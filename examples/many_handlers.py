"""A thousand equal handlers, as of websockets, wait for a message: one group, not a thousand trees."""

import asyncio

import _stage


class WebSocket:
    def __init__(self):
        self.messages = asyncio.Queue()

    async def receive(self):
        return await self.messages.get()


async def chat(socket):
    while True:
        message = await socket.receive()
        print(message)


async def main():
    sockets = [WebSocket() for _ in range(1000)]
    handlers = [asyncio.create_task(chat(socket)) for socket in sockets]
    _stage.ready_when_parked()
    await asyncio.gather(*handlers)


_stage.run(main)
