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


def lets_in(target: ssh.Target, **way: str) -> bool:
    """Tell whether the server's own system takes a key or a password."""
    try:
        login = ssh.Login("debian", **way)
        with ssh.connect(target, ssh.greet(target), login) as machine:
            return machine.run("sudo", "whoami").out == b"root\n"
    except ssh.SshError:
        return False


def target_of(desk: Desk, name: str) -> ssh.Target:
    """Read where a machine is from the line a person would type."""
    line = shlex.split(desk.told(name).get_by_text("ssh -o").first.inner_text())
    assert line[0] == "ssh" and line[-3] == "-p"
    return ssh.Target(line[-1].rpartition("@")[2], int(line[-2]), NETWORKS)


@pytest.mark.parametrize(
    ("language", "name"),
    [("fr", "web-eu-1"), pytest.param("en", "web-eu-2", marks=pytest.mark.pages)],
)
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
    assert not lets_in(target, private_key=private)
    button("Do it")
    read("Read again from the disk: it is as it should be.")

    page.goto(machine)
    button("Unmount")
    expect(page.get_by_label(say("File system with your data"))).to_be_visible()
    page.goto("/")
    desk.search(name)
    desk.leave(name)
    desk.sees(name, "Out of rescue mode")
    wait_until(lambda: lets_in(target, private_key=private), "the key letting its owner in", 45)


@pytest.mark.long
def test_a_machine_that_did_not_start_is_brought_back(visit: Visit, borrow: Borrow) -> None:
    """Its fstab stops it, its SSH server takes no password, and nobody knows one."""
    name = borrow("web-2")
    desk = visit("alice", "en")
    page, main = desk.page, desk.page.locator("main")
    desk.search(name)
    desk.start(name)
    desk.sees(name, "In rescue mode")
    target = target_of(desk, name)
    expect(desk.told(name)).to_contain_text("Proven: the temporary password lets one in")
    desk.told(name).get_by_role("link", name=f"Repair {name}").click()
    expect(page).to_have_url(re.compile("/machine$"))
    machine = page.url

    def button(words: str) -> None:
        main.get_by_role("button", name=words, exact=True).click()

    def repair(words: str) -> None:
        page.goto(machine)
        main.get_by_role("link", name=words, exact=True).first.click()

    def is_done() -> None:
        button("Do it")
        expect(main).to_contain_text("Read again from the disk: it is as it should be.")

    def click_through(*words: str) -> None:
        """Click what each click before makes appear, on a page that no longer refreshes itself."""
        for one in words:
            expect(main.get_by_role("button", name=one, exact=True)).to_be_enabled()
            page.goto(machine)
            button(one)

    click_through("Look at the disks", "Mount on /mnt", "Allow changes")
    expect(main).to_contain_text("/dev/vdb1 is mounted on /mnt and can be changed.")

    repair("Take a line out of the fstab")
    button("Read the fstab")
    line = main.get_by_role("radio", name=re.compile("srv.data"))
    expect(line).to_have_accessible_description(re.compile("the start waits for it"))
    line.check()
    button("Look what would change")
    expect(main).to_contain_text("+# taken out in rescue mode: UUID=")
    is_done()

    repair("Edit a file")
    page.get_by_label("File", exact=True).fill("/etc/ssh/sshd_config")
    button("Open the file")
    text = page.get_by_label("Content")
    expect(text).to_have_value(re.compile("PasswordAuthentication no"))
    opened = text.input_value()
    text.fill(opened.replace("PasswordAuthentication no", "PasswordAuthentication yess"))
    button("Look what would change")
    expect(main).to_contain_text("+PasswordAuthentication yess")
    main.get_by_text("Go on editing").click()
    text.fill(text.input_value().replace("yess", "yes"))
    button("Look what would change")
    expect(main).to_contain_text(re.compile(r"\+PasswordAuthentication yes\b"))
    is_done()

    repair("Set a password")
    page.get_by_label("User on the instance").select_option("debian")
    button("Look what would change")
    expect(main).to_contain_text("The account has no password or is locked")
    is_done()
    button("Show the new password once")
    password = main.get_by_role("status", name="New password of debian").inner_text()
    page.go_back()
    expect(main.get_by_role("button", name="Show the new password once")).to_have_count(0)

    page.goto(machine)
    button("Unmount")
    expect(page.get_by_label("File system with your data")).to_be_visible()
    repair("Check a file system")
    page.get_by_label("File system", exact=True).select_option("/dev/vdb1")
    button("Look for errors")
    expect(main).to_contain_text("/dev/vdb1 (ext4) has no errors.")
    expect(main).to_contain_text("Pass 5: Checking group summary information")

    page.goto("/")
    desk.search(name)
    desk.leave(name)
    desk.sees(name, "Out of rescue mode")
    wait_until(lambda: lets_in(target, password=password), "the password letting one in", 45)
