"""Event.set() from another thread: the event is set, the task is ready, and the loop sleeps on."""

import asyncio
import threading

import _stage


class Device:
    def __init__(self):
        self.connected = asyncio.Event()

    def on_connect(self, waiting):
        waiting.wait()
        self.connected.set()  # must be loop.call_soon_threadsafe(self.connected.set)
        _stage.ready()


async def wait_connected(device):
    await device.connected.wait()
    print("connected")


async def main():
    device = Device()
    task = asyncio.create_task(wait_connected(device), name="wait-connected")
    waiting = threading.Event()
    threading.Thread(target=device.on_connect, args=(waiting,), name="mqtt", daemon=True).start()
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(threading.Timer(0.3, waiting.set).start)
    await task


_stage.run(main)
