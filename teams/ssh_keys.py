"""Public SSH keys: read strictly, named by their fingerprint, kept for a person or a team."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from teams import audit
from teams.membership import must
from teams.models import SSHKey, Team, User
from teams.permissions import Right
from teams.refusals import Refused

KEY_TYPES = {
    "ssh-ed25519": "Ed25519",
    "ecdsa-sha2-nistp256": "ECDSA 256",
    "ecdsa-sha2-nistp384": "ECDSA 384",
    "ecdsa-sha2-nistp521": "ECDSA 521",
    "sk-ssh-ed25519@openssh.com": "Ed25519, security key",
    "sk-ecdsa-sha2-nistp256@openssh.com": "ECDSA 256, security key",
    "ssh-rsa": "RSA",
}
RSA_BITS = 2048
LONGEST = 16_000
KEYS_EACH = 50
PRIVATE = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY|PuTTY-User-Key-File", re.IGNORECASE)
BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class PublicKey:
    """A key as read: without options; the comment apart."""

    key_type: str
    text: str
    fingerprint: str
    comment: str


def parse(pasted: str) -> PublicKey:
    """Read one line of a ``.pub`` file; raise ``Refused`` with what is wrong with it."""
    if PRIVATE.search(pasted):
        raise Refused(
            _("This is a private key: never give it away. It was not kept. Paste the public key, "
              "the file that ends in .pub; if others may have seen this one, make a new pair."),
            field="public_key",
        )  # fmt: skip
    line = pasted.strip()
    if len(line) > LONGEST or len(line.splitlines()) != 1 or not line.isprintable():
        raise _bad(_("Paste one public key: a single line such as “ssh-ed25519 AAAA… name”."))
    key_type, _space, rest = line.partition(" ")
    body, _space, comment = rest.strip().partition(" ")
    if key_type not in KEY_TYPES:
        raise _bad(_wrong_start(line, key_type))
    blob = _decoded(body)
    _must_load(key_type, body)
    return PublicKey(
        key_type=key_type,
        text=f"{key_type} {body}",
        fingerprint=fingerprint_of(blob),
        comment=comment.strip()[:100],
    )


def fingerprint_of(blob: bytes) -> str:
    """Return a key's fingerprint as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def keys_of(owner: User | Team) -> "QuerySet[SSHKey]":
    """List the keys of a person or a team, by name."""
    return owner.ssh_keys.order_by("name", "pk")


def add(*, owner: User | Team, pasted: str, name: str, by: User) -> SSHKey:
    """Keep a public key for a person or a team."""
    _must_own(owner, by)
    key = parse(pasted)
    if owner.ssh_keys.filter(fingerprint=key.fingerprint).exists():
        raise _bad(_("This key is in the list already."))
    if owner.ssh_keys.count() >= KEYS_EACH:
        raise Refused(_("{n} keys are kept at most. Delete one first.").format(n=KEYS_EACH))
    made = SSHKey(
        name=name.strip() or key.comment or KEY_TYPES[key.key_type],
        key_type=key.key_type,
        public_key=key.text,
        fingerprint=key.fingerprint,
    )
    team = owner if isinstance(owner, Team) else None
    made.team, made.user = team, None if isinstance(owner, Team) else owner
    try:
        with transaction.atomic():
            made.save()
            audit.record(
                "key.add", team=team, target=made.name, actor=by, fingerprint=made.fingerprint
            )
    except IntegrityError:
        raise _bad(_("This key is in the list already.")) from None
    return made


def delete(*, key: SSHKey, by: User) -> None:
    """Forget a public key; what is on servers already stays there."""
    owner = key.team or key.user
    assert owner is not None  # a constraint of the table  # noqa: S101
    _must_own(owner, by)
    with transaction.atomic():
        audit.record(
            "key.remove", team=key.team, target=key.name, actor=by, fingerprint=key.fingerprint
        )
        key.delete()


def _must_own(owner: User | Team, by: User) -> None:
    if isinstance(owner, Team):
        must(by, Right.MANAGE, owner)
    elif owner.pk != by.pk or by.acted_by is not None:
        raise Refused(_("Only the person may do this."))


def _wrong_start(line: str, key_type: str) -> str:
    if any(f"{known} " in line for known in KEY_TYPES):
        return _("Leave out what stands before the key type: options are not taken.")
    if key_type == "ssh-dss":
        return _("DSA keys are too weak, and servers refuse them. Use Ed25519 instead.")
    if "-cert-v01@" in key_type:
        return _("This is a certificate. Paste the public key it was made for.")
    if line.startswith("---- BEGIN SSH2 PUBLIC KEY"):
        return _("Convert this key first: ssh-keygen -i -f FILE")
    kinds = "ssh-ed25519, ecdsa-sha2-nistp…, sk-…, ssh-rsa"
    return _("This is no public key the panel knows. It begins with one of: {kinds}.").format(
        kinds=kinds
    )


def _decoded(body: str) -> bytes:
    try:
        if BASE64.fullmatch(body):
            return base64.b64decode(body, validate=True)
    except binascii.Error:
        pass
    raise _bad(_("The key is damaged: copy the whole line again."))


def _must_load(key_type: str, body: str) -> None:
    try:
        loaded = load_ssh_public_key(f"{key_type} {body}".encode())
    except (ValueError, UnsupportedAlgorithm):
        raise _bad(_("The key is damaged: copy the whole line again.")) from None
    if isinstance(loaded, RSAPublicKey) and loaded.key_size < RSA_BITS:
        sentence = _("RSA keys need {least} bits or more; this one has {bits}.")
        raise _bad(sentence.format(least=RSA_BITS, bits=loaded.key_size))


def _bad(sentence: str) -> Refused:
    return Refused(sentence, field="public_key")
