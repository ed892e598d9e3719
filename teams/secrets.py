"""Seal and open secrets: AES-256-GCM, bound to the row they belong to.

The keys live in the environment (``ENCRYPTION_KEYS``), never in the database. The first key
seals; every key opens, so a new key can be put in front and old rows sealed anew at leisure.
A token is ``v1:<key id>:<base64url of nonce and ciphertext>``; the key id is a hash of the key.
"""

import base64
import hashlib
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

NONCE_BYTES = 12


class CannotOpen(Exception):
    """The token is not for this row, was tampered with, or its key is gone."""


class Veiled:
    """A secret that a template prints and a log does not: at DEBUG Django logs whole contexts."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "[hidden]"


def seal(plaintext: str, *, bound_to: str) -> str:
    """Encrypt a secret so that it opens only for ``bound_to``, the name of its row and column."""
    key = settings.ENCRYPTION_KEYS[0]
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + AESGCM(key).encrypt(nonce, plaintext.encode(), bound_to.encode())
    return f"v1:{key_id(key)}:{base64.urlsafe_b64encode(sealed).decode()}"


def unseal(token: str, *, bound_to: str) -> str:
    """Decrypt what ``seal`` returned for the same row; raise ``CannotOpen`` otherwise."""
    try:
        version, wanted, body = token.split(":")
        sealed = base64.urlsafe_b64decode(body)
        key = next(key for key in settings.ENCRYPTION_KEYS if key_id(key) == wanted)
        if version != "v1":
            raise CannotOpen("unknown version")
        nonce, ciphertext = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        return AESGCM(key).decrypt(nonce, ciphertext, bound_to.encode()).decode()
    except (ValueError, StopIteration, InvalidTag) as error:
        raise CannotOpen("the secret cannot be opened with the keys at hand") from error


def sealed_with_current_key(token: str) -> bool:
    """Tell whether a token was sealed with the first key, so that rotation may skip it."""
    return token.startswith(f"v1:{key_id(settings.ENCRYPTION_KEYS[0])}:")


def key_id(key: bytes) -> str:
    """Name a key without telling it: the first 8 hex digits of its SHA-256."""
    return hashlib.sha256(key).hexdigest()[:8]
