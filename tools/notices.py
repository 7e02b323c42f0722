#!/usr/bin/env python3
"""Writes THIRD_PARTY_NOTICES: the crates that are compiled into what we ship, with their licences, as those ask for.

    python3 tools/notices.py            # write it anew, after a change of Cargo.lock
    python3 tools/notices.py --check    # exit 1 where it is no longer true
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTICES = ROOT / "THIRD_PARTY_NOTICES"
TARGET = "x86_64-unknown-linux-gnu"
HEAD = """\
Third-party notices

The native code of async-trace (the program, and the module async_trace._core) is licensed under MIT or Apache-2.0, and
contains the following crates, unchanged, under their own licences. Where one offers a choice, it is used under the licence
whose text is below. The source of each is at https://crates.io/crates/NAME/VERSION.
"""
# Licences whose texts need not accompany a binary more than once, and which are short: first choice first.
PREFERRED = ("MIT", "BSD-3-Clause", "Zlib", "Apache-2.0", "Unicode-3.0", "BSL-1.0", "CDDL-1.0")
WORDS = {
    "MIT": "Permission is hereby granted, free of charge",
    "Zlib": "This software is provided 'as-is'",
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "Redistribution and use in source and binary forms",
    "Unicode-3.0": "UNICODE LICENSE V3",
    "CDDL-1.0": "COMMON DEVELOPMENT AND DISTRIBUTION LICENSE",
    "BSL-1.0": "Boost Software License",
}


def cargo(*args):
    """What cargo prints about what is locked."""
    return subprocess.run(
        ["cargo", *args, "--locked"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def shipped():
    """Names and versions of the crates whose code is in the binaries: no macros, no build scripts, not our own."""
    tree = cargo("tree", "-p", "async-trace-py", "-p", "async-trace", "--target", TARGET,
                 "-e", "normal,no-proc-macro", "--prefix", "none", "-f", "{p}")  # fmt: skip
    lines = {line.removesuffix(" (*)") for line in tree.splitlines() if line}
    return {tuple(line.replace(" v", " ").split()[:2]) for line in lines if str(ROOT) not in line}


def licence_files(home):
    """The texts of its licences that a crate brings along."""
    names = ("licen", "copying", "unlicense", "notice")
    found = [path for path in sorted(home.iterdir()) if path.is_file() and path.name.lower().startswith(names)]
    return [path.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip("\n") for path in found]


def chosen(package):
    """The licence under which a crate is used, and the texts that go with it."""
    expression = package["license"].replace("/", " OR ")
    texts = licence_files(Path(package["manifest_path"]).parent)
    offered = [word for word in PREFERRED if word in expression.replace("(", " ").replace(")", " ").split()]
    for licence in offered[:1] if " AND " not in expression else []:
        own = [text for text in texts if WORDS[licence] in text]
        if own:
            return licence, own[:1]
    return expression, texts


def notices():
    """The text of the whole file."""
    metadata = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", TARGET))
    packages = {(p["name"], p["version"]): p for p in metadata["packages"]}
    alike = {}
    for crate in sorted(shipped()):
        licence, texts = chosen(packages[crate])
        alike.setdefault((licence, tuple(texts)), []).append(packages[crate])
    out = [HEAD]
    for (licence, texts), crates in sorted(alike.items(), key=lambda each: each[1][0]["name"]):
        out.append("-" * 100 + "\n" + "".join(f"{c['name']} {c['version']}, {c['repository']}\n" for c in crates))
        out.append(f"{licence}\n")
        authors = sorted({author for crate in crates for author in crate["authors"]})
        out += [text + "\n" for text in texts] or [f"Copyright (c) {', '.join(authors) or 'the authors'}\n"]
    return "\n".join("\n".join(line.rstrip() for line in part.split("\n")) for part in out)


def main():
    text = notices()
    if "--check" not in sys.argv:
        NOTICES.write_text(text, encoding="utf-8")
    elif not NOTICES.exists() or NOTICES.read_text(encoding="utf-8") != text:
        return "error: THIRD_PARTY_NOTICES is not that of Cargo.lock\nhint: python3 tools/notices.py"
    return 0


if __name__ == "__main__":
    sys.exit(main())
