"""Furnish a demo for the visit to every page: one thing of each kind, with long and odd names.

Run as ``python -m tests.journeys.furnished`` in the demo's environment; prints JSON: the objects
that fill addresses in, under the access table's names.
"""

import base64
import json
import sys
from datetime import timedelta
from typing import Any

import django
from django.utils import timezone
from fido2.utils import websafe_encode

LONG = "Équipe « Infrastructure & Réseaux » <b>de-la-Direction-Générale-des-Systèmes-Numériques</b>"


def furnish() -> dict[str, Any]:
    """Put one of each kind into the demo; tell what there is."""
    from teams.models import Impersonation, Team, User

    alice, sam = (User.objects.get(email=f"{name}@example.org") for name in ("alice", "sam"))
    team = Team.objects.get(name="Acme Web")
    begun = timezone.now() - timedelta(hours=1)
    access = Impersonation.objects.create(
        staff=sam, customer=alice, reason="Ticket 4711", started_at=begun,
        until=begun + timedelta(minutes=30), ended_at=begun + timedelta(minutes=9),
    )  # fmt: skip
    things = {"team": team.pk, "access": access.pk}
    return things | _of_team(team, alice) | _of_cloud(team, alice) | _people()


def _people() -> dict[str, Any]:
    """Make the people that the cast lacks: with factors, without a password, without a team."""
    from allauth.account.forms import default_token_generator
    from allauth.account.models import EmailConfirmationHMAC
    from allauth.account.utils import user_pk_to_url_str
    from allauth.mfa.models import Authenticator
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    from teams.models import CloudPerson, Membership, Team, User

    dora = User.objects.create_user("dora@example.org", "rescue-demo", name=f"Dora {'M' * 60}")
    TOTP.activate(dora, generate_totp_secret())
    codes = RecoveryCodes.activate(dora).get_unused_codes()
    passkey = Authenticator.objects.create(
        user=dora, type="webauthn", data={"name": "Clé " + "u" * 90, "credential": _credential()}
    )
    User.objects.create_user("zoe@example.org", "rescue-demo", name="Zoe")
    yann = User.objects.create_user("yann@example.org", "rescue-demo", name="Yann")
    long = Team.objects.create(name=LONG)
    Membership.objects.create(team=long, user=dora, role="owner")
    joined = CloudPerson.objects.create(
        person=dora, keystone="https://keystone.example.org/v3", user_id="u", domain="Default",
        name="d" * 90,
    )  # fmt: skip
    return {
        "code": codes[0],
        "joined": joined.pk,
        "long_team": long.pk,
        "passkey": passkey.pk,
        "uid": user_pk_to_url_str(yann),
        "reset": default_token_generator.make_token(yann),
        "confirm": EmailConfirmationHMAC(_unconfirmed(yann)).key,
    }


def _unconfirmed(person: Any) -> Any:
    from allauth.account.models import EmailAddress

    return EmailAddress.objects.create(user=person, email=f"new-{person.email}")


def _credential() -> dict[str, Any]:
    """Make what a device answers when it keeps a new passkey."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from fido2.cose import ES256
    from fido2.webauthn import (
        AttestationObject,
        AttestedCredentialData,
        AuthenticatorData,
        CollectedClientData,
    )

    public = ES256.from_cryptography_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    kept = AttestedCredentialData.create(bytes(16), b"passkey", public)
    told = AuthenticatorData.create(bytes(32), AuthenticatorData.FLAG.AT, 0, kept)
    client = CollectedClientData.create("webauthn.create", b"challenge", "http://127.0.0.1")
    response = {
        "clientDataJSON": client.b64,
        "attestationObject": websafe_encode(AttestationObject.create("none", told, {})),
    }
    return {"rawId": websafe_encode(b"passkey"), "type": "public-key", "response": response}


def _of_team(team: Any, alice: Any) -> dict[str, Any]:
    """Give a team what its owners keep there."""
    from teams import invitations, outbox, ssh_keys, webhooks
    from teams.models import User
    from teams.permissions import Role

    sent = invitations.invite(
        team=team, email="zoe@example.org", role=Role.READER, by=alice, link=str
    )
    hook, _secret = webhooks.add(
        team, url="http://127.0.0.1:9/" + "hook" * 40, events=["rescue.ready"], by=alice
    )
    message = outbox.try_out(hook)
    keys = {
        name: ssh_keys.add(owner=owner, pasted=_public(seed), name=title, by=alice)
        for seed, (name, owner, title) in enumerate(
            [("key", team, "bastion-" + "x" * 60), ("own_key", alice, "laptop")]
        )
    }
    carol = User.objects.get(email="carol@example.org")
    return {
        "bob": User.objects.get(email="bob@example.org").pk,
        "invitation": sent.invitation.pk,
        "token": sent.link,
        "member": team.memberships.get(user=carol).pk,
        "hook": hook.pk,
        "message": str(message.pk),
        **{name: key.pk for name, key in keys.items()},
    }


def _public(seed: int) -> str:
    parts = [b"ssh-ed25519", bytes([seed]) * 32]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"ssh-ed25519 {base64.b64encode(blob).decode()} alice@laptop"


def _of_cloud(team: Any, alice: Any) -> dict[str, Any]:
    """Ask for a rescue, keep one that failed, and find what is needed for their pages."""
    import uuid

    from instances import choices, rescue
    from instances.models import ConsoleReading, Instance, Job, Rescue

    broken = Instance.objects.filter(account__team=team, status="ERROR")[0]
    ended = Rescue.objects.create(
        instance=broken, state="FAILED_CLEAN", requested_by=alice, holder=alice,
        image_ref="gone", image_name="Debian Rescue " + "v" * 60, reason="<b>INC</b> " + "9" * 120,
        failure_text="No valid host was found. " * 8, created_at=timezone.now(),
        asked_at=timezone.now(), ended_at=timezone.now(),
    )  # fmt: skip
    here = Instance.objects.filter(account__team=team)
    resting, other = here.filter(status="ACTIVE", name__startswith="web-").order_by("name")[:2]
    image = choices.picker_for(resting).choices[0]
    started = rescue.start(
        instance=resting, image_ref=image.ref, by=alice, idempotency_key=uuid.uuid4(), hours=4
    )
    job = Job.objects.create(
        rescue=started, kind="ssh_key", state=Job.State.UNDONE, requested_by=alice,
        created_at=timezone.now(), asked_at=timezone.now(),
    )  # fmt: skip
    ConsoleReading.objects.create(
        instance=resting, asked_at=timezone.now(), read_at=timezone.now(),
        found=[{"fault": fault, "confidence": sure, "line": f"<b>{fault}</b> " + "/" * 180}
               for fault, sure in (("fstab", 3), ("fsck", 2), ("no_network", 1))],
    )  # fmt: skip
    return _batches(team, alice) | {
        "repair": "ssh_key",
        "job": str(job.pk),
        "instance": started.instance_id,
        "resting": other.pk,
        "broken": broken.pk,
        "ended": str(ended.pk),
        "account": started.instance.account_id,
        "rescue": str(started.pk),
        "alice": alice.pk,
    }


def _batches(team: Any, alice: Any) -> dict[str, Any]:
    """Keep a bulk action that was held with one of each state in it, and two being prepared."""
    from instances.bulk import asked
    from instances.models import Batch, Instance, Rescue

    here = Instance.objects.filter(account__team=team, name__in=["cache-1", "cache-2", "billing"])
    now = timezone.now()
    held = Batch.objects.create(
        team=team, kind="start", state="paused", asked_by=alice, run_by=alice, stop_after=1,
        reason="<b>INC</b> " + "8" * 120, created_at=now, begun_at=now,
    )  # fmt: skip
    failed = Rescue.objects.filter(state="FAILED_CLEAN", requested_by=alice).first()
    skipped = {"en": "The instance is locked: unlock it first.",
               "fr": "L’instance est verrouillée\u00a0: déverrouillez-la d’abord."}  # fmt: skip
    for position, (row, state) in enumerate(
        zip(here, ("waiting", "failed", "skipped"), strict=False), 1
    ):
        held.items.create(
            instance=row, account_id=row.account_id, position=position, state=state,
            rescue=failed if state == "failed" else None,
            reasons=skipped if state == "skipped" else {},
        )  # fmt: skip
    whole = Instance.objects.filter(account__team=team)
    leaving = asked.draft(kind="exit", chosen=whole, by=alice)
    Batch.objects.filter(pk=leaving.pk).update(asked_by=None)  # the next draft lets it be
    drafted = asked.draft(kind="start", chosen=whole, by=alice)
    Batch.objects.filter(pk=leaving.pk).update(asked_by=alice)
    return {"batch": str(held.pk), "draft": str(drafted.pk), "leaving": str(leaving.pk)}


if __name__ == "__main__":
    django.setup()
    sys.stdout.write(json.dumps(furnish()))
