# ruff: noqa: F811  fixtures come by import
"""A machine whose tools, files and console say anything: no job ends by a defect, no page fails."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from random import Random
from typing import Any

import pytest

from instances import ssh
from instances.cloud import Cloud
from instances.models import Job, Machine
from instances.models.clock import now
from instances.recovery import access, jobs
from instances.recovery.work import CannotDo
from instances.rescue import NotPossible
from teams.secrets import CannotOpen
from tests.fuzz.rounds import Findings, dice_of, rounds
from tests.fuzz.warp import Answer, bend
from tests.fuzz.words import EVIL
from tests.instances.test_machine_story import (  # noqa: F401
    democloud,
    entered,
    key,
    machine_port,
    machines,
)

EXPECTED = (CannotDo, ssh.SshError, CannotOpen)
STATUSES = (0, 0, 0, 1, 32, 127, 255, -1, 2**32 - 1)


class Liar:
    """Bend what a machine says, once ``share`` is above 0."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.dice, self.share, self.said = Random(0), 0.0, ""
        for owner, name, lie in (
            (ssh.Machine, "run", self._output),
            (ssh.Machine, "read", self._file),
            (ssh.Machine, "listdir", self._entries),
            (ssh.Machine, "lstat", self._entry),
            (ssh.Machine, "resolve", self._path),
            (Cloud, "console_log", self._console),
        ):
            patch.setattr(owner, name, self._around(getattr(owner, name), lie))

    def _around(self, call: Callable[..., Any], lie: Callable[[Any], Any]) -> Callable[..., Any]:
        @wraps(call)
        def told(*given: Any, **more: Any) -> Any:
            honest = call(*given, **more)
            if self.dice.random() >= self.share:
                return honest
            bent = lie(honest)
            self.said = f"{given[1:]} -> {bent!r}"[:1500]
            return bent

        return told

    def _bytes(self, data: bytes) -> bytes:
        if self.dice.random() < 0.3:
            word = self.dice.choice(EVIL).encode("utf-8", "surrogatepass")
            lines = data.split(b"\n")
            lines[self.dice.randrange(len(lines))] = word
            return b"\n".join(lines)
        return bend(Answer(200, data), self.dice).body[:1_000_000]

    def _output(self, told: Any) -> Any:
        return replace(
            told,
            status=self.dice.choice(STATUSES),
            out=self._bytes(told.out),
            err=self.dice.choice(EVIL).encode("utf-8", "surrogatepass"),
        )

    def _file(self, told: Any) -> Any:
        return replace(told, data=self._bytes(told.data))

    def _entry(self, told: Any) -> Any:
        name = self.dice.choice(EVIL).replace("/", "").encode(errors="replace").decode()
        return replace(
            told, name=name or "x", kind=self.dice.choice(("file", "dir", "link", "other"))
        )

    def _entries(self, told: Any) -> Any:
        return [self._entry(one) for one in told] + told[:1] * self.dice.choice((0, 2))

    def _path(self, told: Any) -> Any:
        return told + self.dice.choice(("", "/x", "\n", "/<b>", " "))

    def _console(self, told: str) -> str:
        return self._bytes(told.encode()).decode("utf-8", "replace")


def _work(public: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    return [
        ("look", {}, {}),
        ("mount", {"device": "/dev/vdb1", "writable": True}, {}),
        ("ssh_key", {"user": "debian", "public_key": public, "key_name": "a"}, {}),
        ("password", {"user": "root"}, {"password": "a-new-word-9"}),
        ("fstab", {}, {}),
        ("edit", {"path": "/etc/fstab"}, {"text": "x"}),
        ("check", {"device": "/dev/vdb1"}, {}),
        ("unmount", {}, {}),
    ]


class Errands:
    """Everything that can be asked of a machine, one after the other."""

    def __init__(self, rescue: Any, alice: Any, client: Any, found: Findings, liar: Liar) -> None:
        self.rescue, self.alice, self.client, self.found, self.liar = (
            rescue,
            alice,
            client,
            found,
            liar,
        )

    def run(self, seed: str, public: str) -> None:
        self.seed = seed
        for kind, params, private in _work(public):
            self._into_the_machine()
            with self._step(kind, NotPossible):
                job = jobs.ask(
                    rescue=self.rescue, kind=kind, by=self.alice, params=params, private=private
                )
                self._do(job)
                for use_case in (jobs.confirm, jobs.undo):
                    if Job.objects.get(pk=job.pk).state in (Job.State.PLANNED, Job.State.DONE):
                        use_case(job=Job.objects.get(pk=job.pk), by=self.alice)
                        self._do(job)
        with self._step("console"):
            access.read_console(self.rescue.pk)
        with self._step("probe"):
            Machine.objects.update(next_at=now(), lease_until=None)
            access.probe(self.rescue.pk)
        self._see(
            f"/rescues/{self.rescue.pk}",
            f"/rescues/{self.rescue.pk}/report",
            "/",
            f"/instances/{self.rescue.instance_id}/by-hand",
        )

    def _step(self, what: str, *fine: type[BaseException]) -> Any:
        return self.found.step(f"{what} ({self.seed})", lambda: self.liar.said, *fine)

    def _into_the_machine(self) -> None:
        Machine.objects.update(reach="in", next_at=None)
        Job.objects.filter(state__in=("queued", "running")).delete()

    def _do(self, job: Job) -> None:
        jobs.run(job.pk)
        base = f"/rescues/{self.rescue.pk}"
        self._see(f"{base}/machine", f"{base}/jobs/{job.pk}", f"{base}/repairs/ssh_key")

    def _see(self, *paths: str) -> None:
        for path in paths:
            with self._step(f"GET {path}"):
                page = self.client.get(path)
                text = b"".join(page.streaming_content) if page.streaming else page.content
                html = "html" in page.headers.get("Content-Type", "")
                if page.status_code >= 500 or (html and b"<script>window.pwned" in text):
                    self.found.wrong(f"{page.status_code} of {path}", self.liar.said)


@pytest.mark.long
@pytest.mark.apart
@pytest.mark.timeout(36_000)
def test_machines_that_say_anything(
    entered: Any,
    key: Any,
    alice: Any,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, done = Findings(), jobs._done

    def watched(job: Job) -> Any:
        with found.step(f"{job.kind} {job.stage}", lambda: liar.said, *EXPECTED):
            try:
                return done(job)
            except EXPECTED as error:
                failed = error
        raise failed

    row, _machine = entered("web-1")
    liar = Liar(monkeypatch)
    monkeypatch.setattr(jobs, "_done", watched)
    logging.disable(logging.CRITICAL)
    client.force_login(alice)
    for seed in rounds(at_least=2):
        liar.share = 0.0
        access.attend(row.pk)
        Job.objects.all().delete()
        liar.dice = dice_of(seed)
        liar.share = liar.dice.choice((0.1, 0.3, 0.7))
        Errands(row, alice, client, found, liar).run(seed, key[1])
    logging.disable(logging.NOTSET)
    found.settle("Machines that say anything")
