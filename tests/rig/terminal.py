"""A real terminal, by tmux: what a user types, and what stands on the screen then."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from . import interpreters, target


def needs_tmux():
    """Skips, or fails where everything is required."""
    if not shutil.which("tmux"):
        if interpreters.required():
            pytest.fail("tmux is needed to test what is drawn on a terminal")
        pytest.skip("tmux was not found")


class Terminal:
    """A shell in a terminal of the given size, until the end of the `with` block."""

    def __init__(self, columns=80, rows=24, env=None):
        needs_tmux()
        self.directory = tempfile.TemporaryDirectory(prefix="async-trace-tmux-")
        self._socket = os.path.join(self.directory.name, "socket")
        environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "NO_COLOR", "COLUMNS", "LINES")}
        environment.update({"PS1": "$ ", "ENV": "", **(env or {})})
        self._environment = environment
        self._tmux("new-session", "-d", "-x", columns, "-y", rows, "-c", self.directory.name, "/bin/sh")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._tmux("kill-server")
        self.directory.cleanup()

    def _tmux(self, *args):
        words = ["tmux", "-u", "-S", self._socket, "-f", "/dev/null", *map(str, args)]
        done = subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return done.stdout

    def keys(self, *keys):
        """Types: tmux's names of keys, or text."""
        for key in keys:
            self._tmux("send-keys", key)

    def type(self, text):
        """Types text as it is."""
        self._tmux("send-keys", "-l", text)

    def command(self, *words):
        """Types a command line."""
        self.type(" ".join(map(str, words)))
        self.keys("Enter")

    def screen(self, *options):
        """What stands on the screen."""
        return self._tmux("capture-pane", "-p", *options)

    def wait_for(self, *texts):
        """Waits until all of these stand on the screen; returns the screen."""
        seen = [""]

        def there():
            seen[0] = self.screen()
            return all(text in seen[0] for text in texts)

        try:
            target.wait_until(there, f"{texts} stand on the screen", seconds=20)
        except target.TargetFailed as error:
            raise AssertionError(f"{error}:\n{seen[0]}") from None
        return seen[0]

    def modes(self):
        """Whether the alternate screen, the cursor and the mouse are on."""
        flags = self._tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{mouse_any_flag}").split()
        return dict(zip(("alternate", "cursor", "mouse"), (flag == "1" for flag in flags)))

    def resize(self, columns, rows):
        """Changes the size of the terminal."""
        self._tmux("resize-window", "-x", columns, "-y", rows)

    def _children(self):
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        return Path(f"/proc/{shell}/task/{shell}/children").read_text().split()

    def child(self):
        """The process that the shell has started."""
        return int(target.wait_until(self._children, "the shell has a child")[0])

    def wait_for_shell(self):
        """Waits until what the shell has started is over: what is typed then is for the shell."""
        try:
            target.wait_until(lambda: not self._children(), "the command is over")
        except target.TargetFailed as error:
            raise AssertionError(f"{error}:\n{self.screen()}") from None
