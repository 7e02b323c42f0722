"""Text that would take over a terminal, wherever a program can put text."""

import asyncio
import os

EVIL = "\x1b]0;title\x07\x1b[2J\x1b[31m\r\nerror: all is lost\u202egnp.exe\x9b1m"


async def park(door):
    await door.wait()


async def main():
    door = asyncio.Event()
    park.__qualname__ = park.__name__ = EVIL
    park.__code__ = park.__code__.replace(co_name=EVIL, co_filename=EVIL)
    if hasattr(park.__code__, "co_qualname"):
        park.__code__ = park.__code__.replace(co_qualname=EVIL)
    kind = type(EVIL, (asyncio.Event,), {})
    tasks = [asyncio.create_task(park(each), name=EVIL) for each in (door, kind())]
    asyncio.get_running_loop().add_reader(0, lambda: os._exit(0))
    while any(task._fut_waiter is None for task in tasks):
        await asyncio.sleep(0)
    os.write(1, b"READY %d\n" % os.getpid())
    await asyncio.wait(tasks)


asyncio.run(main())
