"""Client addresses behind proxies."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from danmatte.api.grpc.call_context import read_metadata
from danmatte.errors import SettingsError
from danmatte.http.addresses import find_network
from danmatte.http.forwarded import TrustedProxies, read_forwarded
from danmatte.http.request_keys import identify_caller
from danmatte.http.telemetry import Observers, observe_requests
from danmatte.telemetry.log import AccessLog
from danmatte.telemetry.metrics import Metrics
from tests.service.conftest import Start
from tests.service.held import Gate
from tests.service.test_app import until

PROXIES = TrustedProxies("10.0.0.0/8, 192.0.2.1, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "headers", "found"),
    [
        ("203.0.113.9", {"X-Forwarded-For": "198.51.100.1"}, "203.0.113.9"),  # any client can send this header
        ("10.1.2.3", {}, "10.1.2.3"),
        ("10.1.2.3", {"X-Forwarded-For": "198.51.100.1"}, "198.51.100.1"),
        ("10.1.2.3", {"x-forwarded-for": "198.51.100.1"}, "198.51.100.1"),
        (
            "10.1.2.3",
            {"X-Forwarded-For": "1.1.1.1, 198.51.100.1, 192.0.2.1"},
            "198.51.100.1",
        ),  # the client forged 1.1.1.1
        ("10.1.2.3", {"X-Forwarded-For": "10.9.9.9, 10.8.8.8"}, "10.9.9.9"),
        ("10.1.2.3", {"X-Forwarded-For": "rubbish, , <script>"}, "10.1.2.3"),
        ("::ffff:10.1.2.3", {"X-Forwarded-For": "2001:db8::1"}, "2001:db8::1"),
        ("fd00::1", {"Forwarded": 'for=198.51.100.1;proto=https, for="[2001:db8::7]:4711"'}, "2001:db8::7"),
        ("fd00::1", {"Forwarded": "For=198.51.100.1:80; by=x, for=10.0.0.1"}, "198.51.100.1"),
        ("fd00::1", {"Forwarded": "for=_hidden, for=unknown", "X-Forwarded-For": "1.1.1.1"}, "fd00::1"),
        ("unix:", {"X-Forwarded-For": "1.1.1.1"}, "unix:"),
        ("10.1.2.3", {"X-Forwarded-For": "198.51.100.1:61234"}, "198.51.100.1"),  # some proxies add the port
        ("10.1.2.3", {"X-Forwarded-For": "1.1.1.1, [2001:db8::1]:61234"}, "2001:db8::1"),
        ("10.1.2.3", {"X-Forwarded-For": "1.1.1.1, unknown"}, "10.1.2.3"),  # the client forged 1.1.1.1
        ("10.1.2.3", {"X-Forwarded-For": "1.1.1.1, unknown, 10.8.8.8"}, "10.8.8.8"),
        ("10.1.2.3", {"X-Forwarded-For": "198.51.100.1, "}, "198.51.100.1"),
        ("fd00::1", {"Forwarded": "for=1.1.1.1, for=_hidden"}, "fd00::1"),
        ("fd00::1", {"Forwarded": "for=1.1.1.1, by=10.0.0.1"}, "fd00::1"),
        ("fd00::1", {"Forwarded": 'for=1.1.1.1;by=", for=198.51.100.1;by="x"'}, "198.51.100.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    peer: str, headers: dict[str, str], found: str
) -> None:
    assert PROXIES.find_address(peer, headers) == found


@pytest.mark.parametrize("setting", ["nginx", "10.0.0.0/99", "10.0.0.0/8;10.1.0.0/16"])
def test_an_invalid_network_in_trusted_proxies_is_refused(setting: str) -> None:
    with pytest.raises(SettingsError, match="trusted_proxies: expected"):
        TrustedProxies(setting)


async def test_a_header_line_added_by_a_proxy_takes_precedence_over_the_clients_own() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=identify_caller(request))

    app = web.Application(middlewares=[read_forwarded(TrustedProxies("127.0.0.1"))])
    app.router.add_get("/", answer)
    lines = [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "198.51.100.1")]  # as HAProxy does it
    async with TestClient(TestServer(app)) as client:
        assert await (await client.get("/", headers=lines)).text() == "198.51.100.1"


def test_repeated_forwarding_metadata_of_grpc_calls_is_joined() -> None:
    metadata = [("x-forwarded-for", "1.1.1.1"), ("x-request-id", "a"), ("x-forwarded-for", "198.51.100.1")]
    found = read_metadata([*metadata, ("x-request-id", "b")])
    assert PROXIES.find_address("10.1.2.3", found) == "198.51.100.1"
    assert found["x-request-id"] == "b"


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("2a00:1450:4001:81b::200e", "2a00:1450:4001:81b::/64"),
        ("2a00:1450:4001:81b:ffff:ffff:ffff:ffff", "2a00:1450:4001:81b::/64"),
        ("2a00:1450:4001:81c::200e", "2a00:1450:4001:81c::/64"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("198.51.100.1", "198.51.100.1"),
        ("fd00::1", "fd00::1"),  # a pod's address
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("::1", "::1"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_all_ipv6_addresses_of_one_64_bit_prefix_are_one_caller(address: str, caller: str) -> None:
    assert find_network(address) == caller


async def test_an_ipv6_prefix_is_one_caller_whose_full_addresses_are_logged() -> None:
    seen, lines = set[str](), list[Any]()

    async def answer(request: web.Request) -> web.Response:
        seen.add(identify_caller(request))
        return web.Response()

    class Lines(AccessLog):
        def write(self, line: Mapping[str, object]) -> None:
            lines.append(line["caller"])

    observers = Observers(Metrics(), Lines(1))
    observe = observe_requests(observers, {})
    app = web.Application(middlewares=[read_forwarded(TrustedProxies("127.0.0.1")), observe])
    app.router.add_get("/", answer)
    addresses = ["2a00:1450::1", "2a00:1450::2"]
    async with TestClient(TestServer(app)) as client:
        for address in addresses:
            await client.get("/", headers={"X-Forwarded-For": address})
    assert (seen, lines) == ({"2a00:1450::/64"}, addresses)


@pytest.mark.parametrize("trusted", ["127.0.0.1", ""])
async def test_callers_behind_a_trusted_proxy_get_permits_separately(start: Start, jpeg: bytes, trusted: str) -> None:
    gate = Gate()
    client = await start(held=gate, in_flight=1, max_wait_s=60, deadline_s=60, trusted_proxies=trusted, queue=4)

    async def post(address: str) -> int:
        answer = await client.post("/v1/mattes", data=jpeg, headers={"X-Forwarded-For": address})
        return answer.status

    greedy = [asyncio.create_task(post("198.51.100.1")) for _ in range(4)]
    await until(lambda: gate.waiting == 1)
    async with asyncio.timeout(10):
        while (await client.get("/v2/health/ready")).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        modest = asyncio.create_task(post("198.51.100.2"))
        await asyncio.sleep(0.2)
        gate.let(5)
        statuses = [*await asyncio.gather(*greedy), await modest]
    assert sorted(statuses) == [200, 200, 200, 200, 429]
    assert statuses[-1] == (200 if trusted else 429)
