"""Join file systems into the one tree a system sees: mounts, symbolic links, permissions."""

import errno
import os
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field

from democloud.machines.disks import FileSystem
from democloud.machines.tree import Node, folder

LINKS = 40
READ, WRITE, SEARCH = 4, 2, 1
BIGGEST = 64 << 20


def refuse(number: int, path: str = "") -> OSError:
    """Return the error the kernel would give."""
    return OSError(number, os.strerror(number), path)


@dataclass(eq=False)
class Mount:
    """A file system, or a part of one, at its place."""

    target: str
    source: str
    fs: FileSystem
    root: Node
    options: list[str] = field(default_factory=lambda: ["rw", "relatime"])
    #: where inside its file system it begins; not "/" for a bind mount of a directory
    inside: str = "/"

    @property
    def read_only(self) -> bool:
        """Tell whether writes are refused."""
        return "ro" in self.options


@dataclass(eq=False)
class Place:
    """Where a path leads: the node, if there is one, and the directory it is or would be in."""

    path: str
    node: Node | None
    parent: Node
    name: str
    mount: Mount


@dataclass(frozen=True)
class Who:
    """Who asks: numbers as in /etc/passwd."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()

    def may(self, node: Node, what: int) -> bool:
        """Tell whether the node's mode lets them."""
        if self.uid == 0:
            return True
        shift = 6 if node.uid == self.uid else 3 if node.gid in (self.gid, *self.groups) else 0
        return (node.mode >> shift) & what == what


class Namespace:
    """The mounts of a running system, and what can be done with paths in them."""

    def __init__(self, root: Mount) -> None:
        self.mounts = [root]

    def at(self, target: str) -> Mount | None:
        """Return the topmost mount at exactly this place."""
        return next((one for one in reversed(self.mounts) if one.target == target), None)

    def place(
        self, who: Who, path: str, cwd: str = "/", *, follow: bool = True, base: str = "/"
    ) -> Place:
        """Walk to a path; its last part may be missing. `base` is where "/" is, after chroot."""
        todo = _parts(path if path.startswith("/") else f"{cwd}/{path}")
        if path.startswith("/"):
            todo = [*_parts(base), *todo]
        stack = [self._top()]
        links = 0
        while todo:
            name = todo.pop(0)
            here = stack[-1]
            if name == ".":
                continue
            if name == "..":
                if len(stack) > 1 and here.path != base.rstrip("/"):
                    stack.pop()
                continue
            step = self._step(who, here, name)
            if step.node is None and todo:
                raise refuse(errno.ENOENT, path)
            if step.node and step.node.kind == "link" and (todo or follow):
                links += 1
                if links > LINKS:
                    raise refuse(errno.ELOOP, path)
                target = step.node.target
                todo = [*_parts(target), *todo]
                if target.startswith("/"):
                    todo = [*_parts(base), *todo]
                    del stack[1:]
                continue
            stack.append(step)
        return stack[-1]

    def _top(self) -> Place:
        mount = self.mounts[0]
        return Place("/", mount.root, mount.root, "", mount)

    def _step(self, who: Who, here: Place, name: str) -> Place:
        if here.node is None:
            raise refuse(errno.ENOENT, here.path)
        if here.node.kind != "dir":
            raise refuse(errno.ENOTDIR, here.path)
        if not who.may(here.node, SEARCH):
            raise refuse(errno.EACCES, here.path)
        path = posixpath.join(here.path, name)
        mount = self.at(path)
        if mount:
            return Place(path, mount.root, here.node, name, mount)
        return Place(path, here.node.children.get(name), here.node, name, here.mount)

    def look(self, who: Who, path: str, cwd: str = "/", *, follow: bool = True) -> Node:
        """Return what is at a path, or raise ENOENT."""
        node = self.place(who, path, cwd, follow=follow).node
        if node is None:
            raise refuse(errno.ENOENT, path)
        return node

    def read(self, who: Who, path: str, cwd: str = "/") -> bytes:
        """Return the content of a file."""
        node = self.look(who, path, cwd)
        if node.kind == "dir":
            raise refuse(errno.EISDIR, path)
        if not who.may(node, READ):
            raise refuse(errno.EACCES, path)
        return node.read()

    def listing(self, who: Who, path: str, cwd: str = "/") -> dict[str, Node]:
        """Return what is in a directory, by name; mounts in place of what they cover."""
        place = self.place(who, path, cwd)
        if place.node is None:
            raise refuse(errno.ENOENT, path)
        if place.node.kind != "dir":
            raise refuse(errno.ENOTDIR, path)
        if not who.may(place.node, READ):
            raise refuse(errno.EACCES, path)
        found = dict(place.node.children)
        for name in found:
            mount = self.at(posixpath.join(place.path, name))
            if mount:
                found[name] = mount.root
        return dict(sorted(found.items()))

    def open_for_writing(
        self, who: Who, path: str, cwd: str = "/", mode: int = 0o644, *, exclusive: bool = False
    ) -> Node:
        """Return the file to write to, made if it is missing."""
        place = self.place(who, path, cwd)
        if place.node is None:
            return self.create(who, place, Node("file", mode))
        if exclusive:
            raise refuse(errno.EEXIST, path)
        if place.node.kind == "dir":
            raise refuse(errno.EISDIR, path)
        if place.mount.read_only:
            raise refuse(errno.EROFS, path)
        if not who.may(place.node, WRITE):
            raise refuse(errno.EACCES, path)
        return place.node

    def write(self, who: Who, path: str, data: bytes, cwd: str = "/") -> None:
        """Replace the content of a file."""
        node = self.open_for_writing(who, path, cwd)
        self.fill(self.place(who, path, cwd).mount, node, data)

    def fill(self, mount: Mount, node: Node, data: bytes) -> None:
        """Give a file its content, if its file system has room for it."""
        grows = len(data) - len(node.data)
        if len(data) > BIGGEST or (grows > 0 and mount.fs.free < grows):
            raise refuse(errno.ENOSPC)
        if node.kind == "file":
            node.data, node.bulk = data, 0
        node.touch()

    def create(self, who: Who, place: Place, node: Node) -> Node:
        """Put a new node at a place that is empty."""
        self.may_change(who, place)
        if place.node is not None:
            raise refuse(errno.EEXIST, place.path)
        if place.mount.fs.free < 0:
            raise refuse(errno.ENOSPC, place.path)
        node.uid, node.gid = who.uid, who.gid
        place.parent.children[place.name] = node
        place.parent.touch()
        return node

    def mkdir(self, who: Who, path: str, cwd: str = "/", mode: int = 0o755) -> None:
        """Make a directory."""
        self.create(who, self.place(who, path, cwd), folder(mode))

    def symlink(self, who: Who, target: str, path: str, cwd: str = "/") -> None:
        """Make a symbolic link."""
        place = self.place(who, path, cwd, follow=False)
        self.create(who, place, Node("link", 0o777, target=target))

    def remove(self, who: Who, path: str, cwd: str = "/") -> None:
        """Remove a file or link."""
        place = self._existing(who, path, cwd)
        if place.node and place.node.kind == "dir":
            raise refuse(errno.EISDIR, path)
        del place.parent.children[place.name]
        place.parent.touch()

    def rmdir(self, who: Who, path: str, cwd: str = "/") -> None:
        """Remove an empty directory."""
        place = self._existing(who, path, cwd)
        if place.node is None or place.node.kind != "dir":
            raise refuse(errno.ENOTDIR, path)
        if place.node.children:
            raise refuse(errno.ENOTEMPTY, path)
        del place.parent.children[place.name]
        place.parent.touch()

    def rename(self, who: Who, old: str, new: str, cwd: str = "/") -> None:
        """Move within one file system, over what is there, as the system call does."""
        source, goal = self._existing(who, old, cwd), self.place(who, new, cwd, follow=False)
        self.may_change(who, goal)
        if source.mount is not goal.mount:
            raise refuse(errno.EXDEV, new)
        moved = self._node(source, old)
        _may_replace(moved, goal)
        if f"{goal.path}/".startswith(f"{source.path}/"):
            if goal.path == source.path:
                return
            raise refuse(errno.EINVAL, new)
        del source.parent.children[source.name]
        goal.parent.children[goal.name] = moved
        source.parent.touch()
        goal.parent.touch()

    @staticmethod
    def _node(place: Place, path: str) -> Node:
        if place.node is None:
            raise refuse(errno.ENOENT, path)
        return place.node

    def change(self, who: Who, path: str, cwd: str = "/", *, follow: bool = True) -> Node:
        """Return a node whose mode, owner or time the asker may change."""
        place = self.place(who, path, cwd, follow=follow)
        if place.node is None:
            raise refuse(errno.ENOENT, path)
        if place.mount.read_only:
            raise refuse(errno.EROFS, path)
        if who.uid not in (0, place.node.uid):
            raise refuse(errno.EPERM, path)
        return place.node

    def may_change(self, who: Who, place: Place) -> None:
        """Refuse to add to or take from the directory of a place if it may not be."""
        if not place.name:
            raise refuse(errno.EBUSY, place.path)
        if place.mount.read_only:
            raise refuse(errno.EROFS, place.path)
        if not who.may(place.parent, WRITE | SEARCH):
            raise refuse(errno.EACCES, place.path)

    def _existing(self, who: Who, path: str, cwd: str) -> Place:
        place = self.place(who, path, cwd, follow=False)
        if place.node is None:
            raise refuse(errno.ENOENT, path)
        if place.node is place.mount.root:
            raise refuse(errno.EBUSY, path)
        self.may_change(who, place)
        return place

    def mount_of(self, path: str) -> Mount:
        """Return the mount that holds a path which has no links in it."""
        while True:
            mount = self.at(path)
            if mount:
                return mount
            path = posixpath.dirname(path)

    def below(self, target: str) -> Iterator[Mount]:
        """Go through the mounts below a place."""
        prefix = target.rstrip("/") + "/"
        return (one for one in self.mounts if one.target.startswith(prefix) and one.target != "/")


def _may_replace(node: Node, goal: Place) -> None:
    if goal.node is None:
        return
    if goal.node.kind == "dir" and node.kind != "dir":
        raise refuse(errno.EISDIR, goal.path)
    if goal.node.kind != "dir" and node.kind == "dir":
        raise refuse(errno.ENOTDIR, goal.path)
    if goal.node.children:
        raise refuse(errno.ENOTEMPTY, goal.path)


def _parts(path: str) -> list[str]:
    return [one for one in path.split("/") if one]
