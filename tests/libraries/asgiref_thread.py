"""Synchronous code of Django runs in one thread: a view that hangs there holds up all others."""
import asyncio
import os
import socket

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
    await asyncio.sleep(0.3)
    tasks += [loop.create_task(show_user(n), name=f"user-{n}") for n in range(4)]
    await asyncio.sleep(0.2)
    print(f"READY {os.getpid()}", flush=True)
    await asyncio.gather(*tasks)


asyncio.run(main())
