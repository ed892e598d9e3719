"""List the licence of every library the panel runs on; fail for one that nobody has judged.

``python scripts/licences.py`` writes docs/licences.md from the lock files and from what the
installed libraries say of themselves; ``--check`` only compares.
"""

import re
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/licences.md"
#: licences that let anybody run and pass on the panel with the library beside it; the LGPL's
#: libraries are used as they come, and may be replaced by whoever runs the panel
JUDGED = {
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CNRI-Python", "ISC", "LGPL-2.1-or-later",
    "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0",
    "Unlicense", "Zlib",
}  # fmt: skip
#: what libraries without an SPDX expression call their licence
SPDX = {
    "Apache Software License": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "GNU Library or Lesser General Public License (LGPL)": "LGPL-2.1-or-later",
    "LGPL-2.1": "LGPL-2.1-or-later",
    "MIT style": "MIT",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}
#: not installed on this platform, or silent: read in their source
BY_HAND = {
    "async-timeout": "Apache-2.0",
    "colorama": "BSD-3-Clause",
    "importlib-metadata": "Apache-2.0",
    "tzdata": "Apache-2.0",
}


def locked(name: str) -> dict[str, str]:
    """Return the versions that a lock file names, by library."""
    pattern = r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)"
    found: dict[str, str] = {}
    for library, version in re.findall(pattern, (ROOT / name).read_text(), re.MULTILINE):
        found[library] = f"{found[library]}, {version}" if library in found else version
    return found


def licence(name: str) -> str:
    """Return a library's licence as an SPDX expression; empty when it does not say."""
    if name in BY_HAND:
        return BY_HAND[name]
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    if expression := about.get("License-Expression"):
        return SPDX.get(expression, expression)
    told = [
        line.rpartition(" :: ")[2]
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and line != "License :: OSI Approved"
    ]
    short = (about.get("License") or "").strip()
    for word in (short, *told):
        if word in JUDGED:
            return word
        if word in SPDX:
            return SPDX[word]
    return short.splitlines()[0][:40] if short else ""


def unjudged(expression: str) -> set[str]:
    """Return the parts of an expression that nobody has judged; one of an OR is enough."""
    ways = [re.split(r"\s+AND\s+|\s+WITH\s+", way) for way in expression.strip("()").split(" OR ")]
    bad = [{part.strip("() ") for part in way} - JUDGED for way in ways]
    return min(bad, key=len)


def page() -> tuple[str, list[str]]:
    """Return the page as it should be, and what is wrong."""
    runtime, observe = locked("requirements.lock"), locked("requirements-observe.lock")
    lines, wrong = [], []
    for name, version in sorted(observe.items()):
        said = licence(name)
        if not said:
            wrong.append(f"{name} does not say its licence: read it, and add it to BY_HAND")
        elif unjudged(said):
            wrong.append(f"{name}: nobody has judged {said}")
        lines.append(f"| {name} | {version} | {said} | {'' if name in runtime else 'optional'} |")
    head = """# Licences

Every library that the panel runs on, as locked in `requirements.lock`, and those that
`requirements-observe.lock` adds (*optional*). Written by `make licences`, which fails for a licence
that nobody has judged (`scripts/licences.py`); a test compares it with the locks. What is used to
develop and to test is not part of a running panel and not listed. The terminal's script is
[xterm.js](https://github.com/xtermjs/xterm.js) (MIT), brought by `scripts/frontend`.

| library | version | licence | |
|---|---|---|---|
"""
    return head + "\n".join(lines) + "\n", wrong


def main(arguments: list[str]) -> int:
    """Write or compare the page; return the exit status."""
    text, wrong = page()
    if "--check" in arguments:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            wrong.append("docs/licences.md is not up to date: run make licences")
    else:
        PAGE.write_text(text, encoding="utf-8")
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
