"""The examples of async-trace 0.1.2's README run unchanged and print what it shows."""

QUICK_START = """
    import asyncio
    from async_trace import print_trace

    async def worker():
        print_trace()  # Shows the async call stack!
        await asyncio.sleep(0)

    async def main():
        await asyncio.create_task(worker())

    asyncio.run(main())
"""


def test_quick_start(execute, interpreter):
    assert execute(interpreter.path, QUICK_START).stdout == (
        "↑ worker() at line 6 [app.py]\n"
        "  ↑ main() at line 10 [app.py]\n"
        "    ↑ Task-1\n"
    )  # fmt: skip


def test_a_task_within_a_task(execute, interpreter):
    program = """
        import asyncio
        from async_trace import print_trace

        async def inner_task():
            print("\\n=== Current execution path ===")
            print_trace()
            await asyncio.sleep(0)

        async def worker():
            await inner_task()

        async def sub_task():
            t = asyncio.create_task(worker())
            await t

        async def main():
            await sub_task()

        asyncio.run(main())
    """
    assert execute(interpreter.path, program).stdout == (
        "\n=== Current execution path ===\n"
        "↑ inner_task() at line 7 [app.py]\n"
        "  ↑ worker() at line 11 [app.py]\n"
        "    ↑ sub_task() at line 14 [app.py]\n"
        "      ↑ main() at line 18 [app.py]\n"
        "        ↑ Task-1\n"
    )


def test_structured_data(execute, interpreter):
    program = """
        import asyncio
        from async_trace import collect_async_trace, print_async_trace

        async def worker():
            trace_data = collect_async_trace()
            print(f"Current task: {trace_data['current_task'].get_name()}")
            print(f"Total frames: {len(trace_data['frames'])}")
            for frame in trace_data['frames']:
                print(f"{frame['name']} at line {frame['line']}")
                if frame['task']:
                    print(f"  → Creates task: {frame['task'].get_name()}")
            assert set(trace_data) == {"frames", "current_task", "in_executor"}
            for depth, frame in enumerate(trace_data["frames"]):
                assert set(frame) == {"name", "line", "filename", "indent", "task", "is_executor"}
                assert frame["indent"] == depth
            assert trace_data["in_executor"] is False
            assert trace_data["current_task"] is asyncio.current_task()
            print(" → ".join(f['name'] for f in trace_data['frames']))
            print_async_trace(trace_data)

        async def main():
            await asyncio.create_task(worker())

        asyncio.run(main())
    """
    assert execute(interpreter.path, program).stdout == (
        "Current task: Task-2\n"
        "Total frames: 3\n"
        "worker at line 6\n"
        "main at line 23\n"
        "  → Creates task: Task-2\n"
        "Task-1 at line None\n"
        "  → Creates task: Task-1\n"
        "worker → main → Task-1\n"
        "↑ worker() at line 6 [app.py]\n"
        "  ↑ main() at line 23 [app.py]\n"
        "    ↑ Task-1\n"
    )


EXECUTOR = """
    import asyncio
    import time
    from async_trace import print_trace, collect_async_trace

    def blocking_work():
        print_trace()  # Shows the async call that led here!
        trace = collect_async_trace()
        assert trace["in_executor"] is True
        assert trace["current_task"].get_name() == "Task-1"
        return "done"

    async def worker():
        loop = asyncio.get_event_loop()
        result = await loop.run_in_executor(None, blocking_work)
        return result

    async def later():
        future = asyncio.get_running_loop().run_in_executor(None, blocking_work)
        await asyncio.sleep(0.01)
        await future

    async def main():
        await worker()
        await asyncio.to_thread(blocking_work)
        await later()

    asyncio.run(main())
"""


def test_across_executors(execute, interpreter):
    assert execute(interpreter.path, EXECUTOR).stdout == (
        "↑ blocking_work() at line 7 [app.py]\n"
        "  ↑ worker() at line 15 [app.py] [EXECUTOR]\n"
        "    ↑ main() at line 24 [app.py]\n"
        "      ↑ Task-1\n"
        "↑ blocking_work() at line 7 [app.py]\n"
        "  ↑ main() at line 25 [app.py] [EXECUTOR]\n"
        "    ↑ Task-1\n"
        "↑ blocking_work() at line 7 [app.py]\n"
        "  ↑ later() at line 19 [app.py] [EXECUTOR]\n"
        "    ↑ main() at line 26 [app.py]\n"
        "      ↑ Task-1\n"
    )


def test_anyio_threads(execute, libraries):
    program = """
        import anyio, anyio.to_thread
        from async_trace import print_trace

        async def worker():
            await anyio.to_thread.run_sync(print_trace)

        anyio.run(worker)
    """
    assert execute(libraries, program).stdout.splitlines()[0] == "↑ worker() at line 6 [app.py] [EXECUTOR]"


def test_parallel_tasks_and_custom_output(execute, interpreter):
    program = """
        import asyncio
        from async_trace import collect_async_trace

        async def leaf():
            trace = collect_async_trace()
            print([frame['task'].get_name() for frame in trace['frames'] if frame['task']])
            print([f"{frame['name']}:{frame['line']}" for frame in trace['frames'] if frame['task'] and frame['line']])

        async def worker(n):
            await asyncio.create_task(leaf(), name=f"leaf-{n}")

        async def main():
            tasks = [asyncio.create_task(worker(n), name=f"worker-{n}") for n in range(2)]
            await asyncio.gather(*tasks)

        asyncio.run(main())
    """
    inlined = interpreter.at_least >= (3, 12)
    main = "main" if inlined else "<listcomp>"
    assert execute(interpreter.path, program).stdout == (
        "['leaf-0', 'worker-0', 'Task-1']\n"
        f"['worker:11', '{main}:14']\n"
        "['leaf-1', 'worker-1', 'Task-1']\n"
        f"['worker:11', '{main}:14']\n"
    )


def test_all_frames_are_shown_on_request(execute, interpreter):
    program = QUICK_START.replace("print_trace()", "print_trace(all_frames=True)")
    lines = execute(interpreter.path, program).stdout.splitlines()
    assert lines[0] == "↑ worker() at line 6 [app.py]"
    assert any("create_task() at line" in line and "asyncio/tasks.py" in line for line in lines)
    assert any("run() at line" in line and "asyncio/runners.py" in line for line in lines)
    assert lines[-1].endswith("<module>() at line 12 [app.py]")


def test_disabled_it_still_prints_the_stack(execute, interpreter):
    program = QUICK_START.replace("async def worker", "import async_trace; async_trace.disable_tracing()\n\n    async def worker")
    assert execute(interpreter.path, program).stdout == (
        "↑ worker() at line 8 [app.py]\n"
        "  ↑ Task-2\n"
    )  # fmt: skip


def test_outside_of_tasks(execute, interpreter):
    program = """
        from async_trace import print_trace, collect_async_trace

        def here():
            print_trace()

        here()
        assert collect_async_trace()["current_task"] is None
    """
    assert execute(interpreter.path, program).stdout == (
        "↑ here() at line 5 [app.py]\n"
        "  ↑ <module>() at line 7 [app.py]\n"
    )  # fmt: skip


def test_a_task_whose_parent_is_gone_keeps_the_name_of_it(execute, interpreter):
    program = """
        import asyncio
        from async_trace import print_trace

        async def child():
            await asyncio.sleep(0.01)
            print_trace()

        async def parent():
            children.append(asyncio.create_task(child()))

        async def main():
            await asyncio.create_task(parent(), name="parent")
            await asyncio.gather(*children)

        children = []
        asyncio.run(main())
    """
    assert execute(interpreter.path, program).stdout == (
        "↑ child() at line 7 [app.py]\n"
        "  ↑ parent() at line 10 [app.py]\n"
        "    ↑ main() at line 13 [app.py]\n"
        "      ↑ Task-1\n"
    )
