"""Edit a configuration file of the old system, with the diff shown before it is saved."""

import fnmatch
import hashlib

from instances import ssh
from instances.recovery import texts
from instances.recovery.changes import (
    DIFF_LINES,
    Change,
    Directory,
    OldSystem,
    Repair,
    clean,
    diff_of,
)
from instances.recovery.work import MNT, CannotDo, Line, Outcome, Work, line, words_of

#: password hashes: they have a repair of their own, and are shown nowhere
HASHES = ("/etc/shadow*", "/etc/gshadow*", "/etc/security/opasswd*")
#: one mistake here and nobody becomes root any more
SUDOERS = ("/etc/sudoers", "/etc/sudoers.d/*")


class EditFile(Repair):
    """Show a file, then put the changed text in its place.

    Parameters: ``path``; to change it also ``seen``, the hash of what was shown, and in private
    ``text``.
    """

    key = "edit"

    def plan(self, work: Work) -> Outcome:
        if "text" not in work.private:
            return self._opened(work)
        try:
            outcome = super().plan(work)
        except CannotDo as problem:
            return _overtaken(work, problem)
        outcome.private["asks"] = _asks(work.params["path"], work.private["text"], work)
        return outcome

    def apply(self, work: Work) -> Outcome:
        """Write the text; where the file is another one by now, ask again with what was typed."""
        try:
            return super().apply(work)
        except CannotDo as problem:
            return _overtaken(work, problem)

    def changes(self, old: OldSystem, work: Work) -> tuple[list[Change | Directory], list[Line]]:
        if "text" not in work.private:
            raise CannotDo("nothing_to_change")
        path, found = _read(old, work.params["path"])
        if _hash(found.data) != work.params["seen"]:
            raise CannotDo("changed_since")
        after = texts.edited(found.data, work.private["text"])
        if after == found.data:
            return [], []
        texts.must_be_text(after, path)
        if _is_one_of(path, SUDOERS):
            _check_sudoers(work, after)
        return [Change(path, found.data, after, found.mode, found.uid, found.gid)], []

    def _opened(self, work: Work) -> Outcome:
        mount = work.look_again().mounted_at(MNT)
        if mount is None:
            raise CannotDo("not_mounted")
        asked = clean(work.params["path"])
        path, found = _read(OldSystem(work), asked)
        told = [line("edit_read", path=path, mode=f"{found.mode:04o}", uid=found.uid,
                     gid=found.gid)]  # fmt: skip
        if path != asked:
            told.insert(0, line("edit_link", path=asked, target=path))
        if b"\r\n" in found.data:
            told.append(line("edit_crlf"))
        if not mount.writable:
            told.append(line("will_need_writable"))
        asks = {"path": path, "text": texts.plain(found.data), "seen": _hash(found.data)}
        return Outcome(told, private={"asks": asks}, ready=False)


def _overtaken(work: Work, problem: CannotDo) -> Outcome:
    """Keep what was typed, beside how it differs from the file as it is now; else raise again."""
    if problem.code != "changed_since":
        raise problem
    text = work.private["text"]
    path, found = _read(OldSystem(work), work.params["path"])
    seen = _hash(found.data)
    if seen == work.params["seen"]:
        raise problem
    after = texts.edited(found.data, text)
    diff = diff_of(Change(path, found.data, after, found.mode, found.uid, found.gid))
    told = [line("edit_overtaken", path=path)]
    if len(diff) > DIFF_LINES:
        told.append(line("diff_cut", lines=DIFF_LINES))
    asks = {"path": path, "text": text, "seen": seen}
    private = {"asks": asks, "diff": "".join(diff[:DIFF_LINES])}
    return Outcome(told, private=private, ready=False)


def _asks(path: str, text: str, work: Work) -> dict[str, str]:
    return {"path": path, "text": text, "seen": work.params["seen"]}


def _read(old: OldSystem, asked: str) -> tuple[str, ssh.File]:
    """Return the file that a path leads to, by links as the old system itself would follow them."""
    path = old.real(asked)
    if _is_one_of(path, HASHES):
        raise CannotDo("edit_secret", path=path)
    try:
        found = old.file(path)
    except ssh.TooMuch:
        raise CannotDo("edit_too_large", path=path) from None
    if found is None:
        raise ssh.NoSuchFile
    texts.must_be_text(found.data, path)
    return path, found


def _check_sudoers(work: Work, data: bytes) -> None:
    """Have visudo read it: sudo refuses to work at all with a file it does not understand."""
    checked = work.machine.run("visudo", "-c", "-f", "-", stdin=data)
    if checked.status in (126, 127):
        raise CannotDo("no_visudo")
    if checked.status != 0:
        raise CannotDo("checker_refused", command="visudo", said=words_of(checked))


def _is_one_of(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(path, one) for one in patterns)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
