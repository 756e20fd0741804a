"""What proxies say of a request's caller: believed from those that are trusted, and from nobody else."""

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
LISTS: Final = ("forwarded", "x-forwarded-for")  # each proxy adds to them, or adds a line of its own
_FOR: Final = re.compile(r"(?:^|;)\s*for=\s*\"?([^\";]*)", re.ASCII | re.IGNORECASE)  # of one hop, RFC 7239
_PORT: Final = re.compile(
    r"\[([0-9a-fA-F:.]+)\](?::\d+)?|([0-9.]+):\d+", re.ASCII
)  # 192.0.2.1:4711, [2001:db8::1]:4711


class TrustedProxies:
    """Networks whose word counts."""

    def __init__(self, setting: str) -> None:
        """From the setting: addresses and networks with commas between; raises SettingsError."""
        try:
            self._networks: list[_Network] = [
                ip_network(name.strip(), strict=False) for name in setting.split(",") if name.strip()
            ]
        except ValueError as error:
            raise SettingsError(f"trusted_proxies: expected 10.0.0.0/8, 192.0.2.1 or alike: {error}") from error

    def __bool__(self) -> bool:
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Whether this is the address of a proxy that is trusted."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def find_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Where a request came from: the last address in `Forwarded` or `X-Forwarded-For` that is no trusted proxy's.

        `peer` is who is connected, and `headers` have whole lists. What is before something that is no address may be
        the caller's own invention: then it is the proxy that wrote this.
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
    """A middleware that finds where a request came from, and by which host's name, before anybody counts it."""

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
    """An address as proxies write it, some with the port."""
    match = _PORT.fullmatch(text)
    return parse_address((match[1] or match[2]) if match else text)
