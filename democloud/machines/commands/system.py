"""The rest of a small system: who and where one is, the shell's own words, sudo, chroot."""

import time

from democloud.machines.commands.files import owner_names
from democloud.machines.machine import User
from democloud.machines.run import (
    COMMANDS,
    Fail,
    Leave,
    Run,
    command,
    dispatch,
    given,
    options,
)
from democloud.machines.vfs import SEARCH, Who

SHELLS = ("/bin/bash", "/bin/sh", "/usr/bin/bash")


@command("true", ":", "clear", "reset")
def true(_run: Run, _args: list[str]) -> int:
    """Do nothing, well."""
    return 0


@command("false")
def false(_run: Run, _args: list[str]) -> int:
    """Do nothing, badly."""
    return 1


@command("echo")
def echo(run: Run, args: list[str]) -> int:
    """Write words."""
    plain = args[:1] == ["-n"]
    run.write((" ".join(args[1:] if plain else args) + ("" if plain else "\n")).encode())
    return 0


@command("pwd")
def pwd(run: Run, _args: list[str]) -> int:
    """Write the directory one is in."""
    run.say(run.seen(run.session.cwd))
    return 0


@command("cd")
def cd(run: Run, args: list[str]) -> int:
    """Go to a directory."""
    path = args[0] if args else run.session.user.home
    place = run.place(run.session.env.get("OLDPWD", "/") if path == "-" else path)
    if place.node is None:
        raise Fail(f"{path}: No such file or directory")
    if place.node.kind != "dir":
        raise Fail(f"{path}: Not a directory")
    if not run.who.may(place.node, SEARCH):
        raise Fail(f"{path}: Permission denied")
    run.session.env["OLDPWD"], run.session.cwd = run.session.cwd, place.path
    run.session.hold()
    return 0


@command("exit", "logout")
def leave(run: Run, args: list[str]) -> int:
    """End the shell, or that of a chroot."""
    session = run.session
    if session.outside:
        session.base, session.cwd = session.outside.pop()
        session.hold()
        return 0
    raise Leave(int(args[0]) if args and args[0].isdigit() else 0)


@command("whoami")
def whoami(run: Run, _args: list[str]) -> int:
    """Write one's name."""
    run.say(run.session.user.name)
    return 0


@command("id")
def show_id(run: Run, args: list[str]) -> int:
    """Write one's numbers, or another user's."""
    found, rest = options(args, "ugnG")
    users = run.machine.users(run.session.base)
    if rest and rest[0] not in users:
        raise Fail(f"'{rest[0]}': no such user")
    user = users[rest[0]] if rest else run.session.user
    if given(found, "-u", "-g"):
        number = user.uid if "-u" in found else user.gid
        run.say(user.name if "-n" in found and "-u" in found else str(number))
        return 0
    node = type(run.machine.root)(uid=user.uid, gid=user.gid)
    group = owner_names(run, node)[1]
    run.say(f"uid={user.uid}({user.name}) gid={user.gid}({group}) groups={user.gid}({group})")
    return 0


@command("hostname")
def hostname(run: Run, _args: list[str]) -> int:
    """Write the system's name."""
    run.say(run.machine.hostname)
    return 0


@command("uname")
def uname(run: Run, args: list[str]) -> int:
    """Write what system it is."""
    found, _ = options(args, "asnrvmo")
    parts = {"-s": "Linux", "-n": run.machine.hostname, "-r": run.machine.kernel}
    parts |= {"-v": "#1 SMP PREEMPT_DYNAMIC Debian", "-m": "x86_64", "-o": "GNU/Linux"}
    wanted = parts if "-a" in found else [one for one in parts if one in (found or ["-s"])]
    run.say(" ".join(parts[one] for one in wanted))
    return 0


@command("env", "printenv")
def env(run: Run, args: list[str]) -> int:
    """Run a command with variables set, or write all of them."""
    rest = list(args)
    while rest and (rest[0] in ("-i", "-") or "=" in rest[0]):
        name, _, value = rest.pop(0).partition("=")
        run.session.env[name] = value
    if rest:
        run.name = rest[0]
        return dispatch(run, rest[1:])
    for name, value in run.session.env.items():
        run.say(f"{name}={value}")
    return 0


@command("which", "type")
def which(run: Run, args: list[str]) -> int:
    """Write where commands are."""
    for name in args:
        if name not in COMMANDS:
            return 1
        run.say(f"/usr/bin/{name}")
    return 0


@command("sudo")
def sudo(run: Run, args: list[str]) -> int:
    """Run a command as root: the cloud's user may, without a password."""
    _, rest = options(args, "nSEHiu:", mixed=False)
    session = run.session
    if not rest:
        raise Fail("a command is needed")
    before, session.who = session.who, Who()
    user, session.user = session.user, User("root", 0, 0, "/root", "/bin/bash")
    try:
        run.name = rest[0]
        return dispatch(run, rest[1:])
    finally:
        session.who, session.user = before, user


@command("chroot")
def chroot(run: Run, args: list[str]) -> int:
    """Run a command with another root; with a shell or nothing, until exit."""
    run.need_root(f"cannot change root directory to '{args[0] if args else ''}'", 125)
    if not args:
        raise Fail("missing operand", 125)
    place = run.place(args[0])
    if place.node is None:
        raise Fail(f"cannot change root directory to '{args[0]}': No such file or directory", 125)
    session, rest = run.session, args[1:]
    if not rest or rest[0] in SHELLS:
        session.outside.append((session.base, session.cwd))
        session.base, session.cwd = place.path, place.path
        session.hold()
        return 0
    before, session.base, session.cwd = (session.base, session.cwd), place.path, place.path
    try:
        run.name = rest[0]
        return dispatch(run, rest[1:])
    finally:
        session.base, session.cwd = before


@command("date")
def date(run: Run, args: list[str]) -> int:
    """Write the time."""
    form = args[0][1:] if args and args[0].startswith("+") else "%a %b %e %H:%M:%S UTC %Y"
    run.say(time.strftime(form, time.gmtime()))
    return 0


@command("dmesg", "journalctl")
def dmesg(run: Run, _args: list[str]) -> int:
    """Write a little of what the kernel said."""
    run.say(f"[    0.000000] Linux version {run.machine.kernel}")
    run.say(f"[    0.000000] Command line: {run.machine.command_line}")
    return 0


@command("sleep")
def sleep(run: Run, args: list[str]) -> int:
    """Wait, but not longer than the connection lasts."""
    text = args[0] if args else "0"
    until = time.monotonic() + min(float(text.rstrip("s") or 0), 3600)
    with run.unlocked():
        while time.monotonic() < until and not run.session.gone():
            time.sleep(0.05)
    return 130 if run.session.gone() else 0


@command("stty")
def stty(run: Run, args: list[str]) -> int:
    """Tell how large the terminal is; nothing else of it can be set."""
    if not run.terminal:
        raise Fail("'standard input': Inappropriate ioctl for device")
    session = run.session
    if args == ["size"]:
        run.say(f"{session.rows} {session.columns}")
    elif args in ([], ["-a"], ["--all"]):
        run.say(f"speed 38400 baud; rows {session.rows}; columns {session.columns}; line = 0;")
    elif args != ["sane"]:
        raise Fail(f"invalid argument '{args[0]}': here it only tells the size")
    return 0


@command("tty")
def tty(run: Run, _args: list[str]) -> int:
    """Tell the terminal's name."""
    run.say("/dev/pts/0" if run.terminal else "not a tty")
    return 0 if run.terminal else 1


@command("nano", "vi", "vim")
def no_editor(run: Run, args: list[str]) -> int:
    """Say how to change a file without an editor, which a system in memory does not have."""
    path = args[-1] if args else "FILE"
    hint = f"echo 'a line' >> {path}, or sed -i 's/this/that/' {path}"
    run.complain(f"{run.name}: the demo's machines have no editor: {hint}\n".encode())
    return 1


@command("systemctl", "apt", "reboot")
def absent(run: Run, _args: list[str]) -> int:
    """Say what a system in memory does not have."""
    run.complain(
        f"{run.name}: the demo's machines do not have it; see what they have: help\n".encode()
    )
    return 1


@command("help")
def show_help(run: Run, _args: list[str]) -> int:
    """Write which commands there are."""
    run.say("This machine is one of the demo's, in memory. These commands work:")
    names = [one for one in sorted(COMMANDS) if one.isalnum()]
    for number in range(0, len(names), 8):
        run.say("  " + " ".join(one.ljust(10) for one in names[number : number + 8]).rstrip())
    run.say("To change a file: cat FILE, then sed -i, echo TEXT >> FILE, or sftp.")
    return 0
