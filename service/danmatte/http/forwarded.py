"""What proxies say of a request's caller: believed from those that are trusted, and from nobody else."""

import re
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from danmatte.errors import SettingsError
from danmatte.http.request_keys import ADDRESS, HOST

_Network: TypeAlias = IPv4Network | IPv6Network
_Address: TypeAlias = IPv4Address | IPv6Address
# RFC 7239: for=192.0.2.43, for="[2001:db8::1]:4711"
_FOR: Final = re.compile(r"(?:^|[;,])\s*for=\"?(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))", re.ASCII | re.IGNORECASE)


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
        parsed = _parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def find_address(self, peer: str, headers: Mapping[str, str]) -> str:
        """Where a request came from: the last address in `Forwarded` or `X-Forwarded-For` that is no trusted proxy's.

        `peer` is who is connected; gRPC metadata has the same names in lower case.
        """
        if not self.trusts(peer):
            return peer
        if forwarded := headers.get("Forwarded") or headers.get("forwarded"):
            found = [six or four for six, four in _FOR.findall(forwarded)]
        else:
            found = (headers.get("X-Forwarded-For") or headers.get("x-forwarded-for") or "").split(",")
        named = [str(parsed) for text in found if (parsed := _parse(text.strip()))]  # whatever is no address isn't one
        for address in reversed(named):
            if not self.trusts(address):
                return address
        return named[0] if named else peer


def read_forwarded(proxies: TrustedProxies) -> Middleware:
    """A middleware that finds where a request came from, and by which host's name, before anybody counts it."""

    @web.middleware
    async def read(request: web.Request, handler: Handler) -> web.StreamResponse:
        peer = request.remote or ""
        if proxies.trusts(peer):
            request[ADDRESS] = proxies.find_address(peer, request.headers)
            request[HOST] = request.headers.get("X-Forwarded-Host", "").rpartition(",")[2].strip()
        return await handler(request)

    return read


def _parse(address: str) -> _Address | None:
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    return parsed.ipv4_mapped or parsed if isinstance(parsed, IPv6Address) else parsed
