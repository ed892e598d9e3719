"""The host keys that an image printed on its console, so that nobody has to trust the first one.

The console's text is hostile: whatever ran on the machine could write there.
"""

import base64
import binascii
import re

from instances.ssh.facts import HostKey

_MOST_TEXT, _MOST_KEYS = 1_000_000, 32
#: what a kernel says first; what stands before it is of an earlier boot, of the broken system
_BOOT = re.compile(r"\[ {0,8}0\.000000\] {1,8}(?:Linux version |Booting Linux on )")
_BLOCK = re.compile(r"-----(BEGIN|END) SSH HOST KEY (FINGERPRINTS|KEYS)-----")
_FINGERPRINT = re.compile(r"(?<![\w+/])SHA256:[A-Za-z0-9+/]{43}(?![\w+/=])")
_KEY = re.compile(
    r"\b(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) (AAAA[A-Za-z0-9+/]{32,2000}={0,2})"
)


def fingerprints_in(console_text: str) -> list[str]:
    """Return the fingerprints printed at the last boot, as ``SHA256:…``; none when in doubt.

    cloud-init prints them between ``BEGIN`` and ``END SSH HOST KEY FINGERPRINTS`` (and whole keys
    between ``… KEYS``), each line behind whatever syslog puts before it.
    """
    text = console_text[-_MOST_TEXT:]
    boots = list(_BOOT.finditer(text))
    if boots:
        text = text[boots[-1].end() :]
    found = _FINGERPRINT.findall(_last_block(text, "FINGERPRINTS"))
    found += [_fingerprint(*key) for key in _KEY.findall(_last_block(text, "KEYS"))]
    return list(dict.fromkeys(one for one in found if one))[:_MOST_KEYS]


def _last_block(text: str, kind: str) -> str:
    """Return what stands in the last block of a kind; nothing while it is not ended."""
    marks = [mark for mark in _BLOCK.finditer(text) if mark[2] == kind]
    begins = [place for place, mark in enumerate(marks) if mark[1] == "BEGIN"]
    if not begins or begins[-1] + 1 == len(marks):
        return ""
    return text[marks[begins[-1]].end() : marks[begins[-1] + 1].start()]


def _fingerprint(kind: str, blob: str) -> str:
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return ""
    named = raw[4 : 4 + len(kind)] == kind.encode()
    return HostKey(kind, blob).fingerprint if named else ""
