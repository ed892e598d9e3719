"""Pages about oneself: profile, password, second factors, sessions."""

from functools import wraps
from typing import TYPE_CHECKING, Any

from allauth.account import views as account
from allauth.account.decorators import reauthentication_required
from allauth.mfa.base import views as factor
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as totp
from allauth.mfa.webauthn import views as keys
from allauth.mfa.webauthn.internal import auth
from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse_lazy
from django.utils.translation import gettext as _

from teams import audit, cloud_people, devices, sessions
from teams.gates import Request, page
from teams.models import CloudPerson, User
from teams.refusals import Refused
from teams.views.doors import Strict

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

FORM = ("GET", "HEAD", "POST")


class Profile(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = User
        fields = ("name",)


@page(*FORM)
def profile(request: Request) -> HttpResponse:
    """Show who one is, and change the name."""
    form = Profile(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Your name is changed."))
        return redirect("teams:profile")
    request.user.refresh_from_db(fields=["name"])
    status = 422 if form.errors else 200
    context = {"form": form, "clouds": request.user.cloud_people.order_by("joined_at")}
    return render(request, "account/profile.html", context, status=status)


@page(*FORM)
def leave_cloud(request: Request, pk: int) -> HttpResponse:
    """Undo that a cloud's user signs one in; whoever came in elsewhere is signed out."""
    joined = get_object_or_404(CloudPerson, pk=pk, person=request.user)
    answer: HttpResponse = _leave_once_proven(request, joined)
    return answer


def _leave(request: Request, joined: CloudPerson) -> HttpResponse:
    problem: StrOrPromise = ""
    if request.method == "POST":
        try:
            cloud_people.leave(joined, request.user)
        except Refused as refused:
            problem = refused.sentence
        else:
            _end(request, [one for one in sessions.of(request.user) if not one.is_current()])
            messages.success(request, _("{name} no longer lets you in.").format(name=joined))
            return redirect("teams:profile")
    context = {
        "title": _("Do not sign in with this cloud any more"),
        "about": str(joined),
        "lead": _(
            "The cloud’s password no longer opens your account, and your other sessions are ended."
        ),
        "button": _("Remove"),
        "back": "teams:profile",
        "problem": problem,
    }
    return render(request, "teams/sure.html", context, status=409 if problem else 200)


_leave_once_proven = reauthentication_required(_leave)


@page("GET", "HEAD")
def list_sessions(request: Request) -> HttpResponse:
    """Show where one is signed in."""
    if not UserSession.objects.filter(session_key=request.session.session_key).exists():
        UserSession.objects.create_from_request(request)
    shown = [(one, devices.name_of(one.user_agent)) for one in sessions.of(request.user)]
    return render(request, "account/sessions.html", {"sessions": shown})


@page("POST")
def end_session(request: Request, pk: int) -> HttpResponse:
    """End one of one's sessions; the present one is ended by signing out."""
    ended = get_object_or_404(UserSession, pk=pk, user=request.user)
    if ended.is_current():
        messages.warning(request, _("This is the session you are in: sign out instead."))
    else:
        _end(request, [ended])
        messages.success(request, _("The session is ended."))
    return redirect("teams:sessions")


@page("POST")
def end_other_sessions(request: Request) -> HttpResponse:
    """End all of one's sessions but this one."""
    _end(request, [one for one in sessions.of(request.user) if not one.is_current()])
    messages.success(request, _("You are signed out everywhere else."))
    return redirect("teams:sessions")


def _end(request: Request, ended: list[UserSession]) -> None:
    for one in ended:
        one.end()
        audit.record(
            "person.session_ended",
            team=None,
            target=request.user.email,
            actor=request.user,
            address=one.ip,
        )


class ChangePassword(Strict, account.PasswordChangeView):
    pass


class SetPassword(Strict, account.PasswordSetView):
    pass


class Again(Strict, account.ReauthenticateView):
    pass


class AgainByCode(Strict, factor.ReauthenticateView):
    pass


class AgainByKey(keys.ReauthenticateWebAuthnView):
    def form_invalid(self, form: Any) -> HttpResponse:
        messages.error(self.request, _("This passkey was not accepted. Try again."))
        return redirect(self.request.get_full_path())


class AddCodes(Strict, totp.ActivateTOTPView):
    pass


class AddKey(Strict, keys.AddWebAuthnView):
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs) | kwargs
        context.setdefault("form", self.get_form())
        options = auth.begin_registration(self.request.user, True)
        return context | {"js_data": options}


class RemoveKey(keys.RemoveWebAuthnView):
    success_url = reverse_lazy("mfa_index")


def _mine(view: Any, *methods: str) -> Any:
    return page(*(methods or FORM))(view)


def _or_overview(view: Any) -> Any:
    """Lead back to the second factors where there is nothing to see or to remove."""

    @wraps(view)
    def handle(request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            answer: HttpResponse = view(request, *args, **kwargs)
        except Http404:
            return redirect("mfa_index")
        return answer

    return handle


factors = _mine(factor.index, "GET", "HEAD")
change_password = _mine(ChangePassword.as_view())
set_password = _mine(SetPassword.as_view())
again = _mine(Again.as_view())
again_by_code = _mine(AgainByCode.as_view())
again_by_key = _mine(AgainByKey.as_view())
add_codes = _mine(AddCodes.as_view())
remove_codes = _mine(_or_overview(totp.deactivate_totp))
see_recovery = _mine(_or_overview(codes.view_recovery_codes), "GET", "HEAD")
new_recovery = _mine(codes.generate_recovery_codes)
add_key = _mine(AddKey.as_view())
remove_key = _mine(RemoveKey.as_view())
