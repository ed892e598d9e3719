"""A machine's disk, and each way to reach a file on it."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass

from instances.ssh import Machine
from instances.ssh.facts import File


@dataclass(frozen=True)
class Disk:
    """The machine's /mnt, or what stands for it, empty at first."""

    machine: Machine
    root: str

    def sh(self, script: str) -> str:
        """Run a script there and return what it wrote."""
        output = self.machine.run("sh", "-ec", f"cd {shlex.quote(self.root)}\n{script}")
        assert output.status == 0, output
        return output.out.decode()

    def at(self, path: str) -> str:
        return f"{self.root}/{path}"

    def read(self, path: str) -> File:
        return self.machine.read(self.at(path), root=self.root)

    def write(self, path: str, data: bytes, like: File | None = None) -> None:
        self.machine.write(self.at(path), data, like, root=self.root)


#: each way to reach a file
WAYS: dict[str, Callable[[Machine, str, str], object]] = {
    "read": lambda machine, path, root: machine.read(path, root=root),
    "write": lambda machine, path, root: machine.write(path, b"ours", root=root),
    "keep": lambda machine, path, root: machine.keep_beside(path, "1", root=root),
    "list": lambda machine, path, root: machine.listdir(path, root=root),
    "make": lambda machine, path, root: machine.make_dir(path, 0o700, 0, 0, root=root),
    "own": lambda machine, path, root: machine.set_owner(path, 0o777, 0, 0, root=root),
    "remove": lambda machine, path, root: machine.remove(path, root=root),
    "look": lambda machine, path, root: machine.lstat(path, root=root),
}
