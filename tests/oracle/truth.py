"""What is true of this process, said by itself: the tests compare it with what the tool reads.

The program's own loops wait; a *witness* thread looks at them while they do, so what it writes down
is what stands in memory when the tool comes. Shapes say what only they can know (who holds what, by
which name); ids, chains, lines, stacks and states are looked up.
"""

import asyncio
import collections
import gc
import json
import os
import sys
import threading
import time
import types

VERSION = sys.version_info[:2]
QUALIFIED = VERSION >= (3, 11)  # older code objects know their bare name only


def type_name(obj):
    """`module.Qualified.Name` of an object's type."""
    cls = type(obj)
    return f"{cls.__module__}.{cls.__qualname__}"


class Expected:
    """What is known of one task."""

    def __init__(self, task, shape):
        self.task = task
        self.shape = shape
        self.name = None
        self.waits = None
        self.holds = []
        self.contexts = []
        self.state = "waiting"


class Truth:
    """Collects what the shapes know."""

    def __init__(self):
        self.tasks = {}
        self.resources = {}
        self.shape = "main"
        self.jobs = {}
        self.kept = []
        self.loops = []
        self.unread_loops = []
        self.forever = None

    # What shapes say.

    def task(self, coro, name=None, cls=None, **kwargs):
        """Makes a task and takes it into the books."""
        loop = asyncio.get_running_loop()
        if name is None:
            name = f"{self.shape}-{len(self.tasks)}"
        if cls is None and not kwargs:
            made = loop.create_task(coro)
            made.set_name(name)
        else:
            made = (cls or asyncio.Task)(coro, loop=loop, name=name, **kwargs)
        return self.know(made)

    def know(self, task):
        """Takes a task that was made elsewhere into the books."""
        self.tasks[task] = Expected(task, self.shape)
        return task

    def made_inside(self, coroutine_name):
        """The task that a library function made for `coroutine_name` and that is not known yet."""
        for task in asyncio.all_tasks():
            if task not in self.tasks and task.get_coro().__qualname__.split(".")[-1] == coroutine_name:
                return self.know(task)
        raise LookupError(coroutine_name)

    async def settle(self, *also):
        """Lets all known tasks of this loop run until they are parked."""

        mine = asyncio.get_running_loop()

        def parked(task):
            if task.done() or task.get_loop() is not mine or task is asyncio.current_task():
                return True
            return task._fut_waiter is not None and not task._fut_waiter.done()

        while not (all(map(parked, self.tasks)) and all(condition() for condition in also)):
            await asyncio.sleep(0)

    def waits(self, task, target, verb="await", name=None, guessed=False, deadline=None):
        """`task` waits for `target` by a call of that kind."""
        self.tasks[task].waits = {
            "target": target, "verb": verb, "name": name, "guessed": guessed, "deadline": deadline,
        }  # fmt: skip
        resource = target.get("id") if target["kind"] == "resource" else target.get("executor")
        if resource is not None:
            waiters = self.resources[id(resource)]["waiters"]
            if task not in waiters:
                waiters.append(task)

    def holds(self, task, resource, at, name=None, guessed=False, through=None):
        """`task` holds `resource`, taken in its frame `at`, or by way of a suspended generator that this frame has."""
        if through is not None:
            frame = through.ag_frame if hasattr(through, "ag_frame") else through.gi_frame
            code = frame.f_code
            through = {"function": through.__qualname__, "file": code.co_filename, "line": frame.f_lineno}
        hold = {"resource": resource, "at": at, "name": name, "guessed": guessed, "through": through}
        self.tasks[task].holds.append(hold)

    def inside(self, task, manager, at, name=None):
        """`task` is inside of another `with` block of its frame `at`."""
        self.tasks[task].contexts.append({"id": manager, "at": at, "type": name or type_name(manager)})

    def resource(self, obj, kind, **state):
        """Takes a lock, queue, … into the books; returns it as something to wait for."""
        known = self.resources.get(id(obj))
        if known is None:
            self.kept.append(obj)
            known = {"id": obj, "kind": kind, "type": type_name(obj), "state": {}, "waiters": [], "name": None}
            self.resources[id(obj)] = known
        known["state"].update(state)
        return {"kind": "resource", "id": obj}

    def record_jobs(self, executor):
        """Remembers the future of every job given to `executor`, by its function."""
        submit = executor.submit

        def recording(function, *args, **kwargs):
            future = submit(function, *args, **kwargs)
            self.jobs.setdefault(executor, []).append(future)
            return future

        executor.submit = recording
        self.kept.append(executor)
        return self.jobs.setdefault(executor, [])

    # What is looked up.

    def write(self, path):
        """Writes everything down. The witness calls this while the loops wait."""
        alive = set()
        for loop in self.loops:
            alive |= {task for task in _all_tasks(loop) if not task.done()}
        # Pure-Python tasks are in no list of the C ones from 3.14 on.
        alive |= {task for task in self.tasks if not task.done()}
        unsaid = [t for t in alive if t not in self.tasks or (self._parked(t) and not self.tasks[t].waits)]
        assert not unsaid, unsaid
        names = _function_names()
        stacks = {ident: _stack(frame, names) for ident, frame in sys._current_frames().items()}
        facts = {
            "pid": os.getpid(),
            "python": ".".join(map(str, sys.version_info[:3])),
            "tasks": [self._task(self.tasks[task], names) for task in alive],
            "done": [task for task in self.tasks if task.done()],
            "resources": [self._resource(known) for known in self.resources.values()],
            "loops": [_loop(loop) for loop in self.loops],
            "threads": [_thread(thread, stacks) for thread in threading.enumerate()],
        }
        with open(path + ".new", "w") as file:
            json.dump(facts, file, default=lambda obj: hex(id(obj)))
        os.rename(path + ".new", path)

    def _parked(self, task):
        return self.tasks[task].state == "waiting"

    def _task(self, expected, names):
        task = expected.task
        chain = _chain(task, names)

        def frame(function):
            found = [n for n, each in enumerate(chain) if each["function"] == function]
            assert found, (function, chain)
            return found[-1]

        loop = task.get_loop()
        return {
            "shape": expected.shape,
            "id": task,
            "name": expected.name or task.get_name(),
            "type": None if type(task) is asyncio.Task else type_name(task),
            "state": expected.state,
            "cancelling": task.cancelling() if VERSION >= (3, 11) else 0,
            "loop": loop,
            "thread": _native_id(loop),
            "chain": chain,
            "waits": expected.waits,
            "holds": [{**hold, "frame": frame(hold["at"])} for hold in expected.holds],
            "contexts": [{**context, "frame": frame(context["at"])} for context in expected.contexts],
            "created": [
                {"function": entry.name, "file": entry.filename, "line": entry.lineno}
                for entry in task._source_traceback or ()
            ],
        }

    def _resource(self, known):
        obj = known["id"]
        holders = []
        for expected in self.tasks.values():
            for hold in expected.holds:
                if hold["resource"] is obj:
                    holder = {key: hold[key] for key in ("at", "guessed", "through")}
                    holders.append({"task": expected.task, **holder})
        return {**known, "holders": holders}


def _all_tasks(loop):
    while True:
        try:
            return asyncio.all_tasks(loop)
        except RuntimeError:
            continue  # 3.9 to 3.11 walk a WeakSet that a collection may change meanwhile


def _native_id(loop):
    for thread in threading.enumerate():
        if thread.ident == _idents[loop]:
            return thread.native_id
    return None


_idents = {}


def note_loop(loop):
    """Remembers which thread runs `loop` (uvloop does not tell)."""
    _idents[loop] = threading.get_ident()


def _loop(loop):
    facts = {
        "id": loop,
        "kind": type_name(loop),
        "thread": _native_id(loop),
        "state": "busy" if asyncio.current_task(loop) else "idle",
        "task": asyncio.current_task(loop),
        "debug": loop.get_debug(),
    }
    if isinstance(loop, asyncio.SelectorEventLoop):  # uvloop keeps these to itself
        timers = [handle for handle in loop._scheduled if not handle._cancelled]
        facts.update(
            ready=len(loop._ready),
            timers=len(timers),
            next_timer=min((handle.when() for handle in timers), default=None),
            watched_fds=len(loop._selector.get_map()) - 1,
            executor=loop._default_executor,
        )
    return facts


def _thread(thread, stacks):
    running = [loop for loop, ident in _idents.items() if ident == thread.ident]
    return {
        "tid": thread.native_id,
        "name": thread.name,
        "stack": stacks[thread.ident],
        "loop": running[0] if running else None,
        "witness": thread is threading.current_thread(),
    }


# Frames.


def _function_names():
    """The qualified name of every function by its code, for interpreters whose code does not know it."""
    if QUALIFIED:
        return {}
    return {each.__code__: each.__qualname__ for each in gc.get_objects() if isinstance(each, types.FunctionType)}


_COROUTINE, _GENERATOR, _ASYNC_GENERATOR = 0x80, 0x20, 0x200


def _entry(frame, names):
    code = frame.f_code
    if code.co_flags & _COROUTINE:
        kind = "coroutine"
    elif code.co_flags & _ASYNC_GENERATOR:
        kind = "async_generator"
    elif code.co_flags & _GENERATOR:
        kind = "generator"
    else:
        kind = "function"
    if QUALIFIED:
        function = code.co_qualname
    else:
        function = code.co_name if kind == "function" else names.get(code, code.co_name)
    return {"function": function, "file": code.co_filename, "line": frame.f_lineno, "kind": kind}


def _stack(frame, names):
    entries = []
    while frame is not None:
        entries.append(_entry(frame, names))
        frame = frame.f_back
    return entries[::-1]


_THROUGH = {"coroutine_wrapper", "async_generator_asend", "async_generator_athrow", "anext_awaitable"}


def _chain(task, names):
    """Every frame from the task's coroutine inwards."""
    coro = task.get_coro()
    if asyncio.current_task(task.get_loop()) is task:
        return _running_chain(task, coro, names)
    chain = []
    hop = coro
    while hop is not None and not asyncio.isfuture(hop):
        if isinstance(hop, types.CoroutineType):
            frame, following = hop.cr_frame, hop.cr_await
        elif isinstance(hop, types.GeneratorType):
            frame, following = hop.gi_frame, hop.gi_yieldfrom
        elif isinstance(hop, types.AsyncGeneratorType):
            frame, following = hop.ag_frame, hop.ag_await
        elif type(hop).__module__.startswith("_cython"):
            if hasattr(hop, "cr_await"):
                chain.append({"function": hop.__qualname__, "file": "", "line": 0, "kind": "native"})
                hop = hop.cr_await
            else:
                hop = _behind(hop)
            continue
        elif type(hop).__name__ in _THROUGH or type(hop).__name__ == "FutureIter":
            hop = _behind(hop)
            continue
        else:
            chain.append({"function": type_name(hop), "file": "", "line": 0, "kind": "awaitable"})
            break
        entry = _entry(frame, names)
        entry["function"] = hop.__qualname__
        chain.append(entry)
        hop = following
    return chain


def _behind(wrapper):
    """What a C object that Python shows nothing of is an iterator over."""
    inner = [
        each
        for each in gc.get_referents(wrapper)
        if isinstance(each, (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType))
        or asyncio.isfuture(each)
        or type(each).__name__ in _THROUGH
        or type(each).__module__.startswith("_cython")
    ]
    return inner[0] if inner else None


def _running_chain(task, coro, names):
    ident = _idents[task.get_loop()]
    frame = sys._current_frames()[ident]
    entries = []
    while frame is not None:
        entries.append(_entry(frame, names))
        if frame is coro.cr_frame:
            return entries[::-1]
        frame = frame.f_back
    raise AssertionError("the running coroutine is not on its thread's stack")


# The witness.


def asleep_in(tid, *numbers):
    """Whether a thread of this process sleeps in one of these system calls."""
    with open(f"/proc/self/task/{tid}/syscall") as file:
        return file.read().split()[0] in map(str, numbers)


SELECTING = (232, 281, 441)  # epoll_wait, epoll_pwait, epoll_pwait2


def witness(truth, path, settled):
    """Writes the truth once every loop sleeps, says READY, and waits to be told to end."""
    settled.wait()
    deadline = time.monotonic() + 30
    while not all(asleep_in(_native_id(loop), *SELECTING) for loop in truth.loops if loop not in truth.unread_loops):
        if time.monotonic() > deadline:
            os._exit(3)
        time.sleep(0.001)
    try:
        truth.write(path)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(4)
    os.write(1, b"READY %d\n" % os.getpid())
    os.read(0, 1)
    os._exit(0)


Shape = collections.namedtuple("Shape", "name since run")
SHAPES = []


def shape(function=None, *, since=(3, 9)):
    """Registers one shape of waiting; its function makes the tasks and says what is true of them."""

    def register(function):
        SHAPES.append(Shape(function.__name__, since, function))
        return function

    return register(function) if function else register
