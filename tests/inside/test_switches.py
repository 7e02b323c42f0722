"""The ways to switch tracing on, and what they do to the program: nothing else."""

import os
import subprocess
import sys

GUIDE = """
    import sys
    from async_trace.debug import debug_async_trace
    import asyncio

    async def main():
        debug_async_trace("here")
        print(sys.argv[1:])

    asyncio.run(main())
"""
SEEN = "🔍 here\n↑ main() at line 7 [app.py]\n"

# A program that knows nothing of async-trace: asyncio's own report tells whether it is traced.
UNCHANGED = """
    import asyncio, gc, os, sys

    async def fails():
        raise ValueError("lost")

    async def main():
        asyncio.create_task(fails())
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    print(sys.argv[1:], "ASYNC_TRACE" in os.environ)
"""
TRACED = 'Object created at (most recent call last):\n  File "app.py", line 8, in main'


def test_the_flag_is_recognised_and_taken_out(execute, interpreter):
    assert execute(interpreter.path, GUIDE, "a", "--async-trace", "-b").stdout == SEEN + "['a', '-b']\n"
    assert execute(interpreter.path, GUIDE, "a", "-b").stdout == "['a', '-b']\n"
    # What follows `--` belongs to somebody else.
    assert execute(interpreter.path, GUIDE, "--", "--async-trace").stdout == "['--', '--async-trace']\n"


def test_the_environment_decides(execute, interpreter):
    assert execute(interpreter.path, GUIDE, ASYNC_TRACE="1").stdout == SEEN + "[]\n"
    assert execute(interpreter.path, GUIDE, ASYNC_TRACE="0").stdout == "[]\n"
    both = "import async_trace\n" + GUIDE.replace("\n    ", "\n")
    assert "🔍 here" in execute(interpreter.path, both).stdout
    assert "🔍 here" not in execute(interpreter.path, both, ASYNC_TRACE="0").stdout


def test_using_the_package_switches_it_on_after_debug_was_imported(execute, interpreter):
    program = """
        import asyncio
        import async_trace.debug
        from async_trace._tracing import is_tracing
        assert not is_tracing()
        from async_trace import print_trace
        assert is_tracing()
        print(sorted(async_trace.__all__) == sorted(n for n in async_trace.__all__ if n in dir(async_trace)))
    """
    assert execute(interpreter.path, program).stdout == "True\n"


def test_the_guides_module_is_one_line(execute, interpreter, tmp_path):
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "async_debug.py").write_text("from async_trace.debug import *\n")
    program = GUIDE.replace("async_trace.debug", "utils.async_debug")
    assert execute(interpreter.path, program, "--async-trace").stdout == SEEN + "[]\n"


def test_argparse(execute, interpreter):
    program = """
        import argparse, asyncio
        from async_trace.arguments import add_argument, click_option

        parser = argparse.ArgumentParser()
        parser.add_argument("name")
        add_argument(parser)

        async def main(options):
            from async_trace.debug import debug_async_trace
            debug_async_trace(options.name)

        options = parser.parse_args()
        print(options)
        asyncio.run(main(options))
    """
    assert execute(interpreter.path, program, "x", "--async-trace").stdout == (
        "Namespace(name='x', async_trace=True)\n🔍 x\n↑ main() at line 11 [app.py]\n"
    )
    assert execute(interpreter.path, program, "x").stdout == "Namespace(name='x', async_trace=False)\n"


def test_click(execute, libraries):
    program = """
        import asyncio, click
        from async_trace.arguments import add_argument, click_option

        @click.command()
        @click.argument("name")
        @click_option()
        def main(name):
            from async_trace.debug import debug_async_trace

            async def work():
                debug_async_trace(name)

            asyncio.run(work())

        main()
    """
    assert execute(libraries, program, "x", "--async-trace").stdout == "🔍 x\n↑ work() at line 12 [app.py]\n"
    assert execute(libraries, program, "x").stdout == ""


def test_python_m(execute, interpreter, tmp_path):
    done = execute(interpreter.path, UNCHANGED, "a", "--b", command=["-m", "async_trace"])
    assert TRACED in done.stderr
    assert done.stdout == "['a', '--b'] True\n"
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text("print(__name__, __package__)\n")
    done = execute(interpreter.path, "", command=["-m", "async_trace", "-m", "package"])
    assert done.stdout == "__main__ package\n"


def async_trace_run(package, python, tmp_path, *command, **environment):
    from conftest import clean_environment

    done = subprocess.run(
        [python, "-c", "import sys; from async_trace.__main__ import main; sys.exit(main())", "run", "--", *command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=tmp_path,
        timeout=60,
        env=clean_environment(package, **environment),
    )
    done.stderr = done.stderr.replace(str(tmp_path) + os.sep, "")
    return done


def write(tmp_path, source, name="app.py"):
    import textwrap

    (tmp_path / name).write_text(textwrap.dedent(source))
    return str(tmp_path / name)


def test_run_needs_no_change_of_the_program(package, interpreter, tmp_path):
    path = write(tmp_path, UNCHANGED)
    done = async_trace_run(package, interpreter.path, tmp_path, interpreter.path, path, "x")
    assert done.returncode == 0
    assert TRACED in done.stderr
    assert done.stdout == "['x'] True\n"


def test_run_reaches_children_and_workers(package, interpreter, tmp_path):
    path = write(tmp_path, UNCHANGED)
    parent = write(
        tmp_path,
        f"""
        import multiprocessing, subprocess, sys, runpy

        def work():
            runpy.run_path({path!r}, run_name="__main__")

        if __name__ == "__main__":
            for method in ("spawn", "fork"):
                child = multiprocessing.get_context(method).Process(target=work)
                child.start()
                child.join()
            subprocess.run([sys.executable, {path!r}], check=True)
        """,
        "parent.py",
    )
    done = async_trace_run(package, interpreter.path, tmp_path, interpreter.path, parent)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(TRACED) == 3


def test_run_leaves_the_programs_own_sitecustomize_in_place(package, interpreter, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("print('own sitecustomize')\n")
    path = write(tmp_path, "import sys; print([p for p in sys.path if 'async_trace' in p], 'asyncio' in sys.modules)")
    done = async_trace_run(
        package,
        interpreter.path,
        tmp_path,
        interpreter.path,
        path,
        PYTHONPATH=os.pathsep.join([package, str(tmp_path / "site")]),
    )
    assert done.stdout == "own sitecustomize\n[] False\n"


def test_run_says_what_is_wrong(package, interpreter, tmp_path):
    done = async_trace_run(package, interpreter.path, tmp_path, "no-such-program")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        "error: no-such-program cannot be started: No such file or directory [command-not-started]\nhint: "
    )


def test_the_command_of_the_wheel(package):
    from conftest import clean_environment

    done = subprocess.run(
        [sys.executable, "-m", "async_trace", "--version"],
        capture_output=True,
        text=True,
        env=clean_environment(package),
    )
    assert done.stdout == "async-trace 0.2.0\n", done.stderr
