"""Make a line of the old fstab a comment, so that the start no longer waits for it."""

import hashlib

from instances import ssh
from instances.disks import Disks
from instances.recovery import fstab, fstab_check
from instances.recovery.changes import Change, Directory, OldSystem, Repair
from instances.recovery.work import MNT, CannotDo, Line, Outcome, Work, line, shown

FSTAB = "/etc/fstab"
NOTE = "taken out in rescue mode"
LONGEST_SHOWN = 300


class TakeOutLine(Repair):
    """Show the lines with what is wrong with each, then make the chosen one a comment.

    Parameters: none for the list; ``line`` (its number) and ``seen`` (the file's hash) to change.
    """

    key = "fstab"

    def plan(self, work: Work) -> Outcome:
        return super().plan(work) if "line" in work.params else self._listed(work)

    def changes(self, old: OldSystem, work: Work) -> tuple[list[Change | Directory], list[Line]]:
        if "line" not in work.params:
            raise CannotDo("pick_a_line")
        found, text = _read(old)
        if _hash(text) != work.params["seen"]:
            raise CannotDo("changed_since")
        number = work.params["line"]
        entry = next((one for one in fstab.entries(text) if one.number == number), None)
        if entry is None:
            raise CannotDo("pick_a_line")
        if fstab_check.is_root(entry):
            raise CannotDo("root_line")
        after = fstab.commented_out(text, {number}, NOTE)
        left = _stopping(after, work)
        notes = [line("fstab_left", lines=", ".join(map(str, left)))] if left else []
        data = after.encode("utf-8", "surrogateescape")
        return [Change(FSTAB, found.data, data, found.mode, found.uid, found.gid)], notes

    def _listed(self, work: Work) -> Outcome:
        if work.look_again().mounted_at(MNT) is None:
            raise CannotDo("not_mounted")
        _found, text = _read(OldSystem(work))
        wrong = fstab_check.faults(text, _seen(work))
        rows = [
            {
                "number": entry.number,
                "text": shown(entry.text[:LONGEST_SHOWN]),
                "told": wrong[entry.number],
                "root": fstab_check.is_root(entry),
            }
            for entry in fstab.entries(text)
        ]
        if not rows:
            raise CannotDo("fstab_empty")
        asks = {"rows": rows[:200], "seen": _hash(text)}
        bad = sum(1 for row in rows if row["told"])
        told = line("fstab_read", count=len(rows), bad=bad)
        return Outcome([told], private={"asks": asks}, ready=False)


def _read(old: OldSystem) -> tuple[ssh.File, str]:
    found = old.file(FSTAB)
    if found is None:
        raise CannotDo("no_fstab")
    return found, found.data.decode("utf-8", "surrogateescape")


def _stopping(text: str, work: Work) -> list[int]:
    """List the lines that still name something that is missing."""
    wrong = fstab_check.faults(text, _seen(work))
    return [n for n, told in wrong.items() if any(code == "fstab_missing" for code, _v in told)]


def _seen(work: Work) -> Disks:
    seen = work.row.disks
    if seen is None:
        raise CannotDo("not_mounted")
    return seen


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
