"""Public keys: what is taken, what is refused and why, and the fingerprint ssh-keygen prints."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from teams import ssh_keys
from teams.models import AuditEntry, SSHKey
from teams.refusals import Refused

KINDS = {
    "ed25519": ["-t", "ed25519"],
    "ecdsa256": ["-t", "ecdsa", "-b", "256"],
    "ecdsa384": ["-t", "ecdsa", "-b", "384"],
    "ecdsa521": ["-t", "ecdsa", "-b", "521"],
    "rsa2048": ["-t", "rsa", "-b", "2048"],
    "rsa1024": ["-t", "rsa", "-b", "1024"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Make a pair of each kind with the real ssh-keygen."""
    folder = tmp_path_factory.mktemp("keys")
    for name, options in KINDS.items():
        command = ["ssh-keygen", "-q", "-N", "", "-C", f"{name} of alice", "-f", folder / name]
        subprocess.run([*command, *options], check=True)
    return {name: folder / f"{name}.pub" for name in KINDS}


def printed(path: Path) -> str:
    """Return the fingerprint that ssh-keygen prints."""
    said = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, check=True, text=True)
    return said.stdout.split()[1]


def security_key(kind: bytes, tmp_path: Path) -> Path:
    """Write a security key's public half as OpenSSH does."""
    point = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    ecdsa = [b"nistp256", point]
    parts = [kind, *(ecdsa if b"ecdsa" in kind else [b"\x01" * 32]), b"ssh:"]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    path = tmp_path / "sk.pub"
    path.write_text(f"{kind.decode()} {base64.b64encode(blob).decode()} token\n")
    return path


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "rsa1024"])
def test_fingerprints_are_those_of_ssh_keygen(made: dict[str, Path], kind: str) -> None:
    key = ssh_keys.parse(made[kind].read_text())
    assert key.fingerprint == printed(made[kind])
    assert key.comment == f"{kind} of alice"
    assert key.text == " ".join(made[kind].read_text().split()[:2])


@pytest.mark.parametrize(
    "kind", [b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"]
)
def test_security_keys_are_taken(kind: bytes, tmp_path: Path) -> None:
    path = security_key(kind, tmp_path)
    assert ssh_keys.parse(path.read_text()).fingerprint == printed(path)


def test_small_and_old_ones_are_refused(made: dict[str, Path]) -> None:
    with pytest.raises(Refused, match="RSA keys need 2048 bits or more; this one has 1024"):
        ssh_keys.parse(made["rsa1024"].read_text())
    with pytest.raises(Refused, match="DSA keys are too weak"):
        ssh_keys.parse("ssh-dss AAAAB3NzaC1kc3MAAACBAP old")


def bad_ones(good: str) -> dict[str, tuple[str, str]]:
    key_type, body, _comment = good.split(" ", 2)
    other = base64.b64encode(b"\x00\x00\x00\x07ssh-rsa" + b"\x00" * 40).decode()
    return {
        "empty": ("", "single line"),
        "blank": ("  \n ", "single line"),
        "words": ("hello world", "begins with one of"),
        "options": (f'command="id" {good}', "options are not taken"),
        "no-pty": (f"no-pty,no-X11-forwarding {good}", "options are not taken"),
        "two keys": (f"{good}\n{good}", "single line"),
        "a newline inside": (f"{key_type} {body}\ncommand", "single line"),
        "a carriage return": (f"{key_type} {body}\rroot", "single line"),
        "a vertical tab": (f"{key_type} {body}\x0broot", "single line"),
        "a null": (f"{key_type} {body} a\x00b", "single line"),
        "a line separator": (f"{key_type} {body} a\u2028b", "single line"),
        "a colour": (f"{key_type} {body} \x1b[31mred", "single line"),
        "cut short": (f"{key_type} {body[:-8]}", "damaged"),
        "one letter gone": (f"{key_type} {body[:-5] + body[-4:]}", "damaged"),
        "more at the end": (f"{key_type} {body}AAAA", "damaged"),
        "not base64": (f"{key_type} {body[:-4]}!!!!", "damaged"),
        "type alone": (key_type, "damaged"),
        "another type inside": (f"ssh-ed25519 {other}", "damaged"),
        "type of another": (f"ecdsa-sha2-nistp256 {body}", "damaged"),
        "certificate": ("ssh-ed25519-cert-v01@openssh.com AAAA me", "certificate"),
        "PuTTY's public": ("---- BEGIN SSH2 PUBLIC KEY ----", "ssh-keygen -i"),
        "capitals": (f"SSH-ED25519 {body}", "begins with one of"),
        "too long": (f"{key_type} {body} " + "x" * 17_000, "single line"),
    }


@pytest.mark.parametrize("case", bad_ones("a b c"))
def test_what_is_no_key_is_told_why(made: dict[str, Path], case: str) -> None:
    pasted, reason = bad_ones(made["ed25519"].read_text().strip())[case]
    with pytest.raises(Refused, match=reason) as refused:
        ssh_keys.parse(pasted)
    assert refused.value.field == "public_key"


@pytest.fixture
def owner(client: Client, alice: Any) -> Client:
    client.force_login(alice)
    return client


def test_a_private_key_is_refused_and_never_repeated(owner: Client, made: dict[str, Path]) -> None:
    secret = made["ed25519"].with_suffix("").read_text()
    for pasted in (secret, secret.replace("\n", " "), "PuTTY-User-Key-File-3: ssh-ed25519"):
        answer = owner.post("/account/keys", {"public_key": pasted, "name": "Mine"})
        page = answer.content.decode()
        assert answer.status_code == 422
        assert "This is a private key: never give it away." in page
        assert 'value="Mine"' in page
        assert not any(line in page for line in pasted.splitlines() if len(line) > 20)
    assert SSHKey.objects.count() == 0


def test_ones_own_key_is_added_shown_and_deleted(
    owner: Client, alice: Any, made: dict[str, Path]
) -> None:
    pasted = made["ed25519"].read_text()
    assert owner.post("/account/keys", {"public_key": pasted}).status_code == 302
    page = owner.get("/account/keys").content.decode()
    assert printed(made["ed25519"]) in page
    assert "ed25519 of alice" in page
    again = owner.post("/account/keys", {"public_key": pasted, "name": "again"})
    assert (again.status_code, "in the list already" in again.content.decode()) == (422, True)
    key = SSHKey.objects.get(user=alice)
    assert key.public_key.count(" ") == 1
    address = f"/account/keys/{key.pk}/delete"
    assert printed(made["ed25519"]) in owner.get(address).content.decode()
    assert owner.post(address).status_code == 302
    assert SSHKey.objects.count() == 0
    acts = AuditEntry.objects.order_by("pk").values_list("act", "details__fingerprint")
    fingerprint = printed(made["ed25519"])
    assert list(acts) == [("key.add", fingerprint), ("key.remove", fingerprint)]


def test_a_teams_keys_are_the_owners_to_change(
    client: Client, teams: Any, made: dict[str, Path],
    alice: Any, bob: Any, carol: Any, mallory: Any,
) -> None:  # fmt: skip
    base = f"/teams/{teams.acme.pk}/keys"
    fields = {"public_key": made["rsa2048"].read_text(), "name": "bastion"}
    for user, status in ((alice, 302), (bob, 403), (carol, 403), (mallory, 404)):
        client.force_login(user)
        assert client.post(base, fields).status_code == status
    key = SSHKey.objects.get()
    assert (key.team, key.name, key.key_type) == (teams.acme, "bastion", "ssh-rsa")
    for user, looks, changes in ((bob, 200, 403), (carol, 200, 403), (mallory, 404, 404)):
        client.force_login(user)
        assert client.get(base).status_code == looks
        assert client.post(f"{base}/{key.pk}/delete").status_code == changes
        assert client.post(f"/account/keys/{key.pk}/delete").status_code == 404
    assert "Add the key" not in client.get("/account/keys").content.decode().partition("<main")[0]
    client.force_login(alice)
    assert client.post(f"{base}/{key.pk}/delete").status_code == 302


def test_somebody_elses_key_does_not_exist(
    client: Client, alice: Any, bob: Any, made: dict[str, Path]
) -> None:
    key = ssh_keys.add(owner=alice, pasted=made["ed25519"].read_text(), name="", by=alice)
    client.force_login(bob)
    assert client.post(f"/account/keys/{key.pk}/delete").status_code == 404
    assert "ed25519 of alice" not in client.get("/account/keys").content.decode()
    with pytest.raises(Refused):
        ssh_keys.delete(key=key, by=bob)


def test_there_is_an_end_to_keys(alice: Any, made: dict[str, Path], monkeypatch: Any) -> None:
    monkeypatch.setattr(ssh_keys, "KEYS_EACH", 1)
    ssh_keys.add(owner=alice, pasted=made["ed25519"].read_text(), name="", by=alice)
    with pytest.raises(Refused, match="1 keys are kept at most"):
        ssh_keys.add(owner=alice, pasted=made["rsa2048"].read_text(), name="", by=alice)


def test_names_are_escaped(owner: Client, made: dict[str, Path]) -> None:
    evil = '<img src=x onerror="alert(1)">'
    fields = {"public_key": made["ed25519"].read_text(), "name": evil}
    assert owner.post("/account/keys", fields).status_code == 302
    assert evil not in owner.get("/account/keys").content.decode()
