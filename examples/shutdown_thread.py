"""The program is over, but a thread is not: asyncio.run() waits for it before it returns."""

import asyncio
import threading

import _stage

more_mail = threading.Event()


def send_mails():
    while threading.active_count() < 3:  # asyncio.run() waits for us in a thread of its own
        more_mail.wait(0.001)
    _stage.ready()
    while True:
        more_mail.wait()


async def main():
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, send_mails)
    await asyncio.sleep(0.01)


_stage.run(main)
