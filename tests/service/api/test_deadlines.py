"""Deadlines include everything after the body, such as opening a version."""

import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from danmatte.app import build
from danmatte.contract.artifact import Artifact
from danmatte.engine import FakeEngine
from danmatte.settings import Settings
from tests.service.toy import Toy

TOY = Toy()
RAW = bytes(TOY.height * TOY.width * 3)


@pytest.fixture
async def slow(models: Path) -> AsyncIterator[TestClient]:
    """A server whose older version takes seconds to open."""
    let = threading.Event()

    def opened(found: Artifact) -> FakeEngine:
        if found.manifest.version == 1:
            let.wait(20)
        return FakeEngine(found.manifest)

    app = build(Settings.read(None, models=str(models), deadline_s=0.3), opened)
    async with TestClient(TestServer(app)) as client:
        yield client
        let.set()


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/v1/models/toy/versions/1:predict", b'{"instances": []}', {}, 504),
        ("/v2/models/toy/versions/1/infer", RAW, {"Inference-Header-Content-Length": "0"}, 503),
        ("/v2/models/toy/versions/1", None, {}, 503),
        ("/v2/models/toy/versions/1/ready", None, {}, 503),
        ("/v1/models/toy/versions/1/metadata", None, {}, 503),
    ],
)
async def test_a_request_times_out_while_its_version_is_still_opening(
    slow: TestClient, path: str, body: bytes | None, headers: dict[str, str], status: int
) -> None:
    began = time.monotonic()
    answer = await slow.request("POST" if body else "GET", path, data=body, headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (status, "deadline_exceeded")
    assert time.monotonic() - began < 3


async def test_a_deadline_in_the_request_header_covers_opening_a_version(slow: TestClient) -> None:
    headers = {"Inference-Header-Content-Length": "0", "X-Deadline-Ms": "20"}
    answer = await slow.post("/v2/models/toy/versions/1/infer", data=RAW, headers=headers)
    assert "0.02 s" in (await answer.json())["error"]
