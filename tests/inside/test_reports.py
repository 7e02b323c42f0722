"""What goes wrong quietly is reported through Python's own channels, with the place of creation."""


def test_a_coroutine_that_is_dropped_unawaited(execute, interpreter):
    program = """
        import asyncio
        import async_trace

        class Routes:
            async def register(self, app):
                pass

        async def get_click_routes():
            return Routes()

        async def _register_routes():
            (await get_click_routes()).register("app")

        async def main():
            await _register_routes()

        asyncio.run(main())
    """
    done = execute(interpreter.path, program, name="main.py")
    assert done.stderr.startswith(
        "main.py:13: RuntimeWarning: coroutine 'Routes.register' was never awaited\n"
        "↑ register() coroutine never awaited\n"
        "  ↑ _register_routes() at line 13 [main.py]\n"
        "    ↑ main() at line 16 [main.py]\n"
    )
    assert done.stdout == ""


def test_the_warning_is_pythons_own(execute, interpreter):
    program = """
        import asyncio, warnings
        import async_trace

        async def lost():
            pass

        async def main():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                lost()
            (warning,) = caught
            print(warning.category.__name__, warning.lineno, str(warning.message).splitlines()[0])
            warnings.filterwarnings("ignore", message="coroutine 'lost' was never awaited")
            lost()
            kept = lost()
            del kept
            warnings.resetwarnings()
            kept = lost()
            del kept
            async_trace.disable_tracing()
            lost()

        asyncio.run(main())
    """
    done = execute(interpreter.path, program)
    assert done.stdout == "RuntimeWarning 11 coroutine 'lost' was never awaited\n"
    errors = [line for line in done.stderr.splitlines() if "racemalloc" not in line]
    assert errors[2] == "  ↑ main() at line 20 [app.py] (lost here; made before)", errors
    assert not any("coroutine never awaited" in line for line in errors[3:]), errors


def test_debug_mode_knows_the_place_exactly(execute, interpreter):
    program = """
        import asyncio, sys
        import async_trace

        async def lost():
            pass

        def make():
            return lost()

        async def main():
            kept = make()
            del kept

        asyncio.run(main(), debug=True)
    """
    done = execute(interpreter.path, program)
    assert "↑ lost() coroutine never awaited\n  ↑ make() at line 9 [app.py]\n    ↑ main() at line 12 [app.py]\n" in done.stderr


def test_asyncios_own_reports_tell_where_the_task_was_created(execute, interpreter):
    program = """
        import asyncio, gc
        import async_trace

        async def fails():
            raise ValueError("lost")

        async def waits():
            await asyncio.get_running_loop().create_future()

        async def main():
            asyncio.create_task(fails())
            await asyncio.sleep(0)
            gc.collect()
            asyncio.create_task(waits())
            await asyncio.sleep(0)
            gc.collect()

        asyncio.run(main())
    """
    done = execute(interpreter.path, program)
    assert "Task exception was never retrieved" in done.stderr
    assert "Task was destroyed but it is pending!" in done.stderr
    created = 'source_traceback: Object created at (most recent call last):\n  File "app.py", line {}, in main\n    {}\n'
    assert created.format(12, "asyncio.create_task(fails())") in done.stderr
    assert created.format(15, "asyncio.create_task(waits())") in done.stderr


def test_exception_handlers_get_it_as_data(execute, interpreter):
    program = """
        import asyncio, gc, traceback
        import async_trace

        async def fails():
            raise ValueError("lost")

        async def main():
            def handler(loop, context):
                stack = context["source_traceback"]
                print(context["message"], [(line, name) for _, line, name, _ in stack])
                print(len(stack), stack[-1][1], bool(stack), repr(stack).startswith("<creation stack ["))
                print("".join(traceback.format_list(stack)).count("line 15"))
            asyncio.get_running_loop().set_exception_handler(handler)
            asyncio.create_task(fails())
            await asyncio.sleep(0)
            gc.collect()

        asyncio.run(main())
    """
    assert execute(interpreter.path, program).stdout == (
        "Task exception was never retrieved [(15, 'main')]\n1 15 False True\n1\n"
    )
