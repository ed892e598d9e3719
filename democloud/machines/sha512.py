"""Hash passwords as crypt(5)'s SHA-512 ($6$), which Python no longer has (Drepper's SHA-crypt)."""

import hashlib
import secrets

SIGNS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
ROUNDS = 5000


def hashed(password: bytes, salt: str = "") -> str:
    """Return what stands in /etc/shadow for a password; a salt has at most 16 signs."""
    salt = salt or "".join(secrets.choice(SIGNS) for _ in range(16))
    return f"$6${salt}${_encoded(_digest(password, salt.encode()))}"


def _digest(password: bytes, salt: bytes) -> bytes:
    size = len(password)
    other = hashlib.sha512(password + salt + password).digest()
    first = hashlib.sha512(password + salt + _stretched(other, size))
    bits = size
    while bits:
        first.update(other if bits & 1 else password)
        bits >>= 1
    digest = first.digest()
    words = _stretched(hashlib.sha512(password * size).digest(), size)
    salts = _stretched(hashlib.sha512(salt * (16 + digest[0])).digest(), len(salt))
    for number in range(ROUNDS):
        odd = number & 1
        mixed = words if odd else digest
        mixed += (salts if number % 3 else b"") + (words if number % 7 else b"")
        digest = hashlib.sha512(mixed + (digest if odd else words)).digest()
    return digest


def _stretched(data: bytes, size: int) -> bytes:
    return (data * (size // len(data) + 1))[:size]


def _encoded(digest: bytes) -> str:
    """Write the 64 bytes in the order and the alphabet that crypt uses."""
    found = []
    for number in range(21):
        places = [(number + shift * 21) for shift in range(3)]
        turned = number % 3
        a, b, c = places[turned:] + places[:turned]
        found.append(_signs(digest[a] << 16 | digest[b] << 8 | digest[c], 4))
    return "".join([*found, _signs(digest[63], 2)])


def _signs(value: int, count: int) -> str:
    return "".join(SIGNS[(value >> (6 * place)) & 63] for place in range(count))
