"""What ails a machine, by what it wrote on its console; the console's text is hostile."""

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.diagnosis import FAULTS, SIGNS, Confidence, diagnose
from tests.instances import console_texts as texts

SURE, LIKELY, POSSIBLE = Confidence.VERY_LIKELY, Confidence.LIKELY, Confidence.POSSIBLE


@pytest.mark.parametrize(
    ("text", "fault", "confidence", "line"),
    [
        (texts.FSTAB, "fstab", SURE, "Timed out waiting for device dev-disk-by"),
        (texts.FSTAB_COLOUR, "fstab", SURE, "[FAILED] Failed to mount /srv/backup."),
        (texts.PANIC, "kernel_panic", SURE, "Attempted to kill init! exitcode=0x00007f00"),
        (texts.NO_INITRAMFS, "root_missing", SURE, "Unable to mount root fs on unknown-block"),
        (texts.INITRAMFS, "root_missing", SURE, "Gave up waiting for root file system device."),
        (texts.DRACUT, "root_missing", SURE, "dracut-initqueue: timeout"),
        (texts.GRUB_RESCUE, "grub", SURE, "error: no such device: 0bad0bad"),
        (texts.GRUB_PROMPT, "grub", LIKELY, "Minimal BASH-like line editing"),
        (texts.NOT_BOOTABLE, "grub", SURE, "Boot failed: not a bootable disk"),
        (texts.FSCK, "fsck", SURE, "UNEXPECTED INCONSISTENCY"),
        (texts.XFS, "fsck", SURE, "XFS (vda4): Unmount and run xfs_repair"),
        (texts.FULL, "disk_full", SURE, "No space left on device"),
        (texts.NO_NETWORK, "no_network", LIKELY, "Wait for Network to be Configured"),
        (texts.CLOUD_INIT, "cloud_init", LIKELY, "Initial cloud-init job"),
    ],
)  # fmt: skip
def test_the_likeliest_fault_comes_first_with_its_line(text, fault, confidence, line):
    told = diagnose(text)
    assert (told.found[0].fault, told.found[0].confidence) == (fault, confidence)
    assert line in told.found[0].line
    assert "\x1b" not in told.found[0].line


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.fault)
def test_every_sign_is_of_a_fault_with_words(sign):
    from instances.consoles import CONFIDENCES
    from instances.consoles import FAULTS as WORDS

    assert sign.fault in FAULTS and sign.fault in WORDS
    assert sign.confidence in CONFIDENCES


def test_every_fault_leads_to_a_goal_there_is():
    from instances.by_hand import GOALS
    from instances.consoles import FAULTS as WORDS

    assert {fault.goal for fault in WORDS.values()} <= GOALS.keys()
    assert WORDS.keys() == set(FAULTS)


def test_a_healthy_start_shows_nothing_wrong():
    told = diagnose(texts.HEALTHY)
    assert (told.found, told.booted, told.empty) == ((), True, False)


def test_a_cause_is_told_before_what_follows_from_it():
    assert [one.fault for one in diagnose(texts.FSCK).found] == ["fsck", "root_missing"]
    assert [one.fault for one in diagnose(texts.NO_INITRAMFS).found] == [
        "root_missing", "kernel_panic",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [texts.FSTAB, texts.PANIC, texts.INITRAMFS, texts.GRUB_RESCUE])
def test_what_stopped_an_earlier_boot_does_not_count(text):
    assert diagnose(text + texts.HEALTHY).found == ()
    assert diagnose(texts.HEALTHY + text).found == diagnose(text).found
    assert not diagnose(texts.HEALTHY + text).booted


def test_a_login_after_it_makes_less_of_it():
    told = diagnose(texts.FSTAB + texts.LOGIN)
    assert told.booted and {one.confidence for one in told.found} == {POSSIBLE}
    # What does not stop a boot stays, and a panic after the login is none of the past.
    assert diagnose(texts.FULL).found[0].confidence == SURE and diagnose(texts.FULL).booted
    late = diagnose(texts.HEALTHY + "\n[99.1] Kernel panic - not syncing: Fatal exception\n")
    assert late.found[0].confidence == SURE and not late.booted


@pytest.mark.parametrize("text", ["", "\n \r\n\t\n", "\x1b[2J\x1b[H", "\x1b]0;title\x07"])
def test_an_empty_console_says_so(text):
    told = diagnose(text)
    assert told.empty and not told.found and not told.booted


def test_nothing_recognised_shows_the_last_line():
    told = diagnose("one\ntwo three\n\n")
    assert (told.found, told.booted, told.last_line) == ((), False, "two three")
    assert diagnose("[4.1] rescue-setup: password of root for this boot: abc").last_line == ""


def test_what_a_terminal_would_act_on_is_taken_out():
    told = diagnose(
        "\x1b]8;;http://evil\x07\x9bKernel panic - not syncing\u202e \x00<script>\x1b[31m"
    )
    assert told.found[0].line == "�Kernel panic - not syncing� �<script>"
    assert not diagnose("x" * 600 + "Kernel panic - not syncing").found  # a line is cut
    long = diagnose("Kernel panic - not syncing " + "x" * 100_000).found[0].line
    assert len(long) == 200


HOSTILE = (
    "\x1b[" * 2_000_000, "\x1b]" * 2_000_000, "x" * 5_000_000, "\n" * 5_000_000,
    "Dependency failed for " * 200_000, "cloud-init[1]: " * 300_000, "error: file `" * 300_000,
    "Failed to start " * 200_000, "ALERT!  " + "y" * 4_000_000, "[    0.000000] Linux" * 200_000,
    "[    0.000000] Linux version \n" * 150_000, "login: " * 500_000, "\x00\xff" * 2_000_000,
    "ci-info: |" + " " * 4_000_000, "169.254.169.254" * 200_000, "mount: " * 500_000,
    ("Dependency failed for " * 27 + "\n") * 700, ("cloud-init[1]: " * 40 + "\n") * 700,
    ("cloud-init" * 60 + "\n") * 700, ("Failed to start " * 37 + "\n") * 700,
    ("a" * 599 + "\n") * 700, ("/dev/" * 119 + "\n") * 700,
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_console_costs_little(text):
    began = time.process_time()
    diagnose(text)
    assert time.process_time() - began < 3


def test_a_gigabyte_is_not_copied():
    text = "Kernel panic - not syncing\n" * 4_000_000  # 108 MB is enough to see it
    tracemalloc.start()
    diagnose(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000


@given(st.text() | st.binary().map(lambda raw: raw.decode("utf-8", "replace")))
@settings(max_examples=150, deadline=None)
def test_whatever_it_reads_it_answers(text):
    told = diagnose(text)
    assert all(one.line.isprintable() for one in told.found)
    assert told.last_line.isprintable()
