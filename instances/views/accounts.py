"""The pages of a team's cloud accounts."""

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django_htmx.http import HttpResponseClientRedirect

from instances import accounts, metadata_hash
from instances.account_forms import (
    ConnectForm,
    CredentialForm,
    DisconnectForm,
    MetadataForm,
    NameForm,
    RegionsForm,
)
from instances.accounts import NotPossible
from instances.findings import Finding
from teams import attempts
from teams.gates import Request, page, team_for, wants_fragment
from teams.models import CloudAccount, Team
from teams.permissions import Right

#: tests of a cloud that one address may ask for in a minute
TESTS_A_MINUTE = 20


@page("GET", "HEAD", staff=True)
def account_list(request: Request, pk: int) -> HttpResponse:
    """List the accounts; who does not manage them sees how they are and no more."""
    team = team_for(request, pk, Right.LOOK)
    listed = team.cloud_accounts.connected().select_related("mirror").order_by("name")
    context = {
        "team": team,
        "accounts": listed,
        "may_manage": request.user.may(Right.MANAGE, team),
    }
    return render(request, "instances/accounts.html", context)


@page("GET", "HEAD", "POST")
@sensitive_post_parameters()
def connect(request: Request, pk: int) -> HttpResponse:
    """Take a credential, test it, connect what it opens."""
    team = team_for(request, pk, Right.MANAGE)
    if request.method != "POST":
        return _draw(request, "account_connect", ConnectForm(), team=team)
    form = ConnectForm(request.POST, request.FILES)
    if not _ready(request, form):
        return _draw(request, "account_connect", form, team=team)
    name = form.cleaned_data["name"]
    try:
        made = accounts.connect(team=team, by=request.user, name=name, given=form.given)
    except NotPossible as problem:
        return _draw(request, "account_connect", form, problem, team=team)
    messages.success(request, _("%(name)s is connected.") % {"name": made.name})
    return _to(request, made)


@page("GET", "HEAD")
def account(request: Request, pk: int, account: int) -> HttpResponse:
    """Show one account: what it is, what its last test found, what can be done."""
    shown = _account(request, pk, account)
    return _one(request, shown, RegionsForm(offered=accounts.regions_left(shown)))


@page("POST")
def test(request: Request, pk: int, account: int) -> HttpResponse:
    """Test the stored credential again."""
    shown = _account(request, pk, account)
    if _too_often(request):
        messages.error(request, _too_often_sentence())
        return _to(request, shown)
    try:
        found = accounts.test(account=shown, by=request.user)
    except NotPossible as problem:
        messages.error(request, str(problem.sentence))
        return _to(request, shown)
    if any(one.level == "error" for one in found):
        messages.error(request, _("The test found something that has to be mended."))
    else:
        messages.success(request, _("The test went well."))
    return _to(request, shown)


@page("GET", "HEAD", "POST")
@sensitive_post_parameters()
def rotate(request: Request, pk: int, account: int) -> HttpResponse:
    """Replace the credential by another of the same project."""
    shown = _account(request, pk, account)
    context: dict[str, Any] = {"team": shown.team, "account": shown}
    if request.method != "POST":
        initial = {"auth_url": shown.auth_url}
        return _draw(request, "account_rotate", _rotation(initial=initial), **context)
    form = _rotation(request.POST, request.FILES)
    if not _ready(request, form):
        return _draw(request, "account_rotate", form, **context)
    try:
        accounts.rotate(account=shown, by=request.user, given=form.given)
    except NotPossible as problem:
        return _draw(request, "account_rotate", form, problem, **context)
    messages.success(request, _("The credential is replaced. Rescues under way go on with it."))
    return _to(request, shown)


def _rotation(*args: Any, **kwargs: Any) -> CredentialForm:
    form = CredentialForm(*args, **kwargs)
    del form.fields["region_name"]  # it stays
    return form


@page("GET", "HEAD", "POST")
def rename(request: Request, pk: int, account: int) -> HttpResponse:
    """Give the account another name."""
    shown = _account(request, pk, account)
    context: dict[str, Any] = {"team": shown.team, "account": shown}
    if request.method != "POST":
        form = NameForm(initial={"name": shown.name})
        return _draw(request, "account_rename", form, **context)
    form = NameForm(request.POST)
    if not form.is_valid():
        return _draw(request, "account_rename", form, **context)
    try:
        accounts.rename(account=shown, by=request.user, name=form.cleaned_data["name"])
    except NotPossible as problem:
        return _draw(request, "account_rename", form, problem, **context)
    messages.success(request, _("The account is renamed."))
    return _to(request, shown)


@page("POST")
def metadata(request: Request, pk: int, account: int) -> HttpResponse:
    """Say whether a password's hash may go into the metadata of the account's servers."""
    shown = _account(request, pk, account)
    form = MetadataForm(request.POST)
    permitted = form.is_valid() and form.cleaned_data["permitted"]
    try:
        accounts.permit_metadata(account=shown, by=request.user, permitted=permitted)
    except NotPossible as problem:
        messages.error(request, str(problem.sentence))
        return redirect("instances:accounts", pk)
    messages.success(request, _("Saved."))
    return _to(request, shown)


@page("POST")
def regions(request: Request, pk: int, account: int) -> HttpResponse:
    """Connect more regions of the same cloud."""
    shown = _account(request, pk, account)
    form = RegionsForm(request.POST, offered=accounts.regions_left(shown))
    if not _ready(request, form):
        return _one(request, shown, form, status=422)
    chosen = form.cleaned_data["regions"]
    try:
        made = accounts.connect_more(account=shown, by=request.user, regions=chosen)
    except NotPossible as problem:
        return _one(request, shown, form, problem, status=422)
    names = ", ".join(one.name for one in made)
    messages.success(request, _("Connected: %(names)s.") % {"names": names})
    return redirect("instances:accounts", pk)


@page("GET", "HEAD", "POST")
def disconnect(request: Request, pk: int, account: int) -> HttpResponse:
    """Ask for the account's name, then destroy its credential."""
    shown = _account(request, pk, account)
    context: dict[str, Any] = {
        "team": shown.team,
        "account": shown,
        "busy": accounts.open_rescues(shown),
        "left": metadata_hash.left_in(shown),
    }
    if request.method != "POST":
        return _draw(request, "account_disconnect", DisconnectForm(name=shown.name), **context)
    form = DisconnectForm(request.POST, name=shown.name)
    if not form.is_valid():
        return _draw(request, "account_disconnect", form, **context)
    try:
        accounts.disconnect(account=shown, by=request.user)
    except NotPossible as problem:
        return _draw(request, "account_disconnect", form, problem, **context)
    messages.success(request, _("%(name)s is disconnected.") % {"name": shown.name})
    return redirect("instances:accounts", pk)


# What they share --------------------------------------------------------------------------------


def _account(request: Request, pk: int, account: int) -> CloudAccount:
    """Find an account to manage: 404 for another team's, 403 for a role that is too small."""
    team = team_for(request, pk, Right.MANAGE)
    connected = team.cloud_accounts.connected().select_related("team", "mirror")
    return get_object_or_404(connected, pk=account)


def _too_often_sentence() -> str:
    return _("That is too many tests at once. Wait a minute, then try again.")


def _too_often(request: Request) -> bool:
    return attempts.too_many(request, "cloud-test", TESTS_A_MINUTE)


def _ready(request: Request, form: Form) -> bool:
    """Tell whether the cloud may be asked: the form is right, and it is not asked too often."""
    if not form.is_valid():
        return False
    if _too_often(request):
        form.add_error(None, _too_often_sentence())
        return False
    return True


def _one(
    request: Request,
    shown: CloudAccount,
    form: RegionsForm,
    problem: NotPossible | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "team": shown.team,
        "account": shown,
        "findings": accounts.findings_of(shown),
        "form": form,
        "metadata": MetadataForm(initial={"permitted": shown.password_by_metadata}),
        "offered": form.offered,
        "problems": problem.findings if problem else (),
    }
    return render(request, "instances/account.html", context, status=status)


def _draw(
    request: Request,
    template: str,
    form: Form,
    problem: NotPossible | None = None,
    *,
    team: Team,
    **context: Any,
) -> HttpResponse:
    """Draw a form; what speaks against it stands beside the field, or above."""
    findings: tuple[Finding, ...] = problem.findings if problem else ()
    if problem and problem.sentence:
        form.add_error(problem.field or None, str(problem.sentence))
    context |= {"team": team, "form": form, "problems": findings}
    status = 422 if form.errors or findings else 200
    # An open page takes the form alone; the small pages have no such part.
    alone = template in ("account_connect", "account_rotate") and wants_fragment(request)
    drawn = f"_{template}_form" if alone else template
    return render(request, f"instances/{drawn}.html", context, status=status)


def _to(request: Request, shown: CloudAccount) -> HttpResponse:
    address = reverse("instances:account", args=[shown.team_id, shown.pk])
    return HttpResponseClientRedirect(address) if wants_fragment(request) else redirect(address)
