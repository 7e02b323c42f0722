"""All threads of the executor are busy; what is queued behind them waits, however short it is."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import _stage

printer = threading.Event()
printing = threading.Barrier(3)


def render_pdf(page):
    printing.wait()
    printer.wait()
    return page


def read_template(name):
    return f"<html>{name}</html>"


async def export(page):
    return await asyncio.get_running_loop().run_in_executor(None, render_pdf, page)


async def front_page():
    return await asyncio.get_running_loop().run_in_executor(None, read_template, "front")


async def main():
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(2, thread_name_prefix="render"))
    exports = [asyncio.create_task(export(page), name=f"export-{page}") for page in range(2)]
    await loop.run_in_executor(ThreadPoolExecutor(1, thread_name_prefix="starter"), printing.wait)
    visitor = asyncio.create_task(front_page(), name="front-page")
    _stage.ready_when_parked()
    await asyncio.gather(*exports, visitor)


_stage.run(main)
