"""What comes out of a machine, and what is needed to go in: frozen, and silent about secrets."""

import base64
import hashlib
import stat
import unicodedata
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Target:
    """Where to connect to: an address, never a name.

    ``networks`` are what the operator allows this account besides public addresses.
    """

    address: str
    port: int = 22
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class HostKey:
    """The public key a machine proved itself with; ``blob`` is base64, as in known_hosts."""

    kind: str
    blob: str

    @property
    def fingerprint(self) -> str:
        """Return it as ``ssh-keygen -l`` prints it."""
        digest = hashlib.sha256(base64.b64decode(self.blob)).digest()
        return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True)
class Login:
    """Who goes in, and with what; the key is tried before the password."""

    user: str
    password: str | None = field(default=None, repr=False)
    private_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Output:
    """How a command ended and what it wrote: hostile bytes. -1: it was killed, or no status."""

    status: int
    out: bytes
    err: bytes


@dataclass(frozen=True)
class Entry:
    """One name in a directory, itself, not what a link points to.

    ``name`` holds bytes that are not UTF-8 as surrogates, to be handed back as they came;
    a page shows ``label``.
    """

    name: str
    mode: int
    uid: int
    gid: int
    size: int
    mtime: int

    @property
    def kind(self) -> str:
        """Return ``file``, ``dir``, ``link`` or ``other``."""
        kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link"}
        return kinds.get(stat.S_IFMT(self.mode), "other")

    @property
    def label(self) -> str:
        """Return the name as it may be shown: no control, format or broken signs."""
        odd = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        return "".join("�" if unicodedata.category(sign) in odd else sign for sign in self.name)


@dataclass(frozen=True)
class File:
    """A regular file as it was read; ``mode`` is its permission bits."""

    data: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
