"""Expected outputs of many variants (interpreter × loop) in one file.

Lines that all variants share stand as they are; others begin with the variants that have them:

    event loop in MainThread: idle
    ⟦3.9-3.11⟧ task 'a' waits for …
    ⟦3.12-3.15 uvloop:3.14⟧ task 'b' …

A version alone means both kinds of loop; `asyncio:` and `uvloop:` name one of them.
"""

import difflib
import re

from .interpreters import MINORS

LOOPS = ("asyncio", "uvloop")
GUARD = re.compile(r"⟦([^⟧]*)⟧ ?(.*)", re.DOTALL)


def merge(outputs):
    """One text for `{(minor, loop): output}`."""
    merged = []  # [line, variants]
    for variant, output in outputs.items():
        lines = output.splitlines()
        matcher = difflib.SequenceMatcher(None, [line for line, _ in merged], lines, autojunk=False)
        result = []
        for _, i1, i2, j1, j2 in matcher.get_opcodes():
            if [line for line, _ in merged[i1:i2]] == lines[j1:j2]:
                result += [[line, variants | {variant}] for line, variants in merged[i1:i2]]
            else:
                result += merged[i1:i2]
                result += [[line, {variant}] for line in lines[j1:j2]]
        merged = result
    everyone = set(outputs)
    out = []
    for line, variants in merged:
        out.append(line if variants == everyone else f"⟦{_condense(variants, everyone)}⟧ {line}".rstrip())
    return "".join(line + "\n" for line in out)


def select(text, variant):
    """The output that `text` expects of one variant."""
    lines = []
    for line in text.splitlines():
        guarded = GUARD.fullmatch(line)
        if guarded is None:
            lines.append(line)
        elif variant in _expand(guarded[1]):
            lines.append(guarded[2])
    return "".join(line + "\n" for line in lines)


def _condense(variants, everyone):
    parts = []
    minors = {loop: {minor for minor, kind in variants if kind == loop} for loop in LOOPS}
    exist = {loop: {minor for minor, kind in everyone if kind == loop} for loop in LOOPS}
    both = minors["asyncio"] & minors["uvloop"]
    both |= {m for m in minors["asyncio"] | minors["uvloop"] if any(m not in exist[loop] for loop in LOOPS)}
    for prefix, chosen in (("", both), *((f"{loop}:", minors[loop] - both) for loop in LOOPS)):
        parts += [prefix + each for each in _ranges(chosen)]
    return " ".join(parts)


def _ranges(chosen):
    run = []
    for minor in (*MINORS, None):
        if minor in chosen:
            run.append(minor)
        elif run:
            yield run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}"
            run = []


def _expand(words):
    variants = set()
    for word in words.split():
        loop, _, versions = word.rpartition(":")
        first, _, last = versions.partition("-")
        chosen = MINORS[MINORS.index(first) : MINORS.index(last or first) + 1]
        variants |= {(minor, kind) for minor in chosen for kind in ([loop] if loop else LOOPS)}
    return variants
