"""An event loop's thread that holds a lock and computes, while other threads compute too: it mostly waits for the GIL."""

import asyncio
import os
import threading

LOCK = threading.Lock()
OTHER = threading.Lock()


def compute():
    while True:
        sum(range(100_000))


def compute_with_lock():
    with LOCK:
        while True:
            with OTHER:
                pass
            sum(range(10_000))


async def main():
    for _ in range(3):
        threading.Thread(target=compute, daemon=True).start()
    print("READY", os.getpid(), flush=True)
    compute_with_lock()


asyncio.run(main())
