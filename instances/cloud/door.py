"""The door itself: openstacksdk's session, one request a call, raw JSON."""

import copy
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

import openstack
from keystoneauth1 import exceptions, loading
from openstack.exceptions import SDKException

from instances.cloud import facts, listing
from instances.cloud.counted import CountedSession
from instances.cloud.errors import (
    BadCredentials,
    Broken,
    CloudError,
    Gone,
    Limited,
    Silent,
    TooOld,
    checked,
    request_id_of,
)
from instances.cloud.facts import (
    Accepted,
    Image,
    Server,
    act_from,
    image_from,
    password_from,
    server_from,
)
from instances.cloud.guard import Patience, guarded_session
from instances.cloud.listing import PAGE, Page
from instances.lifecycle import CALL_TIMEOUT
from instances.observed import GONE, Act, Seen

GET_TIMEOUT = 15.0
#: 2.47 embeds the flavor, 2.58 pages actions, 2.87 rescues volume-backed servers.
OLDEST_MICROVERSION, NEWEST_MICROVERSION = (2, 47), (2, 96)
VOLUME_RESCUE_MICROVERSION = (2, 87)

#: a listing of images longer than this is one that never ends
MOST_PAGES = 500
#: what reading JSON that is not what it should be may raise
UNREADABLE = (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)

#: the SDK asks Glance six times within 16 s when it answers 503; we look again later instead
ONCE: dict[str, Any] = {"connect_retries": 0, "status_code_retries": 0}

P = ParamSpec("P")
R = TypeVar("R")


def translated(call: Callable[P, R]) -> Callable[P, R]:
    """Turn the SDK's and keystoneauth's errors into ours."""

    @wraps(call)
    def asked(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except exceptions.HttpError as error:  # only Keystone's: ours are checked by hand
            raise _from_keystone(error) from None
        except (exceptions.ConnectFailure, exceptions.RetriableConnectionFailure) as error:
            raise Silent(type(error).__name__) from None
        except (exceptions.AuthorizationFailure, exceptions.MissingAuthPlugin) as error:
            raise BadCredentials(type(error).__name__) from None
        except (exceptions.ClientException, SDKException) as error:
            raise Broken(type(error).__name__) from None
        except UNREADABLE as error:
            raise Broken(f"unexpected answer ({type(error).__name__})") from None

    return asked


class Cloud:
    """One project in one region, opened with one credential. Safe to share between threads."""

    #: ``time.monotonic()`` until which Nova wants to be left alone
    _pause_until = 0.0

    def __init__(
        self,
        credential: dict[str, Any],
        *,
        region_name: str = "",
        patience: Patience | None = None,
        account: str = "",
    ) -> None:
        auth_url: str = credential["auth"].get("auth_url", "")
        loader: Any = loading.get_plugin_loader(credential["auth_type"])
        wire = CountedSession(
            account=account,
            auth_url=auth_url,
            auth=loader.load_from_options(**credential["auth"]),
            session=guarded_session(patience),
            verify=credential.get("cacert") or (credential.get("verify", True) and authorities()),
            timeout=GET_TIMEOUT,
            redirect=False,
            app_name="rescue-panel",
        )
        self._session = wire
        self._auth_url = auth_url
        self._interface: str = credential.get("interface", "public")
        self._connect(region_name)

    def _connect(self, region_name: str) -> None:
        self._connection = openstack.connection.Connection(
            session=self._session,
            region_name=region_name or None,
            compute_api_version="2",
            interface=self._interface,
        )
        self._microversion = ""

    def in_region(self, region_name: str) -> "Cloud":
        """Return the same project in another region, without signing in again."""
        there = copy.copy(self)
        there._connect(region_name)
        return there

    # What it is -------------------------------------------------------------------------------

    @translated
    def microversion(self) -> str:
        """Return the microversion all calls use: Nova's newest within our range."""
        if not self._microversion:
            data = self._connection.compute.get_endpoint_data()
            newest = tuple(data.max_microversion or ()) if data else ()
            if not newest:
                raise Broken("Nova does not tell its version")
            if newest < OLDEST_MICROVERSION:
                raise TooOld(f"Nova speaks {newest}, {OLDEST_MICROVERSION} is needed")
            self._microversion = ".".join(map(str, min(newest, NEWEST_MICROVERSION)))
        return self._microversion

    def rescues_volume_backed(self) -> bool:
        """Tell whether this Nova can rescue servers that boot from a volume (2.87)."""
        major, minor = self.microversion().split(".")
        return (int(major), int(minor)) >= VOLUME_RESCUE_MICROVERSION

    @translated
    def identity(self) -> tuple[str, str]:
        """Return the cloud's ids of the credential's user and project."""
        auth: Any = self._session.auth
        access = auth.get_access(self._session)
        return access.user_id, access.project_id

    # What it is good for: see inquiry; keystoneauth's errors come as they are, where it says so

    def access(self) -> Any:
        """Sign in and return what Keystone said, in keystoneauth's words and errors."""
        auth: Any = self._session.auth
        return auth.get_access(self._session)

    def application_credential(self, ident: str) -> dict[str, Any]:
        """Return what Keystone keeps of an application credential; keystoneauth's errors."""
        path = f"/users/{self.access().user_id}/application_credentials/{ident}"
        url = self._auth_url.rstrip("/") + path
        answer = self._session.get(url, allow_reauth=False)
        shown: dict[str, Any] = answer.json()["application_credential"]
        return shown

    @translated
    def peek(self) -> None:
        """Ask for one server, to learn whether that is allowed."""
        self._json("/servers/detail", {"limit": 1})

    @translated
    def owners(self) -> set[str]:
        """Return whose servers a listing of every project shows: only admins may see others'."""
        answer = self._json("/servers/detail", {"all_tenants": 1, "limit": 100})
        return {str(raw["tenant_id"]) for raw in answer["servers"] if raw.get("tenant_id")}

    @translated
    def peek_images(self) -> None:
        """Ask for one image, to learn whether Glance is there."""
        checked(self._connection.image.get("/images?limit=1", timeout=GET_TIMEOUT, **ONCE))

    # What is there ----------------------------------------------------------------------------

    def server_pages(
        self, *, changes_since: datetime | None = None, size: int = PAGE
    ) -> Iterator[Page]:
        """Yield the project's servers, or those changed since a time, deleted ones included."""
        query: dict[str, Any] = {}
        if changes_since:
            query["changes-since"] = changes_since.astimezone(UTC).isoformat()
        return listing.pages(self._server_page, query, size)

    @translated
    def _server_page(self, query: dict[str, Any]) -> Page:
        asked = time.monotonic()
        response = self._get("/servers/detail", query)
        answer = self._heeded(response)
        return Page(
            servers=[server_from(raw) for raw in answer["servers"]],
            # A cloud may cap its pages below our limit: only the link says that there is more.
            more=bool(answer.get("servers_links")),
            size=query["limit"],
            asked=asked,
            cloud_time=listing.cloud_time(response.headers.get("Date", ""), asked),
        )

    @translated
    def server(self, server_id: str) -> Server:
        """Return one server; raise ``Gone`` when there is none."""
        return server_from(self._json(f"/servers/{server_id}")["server"])

    @translated
    def images(self, *, name: str = "") -> list[Image]:
        """Return the images this project may use, or those of a name."""
        return [image_from(raw) for raw in self._image_pages(name)]

    def _image_pages(self, name: str) -> Iterator[dict[str, Any]]:
        # Without a visibility Glance lists public, own and accepted shared images; hidden: no.
        url: str = f"/images?limit={PAGE}" + (f"&name={quote(name)}" if name else "")
        for _page in range(MOST_PAGES):
            path = _from_v2(url)
            answer = checked(self._connection.image.get(path, timeout=GET_TIMEOUT, **ONCE))
            yield from answer["images"]
            url = answer.get("next") or ""
            if not url:
                return
            if not url.startswith("/"):  # our token goes nowhere else
                raise Broken("the next page is on another host")
        raise Broken("the listing does not end")

    @translated
    def actions(self, server_id: str) -> tuple[Act, ...]:
        """Return the server's newest instance actions, without what their hosts did."""
        listed = self._json(f"/servers/{server_id}/os-instance-actions", {"limit": 20})
        return tuple(act_from(row) for row in listed["instanceActions"])

    @translated
    def history(self, server_id: str) -> tuple[facts.Happened, ...]:
        """Return what was done to a server, newest first, by Nova's own account."""
        listed = self._json(f"/servers/{server_id}/os-instance-actions", {"limit": 100})
        return tuple(facts.happened_from(row) for row in listed["instanceActions"])

    @translated
    def action(self, server_id: str, request_id: str) -> Act:
        """Return one action with what its host has done."""
        path = f"/servers/{server_id}/os-instance-actions/{request_id}"
        return act_from(self._json(path)["instanceAction"])

    def look(
        self, server_id: str, *, briefly_while: str = "", events: bool = True
    ) -> tuple[Server | None, Seen]:
        """Return the server and what a rescue's next move is decided from; a lost one is gone.

        While its task is ``briefly_while``, the server alone is asked for; without ``events``,
        or when it rests in rescue, its actions come without what the hosts did.

        The server is read before its actions, so that an action that shows as failed was
        failed after the state it is judged with.
        """
        try:
            server = self.server(server_id)
        except Gone:
            return None, GONE
        if not server.vm_state:
            raise Broken("Nova cannot see the server: its cell is down")
        if briefly_while and server.task_state == briefly_while:
            return server, Seen(server.vm_state, server.task_state, server.locked)
        resting = server.vm_state == "rescued" and server.task_state is None
        actions = self._followed if events and not resting else self.actions
        try:
            return server, Seen(
                server.vm_state, server.task_state, server.locked, actions(server_id)
            )
        except Gone:  # deleted between two questions, or no action to be seen: look again
            raise Broken("no actions") from None

    def _followed(self, server_id: str) -> tuple[Act, ...]:
        """Return the actions, with what the hosts did for the two newest that matter."""
        actions = list(self.actions(server_id))
        followed = [n for n, act in enumerate(actions) if act.action in FOLLOWED]
        for n in followed[:2]:
            actions[n] = self.action(server_id, actions[n].request_id)
        return tuple(actions)

    @translated
    def console_log(self, server_id: str, *, lines: int = 200) -> str:
        """Return the end of the console log: hostile text."""
        return str(self._act(server_id, {"os-getConsoleOutput": {"length": lines}}).body["output"])

    # What is asked of it ----------------------------------------------------------------------

    def rescue(self, server_id: str, *, image_ref: str, password: str) -> Accepted:
        """Ask Nova to rescue a server; 200 only means accepted."""
        asked = {"rescue": {"adminPass": password, "rescue_image_ref": image_ref}}
        answer = self._act(server_id, asked)
        return Accepted(answer.request_id, password_from(answer.body.get("adminPass")))

    def unrescue(self, server_id: str) -> Accepted:
        """Ask Nova to end a rescue."""
        return Accepted(self._act(server_id, {"unrescue": None}).request_id)

    def create_image(self, server_id: str, name: str) -> Accepted:
        """Ask Nova for a snapshot."""
        return Accepted(self._act(server_id, {"createImage": {"name": name}}).request_id)

    def hard_reboot(self, server_id: str) -> Accepted:
        """Ask Nova for a hard reboot, the way back from ERROR."""
        return Accepted(self._act(server_id, {"reboot": {"type": "HARD"}}).request_id)

    def put_metadata(self, server_id: str, key: str, value: str) -> None:
        """Set a key of a server's metadata: while it is active, paused, suspended or stopped."""
        self._send("POST", f"/servers/{server_id}/metadata", {"metadata": {key: value}})

    def drop_metadata(self, server_id: str, key: str) -> None:
        """Take a key away, in the same states; raise ``Gone`` when there is none, or no server."""
        self._send("DELETE", f"/servers/{server_id}/metadata/{key}")

    # How it is asked --------------------------------------------------------------------------

    @translated
    def _json(self, path: str, query: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._heeded(self._get(path, query or {}))

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        pause = self._pause_until - time.monotonic()
        if pause > 0:
            raise Limited("the cloud asked for a pause", retry_after=pause)
        return self._connection.compute.get(
            path,
            params=query,
            microversion=self.microversion(),
            timeout=GET_TIMEOUT,
            **ONCE,
            log=False,  # at DEBUG keystoneauth prints answers: metadata, console logs
        )

    def _heeded(self, response: Any) -> dict[str, Any]:
        """Return the answer to a question; when Nova asks for a pause, none is asked meanwhile."""
        try:
            return checked(response)
        except CloudError as error:
            if error.retry_after:
                self._pause_until = time.monotonic() + error.retry_after
            raise

    def _act(self, server_id: str, body: dict[str, Any]) -> "_Answer":
        return self._send("POST", f"/servers/{server_id}/action", body)

    @translated
    def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> "_Answer":
        response = self._connection.compute.request(
            path,
            method,
            json=body,
            microversion=self.microversion(),
            timeout=CALL_TIMEOUT.total_seconds(),
            **ONCE,
            log=False,  # at DEBUG keystoneauth prints bodies: the password, its hash
        )
        return _Answer(checked(response), request_id_of(response))


def authorities() -> str | bool:
    """Return the certificates to trust: the operator's bundle, else the usual ones."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


FOLLOWED = frozenset({"rescue", "unrescue", "reboot"})


@dataclass(frozen=True)
class _Answer:
    body: dict[str, Any]
    request_id: str


def _from_v2(url: str) -> str:
    """Glance's links carry the version that the catalog's endpoint already has."""
    return url.removeprefix("/v2")


def _from_keystone(error: exceptions.HttpError) -> CloudError:
    if error.http_status in (401, 403, 404):  # a deleted application credential is a 404
        return BadCredentials(str(error.message)[:500])
    if error.http_status == 429:
        return Limited()
    return Silent(f"Keystone: HTTP {error.http_status}")
