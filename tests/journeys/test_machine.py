"""A lost key put back by the panel itself: from the click to a machine that lets one in again."""

import io
import re
import shlex
from collections.abc import Callable

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.sync_api import expect

from instances import ssh
from tests.browser import Desk
from tests.democloud.machines import NETWORKS, can_listen
from tests.services import wait_until

pytestmark = pytest.mark.skipif(not can_listen(), reason="needs Linux: all of 127.0.0.0/8")
Visit, Borrow = Callable[..., Desk], Callable[[str], str]


def key_pair() -> tuple[str, str]:
    """Return a key of a person's own: what stays at home, and the line to paste."""
    made = Ed25519PrivateKey.generate()
    private = made.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()
    public = paramiko.Ed25519Key.from_private_key(io.StringIO(private))
    return private, f"{public.get_name()} {public.get_base64()} me@laptop"


def lets_in(target: ssh.Target, private: str) -> bool:
    """Tell whether the server's own system takes a key."""
    try:
        login = ssh.Login("debian", private_key=private)
        with ssh.connect(target, ssh.greet(target), login) as machine:
            return machine.run("sudo", "whoami").out == b"root\n"
    except ssh.SshError:
        return False


def target_of(desk: Desk, name: str) -> ssh.Target:
    """Read where a machine is from the line a person would type."""
    line = shlex.split(desk.told(name).get_by_text("ssh -o").first.inner_text())
    assert line[0] == "ssh" and line[-3] == "-p"
    return ssh.Target(line[-1].rpartition("@")[2], int(line[-2]), NETWORKS)


@pytest.mark.parametrize(("language", "name"), [("en", "web-1"), ("fr", "web-eu-1")])
def test_a_key_is_put_back_in_the_browser(
    visit: Visit, borrow: Borrow, language: str, name: str
) -> None:
    private, public = key_pair()
    desk = visit("alice", language)
    page, say, told = desk.page, desk.say, desk.told(borrow(name))
    desk.search(name)
    desk.start(name)
    desk.sees(name, "In rescue mode")
    target = target_of(desk, name)
    there = told.get_by_role("link", name=say("Repair %(name)s") % {"name": name})

    def button(words: str) -> None:
        page.locator("main").get_by_role("button", name=say(words), exact=True).click()

    def read(words: str) -> None:
        expect(page.locator("main")).to_contain_text(say(words))

    expect(told).to_contain_text(say("Proven: the temporary password lets one in"))
    there.click()
    expect(page).to_have_url(re.compile("/machine$"))
    machine = page.url
    read("Proven: the temporary password lets one in")
    read("as the rescue system printed it on its console")
    button("Look at the disks")
    read("The instance’s own disk")
    page.get_by_label(say("File system with your data")).select_option("/dev/vdb1")
    button("Mount on /mnt")
    button("Allow changes")
    expect(page.get_by_role("button", name=say("Unmount"), exact=True)).to_be_enabled()
    page.get_by_role("link", name=say("Put an SSH key back")).click()
    page.get_by_label(say("User on the instance")).select_option("debian")
    page.get_by_label(say("Another public key")).fill(public)
    button("Look what would change")
    read(public)
    assert not lets_in(target, private)
    button("Do it")
    read("Read again from the disk: it is as it should be.")

    page.goto(machine)
    button("Unmount")
    expect(page.get_by_label(say("File system with your data"))).to_be_visible()
    page.goto("/")
    desk.search(name)
    desk.leave(name)
    desk.sees(name, "Out of rescue mode")
    wait_until(lambda: lets_in(target, private), "the key letting its owner in", 45)
