"""Requests to addresses that people typed in: only to where they may lead.

A host name is looked up once and the connection is made to the very address that was checked, so
that a name cannot lead elsewhere a moment later. TLS still goes by the name.
"""

import ipaddress
import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from django.utils.translation import gettext_lazy as _
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, SSLError
from urllib3.exceptions import TimeoutError as Urllib3Timeout

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

TIME_OUT = 5.0  # seconds for a connection, and between two bytes
DEADLINE = 10.0  # seconds for the whole of a request
KEPT_OF_BODY = 200
NAT64 = ipaddress.ip_network("64:ff9b::/96")

REASONS: "dict[str, StrOrPromise]" = {
    "scheme": _("The address must begin with https://."),
    "incomplete": _("This is not a complete address."),
    "unresolved": _("No machine of this name was found."),
    "private": _("This address leads into a private network, where the panel does not go."),
}


class Refused(Exception):
    """The panel does not go there; ``reason`` is a key of ``REASONS``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def sentence(self) -> "StrOrPromise":
        return REASONS[self.reason]


class NotReached(Exception):
    """No answer came; ``reason`` is one of timeout, tls, connection."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Answer:
    status: int
    #: the beginning of what came back
    excerpt: str


# Where one may go -------------------------------------------------------------------------------


def resolve_checked(host: str, port: int, allowed_private: Sequence[Network] = ()) -> list[IP]:
    """Look a host up; raise ``Refused`` when one of its addresses is not a public one.

    ``allowed_private`` names the networks that may be reached all the same.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused("unresolved") from None
    addresses = list(dict.fromkeys(_address(str(entry[4][0])) for entry in found))
    if not addresses:
        raise Refused("unresolved")
    if not all(may_go_to(address, allowed_private) for address in addresses):
        raise Refused("private")
    return addresses


def may_go_to(address: IP, allowed_private: Sequence[Network] = ()) -> bool:
    """Tell whether an address is public, or in a network that was allowed."""
    real = _innermost(address)
    if real.is_multicast or real.is_unspecified or real.is_link_local:
        return False
    return real.is_global or in_networks(real, allowed_private)


def in_networks(address: IP, networks: Sequence[Network]) -> bool:
    """Tell whether an address, taken out of what it is wrapped in, is in one of the networks."""
    return any(_innermost(address) in network for network in networks)


def _address(text: str) -> IP:
    return ipaddress.ip_address(text.partition("%")[0])


def _innermost(address: IP) -> IP:
    """Return the IPv4 address that an IPv6 address stands for, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else address)


# Going there ------------------------------------------------------------------------------------


class _Checked:
    """A connection to an address that was checked just before."""

    allowed_private: Sequence[Network] = ()
    _dns_host: str
    port: int
    timeout: Any

    def _new_conn(self) -> socket.socket:
        addresses = resolve_checked(self._dns_host, self.port, self.allowed_private)
        timeout = self.timeout if isinstance(self.timeout, int | float) else TIME_OUT
        problem: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((str(address), self.port), timeout)
            except OSError as error:
                problem = error
        raise problem or OSError("no address")


class CheckedHTTP(_Checked, HTTPConnection):
    """HTTP to a checked address."""


class CheckedHTTPS(_Checked, HTTPSConnection):
    """HTTPS to a checked address, by the certificate of the name."""


def check_url(url: str, allowed_private: Sequence[Network] = ()) -> None:
    """Raise ``Refused`` for an address that may not be used; looks its host up.

    Without TLS only what lies in an allowed network may be spoken to.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Refused("incomplete") from None
    if parts.scheme not in ("https", "http"):
        raise Refused("scheme")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise Refused("incomplete")
    addresses = resolve_checked(parts.hostname, port, allowed_private)
    near = all(in_networks(address, allowed_private) for address in addresses)
    if parts.scheme == "http" and not near:
        raise Refused("scheme")


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    allowed_private: Sequence[Network] = (),
    deadline: float = DEADLINE,
) -> Answer:
    """Send a body; follow no redirect and read no more than the beginning of what comes back.

    Raise ``Refused`` where the panel does not go and ``NotReached`` when no answer came in time.
    """
    check_url(url, allowed_private)
    parts = urlsplit(url)
    kind = CheckedHTTPS if parts.scheme == "https" else CheckedHTTP
    connection = kind(str(parts.hostname), parts.port, timeout=TIME_OUT)
    connection.allowed_private = allowed_private
    over = threading.Event()
    timer = threading.Timer(deadline, _cut, (connection, over))
    timer.daemon = True
    timer.start()
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, headers, preload_content=False)
        response = connection.getresponse()
        excerpt = response.read(KEPT_OF_BODY).decode(errors="replace")
        return Answer(response.status, excerpt)
    except (TimeoutError, Urllib3Timeout) as error:
        raise NotReached("timeout") from error
    except SSLError as error:
        raise NotReached("timeout" if over.is_set() else "tls") from error
    except (HTTPError, OSError, ValueError) as error:
        raise NotReached("timeout" if over.is_set() else _kind(error)) from error
    finally:
        timer.cancel()
        connection.close()


def _kind(error: Exception) -> str:
    return "tls" if "CERTIFICATE" in str(error).upper() else "connection"


def _cut(connection: HTTPConnection, over: threading.Event) -> None:
    """End a request whose answer trickles in too slowly."""
    over.set()
    sock = connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
