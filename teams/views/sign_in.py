"""Signing in and out."""

from allauth.account.internal.flows.login import (
    perform_login,
    perform_password_login,
    record_authentication,
)
from allauth.account.models import Login
from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_htmx.http import HttpResponseClientRefresh

from teams import acting, attempts, audit
from teams.gates import open_to_staff
from teams.models import User

DEMO_PASSWORD = "rescue-demo"  # noqa: S105 - shown to everybody, in the demo only
FAILURE_NOTED_EVERY = 60  # seconds, for one account


@never_cache
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Let somebody in by e-mail and password, and send them where they wanted to go."""
    if getattr(request, "htmx", False):
        # A fragment was asked for after the session ended: the whole page has to come here.
        return HttpResponseClientRefresh()
    then = where_to(request)
    if request.user.is_authenticated:
        return redirect(then)
    if request.method != "POST":
        return door(request)
    if not attempts.begin(request):
        return door(request, 429, _("Too many tries. Wait five minutes, then try again."))
    form = AuthenticationForm(request, data=request.POST)
    if not form.is_valid():
        tried = request.POST.get("username", "").strip().lower()
        note_failure(request, User.objects.filter(email=tried).first())
        return door(request, 422, " ".join(map(str, form.non_field_errors())), form)
    attempts.succeeded(request)
    user = form.get_user()
    login = Login(user=user, redirect_url=then, email=user.email)
    answer: HttpResponse = perform_password_login(request, {"email": user.email}, login)
    return answer


def door(
    request: HttpRequest,
    status: int = 200,
    problem: str = "",
    form: AuthenticationForm | None = None,
) -> HttpResponse:
    """Draw the page at which people sign in."""
    if form is None:
        known = request.POST.get("username") or request.GET.get("as", "")
        form = AuthenticationForm(request, initial={"username": known})
        form.fields["username"].widget.attrs["autofocus"] = not known
        form.fields["password"].widget.attrs["autofocus"] = bool(known)
    context = {
        "form": form,
        "next": where_to(request),
        "problem": problem,
        "demo_cast": _cast(),
        "demo_password": DEMO_PASSWORD,
        "open_sign_up": settings.OPEN_SIGN_UP,
        "provider": provider_name(),
        "cloud": settings.KEYSTONE_SIGN_IN.get("name", ""),
    }
    return render(request, "teams/sign_in.html", context, status=status)


def provider_name() -> str:
    """Return what the OpenID Connect provider is called; nothing without one."""
    found = settings.SOCIALACCOUNT_PROVIDERS.get("openid_connect")
    return str(found["APPS"][0]["name"]) if found else ""


def let_in(request: HttpRequest, user: User, *, by: str) -> HttpResponse:
    """Let somebody in whom another than the panel has proven; a second factor is still asked."""
    if not user.is_active:
        return redirect("account_inactive")
    record_authentication(request, user, by)
    login = Login(user=user, redirect_url=where_to(request), email=user.email)
    answer: HttpResponse = perform_login(request, login)
    return answer


def note_failure(request: HttpRequest, user: User | None) -> None:
    """Write a failed try down, once a minute, if there is such an account."""
    if user and attempts.once(f"failed:{user.pk}", FAILURE_NOTED_EVERY):
        address = str(request.META.get("REMOTE_ADDR"))
        audit.record("person.sign_in_failed", team=None, target=user.email, address=address)


def _cast() -> list[tuple[str, str]]:
    """List who is who in the demo; nobody anywhere else."""
    if not settings.DEMO:
        return []
    return [
        ("alice@example.org", _("owner")),
        ("bob@example.org", _("member")),
        ("carol@example.org", _("read-only")),
        ("mallory@example.org", _("another team")),
        ("sam@example.org", _("staff")),
    ]


def where_to(request: HttpRequest) -> str:
    """Return where to go afterwards, if it is the path of a place of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    # Django takes what has no slash for the name of a view.
    ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else resolve_url(settings.LOGIN_REDIRECT_URL)


@open_to_staff
@never_cache
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session; only a POST does."""
    if request.method != "POST":
        response = render(request, "405.html", status=405)
        response.headers["Allow"] = "POST"
        return response
    impersonation = getattr(request, "impersonation", None)
    if impersonation is not None:  # staff leave as themselves
        acting.stop(request)
        request.user = impersonation.staff
    if isinstance(request.user, User):
        audit.record("person.sign_out", team=None, target=request.user.email, actor=request.user)
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)
