"""Give the tests a rescued machine: a real SSH server, a real disk, and the rows of a rescue."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests import sshd
from tests.instances.recovery.old_disk import OldDisk, RescueSystem, Template, why_not


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RescueSystem]:
    """Give the system one logs in to, root with the password; it has a /mnt of its own."""
    if reason := why_not():
        pytest.skip(reason)
    served = RescueSystem(tmp_path_factory.mktemp("rescue-system"))
    yield served
    served.stop()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, system: RescueSystem) -> Template:
    """Give the old system's image."""
    return Template(tmp_path_factory.mktemp("old-system"))


@pytest.fixture
def disk(template: Template, system: RescueSystem, tmp_path: Any) -> Iterator[OldDisk]:
    """Give a copy of the old system's disk, attached to the machine."""
    attached = OldDisk(template, tmp_path / "disk.img")
    yield attached
    system.let_go()
    attached.detach()


@pytest.fixture
def rescue(teams: SimpleNamespace, alice: Any) -> Any:
    """Give Alice's rescue, ready, of an instance on this very host; nobody tried it yet."""
    from tests.instances import rows

    account = rows.account(teams.acme)
    account.machine_networks = "127.0.0.0/8, 255.255.255.255/32"
    account.save()
    rows.images(account)
    here = [{"address": "127.0.0.1", "version": 4, "kind": "floating", "network": "public"}]
    instance = rows.rescued(account, "web-1")
    instance.addresses = here
    instance.save()
    made = rows.rescue(instance, "READY", alice)
    made.sealed_password = made.sealed(sshd.PASSWORD)
    made.save()
    return made


@pytest.fixture
def leads_to(rescue: Any) -> Callable[[int], Any]:
    """Let the rescue's machine be what listens on a port."""

    def at(port: int) -> Any:
        account = rescue.instance.account
        account.machine_port = port
        account.save()
        return rescue

    return at


@pytest.fixture
def tried(rescue: Any) -> Callable[..., Any]:
    """Try the rescue's machine as the worker does, whether its time has come or not."""
    from instances.models import Machine
    from instances.models.clock import now
    from instances.recovery import access

    def probe(**facts: Any) -> Any:
        access.attend(rescue.pk)
        Machine.objects.update(**{"next_at": now(), "lease_until": None} | facts)
        row = access.probe(rescue.pk)
        assert row is not None
        assert Machine.objects.get().reach == row.reach
        return row

    return probe


@pytest.fixture
def machine(system: RescueSystem, leads_to: Callable[[int], Any]) -> Any:
    """Give the row of the rescued machine as it is once it was proven that one gets in."""
    from instances.models import Machine

    kind, key, _name = (system.folder / "host_ed25519.pub").read_text().split()
    return Machine.objects.create(
        rescue=leads_to(system.port), reach="in", vouched_by="console", host_key_kind=kind,
        host_key=key, fingerprint=system.fingerprint(),
    )  # fmt: skip


@pytest.fixture
def do(machine: Any, alice: Any) -> Callable[..., Any]:
    """Ask for work as Alice, do it as the worker would, and return its row."""
    from instances.recovery import jobs

    def ask_and_run(kind: str, private: Any = None, **params: Any) -> Any:
        job = jobs.ask(rescue=machine.rescue, kind=kind, params=params, private=private, by=alice)
        jobs.run(job.pk)
        job.refresh_from_db()
        return job

    return ask_and_run


@pytest.fixture
def mounted(disk: OldDisk, do: Callable[..., Any]) -> OldDisk:
    """Give the machine with its old system on /mnt, open to changes."""
    assert do("mount", device=disk.part(1), writable=True).state == "done"
    return disk


@pytest.fixture
def go_on(alice: Any) -> Callable[..., Any]:
    """Say yes to a job, or take it back, and have that done."""
    from instances.models import Job
    from instances.recovery import jobs

    def next_stage(job: Any, use_case: Any) -> Any:
        found = Job.objects.get(pk=job.pk)
        use_case(job=found, by=alice)
        jobs.run(found.pk)
        found.refresh_from_db()
        return found

    return next_stage
