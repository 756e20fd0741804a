"""A stopping server reports "not ready", keeps serving for its grace period, drains, and ends.

A starting one opens all its ports before it reports that it is ready.
"""

import asyncio
import signal
from pathlib import Path

from aiohttp import ClientSession

from tests.service.serving import program


async def test_a_stopping_server_is_not_ready_but_serves_during_its_grace_period(models: Path, jpeg: bytes) -> None:
    with program(models, "--grace-s", "600") as (server, url):
        async with ClientSession() as session:
            server.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                while (await session.get(f"{url}/v2/health/ready")).status == 200:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
            assert (await session.get(f"{url}/v2/health/live")).status == 200
            async with session.post(f"{url}/v1/mattes", data=jpeg) as response:
                assert response.status == 200
                assert response.headers["Connection"] == "close"  # the next connection may go to another server
            server.send_signal(signal.SIGTERM)  # a second signal ends the grace
            assert await asyncio.to_thread(server.wait, 60) == 0


async def test_the_admin_port_is_open_when_the_server_reports_ready(models: Path, unused_tcp_port: int) -> None:
    with program(models, "--admin-port", str(unused_tcp_port)):  # it has reported that it is ready
        async with (
            ClientSession() as session,
            session.get(f"http://127.0.0.1:{unused_tcp_port}/v1/admin/models/toy/policy") as policy,
        ):
            assert policy.status == 200
