"""Ask a Keystone who somebody is, by user name and password: asked once, neither is kept."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from keystoneauth1 import exceptions
from keystoneauth1.identity import v3

from instances.cloud.counted import CountedSession
from instances.cloud.door import UNREADABLE, authorities
from instances.cloud.errors import Broken, CloudError, Refused
from instances.cloud.facts import text_of
from instances.cloud.guard import Patience, check_url, guarded_session

#: what one sign-in may take, all its questions together: somebody waits for it
PATIENCE = 9.0
PER_CALL = 6.0
_EXPIRED = re.compile(r"password (is|has) expired", re.IGNORECASE)


@dataclass(frozen=True)
class CloudUser:
    """A user as Keystone tells it; the e-mail is what somebody wrote there, and proves nothing."""

    user_id: str
    name: str
    domain: str
    email: str = ""


class NotProven(CloudError):
    """Keystone did not say who it is: wrong, expired, more_factors, limited, refused or silent."""

    def __init__(self, reason: str, detail: object = "") -> None:
        super().__init__(f"{reason} ({detail})" if detail else reason)
        self.reason = reason


def prove(
    url: str, *, name: str, domain: str, password: str, known: Callable[[str], bool]
) -> CloudUser:
    """Return who has this name and password; for who is not ``known`` by id, the e-mail too."""
    auth = v3.Password(
        auth_url=url,
        username=name,
        user_domain_name=domain,
        password=password,
        unscoped=True,
        include_catalog=False,
        reauthenticate=False,
    )
    with Patience(PATIENCE, per_call=PER_CALL) as patience:
        wire = CountedSession(
            account="",
            auth_url=url,
            auth=auth,
            session=guarded_session(patience),
            verify=authorities(),
            timeout=PER_CALL,
            redirect=False,
            app_name="rescue-panel",
        )
        user = _signed_in(url, wire)
        if known(user.user_id):
            return user
        return CloudUser(user.user_id, user.name, user.domain, _email(url, wire, user.user_id))


def _signed_in(url: str, wire: Any) -> CloudUser:
    try:
        check_url(url)
        access = wire.auth.get_access(wire)
        ident = access.user_id
        if not ident or text_of(ident) != ident:
            raise Broken("no user")
        return CloudUser(ident, text_of(access.username), text_of(access.user_domain_name))
    except exceptions.MissingAuthMethods:
        raise NotProven("more_factors") from None
    except exceptions.HttpError as error:
        raise NotProven(_refusal(error), error.http_status) from None
    except Refused as error:
        raise NotProven("refused", error) from None
    except (exceptions.ClientException, CloudError, *UNREADABLE) as error:
        raise NotProven("silent", type(error).__name__) from None


def _refusal(error: exceptions.HttpError) -> str:
    if error.http_status == 401:
        return "expired" if _EXPIRED.search(str(error.message)) else "wrong"
    return {403: "wrong", 413: "limited", 429: "limited"}.get(error.http_status, "silent")


def _email(url: str, wire: Any, user_id: str) -> str:
    """Return the e-mail that Keystone keeps of a user, empty if it tells none."""
    with suppress(exceptions.ClientException, CloudError, *UNREADABLE):
        answer = wire.get(
            f"{url}/users/{quote(user_id, safe='')}", allow_reauth=False, timeout=PER_CALL
        )
        return text_of(answer.json()["user"].get("email"), 254)
    return ""
