"""Where there are thousands of tasks, half of the looks of a check are glances: what is wrong is found all the same."""

import json
from pathlib import Path

import pytest

from rig import target, tool

CROWD = Path(__file__).parent / "targets" / "crowd.py"


@pytest.mark.parametrize(
    "kind, checks",
    [
        ("healthy", []),
        ("busy", []),
        ("deadlock", ["deadlock"]),
        ("blocked", ["blocked-loop"]),
        ("growing", ["task-leak"]),
        ("forgotten", ["never-awaited"]),
    ],
)
@pytest.mark.minors("3.11", "3.13", "3.15")
def test_what_is_wrong_in_a_crowd_is_found(interpreter, kind, checks):
    with target.Target([interpreter.path, CROWD, kind]) as program:
        result = tool.run("check", program.pid, "--json", *tool.UNHURRIED)
        program.process.kill()
    report = json.loads(result.stdout)
    assert [finding["check"] for finding in report["findings"]] == checks
    assert report["snapshots"] == 6
    assert "problems" not in report
    if kind == "deadlock":
        assert report["findings"][0]["certainty"] == "proven"
