"""Fingerprints from a console: cloud-init's block is found, and nothing is found when in doubt."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.ssh import fingerprints_in
from tests.instances.ssh.hostile import KEY, OTHER_KEY, pinned

ED, EC, RSA = (f"SHA256:{sign * 43}" for sign in "aB+")
BOOT = "[    0.000000] Linux version 6.1.0-18-amd64 (debian-kernel@lists.debian.org)\n"


def block(*prints: str, kind: str = "FINGERPRINTS", before: str = "") -> str:
    """Return what cloud-init writes, with syslog's part before each line or without."""
    lines = [
        "#" * 61,
        f"-----BEGIN SSH HOST KEY {kind}-----",
        *prints,
        f"-----END SSH HOST KEY {kind}-----",
        "#" * 61,
    ]
    return "".join(f"{before}{line}\r\n" for line in lines)


def lines(*prints: str) -> list[str]:
    return [f"256 {one} root@rescue (ED25519)" for one in prints]


@pytest.mark.parametrize(
    "before", ["", "ci-info: ", "<14>Nov  3 10:11:12 cloud-init: ", "[   12.3] cloud-init[812]: "]
)
def test_cloud_inits_block_is_read(before: str) -> None:
    text = f"{BOOT}...\n{block(*lines(ED, EC, RSA), before=before)}login: "
    assert fingerprints_in(text) == [ED, EC, RSA]


def test_whole_keys_count_by_their_fingerprints() -> None:
    key, other = pinned(KEY), pinned(OTHER_KEY)
    whole = block(f"{key.kind} {key.blob} root@a", f"{other.kind} {other.blob}", kind="KEYS")
    assert fingerprints_in(BOOT + whole) == [key.fingerprint, other.fingerprint]
    # in both blocks, once
    both = block(*lines(key.fingerprint)) + whole
    assert fingerprints_in(BOOT + both) == [key.fingerprint, other.fingerprint]


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="ssh-keygen is not installed")
def test_it_is_what_ssh_keygen_prints(tmp_path: Path) -> None:
    key = pinned()
    public = tmp_path / "key.pub"
    public.write_text(f"{key.kind} {key.blob} a@b\n")
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(public)], check=True, capture_output=True, text=True
    ).stdout
    assert fingerprints_in(block(printed)) == [key.fingerprint]


@pytest.mark.parametrize(
    "blob",
    [
        "AAAA" + "A" * 41,  # of no length that base64 has
        "AAAA" + "B" * 64,  # names no kind
        pinned().blob.replace("AAAAE2VjZHNh", "AAAAE2VjZHNo", 1),  # names another one
    ],
)
def test_a_key_that_is_none_is_left_out(blob: str) -> None:
    assert fingerprints_in(block(f"ecdsa-sha2-nistp256 {blob}", kind="KEYS")) == []


def test_an_earlier_boot_says_nothing() -> None:
    broken, rescue = block(*lines(ED)), block(*lines(EC))
    assert fingerprints_in(BOOT + broken + BOOT + rescue) == [EC]
    assert fingerprints_in(BOOT + broken + BOOT + "starting...") == []
    arm = "[    0.000000] Booting Linux on physical CPU 0x0000000000\n"
    assert fingerprints_in(BOOT + broken + arm) == []


def test_the_last_block_of_a_boot_counts() -> None:
    assert fingerprints_in(BOOT + block(*lines(ED)) + block(*lines(EC))) == [EC]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "login: ",
        *lines(ED),  # outside of a block
        "".join(block(*lines(ED)).partition("-----END")[:1]),  # still being written
        block(*lines(ED)) + "-----BEGIN SSH HOST KEY FINGERPRINTS-----\n",  # a new one begun
        block(*lines(ED + "a")),  # longer
        block(*lines(ED[:-1])),  # shorter
        block(*lines("x" + ED)),
        block(*lines(ED + "=")),
        block(*lines("MD5:" + "00:" * 15 + "00")),
        block(*lines(ED), kind="KEYS"),
        block(*lines(ED), kind="FINGERPRINT"),
        "-----END SSH HOST KEY FINGERPRINTS-----"
        + ED
        + "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
    ],
)
def test_nothing_when_in_doubt(text: str) -> None:
    assert fingerprints_in(text) == []


def test_hostile_signs_do_not_get_out() -> None:
    text = block("\x1b[31m<script>alert(1)</script>", f"\x1b]0;t\x07 {ED} \x00‮ <b>", ED)
    assert fingerprints_in(text) == [ED]


def test_a_flood_is_bounded() -> None:
    many = [f"SHA256:{number:043d}" for number in range(2000)]
    assert fingerprints_in(block(*many)) == many[:32]
    # Only the end of an endless text is read.
    assert fingerprints_in(block(*lines(ED)) + "x" * 1_000_000) == []
    assert fingerprints_in("-----BEGIN SSH HOST KEY KEYS-----" * 40_000) == []
    assert fingerprints_in("ssh-rsa AAAA" * 90_000 + block(*lines(ED))) == [ED]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.one_of(st.text(max_size=30), st.sampled_from([BOOT, block(ED), ED])), max_size=8)
)
def test_no_text_breaks_it(parts: list[str]) -> None:
    assert fingerprints_in("".join(parts)) in ([], [ED])
