"""Serve terminals as a raw ASGI application: a web socket to the browser, SSH to the machine.

Before the socket is accepted: our own page's origin, a session in force. Then within seconds the
ticket that the page was given, and only then the way into the machine is opened, in this process.
Nothing of what is typed and shown is logged or kept.
"""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from asgiref.sync import sync_to_async
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, WebSocketScope
from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.db import DatabaseError, close_old_connections

from instances import ssh
from instances.models import Terminal
from instances.recovery import terminals
from instances.recovery.access import WayIn
from instances.recovery.terminals import End, Refused
from rescuepanel.terminal_flow import Flow, Limits, size_in
from rescuepanel.visitors import session_key_of, whose

logger = logging.getLogger(__name__)

MOST_IN_A_PROCESS = 40
#: a terminal reads on one thread while it writes on another one
THREADS_FOR_EACH = 2
HELLO_WITHIN = 10.0
_PATH = re.compile(r"/rescues/(?P<rescue>[0-9a-f-]{36})/terminal/socket")


@dataclass(frozen=True)
class Hello:
    """What the page says first: its ticket, and how large the terminal is."""

    ticket: str
    cols: int
    rows: int


class Inside:
    """A shell on a machine that was logged in to, and how to leave it."""

    def __init__(self, way: WayIn, cols: int, rows: int) -> None:
        with ExitStack() as stack:
            machine = stack.enter_context(ssh.connect(*way))
            self.shell = machine.shell(cols, rows)
            stack.callback(self.shell.close)
            self.leave: Callable[[], None] = stack.pop_all().close


class Terminals:
    """Hold the terminals of this process."""

    def __init__(
        self, *, limits: Limits | None = None, recheck: float = 3.0, most: int = MOST_IN_A_PROCESS
    ) -> None:
        self._limits, self._recheck, self._most = limits or Limits(), recheck, most
        self._pool = ThreadPoolExecutor(most * THREADS_FOR_EACH, thread_name_prefix="terminal")
        self._open = 0

    async def __call__(
        self, scope: WebSocketScope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        """Answer one socket, from its first word to its last."""
        await receive()  # its wish to connect
        rescue_id, session_key = _rescue_in(scope["path"]), session_key_of(scope)
        if rescue_id is None or not _from_our_page(scope) or not await _person(session_key):
            await send({"type": "websocket.close", "code": 1008, "reason": None})
            return
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        end, status = End.FULL, None
        if self._open < self._most:
            self._open += 1
            try:
                end, status = await self._serve(rescue_id, session_key, receive, send)
            finally:
                self._open -= 1
        if end is not End.LEFT:
            reason = "" if status is None else str(status)
            await send({"type": "websocket.close", "code": int(end), "reason": reason})

    async def _serve(
        self,
        rescue_id: uuid.UUID,
        session_key: str,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> tuple[End, int | None]:
        try:
            hello = await _hello(receive)
            terminal, way, person = await _redeemed(hello.ticket, rescue_id, session_key)
        except Refused as refusal:
            return refusal.end, None
        except DatabaseError:
            logger.warning("terminal on rescue %s: the database did not answer", rescue_id)
            return End.BROKEN, None
        end, status = End.LEFT, None
        try:
            end, status = await self._work(terminal, way, hello, session_key, receive, send)
        finally:
            await asyncio.shield(_over(terminal, end, person))
        return end, status

    async def _work(
        self,
        terminal: Terminal,
        way: WayIn,
        hello: Hello,
        session_key: str,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
    ) -> tuple[End, int | None]:
        loop = asyncio.get_running_loop()
        try:
            inside = await loop.run_in_executor(self._pool, Inside, way, hello.cols, hello.rows)
        except ssh.HostKeyChanged:
            return End.KEY_CHANGED, None
        except ssh.SshError as error:
            logger.info("terminal %s: no way in: %s", terminal.pk, error.code)
            return End.NO_WAY_IN, None
        try:
            flow = Flow(inside.shell, self._pool, self._limits, receive, send)
            end = await flow.run(lambda: _may_go_on(terminal, session_key), self._recheck)
            if end is not End.EXITED:
                return end, None
            return end, await loop.run_in_executor(self._pool, inside.shell.status)
        finally:
            await asyncio.shield(loop.run_in_executor(self._pool, inside.leave))


def _rescue_in(path: str) -> uuid.UUID | None:
    found = _PATH.fullmatch(path)
    try:
        return uuid.UUID(found["rescue"]) if found else None
    except ValueError:
        return None


def _from_our_page(scope: WebSocketScope) -> bool:
    """Tell whether the page that opens the socket is ours: browsers send its origin, always.

    As Django does it for a form: the origin is the host that was asked, one of those allowed, or
    one that is trusted by name.
    """
    origins = [value for name, value in scope["headers"] if name == b"origin"]
    if len(origins) != 1:
        return False
    scheme = {"ws": "http", "wss": "https"}[scope["scheme"]]
    request: Any = {**scope, "type": "http", "method": "GET", "scheme": scheme}
    try:
        host = ASGIRequest(request, BytesIO()).get_host()
    except DisallowedHost:
        return False
    return origins[0].decode("latin-1") in {f"{scheme}://{host}", *settings.CSRF_TRUSTED_ORIGINS}


async def _hello(receive: ASGIReceiveCallable) -> Hello:
    try:
        async with asyncio.timeout(HELLO_WITHIN):
            message: Any = await receive()
    except TimeoutError:
        raise Refused(End.TICKET) from None
    if message["type"] == "websocket.disconnect":
        raise Refused(End.LEFT)
    try:
        said = json.loads((message.get("text") or "")[:1000])
        ticket, size = said["ticket"], size_in(said)
    except (ValueError, KeyError, TypeError):
        raise Refused(End.NONSENSE) from None
    if not isinstance(ticket, str):
        raise Refused(End.NONSENSE)
    return Hello(ticket, *size)


# With the database, on threads that keep no connection -------------------------------------------


@sync_to_async(thread_sensitive=False)
def _person(session_key: str) -> bool:
    try:
        return whose(session_key)[0] is not None
    finally:
        close_old_connections()


@sync_to_async(thread_sensitive=False)
def _redeemed(ticket: str, rescue_id: uuid.UUID, session_key: str) -> tuple[Terminal, WayIn, Any]:
    try:
        person, _access = whose(session_key)
        if person is None:
            raise Refused(End.SIGNED_OUT)
        terminal, way = terminals.redeem(ticket, rescue_id=rescue_id, by=person)
        return terminal, way, person
    finally:
        close_old_connections()


@sync_to_async(thread_sensitive=False)
def _may_go_on(terminal: Terminal, session_key: str) -> End | None:
    try:
        person, _access = whose(session_key)
        return terminals.look(terminal, person) if person else End.SIGNED_OUT
    finally:
        close_old_connections()


@sync_to_async(thread_sensitive=False)
def _over(terminal: Terminal, end: End, person: Any) -> None:
    try:
        terminals.over(terminal, end, by=person)
    finally:
        close_old_connections()
