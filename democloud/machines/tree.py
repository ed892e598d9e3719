"""Hold the files of a file system in memory: nodes with owner, mode, time and content."""

import itertools
import stat as st
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

KINDS = {
    "dir": st.S_IFDIR,
    "file": st.S_IFREG,
    "link": st.S_IFLNK,
    "block": st.S_IFBLK,
    "char": st.S_IFCHR,
}
_inodes = itertools.count(131073)


@dataclass(eq=False)
class Node:
    """A file, directory, symbolic link or device."""

    kind: str = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    data: bytes = b""
    target: str = ""
    children: dict[str, "Node"] = field(default_factory=dict)
    mtime: float = field(default_factory=time.time)
    inode: int = field(default_factory=lambda: next(_inodes))
    #: SELinux's context; a file that is made without SELinux has none
    context: str = ""
    #: content that is written anew whenever it is read, as in /proc
    made: Callable[[], bytes] | None = field(default=None, repr=False)
    #: bytes that are there but that nobody needs to hold in memory
    bulk: int = 0

    @property
    def full_mode(self) -> int:
        """Return type and permissions as stat's st_mode has them."""
        return KINDS[self.kind] | self.mode

    @property
    def size(self) -> int:
        """Return the size as stat shows it."""
        if self.kind == "dir":
            return 4096
        return len(self.target) if self.kind == "link" else len(self.read()) + self.bulk

    def read(self) -> bytes:
        """Return the content."""
        return self.made() if self.made else self.data

    def touch(self) -> None:
        """Note that it was changed now."""
        self.mtime = time.time()

    def walk(self) -> Iterator["Node"]:
        """Go through this and all below it."""
        yield self
        for child in self.children.values():
            yield from child.walk()

    def copy(self) -> "Node":
        """Return this and all below it, anew."""
        made = Node(self.kind, self.mode, self.uid, self.gid, self.read(), self.target)
        made.mtime, made.bulk, made.context = self.mtime, self.bulk, self.context
        made.children = {name: child.copy() for name, child in self.children.items()}
        return made


def folder(mode: int = 0o755) -> Node:
    """Return an empty directory."""
    return Node("dir", mode)


@dataclass
class Owner:
    """Whose files are being planted."""

    uid: int = 0
    gid: int = 0


ROOT = Owner()


def plant(
    root: Node, path: str, text: str | bytes = "", mode: int = 0o644, owner: Owner = ROOT
) -> Node:
    """Put a file into a tree, with the directories that lead to it."""
    *above, name = path.strip("/").split("/")
    place = plant_folder(root, "/".join(above)) if above else root
    data = text.encode() if isinstance(text, str) else text
    place.children[name] = Node("file", mode, owner.uid, owner.gid, data)
    return place.children[name]


def plant_folder(root: Node, path: str, mode: int = 0o755, owner: Owner | None = None) -> Node:
    """Put a directory into a tree, with those that lead to it; an owner is that of the last."""
    place = root
    for name in filter(None, path.split("/")):
        place = place.children.setdefault(name, folder())
    if owner is not None:
        place.mode, place.uid, place.gid = mode, owner.uid, owner.gid
    return place


def plant_link(root: Node, path: str, target: str) -> None:
    """Put a symbolic link into a tree."""
    *above, name = path.strip("/").split("/")
    place = plant_folder(root, "/".join(above)) if above else root
    place.children[name] = Node("link", 0o777, target=target)


def find(root: Node, path: str) -> Node | None:
    """Return what is at a path of one file system, following no links."""
    place: Node | None = root
    for name in filter(None, path.split("/")):
        place = place.children.get(name) if place else None
    return place


def text_at(root: Node, path: str) -> str:
    """Return the text of a file, nothing where there is none."""
    node = find(root, path)
    return node.read().decode(errors="replace") if node and node.kind == "file" else ""
