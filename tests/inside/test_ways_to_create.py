"""Every way to create a task is seen, and the right line is told."""

import pytest

PRELUDE = """
    import sys, asyncio
    from asyncio import create_task as early
    import async_trace
    from async_trace import collect_async_trace

    def origin():
        # name:line of the code that created the running task, and the parent's name
        frames = collect_async_trace()["frames"]
        first = next(frame for frame in frames if frame["task"])
        parents = [frame["task"].get_name() for frame in frames if frame["task"]][1:]
        return f"{first['name']}:{first['line']} < {parents}"

    async def leaf(what):
        print(what, origin())
"""

WAYS = {
    "early": ("await early(leaf('early'))", None),
    "create_task": ("await asyncio.create_task(leaf('create_task'))", None),
    "loop.create_task": ("await asyncio.get_running_loop().create_task(leaf('loop.create_task'))", None),
    "asyncio.Task": ("await asyncio.Task(leaf('asyncio.Task'), loop=asyncio.get_running_loop())", None),
    "ensure_future": ("await asyncio.ensure_future(leaf('ensure_future'))", None),
    "gather": ("await asyncio.gather(leaf('gather'))", None),
    "wait_for": ("await asyncio.wait_for(early(leaf('wait_for')), 5)", None),
    "as_completed": ("await next(iter(asyncio.as_completed([leaf('as_completed')])))", None),
    "shield": ("await asyncio.shield(leaf('shield'))", None),
    "subclass": ("await Sub(leaf('subclass'))", None),
    "subclass_init": ("await WithInit(leaf('subclass_init'))", None),
    "old_subclass": ("await Old(leaf('old_subclass'))", None),
}
EAGER = {
    "eager_factory": ("await with_factory(asyncio.eager_task_factory, 'eager_factory')", (3, 12)),
    "eager_start": (
        "await asyncio.Task(leaf('eager_start'), loop=asyncio.get_running_loop(), eager_start=True)",
        (3, 12),
    ),
    "eager_suspends": (
        "await asyncio.Task(late('eager_suspends'), loop=asyncio.get_running_loop(), eager_start=True)",
        (3, 12),
    ),
}


def program(ways):
    body = "\n".join(f"        {code}" for code, _ in ways.values())
    return f"""{PRELUDE}
    class Old(asyncio.Task):
        pass

    async_trace.disable_tracing()
    async_trace.enable_tracing()

    class Sub(asyncio.Task):
        pass

    class WithInit(asyncio.Task):
        def __init__(self, coro):
            super().__init__(coro, loop=asyncio.get_running_loop())

    async def late(what):
        await asyncio.sleep(0)
        await leaf(what)

    async def with_factory(factory, what):
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        try:
            await asyncio.create_task(leaf(what))
        finally:
            loop.set_task_factory(None)

    async def main():
{body}

    asyncio.run(main())
    """


def expected(source, ways):
    """A way's line is where its code stands in the program."""
    import textwrap

    lines = textwrap.dedent(source).splitlines()
    out = []
    for what, (code, _) in ways.items():
        number = next(i for i, line in enumerate(lines, 1) if line.strip() == code.strip())
        function = "with_factory" if "with_factory(" in code else "main"
        if function == "with_factory":
            number = next(i for i, line in enumerate(lines, 1) if "create_task(leaf(what))" in line)
        if what == "subclass_init":
            function = "__init__"
            number = next(i for i, line in enumerate(lines, 1) if "super().__init__(coro" in line)
        out.append(f"{what} {function}:{number} < ['Task-1']")
    return out


def test_ways_of_asyncio(execute, interpreter):
    ways = {k: v for k, v in {**WAYS, **EAGER}.items() if v[1] is None or interpreter.at_least >= v[1]}
    source = program(ways)
    assert execute(interpreter.path, source).stdout.splitlines() == expected(source, ways)


def test_ways_of_uvloop(execute, libraries, interpreter):
    ways = {k: v for k, v in {**WAYS, **EAGER}.items() if v[1] is None or interpreter.at_least >= v[1]}
    # uvloop 0.23 passes it arguments that the factory does not take.
    ways.pop("eager_factory", None)
    source = program(ways).replace(
        "asyncio.run(main())", "import uvloop; asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); asyncio.run(main())"
    )
    if interpreter.at_least >= (3, 12):
        source = source.replace("asyncio.set_event_loop_policy(uvloop.EventLoopPolicy()); asyncio.run(main())", "uvloop.run(main())")
    assert execute(libraries, source, command=("-Wignore",)).stdout.splitlines() == expected(source, ways)


def test_task_groups(execute, libraries, interpreter):
    group = "asyncio.TaskGroup" if interpreter.at_least >= (3, 11) else "None"
    source = f"""{PRELUDE}
    import anyio

    async def main():
        if {group}:
            async with {group}() as group:
                group.create_task(leaf("TaskGroup"))
        async with anyio.create_task_group() as group:
            group.start_soon(leaf, "anyio")

    asyncio.run(main())
    """
    out = execute(libraries, source).stdout.splitlines()
    assert out[-1] == "anyio main:24 < ['Task-1']"
    if interpreter.at_least >= (3, 11):
        assert out[0] == "TaskGroup main:22 < ['Task-1']"


def test_from_another_thread(execute, interpreter):
    source = f"""{PRELUDE}
    import threading

    def submit(loop):
        asyncio.run_coroutine_threadsafe(leaf("threadsafe"), loop).result()
        loop.call_soon_threadsafe(loop.stop)

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=submit, args=(loop,))
    thread.start()
    loop.run_forever()
    thread.join()
    """
    # The loop's own callback creates it: no user code is on that stack.
    assert execute(interpreter.path, source).stdout.startswith("threadsafe Task-1:None < []")


def test_a_task_of_a_callback_of_the_user(execute, interpreter):
    source = f"""{PRELUDE}
    def callback():
        asyncio.ensure_future(leaf("callback"))

    async def main():
        asyncio.get_running_loop().call_soon(callback)
        await asyncio.sleep(0.01)

    asyncio.run(main())
    """
    assert execute(interpreter.path, source).stdout.startswith("callback callback:18 < []")


def test_two_loops_in_two_threads(execute, interpreter):
    source = f"""{PRELUDE}
    import threading

    async def main(name, barrier):
        asyncio.current_task().set_name(name)
        for _ in range(50):
            barrier.wait()
            await asyncio.create_task(check(name))

    async def check(name):
        names = [f["task"].get_name() for f in collect_async_trace()["frames"] if f["task"]]
        assert names[1:] == [name], names

    barrier = threading.Barrier(2)
    threads = [threading.Thread(target=lambda n=n: asyncio.run(main(n, barrier))) for n in ("one", "two")]
    [t.start() for t in threads]
    [t.join() for t in threads]
    print("done")
    """
    done = execute(interpreter.path, source)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize("server", ["aiohttp"])
def test_a_web_server_that_makes_tasks_itself(execute, libraries, server):
    source = f"""{PRELUDE}
    from aiohttp import web, ClientSession

    async def handler(request):
        await asyncio.create_task(leaf("in handler"))
        return web.Response(text="ok")

    async def main():
        app = web.Application()
        app.add_routes([web.get("/", handler)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        async with ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{{port}}/") as response:
                print(await response.text())
        await runner.cleanup()

    asyncio.run(main())
    """
    out = execute(libraries, source).stdout.splitlines()
    # The handler's task was created by aiohttp in a callback of the loop: it has a name, no line of ours.
    assert out[0].startswith("in handler handler:20 < ['Task-")
    assert out[1] == "ok"
