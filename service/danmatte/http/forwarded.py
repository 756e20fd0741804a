"""Client addresses from the headers of proxies (`Forwarded`, `X-Forwarded-For`), used only if the proxy is trusted."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.errors import SettingsError
from danmatte.http.addresses import Address, parse_address
from danmatte.http.request_keys import ADDRESS, HOST

_Network: TypeAlias = IPv4Network | IPv6Network
LISTS: Final = ("forwarded", "x-forwarded-for")  # each proxy appends to the list, or adds another header line
_FOR: Final = re.compile(r"(?:^|;)\s*for=\s*\"?([^\";]*)", re.ASCII | re.IGNORECASE)  # of one hop, RFC 7239
_PORT: Final = re.compile(
    r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([0-9.]+):\d+", re.ASCII
)  # 192.0.2.1:4711, [2001:db8::1]:4711


class TrustedProxies:
    """Networks of proxies whose headers are trusted."""

    def __init__(self, setting: str) -> None:
        """Parse the setting: addresses and networks separated by commas; raises SettingsError."""
        try:
            self._networks: list[_Network] = [
                ip_network(name.strip(), strict=False) for name in setting.split(",") if name.strip()
            ]
        except ValueError as error:
            raise SettingsError(
                f"trusted_proxies: expected addresses or networks such as 192.0.2.1 or 10.0.0.0/8: {error}"
            ) from error

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Return whether this is the address of a trusted proxy."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def find_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Return the client's address: the last one in `Forwarded` or `X-Forwarded-For` that isn't a trusted proxy.

        `peer` is the address of the connection, and `headers` contain each list joined into one value. An invalid
        address ends the search, because the client may have forged everything before it: then the result is the
        address of the proxy that appended the invalid one.
        """
        if not self.trusts(peer):
            return peer
        lists = {name.lower(): value for name, value in headers.items() if name.lower() in LISTS}
        hops = [hop.strip() for hop in lists.get("forwarded", "").split(",") if hop.strip()]
        found = [match[1] if (match := _FOR.search(hop)) else "" for hop in hops]
        found = found or [hop for hop in lists.get("x-forwarded-for", "").split(",") if hop.strip()]
        nearest = peer
        for text in reversed(found):
            address = _parse_hop(text.strip())
            if address is None:
                break
            nearest = str(address)
            if not self.trusts(nearest):
                break
        return nearest


def read_forwarded(proxies: TrustedProxies) -> Middleware:
    """Return a middleware that stores the client's address and the requested host name in the request.

    It has to come before the middlewares that log and count requests.
    """

    @web.middleware
    async def read(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote or ""
        if proxies.trusts(peer):
            lists = {name: ", ".join(request.headers.getall(name, ())) for name in LISTS}
            request[ADDRESS] = proxies.find_address(peer, lists)
            request[HOST] = request.headers.get("X-Forwarded-Host", "").rpartition(",")[2].strip()
        return await handler(request)

    return read


def _parse_hop(text: str) -> Address | None:
    """Parse an address as proxies write it, with or without a port."""
    match = _PORT.fullmatch(text)
    return parse_address((match[1] or match[2]) if match else text)
