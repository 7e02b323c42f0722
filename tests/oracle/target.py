"""The oracle's program: every shape of waiting at once, and the truth about them in a JSON file.

target.py FACTS.json [--uvloop] [--debug]
"""

import asyncio
import os
import signal
import sys
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import shapes  # noqa: E402, F401  (registers the shapes)
import truth as oracle  # noqa: E402

DEBUG = "--debug" in sys.argv


async def main(truth, settled):
    loop = asyncio.get_running_loop()
    truth.loops.append(loop)
    oracle.note_loop(loop)
    forever = truth.forever = asyncio.Event()
    myself = truth.know(asyncio.current_task())
    truth.waits(myself, truth.resource(forever, "event", set=False), "wait", name="forever")
    for shape in oracle.SHAPES:
        if sys.version_info[:2] >= shape.since:
            truth.shape = shape.name
            await shape.run(truth)
            await truth.settle()
    settled.set()
    await forever.wait()


def run():
    signal.alarm(120)
    truth = oracle.Truth()
    settled = threading.Event()
    threading.Thread(target=oracle.witness, args=(truth, sys.argv[1], settled), name="witness", daemon=True).start()
    if "--uvloop" not in sys.argv:
        asyncio.run(main(truth, settled), debug=DEBUG or None)
    else:
        import uvloop

        loop = uvloop.new_event_loop()
        loop.set_debug(DEBUG)
        loop.run_until_complete(main(truth, settled))


run()
