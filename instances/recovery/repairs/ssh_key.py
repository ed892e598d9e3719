"""Put an SSH key back, so that its holder can log in again."""

from posixpath import dirname

from instances.recovery.changes import Change, Directory, OldSystem, Repair
from instances.recovery.work import CannotDo, Line, Work, line

# sshd's StrictModes refuses a home or .ssh that others may write to (sshd_config(5)).
OTHERS_WRITE = 0o022


class PutKeyBack(Repair):
    """Add a public key to a user's authorized_keys, with the rights sshd insists on.

    Parameters: ``user``, ``public_key`` (type and base64, parsed before), ``key_name``.
    """

    key = "ssh_key"

    def changes(self, old: OldSystem, work: Work) -> tuple[list[Change | Directory], list[Line]]:
        user = old.user(work.params["user"])
        wanted: list[Change | Directory] = []
        home = old.entry(user.home)
        if home is None:
            raise CannotDo("home_missing", path=user.home, folder=dirname(user.home))
        if home.kind == "dir" and home.mode & OTHERS_WRITE:
            mode = home.mode & 0o7777 & ~OTHERS_WRITE
            wanted.append(Directory(user.home, mode, home.uid, home.gid))
        folder = f"{user.home.rstrip('/')}/.ssh"
        there = old.entry(folder)
        if there is None or (there.mode & 0o7777, there.uid, there.gid) != (
            0o700, user.uid, user.gid,
        ):  # fmt: skip
            wanted.append(Directory(folder, 0o700, user.uid, user.gid))
        change = self._list(old, f"{folder}/authorized_keys", user.uid, user.gid, work)
        return [*wanted, *change], _notes(old)

    def _list(
        self, old: OldSystem, path: str, uid: int, gid: int, work: Work
    ) -> list[Change | Directory]:
        found = old.file(path)
        before = found.data if found else b""
        public_key = work.params["public_key"]
        after = before
        if not _holds(before, public_key):
            gap = b"" if not before or before.endswith(b"\n") else b"\n"
            after = before + gap + f"{public_key} {work.params['key_name']}\n".encode()
        right = found is not None and (found.mode, found.uid, found.gid) == (0o600, uid, gid)
        if after == before and right:
            return []
        return [Change(path, found.data if found else None, after, 0o600, uid, gid)]


def _holds(keys: bytes, public_key: str) -> bool:
    """Tell whether a key is listed without options that could keep it from working."""
    lines = keys.decode(errors="replace").splitlines()
    return any(one.split()[:2] == public_key.split()[:2] for one in lines)


def _notes(old: OldSystem) -> list[Line]:
    """Tell of what else may keep the key from working."""
    enforced = "SELINUX=enforcing" in old.text("/etc/selinux/config")
    return [line("selinux")] if enforced else []
