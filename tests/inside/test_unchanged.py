"""Tracing changes nothing that a program can see."""


def test_names_reprs_and_debug_mode(execute, interpreter):
    program = """
        import sys
        if sys.argv[1] == "on":
            import async_trace
        import asyncio, contextvars, gc, warnings, weakref

        var = contextvars.ContextVar("var", default="unset")

        async def child():
            var.set("child")
            await asyncio.sleep(0)
            return var.get()

        async def main():
            task = asyncio.create_task(child())
            print(task.get_name(), repr(task).replace(hex(id(task)), "")[:80])
            print(type(task), asyncio.get_running_loop().get_task_factory(), bool(task._source_traceback))
            print(await task, var.get(), "created at" in repr(task))
            ref = weakref.ref(task)
            del task
            gc.collect()
            print(ref())
            loop = asyncio.get_running_loop()
            loop.set_debug(True)
            task = loop.create_task(child())
            print(bool(task._source_traceback), "created at app.py" in repr(task).replace(__file__, "app.py"))
            print(len(task._source_traceback) > 3, task._source_traceback[-1].name)
            print([frame.name for frame in task._source_traceback][-1:])
            await task
            try:
                asyncio.create_task(None)
            except TypeError as error:
                print(error)
            print(asyncio.create_task, asyncio.Task.__init__)
            print(type(asyncio.get_running_loop()).run_in_executor is asyncio.BaseEventLoop.run_in_executor)

        asyncio.run(main())
    """
    import re

    def neutral(text):
        return re.sub(r"0x[0-9a-f]+", "0x", text)

    on = execute(interpreter.path, program, "on")
    off = execute(interpreter.path, program, "off")
    assert neutral(on.stdout) == neutral(off.stdout)
    assert on.stderr == off.stderr == ""


def test_disabling_restores_everything(execute, interpreter):
    program = """
        import asyncio, _asyncio, ctypes, concurrent.futures.thread, sys, threading, warnings

        class Early(asyncio.Task):
            pass

        def state():
            word = lambda obj, offset: ctypes.c_size_t.from_address(id(obj) + offset).value
            slots = [word(kind, 296) for kind in (_asyncio.Task, *_asyncio.Task.__subclasses__())]
            return (slots, word(_asyncio.Task.__init__, 48), concurrent.futures.thread._WorkItem,
                    warnings._warn_unawaited_coroutine, sys.gettrace(), sys.getprofile(),
                    sys.get_coroutine_origin_tracking_depth(), threading.active_count())

        before = state()
        import async_trace
        from async_trace import enable_tracing, disable_tracing
        assert state() != before

        class Late(asyncio.Task):
            pass

        async def leaf():
            pass

        async def main():
            await asyncio.create_task(leaf())
            disable_tracing()
            await asyncio.create_task(leaf())
            enable_tracing()
            enable_tracing()
            await asyncio.create_task(leaf())
            threads = [threading.Thread(target=f) for f in [enable_tracing, disable_tracing] * 8]
            [t.start() for t in threads]
            [t.join() for t in threads]
            await asyncio.create_task(leaf())
            disable_tracing()
            disable_tracing()

        asyncio.run(main())
        after = state()
        del Late
        import gc; gc.collect()
        assert state() == before, (before, after)
        assert len(set(after[0])) == 1
        print("restored")
    """
    assert execute(interpreter.path, program).stdout == "restored\n"


def test_tracing_goes_on_in_a_forked_child(execute, interpreter):
    program = """
        import os, asyncio
        from async_trace import print_trace

        async def leaf():
            print_trace()

        async def main():
            await asyncio.create_task(leaf())

        if os.fork() == 0:
            asyncio.run(main())
            print(end="", flush=True)
            os._exit(0)
        status = os.wait()[1]
        print(status)
    """
    assert execute(interpreter.path, program).stdout == (
        "↑ leaf() at line 6 [app.py]\n  ↑ main() at line 9 [app.py]\n    ↑ Task-1\n0\n"
    )


def test_other_interpreters_of_the_process_are_left_alone(execute, interpreter):
    program = """
        import sys, asyncio
        import async_trace
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        inside = '''
        import asyncio
        async def leaf(): await asyncio.sleep(0)
        async def main():
            task = asyncio.create_task(leaf())
            assert task._source_traceback is None
            await task
        asyncio.run(main())
        try:
            import async_trace
            async_trace.enable_tracing()
        except (ImportError, RuntimeError) as error:
            pass
        '''
        import textwrap
        other = interpreters.create()
        result = (interpreters.run_string if hasattr(interpreters, "run_string") else interpreters.exec)(
            other, textwrap.dedent(inside))
        assert result is None, result
        print("alone")
    """
    if interpreter.minor == "3.12":
        # Its own extension modules with state of the process refuse such interpreters: nothing to see.
        program = program.replace("interpreters.create()", "interpreters.create(isolated=False)")
    done = execute(interpreter.path, program)
    assert done.stdout == "alone\n", done.stderr


def test_an_unknown_layout_is_refused(execute, interpreter):
    program = """
        import sys, warnings
        import async_trace.debug
        from async_trace import _probe, _tracing
        original = _probe._stack
        _probe._stack = lambda: [(code + 8, lasti) for code, lasti in original()]
        try:
            _tracing.enable_tracing()
        except RuntimeError as error:
            print(error)
        import asyncio, async_trace
        async def main():
            async_trace.print_trace()
        asyncio.run(main())
    """
    done = execute(interpreter.path, program)
    first, *rest = done.stdout.splitlines()
    assert first == "async-trace cannot trace this interpreter: frames lie differently in this build of Python"
    assert rest == ["↑ main() at line 13 [app.py]", "  ↑ Task-1"]
