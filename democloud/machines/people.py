"""Know who may log in: passwords in /etc/shadow, keys in authorized_keys, sshd's own conditions."""

import hashlib
import hmac
import posixpath
import secrets

from democloud.machines import sha512
from democloud.machines.machine import Machine, User
from democloud.machines.tree import Node, find, text_at
from democloud.machines.vfs import Who

#: not crypt(5)'s: a hash that only the demo's machines write and read
SCHEME = "$demo$"
OTHERS_WRITE = 0o022
NO_SHELL = ("/nologin", "/false")


def hashed(password: str, salt: str = "") -> str:
    """Return what stands in /etc/shadow for a password."""
    salt = salt or secrets.token_hex(6)
    digest = hashlib.sha256(f"{salt}{password}".encode(errors="replace")).hexdigest()
    return f"{SCHEME}{salt}${digest}"


def set_password(root: Node, user: str, entry: str) -> bool:
    """Write a user's hash into a system's /etc/shadow; tell whether there is such a user."""
    node = find(root, "etc/shadow")
    if node is None:
        return False
    rows = [line.split(":") for line in node.read().decode(errors="replace").splitlines()]
    mine = [row for row in rows if row[0] == user and len(row) > 1]
    for row in mine:
        row[1] = entry
    node.data = "".join(":".join(row) + "\n" for row in rows).encode()
    node.touch()
    return bool(mine)


def password_of(root: Node, user: str) -> str:
    """Return a user's hash."""
    rows = (line.split(":") for line in text_at(root, "etc/shadow").splitlines())
    return next((row[1] for row in rows if row[0] == user and len(row) > 1), "")


def takes_passwords(machine: Machine) -> bool:
    """Tell whether sshd is set to let passwords in."""
    lines = text_at(machine.root, "etc/ssh/sshd_config").splitlines()
    return any(line.split() == ["PasswordAuthentication", "yes"] for line in lines)


def is_password(machine: Machine, name: str, password: str) -> bool:
    """Tell whether a password lets a user in."""
    entry = password_of(machine.root, name)
    if login_of(machine, name) is None or not takes_passwords(machine):
        return False
    if entry.startswith("$6$"):
        salt = entry.split("$")[2]
        return hmac.compare_digest(entry, sha512.hashed(password.encode(errors="replace"), salt))
    if not entry.startswith(SCHEME):
        return False
    return hmac.compare_digest(entry, hashed(password, entry.split("$")[2]))


def is_key(machine: Machine, name: str, kind: str, blob: str) -> bool:
    """Tell whether a key is listed for a user, with the rights sshd insists on."""
    user = login_of(machine, name)
    if user is None:
        return False
    path = f"{user.home}/.ssh/authorized_keys"
    try:
        if not _is_strict(machine, user, path):
            return False
        text = machine.ns.read(Who(), path).decode(errors="replace")
    except OSError:
        return False
    return any(line.split()[:2] == [kind, blob] for line in text.splitlines())


def _is_strict(machine: Machine, user: User, path: str) -> bool:
    """Tell whether nobody else could have written the list (sshd's StrictModes)."""
    enforced = "SELINUX=enforcing" in text_at(machine.root, "etc/selinux/config").splitlines()
    if enforced and not machine.ns.look(Who(), path).context:
        return False
    while True:
        node = machine.ns.look(Who(), path)
        if node.mode & OTHERS_WRITE or node.uid not in (0, user.uid):
            return False
        if path in (user.home, "/"):
            return True
        path = posixpath.dirname(path)


def login_of(machine: Machine, name: str) -> User | None:
    """Return the user of a name, if a shell awaits them."""
    user = machine.users().get(name)
    return user if user and not user.shell.endswith(NO_SHELL) else None
