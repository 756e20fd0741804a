"""Requests in progress are read from the server's metrics while callers disconnect."""

import asyncio

import pytest

from load.leavers import read_in_flight
from tests.service.conftest import Start
from tests.service.held import Gate
from tests.service.test_app import until


async def test_a_request_in_progress_is_counted(start: Start, jpeg: bytes) -> None:
    gate = Gate()
    client = await start(held=gate)
    post = asyncio.create_task(client.post("/v1/mattes", data=jpeg))
    await until(lambda: gate.waiting == 1)
    during = read_in_flight(await (await client.get("/metrics")).text())
    gate.let()
    await post
    assert during == 1
    assert read_in_flight(await (await client.get("/metrics")).text()) == 0


def test_a_page_without_the_metric_is_an_error() -> None:
    with pytest.raises(SystemExit, match="expected a line danmatte_in_flight"):
        read_in_flight("other_in_flight 3.0\n")
