"""A broken instance's disk, real: an image with a partition table, attached as a loop device."""

import os
import shutil
import struct
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from tests import sshd
from tests.services import wait_until

SECTOR, MIB = 512, 1024 * 1024
#: begin and size in MiB, and the type in the partition table: root, data, swap, nothing
PARTS = {1: (1, 12, 0x83), 2: (13, 6, 0x83), 3: (19, 1, 0x82), 4: (20, 1, 0x83)}
PASSWD = """root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
admin:x:1000:1000:Admin,,,:/home/admin:/bin/bash
fresh:x:1001:1001::/home/fresh:/bin/sh
away:x:1002:1002::/data/away:/bin/sh
linked:x:1003:1003::/home/linked:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
not a line
half:x:one:1::/:/bin/sh
"""
#: a file system that is on none of the disks
GONE = "UUID=0bad0bad-0000-4000-8000-000000000000"
FSTAB = """# /etc/fstab
UUID={root} / ext4 defaults 0 1
LABEL={label}\t/srv ext4 defaults,nofail
{gone} /var ext4 defaults 0 2
UUID={data} /boot ext4 defaults 0 2
UUID={data} /home/../../etc ext4
UUID={data} /opt ext4
UUID={data} /etc ext4
UUID={swap} none swap sw 0 0
"""
SHADOW = """root:*:19000:0:99999:7:::
daemon:*:19000:0:99999:7:::
admin:!$6$oldsalt1$%s:19000:0:99999:7::19001:
fresh:$y$j9T$abc$def:19000:0:99999:7:::
""" % ("x" * 86)
SSHD = """Include /etc/ssh/sshd_config.d/*.conf
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM yes
Match User backup
PermitRootLogin yes
"""
OLD_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMJ0CAkoDuBTgGwUBbrxQDOBGtCvCiw3jMbUTsCNGVB6 old"


def why_not() -> str:
    """Return what keeps disks from being attached here; nothing when they can be."""
    if not sshd.program():
        return "OpenSSH's server is not installed: apt-get install openssh-server"
    if not sshd.can_set_apart():
        return "mounting where only one server sees it needs root and mount namespaces"
    tools = ("losetup", "partx", "mkfs.ext4", "mkswap", "lsblk", "findmnt", "blkid", "nsenter")
    if missing := [tool for tool in tools if not shutil.which(tool)]:
        return f"not installed: {', '.join(missing)}"
    free = subprocess.run(["losetup", "-f"], capture_output=True)
    return "" if free.returncode == 0 else "no loop device can be had"


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class RescueSystem(sshd.Sshd):
    """A server whose /mnt is a plain directory, with nothing mounted on it or below."""

    def _apart(self) -> str:
        return super()._apart() + (
            "while read -r _id _parent _numbers _root where _rest; do\n"
            "case $where in /mnt|/mnt/*) umount -l $where || : ;; esac\n"
            "done < /proc/self/mountinfo\n"
        )

    def within(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that sees what is mounted there."""
        enter = ["nsenter", "-m", "-t", str(self.process.pid), *command]
        return subprocess.run(enter, capture_output=True, text=True, check=False)

    def tell(self, *command: str) -> str:
        done = self.within(*command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def let_go(self) -> None:
        """Unmount whatever a test left on /mnt."""
        while self.within("mountpoint", "-q", "/mnt").returncode == 0:
            self.tell("umount", "-R", "/mnt")


def furnish(tree: Path, fstab: str) -> None:
    """Lay out the files of the broken system, with what is wrong with them."""
    for name in (
        "etc/ssh/sshd_config.d",
        "home/admin/.ssh",
        "home/fresh",
        "srv",
        "boot",
        "data",
        "var",
    ):
        (tree / name).mkdir(parents=True)
    (tree / "etc/passwd").write_text(PASSWD)
    (tree / "etc/fstab").write_text(fstab)
    (tree / "etc/shadow").write_text(SHADOW)
    (tree / "etc/shadow").chmod(0o640)
    os.chown(tree / "etc/shadow", 0, 42)
    (tree / "etc/ssh/sshd_config").write_text(SSHD)
    (tree / "etc/ssh/sshd_config.d/50-cloud-init.conf").write_text("PasswordAuthentication no\n")
    (tree / "etc/hosts").write_bytes(b"127.0.0.1 localhost\r\n127.0.1.1 old")
    (tree / "etc/inside").symlink_to("/etc/hosts")
    (tree / "etc/outside").symlink_to("../../../../../../etc/hosts")
    (tree / "home/linked").symlink_to("/etc")
    keys = tree / "home/admin/.ssh/authorized_keys"
    keys.write_text(OLD_KEY)  # its last line is not ended
    for path in ("home/admin", "home/admin/.ssh", "home/admin/.ssh/authorized_keys"):
        os.chown(tree / path, 1000, 1000)
    os.chown(tree / "home/fresh", 1001, 1001)
    (tree / "home/admin").chmod(0o775)
    (tree / "home/admin/.ssh").chmod(0o755)
    keys.chmod(0o644)


class Template:
    """The image that each test gets a copy of."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "template.img"
        self.uuids = {name: str(uuid.uuid4()) for name in ("root", "data", "swap")}
        self.label = f"data-{uuid.uuid4().hex[:8]}"  # other processes' disks are seen too
        tree = folder / "tree"
        furnish(tree, FSTAB.format(label=self.label, gone=GONE, **self.uuids))
        (folder / "data" / "etc").mkdir(parents=True)
        (folder / "data" / "etc" / "passwd").symlink_to("/etc/passwd")  # the rescue system's
        with self.path.open("wb") as image:
            image.truncate(22 * MIB)
            image.seek(446)
            image.write(b"".join(self._line(number) for number in PARTS) + b"\x55\xaa")
        self._put(1, "mkfs.ext4", "-q", "-U", self.uuids["root"], "-d", str(tree))
        self._put(
            2,
            "mkfs.ext4",
            "-q",
            "-U",
            self.uuids["data"],
            "-L",
            self.label,
            "-d",
            str(folder / "data"),
        )
        self._put(3, "mkswap", "-q", "-U", self.uuids["swap"])

    @staticmethod
    def _line(number: int) -> bytes:
        begin, size, kind = PARTS[number]
        nowhere, sectors = b"\0\0\0", MIB // SECTOR
        return struct.pack("<B3sB3sII", 0, nowhere, kind, nowhere, begin * sectors, size * sectors)

    def _put(self, number: int, *make: str) -> None:
        begin, size, _kind = PARTS[number]
        part = self.path.with_suffix(f".{number}")
        with part.open("wb") as file:
            file.truncate(size * MIB)
        run(*make, str(part))
        with self.path.open("r+b") as image:
            image.seek(begin * MIB)
            image.write(part.read_bytes())


def attach(image: Path, *, parts: int) -> str:
    """Attach an image as a disk, with its partitions; return the device."""
    device = run("losetup", "-f", "-P", "--show", str(image)).strip()
    try:
        if parts and not Path(f"{device}p1").exists():  # this kernel reads no partition tables
            run("partx", "-a", device)
        wait_until(
            lambda: all(Path(f"{device}p{n + 1}").exists() for n in range(parts)),
            "the partitions appearing",
        )
    except BaseException:
        detach(device)
        raise
    return device


def detach(device: str) -> None:
    """Take a disk away again."""
    subprocess.run(["partx", "-d", device], check=False, capture_output=True)
    run("losetup", "-d", device)


class OldDisk:
    """One copy, attached: ``device`` is the disk, ``part(1)`` its root."""

    def __init__(self, template: Template, image: Path) -> None:
        self.template, self.image = template, image
        shutil.copy(template.path, image)
        self.device = attach(image, parts=len(PARTS))

    def part(self, number: int) -> str:
        return f"{self.device}p{number}"

    def detach(self) -> None:
        detach(self.device)

    def bytes_of(self, number: int) -> bytes:
        """Return what is on a partition."""
        begin, size, _kind = PARTS[number]
        os.sync()
        with self.image.open("rb") as image:
            image.seek(begin * MIB)
            return image.read(size * MIB)

    def put(self, number: int, data: bytes) -> None:
        """Write all of a partition."""
        with open(self.part(number), "r+b") as raw:
            raw.write(data)
        os.sync()


def owned(system: RescueSystem, path: str) -> tuple[str, ...]:
    """Return mode, owner and group of what a test has mounted."""
    return tuple(system.tell("stat", "-c", "%a %u %g", path).split())


def label(system: RescueSystem, path: str, name: str, value: str) -> None:
    """Give a file that a test has mounted an extended attribute."""
    code = f"import os; os.setxattr({path!r}, {name!r}, {value.encode()!r})"
    system.tell(sys.executable, "-c", code)


def label_of(system: RescueSystem, path: str, name: str) -> str:
    code = f"import os; print(os.getxattr({path!r}, {name!r}).decode(), end='')"
    return system.tell(sys.executable, "-c", code)


def facts(told: Any) -> list[str]:
    """Return the codes of a job's sentences."""
    return [code for code, _values in told["lines"]]
