"""`record`, and what `report` and `diff` make of a recording: each export is read by a parser of its format."""

import json
import re
import shutil
import signal
import subprocess
import xml.etree.ElementTree as ElementTree

import jsonschema
import pytest

from rig import interpreters, target, tool

EXAMPLES = interpreters.ROOT / "examples"
SCHEMAS = interpreters.ROOT / "docs/schema"
NAMES = ["deadlock_two_locks", "blocked_loop_sleep", "task_leak", "busy_server"]
RATE = 20
FRAME = 9


def start(name, interpreter):
    program = target.Target([interpreter.path, EXAMPLES / f"{name}.py"], cwd=EXAMPLES)
    if name == "blocked_loop_sleep":
        target.wait_blocked(program)
    return program


def record(path, *args, **kwargs):
    """Records, and returns what was said about it."""
    result = tool.run("record", *args, "-o", path, **kwargs)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    return result.stderr


def report(path, form, *args):
    result = tool.run("report", path, "--format", form, *args, "--color", "never")
    assert result.returncode == 0, result.stderr
    return result.stdout


def seconds(text):
    """The microseconds of folded stacks that end in this leaf, in seconds."""
    return {
        stack: int(count) / 1e6
        for stack, _, count in (line.rpartition(" ") for line in text.splitlines())
    }


@pytest.fixture(scope="module", params=NAMES)
def recording(request, some_interpreter, tmp_path_factory):
    """A recording of one of the examples: its name, its file."""
    path = tmp_path_factory.mktemp("record") / f"{request.param}.recording"
    with start(request.param, some_interpreter) as program:
        said = record(path, program.pid, "-d", "1.5s", "--rate", RATE)
    assert re.match(r"[\d,]+ samples? of up to [\d,]+ tasks? in 1\.\d s: [\d,.]+ (bytes|kB) in ", said), said
    return request.param, path


def test_folded_stacks(recording):
    name, path = recording
    text = report(path, "folded")
    assert all(re.fullmatch(r"\S.* \d+", line) for line in text.splitlines()), text
    stacks = seconds(text)
    if name == "deadlock_two_locks":
        waits = [s for stack, s in stacks.items() if stack.startswith("transfer ") and stack.endswith("[Lock account.lock]")]
        assert len(waits) == 1 and 2.5 < waits[0] < 4.5, text
    if name == "task_leak":
        assert sum(s for stack, s in stacks.items() if "send_updates" in stack and "Queue" in stack) > 100, text
    busy = seconds(report(path, "folded", "--of", "busy"))
    if name == "blocked_loop_sleep":
        assert sum(s for stack, s in busy.items() if "checkout" in stack) > 1.2, busy
    if name == "deadlock_two_locks":
        assert busy == {}


@pytest.mark.parametrize("of", ["waiting", "busy"])
def test_flame_graph_is_svg(recording, of, tmp_path):
    name, path = recording
    out = tmp_path / "flame.svg"
    assert report(path, "flamegraph", "--of", of, "-o", out) == ""
    root = ElementTree.parse(out).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    expected = {"deadlock_two_locks": "[Lock account.lock]", "task_leak": "send_updates"}.get(name, "")
    assert any(expected in title for title in titles if title) or of == "busy", titles


def test_speedscope(recording):
    _, path = recording
    file = json.loads(report(path, "speedscope"))
    assert file["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    frames = file["shared"]["frames"]
    assert all(frame["name"] for frame in frames)
    assert len(file["profiles"]) == 2 and file["activeProfileIndex"] == 0
    for profile in file["profiles"]:
        assert profile["type"] == "sampled" and profile["unit"] == "seconds"
        assert len(profile["samples"]) == len(profile["weights"])
        assert all(0 <= place < len(frames) for sample in profile["samples"] for place in sample)
        assert all(weight >= 0 for weight in profile["weights"])
        assert abs(profile["endValue"] - profile["startValue"] - sum(profile["weights"])) < 1e-6


def test_trace_is_well_formed(recording):
    name, path = recording
    events = json.loads(report(path, "perfetto"))["traceEvents"]
    now, open_slices, flows, names = 0, {}, {}, {}
    for event in events:
        track = (event["pid"], event["tid"])
        if event["ph"] == "M":
            names[track] = event["args"]["name"]
            continue
        assert event["ts"] >= now, "times go forward"
        now = event["ts"]
        depth = open_slices.setdefault(track, 0)
        if event["ph"] == "B":
            assert depth == 0 and event["name"], event
            open_slices[track] = 1
        elif event["ph"] == "E":
            assert depth == 1, "an end has a beginning"
            open_slices[track] = 0
        elif event["ph"] in "sf":
            assert depth == 1, "an arrow is bound to a slice"
            ends = flows.setdefault(event["id"], [])
            ends.append(event["ph"])
            assert event["ph"] == "s" or event["bp"] == "e"
        else:
            assert event["ph"] == "C" and event["args"]["value"] >= 0, event
    assert not any(open_slices.values()), "a beginning has an end"
    assert all(ends == ["s", "f"] for ends in flows.values())
    tasks = {words for words in names.values() if words.startswith("task ")}
    if name == "deadlock_two_locks":
        assert {"task alice-pays-bob", "task bob-pays-alice"} <= tasks
        assert len(flows) >= 2
    if name == "task_leak":
        assert len(tasks) > 100


def test_latency(recording):
    name, path = recording
    latency = json.loads(report(path, "latency", "--json"))
    jsonschema.validate(latency, json.loads((SCHEMAS / "latency.schema.json").read_text()))
    assert abs(sum(bucket["seconds"] for bucket in latency["buckets"]) - latency["observed_s"]) < 1e-6
    text = report(path, "latency")
    assert max(map(len, text.splitlines())) <= 80
    if name == "blocked_loop_sleep":
        assert latency["busy_s"] == latency["observed_s"] and latency["longest_turn_s"] > 1
        assert "busy 100 %" in text
    if name == "deadlock_two_locks":
        assert latency["idle_s"] == latency["observed_s"]
        assert "idle 100 %" in text


def test_sites(recording):
    name, path = recording
    timeline = json.loads(report(path, "sites", "--json"))
    jsonschema.validate(timeline, json.loads((SCHEMAS / "sites.schema.json").read_text()))
    columns = [timeline[key] for key in ("times_s", "tasks", "ready", "busy", "lag_s")]
    columns += [site["counts"] for site in timeline["sites"]]
    assert len({len(column) for column in columns}) == 1
    assert timeline["times_s"] == sorted(timeline["times_s"])
    text = report(path, "sites")
    assert max(map(len, text.splitlines())) <= 80
    assert {"task_leak": "send_updates", "busy_server": "client"}.get(name, "main") in text


def test_diff_of_the_ends_of_a_recording(recording):
    name, path = recording
    result = tool.run("diff", path, "--json")
    assert result.returncode == 0, result.stderr
    comparison = json.loads(result.stdout)
    jsonschema.validate(comparison, json.loads((SCHEMAS / "diff.schema.json").read_text()))
    assert comparison["same_process"] and 0.5 < comparison["interval_s"] < 3
    stuck = {task["name"] for group in comparison["stuck"] for task in group["tasks"]}
    if name == "deadlock_two_locks":
        assert {"alice-pays-bob", "bob-pays-alice", "statement"} <= stuck
        assert not comparison["moved"] and not comparison["new"] and not comparison["gone"]
    if name == "busy_server":
        assert comparison["moved"] or comparison["new"]
    text = tool.run("diff", path, "--color", "never").stdout
    assert max(map(len, text.splitlines())) <= 80, text


def test_diff_of_a_snapshot_and_a_process(some_interpreter, tmp_path):
    with start("deadlock_two_locks", some_interpreter) as program:
        target.wait_idle(program)
        before = tmp_path / "before.json"
        before.write_text(tool.run("dump", program.pid, "--json").stdout)
        text = tool.run("diff", before, program.pid, "--color", "never").stdout
        with start("task_leak", some_interpreter) as other:
            two = tool.run("diff", program.pid, other.pid, "--color", "never").stdout
    assert re.search(r"at the same wait in both: 4 tasks\n• ", text), text
    assert "new: none" in text and "gone: none" in text
    assert "These are two processes" in two and re.search(r"\n +0 +\d+ +\+\d+  send_updates", two), two
    (tmp_path / "not.json").write_text('{"tasks": 7}')
    assert tool.failure("diff", tmp_path / "not.json", before)[0] == "not-a-snapshot"


def test_a_recording_that_is_cut_off_can_be_read(recording, tmp_path):
    _, path = recording
    whole = path.read_bytes()
    frames, at = [], 10
    while at < len(whole):
        at += FRAME + int.from_bytes(whole[at : at + 4], "little")
        frames.append(at)
    assert at == len(whole)
    cut = tmp_path / "cut.recording"
    for end in (frames[1], frames[3] - 1, frames[3] + 5):
        cut.write_bytes(whole[:end])
        result = tool.run("report", cut, "--format", "latency", "--json")
        assert result.returncode == 0, result.stderr
        samples = sum(bucket["samples"] for bucket in json.loads(result.stdout)["buckets"])
        assert samples == sum(1 for frame in frames[1:] if frame <= end)
        assert "is cut off; what is before the cut was read" in result.stderr
    damaged = bytearray(whole)
    damaged[frames[2] + FRAME + 1] ^= 0xFF
    cut.write_bytes(damaged)
    result = tool.run("report", cut, "--format", "latency", "--json")
    assert result.returncode == 0 and "its checksum is wrong" in result.stderr
    cut.write_bytes(whole[: frames[0]])
    assert tool.failure("report", cut, "--format", "folded")[0] == "empty-recording"


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_a_whole_file(some_interpreter, tmp_path, asked):
    path = tmp_path / "a.recording"
    with start("deadlock_two_locks", some_interpreter) as program:
        command = [tool.binary(), "record", str(program.pid), "-o", str(path), "--rate", str(RATE)]
        recorder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        target.wait_until(lambda: path.exists() and path.stat().st_size > 1000, "there are samples")
        recorder.send_signal(asked)
        out, said = recorder.communicate(timeout=20)
    assert recorder.returncode == 0 and out == "" and " samples of up to 4 tasks in " in said
    result = tool.run("report", path, "--format", "folded")
    assert result.returncode == 0 and result.stderr == "" and "Lock account.lock" in result.stdout


def test_the_end_of_the_target_ends_it(some_interpreter, tmp_path):
    path = tmp_path / "a.recording"
    with start("deadlock_two_locks", some_interpreter) as program:
        command = [tool.binary(), "record", str(program.pid), "-o", str(path), "--rate", str(RATE)]
        recorder = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        target.wait_until(lambda: path.exists() and path.stat().st_size > 1000, "there are samples")
        program.process.kill()
        program.process.wait()
        _, said = recorder.communicate(timeout=20)
    assert recorder.returncode == 0 and " samples of up to 4 tasks in " in said
    assert tool.run("report", path, "--format", "latency").stderr == ""


PROGRAM = """
import asyncio, sys
print("hello", sys.argv[1:], sys.stdin.read())
async def main():
    for _ in range(12):
        await asyncio.sleep(0.05)
    sys.exit(7)
asyncio.run(main())
"""


@pytest.mark.parametrize("launcher", [[], ["sh", "-c", '"$@"; exit $?', "sh"]])
def test_a_command_is_started_recorded_and_passed_through(some_interpreter, tmp_path, launcher):
    path = tmp_path / "a.recording"
    command = [*launcher, str(some_interpreter.path), "-c", PROGRAM, "--flag", "x"]
    result = subprocess.run(
        [tool.binary(), "record", "-o", str(path), "--rate", "50", "--", *command],
        input="input", capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 7, result.stderr
    assert result.stdout == "hello ['--flag', 'x'] input\n"
    assert re.search(r"samples of up to 1 task in ", result.stderr), result.stderr
    assert "main (<string>" in report(path, "folded")


MOTION = """
import asyncio, os
async def red():
    await asyncio.Event().wait()
async def blue():
    await asyncio.Queue().get()
async def green():
    await asyncio.sleep(60)
async def inner(lock):
    async with lock:
        await asyncio.Event().wait()
async def deep():
    await inner(asyncio.Lock())
async def parked(event):
    await event.wait()
async def spawner(n, rest):
    while True:
        function = [red, blue, green, deep][n % 4]
        task = asyncio.create_task(function(), name=f"{function.__name__}-{n}")
        n += 101
        await asyncio.sleep(rest)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            pass
async def main():
    event = asyncio.Event()
    tasks = [asyncio.create_task(parked(event), name=f"parked-{n}") for n in range(200)]
    tasks += [asyncio.create_task(spawner(n, rest)) for n, rest in enumerate([0, 0.001, 0.003, 0.01, 0.02])]
    await asyncio.sleep(0)
    print("READY", os.getpid(), flush=True)
    await asyncio.gather(*tasks)
asyncio.run(main())
"""
WAITS = {"red": "Event", "blue": "get from Queue", "green": "sleep", "deep": "Event"}


@pytest.mark.parametrize("option", [[], ["--pause"]])
def test_tasks_that_come_and_go_are_not_taken_for_each_other(interpreter, tmp_path, option):
    # Their memory is used again and again; a sample keeps what the one before it knew of the others.
    path = tmp_path / "motion.recording"
    with target.Target([interpreter.path, "-c", MOTION]) as program:
        record(path, program.pid, "-d", "2s", "--rate", "50", *option)
    tracks, slices = {}, {}
    for event in json.loads(report(path, "perfetto"))["traceEvents"]:
        track = (event["pid"], event["tid"])
        if event["ph"] == "M":
            tracks[track] = event["args"]["name"]
        elif event["ph"] == "B":
            slices.setdefault(track, []).append((event["name"], event.get("args", {}).get("chain", "")))
    seen = set()
    for track, name in tracks.items():
        kind = name.removeprefix("task ").rpartition("-")[0]
        if kind == "parked":
            assert len(slices[track]) == 1 and slices[track][0][0] == "Event event", (name, slices[track])
        for wait, chain in slices[track] if kind in WAITS else []:
            assert wait in (WAITS[kind], "ready, waits for the loop", "running"), (name, wait, chain)
            assert not chain or chain.startswith(f"{kind} ("), (name, wait, chain)
        seen.add(kind)
    assert seen >= {*WAITS, "parked"} and sum(name.startswith("task parked-") for name in tracks.values()) == 200


def test_a_second_recording_of_the_same_name_replaces_the_first(some_interpreter, tmp_path):
    with start("deadlock_two_locks", some_interpreter) as program:
        for _ in range(2):
            result = tool.run("record", program.pid, "-d", "200ms", cwd=tmp_path)
            assert result.returncode == 0, result.stderr
        assert [path.name for path in tmp_path.iterdir()] == [f"{program.pid}.recording"]


def test_what_cannot_be_written_is_said(some_interpreter, tmp_path):
    with start("deadlock_two_locks", some_interpreter) as program:
        code, text = tool.failure("record", program.pid, "-d", "1s", "-o", tmp_path / "no" / "dir")
        assert code == "file" and "cannot write" in text
        path = tmp_path / "a.recording"
        record(path, program.pid, "-d", "200ms")
        code, text = tool.failure("report", path, "--format", "folded", "-o", "/dev/full")
        assert code == "file" and "No space left" in text
        assert tool.failure("record", program.pid, "-d", "5s", "-o", "/dev/full")[0] == "file"


def test_wait_graph_as_dot(some_interpreter, tmp_path):
    if shutil.which("dot") is None:
        if interpreters.required():
            pytest.fail("graphviz is required here")
        pytest.skip("graphviz was not found")
    with start("deadlock_two_locks", some_interpreter) as program:
        target.wait_idle(program)
        text = tool.run("dump", program.pid, "--format", "dot").stdout
        mermaid = tool.run("dump", program.pid, "--format", "mermaid").stdout
    graph = json.loads(subprocess.run(["dot", "-Tjson"], input=text, capture_output=True, text=True, check=True).stdout)
    names = {node["_gvid"]: node["label"].split("\\n") for node in graph["objects"]}
    ring = [edge for edge in graph["edges"] if edge["label"].startswith("DEADLOCK: ")]
    after = {edge["tail"]: edge["head"] for edge in ring}
    node = next(n for n, lines in names.items() if "task alice-pays-bob" in lines)
    path = [node]
    while (node := after[node]) != path[0]:
        path.append(node)
    assert [names[n][1] for n in path] == [
        "task alice-pays-bob", "Lock account.lock", "task bob-pays-alice", "Lock account.lock"
    ]  # fmt: skip
    assert mermaid.count("==>") == 4 and "flowchart LR" in mermaid


def test_a_page_about_a_recording_shows_what_was_before(recording, tmp_path):
    name, path = recording
    page = tmp_path / "report.html"
    result = tool.run("report", path, "-o", page)
    assert result.returncode == 0, result.stderr
    found = "1 finding" if name in ("deadlock_two_locks", "blocked_loop_sleep") else "task"
    assert result.stderr.startswith(f"{page}: ") and found in result.stderr, result.stderr
    data = json.loads(re.search(r'<script[^>]*application/json[^>]*>(.*?)</script>', page.read_text(), re.S).group(1))
    times = data["timeline"]["times_s"]
    assert len(times) >= 10 and times == sorted(times) and 1 < times[-1] - times[0] < 3
