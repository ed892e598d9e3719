"""From *ready* to *proven* beside a bare SSH login, and pages while a hundred machines are tried.

``python -m tests.bench.proven``: the panel's own processes, and the demo cloud's machines over real
SSH. Exits 1 above a bound.

1. Rescues one after the other; of each, the seconds from ready to proven (the row's own times), and
   the seconds of a bare login by paramiko to the same machine. The machine answers when Nova says
   RESCUE: how long an image boots is not the panel's.
2. A hundred rescued machines, tried all at once: six of ten let one in, the others refuse the
   password, refuse the connection, hang after accepting it, or answer nothing at all. Meanwhile
   somebody turns pages. The same pages without probes before and after are the measure: two cores,
   shared, are never twice the same.
"""

import logging
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko

from tests.journeys.visitor import Visitor
from tests.panel import Panel
from tests.services import ROOT, free_port, listens, stop, wait_until

ROUNDS, MACHINES, PAIRS = 6, 100, 40
ALLOWANCE = 1.0
#: of the median: the demo cloud does the other half of each login on the same two cores, so even a
#: panel whose probes cost nothing would be slowed; half as much again is not felt in a tenth of a
#: second
SLOWED = 1.5
#: what a machine does, by the last digit of its number
MANNERS = ["lets in"] * 6 + ["refuses the password", "refuses", "hangs", "is silent"]


def manner_of(number: int) -> str:
    """Return how a machine behaves; the first ones let in, whatever their number."""
    return MANNERS[0] if number < ROUNDS else MANNERS[number % 10]


def address_of(number: int) -> str:
    """Return where a machine answers, see democloud/seed.py."""
    high, low = divmod(number, 250)
    return f"127.77.{100 + high}.{low + 2}"


@contextmanager
def rude(numbers: list[int], port: int) -> Iterator[None]:
    """Sit on the addresses of machines before their own servers can."""
    with ExitStack() as stack:
        for number in numbers:
            manner, sock = manner_of(number), stack.enter_context(socket.socket())
            sock.bind((address_of(number), port))
            if manner == "hangs":
                sock.listen(128)  # the kernel accepts, nobody says a word
            elif manner == "is silent":
                sock.listen(0)  # a full queue drops what knocks
                for _one in range(2):
                    waits = stack.enter_context(socket.socket())
                    waits.setblocking(False)
                    waits.connect_ex((address_of(number), port))
        yield


@dataclass
class Pages:
    """The milliseconds that two pages took."""

    visitor: Visitor
    machine: str
    took: dict[str, list[float]] = field(default_factory=dict)

    def turn(self) -> None:
        """Ask for both pages."""
        for name, path in (("list", "/"), ("machine", self.machine)):
            began = time.perf_counter()
            answer = self.visitor.get(path)
            self.took.setdefault(name, []).append(1000 * (time.perf_counter() - began))
            assert answer.status_code == 200, (path, answer.status_code)


def bare_login(number: int, port: int, password: str) -> float:
    """Log in as anybody's script would; return the seconds."""
    began = time.perf_counter()
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        client.connect(
            address_of(number), port, "root", password, look_for_keys=False, allow_agent=False
        )
        return time.perf_counter() - began


def started(name: str) -> Any:
    """Ask for a rescue as the panel's page does; return its row."""
    from instances import rescue, tasks
    from instances.models import Instance
    from teams.models import User

    instance = Instance.objects.select_related("account__team").get(name=name)
    alice = User.objects.get(email="alice@example.org")
    image = rescue.picker_for(instance).preselected
    assert image is not None
    row = rescue.start(
        instance=instance, image_ref=image.ref, by=alice, idempotency_key=uuid.uuid4()
    )
    tasks.nudge(row)
    return row


def names() -> list[str]:
    """Return the demo cloud's servers by their numbers."""
    from instances.models import Instance

    found = Instance.objects.values_list("name", flat=True)
    return sorted(found, key=lambda name: int(name.rpartition("-")[2]))


def one_by_one(port: int) -> bool:
    """Measure from ready to proven, and a bare login beside each."""
    from instances.models import Machine

    proven, bare = [], []
    for number, name in enumerate(names()[:ROUNDS]):
        row = started(name)
        mine = Machine.objects.filter(rescue=row.pk).exclude(proven_at=None)
        wait_until(mine.exists, f"{name} being proven", 60)
        row.refresh_from_db()
        proven.append((mine.get().proven_at - row.ready_at).total_seconds())
        bare.append(bare_login(number, port, row.password()))
    proven, bare = proven[1:], bare[1:]  # the first one wakes everybody
    bound = statistics.median(bare) + ALLOWANCE
    kept = statistics.median(proven) <= bound
    print(f"bare login by paramiko:   {_seconds(bare)}")
    print(f"panel, ready to proven:   {_seconds(proven)}")
    print(f"bound: bare + {ALLOWANCE} s = {bound:.2f} s: {_verdict(kept)}")
    return kept


def all_at_once(panel: Panel) -> bool:
    """Measure pages without probes, with a hundred of them, and without."""
    from instances.models import Machine, Rescue
    from instances.models.clock import now as clock_now

    for name in names()[ROUNDS:]:
        started(name)
    ready = Rescue.objects.filter(state="READY")
    wait_until(lambda: ready.count() == MACHINES, "all rescues being ready", 180)
    _spoil_passwords()
    visitor = Visitor(panel.url, "alice")
    page = f"/rescues/{ready.get(instance__name=names()[0]).pk}/machine"
    _rest()
    before, during, after = (Pages(visitor, page) for _one in range(3))
    for _pair in range(PAIRS):
        before.turn()
    began = time.monotonic()
    when = clock_now()
    Machine.objects.update(
        next_at=when, first_tried_at=when, lease_until=None, vouched_by="", host_key="",
        host_key_kind="", fingerprint="", reach="untried", proven_at=None,
    )  # fmt: skip
    for row in Machine.objects.order_by("?"):
        tasks_nudge(row.pk)
    fine = [one for one in range(MACHINES) if manner_of(one) == "lets in"]
    seconds = 0.0
    while len(during.took.get("list", [])) < PAIRS or not seconds:
        during.turn()
        if not seconds and Machine.objects.filter(reach="in").count() == len(fine):
            seconds = time.monotonic() - began
        assert time.monotonic() - began < 240, _reached()
    print(f"{MACHINES} at once: {len(fine)} let in, all proven after {seconds:.1f} s; {_reached()}")
    _rest()
    for _pair in range(PAIRS):
        after.turn()
    verdicts = [_compared(name, before, during, after) for name in before.took]
    return all(verdicts)


def tasks_nudge(rescue_id: uuid.UUID) -> None:
    """Ask a worker to try a machine."""
    from instances import tasks

    tasks.nudge_machine(rescue_id)


def _spoil_passwords() -> None:
    """Let the panel have another password than the machines that are to refuse it."""
    from instances.models import Rescue

    for number, name in enumerate(names()):
        if manner_of(number) == "refuses the password":
            row = Rescue.objects.get(instance__name=name)
            Rescue.objects.filter(pk=row.pk).update(sealed_password=row.sealed("no such word"))


def _rest() -> None:
    """Let nobody try a machine any more, and wait for those that still do."""
    from instances.models import Machine

    def quiet() -> bool:
        Machine.objects.update(next_at=None)  # a try that ends asks for the next one
        return not Machine.objects.exclude(lease_until=None).exists()

    wait_until(quiet, "the last try's end", 60)
    time.sleep(1)


def _reached() -> str:
    from django.db.models import Count

    from instances.models import Machine

    rows = Machine.objects.values_list("reach").annotate(many=Count("pk")).order_by("-many")
    return ", ".join(f"{many} {reach}" for reach, many in rows)


def _compared(name: str, before: Pages, during: Pages, after: Pages) -> bool:
    # The quicker of the two: what else this computer does must not pass for the panel's own pace.
    alone = min(statistics.median(pages.took[name]) for pages in (before, after))
    ratio = statistics.median(during.took[name]) / alone
    kept = ratio <= SLOWED
    print(f"{name} page, without probes: {_percentiles(before.took[name])}")
    print(f"{name} page, during them:    {_percentiles(during.took[name])}")
    print(f"{name} page, after them:     {_percentiles(after.took[name])}")
    print(f"ratio of the medians {ratio:.2f}, bound {SLOWED}: {_verdict(kept)}")
    return kept


def _percentiles(took: list[float]) -> str:
    ordered = sorted(took)
    p50, p95 = statistics.median(ordered), ordered[int(0.95 * (len(ordered) - 1))]
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms of {len(took)}"


def _seconds(times: list[float]) -> str:
    shown = " ".join(f"{seconds:.2f}" for seconds in times)
    return f"median {statistics.median(times):.2f} s of {shown}"


def _verdict(kept: bool) -> str:
    return "kept" if kept else "BROKEN"


def main() -> int:
    """Measure, print, judge."""
    port, cloud_port = free_port(), free_port()
    cloud = ["-m", "democloud", "--port", str(cloud_port), "--seed", f"many:{MACHINES}"]
    # The machines stand for a hundred other computers: they leave the panel its processor.
    command = ["nice", "-n", "10", sys.executable, *cloud, "--instant", "--ssh-port", str(port)]
    taken = [one for one in range(MACHINES) if manner_of(one) in ("refuses", "hangs", "is silent")]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        stack.enter_context(rude(taken, port))
        stack.callback(stop, subprocess.Popen(command, cwd=ROOT))
        wait_until(lambda: listens(cloud_port), "the demo cloud's start", 30)
        panel = Panel(Path(folder))
        given = subprocess.run([sys.executable, *cloud, "--print-credentials"], cwd=ROOT,
                               check=True, capture_output=True, text=True).stdout  # fmt: skip
        panel.manage("seed_demo", "--migrate", "--sync", "--credentials=-",
                     "--machine-port", str(port), text=given)  # fmt: skip
        stack.enter_context(panel.running())
        stack.enter_context(panel.at_machines())
        os.environ.update(panel.environment())
        import django

        django.setup()
        logging.getLogger("paramiko").setLevel(logging.WARNING)
        try:
            kept = [one_by_one(port), all_at_once(panel)]
        except Exception:
            print((panel.folder / "machines.log").read_text(errors="replace")[-6000:])
            raise
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
