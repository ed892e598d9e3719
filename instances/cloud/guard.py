"""Where the panel may connect to when it talks to a cloud; asked again for every connection.

A cloud account's address comes from people, and the addresses of its services come from that
cloud's catalog: both may name a machine inside the operator's own network. So each connection
is made to the very address that was looked at; TLS still proves the name that was asked for.
"""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager

from instances.addresses import embedded, is_public
from instances.cloud.errors import Broken, Refused

#: the longest answer that is read; a listing of 200 servers is some 600 kB
MOST_BYTES = 64 * 1024 * 1024


def check_url(url: str) -> None:
    """Raise ``Refused`` for an address that is not one of a cloud, as far as its text tells."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise Refused("malformed") from None
    if parts.scheme not in ("http", "https") or not host:
        raise Refused("malformed")
    if parts.username is not None or parts.password is not None:
        raise Refused("userinfo", host=host)
    if settings.CLOUD_AUTH_HOSTS and not _listed(host, settings.CLOUD_AUTH_HOSTS):
        raise Refused("not_listed", host=host)
    if parts.scheme == "http" and not settings.CLOUD_PRIVATE_NETWORKS:
        raise Refused("plain_http", host=host)


def check_address(url: str) -> None:
    """Raise ``Refused`` when an address leads where the panel must not go; unknown names pass."""
    check_url(url)
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    with contextlib.suppress(OSError):
        permitted(str(parts.hostname), parts.port or default, encrypted=parts.scheme == "https")


def _listed(host: str, hosts: Iterable[str]) -> bool:
    """Tell whether a host is on the list; ``.example.org`` stands for all names below it."""
    host = host.rstrip(".").lower()
    return any(host == one or (one.startswith(".") and host.endswith(one)) for one in hosts)


def permitted(host: str, port: int, *, encrypted: bool) -> list[tuple[Any, ...]]:
    """Resolve a host once; return what of it may be connected to, or raise ``Refused``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    good = [info for info in found if may_reach(info[4][0], encrypted=encrypted)]
    if good:
        return good
    public = any(may_reach(info[4][0], encrypted=True) for info in found)
    raise Refused("plain_http" if public else "private", host=host)


def may_reach(address: str | int, *, encrypted: bool) -> bool:
    """Tell whether an address is public and the way to it encrypted, or permitted by name."""
    given = ipaddress.ip_address(str(address).partition("%")[0])
    inner = embedded(given)
    if any(one in network for network in settings.CLOUD_PRIVATE_NETWORKS for one in (given, inner)):
        return True
    return encrypted and is_public(given)


# The wire ---------------------------------------------------------------------------------------


class Patience:
    """How long a whole errand may take: when it is over, whatever is still open is cut."""

    def __init__(self, seconds: float, *, per_call: float) -> None:
        self.per_call = per_call
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "Patience":
        self._timer.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._timer.cancel()
        self._cut()

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def watch(self, sock: socket.socket) -> None:
        """Remember a connection; a copy of it, for TLS takes the original away."""
        with self._lock:
            self._open.append(sock.dup())

    def _cut(self) -> None:
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            self._open.clear()


class _Pinned:
    """A connection that is made to the address that was checked, and to no other."""

    patience: Patience | None = None
    encrypted = False

    def _new_conn(self) -> socket.socket:
        host, port, timeout = self.host, self.port, self.timeout  # type: ignore[attr-defined]
        try:
            addresses = permitted(host, port, encrypted=self.encrypted)
        except (socket.gaierror, UnicodeError) as error:
            unknown = socket.gaierror(str(error))
            raise NameResolutionError(host, self, unknown) from None  # type: ignore[arg-type]
        try:
            sock = _connected(addresses, timeout)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{host} does not answer") from error
        except OSError as error:
            raise NewConnectionError(self, f"{host}: {error}") from error  # type: ignore[arg-type]
        if self.patience:
            self.patience.watch(sock)
        return sock


def _connected(addresses: list[tuple[Any, ...]], timeout: float | None) -> socket.socket:
    """Connect to the first address that answers."""
    trouble: OSError = OSError("no address")
    for family, kind, protocol, _name, address in addresses[:4]:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(timeout)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
        except OSError as error:
            sock.close()
            trouble = error
        else:
            return sock
    raise trouble


class GuardedAdapter(HTTPAdapter):
    """Carry requests to permitted places only, without a proxy, and read no endless answer."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience
        super().__init__()

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **more: Any
    ) -> None:
        """Make connections of our own kind."""
        plain = type("Plain", (_Pinned, HTTPConnection), {"patience": self._patience})
        secure = type(
            "Secure", (_Pinned, HTTPSConnection), {"patience": self._patience, "encrypted": True}
        )
        self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, **more)
        self.poolmanager.pool_classes_by_scheme = {
            "http": type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": secure}),
        }

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send to a permitted place, within what is left of the patience."""
        check_url(request.url or "")
        if self._patience:
            if not self._patience.left:
                raise requests.exceptions.ReadTimeout("no time is left", request=request)
            timeout = min(self._patience.per_call, self._patience.left)
        response = super().send(request, stream=True, timeout=timeout, verify=verify, cert=cert)
        if not stream:
            _swallow(response)
        return response


def _swallow(response: requests.Response) -> None:
    """Read an answer whole, unless it does not end."""
    parts, size = [], 0
    chunks: Callable[..., Any] = response.iter_content
    for part in chunks(64 * 1024):
        size += len(part)
        if size > MOST_BYTES:
            response.close()
            raise Broken("the answer does not end")
        parts.append(part)
    response._content = b"".join(parts)


def guarded_session(patience: Patience | None = None) -> requests.Session:
    """Return a session that goes nowhere else; no proxy, no ``.netrc`` of the machine's."""
    wire = requests.Session()
    wire.trust_env = False
    adapter = GuardedAdapter(patience)
    wire.mount("https://", adapter)
    wire.mount("http://", adapter)
    return wire
