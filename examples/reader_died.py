"""Calls wait for the answers that one task reads for all of them; it has died of a bad line."""

import asyncio
import json

import _stage


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.answers = {}

    async def read(self):
        while line := await self.reader.readline():
            answer = json.loads(line)
            self.answers.pop(answer["id"]).set_result(answer)

    async def call(self, number):
        answer = self.answers[number] = asyncio.get_running_loop().create_future()
        self.writer.write(b'{"id": %d}\n' % number)
        return await answer


async def serve(reader, writer):
    writer.write(b"Bad gateway\n")
    await reader.read()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client(*await asyncio.open_connection(*server.sockets[0].getsockname()))
    reading = asyncio.create_task(client.read(), name="reader")
    calls = [asyncio.create_task(client.call(number), name=f"call-{number}") for number in range(3)]
    await asyncio.wait([reading])
    _stage.ready_when_parked()
    await asyncio.gather(*calls)


_stage.run(main)
