"""Be one running system: disks under the names it gave them, its mounts, its people."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from democloud.machines.disks import MIB, Bench, Block, Disk, FileSystem, dashed, tags
from democloud.machines.tree import Node, folder, plant_folder, plant_link, text_at
from democloud.machines.vfs import Mount, Namespace, Who

SYSTEM_OPTIONS = ["rw", "nosuid", "nodev", "noexec", "relatime"]
CHARACTERS = ("console", "full", "null", "ptmx", "random", "tty", "ttyS0", "urandom", "zero")


@dataclass
class User:
    """A line of /etc/passwd."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    gecos: str = ""


@dataclass(eq=False)
class Machine:
    """A system from its boot to its end; what is written to its disks outlasts it."""

    bench: Bench
    ns: Namespace
    hostname: str
    kernel: str
    command_line: str
    #: all commands and file operations of all its connections, one at a time
    lock: threading.Lock = field(default_factory=threading.Lock)
    started: float = field(default_factory=time.monotonic)
    #: where each login session stands, for what keeps a mount busy: id -> (what, directory)
    holders: dict[int, tuple[str, str]] = field(default_factory=dict)
    swaps: list[str] = field(default_factory=list)
    devices: Node = field(default_factory=folder)
    #: it was shut down: whatever still runs on it does nothing any more
    over: bool = False

    @property
    def root(self) -> Node:
        """Return the root of its tree."""
        return self.ns.mounts[0].root

    def users(self, base: str = "/") -> dict[str, User]:
        """Return who /etc/passwd names."""
        try:
            text = self.ns.read(Who(), f"{base.rstrip('/')}/etc/passwd").decode(errors="replace")
        except OSError:
            text = ""
        return users_in(text)

    def who(self, user: User) -> Who:
        """Return a user's numbers."""
        text = text_at(self.root, "etc/group")
        rows = (line.split(":") for line in text.splitlines())
        mine = [int(row[2]) for row in rows if len(row) > 3 and user.name in row[3].split(",")]
        return Who(user.uid, user.gid, tuple(mine))

    def mounted(self, block: Block) -> list[Mount]:
        """Return where a device is mounted."""
        fs = block.content
        found = (one for one in self.ns.mounts if fs is not None and one.fs is fs)
        return [one for one in found if one.source.split("[")[0] == block.path]

    def busy(self, target: str) -> list[tuple[int, str]]:
        """Return what works inside a mount: who holds it, and what."""
        prefix = target.rstrip("/") + "/"
        inside = (
            (number, what)
            for number, (what, place) in self.holders.items()
            if f"{place}/".startswith(prefix)
        )
        return sorted(inside)

    def show_devices(self) -> None:
        """Fill /dev anew with what there is now, as udev does."""
        kept = {name: one for name, one in self.devices.children.items() if one.kind == "dir"}
        self.devices.children = {name: kept[name] for name in ("pts", "shm") if name in kept}
        for name in ("pts", "shm"):
            plant_folder(self.devices, name)
        for name in CHARACTERS:
            self.devices.children[name] = Node("char", 0o666)
        plant_link(self.devices, "fd", "/proc/self/fd")
        for block in self.bench.all():
            self._show_device(block)

    def _show_device(self, block: Block) -> None:
        self.devices.children[block.kernel] = Node("block", 0o660, 0, 6)
        if block.kernel != block.name:
            plant_link(self.devices, f"mapper/{block.name}", f"../{block.kernel}")
        parent = block.parent.content if block.parent else None
        for name in parent.volumes if parent else ():
            if block.type == "lvm" and parent and block.name.endswith(f"-{dashed(name)}"):
                plant_link(self.devices, f"{parent.group}/{name}", f"../{block.kernel}")
        found = tags(block)
        for tag, place in (("UUID", "by-uuid"), ("LABEL", "by-label"), ("PARTUUID", "by-partuuid")):
            if tag in found:
                name = found[tag].replace("/", "\\x2f").replace(" ", "\\x20")
                plant_link(self.devices, f"disk/{place}/{name}", f"../../{block.kernel}")

    def seconds(self) -> float:
        """Return how long it has been up."""
        return time.monotonic() - self.started


def users_in(text: str) -> dict[str, User]:
    """Read the lines of a passwd file that can be read."""
    found = {}
    for line in text.splitlines():
        row = line.split(":")
        if len(row) == 7 and row[2].isdigit() and row[3].isdigit():
            found[row[0]] = User(row[0], int(row[2]), int(row[3]), row[5], row[6], row[4])
    return found


def start(
    bench: Bench, root: Block, fs: FileSystem, hostname: str, kernel: str, root_is: str
) -> Machine:
    """Boot: mount the root, and the file systems that are no disk's."""
    options = ["rw", "relatime"]
    if fs.type == "ext4":
        options += ["discard", "errors=remount-ro"]
    elif fs.type == "xfs":
        options += ["seclabel", "attr2", "inode64", "noquota"]
    ns = Namespace(Mount("/", root.path, fs, fs.tree, options))
    line = f"BOOT_IMAGE=/boot/vmlinuz-{kernel} root={root_is} ro console=ttyS0,115200"
    machine = Machine(bench, ns, hostname, kernel, line)
    _mount_the_kernels(machine)
    return machine


def _mount_the_kernels(machine: Machine) -> None:
    """Mount /proc, /sys, /dev and the like."""
    rows: list[tuple[str, str, str, Node, list[str]]] = [
        ("sysfs", "/sys", "sysfs", folder(), SYSTEM_OPTIONS),
        ("proc", "/proc", "proc", _proc(machine), SYSTEM_OPTIONS),
        ("udev", "/dev", "devtmpfs", machine.devices, ["rw", "nosuid", "relatime", "mode=755"]),
        ("devpts", "/dev/pts", "devpts", folder(), ["rw", "nosuid", "noexec", "relatime", "gid=5"]),
        ("tmpfs", "/run", "tmpfs", folder(), ["rw", "nosuid", "nodev", "noexec", "relatime"]),
        ("tmpfs", "/run/lock", "tmpfs", folder(0o1777), SYSTEM_OPTIONS),
    ]
    for source, target, kind, tree, options in rows:
        above = machine.ns.mount_of(target)
        plant_folder(above.root, target.removeprefix(above.target))
        fs = FileSystem(kind, "", 384 * MIB, root=tree)
        machine.ns.mounts.append(Mount(target, source, fs, tree, list(options)))
    machine.show_devices()


def _proc(machine: Machine) -> Node:
    tree = folder(0o555)

    def made(path: str, text: Callable[[], str]) -> None:
        *above, name = path.split("/")
        place = plant_folder(tree, "/".join(above))
        place.children[name] = Node("file", 0o444, made=lambda: text().encode())

    made("cmdline", lambda: machine.command_line + "\n")
    made("version", lambda: f"Linux version {machine.kernel} (gcc 12.2.0) #1 SMP\n")
    made("uptime", lambda: f"{machine.seconds():.2f} {machine.seconds():.2f}\n")
    made("swaps", lambda: "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
    made("self/mounts", lambda: "".join(_mount_lines(machine)))
    made("mdstat", lambda: "Personalities : \nunused devices: <none>\n")
    made("filesystems", lambda: "nodev\tproc\n\text4\n\txfs\n\tbtrfs\n\tvfat\n\tntfs3\n\tiso9660\n")
    plant_link(tree, "mounts", "self/mounts")
    return tree


def _mount_lines(machine: Machine) -> list[str]:
    return [
        f"{one.source} {one.target} {one.fs.type} {','.join(one.options)} 0 0\n"
        for one in machine.ns.mounts
    ]


def fstab_rows(text: str) -> list[list[str]]:
    """Return the rows of an fstab that say something, each of up to six words."""
    rows = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [row for row in rows if row]


def attach(*disks: Disk) -> dict[str, Disk]:
    """Name disks in the order they are attached in: vda, vdb, ..."""
    return {f"vd{chr(ord('a') + number)}": disk for number, disk in enumerate(disks)}
