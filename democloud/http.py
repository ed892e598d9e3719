"""Turn plain handlers into HTTP endpoints: what is asked, who asks, what is answered."""

import asyncio
import html
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from democloud.clock import now
from democloud.state import Cloud, Region, Token

UNAUTHORIZED = "The request you have made requires authentication."


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None, kind: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.kind = kind


@dataclass
class Answer:
    """What goes back: JSON, or text that is already made."""

    status: int = 200
    body: Any = None
    text: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    lost: bool = False

    def response(self) -> Response:
        """Return it as Starlette wants it."""
        if self.text is not None:
            return Response(
                self.text, self.status, {"Content-Type": "text/html; charset=UTF-8", **self.headers}
            )
        content = b"" if self.body is None else json.dumps(self.body).encode()
        if self.status == 204:
            return Response(None, 204, self.headers)
        return Response(content, self.status, {"Content-Type": "application/json", **self.headers})


@dataclass
class Call:
    """One request, read and (mostly) authenticated."""

    request: Request
    cloud: Cloud
    raw: bytes
    request_id: str
    token: Token | None = None
    version: tuple[int, int] = (2, 1)

    @property
    def base(self) -> str:
        """Return scheme, host and port as the client wrote them."""
        return f"{self.request.url.scheme}://{self.request.headers.get('host', 'localhost')}"

    @property
    def region(self) -> Region:
        """Return the region this request went to."""
        region = self.cloud.regions.get(self.request.path_params["region"])
        if region is None:
            raise Refusal(404, "The resource could not be found.")
        return region

    @property
    def who(self) -> Token:
        """Return the token of the caller; one must have been checked before."""
        if self.token is None:
            raise Refusal(401, UNAUTHORIZED)
        return self.token

    @property
    def is_admin(self) -> bool:
        """Tell whether the caller passes every policy."""
        return "admin" in self.who.roles

    @property
    def is_member(self) -> bool:
        """Tell whether the caller may change things in the own project."""
        return self.is_admin or "member" in self.who.roles

    def param(self, name: str) -> str:
        """Return a part of the path."""
        return str(self.request.path_params[name])

    def json(self) -> Any:
        """Return the body, None if it is not JSON."""
        try:
            return json.loads(self.raw)
        except ValueError:
            return None


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Service:
    """How one OpenStack service checks a request, words a refusal and marks an answer."""

    name: str
    prepare: Callable[[Call], None]
    refuse: Callable[[Call, Refusal], Answer]
    mark: Callable[[Call], dict[str, str]]

    def endpoint(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Wrap a handler; it runs without a pause, so no other request sees it half done."""

        async def respond(request: Request) -> Response:
            call = Call(
                request, request.app.state.cloud, await request.body(), f"req-{uuid.uuid4()}"
            )
            answer = self.answer(call, handler)
            if answer.delay:
                await asyncio.sleep(answer.delay)
            if answer.lost:
                request.scope["democloud"]["lost"] = True
            answer.headers = {**answer.headers, **self.mark(call)}
            return answer.response()

        return respond

    def answer(self, call: Call, handler: Handler) -> Answer:
        """Ask the handler; a refusal is an answer too."""
        try:
            self.prepare(call)
            return handler(call)
        except Refusal as refusal:
            return self.refuse(call, refusal)


def check_token(call: Call) -> None:
    """Look up the caller's token as keystonemiddleware would."""
    token = valid_token(call.cloud, call.request.headers.get("x-auth-token", ""))
    if token is None or not _permitted(call, token):
        raise Refusal(
            401, UNAUTHORIZED, {"WWW-Authenticate": f'Keystone uri="{call.base}/identity/v3"'}
        )
    call.token = token


def _permitted(call: Call, token: Token) -> bool:
    """Tell whether access rules let a token through, as in a cloud set up like the lab's.

    Keystone knows its own service type; Nova and Glance there do not, and let nothing through.
    """
    credential = call.cloud.credentials.get(token.credential_id)
    if credential is None or credential.access_rules is None:
        return True
    asked = call.request.method, call.request.url.path.removeprefix("/identity")
    return any(
        rule["service"] == "identity"
        and rule["method"] == asked[0]
        and re.fullmatch(re.escape(rule["path"]).replace(r"\*", "[^/]+"), asked[1])
        for rule in credential.access_rules
    )


def valid_token(cloud: Cloud, wanted: str) -> Token | None:
    """Return a token that is known, not revoked and not expired."""
    token = cloud.tokens.get(wanted)
    if token is None or token.expires_at <= now() or revoked(cloud, token.credential_id):
        return None
    return token


def revoked(cloud: Cloud, credential_id: str) -> bool:
    """Tell whether a knob has made an application credential worthless."""
    credential = cloud.credentials.get(credential_id)
    names = {credential_id, credential.name if credential else ""} - {""}
    return bool(names & set(cloud.knobs.revoked_credentials))


def page(status: int, message: str) -> str:
    """Return the HTML page with which webob words an error."""
    title = f"{status} {HTTPStatus(status).phrase}"
    said = html.escape(message, quote=False)
    return (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n"
        f"  {said}<br /><br />\n\n\n\n </body>\n</html>"
    )


def keystone_error(status: int, title: str, message: str) -> dict[str, Any]:
    """Return the body Keystone and its middleware give to an error."""
    return {"error": {"code": status, "message": message, "title": title}}


def note(call: Call, **what: str) -> None:
    """Say for the log of requests what this one is about."""
    call.request.scope["democloud"].update(what)
