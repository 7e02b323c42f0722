"""The guide's helpers, in the forms that the guide prints."""

import json

SWITCHED = {"ASYNC_TRACE": "1"}


def test_the_form_of_the_guide(execute, interpreter, tmp_path):
    (tmp_path / "handlers.py").write_text(
        "from async_trace.debug import debug_async_trace\n"
        "async def my_handler():\n"
        "    debug_async_trace('Начало обработки запроса')\n"
    )
    (tmp_path / "routes.py").write_text(
        "from handlers import my_handler\n"
        "async def route_handler():\n"
        "    await my_handler()\n"
    )  # fmt: skip
    (tmp_path / "server.py").write_text(
        "import asyncio\n"
        "from routes import route_handler\n"
        "def accept():\n"
        "    return asyncio.create_task(route_handler(), name='Task-42')\n"
    )
    program = """
        import asyncio
        from server import accept

        async def main_event_loop():
            await accept()

        asyncio.run(main_event_loop())
    """
    assert execute(interpreter.path, program, name="main.py", **SWITCHED).stdout == (
        "🔍 Начало обработки запроса\n"
        "↑ my_handler() at line 3 [handlers.py]\n"
        "  ↑ route_handler() at line 3 [routes.py]\n"
        "    ↑ Task-42 created at line 4 [server.py]\n"
        "      ↑ main_event_loop() at line 6 [main.py]\n"
    )


ALL = """
    import asyncio
    from async_trace.debug import (
        debug_async_trace, get_async_trace_data, log_task_info, debug_before_await,
        debug_after_await, debug_database_call, debug_http_request, debug_task_creation,
    )

    async def work():
        debug_http_request("GET /users")
        debug_database_call("complex analytics query")
        debug_before_await("user lookup query")
        log_task_info()
        debug_after_await("user lookup query")
        debug_task_creation()
        print(get_async_trace_data()["frames"][0]["name"])

    async def main():
        await asyncio.create_task(work())

    asyncio.run(main())
"""


def test_all_eight(execute, interpreter):
    import re

    out = execute(interpreter.path, ALL, **SWITCHED).stdout
    out = re.sub(r"\d+\.\d+ (ms|s)\b", "N s", out)
    assert out == (
        "🔍 HTTP request: GET /users\n"
        "↑ work() at line 9 [app.py]\n"
        "  ↑ Task-2 created at line 18 [app.py]\n"
        "🔍 database call: complex analytics query\n"
        "↑ work() at line 10 [app.py]\n"
        "  ↑ Task-2 created at line 18 [app.py]\n"
        "⏳ before await: user lookup query, work() at line 11 [app.py], Task-2\n"
        "🔍 2 tasks\n"
        "↑ Task-1, waiting in main() at line 18 [app.py]\n"
        "↑ Task-2 created at line 18 [app.py], running\n"
        "⏳ 1 pending operation\n"
        "↑ user lookup query: pending for N s, work() at line 11 [app.py], Task-2\n"
        "⌛ after await: user lookup query, took N s, work() at line 13 [app.py], Task-2\n"
        "🔍 tasks by place of creation\n"
        "↑ main() at line 18 [app.py]: 1 created, 1 alive\n"
        "↑ <module>() at line 20 [app.py]: 1 created, 1 alive\n"
        "work\n"
    )


def test_switched_off_they_print_nothing(execute, interpreter):
    assert execute(interpreter.path, ALL).stdout == "work\n"


def test_ten_thousand_tasks_are_one_line(execute, interpreter):
    program = """
        import asyncio
        from async_trace.debug import debug_task_creation, log_task_info

        async def process_item(item):
            await asyncio.sleep(3600)

        async def spawn(items):
            tasks = []
            for item in items:
                tasks.append(asyncio.create_task(process_item(item)))
            debug_task_creation()
            await asyncio.sleep(0)
            log_task_info()
            for task in tasks:
                task.cancel()

        asyncio.run(spawn(range(10_000)))
    """
    assert execute(interpreter.path, program, **SWITCHED).stdout == (
        "🔍 tasks by place of creation\n"
        "↑ spawn() at line 11 [app.py]: 10000 created, 10000 alive\n"
        "↑ <module>() at line 18 [app.py]: 1 created, 1 alive\n"
        "🔍 10001 tasks\n"
        "↑ 10000 tasks (Task-10, Task-100, Task-1000, …) created at line 11 [app.py], "
        "waiting in process_item() at line 6 [app.py]\n"
        "↑ Task-1, running\n"
    )


TIMEOUT = """
    import asyncio, sys
    from async_trace.debug import debug_async_trace
    {imports}

    async def read():
        await asyncio.sleep(3600)

    async def external_api_call():
        return await read()

    async def risky_operation():
        try:
            {body}
        except (asyncio.TimeoutError, TimeoutError):
            debug_async_trace("TIMEOUT! Here's the call stack:")

    asyncio.run(risky_operation())
"""

CUT_OFF = (
    "🔍 TIMEOUT! Here's the call stack:\n"
    "↑ risky_operation() at line 16 [app.py]\n"
    "⏱ the await was cut off here:\n"
    "↑ read() at line 7 [app.py]\n"
    "  ↑ external_api_call() at line 10 [app.py]\n"
    "    ↑ risky_operation() at line {line} [app.py]\n"
)


def timeout_program(body, imports="pass"):
    return TIMEOUT.format(body=body, imports=imports)


def test_wait_for_tells_where_it_was_cut_off(execute, interpreter):
    program = timeout_program("await asyncio.wait_for(external_api_call(), 0.01)")
    assert execute(interpreter.path, program, **SWITCHED).stdout == CUT_OFF.format(line=14)


def test_asyncio_timeout_tells_where_it_was_cut_off(execute, interpreter):
    if interpreter.at_least < (3, 11):
        return
    program = timeout_program("async with asyncio.timeout(0.01): await external_api_call()")
    assert execute(interpreter.path, program, **SWITCHED).stdout == CUT_OFF.format(line=14)


def test_other_timeouts_tell_where_they_were_cut_off(execute, libraries):
    program = timeout_program("async with async_timeout.timeout(0.01): await external_api_call()", "import async_timeout")
    assert execute(libraries, program, **SWITCHED).stdout == CUT_OFF.format(line=14)
    program = timeout_program("with anyio.fail_after(0.01): await external_api_call()", "import anyio")
    assert execute(libraries, program, **SWITCHED).stdout == CUT_OFF.format(line=14)


def test_a_timeout_across_tasks(execute, interpreter):
    program = timeout_program("await asyncio.wait_for(asyncio.gather(external_api_call()), 0.01)")
    out = execute(interpreter.path, program, **SWITCHED).stdout
    assert "↑ risky_operation() at line 14 [app.py]\n" in out.partition("cut off here:\n")[2]


def test_old_operations_report_themselves(execute, interpreter):
    program = """
        import asyncio, sys
        from async_trace.debug import configure, debug_before_await, debug_after_await, operation

        configure(pending_after=0.1)

        async def handler():
            debug_before_await("slow query")
            await asyncio.sleep(0.5)
            debug_after_await("slow query")

        @operation("decorated")
        async def decorated():
            await asyncio.sleep(0.5)

        async def managed():
            with operation("managed"):
                await asyncio.sleep(0.5)

        async def main():
            await asyncio.gather(handler(), decorated(), managed())

        asyncio.run(main())
    """
    out = execute(interpreter.path, program, **SWITCHED).stdout.splitlines()
    reports = sorted(line.split(":")[0] for line in out if "pending for 0." in line)
    assert reports == ["⏳ decorated", "⏳ managed", "⏳ slow query"]
    assert [line for line in out if "slow query: pending" in line][0].endswith("handler() at line 8 [app.py], Task-2")
    assert [line for line in out if "after await" in line][0].startswith("⌛ after await: slow query, took 5")


def test_operations_end_with_their_task(execute, interpreter):
    program = """
        import asyncio, gc
        from async_trace.debug import debug_before_await, log_task_info
        from async_trace import _operations

        async def handler(n):
            debug_before_await(f"query {n}")
            if n % 2:
                raise ValueError
            await asyncio.sleep(3600)

        async def main():
            tasks = [asyncio.create_task(handler(n)) for n in range(100)]
            await asyncio.sleep(0)
            assert len(_operations.pending()) == 50
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert not _operations.pending()
            del tasks, task
            await asyncio.sleep(0)
            gc.collect()
            from async_trace import _core
            assert not _core.operations(2**63)
            debug_before_await("in main")
            log_task_info()

        asyncio.run(main())
    """
    out = execute(interpreter.path, program, ASYNC_TRACE_SAMPLE="0", **SWITCHED).stdout
    assert "1 pending operation" in out and "↑ in main: pending for 0.0 s, main() at line 25" in out


def test_output_to_stderr_logging_and_json(execute, interpreter):
    program = """
        import asyncio, logging, sys
        from async_trace.debug import configure, debug_async_trace, debug_before_await, debug_after_await

        async def main():
            configure(output="stderr")
            debug_async_trace("one")
            logging.basicConfig(stream=sys.stdout, level="INFO", format="%(name)s %(levelname)s %(message)s")
            configure(output="logging")
            debug_async_trace("two")
            configure(output="json")
            debug_async_trace("three")
            debug_before_await("op")
            debug_after_await("op")

        asyncio.run(main())
    """
    done = execute(interpreter.path, program, **SWITCHED)
    assert done.stderr == "🔍 one\n↑ main() at line 7 [app.py]\n"
    lines = done.stdout.splitlines()
    assert lines[:2] == ["async_trace INFO 🔍 two", "↑ main() at line 10 [app.py]"]
    trace, before, after = map(json.loads, lines[2:])
    assert trace["schema"] == 1 and trace["event"] == "trace" and trace["label"] == "three"
    assert trace["frames"][0]["name"] == "main" and trace["frames"][0]["line"] == 12
    assert before["event"] == "before_await" and before["name"] == "op" and before["task"] == "Task-1"
    assert after["event"] == "after_await" and after["elapsed_s"] >= 0


def test_sampling_prints_that_share_and_leaves_random_alone(execute, interpreter):
    program = """
        import asyncio, random
        from async_trace.debug import debug_async_trace, configure

        async def main():
            random.seed(7)
            first = random.random()
            random.seed(7)
            for _ in range(20_000):
                debug_async_trace("x", sample=0.01)
            assert random.random() == first
            print("half")
            configure(sample=0.5)
            for _ in range(2000):
                debug_async_trace("y")
            configure(sample=0)
            debug_async_trace("never")

        asyncio.run(main())
    """
    first, _, second = execute(interpreter.path, program, **SWITCHED).stdout.partition("half\n")
    assert 100 < first.count("🔍 x") < 320
    assert 850 < second.count("🔍 y") < 1150
    assert "never" not in second


def test_a_terminal_that_knows_no_arrows(execute, interpreter):
    done = execute(interpreter.path, ALL, PYTHONIOENCODING="ascii", **SWITCHED)
    assert "\\u2191 work() at line 9 [app.py]" in done.stdout


def test_settings_that_are_wrong_are_refused(execute, interpreter):
    program = """
        from async_trace.debug import configure
        for wrong in (dict(output="paper"), dict(sample=2), dict(pending_after=-1)):
            try:
                configure(**wrong)
            except ValueError as error:
                print(error)
    """
    assert execute(interpreter.path, program).stdout == (
        "output must be one of stdout, stderr, logging, json, not 'paper'\n"
        "sample must be between 0 and 1\n"
        "pending_after must not be negative\n"
    )
