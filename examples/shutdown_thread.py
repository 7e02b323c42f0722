"""The program is over, but a thread is not: asyncio.run() waits for it before it returns."""

import asyncio
import threading

import _stage

more_mail = threading.Event()


def send_mails():
    while True:
        _stage.ready()
        more_mail.wait()


async def main():
    loop = asyncio.get_running_loop()
    loop.run_in_executor(None, send_mails)
    await asyncio.sleep(0.01)


_stage.run(main)
