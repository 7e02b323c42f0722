"""A regular expression meets the wrong text and computes for ever: nobody else gets a turn."""

import asyncio
import re

import _stage

ADDRESS = re.compile(r"([a-z0-9]+\.?)+@example\.org")


def is_valid(address):
    return ADDRESS.fullmatch(address) is not None


async def sign_up(address):
    return is_valid(address)


async def heartbeat():
    while True:
        await asyncio.sleep(1)


async def main():
    beat = asyncio.create_task(heartbeat(), name="heartbeat")
    await asyncio.sleep(0)
    visitor = asyncio.create_task(sign_up("a" * 64 + "!"), name="sign-up")
    _stage.ready()
    await asyncio.gather(beat, visitor)


_stage.run(main)
