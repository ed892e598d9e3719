"""Which addresses are anybody's: one rule for clouds (``cloud``) and machines (``ssh``)."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNICAST = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given to anybody
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_public(given: Address) -> bool:
    """Tell whether an address is one of the internet's, and not a disguise of another one."""
    unicast = given.version == 4 or given in _UNICAST
    plain = embedded(given) is given
    return plain and unicast and given.is_global and not (given.is_multicast or given.is_reserved)


def embedded(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one leads to: mapped, NAT64, 6to4 or Teredo."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (0, address))[1]
