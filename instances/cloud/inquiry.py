"""Find out what a credential is good for without changing anything in the cloud."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import exceptions

from instances.cloud.door import UNREADABLE, Cloud
from instances.cloud.errors import BadCredentials, CloudError, Forbidden, Limited, Refused, TooOld
from instances.cloud.facts import text_of
from instances.cloud.guard import Patience, check_url

#: what one test may take, all its questions together: somebody waits for it
PATIENCE = 9.0
PER_CALL = 4.0
EXPIRES_SOON = timedelta(days=30)
#: roles that only look; a role of another name may do more, and only the cloud knows
LOOKING = frozenset({"reader", "observer", "auditor", "load-balancer_observer", "member_ro"})
LONGEST_RULE, MOST_WILD = 300, 4


@dataclass(frozen=True)
class Trait:
    """One thing that was found: a code with its parameters; errors speak against connecting."""

    level: str  # error, warning or ok
    code: str
    about: dict[str, Any] = field(default_factory=dict)


@dataclass
class Inquiry:
    """What was found out."""

    found: list[Trait] = field(default_factory=list)
    user_id: str = ""
    project_id: str = ""
    project_name: str = ""
    region_name: str = ""
    regions: list[str] = field(default_factory=list)
    expires_at: datetime | None = None
    microversion: str = ""
    rescues_volume_backed: bool = False

    @property
    def refused(self) -> bool:
        return any(trait.level == "error" for trait in self.found)

    def add(self, level: str, code: str, **about: Any) -> None:
        self.found.append(Trait(level, code, about))


class _Enough(Exception):
    """Nothing more can be found out after this error."""

    def __init__(self, code: str, **about: Any) -> None:
        super().__init__(code)
        self.code = code
        self.about = about


def inquire(credential: dict[str, Any], region_name: str = "") -> Inquiry:
    """Sign in, look at what the token says, list a server and an image; nothing is written."""
    (found,) = inquire_regions(credential, [region_name])
    return found


def inquire_regions(credential: dict[str, Any], region_names: list[str]) -> list[Inquiry]:
    """Find out the same for several regions of one cloud, within the same time."""
    found = []
    with Patience(PATIENCE, per_call=PER_CALL) as patience:
        try:
            cloud = Cloud(credential, patience=patience)
            credential["auth"]["auth_url"]
        except (exceptions.ClientException, KeyError, TypeError, ValueError):
            return [Inquiry([Trait("error", "incomplete")]) for _region_name in region_names]
        for region_name in region_names:
            inquiry = Inquiry(region_name=region_name)
            try:
                _ask(inquiry, cloud, credential, patience)
            except _Enough as enough:
                inquiry.add("error", enough.code, **enough.about)
            except (exceptions.ClientException, *UNREADABLE):
                inquiry.add("error", "broken")
            if not inquiry.refused:
                about = {"project": inquiry.project_name, "regions": inquiry.regions}
                inquiry.found.insert(0, Trait("ok", "works", about))
            found.append(inquiry)
    return found


def _ask(inquiry: Inquiry, cloud: Cloud, credential: dict[str, Any], patience: Patience) -> None:
    access = _sign_in(cloud, credential, patience)
    _scope(inquiry, access)
    _application(inquiry, cloud, access)
    _region(inquiry, access)
    _roles(inquiry, access)
    if inquiry.refused:
        return
    there = cloud.in_region(inquiry.region_name)
    _compute(inquiry, there)
    _images(inquiry, there, access)
    if credential["auth_type"] == "v3password":
        inquiry.add("warning", "password_credential")


# Keystone ---------------------------------------------------------------------------------------


def _sign_in(cloud: Cloud, credential: dict[str, Any], patience: Patience) -> Any:
    """Return what Keystone says of who signed in."""
    host = urlsplit(credential["auth"]["auth_url"]).hostname or ""
    application = credential["auth_type"] == "v3applicationcredential"
    try:
        check_url(credential["auth"]["auth_url"])
        access = cloud.access()
        access.user_id, access.project_id  # noqa: B018  nonsense shows when it is read
    except Refused as error:
        raise _Enough(f"address_{error.reason}", host=error.host or host) from None
    except exceptions.SSLError:
        raise _Enough("tls", host=host) from None
    except exceptions.ConnectionError as error:
        raise _Enough(_silence(error, patience), host=host) from None
    except exceptions.HttpError as error:
        raise _Enough(_refusal(error, application=application), host=host) from None
    except (exceptions.ClientException, CloudError, *UNREADABLE) as error:
        raise _Enough(_nonsense(error) if patience.left else "timeout", host=host) from None
    return access


def _silence(error: Exception, patience: Patience) -> str:
    if "resolve" in str(error) or "Name or service" in str(error):
        return "name_unknown"
    timed_out = isinstance(error, exceptions.ConnectTimeout) or not patience.left
    return "timeout" if timed_out else "unreachable"


def _refusal(error: exceptions.HttpError, *, application: bool) -> str:
    if not _by_keystone(error.response):
        return "not_keystone"
    if error.http_status == 429:
        return "limited"
    if error.http_status == 404 and application:
        return "unknown_credential"
    if error.http_status in (401, 403, 404):
        return "wrong_secret" if application else "wrong_password"
    return "keystone_fails" if error.http_status >= 500 else "not_keystone"


def _by_keystone(response: Any) -> bool:
    """Tell whether it was Keystone that said no: its errors are JSON of one form."""
    if response is not None and response.status_code in (429, 500, 502, 503, 504):
        return True
    try:
        return isinstance(response.json()["error"], dict)
    except (AttributeError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _nonsense(error: Exception) -> str:
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return "redirects" if status in (301, 302, 303, 307, 308) else "not_keystone"


def _scope(inquiry: Inquiry, access: Any) -> None:
    inquiry.user_id = text_of(access.user_id, 64)
    inquiry.project_id = text_of(access.project_id, 64)
    inquiry.project_name = text_of(access.project_name)
    if not inquiry.project_id:
        raise _Enough("unscoped")


def _region(inquiry: Inquiry, access: Any) -> None:
    """Choose the only region, or the first; what is not in the catalog cannot be connected."""
    endpoints = access.service_catalog.get_endpoints(service_type="compute", interface="public")
    shown = [one for listed in endpoints.values() for one in listed]
    names = {text_of(one.get("region_id") or one.get("region"), 100) for one in shown}
    inquiry.regions = sorted(names - {""})[:100]
    wanted = inquiry.region_name
    if not shown:
        raise _Enough("no_compute")
    if wanted and wanted not in inquiry.regions:
        raise _Enough("no_such_region", region=wanted, regions=", ".join(inquiry.regions[:12]))
    inquiry.region_name = wanted or next(iter(inquiry.regions), "")


def _roles(inquiry: Inquiry, access: Any) -> None:
    """Judge by the roles in the token: whether it sees too much, or may do too little."""
    roles = {text_of(role).lower() for role in access.role_names}
    if "admin" in roles:
        inquiry.add("error", "admin")
    elif roles and roles <= LOOKING:
        inquiry.add("error", "only_reads", roles=", ".join(sorted(roles))[:200])


def _application(inquiry: Inquiry, cloud: Cloud, access: Any) -> None:
    """Judge an application credential by what the token and Keystone say of it."""
    given = access._data["token"].get("application_credential")
    if not isinstance(given, dict):
        inquiry.expires_at = _time(access._data["token"]["user"].get("password_expires_at"))
        _soon(inquiry)
        return
    if given.get("restricted") is False:
        inquiry.add("warning", "unrestricted")
    rules = given.get("access_rules")
    if rules is not None and not _permits(rules, _path_of_servers(access)):
        inquiry.add("error", "rules")
    with suppress(CloudError, exceptions.ClientException, *UNREADABLE):
        # Refused to an application credential whose access rules do not name it: then unknown.
        inquiry.expires_at = _time(cloud.application_credential(given["id"])["expires_at"])
    _soon(inquiry)


def _soon(inquiry: Inquiry) -> None:
    if inquiry.expires_at and inquiry.expires_at - datetime.now(UTC) < EXPIRES_SOON:
        left = inquiry.expires_at - datetime.now(UTC)
        inquiry.add("warning", "expires_soon", days=max(0, left.days))


def _time(text: Any) -> datetime | None:
    if not isinstance(text, str) or not text:
        return None
    parsed = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _path_of_servers(access: Any) -> str:
    urls = access.service_catalog.get_urls(service_type="compute", interface="public")
    return urlsplit(urls[0]).path.rstrip("/") if urls else "/v2.1"


def _permits(rules: list[dict[str, str]], path: str) -> bool:
    """Tell whether access rules let somebody list servers, and rescue one."""
    version = path[path.find("/v2") :] if "/v2" in path else path
    needed = (("GET", "/servers/detail"), ("GET", "/servers/x"), ("POST", "/servers/x/action"))
    return all(
        any(
            rule.get("service") == "compute"
            and rule.get("method") == method
            and any(_matches(str(rule.get("path")), start + end) for start in (path, version))
            for rule in rules
        )
        for method, end in needed
    )


def _matches(pattern: str, path: str) -> bool:
    """Match as keystonemiddleware does: ``*`` and ``{name}`` are one part, ``**`` is any."""
    if len(pattern) > LONGEST_RULE or pattern.count("**") > MOST_WILD:
        return False  # it would take for ever, and nobody writes such a rule
    wanted = re.escape(pattern)
    wanted = re.sub(r"\\\{[^/]*?\\\}", "[^/]+", wanted)
    wanted = wanted.replace(r"\*\*", ".*").replace(r"\*", "[^/]+")
    return re.fullmatch(wanted, path) is not None


# Nova and Glance --------------------------------------------------------------------------------


def _compute(inquiry: Inquiry, cloud: Cloud) -> None:
    inquiry.microversion = _answer(cloud.microversion, "compute")
    inquiry.rescues_volume_backed = cloud.rescues_volume_backed()
    _answer(cloud.peek, "compute")
    with suppress(CloudError):  # members are refused, and that is right
        others = {owner for owner in cloud.owners() if owner != inquiry.project_id}
        if others:
            inquiry.add("error", "sees_others")


def _answer(ask: Callable[[], Any], service: str) -> Any:
    try:
        return ask()
    except Refused as error:
        raise _Enough("service_refused", host=error.host, service=service) from None
    except (Forbidden, BadCredentials):
        raise _Enough("cannot_list") from None
    except TooOld:
        raise _Enough("too_old") from None
    except Limited:
        raise _Enough("limited") from None
    except CloudError:
        raise _Enough("compute_silent") from None


def _images(inquiry: Inquiry, cloud: Cloud, access: Any) -> None:
    endpoints = access.service_catalog.get_endpoints(
        service_type="image", interface="public", region_name=inquiry.region_name or None
    )
    if not any(endpoints.values()):
        raise _Enough("no_images")
    try:
        cloud.peek_images()
    except Refused as error:
        raise _Enough("service_refused", host=error.host, service="image") from None
    except CloudError:
        inquiry.add("warning", "images_silent")
