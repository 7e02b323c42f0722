"""Sessions keep their connections while something slow is awaited, and the pool has no more of them.

SQLAlchemy runs its engine in greenlets: no frame of the pool is in any await chain.
"""
import asyncio
import tempfile

import _stage
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine


async def charge(paid):
    await paid.wait()


async def checkout(sessions, paid):
    async with sessions() as session:
        await session.execute(text("select 1"))
        await charge(paid)  # @holds


async def show(sessions):
    async with sessions() as session:
        await session.execute(text("select 2"))  # @waits


async def main():
    with tempfile.TemporaryDirectory() as directory:
        engine = create_async_engine(f"sqlite+aiosqlite:///{directory}/shop.db", pool_size=2, max_overflow=0)
        sessions = async_sessionmaker(engine)
        loop, paid = asyncio.get_running_loop(), asyncio.Event()
        loop.call_later(300, paid.set)
        buyers = [loop.create_task(checkout(sessions, paid), name=f"checkout-{n}") for n in range(2)]
        while len(paid._waiters) < len(buyers):
            await asyncio.sleep(0.001)
        visitors = [loop.create_task(show(sessions), name=f"show-{n}") for n in range(4)]
        _stage.ready_when_parked()
        await asyncio.gather(*buyers, *visitors)


_stage.run(main)
