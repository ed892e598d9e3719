"""Make the SSH keys of the demo: the same key pairs at each start, host keys new at each rescue."""

import hashlib
import io
from functools import lru_cache

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from democloud.state import Server


@lru_cache(maxsize=256)
def made_from(words: str) -> paramiko.Ed25519Key:
    """Return the key that always comes from these words."""
    return paramiko.Ed25519Key.from_private_key(io.StringIO(private_text(words)))


def private_text(words: str) -> str:
    """Return that key as OpenSSH keeps it in a file."""
    raw = hashlib.sha256(f"democloud {words}".encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(raw)
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def pair_text(name: str) -> str:
    """Return the private half of a key pair of the demo."""
    return private_text(f"key pair {name}")


def pair_line(name: str) -> str:
    """Return the public half of a key pair as authorized_keys has it."""
    return line(made_from(f"key pair {name}"), name)


def line(key: paramiko.PKey, comment: str) -> str:
    """Write a public key as one line."""
    return f"{key.get_name()} {key.get_base64()} {comment}"


def host_key(server: Server, *, rescued: bool) -> paramiko.Ed25519Key:
    """Return the key a server's system answers with: its own, or one of this rescue alone."""
    which = f"rescue {server.rescues}" if rescued else "own"
    return made_from(f"host {server.nonce} {server.id} {which}")


def printed_password(server: Server) -> str:
    """Return the password that an image makes up at a rescue and shows on the console."""
    digest = hashlib.sha256(f"{server.nonce} {server.id} {server.rescues}".encode()).hexdigest()
    return f"{digest[:4]}-{digest[4:8]}-{digest[8:12]}"
