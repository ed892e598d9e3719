"""Commands on a real machine: what is sent is what arrives, and nothing runs without end."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instances.ssh import Machine, TimedOut, TooMuch
from instances.ssh.machine import command_line
from tests.services import wait_until

BY_HEART = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: what a shell would make something of, beside anything at all
WORDS = st.lists(
    st.one_of(
        st.text(st.characters(blacklist_characters="\0", codec="utf-8"), max_size=40),
        st.sampled_from(
            ["$(touch {marker})", "`touch {marker}`", "; touch {marker};", "'; touch {marker} #"]
        ),
        st.sampled_from(["-rf", "--", "*", "~", "a\nb", "\\", "'", '"', "!!", "$HOME", "", "\r"]),
        st.sampled_from(["&& touch {marker}", "| tee {marker}", "> {marker}", "\n touch {marker}"]),
        st.sampled_from(["\udcff\udc80", "<script>", "\x1b]0;title\x07", "％$IFS"]),
    ),
    max_size=6,
)


@BY_HEART
@given(WORDS)
def test_arguments_arrive_as_they_are(machine: Machine, words: list[str]) -> None:
    marker = f"/tmp/marker-{os.getpid()}"
    sent = [word.replace("{marker}", marker) for word in words]
    output = machine.run("printf", "%s\\0", "begin", *sent)
    expected = "".join(f"{word}\0" for word in ["begin", *sent])
    assert output.out == expected.encode("utf-8", "surrogateescape")
    assert output.err == b""
    assert not Path(marker).exists()


@pytest.mark.parametrize("argv", [(), ("",), ("-c", "id"), ("A=1", "id"), ("id", "a\0b")])
def test_what_is_no_command_is_not_sent(argv: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        command_line(argv)


def test_status_and_both_outputs_come_back(machine: Machine) -> None:
    output = machine.run("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (output.status, output.out, output.err) == (7, b"out\n", b"err\n")
    # -1 where the user's shell stands aside for its last command, else that shell's own number
    assert machine.run("sh", "-c", "kill -9 $$").status in (-1, 137)
    assert machine.run("no-such-program").status == 127


def test_words_are_in_english(machine: Machine) -> None:
    assert machine.run("sh", "-c", "echo $LC_ALL").out == b"C\n"


def test_stdin_is_handed_over_and_ends(machine: Machine) -> None:
    data = os.urandom(3_000_000)
    assert machine.run("cat", stdin=data, limit=4_000_000).out == data
    assert machine.run("cat").out == b""
    # One that does not read it is not waited for, and whether it ends early is not ours to say.
    assert machine.run("true", stdin=data).status == 0
    assert machine.run("head", "-c", "3", stdin=data, limit=3).out == data[:3]


def test_what_takes_too_long_is_cut_off(machine: Machine) -> None:
    started = time.monotonic()
    with pytest.raises(TimedOut):
        machine.run("sleep", "60", timeout=0.5)
    assert time.monotonic() - started < 10
    assert machine.run("echo", "still here").out == b"still here\n"


def test_what_writes_too_much_is_cut_off(machine: Machine) -> None:
    for where in ("1", "2"):
        with pytest.raises(TooMuch):
            machine.run("sh", "-c", f"yes >&{where}", limit=100_000)
    assert machine.run("head", "-c", "100000", "/dev/zero", limit=100_000).status == 0
    assert machine.run("echo", "still here").out == b"still here\n"


def test_a_hundred_commands_leave_nothing_behind(machine: Machine) -> None:
    machine.run("true")
    before = len(os.listdir("/proc/self/fd"))
    for _time in range(100):
        machine.run("true")
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, "files being closed")
