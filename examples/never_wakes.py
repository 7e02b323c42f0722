"""A client connects anew, and forgets that a request still waits for its answer from the connection before."""

import asyncio

import _stage


class Connection:
    def __init__(self):
        self.answers = {}

    async def call(self, request):
        answer = asyncio.get_running_loop().create_future()
        self.answers[request] = answer
        return await answer

    def received(self, request, text):
        self.answers.pop(request).set_result(text)


class Client:
    def __init__(self):
        self.connection = Connection()

    def connect_anew(self):
        self.connection = Connection()  # nobody completes what the old one still owes

    async def price(self, article):
        return await self.connection.call(article)


async def main():
    client = Client()
    page = asyncio.create_task(client.price("tea"), name="show-price")
    await asyncio.sleep(0)
    client.connect_anew()
    _stage.ready_when_parked()
    print(await page)


_stage.run(main)
