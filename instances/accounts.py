"""Cloud accounts, as owners of a team use them: connect, test, rotate, rename, disconnect.

Here a page asks a cloud while somebody waits for it, as nowhere else: a credential that is
wrong has to be said at once, beside the field, and is never kept. See ``cloud.inquiry`` for the
time it may take.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from instances import cloud, events, metadata_hash
from instances.findings import Finding
from instances.lifecycle import OPEN, State
from instances.models import CloudMirror, Rescue
from instances.models.clock import now as clock_now
from teams import audit
from teams.models import CloudAccount, Team, User
from teams.secrets import CannotOpen

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    from instances.credentials import Given

R = TypeVar("R")

MOST_REGIONS = 10


class NotPossible(Exception):
    """What was asked cannot be done; ``findings`` or ``sentence`` say why."""

    def __init__(
        self,
        sentence: "StrOrPromise" = "",
        *,
        field: str = "",
        findings: "tuple[Finding, ...]" = (),
    ) -> None:
        super().__init__(sentence or ", ".join(finding.code for finding in findings))
        self.sentence = sentence
        self.field = field
        self.findings = findings


def probe(credential: dict[str, Any], region_name: str = "") -> tuple[cloud.Inquiry, list[Finding]]:
    """Test a credential in a region; nothing in the cloud is changed."""
    inquiry = cloud.inquire(credential, region_name)
    return inquiry, _findings(inquiry)


def _findings(inquiry: cloud.Inquiry) -> list[Finding]:
    return [Finding(one.level, one.code, one.about) for one in inquiry.found]


def findings_of(account: CloudAccount) -> list[Finding]:
    """Return what the last test of an account found."""
    return [Finding.kept(row) for row in account.findings]


# Connect ----------------------------------------------------------------------------------------


def connect(*, team: Team, by: User, name: str, given: "Given") -> CloudAccount:
    """Test a credential and connect what it opens; raise ``NotPossible`` with the findings."""
    _refuse_taken(team, name)
    inquiry, findings = probe(given.credential, given.region_name)
    if inquiry.refused:
        raise NotPossible(findings=_errors(findings))
    return _connect(team, by, name, given.credential, inquiry)


def connect_more(*, account: CloudAccount, by: User, regions: list[str]) -> list[CloudAccount]:
    """Connect the same credential's project in more regions, all of them or none."""
    offered = set(regions_left(account))
    wanted = [region for region in dict.fromkeys(regions) if region in offered][:MOST_REGIONS]
    if not wanted:
        raise NotPossible(_("Choose at least one of the regions."), field="regions")
    credential = _opened(account)
    inquiries = cloud.inquire_regions(credential, wanted)
    for inquiry in inquiries:
        if inquiry.refused:
            raise NotPossible(findings=_errors(_findings(inquiry)))
    with transaction.atomic():
        return [
            _connect(
                account.team, by, _name_in(account, one.region_name), credential, one
            )
            for one in inquiries
        ]  # fmt: skip


def regions_left(account: CloudAccount) -> list[str]:
    """List the regions of an account's catalog that its team has not connected."""
    mirror = CloudMirror.objects.filter(account=account).first()
    told = (one.about.get("regions", ()) for one in findings_of(account) if one.code == "works")
    offered = {str(region) for region in next(told, ())}
    if mirror is None or not mirror.project_id:
        return []
    taken = CloudMirror.objects.filter(
        account__team=account.team, account__disconnected_at=None, project_id=mirror.project_id
    ).values_list("account__region_name", flat=True)
    return sorted(offered - set(taken))


@transaction.atomic
def _connect(
    team: Team, by: User, name: str, credential: dict[str, Any], inquiry: cloud.Inquiry
) -> CloudAccount:
    # one at a time: names and projects are unique
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    known = (
        CloudAccount.objects.select_for_update(of=("self",))
        .filter(
            team=team,
            region_name=inquiry.region_name,
            mirror__project_id=inquiry.project_id,
        )
        .order_by(F("disconnected_at").asc(nulls_first=True))
        .first()
    )
    if known and known.disconnected_at is None:
        about = {"name": known.name}
        raise NotPossible(findings=(Finding("error", "already_connected", about),))
    _make_way(team, name, known)
    account = known or CloudAccount(team=team)
    account.name, account.region_name = name, inquiry.region_name
    account.disconnected_at = None
    _keep(account, credential, inquiry)
    if known:  # what was not seen for a while is read anew, to its end
        anew = dict.fromkeys(("full_at", "changes_since", "images_at"))
        CloudMirror.objects.filter(account=account).update(**anew)
    audit.record(
        "account.connect", team=team, target=name, actor=by, region=inquiry.region_name,
        kind=credential["auth_type"], project=inquiry.project_name,
    )  # fmt: skip
    return account


def _refuse_taken(team: Team, name: str, but: CloudAccount | None = None) -> None:
    same = CloudAccount.objects.connected().filter(team=team, name=name)
    if same.exclude(pk=but.pk if but else 0).exists():
        sentence = _("The team has a cloud account of this name already.")
        raise NotPossible(sentence, field="name")


def _make_way(team: Team, name: str, but: CloudAccount | None = None) -> None:
    """See that a name is free; one that was disconnected gives it up, and keeps its history."""
    _refuse_taken(team, name, but)
    old = CloudAccount.objects.filter(team=team, name=name).exclude(disconnected_at=None)
    for account in old.exclude(pk=but.pk if but else 0):
        account.name = f"{name[:70]} ({account.disconnected_at:%Y-%m-%d %H:%M:%S} #{account.pk})"
        account.save(update_fields=["name"])


def _name_in(account: CloudAccount, region: str) -> str:
    """Name the account of another region after this one."""
    name = account.name
    if account.region_name and account.region_name in name:
        return name.replace(account.region_name, region)[:100]
    return f"{name[: 99 - len(region)]} {region}"


def _keep(account: CloudAccount, credential: dict[str, Any], inquiry: cloud.Inquiry) -> None:
    """Save an account with a credential that was tested, and have it read at once."""
    account.auth_url = credential["auth"]["auth_url"]
    _note(account, inquiry)
    account.save()
    account.keep_credential(credential)
    CloudMirror.objects.update_or_create(
        account=account,
        defaults={
            "project_id": inquiry.project_id,
            "user_id": inquiry.user_id,
            "microversion": inquiry.microversion,
            "rescues_volume_backed": inquiry.rescues_volume_backed,
            "next_at": None,
            "problem": "",
            "problem_since": None,
        },
    )
    _changed(account)


def _note(account: CloudAccount, inquiry: cloud.Inquiry) -> None:
    """Write down what a test found."""
    account.findings = [finding.row for finding in _findings(inquiry)]
    account.tested_at = clock_now()
    if not inquiry.refused:
        account.credential_expires_at = inquiry.expires_at


def _changed(account: CloudAccount) -> None:
    events.changed(account.team_id, ["list", f"account:{account.pk}"])


def _errors(findings: list[Finding]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.level == "error")


def _opened(account: CloudAccount) -> dict[str, Any]:
    try:
        return account.credential()
    except CannotOpen:
        raise NotPossible(findings=(Finding("error", "cannot_open"),)) from None


# What is done with a connected one --------------------------------------------------------------


def test(*, account: CloudAccount, by: User) -> list[Finding]:
    """Test the stored credential; an account stays connected whatever is found."""
    try:
        inquiry = cloud.inquire(_opened(account), account.region_name)
    except NotPossible as problem:
        inquiry = cloud.Inquiry()
        inquiry.found = [cloud.Trait(one.level, one.code) for one in problem.findings]
    return _changing(account, lambda fresh: _tested(fresh, inquiry, by))


def _tested(account: CloudAccount, inquiry: cloud.Inquiry, by: User) -> list[Finding]:
    _note(account, inquiry)
    account.save()
    found = [one.code for one in inquiry.found]
    audit.record("account.test", team=account.team, target=account.name, actor=by, found=found)
    if not inquiry.refused:  # the synchroniser need not wait for its next turn
        CloudMirror.objects.filter(account=account).update(next_at=None)
    return _findings(inquiry)


def rotate(*, account: CloudAccount, by: User, given: "Given") -> None:
    """Replace the credential by another of the same project, after a test of the new one."""
    inquiry, findings = probe(given.credential, account.region_name)
    if inquiry.refused:
        raise NotPossible(findings=_errors(findings))
    _changing(account, lambda fresh: _rotated(fresh, inquiry, given, by))


def _rotated(account: CloudAccount, inquiry: cloud.Inquiry, given: "Given", by: User) -> None:
    mirror = CloudMirror.objects.filter(account=account).first()
    known = mirror.project_id if mirror else ""
    if known and known != inquiry.project_id:
        about = {"project": inquiry.project_name}
        raise NotPossible(findings=(Finding("error", "other_project", about),))
    account.rotated_at = clock_now()
    _keep(account, given.credential, inquiry)
    audit.record(
        "account.rotate", team=account.team, target=account.name, actor=by,
        kind=given.credential["auth_type"],
    )  # fmt: skip


def rename(*, account: CloudAccount, by: User, name: str) -> None:
    """Give an account another name."""
    _changing(account, lambda fresh: _renamed(fresh, name, by))


def _renamed(account: CloudAccount, name: str, by: User) -> None:
    if name == account.name:
        return
    _make_way(account.team, name, account)
    before, account.name = account.name, name
    account.save(update_fields=["name"])
    audit.record("account.rename", team=account.team, target=name, actor=by, before=before)
    _changed(account)


def permit_metadata(*, account: CloudAccount, by: User, permitted: bool) -> None:
    """Say whether the panel may put a password's hash into the metadata of its servers."""
    _changing(account, lambda fresh: _permitted(fresh, by, permitted=permitted))


def _permitted(account: CloudAccount, by: User, *, permitted: bool) -> None:
    if permitted == account.password_by_metadata:
        return
    account.password_by_metadata = permitted
    account.save(update_fields=["password_by_metadata"])
    audit.record(
        "account.metadata", team=account.team, target=account.name, actor=by, permitted=permitted
    )
    _changed(account)


def disconnect(*, account: CloudAccount, by: User) -> None:
    """Destroy the credential and hide the account's instances; what happened stays written."""
    _changing(account, lambda fresh: _disconnected(fresh, by))


def _disconnected(account: CloudAccount, by: User) -> None:
    if busy := open_rescues(account):
        names = ", ".join(str(rescue.instance) for rescue in busy[:5])
        sentence = _("Exit these rescues first, or wait for them: {names}.")
        raise NotPossible(sentence.format(names=names))
    metadata_hash.abandon(account, by)
    account.sealed_credential = ""
    account.credential_version += 1  # connections that are open belong to the older one
    account.disconnected_at = clock_now()
    account.credential_expires_at = None
    account.findings = []
    account.save()
    audit.record("account.disconnect", team=account.team, target=account.name, actor=by)
    _changed(account)


def open_rescues(account: CloudAccount) -> list[Rescue]:
    """List the rescues that need the account: not those that somebody began outside the panel."""
    ours = Rescue.objects.filter(instance__account=account, state__in=OPEN)
    return list(ours.exclude(state=State.EXTERNAL).select_related("instance")[:20])


def _changing(account: CloudAccount, change: Callable[[CloudAccount], R]) -> R:
    """Make a change on the account's row as it is now, alone."""
    with transaction.atomic():
        fresh = CloudAccount.objects.select_for_update(of=("self",)).select_related("team")
        row = fresh.connected().filter(pk=account.pk).first()
        if row is None:
            raise NotPossible(_("This account has been disconnected meanwhile."))
        return change(row)
