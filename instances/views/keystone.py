"""Signing in with a cloud's own user name and password, where the operator offers it."""

import logging
from typing import TYPE_CHECKING, Any

from allauth.account.adapter import get_adapter
from allauth.account.decorators import reauthentication_required
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters

from instances import cloud
from teams import attempts, cloud_people
from teams.models import User
from teams.refusals import Refused
from teams.views.doors import open_to_all
from teams.views.sign_in import let_in, note_failure, where_to

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

logger = logging.getLogger(__name__)

FORM = ("GET", "HEAD", "POST")
#: why Keystone did not say who it is: the answer's status, and what to do
WHY: "dict[str, tuple[int, StrOrPromise]]" = {
    "wrong": (
        422,
        gettext_lazy(
            "The user name, the password or the domain is wrong, or the user is disabled."
        ),
    ),
    "expired": (
        422,
        gettext_lazy(
            "This password has expired. Change it in your cloud, then sign in with the new one."
        ),
    ),
    "more_factors": (
        422,
        gettext_lazy(
            "Your cloud asks this user for more than a password, which cannot be given here."
            " Sign in another way."
        ),
    ),
    "limited": (
        429,
        gettext_lazy(
            "Your cloud accepts no more tries for now. Wait a few minutes, then try again."
        ),
    ),
    "refused": (
        503,
        gettext_lazy(
            "The panel may not connect to the cloud’s sign-in. Tell whoever runs the panel;"
            " meanwhile sign in another way."
        ),
    ),
    "silent": (
        503,
        gettext_lazy(
            "The cloud’s sign-in does not answer. Try again in a minute, or sign in another way."
        ),
    ),
}


class Problem(Exception):
    """Why somebody is not let in, and with which status."""

    def __init__(self, status: int, sentence: "StrOrPromise") -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class CloudPassword(forms.Form):
    username = forms.CharField(
        label=gettext_lazy("User name"),
        max_length=255,
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none"}),
    )
    password = forms.CharField(
        label=gettext_lazy("Password of your cloud"),
        max_length=4096,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    domain = forms.CharField(
        label=gettext_lazy("Domain"),
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )


class Address(forms.Form):
    email = forms.EmailField(
        label=gettext_lazy("E-mail"),
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    proof = forms.CharField(widget=forms.HiddenInput)

    def clean_email(self) -> str:
        """Write addresses as accounts do."""
        return str(self.cleaned_data["email"]).lower()


@open_to_all(*FORM)
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Let somebody in whom Keystone knows; ask who comes for the first time for an address."""
    if not settings.KEYSTONE_SIGN_IN:
        return redirect("teams:sign_in")
    if request.user.is_authenticated:
        return redirect(where_to(request))
    form = _form(request)
    if request.method != "POST":
        return _door(request, form)
    try:
        user, email = _proven(request, form)
    except Problem as problem:
        return _door(request, form, problem)
    person = cloud_people.person_of(user)
    if person is not None:
        return let_in(request, person, by="keystone")
    return _ask(request, Address(initial={"email": email, "proof": cloud_people.proof_of(user)}))


@open_to_all("POST")
def address(request: HttpRequest) -> HttpResponse:
    """Send the link with which a user of the cloud shows whose the address is."""
    if not settings.KEYSTONE_SIGN_IN:
        return redirect("teams:sign_in")
    try:
        user = cloud_people.proven(request.POST.get("proof", ""))
    except Refused as refused:
        return _door(request, _form(request, again=True), Problem(422, refused.sentence))
    form = Address(request.POST)
    if not form.is_valid():
        return _ask(request, form)
    wanted = form.cleaned_data["email"]
    try:
        key = cloud_people.link_for(user, wanted)
    except Refused as refused:
        form.add_error(refused.field, str(refused.sentence))
        return _ask(request, form)
    if key:
        _mail(request, user, wanted, key)
    closed = not settings.OPEN_SIGN_UP
    return render(request, "instances/keystone_sent.html", {"wanted": wanted, "closed": closed})


@open_to_all(*FORM)
@sensitive_post_parameters("password")
def confirm(request: HttpRequest, key: str) -> HttpResponse:
    """Begin with the address at which the link was found, by the cloud's password once more."""
    if not settings.KEYSTONE_SIGN_IN:
        return redirect("teams:sign_in")
    try:
        email = cloud_people.address_in(key)
        owner = cloud_people.owner_of(email)
        if owner and not request.user.is_authenticated:
            return redirect_to_login(request.path)
        if request.user.is_authenticated:
            cloud_people.must_be(owner, request.user)
        return (_join if owner else _begin)(request, key, email)
    except Refused as refused:
        context = {"problem": refused.sentence}
        return render(request, "instances/keystone_ended.html", context, status=410)


def _begin(request: HttpRequest, key: str, email: str) -> HttpResponse:
    form = _form(request)
    if request.method != "POST":
        return _door(request, form, email=email)
    try:
        user, _email = _proven(request, form)
    except Problem as problem:
        return _door(request, form, problem, email=email)
    if not isinstance(request.user, User):
        return let_in(request, cloud_people.begin(user, key, None), by="keystone")
    cloud_people.begin(user, key, request.user)
    messages.success(request, _("From now on you can sign in with your cloud, too."))
    return redirect("teams:profile")


# A new way into an account is added by who has just proven to be its owner.
_join = reauthentication_required(_begin)


def _form(request: HttpRequest, *, again: bool = False) -> CloudPassword:
    given = request.POST if request.method == "POST" and not again else None
    form = CloudPassword(given, initial={"domain": settings.KEYSTONE_SIGN_IN["domain"]})
    form.fields["password" if given else "username"].widget.attrs["autofocus"] = True
    return form


def _proven(request: HttpRequest, form: CloudPassword) -> tuple[cloud_people.CloudUser, str]:
    """Return whom Keystone says it is, and the e-mail it tells of somebody new."""
    if not form.is_valid():
        raise Problem(422, "")
    url, given = settings.KEYSTONE_SIGN_IN["url"], form.cleaned_data
    # Its own count: who is right about a user of this name elsewhere may not wipe it out.
    tried = f"{url}|{given['domain']}|{given['username']}".lower()
    if not attempts.begin(request, tried):
        raise Problem(429, _("Too many tries. Wait five minutes, then try again."))
    try:
        found = cloud.prove(
            url,
            name=given["username"],
            domain=given["domain"],
            password=given["password"],
            known=lambda user_id: cloud_people.is_known(url, user_id),
        )
    except cloud.NotProven as no:
        raise _problem(request, no, given) from None
    attempts.succeeded(request, tried)
    user = cloud_people.CloudUser(url, found.user_id, found.name, found.domain)
    return user, _valid(found.email)


def _problem(request: HttpRequest, no: cloud.NotProven, given: dict[str, Any]) -> Problem:
    """Say why; write down a failed try, or that the cloud is away."""
    status, sentence = WHY[no.reason]
    if no.reason == "wrong":
        url = settings.KEYSTONE_SIGN_IN["url"]
        note_failure(request, cloud_people.called(url, given["username"], given["domain"]))
    elif status == 503:
        logger.warning("Keystone let nobody sign in: %s", no)
    return Problem(status, sentence)


def _valid(email: str) -> str:
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email


def _door(
    request: HttpRequest, form: CloudPassword, problem: Problem | None = None, *, email: str = ""
) -> HttpResponse:
    """Draw the page that asks for the cloud's password."""
    context = {
        "form": form,
        "next": where_to(request),
        "problem": problem.sentence if problem else "",
        "cloud": settings.KEYSTONE_SIGN_IN["name"],
        "email": email,
    }
    status = problem.status if problem else 200
    return render(request, "instances/keystone.html", context, status=status)


def _ask(request: HttpRequest, form: Address) -> HttpResponse:
    """Draw the page that asks for an address."""
    context = {"form": form, "cloud": settings.KEYSTONE_SIGN_IN["name"]}
    status = 422 if form.errors else 200
    return render(request, "instances/keystone_address.html", context, status=status)


def _mail(request: HttpRequest, user: cloud_people.CloudUser, wanted: str, key: str) -> None:
    link = request.build_absolute_uri(reverse("instances:keystone_confirm", args=[key]))
    name = " ".join(user.name.split())[:64]
    context = {"link": link, "name": name, "there": cloud_people.owner_of(wanted) is not None}
    context["cloud"] = settings.KEYSTONE_SIGN_IN["name"]
    get_adapter(request).send_mail("account/email/cloud_sign_in", wanted, context)
