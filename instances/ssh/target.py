"""Where the panel may connect to when it goes into a machine; asked for every connection.

Addresses come from the cloud, and a tenant may give a machine any fixed address: one of the
operator's own network, of the metadata service, of this very panel.
"""

import ipaddress
import socket

from instances.addresses import Address, embedded, is_public
from instances.ssh.errors import NotAllowed
from instances.ssh.facts import Target


def permitted(target: Target) -> Address:
    """Return the address to connect to; raise ``NotAllowed`` when it must not be."""
    if not isinstance(target.address, str) or "%" in target.address:
        raise NotAllowed("not_an_address")
    try:
        address = ipaddress.ip_address(target.address)
    except ValueError:  # a name could lead elsewhere the next time it is asked for
        raise NotAllowed("not_an_address") from None
    if not 0 < target.port < 65536:
        raise NotAllowed("port")
    _check(address, target.networks)
    return address


def _check(address: Address, networks: tuple[str, ...]) -> None:
    forms = (address, embedded(address))
    if any(form.is_unspecified or form.is_multicast for form in forms):
        raise NotAllowed("private")
    allowed = [ipaddress.ip_network(network, strict=False) for network in networks]
    if any(form in network for network in allowed for form in forms):
        return
    if not is_public(address):
        raise NotAllowed("private")
    if is_own(address):
        raise NotAllowed("own")


def is_own(address: Address) -> bool:
    """Tell whether an address is one of this machine's own interfaces'."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return not _binds_anything(family) or _routed_to_itself(family, address)


def _binds_anything(family: socket.AddressFamily) -> bool:
    """Tell whether the kernel lets one bind what is not its own (``ip_nonlocal_bind``)."""
    documentation = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((documentation, 0))
    except OSError:
        return False
    return True


def _routed_to_itself(family: socket.AddressFamily, address: Address) -> bool:
    """Tell whether the way to an address begins at that address; nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((str(address), 9))
            return str(probe.getsockname()[0]) == str(address)
    except OSError:
        return False
