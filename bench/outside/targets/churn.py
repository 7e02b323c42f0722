"""A server in full motion: tasks come and go as fast as they can beside others that stand still.

    churn.py --board FILE --parked 1000 --spinning 20 --spawners 5

What stands still (tasks `parked-N`, five coroutines deep) is the truth that a dump must contain whole,
however much changes around it.
"""
import argparse
import asyncio
import gc
import random

from board import Board, announce, tick


async def leaf(event):
    await event.wait()


async def chain(depth, event):
    if depth > 2:
        await chain(depth - 1, event)
    else:
        await leaf(event)


async def spin():
    while True:
        await asyncio.sleep(0)


async def step(turns):
    for _ in range(turns):
        await asyncio.sleep(0)


async def short_lived(lock):
    async with lock:
        await step(2)
    if random.random() < 0.1:
        await asyncio.gather(step(1), step(2), step(3))


async def spawner(board, lock):
    while True:
        await asyncio.ensure_future(short_lived(lock))
        board.set("finished", board.get("finished") + 1)


async def main(args):
    board = Board(args.board)
    event, lock = asyncio.Event(), asyncio.Lock()
    kept = []
    for i in range(args.parked):
        task = asyncio.ensure_future(chain(5, event))
        task.set_name("parked-%d" % i)
        kept.append(task)
    kept += [asyncio.ensure_future(spin()) for _ in range(args.spinning)]
    kept += [asyncio.ensure_future(spawner(board, lock)) for _ in range(args.spawners)]
    for _ in range(2):
        await asyncio.sleep(0)
    gc.collect()
    gc.freeze()  # the churn may collect its own garbage, but need not walk the thousand that stand
    announce(board, args.parked + args.spinning + args.spawners + 1, args.parked)
    await tick(board, "busy")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", required=True, help="file of the shared page")
    parser.add_argument("--parked", type=int, default=1000)
    parser.add_argument("--spinning", type=int, default=20)
    parser.add_argument("--spawners", type=int, default=5)
    asyncio.run(main(parser.parse_args()))
