#!/usr/bin/env python3
"""What a task costs more with a tracer: create and await a trivial coroutine, in one process.

    python bench/inside/create.py --mode async_trace --depth 5

The tracer is switched on and off between rounds, so that both kinds of rounds see the same machine.
One line of JSON: medians in nanoseconds a task, and the median of the rounds' own ratios.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time

import tracers


async def trivial():
    return None


def create(depth, count):
    """`depth` frames of Python, the innermost of which creates `count` tasks."""
    if depth > 1:
        return create(depth - 1, count)
    create_task = asyncio.create_task
    return [create_task(trivial()) for _ in range(count)]


async def batch(depth, count):
    for task in create(depth, count):
        await task


async def one_by_one(depth, count):
    """Under `depth` coroutines, one task after the other."""
    if depth > 1:
        return await one_by_one(depth - 1, count)
    for _ in range(count):
        await asyncio.create_task(trivial())


async def timed(work, depth, count):
    gc.collect()
    began = time.thread_time_ns()
    await work(depth, count)
    return (time.thread_time_ns() - began) / count


async def main(options):
    work = batch if options.shape == "batch" else one_by_one
    tracer = tracers.load(options.mode)
    plain, traced = [], []
    await timed(work, options.depth, options.count)
    for number in range(options.rounds + 1):
        pair = {}
        for on in (number % 2 == 0, number % 2 == 1):
            tracer.on() if on else tracer.off()
            pair[on] = await timed(work, options.depth, options.count)
        if number:
            plain.append(pair[False])
            traced.append(pair[True])
    tracer.off()
    print(
        json.dumps(
            {
                "python": "%d.%d.%d" % sys.version_info[:3],
                "mode": options.mode,
                "shape": options.shape,
                "depth": options.depth,
                "plain_ns": round(statistics.median(plain)),
                "traced_ns": round(statistics.median(traced)),
                "ratio": round(statistics.median(t / p for p, t in zip(plain, traced)), 3),
            }
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", default="async_trace", choices=sorted(tracers.MODES))
    parser.add_argument("--depth", type=int, default=5)
    parser.add_argument("--count", type=int, default=2000, help="tasks a round")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--shape", default="batch", choices=["batch", "one-by-one"])
    asyncio.run(main(parser.parse_args()))
