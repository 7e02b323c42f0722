"""A server full of tasks that wait: the workload of the size and speed figures.

    parked.py --board FILE --tasks 10000 --shape chain --depth 5 --ticker none

chain      every task is `depth` coroutines deep and waits for one event
gather     trees: a parent gathers nine such chains (parents count as tasks)
taskgroup  the same with asyncio.TaskGroup (3.11+)
mixed      a third of each (without task groups before 3.11: half of each)
lockchain  task i holds lock i and waits for lock i+1; the last one waits for the event
"""
import argparse
import asyncio
import gc
import sys

from board import Board, announce, tick

SHAPES = ("chain", "gather", "taskgroup", "mixed", "lockchain")
FAMILY = 9


class Count:
    """How many chains have come to their innermost line."""

    standing = 0


async def leaf(event):
    Count.standing += 1
    await event.wait()


async def chain(depth, event):
    if depth > 2:
        await chain(depth - 1, event)
    else:
        await leaf(event)


async def gather_parent(depth, event):
    await asyncio.gather(*[chain(depth, event) for _ in range(FAMILY)])


async def group_parent(depth, event):
    async with asyncio.TaskGroup() as group:
        for _ in range(FAMILY):
            group.create_task(chain(depth, event))


async def lock_link(locks, i, event):
    async with locks[i]:
        await asyncio.sleep(0)
        if i + 1 < len(locks):
            async with locks[i + 1]:
                pass
        else:
            await event.wait()


def build(tasks, shape, depth, event):
    """Coroutines that make `tasks` tasks in all."""
    if shape == "chain":
        return [chain(depth, event) for _ in range(tasks)]
    if shape == "lockchain":
        locks = [asyncio.Lock() for _ in range(tasks)]
        return [lock_link(locks, i, event) for i in range(tasks)]
    if shape == "mixed":
        parts = ["chain", "gather", "taskgroup"] if sys.version_info >= (3, 11) else ["chain", "gather"]
        share, rest = divmod(tasks, len(parts))
        sizes = [share + rest] + [share] * (len(parts) - 1)
        return [c for part, size in zip(parts, sizes) for c in build(size, part, depth, event)]
    parent = gather_parent if shape == "gather" else group_parent
    families, rest = divmod(tasks, FAMILY + 1)
    return [parent(depth, event) for _ in range(families)] + [chain(depth, event) for _ in range(rest)]


async def main(args):
    board = Board(args.board)
    event = asyncio.Event()
    kept = [asyncio.ensure_future(coroutine) for coroutine in build(args.tasks, args.shape, args.depth, event)]
    # Three turns: parents start, their children start, and lock holders come to their second lock.
    for _ in range(3):
        await asyncio.sleep(0)
    gc.collect()
    gc.disable()  # a collection would be a pause of the target's own making
    announce(board, len(asyncio.all_tasks()), Count.standing)
    if args.ticker == "none":
        await event.wait()
    await tick(board, args.ticker)
    return kept


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", required=True, help="file of the shared page")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--shape", choices=SHAPES, default="chain")
    parser.add_argument("--depth", type=int, default=5, help="coroutines in a chain, the innermost included")
    parser.add_argument("--ticker", choices=["busy", "idle", "none"], default="none")
    arguments = parser.parse_args()
    if arguments.shape == "taskgroup" and sys.version_info < (3, 11):
        parser.error("asyncio.TaskGroup needs Python 3.11")
    if arguments.depth < 2:
        parser.error("--depth is at least 2")
    asyncio.run(main(arguments))
