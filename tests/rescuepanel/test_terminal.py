"""The terminal's socket: a real uvicorn, a real OpenSSH server, the rows of a rescue."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvicorn
from django.conf import settings
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from instances.models import Grant, Machine, Terminal
from instances.recovery.terminals import End
from rescuepanel.terminal import Terminals
from rescuepanel.terminal_flow import Limits
from teams.models import AuditEntry
from tests import sshd
from tests.instances import rows
from tests.services import free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sshd.Sshd]:
    if not sshd.program() or not sshd.can_set_apart():
        pytest.skip("needs OpenSSH's server, root and mounts")
    served = sshd.Sshd(tmp_path_factory.mktemp("terminal"))
    yield served
    served.stop()


@pytest.fixture
def rescue(teams: Any, bob: Any, system: sshd.Sshd) -> Any:
    account = rows.account(teams.acme)
    account.machine_networks, account.machine_port = "127.0.0.0/8", system.port
    account.save()
    instance = rows.rescued(account, "web-1")
    instance.addresses = [
        {"address": "127.0.0.1", "version": 4, "kind": "floating", "network": "public"}
    ]
    instance.save()
    made = rows.rescue(instance, "READY", bob)
    made.sealed_password = made.sealed(sshd.PASSWORD)
    made.save()
    kind, key, _name = (system.folder / "host_ed25519.pub").read_text().split()
    Machine.objects.create(
        rescue=made, reach="in", vouched_by="console", host_key_kind=kind, host_key=key,
        fingerprint=system.fingerprint(),
    )  # fmt: skip
    return made


class Panel:
    """The terminals of one process, in a hurry."""

    def __init__(self, **limits: Any) -> None:
        self.port = free_port()
        served = Terminals(limits=Limits(**limits), recheck=0.2, most=4)
        config = uvicorn.Config(
            served, port=self.port, lifespan="off", log_config=None, ws_max_size=65536
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started, "uvicorn starting")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


@pytest.fixture(scope="module")
def panel() -> Iterator[Panel]:
    served = Panel()
    yield served
    served.stop()


def ticket(client: Client, rescue: Any) -> str:
    answer = client.post(f"/rescues/{rescue.pk}/terminal/ticket")
    assert answer.status_code == 200, answer.content
    return str(answer.json()["ticket"])


def signed_in(user: Any) -> Client:
    client = Client()
    client.force_login(user)
    return client


def dial(panel: Panel, client: Client, rescue: Any, **headers: Any) -> ClientConnection:
    name = settings.SESSION_COOKIE_NAME
    cookies = {"Cookie": f"{name}={client.cookies[name].value}"} if name in client.cookies else {}
    origin = headers.pop("origin", f"http://127.0.0.1:{panel.port}")
    address = f"ws://127.0.0.1:{panel.port}/rescues/{rescue.pk}/terminal/socket"
    return connect(address, origin=origin, additional_headers=cookies, proxy=None, legacy=True)


class Person:
    """Somebody at a terminal: reads as the page does, and says what was taken."""

    def __init__(self, panel: Panel, client: Client, rescue: Any, given: str = "") -> None:
        self.socket = dial(panel, client, rescue)
        self.shown, self.words, self.takes = b"", [], True
        self.credit = 65536
        hello = {"ticket": given or ticket(client, rescue), "size": [100, 30]}
        self.socket.send(json.dumps(hello))

    def read(self, seconds: float = 1.0) -> None:
        message = self.socket.recv(seconds)
        if isinstance(message, str):
            said = json.loads(message)
            self.credit += said.get("took", 0)
            self.words.append(said)
            return
        self.shown += message
        if self.takes:
            self.socket.send(json.dumps({"took": len(message)}))

    def until(self, wanted: bytes, seconds: float = 15.0) -> None:
        end = time.monotonic() + seconds
        while wanted not in self.shown:
            assert time.monotonic() < end, self.shown[-500:]
            try:
                self.read()
            except TimeoutError:
                continue

    def type(self, data: bytes) -> None:
        for at in range(0, len(data), 16384):
            piece = data[at : at + 16384]
            while self.credit < len(piece):
                self.read(10)
            self.credit -= len(piece)
            self.socket.send(piece)

    def end(self, seconds: float = 10.0) -> tuple[int, str]:
        stop = time.monotonic() + seconds
        while time.monotonic() < stop:
            try:
                self.read()
            except TimeoutError:
                continue
            except ConnectionClosed as closed:
                assert closed.rcvd
                return closed.rcvd.code, closed.rcvd.reason
        raise AssertionError("still open")


def ends() -> list[str]:
    found = AuditEntry.objects.filter(act="machine.terminal_end").order_by("pk")
    return [entry.details["outcome"] for entry in found]


def test_a_shell_its_size_a_paste_and_its_status(panel: Panel, rescue: Any, bob: Any) -> None:
    person = Person(panel, signed_in(bob), rescue)
    person.type(b"stty size; echo can''ary\r")
    person.until(b"30 100")
    person.until(b"canary")
    person.socket.send(json.dumps({"size": [132, 43]}))
    person.type(b"stty size\r")
    person.until(b"43 132")
    person.type(b"stty -echo; wc -c\r")
    person.type(b"0123456789abcde\n" * 6400)  # 100 kB
    person.type(b"\x04")
    person.until(b"102400")
    person.type(b"exit 7\r")
    assert person.end() == (End.EXITED, "7")
    wait_until(lambda: ends() == ["exited"], "the trail's word")
    kept = json.dumps(list(AuditEntry.objects.values("act", "details", "target")))
    assert "canary" not in kept and sshd.PASSWORD not in kept
    assert [
        entry.act for entry in AuditEntry.objects.filter(act__startswith="machine.t").order_by("pk")
    ] == [
        "machine.terminal",
        "machine.terminal_end",
    ]


def test_a_machine_that_prints_without_end_fills_nothing(
    panel: Panel, rescue: Any, bob: Any
) -> None:
    person = Person(panel, signed_in(bob), rescue)
    person.takes = False
    memory = psutil.Process().memory_info().rss
    person.type(b"yes 0123456789 | head -c 1G\r")
    stop, quiet = time.monotonic() + 6, 0
    while time.monotonic() < stop and quiet < 2:
        try:
            person.read(0.7)
        except TimeoutError:
            quiet += 1
    assert quiet == 2  # it waits for the page
    assert 200_000 < len(person.shown) < 400_000
    assert psutil.Process().memory_info().rss - memory < 30_000_000
    person.takes = True
    person.socket.send(json.dumps({"took": len(person.shown)}))
    person.type(b"\x03")
    person.type(b"echo do''ne\r")
    person.until(b"done")
    person.socket.close()
    wait_until(lambda: ends() == ["left"], "the trail's word")


@pytest.mark.parametrize("origin", ["https://evil.example", None, "null", "http://127.0.0.1:1"])
def test_another_page_opens_nothing(panel: Panel, rescue: Any, bob: Any, origin: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        dial(panel, signed_in(bob), rescue, origin=origin)
    assert refused.value.response.status_code == 403


def test_nobody_opens_nothing(panel: Panel, rescue: Any) -> None:
    with pytest.raises(InvalidStatus):
        dial(panel, Client(), rescue)


def test_a_ticket_is_good_once_for_its_own_person(
    panel: Panel, rescue: Any, bob: Any, alice: Any, mallory: Any
) -> None:
    client = signed_in(bob)
    given = ticket(client, rescue)
    for other in (alice, mallory):
        assert Person(panel, signed_in(other), rescue, given).end()[0] == End.TICKET
    first = Person(panel, client, rescue, given)
    first.type(b"echo o''k\r")
    first.until(b"ok")
    assert Person(panel, client, rescue, given).end()[0] == End.TICKET
    assert Person(panel, client, rescue, "made up").end()[0] == End.TICKET
    late = ticket(client, rescue)
    Terminal.objects.filter(opened_at=None).update(asked_at=timezone.now() - timedelta(seconds=31))
    assert Person(panel, client, rescue, late).end()[0] == End.TICKET
    first.socket.close()


def test_who_gets_no_ticket(rescue: Any, carol: Any, mallory: Any, bob: Any) -> None:
    address = f"/rescues/{rescue.pk}/terminal/ticket"
    assert signed_in(carol).post(address).status_code == 403
    assert signed_in(mallory).post(address).status_code == 404
    client = Client(enforce_csrf_checks=True)
    client.force_login(bob)
    assert client.post(address).status_code == 403
    some = signed_in(bob)
    for _number in range(3):
        ticket(some, rescue)
    assert some.post(address).status_code == 409
    Machine.objects.update(reach="refused")
    Terminal.objects.all().delete()
    assert some.post(address).status_code == 409


def test_staff_only_with_a_leave(panel: Panel, rescue: Any, bob: Any, sam: Any, teams: Any) -> None:
    client = signed_in(sam)
    client.post(f"/staff/people/{bob.pk}/impersonate", {"reason": "Ticket 1"})
    address = f"/rescues/{rescue.pk}/terminal/ticket"
    assert client.post(address).status_code == 403
    now = timezone.now()
    leave = Grant.objects.create(
        rescue=rescue, staff=sam, asked_at=now, answered_by=bob, answered_at=now,
        until=now + timedelta(minutes=5),
    )  # fmt: skip
    person = Person(panel, client, rescue)
    person.type(b"echo o''k\r")
    person.until(b"ok")
    leave.withdrawn_at = timezone.now()
    leave.save()
    assert person.end()[0] == End.NOT_ALLOWED
    entry = AuditEntry.objects.get(act="machine.terminal")
    assert (entry.actor, entry.acting_by) == (bob, sam)


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("session", End.SIGNED_OUT),
        ("role", End.NOT_ALLOWED),
        ("exit", End.OVER),
        ("away", End.GONE),
    ],
)
def test_it_ends_within_seconds(panel: Panel, rescue: Any, bob: Any, what: str, code: End) -> None:
    person = Person(panel, signed_in(bob), rescue)
    person.type(b"echo $PPID-ma''rk\r")
    person.until(b"-mark\r\n")
    started = time.monotonic()
    if what == "session":
        Session.objects.all().delete()
    elif what == "role":
        bob.memberships.update(role="reader")
    elif what == "exit":
        type(rescue).objects.update(state="EXIT_REQUESTED")
    else:
        number = person.shown.split(b"-mark\r\n")[0].split()[-1].decode()
        subprocess.run(["kill", "-9", number], check=True)
    found = person.end()[0]
    # A connection that is cut looks like a shell that ended: both are said as an end.
    assert found == code or (what == "away" and found == End.EXITED)
    assert time.monotonic() - started < 5


def test_nobody_there_is_warned_and_shown_out(rescue: Any, bob: Any) -> None:
    hasty = Panel(idle=1.5, warned=1.0)
    try:
        person = Person(hasty, signed_in(bob), rescue)
        assert person.end()[0] == End.IDLE
        assert any("idle" in said for said in person.words)
    finally:
        hasty.stop()


@pytest.mark.parametrize("sent", ["{", '{"size": ["a", 1]}', "[]", b"x" * 65536 + b"y"])
def test_nonsense_ends_it(panel: Panel, rescue: Any, bob: Any, sent: Any) -> None:
    person = Person(panel, signed_in(bob), rescue)
    person.read(10)
    person.socket.send(sent)
    assert person.end()[0] in (End.NONSENSE, 1009)


def test_the_way_in_is_closed(panel: Panel, rescue: Any, bob: Any, tmp_path: Path) -> None:
    account = rescue.instance.account
    account.machine_port = free_port()
    account.save()
    assert Person(panel, signed_in(bob), rescue).end()[0] == End.NO_WAY_IN
    assert ends() == ["no_way_in"]
    account.machine_networks = ""
    account.save()
    assert Person(panel, signed_in(bob), rescue).end()[0] == End.NO_WAY_IN


def test_another_host_key_gets_no_password(
    panel: Panel, rescue: Any, bob: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    key = tmp_path_factory.mktemp("key") / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    Machine.objects.update(host_key=key.with_suffix(".pub").read_text().split()[1])
    assert Person(panel, signed_in(bob), rescue).end()[0] == End.KEY_CHANGED


def test_a_dead_process_s_terminals_are_ended_later(rescue: Any, bob: Any) -> None:
    from instances.recovery import terminals

    before = timezone.now() - timedelta(seconds=90)
    Terminal.objects.create(
        rescue=rescue, user=bob, ticket_hash="x", asked_at=before, opened_at=before, seen_at=before
    )
    assert (terminals.end_lost(), terminals.end_lost()) == (1, 0)
    assert ends() == ["lost"]
