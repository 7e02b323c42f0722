"""A few parked tasks, and nothing else: parked.py [NUMBER OF TASKS]. Ends when its standard input closes."""

import asyncio
import os
import sys


async def park(door):
    await door.wait()


async def main(number):
    loop = asyncio.get_running_loop()
    door = asyncio.Event()
    tasks = [loop.create_task(park(door), name=f"parked-{n}") for n in range(number)]
    loop.add_reader(0, lambda: os._exit(0))
    while any(task._fut_waiter is None for task in tasks):
        await asyncio.sleep(0)
    os.write(1, b"READY %d\n" % os.getpid())
    await door.wait()


asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
