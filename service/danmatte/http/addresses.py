"""Client addresses: parsing, and grouping the IPv6 addresses of one network."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
_PREFIX_BITS: Final = 64


def parse_address(text: str) -> Address | None:
    """Parse an address, None if it isn't valid; an IPv4-mapped IPv6 address becomes its IPv4 address."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


@lru_cache(1024)  # called for every request
def find_network(address: str) -> str:
    """Return the key by which an address is counted: a public IPv6 address's /64 network, otherwise the address itself.

    Every IPv6 subscriber has at least a /64 network (RFC 6177), and may use a different address of it for each request.
    In private networks, such as a cluster's, each address belongs to one machine. Invalid addresses are returned
    unchanged.
    """
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address) and not parsed.is_private:
        return str(IPv6Network((int(parsed), _PREFIX_BITS), strict=False))
    return address if parsed is None else str(parsed)
