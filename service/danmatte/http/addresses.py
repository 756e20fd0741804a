"""Addresses of callers: read, and taken together where one line has many of them."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
_PREFIX_BITS: Final = 64


def parse_address(text: str) -> Address | None:
    """The address, an IPv4 one also where it is written as one of IPv6; None for what is none."""
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed


@lru_cache(1024)  # every request asks
def find_network(address: str) -> str:
    """What an address counts as: itself, or in IPv6 the network of 64 bits that it is in.

    Every line has such a network at least (RFC 6177), and may take another address of it for each request. In private
    networks, such as a cluster's, each address is a machine's own. What is no address stays as it is.
    """
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address) and not parsed.is_private:
        return str(IPv6Network((int(parsed), _PREFIX_BITS), strict=False))
    return address if parsed is None else str(parsed)
