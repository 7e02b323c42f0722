#!/usr/bin/env python3
"""What one `collect_async_trace()` costs, against 0.1.2 in the same run; and the helpers switched off.

    python bench/inside/collect.py --depth 10
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import time

import tracers


def per_call(function, count, *args):
    began = time.thread_time_ns()
    for _ in range(count):
        function(*args)
    return (time.thread_time_ns() - began) / count


async def level(depth, measure):
    """`depth` coroutines, every third of them in a task of its own."""
    if depth <= 1:
        return measure()
    following = level(depth - 1, measure)
    return await (asyncio.create_task(following) if depth % 3 == 0 else following)


def collecting(ours, original, rounds):
    us = {"async_trace": [], "async_trace_0.1.2": []}
    for _ in range(rounds):
        us["async_trace"].append(per_call(ours.collect_async_trace, 500) / 1e3)
        us["async_trace_0.1.2"].append(per_call(original.collect_async_trace, 50) / 1e3)
    return {name: statistics.median(values) for name, values in us.items()}


def switched_off(rounds):
    """Nanoseconds a call beyond an empty loop, and objects allocated by 1,000 calls."""
    from async_trace import debug

    figures = {}
    for name in debug.__all__:
        if not name.startswith("debug_") and name != "log_task_info":
            continue
        helper = getattr(debug, name)
        args = () if name in ("debug_task_creation", "log_task_info") else ("label",)

        def calls(helper=helper, args=args):
            label = args[0] if args else None
            if args:
                began = time.thread_time_ns()
                for _ in range(10_000):
                    helper(label)
            else:
                began = time.thread_time_ns()
                for _ in range(10_000):
                    helper()
            ended = time.thread_time_ns()
            for _ in range(10_000):
                pass
            return (ended - began - (time.thread_time_ns() - ended)) / 10_000

        ns = statistics.median(calls() for _ in range(rounds))
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(1000):
            helper(*args)
        figures[name] = {"ns": round(ns, 1), "blocks": sys.getallocatedblocks() - before}
    return figures


async def main(options):
    import async_trace

    original = tracers.original() if options.original else None
    out = {"python": "%d.%d.%d" % sys.version_info[:3], "depth": options.depth}
    if original:
        us = await level(options.depth, lambda: collecting(async_trace, original, options.rounds))
        out["collect_us"] = {name: round(value, 2) for name, value in us.items()}
        out["times_faster"] = round(us["async_trace_0.1.2"] / us["async_trace"], 1)
        original.disable_tracing()
    async_trace.disable_tracing()
    out["off"] = switched_off(options.rounds)
    print(json.dumps(out))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--original", action="store_true", help="compare with 0.1.2 (ASYNC_TRACE_012)")
    asyncio.run(main(parser.parse_args()))
