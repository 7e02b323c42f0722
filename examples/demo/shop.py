"""A small shop with an HTTP API and an old mistake; `async-trace demo` runs it and looks into it."""

import asyncio
import os
import shutil
import sys


class Shop:
    def __init__(self):
        self.stock_lock = asyncio.Lock()
        self.till_lock = asyncio.Lock()
        self.stock, self.till = 100, 0

    async def checkout(self):
        async with self.stock_lock:
            self.stock -= 1
            await self.card_terminal()
            async with self.till_lock:
                self.till += 10

    async def refund(self):
        async with self.till_lock:
            self.till -= 10
            await self.card_terminal()
            async with self.stock_lock:
                self.stock += 1

    async def count(self):
        async with self.stock_lock:
            return self.stock

    async def card_terminal(self):
        # A card takes its time: long enough for the next customer to begin.
        while not (self.stock_lock.locked() and self.till_lock.locked()):
            await asyncio.sleep(0.01)


async def serve(shop, reader, writer):
    method, path, _ = (await reader.readline()).decode().split(" ", 2)
    asyncio.current_task().set_name(f"{method} {path}")
    handlers = {"/checkout": shop.checkout, "/refund": shop.refund, "/stock": shop.count}
    answer = await handlers[path]()
    writer.write(b"HTTP/1.0 200 OK\r\n\r\n%r\r\n" % answer)
    writer.close()


def close():
    # The demo has closed our standard input, or has ended in whatever way: nothing of it stays behind.
    if "--remove" in sys.argv:
        shutil.rmtree(os.path.dirname(os.path.abspath(__file__)), ignore_errors=True)
    os._exit(0)


async def main():
    shop = Shop()
    asyncio.get_running_loop().add_reader(0, close)
    server = await asyncio.start_server(lambda r, w: serve(shop, r, w), "127.0.0.1", 0)
    print("READY", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())
