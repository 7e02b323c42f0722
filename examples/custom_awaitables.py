"""Awaitables that libraries write by hand: `__await__` in every style, and old generator coroutines."""

import asyncio
import types

import _stage


class Query:
    """`__await__` as a generator."""

    def __init__(self, reply):
        self.reply = reply

    def __await__(self):
        row = yield from self.reply.__await__()
        return row


class Request:
    """`__await__` that lends its coroutine's."""

    def __init__(self, reply):
        self.reply = reply

    def __await__(self):
        return self.send().__await__()

    async def send(self):
        return await self.reply


@types.coroutine
def legacy(reply):
    return (yield from reply)


async def by_query(reply):
    return await Query(reply)


async def by_request(reply):
    return await Request(reply)


async def by_legacy(reply):
    return await legacy(reply)


async def main():
    loop = asyncio.get_running_loop()
    replies = {way: loop.create_future() for way in (by_query, by_request, by_legacy)}
    tasks = [asyncio.create_task(way(reply), name=way.__name__) for way, reply in replies.items()]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
