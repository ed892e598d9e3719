"""Give the tests the image, built or from the cache, and machines that start from it."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.instances.conftest import (  # noqa: F401
    account,
    credential,
    demo,
    fresh_connections,
    instance_named,
    start,
    synced,
)
from tests.rescue_image import old_server, qemu
from tests.services import ROOT

PASSWORD = "rescued: 'with' a $(strange) \"password\" é\\n"
STALE = "the password of the server's creation"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all that lies here: it builds an image and starts machines, minutes of work."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.image)
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def image() -> Path:
    """Give the rescue image."""
    if reason := qemu.why_not():
        pytest.skip(reason)
    build = [ROOT / "rescue-image" / "build"]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def old_disk(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the disk of a customer's server that locked its owner out."""
    return old_server.build(image, tmp_path_factory.mktemp("old") / "web-1")


@pytest.fixture(scope="module")
def starts(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Start machines in rescue: the rescue disk first, the given ones behind it."""
    running: list[qemu.Vm] = []

    def power_on(*disks: Path, drive: Any = None, **more: Any) -> qemu.Vm:
        folder = tmp_path_factory.mktemp("vm")
        given = qemu.config_drive(folder, drive) if drive is not None else None
        own = qemu.copy_on_write(image, folder / "rescue.qcow2")
        running.append(qemu.Vm(folder, own, *disks, config_drive=given, **more))
        return running[-1]

    yield power_on
    for machine in running:
        machine.stop()


@pytest.fixture
def rescue(teams: SimpleNamespace, alice: Any) -> Any:
    """Give Alice's rescue, ready; where its machine is, `leads_to` says."""
    from tests.instances import rows

    own = rows.account(teams.acme)
    own.machine_networks = "127.0.0.0/8"
    own.save()
    rows.images(own)
    instance = rows.rescued(own, "web-1")
    instance.addresses = [
        {"address": "127.0.0.1", "version": 4, "kind": "floating", "network": "public"}
    ]
    instance.save()
    made = rows.rescue(instance, "READY", alice)
    made.sealed_password = made.sealed(PASSWORD)
    made.save()
    return made


@pytest.fixture
def leads_to(rescue: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[qemu.Vm], Any]:
    """Let the rescue's machine be a virtual one, whose console the cloud shows."""
    from instances.recovery import access

    def at(machine: qemu.Vm) -> Any:
        own = rescue.instance.account
        own.machine_port = machine.port
        own.save()
        cloud = SimpleNamespace(console_log=lambda _server, lines: machine.console)
        monkeypatch.setattr(access, "open_account", lambda _account: cloud)
        return rescue

    return at


@pytest.fixture
def tried(rescue: Any) -> Callable[[], Any]:
    """Try the machine as the worker does, until what may pass has passed."""
    from instances.models import Machine
    from instances.models.clock import now
    from instances.recovery import access

    def probe() -> Any:
        access.attend(rescue.pk)
        access.read_console(rescue.pk)
        Machine.objects.update(next_at=now(), lease_until=None)
        row = access.probe(rescue.pk)
        assert row is not None
        return row

    return probe


@pytest.fixture
def do(rescue: Any, alice: Any) -> Callable[..., Any]:
    """Ask for work as Alice, do it as the worker would, and return its row."""
    from instances.models import Job
    from instances.recovery import jobs

    def ask_and_run(kind: str, private: Any = None, **params: Any) -> Any:
        job = jobs.ask(rescue=rescue, kind=kind, params=params, private=private, by=alice)
        jobs.run(job.pk)
        return Job.objects.get(pk=job.pk)

    return ask_and_run
