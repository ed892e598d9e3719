"""Rows for the view tests: an account, its images, instances and rescues, as a sync left them."""

import uuid
from datetime import timedelta
from typing import Any

from django.utils import timezone

from instances.disks import understand
from instances.models import CloudMirror, Image, Instance, Job, Machine, Rescue
from teams.models import AuditEntry, CloudAccount, Team
from tests.instances.machines import DEBIAN, IN_RESCUE, RESCUE, lsblk

PASSWORD = "bcdefghjknoprstuvxbcdefghjknopr"
RESCUE_IMAGE = "11111111-1111-4111-8111-111111111111"
WINDOWS = "22222222-2222-4222-8222-222222222222"
FINGERPRINT = "SHA256:AeGtWFg0x5uJrNKa/T0IRoyRtSbqfhUz9xpIJ3tZ4nI"
DIFF = "--- a\n+++ a\n@@ -1 +1,2 @@\n old\n+<b>new</b>\n-gone\n"


def account(team: Team, name: str = "cloud", **mirror: Any) -> CloudAccount:
    """Make a cloud account that was read to its end just now."""
    made = CloudAccount(team=team, name=name, region_name="GRA11", auth_url="https://cloud/v3")
    made.keep_credential({"auth_type": "v3applicationcredential"})
    now = timezone.now()
    CloudMirror.objects.create(
        account=made, **({"synced_at": now, "full_at": now, "project_id": "p"} | mirror)
    )
    return made


def images(of: CloudAccount) -> None:
    """Give an account a rescue image and one that is too large for its instances."""
    shown = {"account": of, "status": "active", "visibility": "public", "disk_format": "qcow2"}
    Image.objects.create(
        image_id=RESCUE_IMAGE, name="Rescue distribution", tags=["rescue"], **shown
    )
    Image.objects.create(image_id=WINDOWS, name="Windows", min_ram=64_000, **shown)


def instance(of: CloudAccount, name: str = "web-1", **facts: Any) -> Instance:
    """Make a running instance with a config drive."""
    now = timezone.now()
    usual = {
        "server_id": str(uuid.uuid4()),
        "status": "ACTIVE",
        "vm_state": "active",
        "addresses": [
            {"address": "203.0.113.7", "version": 4, "kind": "floating", "network": "public"}
        ],
        "image_id": "debian",
        "image_name": "Debian 12",
        "flavor_name": "b3-8",
        "flavor_ram": 8192,
        "config_drive": True,
        "launched_at": now,
        "seen_at": now,
        "search_text": f"{name} 203.0.113.7 debian 12 b3-8".lower(),
    }
    return Instance.objects.create(account=of, name=name, **(usual | facts))


def rescued(of: CloudAccount, name: str = "web-2") -> Instance:
    """Make an instance in rescue mode."""
    return instance(of, name, status="RESCUE", vm_state="rescued", in_rescue_since=timezone.now())


def rescue(of: Instance, state: str, by: Any, **facts: Any) -> Rescue:
    """Make a rescue, with a sealed password once it is ready."""
    now = timezone.now()
    if state == "READY":
        facts = {"accepted_at": now, "ready_at": now} | facts
    if state.startswith("FAILED"):
        facts = {"ended_at": now} | facts
    made = Rescue(
        instance=of,
        state=state,
        requested_by=by,
        image_ref=RESCUE_IMAGE,
        image_name="Rescue distribution",
        access="password",
        access_user="root",
        created_at=now - timedelta(seconds=42),
        asked_at=now,
        **facts,
    )
    if made.ready_at:
        made.sealed_password = made.sealed(PASSWORD)
    made.save()
    return made


def machine(of: Rescue, **facts: Any) -> Machine:
    """Make the machine of a rescue that one gets into, after its disks were looked at."""
    now = timezone.now()
    seen = understand(lsblk(RESCUE, DEBIAN), IN_RESCUE, rescue_last=False)
    usual = {
        "reach": "in", "address": "203.0.113.7", "fingerprint": FINGERPRINT, "proven_at": now,
        "vouched_by": "console", "survey": seen.kept(), "surveyed_at": now,
    }  # fmt: skip
    return Machine.objects.create(rescue=of, **(usual | facts))


def job(of: Rescue, state: str, by: Any = None, kind: str = "ssh_key", **facts: Any) -> Job:
    """Make a job, with a sealed diff when it waits for a yes."""
    now = timezone.now()
    made = Job(
        rescue=of, kind=kind, state=state, requested_by=by, created_at=now, asked_at=now, **facts
    )
    if state == "planned":
        made.sealed = made.seal({"diff": DIFF})
    made.save()
    return made


def acts() -> list[str]:
    """List what the audit trail holds, the first first."""
    return list(AuditEntry.objects.order_by("pk").values_list("act", flat=True))
