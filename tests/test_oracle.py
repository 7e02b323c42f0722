"""Everything `dump --json` says about a program in some seventy shapes of waiting is what it says of itself.

The program runs once for each interpreter and kind of loop, is read once, and each test below looks
at one aspect of all of its tasks. Nothing is tolerated: one wrong line is a failure.
"""

import ast
import json
import time
from pathlib import Path

import jsonschema
import pytest

from rig import interpreters, target, tool

HERE = Path(__file__).parent / "oracle"
SCHEMA = json.loads((interpreters.ROOT / "docs/schema/snapshot.schema.json").read_text())
CLOCK = 0.1  # seconds that a deadline may seem to move: clocks of a millisecond, and the reading itself


@pytest.fixture(scope="session", params=["asyncio", "uvloop", "debug"])
def oracle(request, interpreter, tmp_path_factory):
    """What the program knows of itself, what the tool says of it, and when it was read."""
    python = interpreters.with_uvloop(interpreter) if request.param == "uvloop" else interpreter.path
    facts = tmp_path_factory.mktemp("oracle") / "facts.json"
    flags = {"asyncio": [], "uvloop": ["--uvloop"], "debug": ["--debug"]}[request.param]
    with target.Target([python, HERE / "target.py", facts, *flags]) as program:
        target.wait_until(lambda: all_sleep(program.pid), "the witness sleeps too")
        before = time.monotonic()
        snapshot = tool.snapshot(program.pid)
        after = time.monotonic()
        unpaused = tool.snapshot(program.pid, "--no-pause")
        truth = json.loads(facts.read_text())
    return Reading(truth, snapshot, unpaused, before, after)


def all_sleep(pid):
    return all(target.thread_state(pid, task.name) == "S" for task in Path(f"/proc/{pid}/task").iterdir())


class Reading:
    """One program's truth and the tool's reading of it."""

    def __init__(self, truth, snapshot, unpaused, before, after):
        self.truth = truth
        self.snapshot = snapshot
        self.before = before
        self.after = after
        self.unpaused = unpaused
        self.read = {task["id"]: task for task in snapshot["tasks"]}
        self.shapes = {task["id"]: f"{task['shape']} ({task['name']})" for task in truth["tasks"]}

    def left(self, deadline):
        """The seconds that can be left until `deadline`, as (least, most)."""
        return deadline - self.after - CLOCK, deadline - self.before + CLOCK

    def compare_tasks(self, expected, actual):
        """Both functions of every task must return the same."""
        wrong = Differences()
        for task in self.truth["tasks"]:
            read = self.read.get(task["id"])
            if read is not None:
                wrong.compare(self.shapes[task["id"]], expected(task), actual(read))
        wrong.check()


class Differences:
    """Collects what is not as it should be, so that one run tells all of it."""

    def __init__(self):
        self.found = []

    def compare(self, what, expected, actual):
        if expected != actual:
            self.found.append(f"{what}\n      truth: {_show(expected)}\n      tool:  {_show(actual)}")

    def check(self):
        if self.found:
            pytest.fail(f"{len(self.found)} differences:\n" + "\n".join(f"  {each}" for each in self.found))


def _show(value):
    return json.dumps(value, ensure_ascii=False)


def within(limits, value):
    return value is not None and limits[0] <= value <= limits[1]


def test_the_process(oracle):
    process = oracle.snapshot["process"]
    assert (process["pid"], process["python"], process["asyncio"]) == (oracle.truth["pid"], oracle.truth["python"], True)
    capture = oracle.snapshot["capture"]
    assert (capture["source"], capture["consistency"]) == ("live", "paused")
    assert capture["pause_us"] > 0
    assert abs(capture["time_s"] - time.time()) < 3600


def test_a_sleeping_program_reads_the_same_without_a_pause(oracle):
    def lasting(value):
        """Without what changes with time."""
        passing = ("left_s", "timeout_s", "next_timer_s", "cpu_us", "turn_s")
        if isinstance(value, dict):
            return {key: lasting(inner) for key, inner in value.items() if key not in passing}
        return [lasting(inner) for inner in value] if isinstance(value, list) else value

    assert oracle.unpaused["capture"]["consistency"] == "unpaused"
    for part in oracle.snapshot.keys() - {"capture"}:
        assert lasting(oracle.unpaused[part]) == lasting(oracle.snapshot[part])


def test_the_json_keeps_to_its_schema(oracle):
    jsonschema.validate(oracle.snapshot, SCHEMA)


def test_nothing_was_unreadable(oracle):
    assert oracle.snapshot["problems"] == []


def test_every_living_task_is_listed_and_no_other(oracle):
    expected = {task["id"] for task in oracle.truth["tasks"]}
    listed = {task["id"] for task in oracle.snapshot["tasks"] if task["state"] != "done"}
    missing = sorted(oracle.shapes[each] for each in expected - listed)
    invented = sorted(oracle.read[each]["name"] for each in listed - expected)
    assert (missing, invented) == ([], [])
    assert {each["id"] for each in oracle.snapshot["tasks"] if each["state"] == "done"} <= set(oracle.truth["done"])
    assert len(oracle.read) == len(oracle.snapshot["tasks"]), "a task is listed twice"


def test_names_types_and_states(oracle):
    def printable(name):
        return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in name)

    oracle.compare_tasks(
        lambda task: [printable(task["name"]), task["type"], task["state"], task["cancelling"], task["loop"], task["thread"]],
        lambda read: [
            read["name"], read.get("type"), read["state"], read.get("cancelling", 0), read.get("loop"), read.get("thread"),
        ],
    )  # fmt: skip


def test_every_frame_of_every_chain(oracle):
    def frames(chain):
        return [[frame[key] for key in ("function", "file", "line", "kind")] for frame in chain]

    oracle.compare_tasks(lambda task: frames(task["chain"]), lambda read: frames(read["chain"]))


def test_what_every_task_waits_for(oracle):
    wrong = Differences()
    for task in oracle.truth["tasks"]:
        read = oracle.read.get(task["id"])
        if read is None:
            continue
        waits, said = task["waits"], read.get("waits_for")
        if waits is None or said is None:
            wrong.compare(oracle.shapes[task["id"]], waits, said)
            continue
        expected = dict(waits["target"])
        actual = {key: said["target"].get(key) for key in expected}
        if "file" in expected:
            actual["file"] = {key: (said["target"].get("file") or {}).get(key) for key in expected["file"]}
        if "deadline" in expected:
            del actual["deadline"]
            if within(oracle.left(expected.pop("deadline")), said["target"].get("left_s")):
                actual.pop("left_s", None)
            else:
                actual["left_s"] = said["target"].get("left_s")
        actual["kind"] = said["target"]["kind"]
        if waits["verb"] in ("wait", "as_completed", "task_group") and "pending" in expected:  # asyncio keeps sets
            expected["pending"].sort()
            actual["pending"] = sorted(actual["pending"] or [])
        expected = [expected, waits["verb"], waits["name"], waits["guessed"]]
        actual = [actual, said["verb"], said.get("name"), said["trust"] == "guessed"]
        if waits["name"] is None:  # a name is worth something for what has no other identity
            del expected[2], actual[2]
        wrong.compare(oracle.shapes[task["id"]], expected, actual)
    wrong.check()


def test_timeouts_around_waits(oracle):
    wrong = Differences()
    for task in oracle.truth["tasks"]:
        said = (oracle.read.get(task["id"]) or {}).get("waits_for") or {}
        deadline = (task["waits"] or {}).get("deadline")
        left = said.get("timeout_s")
        if deadline is None:
            wrong.compare(oracle.shapes[task["id"]], None, left)
        elif not within(oracle.left(deadline), left):
            wrong.compare(oracle.shapes[task["id"]], deadline - oracle.after, left)
    wrong.check()


def test_who_awaits_every_task(oracle):
    awaited = {}
    for task in oracle.truth["tasks"]:
        if task["waits"] and task["waits"]["target"]["kind"] == "tasks":
            for child in task["waits"]["target"]["pending"]:
                awaited.setdefault(child, []).append([task["id"], task["waits"]["verb"]])
    oracle.compare_tasks(
        lambda task: sorted(awaited.get(task["id"], [])),
        lambda read: sorted([each["task"], each["verb"]] for each in read.get("awaited_by", [])),
    )


def line_of_with(frame, name):
    """The line of the `with` around a frame's current line that takes what the source calls `name`."""
    for node in ast.walk(ast.parse(Path(frame["file"]).read_text())):
        if isinstance(node, (ast.With, ast.AsyncWith)) and node.lineno <= frame["line"] <= node.end_lineno:
            for item in node.items:
                if ast.unparse(item.context_expr) == name:
                    return node.lineno
    return None


def at(task, hold):
    return hold.get("through") or task["chain"][hold["frame"]]


def through(hold):
    frame = hold.get("through")
    return frame and {key: frame[key] for key in ("function", "file", "line")}


def test_what_every_task_holds(oracle):
    def expected(task):
        holds = (
            [hold["resource"], hold["frame"], hold["guessed"], hold["name"], hold["through"],
             line_of_with(hold["through"] or task["chain"][hold["frame"]], hold["name"])]
            for hold in task["holds"]
        )  # fmt: skip
        return sorted(holds, key=repr)

    def actual(read):
        holds = (
            [hold["resource"], hold["frame"], hold["trust"] == "guessed", hold.get("name"), through(hold),
             hold.get("taken_line") if line_of_with(at(read, hold), hold.get("name")) else None]
            for hold in read.get("holds", [])
        )  # fmt: skip
        return sorted(holds, key=repr)

    oracle.compare_tasks(expected, actual)


def test_the_with_blocks_that_every_task_is_inside_of(oracle):
    oracle.compare_tasks(
        lambda task: [[context["type"], context["frame"], context["id"]] for context in task["contexts"]],
        lambda read: [[context["type"], context["frame"], context["id"]] for context in read.get("contexts", [])],
    )


def test_where_tasks_were_created(oracle):
    def known(read):
        created = read.get("created")
        if created is None:
            return []
        assert created["kept_by"] == "debug_mode"
        return [[frame[key] for key in ("function", "file", "line")] for frame in created["stack"]]

    def expected(task):
        return [[frame[key] for key in ("function", "file", "line")] for frame in task["created"]]

    oracle.compare_tasks(expected, known)


def test_resources_their_state_waiters_and_holders(oracle):
    tasks = {task["id"]: task for task in oracle.truth["tasks"]}
    read = {resource["id"]: resource for resource in oracle.snapshot["resources"]}
    wrong = Differences()
    for known in oracle.truth["resources"]:
        resource = read.pop(known["id"], None)
        what = f"{known['kind']} {known['name'] or known['id']}"
        if resource is None:
            wrong.compare(what, known, None)
            continue
        wrong.compare(f"{what}: kind and type", [known["kind"], known["type"]], [resource["kind"], resource["type"]])
        state = {key: resource["state"].get(key) for key in known["state"]}
        wrong.compare(f"{what}: state", known["state"], state)
        wrong.compare(f"{what}: waiters", known["waiters"], resource.get("waiters", []))
        holders = []
        for holder in known["holders"]:
            chain = tasks[holder["task"]]["chain"]
            frame = holder["through"] or [each for each in chain if each["function"] == holder["at"]][-1]
            holders.append([holder["task"], frame["function"], frame["file"], frame["line"], holder["guessed"]])
        said = [
            [each.get("task"), *(each["at"][key] for key in ("function", "file", "line")), each["trust"] == "guessed"]
            for each in resource.get("holders", [])
        ]
        wrong.compare(f"{what}: holders", sorted(holders), sorted(said))
    for invented in read.values():
        wrong.compare(f"{invented['kind']} {invented['id']}", None, invented)
    wrong.check()


def test_event_loops(oracle):
    read = {loop["id"]: loop for loop in oracle.snapshot["loops"]}
    wrong = Differences()
    for known in oracle.truth["loops"]:
        loop = read.pop(known["id"], {})
        next_timer = known.pop("next_timer", None)
        wrong.compare(known["kind"], known, {key: loop.get(key) for key in known})
        if next_timer is not None and not within(oracle.left(next_timer), loop.get("next_timer_s")):
            wrong.compare(f"{known['kind']}: next timer", next_timer - oracle.after, loop.get("next_timer_s"))
        if loop.get("state") == "busy":
            ready = {task["id"] for task in oracle.truth["tasks"] if task["state"] == "ready"}
            wrong.compare("ready tasks", ready, {each.get("task") for each in loop.get("ready_callbacks", [])})
    wrong.compare("further loops", [], list(read.values()))
    wrong.check()


def test_every_frame_of_every_thread(oracle):
    def frames(stack):
        return [[frame[key] for key in ("function", "file", "line", "kind")] for frame in stack]

    read = {thread["tid"]: thread for thread in oracle.snapshot["threads"]}
    wrong = Differences()
    wrong.compare("first thread", oracle.truth["pid"], oracle.snapshot["threads"][0]["tid"])
    for known in oracle.truth["threads"]:
        thread = read.pop(known["tid"], None)
        if thread is None:
            wrong.compare(known["name"], known["tid"], None)
            continue
        wrong.compare("name", known["name"], thread["name"])
        wrong.compare(f"{known['name']}: state", "sleeping", thread["state"])
        wrong.compare(f"{known['name']}: loop", known["loop"], thread.get("loop"))
        if known["witness"]:  # it has gone on since: its last frame is known only by name
            wrong.compare(known["name"], "witness", thread["stack"][-1]["function"])
        else:
            wrong.compare(known["name"], frames(known["stack"]), frames(thread["stack"]))
    wrong.compare("further threads", [], list(read.values()))
    wrong.check()


def test_what_executor_threads_are_at(oracle):
    jobs = {}
    for task in oracle.truth["tasks"]:
        target_of = (task["waits"] or {}).get("target", {})
        if target_of.get("thread"):
            jobs[target_of["thread"]] = [target_of["future"], task["id"], target_of["function"], target_of["executor"]]
    said = {}
    for thread in oracle.snapshot["threads"]:
        job = thread.get("job")
        if job:
            said[thread["tid"]] = [job["future"], job.get("task"), job.get("function"), job.get("executor")]
    assert jobs == said
