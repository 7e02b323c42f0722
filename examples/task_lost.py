"""The task that reads the answers is kept by nobody and has failed, unseen: who has asked waits for ever."""

import asyncio
import json

import _stage


async def serve(reader, writer):
    await reader.readline()
    writer.write(b'{"id": 1, "result": \n')  # a line is broken
    await reader.read()


class Client:
    def __init__(self):
        self.pending = {}

    async def connect(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        asyncio.create_task(self.read_answers())

    async def read_answers(self):
        while line := await self.reader.readline():
            answer = json.loads(line)
            self.pending.pop(answer["id"]).set_result(answer["result"])

    async def call(self, method):
        answer = self.pending[1] = asyncio.get_running_loop().create_future()
        self.writer.write(json.dumps({"id": 1, "method": method}).encode() + b"\n")
        return await answer


async def main():
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client = Client()
    await client.connect(server.sockets[0].getsockname()[1])
    _stage.ready_when_parked()
    print(await client.call("balance"))


_stage.run(main)
