"""Django's admin for support: staff look, operators change a little, nobody sees a secret."""

from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
)
from django.shortcuts import redirect, resolve_url
from django.urls import path
from django.utils.translation import gettext_lazy as _

from teams import audit
from teams.models import (
    AuditEntry,
    CloudAccount,
    Delivery,
    Impersonation,
    Invitation,
    Membership,
    Team,
    User,
    Webhook,
)

METHODS = ("GET", "HEAD", "POST")


class Site(admin.AdminSite):
    """The admin behind our own sign-in, with its second factor and its limits."""

    site_header = site_title = "Rescue Panel"
    index_title = _("Support")
    enable_nav_sidebar = False
    final_catch_all_view = False

    def get_urls(self) -> list[Any]:
        """Keep the pages that are of use here."""
        unused = {"autocomplete", "view_on_site", "password_change_done", "app_list"}
        kept = [one for one in super().get_urls() if getattr(one, "name", "") not in unused]
        return [*kept, path("<str:app_label>/", self.admin_view(self.app_index), name="app_list")]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Answer only what the admin's own pages ask; for others there is nothing here."""
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def handle(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if request.method not in METHODS:
                return HttpResponseNotAllowed(METHODS)
            if request.user.is_authenticated and not self.has_permission(request):
                raise Http404
            answer: HttpResponseBase = inner(request, *args, **kwargs)
            return answer

        return handle

    def has_permission(self, request: HttpRequest) -> bool:
        """Let staff and operators in, by themselves."""
        user: Any = request.user
        powerful = user.is_active and (user.is_staff or user.is_superuser)
        return bool(powerful and getattr(user, "acted_by", None) is None)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Go to the panel's sign-in; whoever is signed in and may not is sent to the panel."""
        if request.user.is_authenticated:
            return redirect("admin:index" if self.has_permission(request) else "/")
        return redirect_to_login(
            request.GET.get("next") or resolve_url("admin:index"), resolve_url("teams:sign_in")
        )

    def logout(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Leave signing out, by a button of its own, to the panel."""
        return redirect("/")

    def password_change(self, request: HttpRequest, extra_context: Any = None) -> Any:
        """Leave passwords to the panel."""
        return redirect("/account")


site = Site(name="admin")


if TYPE_CHECKING:
    Page = admin.ModelAdmin[Any]
else:
    Page = admin.ModelAdmin


class Looked(Page):
    """A page to search and read; what sealed columns hold is never on it."""

    list_per_page = 50
    show_full_result_count = False
    actions = None
    #: what operators, not support, may change
    changeable: ClassVar[tuple[str, ...]] = ()

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let everybody in here look."""
        return site.has_permission(request)

    has_module_permission = has_view_permission

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Leave making things to the portal and the commands."""
        return False

    has_delete_permission = has_add_permission

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Let operators change the few fields that are theirs."""
        operator = getattr(request.user, "is_superuser", False) and site.has_permission(request)
        return bool(operator and self.changeable)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Show every column but the secret ones."""
        return [field.name for field in self.model._meta.fields if not _is_secret(field.name)]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Fix all that is not changeable."""
        return [name for name in self.get_fields(request, obj) if name not in self.changeable]

    def get_urls(self) -> list[Any]:
        """Keep the list, a row and its history."""
        kept = ("_changelist", "_change", "_history")
        return [one for one in super().get_urls() if str(one.name).endswith(kept)]

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """Write the change into the audit trail as well."""
        changed = [name for part in message for name in part.get("changed", {}).get("fields", [])]
        team = obj if isinstance(obj, Team) else getattr(obj, "team", None)
        person: Any = request.user
        what = f"{self.model._meta.model_name} {obj}"
        audit.record("admin.change", team=team, target=what, actor=person, fields=changed)
        return super().log_change(request, obj, message)


def _is_secret(name: str) -> bool:
    return name.startswith("sealed_") or name in ("password", "token_hash")


def listed(model: type[Model], shown: str, searched: str = "", **more: Any) -> type[Looked]:
    """Register a model: what its list shows, what its search looks at."""
    found = type(
        f"{model.__name__}Admin",
        (Looked,),
        {"list_display": shown.split(), "search_fields": searched.split(), **more},
    )
    site.register(model, found)
    return found


listed(
    User,
    "email name is_active is_staff is_superuser last_login",
    "email name teams__name",
    list_filter=["is_active", "is_staff", "is_superuser"],
    changeable=("name", "is_active", "is_staff"),
    ordering=["email"],
)
listed(
    Team,
    "name created_at password_readers auto_show_password",
    "name members__email",
    changeable=("name", "password_readers", "auto_show_password", "reason_required"),
    ordering=["name"],
)
listed(
    Membership,
    "team user role joined_at",
    "team__name user__email",
    list_filter=["role"],
    list_select_related=["team", "user"],
)
listed(Invitation, "email team role created_at expires_at accepted_at", "email team__name")
listed(
    CloudAccount,
    "name team region_name auth_url credential_expires_at disconnected_at",
    "name team__name auth_url",
    list_select_related=["team"],
)
listed(Webhook, "url team active failing_since", "url team__name", list_select_related=["team"])
listed(
    Delivery,
    "created_at team channel event recipient http_status problem delivered_at",
    "team__name event recipient__email problem",
    list_filter=["channel", "event"],
    list_select_related=["team", "recipient"],
    ordering=["-created_at"],
)
listed(
    Impersonation,
    "started_at staff customer reason until ended_at",
    "staff__email customer__email reason",
    list_select_related=["staff", "customer"],
    ordering=["-started_at"],
)
listed(
    AuditEntry,
    "at team actor acting_by act target",
    "team__name actor__email acting_by__email act target",
    list_filter=["act"],
    list_select_related=["team", "actor", "acting_by"],
)
