"""Each client that left behind its subscription leaves a task behind that nothing will ever wake."""

import asyncio

import _stage

subscribers = {}


async def send_updates(client, updates):
    while True:
        print(client, await updates.get())


def subscribe(client):
    updates = asyncio.Queue()
    subscribers[client] = asyncio.create_task(send_updates(client, updates))


async def accept_clients():
    for number in range(200):
        subscribe(f"client-{number}")
        await asyncio.sleep(0)
    await asyncio.Event().wait()


async def main():
    _stage.ready_when_parked(also=lambda: len(subscribers) == 200)
    await accept_clients()


_stage.run(main)
