"""Keys change: every secret is sealed anew, also when the command is killed in the middle."""

import base64
import io
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from django.core.management import CommandError, call_command
from django.db import connection

from instances import rotation
from instances.models import Rescue
from teams import secrets, webhooks
from teams.models import AuditEntry, CloudAccount, Webhook
from tests.instances import rows
from tests.services import ROOT, wait_until

OLD, NEW = bytes(32), bytes([7]) * 32


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("rotate_keys", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def sealed(teams: Any, alice: Any, settings: Any) -> Rescue:
    """Give one secret of each kind, sealed with the old key; the new one is in front."""
    settings.ENCRYPTION_KEYS = [OLD]
    account = rows.account(teams.acme)
    rescue = rows.rescue(rows.rescued(account), "READY", alice)
    webhooks.add(teams.acme, url="https://hooks.example.org/", events=[], by=alice)
    factors = get_adapter()
    Authenticator.objects.create(
        user=alice, type="totp", data={"secret": factors.encrypt("JBSWY3DPEHPK3PXP")}
    )
    codes = {"seed": factors.encrypt("seed"), "used_mask": 3, "codes": [factors.encrypt("one")]}
    Authenticator.objects.create(user=alice, type="recovery_codes", data=codes)
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    return rescue


def test_everything_is_sealed_anew_once(sealed: Rescue, settings: Any) -> None:
    before = Rescue.objects.values("version", "next_at", "lease_until").get()
    assert "6 still under other keys" in run("--check")
    assert Rescue.objects.get().sealed_password == sealed.sealed_password, "--check only counts"
    assert "Sealed anew: 5." in run()
    said = run()
    assert "Sealed anew: 0." in said and "may be taken out" in said
    settings.ENCRYPTION_KEYS = [NEW]
    assert Rescue.objects.get().password() == rows.PASSWORD
    assert CloudAccount.objects.get().credential() == {"auth_type": "v3applicationcredential"}
    assert webhooks._secret(Webhook.objects.get()).startswith("whsec_")
    factors = get_adapter()
    app = Authenticator.objects.get(type="totp").data
    assert factors.decrypt(app["secret"]) == "JBSWY3DPEHPK3PXP"
    codes = Authenticator.objects.get(type="recovery_codes").data
    assert factors.decrypt(codes["seed"]) == "seed" and codes["used_mask"] == 3
    assert factors.decrypt(codes["codes"][0]) == "one"
    assert Rescue.objects.values("version", "next_at", "lease_until").get() == before
    assert AuditEntry.objects.filter(act="keys.rotate").count() == 1


def test_whoever_writes_meanwhile_wins(sealed: Rescue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker keeps another password, or destroys it, between our reading and our writing."""
    seal = secrets.seal

    def late(plaintext: str, *, bound_to: str) -> str:
        if bound_to.startswith("instances.Rescue"):
            Rescue.objects.get().move(sealed_password="")
        return seal(plaintext, bound_to=bound_to)

    monkeypatch.setattr(rotation.secrets, "seal", late)
    run()
    assert Rescue.objects.get().sealed_password == ""


def test_a_running_operation_goes_on(sealed: Rescue) -> None:
    at_work = Rescue.objects.get()
    run()
    assert at_work.move("CLOSED"), "its version was left alone"


def test_what_no_key_opens_is_named(sealed: Rescue, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(CommandError, match=r"CloudAccount\.sealed_credential \d+.*Rescue"):
        run()
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert "may be taken out" in run()


def environment() -> dict[str, str]:
    url = os.environ["DATABASE_URL"]
    name = str(connection.settings_dict["NAME"])
    database = f"sqlite:///{name}" if "sqlite" in url else f"{url.rpartition('/')[0]}/{name}"
    keys = ",".join(base64.urlsafe_b64encode(key).decode() for key in (NEW, OLD))
    return os.environ | {"DATABASE_URL": database, "ENCRYPTION_KEYS": keys}


@pytest.mark.django_db(transaction=True)
def test_killed_in_the_middle_it_goes_on(teams: Any, settings: Any) -> None:
    settings.ENCRYPTION_KEYS = [OLD]
    accounts = [rows.account(teams.acme, f"cloud {number}") for number in range(60)]
    settings.ENCRYPTION_KEYS = [NEW, OLD]

    def old() -> int:
        return rotation.count()["CloudAccount.sealed_credential"][secrets.key_id(OLD)]

    kills = 0
    command = [sys.executable, "manage.py", "rotate_keys", "--batch", "2", "--pause"]
    for goal in (45, 20):
        process = subprocess.Popen(
            [*command, "0.05"], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
        )
        wait_until(lambda goal=goal: old() < goal, "some rows sealed anew", 30)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        kills += 1
        assert 0 < old() < goal
        for account in CloudAccount.objects.all():
            assert account.credential() == {"auth_type": "v3applicationcredential"}
    started = time.monotonic()
    subprocess.run([*command, "0"], cwd=ROOT, env=environment(), check=True, capture_output=True)
    assert time.monotonic() - started < 30 and kills == 2
    assert old() == 0 and len(accounts) == 60
    settings.ENCRYPTION_KEYS = [NEW]
    for account in CloudAccount.objects.all():
        assert account.credential() == {"auth_type": "v3applicationcredential"}
