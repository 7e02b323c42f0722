"""No task is kept alive and nothing grows."""

# Not statm: its count lags behind by megabytes, the more the more processors there are. Not what is mapped from files, nor
# what is in memory only: the system takes back what is not used. And no huge pages: one is seventy bytes a task.
RSS = """
    import asyncio, ctypes, gc, os, sys, weakref
    import async_trace

    PR_SET_THP_DISABLE = 41
    ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)

    def rss():
        with open("/proc/self/smaps_rollup") as rollup:
            sizes = dict(line.split()[:2] for line in rollup if line.endswith("kB\\n"))
        return (int(sizes["Anonymous:"]) + int(sizes["Swap:"])) * 1024
"""


def test_finished_tasks_leave_nothing(execute, interpreter):
    program = f"""{RSS}
    async def leaf():
        return None

    async def main():
        async def batch(n):
            for task in [asyncio.create_task(leaf()) for _ in range(n)]:
                await task
        for _ in range(20):
            await batch(1000)
        gc.collect()
        before = rss()
        for _ in range(200):
            await batch(1000)
        gc.collect()
        print((rss() - before) / 200_000)

    asyncio.run(main())
    """
    assert float(execute(interpreter.path, program).stdout) < 1


def test_a_living_task_costs_little(execute, interpreter):
    program = f"""{RSS}
    async def leaf():
        await asyncio.sleep(3600)

    async def main(on):
        (async_trace.enable_tracing if on else async_trace.disable_tracing)()
        tasks = [asyncio.create_task(leaf()) for _ in range(1000)]
        await asyncio.sleep(0)
        gc.collect()
        before = rss()
        tasks += [asyncio.create_task(leaf()) for _ in range(30_000)]
        await asyncio.sleep(0)
        gc.collect()
        print((rss() - before) / 30_000)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    asyncio.run(main(sys.argv[1] == "on"))
    """
    on = float(execute(interpreter.path, program, "on").stdout)
    off = float(execute(interpreter.path, program, "off").stdout)
    assert on - off <= 64, (on, off)


def test_a_task_that_respawns_itself_does_not_grow(execute, interpreter):
    program = f"""{RSS}
    done = asyncio.Event if sys.version_info >= (3, 10) else None

    async def tick(n, future):
        if n == 0:
            future.set_result(None)
        else:
            asyncio.create_task(tick(n - 1, future))

    async def main():
        async def respawn(n):
            future = asyncio.get_running_loop().create_future()
            asyncio.create_task(tick(n, future))
            await future
        await respawn(2000)
        gc.collect()
        before = rss()
        await respawn(50_000)
        gc.collect()
        print(rss() - before)

    asyncio.run(main())
    """
    assert int(execute(interpreter.path, program).stdout) < 1_000_000


def test_parents_are_not_kept_alive(execute, interpreter):
    program = f"""{RSS}
    async def child():
        await asyncio.sleep(0.02)
        frames = async_trace.collect_async_trace()["frames"]
        print([frame["task"].get_name() for frame in frames if frame["task"]])

    async def parent():
        asyncio.current_task().set_name("parent")
        return asyncio.create_task(child())

    async def main():
        task = asyncio.create_task(parent())
        kept = await task
        ref = weakref.ref(task)
        del task
        await asyncio.sleep(0)
        gc.collect()
        print(ref())
        await kept

    asyncio.run(main())
    """
    assert execute(interpreter.path, program).stdout == "None\n['Task-3', 'parent', 'Task-1']\n"


def test_code_that_is_made_anew_again_and_again(execute, interpreter):
    """More distinct creation stacks than there is space for: old ones make way, living ones stay."""
    program = f"""{RSS}
    SOURCE = "def make(create, coroutine):\\n" + "".join(f"    if n == {{i}}: return create(coroutine)\\n" for i in range(1))
    SOURCE = "def make(create, coroutine):\\n    return create(coroutine)\\n"

    async def leaf():
        return None

    async def waits(event):
        await event.wait()
        frames = async_trace.collect_async_trace()["frames"]
        print(frames[1]["name"], frames[1]["line"])

    async def main():
        event = asyncio.Event()
        kept = asyncio.create_task(waits(event))
        references = []
        for n in range(int(sys.argv[1])):
            namespace = {{}}
            exec(compile(SOURCE, f"made-{{n}}", "exec"), namespace)
            await namespace["make"](asyncio.create_task, leaf())
            if n == 5:
                references.append(weakref.ref(namespace["make"].__code__))
        event.set()
        await kept
        print(references[0]() is None)

    asyncio.run(main())
    """
    # create_task's frames lie below: three or four nodes a stack, of 2**18.
    assert execute(interpreter.path, program, "110000", timeout=300).stdout.splitlines() == ["main 26", "True"]
