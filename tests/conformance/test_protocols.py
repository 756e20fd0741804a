"""Requirements of every HTTP protocol; a new one only has to be listed in `danmatte.api.protocols`."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from danmatte import app
from danmatte.api import protocols
from danmatte.api.openapi import document
from danmatte.api.openapi.operations import describe_operation
from danmatte.api.protocol import HttpProtocol, Shared
from danmatte.engine import FakeEngine
from danmatte.errors import QueueFullError
from danmatte.http.request_keys import TIMING, identify_caller
from danmatte.inference.admission import Admission
from danmatte.inference.live_calls import LiveCalls
from danmatte.inference.matting import Matting
from danmatte.inference.request import Requests
from danmatte.models import Repository
from danmatte.settings import Settings
from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.timing import Timing
from tests.service.conftest import models

__all__ = ["models"]


def list_routes(kind: type[HttpProtocol], models: Path) -> set[tuple[str, str]]:
    """Return method and path of each route, with path parameters without their patterns."""
    repository = Repository(models, lambda found: FakeEngine(found.manifest))
    matting = Matting(workers=1, max_pixels=1)
    requests = Requests(repository, Admission(queue=1, in_flight=1, deadline_s=1), matting, LiveCalls(1))
    routes = kind(Shared(requests, Settings.read(None, models=str(models)), Metrics())).routes()
    matting.close()
    return {(route.method.lower(), re.sub(r"\{(\w+):[^{}]*\}", r"{\1}", route.path)) for route in routes}


@pytest.mark.parametrize("kind", protocols.PROTOCOLS)
def test_the_routes_of_a_protocol_equal_its_description(kind: type[HttpProtocol], models: Path) -> None:
    described = {(method, path) for path, item in kind.describe(["toy"]).items() for method in item}
    assert described == list_routes(kind, models)


@pytest.mark.parametrize("kind", protocols.PROTOCOLS)
def test_the_operations_of_a_protocol_have_its_tag_and_a_summary(kind: type[HttpProtocol]) -> None:
    operations = [operation for item in kind.describe(()).values() for operation in item.values()]
    assert {tag for operation in operations for tag in operation["tags"]} == {kind.tag[0]}
    assert all(operation["summary"] for operation in operations)


@pytest.mark.parametrize("kind", protocols.PROTOCOLS)
def test_each_path_is_counted_under_its_own_protocol(kind: type[HttpProtocol], models: Path) -> None:
    prefixes = dict(pair for each in protocols.PROTOCOLS for pair in each.prefixes)
    for _, path in list_routes(kind, models):
        longest = max((prefix for prefix in prefixes if path.startswith(prefix)), key=len)
        assert longest in dict(kind.prefixes), path


@pytest.mark.parametrize("kind", protocols.PROTOCOLS)
def test_public_paths_are_among_the_protocols_routes(kind: type[HttpProtocol], models: Path) -> None:
    assert kind.public <= {path for _, path in list_routes(kind, models)}


def test_prefixes_of_protocols_are_unique() -> None:
    prefixes = [prefix for kind in protocols.PROTOCOLS for prefix, _ in kind.prefixes]
    assert len(prefixes) == len(set(prefixes))


class SizeRoutes(HttpProtocol):
    """A test protocol that returns the size of a body."""

    tag = ("size", "a trial")
    prefixes = (("/trial/size", "size"),)

    @classmethod
    def describe(cls, models: Sequence[str]) -> dict[str, Any]:
        return {"/trial/size": {"post": describe_operation("size", "So many bytes", {})}}

    def routes(self) -> list[web.RouteDef]:
        return [web.post("/trial/size", self.measure)]

    async def measure(self, http: web.Request) -> web.Response:
        timing = http[TIMING] = Timing()
        async with self._requests.open(identify_caller(http)):
            with timing.phase("decode"):
                body = await http.read()
            if not body:
                raise QueueFullError("nothing is too much")
        return web.Response(text=str(len(body)))


@asynccontextmanager
async def serve(models: Path) -> AsyncIterator[TestClient]:
    built = app.build(Settings.read(None, models=str(models)), lambda found: FakeEngine(found.manifest))
    async with TestClient(TestServer(built)) as client:
        yield client


async def test_a_new_protocol_class_is_served_counted_and_described(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (app, document):
        monkeypatch.setattr(module, "PROTOCOLS", (*protocols.PROTOCOLS, SizeRoutes))
    async with serve(models) as client:
        answer = await client.post("/trial/size", data=b"12345")
        assert (answer.status, await answer.text()) == (200, "5")
        refused = await client.post("/trial/size")
        assert (refused.status, (await refused.json())["code"]) == (429, "queue_full")
        assert refused.headers["Retry-After"]
        page = await (await client.get("/metrics")).text()
        assert 'danmatte_requests_total{model="",outcome="answered",protocol="size",region="",version=""} 1.0' in page
        assert 'danmatte_requests_total{model="",outcome="refused",protocol="size",region="",version=""} 1.0' in page
        described = await (await client.get("/openapi.json")).json()
        assert described["paths"]["/trial/size"]["post"]["summary"] == "So many bytes"
        assert {"name": "size", "description": "a trial"} in described["tags"]
