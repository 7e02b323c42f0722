"""`report`: the page, of real processes, in a real headless Chromium.

ASYNC_TRACE_PICTURES names a directory that keeps screenshots, to be looked at.
"""

import json
import json
import os

import pytest

from rig import browser as rig_browser
from rig import interpreters, target, tool
from test_examples import EXAMPLES, start

PARKED = interpreters.ROOT / "bench" / "outside" / "targets" / "parked.py"
HOSTILE = "</script><img src=x onerror=alert(1)>"

HOSTILE_PROGRAM = f"""
import asyncio, sys
sys.path.insert(0, {str(EXAMPLES)!r})
import _stage

class Lock:
    pass

async def wait(event):
    await event.wait()

async def main():
    names = [{HOSTILE!r}, "a\\u202eb\\x1b[31mc\\u2028d", "<!--<script>", "&lt;b&gt;", "{{data}}<!--DATA-->"]
    tasks = [asyncio.create_task(wait(asyncio.Event()), name=name) for name in names]
    _stage.ready_when_parked()
    await asyncio.gather(*tasks)

_stage.run(main)
"""


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests."""
    found = rig_browser.Browser()
    yield found
    found.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Where the pages are."""
    return tmp_path_factory.mktemp("pages")


def report(pid, path, *args, looking="1s"):
    """Writes the page of a process."""
    result = tool.run("report", pid, "-o", path, "--for", looking, *(args or tool.UNHURRIED))
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
    assert str(path) in result.stderr
    return path


@pytest.fixture(scope="module")
def page_of(some_interpreter, directory):
    """The page of an example, made once."""
    known = {}

    def make(name):
        if name not in known:
            with start(name, some_interpreter, "asyncio") as program:
                known[name] = report(program.pid, directory / f"{name}.html")
        return known[name]

    return make


@pytest.fixture
def open_page(browser, page_of):
    """Opens the page of an example; at the end nothing may have been complained about or requested."""

    def open_it(name, **how):
        browser.open(page_of(name), **how)
        return browser

    yield open_it
    assert browser.complaints() == []


def picture(browser, name):
    """A screenshot, where somebody wants to see it."""
    keep = os.environ.get("ASYNC_TRACE_PICTURES")
    if keep:
        browser.settle()
        browser.screenshot(os.path.join(keep, f"{name}.png"))


def focused(browser):
    return browser.js("document.activeElement.id")


def test_a_deadlock_is_named_proven_and_drawn_as_a_ring(open_page):
    page = open_page("deadlock_two_locks")
    assert page.text(".finding .check") == "deadlock"
    assert page.text(".finding .severity").split() == ["■", "ERROR"]
    assert page.text(".finding .certainty") == "proven"
    assert "async with account.lock" in page.text(".finding .evidence")
    assert "take these locks in the same order" in page.text(".finding .advice")
    assert page.text("#graph .headline") == "DEADLOCK: 2 tasks wait for each other"
    # Not by colour alone: the word, the thick lines, the ring.
    assert page.js("document.querySelector('#graph text.deadlock').textContent") == "deadlock"
    assert page.count("#graph path.edge.ring") == 4
    assert page.count("#graph a.node.in-ring") == 4
    assert page.js("getComputedStyle(document.querySelector('path.edge.ring')).strokeWidth") == "4px"
    words = page.js("[...document.querySelectorAll('#graph .edge-words.ring')].map(e => e.textContent).sort()")
    assert words == ["held by", "held by", "waits for", "waits for"]
    picture(page, "deadlock-light")


def test_no_node_of_the_graph_lies_on_another(open_page):
    for name in ("deadlock_two_locks", "deadlock_lock_ring", "executor_full", "pool_exhausted", "gather_tree"):
        for width in (1280, 768, 360):
            page = open_page(name, width=width)
            overlapping = page.js(
                """(() => { const boxes = [...document.querySelectorAll("#graph .picture a.node .shape")].map(e => e.getBoundingClientRect());
                const hit = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
                let n = 0; boxes.forEach((a, i) => boxes.slice(i + 1).forEach(b => n += hit(a, b))); return [boxes.length, n]; })()"""
            )
            assert overlapping[0] > 1 and overlapping[1] == 0, (name, width)
            assert page.js("document.documentElement.scrollWidth <= innerWidth"), (name, width)
            assert page.complaints() == []


def test_links_lead_from_the_finding_to_the_task_and_its_lock(open_page):
    page = open_page("deadlock_two_locks")
    page.click(".finding .evidence a.task")
    assert focused(page) == "task-tree"
    assert "alice-pays-bob" in page.text(".row.active .title")
    assert page.js("location.hash") == "#t1"
    page.click(".row.active .wait a.resource")
    assert page.js("document.activeElement.id").startswith("row-r")
    assert "held by task" in page.js("document.activeElement.innerText")
    page.js("history.back()")
    page.wait_for("location.hash === '#t1'")
    assert focused(page) == "task-tree"


def test_a_node_of_the_graph_is_a_link(open_page):
    page = open_page("deadlock_two_locks")
    page.js("document.querySelector('#graph a.node[aria-label^=\"task bob-pays-alice\"]').focus()")
    page.press("Enter")
    assert "bob-pays-alice" in page.text(".row.active .title")


def test_stacks_fold_library_frames_until_asked_for(open_page):
    page = open_page("deadlock_two_locks")
    own = page.count("#tasks .frame.own")
    assert own > 0 and page.count("#tasks .frame:not(.own)") == 0
    page.click("#all-frames")
    assert page.count("#tasks .frame:not(.own)") > 0
    page.click("#all-frames")
    assert page.count("#tasks .frame:not(.own)") == 0
    page.click("#threads .fold button")
    assert page.count("#threads .frame:not(.own)") > 0
    page.click("#threads .fold button")


def test_the_source_line_stands_at_its_frame(open_page):
    page = open_page("deadlock_two_locks")
    assert "async with account.lock:" in page.texts("#tasks .frame.own .code")


def test_the_keyboard_is_enough(open_page):
    page = open_page("many_handlers")
    page.press("/")
    assert focused(page) == "search"
    page.type("chat")
    assert page.text(".count") == "1,000 of 1,001 tasks"
    page.press("Enter")
    assert focused(page) == "task-tree"
    assert page.js("document.querySelector('#task-tree').getAttribute('aria-activedescendant')")
    assert "1,000 tasks" in page.text(".row.active")
    was_open = page.count(".row.active .stack")
    page.press("Enter")
    assert page.count(".row.active .stack") != was_open
    page.press("Enter")
    page.press("j")
    assert "one by one" in page.text(".row.active")
    page.press("l", "j", "j", "k")
    assert page.js("document.querySelector('.row.active').getAttribute('aria-level')") == "3"
    page.press("Enter")
    assert page.count(".row.active .stack") == 1
    page.press("Escape")
    assert page.count(".row.active .stack") == 0
    page.press("Escape")
    assert page.js("document.querySelector('#search').value") == ""
    page.press("Home", "ArrowLeft")
    assert page.js("document.querySelector('.row.active').getAttribute('aria-expanded')") == "false"


def test_focus_can_be_seen_and_goes_through_the_page_in_order(open_page):
    page = open_page("deadlock_two_locks")
    seen = []
    for _ in range(60):
        page.press("Tab")
        seen.append(page.js("(e => (e.closest('nav, section, header') || e).id || e.closest('nav, header')?.tagName || e.className)(document.activeElement)"))
        if page.js("document.activeElement === document.body"):
            break
        width = page.js(
            """(e => { const s = getComputedStyle(e), r = getComputedStyle(e.querySelector('.shape') || e);
            return parseFloat(s.outlineStyle === 'none' ? 0 : s.outlineWidth) + (e.matches('a.node') ? parseFloat(r.strokeWidth) : 0); })(document.activeElement)"""
        )
        assert width >= 2, seen[-1]
    order = [each for i, each in enumerate(seen) if i == 0 or seen[i - 1] != each]
    assert [each for each in order if each in ("NAV", "findings", "graph", "tasks")][:4] == ["NAV", "findings", "graph", "tasks"]


def test_filters_say_how_many_fit(open_page):
    page = open_page("idle_server")
    all_tasks = int(page.text("nav a[href='#tasks'] .number"))
    options = page.js("[...document.querySelector('#filter-kind').options].map(o => o.textContent)")
    assert len(options) > 1
    page.js("(e => { e.selectedIndex = 1; e.dispatchEvent(new Event('change')); })(document.querySelector('#filter-kind'))")
    found = int(page.text(".count").split()[0])
    assert 0 < found <= all_tasks and f"({found})" in options[1]
    page.js("(e => { e.value = 'nothing fits this'; e.dispatchEvent(new Event('input')); })(document.querySelector('#search'))")
    assert page.text(".count") == f"0 of {all_tasks} tasks"
    assert page.count("#task-tree .row") == 0


def test_a_healthy_server_is_said_to_be_one(open_page):
    page = open_page("idle_server")
    assert page.text(".healthy").startswith("✓ nothing wrong was found in 6 looks")
    assert page.count(".finding") == 0
    assert page.count("#graph text.deadlock") == 0
    picture(page, "healthy")


def test_a_blocked_loop_shows_who_blocks_it(open_page):
    page = open_page("blocked_loop_sleep", dark=True)
    assert page.text(".finding .check") == "blocked-loop"
    assert "time.sleep(110)" in page.texts(".finding .code")
    assert "BUSY" in page.text(".loops")
    assert page.js("[...document.querySelectorAll('#graph .edge-words')].map(e => e.textContent)").count("is busy with") == 1
    assert "running" in page.text("#tasks .badge.running")
    picture(page, "blocked-dark")


def test_many_that_look_alike_are_one_row(open_page):
    page = open_page("task_leak")
    assert any("200 tasks" in text for text in page.texts("#tasks .row .title"))
    assert page.count("#tasks .row") < 10
    assert "200 waiting" in page.texts("#resources .badge")
    picture(page, "leak")


@pytest.mark.parametrize("dark", [False, True])
def test_it_can_be_read_on_a_telephone(open_page, dark):
    page = open_page("deadlock_two_locks", width=360, height=740, dark=dark)
    assert page.js("document.documentElement.scrollWidth") == 360
    ground, ink = page.js("(s => [s.backgroundColor, s.color])(getComputedStyle(document.body))")
    assert contrast(ground, ink) >= 7
    small = page.js("[...document.querySelectorAll('#page *')].filter(e => e.children.length === 0 && e.textContent.trim() && parseFloat(getComputedStyle(e).fontSize) < 11).map(e => e.className.baseVal ?? e.className)")
    assert small == []
    picture(page, f"phone-{'dark' if dark else 'light'}")


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_ground(open_page, dark):
    page = open_page("deadlock_two_locks", dark=dark)
    pairs = page.js(
        """[...document.querySelectorAll("#page a, #page p, #page li, #page h3, #page code, .badge, .note, .severity, .place, .function, .alarm, .identity")]
        .filter(e => e.textContent.trim() && e.getClientRects().length && !(e instanceof SVGElement)).map(e => {
          let g = e, ground; do ground = getComputedStyle(g).backgroundColor; while (/, 0\\)$|transparent/.test(ground) && (g = g.parentElement));
          return [e.className || e.tagName, ground, getComputedStyle(e).color]; })"""
    )
    assert len(pairs) > 40
    weak = {(name, ground, ink) for name, ground, ink in pairs if contrast(ground, ink) < 4.5}
    assert weak == set()


def contrast(ground, ink):
    """The contrast of two colours, as WCAG counts it."""

    def light(color):
        parts = [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((light(ground), light(ink)))
    return (high + 0.05) / (low + 0.05)


def test_a_timeline_can_be_walked_through(browser, page_of, directory):
    # Made up: its numbers are given to the page as those of a recording are.
    times = [i / 10 for i in range(200)]
    timeline = {
        "times_s": times,
        "tasks": [50 + i for i in range(200)],
        "ready": [i % 7 for i in range(200)],
        "busy": [0.2 + 0.7 * (60 < i < 90) for i in range(200)],
        "lag_s": [0.4 * (60 < i < 90) for i in range(200)],
        "sites": [{"function": "subscribe", "file": "app.py", "line": 16, "counts": list(range(200))}],
    }
    page = directory / "timeline.html"
    raw = page_of("idle_server").read_text()
    page.write_text(raw.replace('"tables":{', f'"timeline":{json.dumps(timeline)},"tables":{{', 1))
    browser.open(page)
    assert browser.count("#timeline figure") == 5
    assert browser.text("#timeline .readout").startswith("at 19.90 s: tasks 249, callbacks ready 3, loop busy 20 %")
    browser.js("document.querySelector('#timeline .charts').focus()")
    browser.press("Home", "ArrowRight")
    assert browser.text("#timeline .readout").startswith("at 0.10 s: tasks 51")
    browser.js("document.querySelector('#timeline').scrollIntoView()")
    picture(browser, "timeline")
    assert browser.complaints() == []


def test_on_paper_nothing_is_hidden(open_page):
    page = open_page("many_handlers")
    page.js("dispatchEvent(new Event('beforeprint'))")
    assert page.count("#task-tree.printed .row") > 0
    pdf = page.send("Page.printToPDF")["data"]
    assert len(pdf) > 1000
    page.js("dispatchEvent(new Event('afterprint'))")
    assert page.count("#task-tree.printed") == 0


def test_hostile_names_do_nothing(browser, some_interpreter, directory):
    program = directory / "hostile.py"
    program.write_text(HOSTILE_PROGRAM)
    with target.Target([some_interpreter.path, program], cwd=EXAMPLES) as running:
        page = report(running.pid, directory / "hostile.html")
    raw = page.read_text()
    assert "<img" not in raw and "\u202e" not in raw and "\u2028" not in raw and "\x1b" not in raw
    assert raw.count("</script>") == 2
    browser.open(page)
    names = " ".join(browser.texts("#tasks .row"))
    assert browser.count("img") == 0 and browser.count("script") == 2
    browser.js("document.querySelector('#search').value = 'onerror'; document.querySelector('#search').dispatchEvent(new Event('input'))")
    assert HOSTILE in " ".join(browser.texts("#tasks .row"))
    browser.js("document.querySelector('#search').value = ''; document.querySelector('#search').dispatchEvent(new Event('input'))")
    browser.click("#group-equal")
    names = " ".join(browser.texts("#tasks .row"))
    assert "a\\u202eb\\x1b[31mc\\u2028d" in names
    assert "<!--<script>" in names and "&lt;b&gt;" in names and "<!--DATA-->" in names
    assert browser.complaints() == []


def test_the_policy_allows_its_own_script_and_no_other(browser, page_of, directory):
    raw = page_of("idle_server").read_text()
    changed = directory / "changed.html"
    changed.write_text(raw.replace("<body>", "<body><script>document.title = 'owned'</script><img src='http://127.0.0.1:9/x.png'>"))
    browser.open(changed)
    assert browser.js("document.title") != "owned"
    assert any("Content Security Policy" in words for words in browser.complaints())
    assert not any(
        event["method"] == "Network.requestWillBeSent" and "127.0.0.1:9" in event["params"]["request"]["url"]
        and not any(e.get("method") == "Network.loadingFailed" and e["params"]["requestId"] == event["params"]["requestId"] for e in browser.events)
        for event in browser.events if event.get("method") == "Network.requestWillBeSent"
    )  # fmt: skip


def test_without_scripts_the_findings_are_there(browser, page_of):
    browser.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.send("Page.navigate", url=f"file://{page_of('deadlock_two_locks')}")
        browser.wait_for("document.querySelector('noscript, pre')?.textContent.includes('ERROR deadlock (proven)')")
    finally:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)


@pytest.fixture(scope="module")
def crowd(some_interpreter, directory):
    """The page of ten thousand tasks, and where the program is."""
    with parked(some_interpreter, directory, "chain") as program:
        return report(program.pid, directory / "crowd.html")


def parked(interpreter, directory, shape):
    board = directory / f"board-{shape}"
    argv = [interpreter.path, PARKED, "--board", board, "--tasks", "10000", "--shape", shape, "--depth", "5", "--ticker", "none"]
    program = target.Target(argv, cwd=PARKED.parent)
    try:
        target.wait_idle(program)
    except BaseException:
        program.stop()
        raise
    return program


def test_ten_thousand_tasks_are_small_and_quick(browser, crowd):
    assert crowd.stat().st_size < 1_500_000
    took = min(browser.open(crowd) for _ in range(3))
    assert took < 1.5, f"{took:.2f} s"
    assert browser.count("#task-tree .row") < 10
    picture(browser, "crowd")
    browser.click("#group-equal")
    assert browser.count("#task-tree .row") < 60
    # Searching is one input event and the drawing that follows it.
    slowest = browser.js(
        """(async () => { const box = document.querySelector("#search"); let worst = 0;
        for (const text of ["T", "Ta", "Task-9", "Task-99", "leaf", "leaf parked", "nowhere", ""]) {
          box.value = text; const start = performance.now();
          box.dispatchEvent(new Event("input")); document.body.getBoundingClientRect();
          worst = Math.max(worst, performance.now() - start); } return worst; })()"""
    )
    assert slowest < 250, f"{slowest:.0f} ms"
    # Scrolling to the end, and to any place between, draws rows and leaves few in the document.
    browser.js("document.querySelector('#task-tree').scrollIntoView()")
    for share in (0.1, 0.5, 0.93, 1):
        browser.js(f"(e => e.scrollTop = e.scrollHeight * {share})(document.querySelector('#task-tree'))")
        browser.settle()
        seen = browser.js(
            """(() => { const box = document.querySelector("#task-tree").getBoundingClientRect();
            const rows = [...document.querySelectorAll("#task-tree .row")].map(r => r.getBoundingClientRect());
            const inside = rows.filter(r => r.bottom > box.top && r.top < Math.min(innerHeight, box.bottom)).sort((a, b) => a.top - b.top);
            let gaps = 0; inside.forEach((r, i) => { if (i && Math.abs(r.top - inside[i - 1].bottom) > 1) gaps++; });
            return [rows.length, inside.length, gaps]; })()"""
        )
        assert seen[0] < 80 and seen[1] > 3 and seen[2] == 0, seen
    assert browser.text("#task-tree .row:last-child .title")
    browser.js("document.querySelector('#task-tree').focus()")
    browser.press("End")
    assert browser.js("document.querySelector('.row.active').dataset.row") == "10000"
    browser.press("Home")
    assert browser.js("document.querySelector('.row.active').dataset.row") == "0"
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [1280, 360])
def test_a_link_to_one_of_ten_thousand_opens_it(browser, crowd, width):
    browser.open(crowd, anchor="#t9000", width=width)
    assert browser.js("document.querySelector('.row.active').id") == "row-t9000"
    assert browser.count(".row.active .stack") == 1
    seen = """(() => { const [r, b] = [".row.active", "#task-tree"].map(s => document.querySelector(s).getBoundingClientRect());
        return r.top >= Math.max(0, b.top) - 1 && r.top < Math.min(innerHeight, b.bottom) - 40; })()"""
    assert browser.js(seen)
    # Also when the screen is turned.
    browser.send("Emulation.setDeviceMetricsOverride", width=740, height=600, deviceScaleFactor=1, mobile=False)
    browser.settle()
    browser.js("document.querySelector('#task-tree').focus()")
    assert browser.js(seen)
    assert browser.complaints() == []


def test_a_chain_of_ten_thousand_locks_is_drawn_in_part(browser, some_interpreter, directory):
    with parked(some_interpreter, directory, "lockchain") as program:
        page = report(program.pid, directory / "lockchain.html", looking="0s")
    assert page.stat().st_size < 6_000_000
    took = min(browser.open(page) for _ in range(2))
    assert took < 3, f"{took:.2f} s"
    assert 1 < browser.count("#graph .picture a.node") <= 36
    assert browser.text(".left-out").startswith("Not drawn: ")
    assert browser.complaints() == []


def test_a_dump_can_be_made_now_and_looked_at_later(browser, some_interpreter, directory):
    with start("deadlock_two_locks", some_interpreter, "asyncio") as program:
        dumps = [tool.run("dump", program.pid, "--json", "--source", *tool.UNHURRIED).stdout for _ in range(2)]
        image = directory / "hang.image"
        assert tool.run("image", program.pid, "-o", image, *tool.UNHURRIED).returncode == 0
    saved = directory / "hang.json"
    saved.write_text("".join(dumps))
    for source in (saved, image):
        page = directory / "later.html"
        result = tool.run("report", source, "-o", page)
        assert result.returncode == 0, result.stderr
        browser.open(page)
        assert browser.text("#graph .headline") == "DEADLOCK: 2 tasks wait for each other"
        assert browser.text(".finding .check") == "deadlock"
        assert browser.complaints() == []


def test_what_is_no_snapshot_is_refused_with_a_hint(directory):
    other = directory / "other.json"
    other.write_text('{"hello": 1}\n')
    result = tool.run("report", other, "-o", directory / "never.html")
    assert result.returncode == 2
    assert "[not-a-snapshot]" in result.stderr and "dump PID --json" in result.stderr
    assert not (directory / "never.html").exists()
    result = tool.run("report", 4194999, "-o", directory / "never.html")
    assert result.returncode == 2 and "[no-such-process]" in result.stderr


def test_the_page_can_go_to_stdout(some_interpreter):
    with start("idle_server", some_interpreter, "asyncio") as program:
        result = tool.run("report", program.pid, "-o", "-", "--for", "0s", *tool.UNHURRIED)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("<!doctype html>")
