"""Set a user's password on the old system, and unlock the account."""

import re
from typing import Any

from instances.models.clock import now as clock_now
from instances.recovery import sshd_config
from instances.recovery.changes import Change, Directory, OldSystem, Repair, User
from instances.recovery.work import CannotDo, Line, Outcome, Work, line, words_of

SHADOW = "/etc/shadow"
#: SHA-512 of crypt(5): every Linux of today reads it, also those that write yescrypt
HASH = re.compile(r"\$6\$[./A-Za-z0-9]{8,16}\$[./A-Za-z0-9]{86}")
LOCKED = ("!", "*")
NO_LOGIN = ("/nologin", "/false", "/sync", "/shutdown", "/halt")
#: columns of shadow(5)
WORD, CHANGED, EXPIRES = 1, 2, 7
LIMITS = ("allowusers", "denyusers", "allowgroups", "denygroups", "authenticationmethods")


class SetPassword(Repair):
    """Put a new password's hash into /etc/shadow.

    Parameters: ``user``; in private ``password``, and ``made`` where it is the panel's own, which
    is shown once when it is done. The hash and the day are kept, so that what is written is what
    was looked at.
    """

    key = "password"

    def plan(self, work: Work) -> Outcome:
        outcome = super().plan(work)
        outcome.private |= {"hash": work.private["hash"], "day": work.private["day"]}
        return outcome

    def apply(self, work: Work) -> Outcome:
        outcome = super().apply(work)
        if work.private.get("made"):
            outcome.once = {"password": work.private["password"]}
        return outcome

    def changes(self, old: OldSystem, work: Work) -> tuple[list[Change | Directory], list[Line]]:
        user = old.user(work.params["user"])
        found = old.file(SHADOW)
        if found is None:
            raise CannotDo("no_shadow")
        if _word_in_passwd(old, user.name) != "x":
            raise CannotDo("hash_in_passwd", user=user.name)
        _prepare(work)
        text = found.data.decode("utf-8", "surrogateescape")
        rows = text.split("\n")
        number = next((n for n, row in enumerate(rows) if row.startswith(f"{user.name}:")), None)
        if number is None:
            number = len(rows) - 1 if rows[-1] == "" else len(rows)
            rows.insert(number, f"{user.name}::0:0:99999:7:::")
        rows[number], notes = _changed(rows[number], work.private)
        after = "\n".join(rows).encode("utf-8", "surrogateescape")
        change = Change(SHADOW, found.data, after, found.mode, found.uid, found.gid, secret=True)
        return [change], [*notes, *_in_the_way(old, user)]


def _prepare(work: Work) -> None:
    """Have the rescue system hash it, once: the salt is drawn anew each time."""
    if "hash" not in work.private:
        work.private["hash"] = _hashed(work, work.private["password"])
        work.private["day"] = int(clock_now().timestamp()) // 86_400


def _hashed(work: Work, password: str) -> str:
    made = work.machine.run("openssl", "passwd", "-6", "-stdin", stdin=f"{password}\n".encode())
    if made.status in (126, 127):
        raise CannotDo("no_openssl")
    found = made.out.decode(errors="replace").strip()
    if made.status != 0 or not HASH.fullmatch(found):
        raise CannotDo("command_failed", command="openssl", said=words_of(made))
    return found


def _word_in_passwd(old: OldSystem, name: str) -> str:
    rows = (row.split(":") for row in old.text("/etc/passwd").splitlines())
    return next((row[1] for row in rows if row[0] == name and len(row) > 1), "")


def _changed(row: str, private: dict[str, Any]) -> tuple[str, list[Line]]:
    """Return a line of shadow with the new hash, open from today, and what that ends."""
    columns = (row.split(":") + [""] * 9)[:9]
    notes = []
    if columns[WORD].startswith(LOCKED):
        notes.append(line("pw_unlocked"))
    day, expires = private["day"], columns[EXPIRES]
    if expires.isascii() and expires.isdigit() and int(expires) <= day:
        columns[EXPIRES] = ""
        notes.append(line("pw_expired"))
    columns[WORD], columns[CHANGED] = private["hash"], str(day)
    return ":".join(columns), notes


def _in_the_way(old: OldSystem, user: User) -> list[Line]:
    """Tell of what would keep the password from letting the user in all the same."""
    notes = []
    sshd = sshd_config.read(old)
    if user.shell.endswith(NO_LOGIN):
        shown = {"user": user.name, "shell": user.shell[:80]}
        notes.append(line("pw_no_shell", **shown))
    if not sshd.takes_passwords:
        notes.append(line("pw_ssh_off", path=sshd.place("passwordauthentication")))
    root_may = sshd.get("permitrootlogin", "prohibit-password")
    if user.uid == 0 and root_may != "yes":
        notes.append(line("pw_root_ssh", value=root_may[:40], path=sshd.place("permitrootlogin")))
    limits = [name for name in LIMITS if name in sshd.values]
    if limits:
        notes.append(line("pw_limited", path=sshd.place(limits[0]), user=user.name))
    if sshd.has_match:
        notes.append(line("pw_match"))
    if user.uid != 0 and old.entry("/etc/nologin") is not None:
        notes.append(line("pw_nologin_file"))
    return notes
