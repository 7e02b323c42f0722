"""A headless Chromium that tests drive as a user would: by its DevTools protocol, over a pair of pipes."""

import base64
import functools
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

import pytest

from .interpreters import required

DEADLINE = 30.0

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-extensions --disable-default-apps --hide-scrollbars "
    "--force-color-profile=srgb --remote-debugging-pipe"
).split()

KEYS = {
    "Enter": ("Enter", 13, "\r"), "Escape": ("Escape", 27, ""), "Tab": ("Tab", 9, ""), " ": ("Space", 32, " "),
    "ArrowDown": ("ArrowDown", 40, ""), "ArrowUp": ("ArrowUp", 38, ""), "ArrowLeft": ("ArrowLeft", 37, ""),
    "ArrowRight": ("ArrowRight", 39, ""), "Home": ("Home", 36, ""), "End": ("End", 35, ""),
}  # fmt: skip


class BrowserFailed(AssertionError):
    """The browser did not do its part."""


@functools.cache
def chromium():
    """The path of a Chromium; without one, tests are skipped, or fail where nothing may be missing."""
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        found = os.environ.get("ASYNC_TRACE_CHROMIUM") or shutil.which(name)
        if found:
            return found
    if required():
        pytest.fail("no Chromium was found, and nothing may be missing here")
    pytest.skip("no Chromium was found (`tools/setup_and_test.py --system` installs one)")


class Browser:
    """One browser with one page."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="async-trace-chromium-")
        # The protocol's descriptors are 3 and 4.
        command = 'exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null'
        self.process = subprocess.Popen(
            ["sh", "-c", command, chromium(), *FLAGS, f"--user-data-dir={self.directory}", "about:blank"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
        )  # fmt: skip
        self._to, self._from = self.process.stdin.fileno(), self.process.stdout.fileno()
        self._numbers = itertools.count(1)
        self._buffer = b""
        self.events = []
        self.session = None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def close(self):
        """Ends the browser."""
        try:
            self.session = None
            self.send("Browser.close")
            self.process.wait(10)
        except (BrowserFailed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()
        # Its helpers may still be writing into it.
        shutil.rmtree(self.directory, ignore_errors=True)

    def send(self, method, **params):
        """Calls a method of the protocol and returns its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._to, data) :]
        while True:
            answer = self._receive(method)
            if answer.get("id") == number:
                if "error" in answer:
                    raise BrowserFailed(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def _receive(self, what, seconds=DEADLINE):
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            read = os.read(self._from, 1 << 20) if readable else b""
            if not read:
                raise BrowserFailed(f"{what}: the browser {'ended' if readable else 'did not answer'}")
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path, *, width=1280, height=900, dark=False, anchor=""):
        """Opens a page from a file, and waits until its script has run; returns how long that took, in seconds."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.scheme("dark" if dark else "light")
        self.send("Page.navigate", url="about:blank")
        self.wait_for("location.href === 'about:blank' && document.readyState === 'complete'")
        self.events.clear()
        start = time.monotonic()
        self.send("Page.navigate", url=f"file://{os.path.abspath(path)}{anchor}")
        self.wait_for("document.documentElement?.dataset.ready === 'true'")
        self.settle()
        return time.monotonic() - start

    def scheme(self, scheme):
        """Dark or light."""
        self.send("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def js(self, expression):
        """The value of an expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise BrowserFailed(f"{expression}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, expression, seconds=DEADLINE):
        """Waits until an expression holds; returns its value."""
        end = time.monotonic() + seconds
        while True:
            try:
                value = self.js(expression)
            except BrowserFailed as error:
                # Between two pages there is none to ask.
                if "context" not in str(error):
                    raise
                value = None
            if value:
                return value
            if time.monotonic() > end:
                raise BrowserFailed(f"waited {seconds:.0f} s in vain for {expression}")

    def settle(self):
        """Waits until two frames have been drawn: then what was asked for is to be seen."""
        self.js("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def text(self, selector):
        """The text of the first element that fits, as it is to be seen."""
        return self.js(f"document.querySelector({json.dumps(selector)})?.innerText")

    def texts(self, selector):
        """The texts of all elements that fit."""
        return self.js(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText)")

    def count(self, selector):
        """How many elements fit."""
        return self.js(f"document.querySelectorAll({json.dumps(selector)}).length")

    def click(self, selector):
        """Clicks into the middle of the first element that fits, with the mouse."""
        where = self.js(
            f"""(() => {{ const e = document.querySelector({json.dumps(selector)});
                if (!e) return null;
                const seen = r => r.top >= 60 && r.bottom <= innerHeight;
                if (!seen(e.getBoundingClientRect())) e.scrollIntoView({{block: "center"}});
                const r = e.getClientRects()[0]; return [r.x + r.width / 2, r.y + r.height / 2]; }})()"""
        )
        if where is None:
            raise BrowserFailed(f"nothing to click at: {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=where[0], y=where[1], button="left", clickCount=1)
        self.settle()

    def press(self, *keys):
        """Presses keys, one after the other."""
        for key in keys:
            code, number, text = KEYS.get(key) or (f"Key{key.upper()}", ord(key.upper()), key)
            event = {"key": key, "code": code, "windowsVirtualKeyCode": number}
            self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
            self.send("Input.dispatchKeyEvent", type="keyUp", **event)
        self.settle()

    def type(self, text):
        """Types a text."""
        self.send("Input.insertText", text=text)
        self.settle()

    def complaints(self):
        """What the console and the browser's log have to say, and every request that left the page."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            kind = event.get("method")
            if kind == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description") or str(params))
            elif kind == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
                found.append(str(params["args"]))
            elif kind == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                found.append(params["entry"]["text"])
            elif kind == "Network.requestWillBeSent" and not params["request"]["url"].startswith(("file:", "about:")):
                found.append(f"a request to {params['request']['url']}")
            elif kind == "Page.javascriptDialogOpening":
                found.append("a dialog was opened")
        return found

    def screenshot(self, path, *, whole=False):
        """Writes a PNG of what is to be seen, or of the whole page."""
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        with open(path, "wb") as out:
            out.write(base64.b64decode(shot["data"]))

