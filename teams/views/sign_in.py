"""Signing in and out."""

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django_htmx.http import HttpResponseClientRefresh

from teams import attempts

DEMO_PASSWORD = "rescue-demo"  # noqa: S105 - shown to everybody, in the demo only


@never_cache
@sensitive_post_parameters("password")
def sign_in(request: HttpRequest) -> HttpResponse:
    """Let somebody in by e-mail and password, and send them where they wanted to go."""
    if getattr(request, "htmx", False):
        # A fragment was asked for after the session ended: the whole page has to come here.
        return HttpResponseClientRefresh()
    then = _next(request)
    if request.user.is_authenticated:
        return redirect(then)
    if request.method != "POST":
        form = AuthenticationForm(request, initial={"username": request.GET.get("as", "")})
        if form.initial["username"]:
            form.fields["username"].widget.attrs["autofocus"] = False
            form.fields["password"].widget.attrs["autofocus"] = True
        return _door(request, form, then)
    who = attempts.key(request)
    if attempts.too_many(who):
        form = AuthenticationForm(request, initial={"username": request.POST.get("username", "")})
        return _door(
            request, form, then, 429, _("Too many tries. Wait five minutes, then try again.")
        )
    form = AuthenticationForm(request, data=request.POST)
    if not form.is_valid():
        attempts.count(who)
        return _door(request, form, then, 422, " ".join(map(str, form.non_field_errors())))
    login(request, form.get_user())
    return redirect(then)


def _door(
    request: HttpRequest,
    form: AuthenticationForm,
    then: str,
    status: int = 200,
    problem: str = "",
) -> HttpResponse:
    context = {
        "form": form,
        "next": then,
        "problem": problem,
        "demo_cast": _cast(),
        "demo_password": DEMO_PASSWORD,
    }
    return render(request, "teams/sign_in.html", context, status=status)


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


def _next(request: HttpRequest) -> str:
    """Return where to go afterwards, if it is a place of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if ours else resolve_url(settings.LOGIN_REDIRECT_URL)


@never_cache
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session; only a POST does."""
    if request.method != "POST":
        response = render(request, "405.html", status=405)
        response.headers["Allow"] = "POST"
        return response
    logout(request)
    return redirect(settings.LOGOUT_REDIRECT_URL)
