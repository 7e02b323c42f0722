"""Synchronous code of Django runs in one thread: a view that hangs there holds up all others."""
import asyncio
import socket

import _stage
from asgiref.sync import sync_to_async

ends = socket.socketpair()


def load_report():
    return ends[0].recv(1)  # @busy


def load_user(number):
    return number


async def show_report():
    return await sync_to_async(load_report)()


async def show_user(number):
    return await sync_to_async(load_user)(number)  # @waits


async def main():
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(show_report(), name="report")]
    tasks += [loop.create_task(show_user(n), name=f"user-{n}") for n in range(4)]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)


_stage.run(main)
