"""Change lines of a text without an editor: sed, in small."""

import re
from dataclasses import dataclass

from democloud.machines.run import Fail, Run, command, given, options

SCRIPT = re.compile(
    r"(?:(?P<first>\d+|\$)(?:,(?P<last>\d+|\$))?|/(?P<match>(?:\\.|[^/])*)/)?\s*"
    r"(?:(?P<act>[dp])|s(?P<mark>.)(?P<old>(?:\\.|(?!(?P=mark)).)*)(?P=mark)"
    r"(?P<new>(?:\\.|(?!(?P=mark)).)*)(?P=mark)(?P<flags>[gIi]*))"
)


@dataclass
class Edit:
    """One command of sed: where, and d, p or s."""

    found: "re.Match[str]"

    def meets(self, number: int, count: int, line: str) -> bool:
        """Tell whether a line is meant."""
        first, last, match = self.found["first"], self.found["last"], self.found["match"]
        if match is not None:
            return bool(re.search(_plain(match), line))
        if first is None:
            return True
        begin = count if first == "$" else int(first)
        end = begin if last is None else count if last == "$" else int(last)
        return begin <= number <= end

    def changed(self, line: str) -> str:
        """Return a line with its first match, or all of them, replaced."""
        flags = self.found["flags"]
        new = re.sub(r"(?<!\\)&", r"\\g<0>", self.found["new"]).replace("\\/", "/")
        new = new.replace("\\&", "&")
        pattern = re.compile(
            _plain(self.found["old"]), re.IGNORECASE if "i" in flags.lower() else 0
        )
        return pattern.sub(new, line, count=0 if "g" in flags else 1)


def _plain(pattern: str) -> str:
    """Read a basic expression: brackets and + that are escaped mean what ours mean bare."""
    return re.sub(
        r"\\?[(){}+?|]|\\/",
        lambda one: one[0][1:] if one[0].startswith("\\") else f"\\{one[0]}",
        pattern,
    )


@command("sed")
def sed(run: Run, args: list[str]) -> int:
    """Delete, print or substitute lines; with -i in the file itself."""
    found, rest = options(args, "inrEe:", ("in-place", "quiet", "expression="))
    if not rest and not given(found, "-e", "--expression"):
        raise Fail("no script")
    script = found.get("-e") or found.get("--expression") or rest.pop(0)
    edits = [_edit(one) for one in script.split(";") if one.strip()]
    quiet = given(found, "-n", "--quiet")
    for path in rest or ["-"]:
        place = run.place(path) if path != "-" else None
        data = run.machine.ns.read(run.who, place.path) if place else run.stdin()
        text = _edited(data.decode(errors="surrogateescape"), edits, quiet=quiet)
        result = text.encode(errors="surrogateescape")
        if place and given(found, "-i", "--in-place"):
            run.machine.ns.write(run.who, place.path, result)
        else:
            run.write(result)
    return 0


def _edit(script: str) -> Edit:
    found = SCRIPT.fullmatch(script.strip())
    if found is None:
        raise Fail(f"-e expression #1: only d, p and s work here: {script}")
    return Edit(found)


def _edited(text: str, edits: list[Edit], *, quiet: bool) -> str:
    lines = text.splitlines(keepends=True)
    done = []
    for number, line in enumerate(lines, 1):
        body, end = (line[:-1], "\n") if line.endswith("\n") else (line, "")
        shown, kept = 0, True
        for edit in edits:
            if not edit.meets(number, len(lines), body):
                continue
            if edit.found["act"] == "d":
                kept = False
                break
            shown += edit.found["act"] == "p"
            body = body if edit.found["act"] else edit.changed(body)
        if kept:
            done += [body + end] * (shown + (not quiet))
    return "".join(done)
