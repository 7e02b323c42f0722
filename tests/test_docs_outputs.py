"""The outputs in README.md and docs/ are what the commands beside them print; `just docs` writes them anew."""

import sys

import pytest
from rig.interpreters import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import docs_outputs  # noqa: E402

PAGES = [path for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
         if docs_outputs.MARKER.search(path.read_text(encoding="utf-8"))]  # fmt: skip
CHECKS = sorted(path for path in (ROOT / "docs" / "checks").glob("*.md") if path.name != "README.md")


@pytest.mark.minors("3.11")
@pytest.mark.parametrize("page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES])
def test_outputs_are_what_is_printed(page, interpreter):
    _, changed = docs_outputs.renewed(page.read_text(encoding="utf-8"), interpreter.path)
    assert changed == []


@pytest.mark.parametrize("page", CHECKS, ids=lambda page: page.stem)
def test_each_check_is_shown(page):
    shown = [marker for marker in docs_outputs.MARKER.finditer(page.read_text(encoding="utf-8")) if " check " in marker["command"]]
    assert shown and all(page.stem in marker["block"] for marker in shown)
