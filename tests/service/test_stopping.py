"""A stopping server reports "not ready", keeps serving for its grace period, drains, and ends.

A starting one opens all its ports before it reports that it is ready.
"""

import asyncio
import signal
from pathlib import Path

from aiohttp import ClientSession

from tests.service.serving import program


async def test_a_server_that_leaves_serves_on_though_it_is_not_ready(models: Path, jpeg: bytes) -> None:
    with program(models, "--grace-s", "600") as (server, url):
        async with ClientSession() as session:
            server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                while (await session.get(f"{url}/v2/health/ready")).status == 200:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
            assert (await session.get(f"{url}/v2/health/live")).status == 200
            async with session.post(f"{url}/v1/mattes", data=jpeg) as answer:
                assert answer.status == 200
                assert answer.headers["Connection"] == "close"  # the next connection may go to another server
            server.send_signal(signal.SIGTERM)  # a second signal ends the grace
            assert await asyncio.to_thread(server.wait, 60) == 0


async def test_a_ready_server_has_its_admin_port_ready(models: Path, unused_tcp_port: int) -> None:
    with program(models, "--admin-port", str(unused_tcp_port)):  # it has reported that it is ready
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{unused_tcp_port}/v1/admin/models/toy/policy") as policy,
        ):
            assert policy.status == 200
