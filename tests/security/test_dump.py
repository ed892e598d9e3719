"""Who has the database and Redis, and not the keys, has no secret: after a day of everything."""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.panel import Panel
from tests.receivers import taking_mail
from tests.security import dumps
from tests.security.whole_run import Day
from tests.services import ROOT, Postgres, postgres_programs, running_democloud

KINDS = {
    "key that confirms": 1,
    "key that resets": 1,
    "password": 3,
    "session": 8,
    "seed of the app": 1,
    "recovery code": 20,
    "invitation": 2,
    "secret of the cloud": 3,
    "typed wrongly": 1,
    "token of the cloud": 3,
    "webhook's secret": 2,
    "private key": 4,
    "temporary password": 1,
}


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'panel.sqlite3'}"
        return
    if not postgres_programs():
        pytest.skip("PostgreSQL is not installed")
    postgres = Postgres(Path(tempfile.mkdtemp()) / "postgres")
    postgres.start()
    yield postgres.url
    postgres.stop()


@pytest.mark.long
def test_a_dump_after_a_whole_run_holds_no_secret(database: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        keystone = stack.enter_context(running_democloud("--instant"))
        sink = stack.enter_context(taking_mail())
        panel = Panel(
            tmp_path,
            DATABASE_URL=database,
            EMAIL_URL=f"smtp://127.0.0.1:{sink.port}",
            OPEN_SIGN_UP="1",
            DEBUG="0",
            WEBHOOK_PRIVATE_NETWORKS="127.0.0.0/8",
        )
        printed = credentials(keystone)
        panel.manage("migrate", "-v0")
        panel.manage("seed_demo", "--credentials", "-", text=printed)
        stack.enter_context(panel.running())
        wire = dumps.Eavesdropper(panel.redis.url)
        readable: list[str] = []
        looks = 0

        def look(moment: str) -> None:
            nonlocal looks
            places = {
                "the database": dumps.database(database),
                "Redis": dumps.broker(panel.redis.url),
                "what went through Redis": wire.heard,
            }
            secrets = day.secrets | {"seeded": re.findall(r'"(demo-[0-9a-f]{32})"', printed)[0]}
            for place, blobs in places.items():
                readable.extend(
                    f"{name} in {place}, {moment}" for name in dumps.found_in(blobs, secrets)
                )
                readable.extend(
                    f"seed of recovery codes in {place}, {moment}"
                    for blob in blobs
                    if re.search(rb"(?<![0-9a-f])[0-9a-f]{80}(?![0-9a-f])", blob)
                )
            looks += 1

        day = Day(panel.url, keystone, sink, look)
        day.play()
        look("in the end")
    kinds = [name.split(" #")[0] for name in day.secrets]
    assert not {kind: kinds.count(kind) for kind, n in KINDS.items() if kinds.count(kind) < n}
    assert looks == 9 and len(wire.heard) > 200
    assert readable == [], "\n".join(readable)


def credentials(keystone: str) -> str:
    port = re.search(r":(\d+)/", keystone)
    assert port
    asked = [sys.executable, "-m", "democloud", "--print-credentials", "--port", port[1]]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, check=True, text=True).stdout


def test_the_search_finds_what_is_hidden_badly() -> None:
    """Each trivial way to hide a secret is seen through."""
    import base64
    import json
    import zlib

    secret = "tr1cky secret/with+signs"
    wrapped = base64.urlsafe_b64encode(zlib.compress(f'{{"seed": "{secret}"}}'.encode() * 9))
    hidden = [
        f"x{secret}y".encode(),
        b"tr1cky%20secret%2Fwith%2Bsigns",
        secret.encode().hex().encode(),
        secret.encode()[::-1],
        json.dumps({"a": secret}).encode(),
        *(base64.b64encode(b"?" * shift + secret.encode() + b"tail") for shift in range(3)),
        b"key" + base64.b64encode(b"some text around " + secret.encode()),
        b"." + wrapped.rstrip(b"=") + b":1abc:signature",
    ]
    for blob in hidden:
        assert dumps.found_in([b"before", blob], {"it": secret}) == ["it"], blob
    assert (
        dumps.found_in([b"nothing", base64.b64encode(b"nothing at all here")], {"it": secret}) == []
    )
