"""Set passwords: passwd, chpasswd."""

from democloud.machines import people, sha512
from democloud.machines.run import Fail, Run, command, options
from democloud.machines.tree import Node


def _root_of(run: Run) -> Node:
    """Return the root of the system whose people are meant: after chroot, the other one's."""
    return run.node("/")


@command("passwd")
def passwd(run: Run, args: list[str]) -> int:
    """Set a user's password, lock it or unlock it."""
    found, rest = options(args, "luSd")
    name = rest[0] if rest else run.session.user.name
    run.need_root("Permission denied.", 1)
    root = _root_of(run)
    before = people.password_of(root, name)
    if not before:
        raise Fail(f"user '{name}' does not exist")
    if "-S" in found:
        state = "L" if before.startswith(("!", "*")) else "P"
        run.say(f"{name} {state} 2026-11-20 0 99999 7 -1")
        return 0
    if "-l" in found or "-u" in found:
        entry = before.lstrip("!") or "*"
        people.set_password(root, name, f"!{entry}" if "-l" in found else entry)
        run.say("password changed.")
        return 0
    first = run.secret("New password: ")
    if first != run.secret("Retype new password: "):
        raise Fail("Sorry, passwords do not match.", 10)
    if not first:
        raise Fail("No password has been supplied.", 10)
    _change(run, name, first)
    run.complain(b"passwd: password updated successfully\n")
    return 0


@command("chpasswd")
def chpasswd(run: Run, _args: list[str]) -> int:
    """Set the passwords that lines of USER:PASSWORD say."""
    run.need_root("Permission denied.", 1)
    for line in run.stdin().decode(errors="replace").splitlines():
        name, _, password = line.partition(":")
        _change(run, name, password)
    return 0


@command("openssl")
def openssl(run: Run, args: list[str]) -> int:
    """Hash a password as crypt(5)'s SHA-512, the one thing of openssl's that is here."""
    if args != ["passwd", "-6", "-stdin"]:
        raise Fail("only this works here: openssl passwd -6 -stdin")
    run.say(sha512.hashed(run.stdin().split(b"\n")[0]))
    return 0


def _change(run: Run, name: str, password: str) -> None:
    place = run.place("/etc/shadow")
    if place.node is None or place.mount.read_only:
        raise Fail("Authentication token manipulation error", 10)
    if not people.set_password(_root_of(run), name, people.hashed(password)):
        raise Fail(f"user '{name}' does not exist", 1)
