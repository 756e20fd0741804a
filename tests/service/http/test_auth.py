"""Authentication of requests, and security headers."""

import asyncio
import hashlib
import signal
from pathlib import Path

import pytest
from aiohttp import ClientSession

from danmatte.app import LIVE, RENEW
from danmatte.http.file_watch import FILES
from tests.service.conftest import Start
from tests.service.serving import program


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """A file with one key, `secret`."""
    file = tmp_path / "keys.toml"
    file.write_text(f'player = "sha256:{hashlib.sha256(b"secret").hexdigest()}"\n')
    return str(file)


async def test_a_post_without_a_valid_key_is_unauthorized(start: Start, keys: str, jpeg: bytes) -> None:
    client = await start(keys=keys)
    for headers in ({}, {"X-Api-Key": "guess"}, {"Authorization": "Bearer guess"}):
        answer = await client.post("/v1/mattes", data=jpeg, headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (401, "unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert "guess" not in await answer.text()


@pytest.mark.parametrize("headers", [{"X-Api-Key": "secret"}, {"Authorization": "Bearer secret"}])
async def test_a_post_with_a_valid_key_is_served(start: Start, keys: str, jpeg: bytes, headers: dict[str, str]) -> None:
    client = await start(keys=keys)
    assert (await client.post("/v1/mattes", data=jpeg, headers=headers)).status == 200


@pytest.mark.parametrize(("opened", "status"), [(False, 401), (True, 200)])
async def test_metrics_need_a_key_unless_open_metrics_is_set(
    start: Start, keys: str, opened: bool, status: int
) -> None:
    client = await start(keys=keys, open_metrics=opened)
    assert (await client.get("/metrics")).status == status
    assert (await client.get("/v2/health/live")).status == 200
    assert (await client.get("/v2/health/ready")).status == 200


@pytest.mark.parametrize("path", ["/nowhere", "/v1/models", "/v2", "/v2/health", "/v2/health/ready/"])
async def test_every_other_path_needs_a_key_even_if_it_does_not_exist(start: Start, keys: str, path: str) -> None:
    client = await start(keys=keys)
    assert (await client.get(path)).status == 401


async def test_responses_have_security_headers(start: Start, jpeg: bytes) -> None:
    client = await start()
    for answer in (await client.get("/nowhere"), await client.post("/v1/mattes?format=png", data=jpeg)):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_sighup_reloads_the_keys(models: Path, keys: str, jpeg: bytes) -> None:
    with program(models, "--keys", keys) as (server, address):

        async def status(key: str) -> int:
            async with ClientSession() as session:
                return (await session.post(f"{address}/v1/mattes", data=jpeg, headers={"X-Api-Key": key})).status

        assert [await status("secret"), await status("another")] == [200, 401]
        replace(keys, "another")
        server.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while await status("another") != 200:  # noqa: ASYNC110 - the server's process sends no event
                await asyncio.sleep(0.05)
        assert await status("secret") == 401


def replace(keys: str, key: str) -> None:
    """Replace the key file's content by this key."""
    Path(keys).write_text(f'other = "sha256:{hashlib.sha256(key.encode()).hexdigest()}"\n')


async def test_a_changed_key_file_is_reloaded_without_a_signal(start: Start, tmp_path: Path) -> None:
    """In Kubernetes, no signal is sent when a mounted Secret changes."""
    file = tmp_path / "keys.toml"
    replace(str(file), "one")
    client = await start(keys=str(file), watch_s=0)
    live = await client.ws_connect("/v1/stream", headers={"X-Api-Key": "one"})
    replace(str(file), "two")
    for _ in range(2):
        await client.app[FILES].look()
    for key, status in (("one", 401), ("two", 200)):
        assert (await client.get("/v1/models", headers={"X-Api-Key": key})).status == status
    async with asyncio.timeout(10):
        await live.receive()
    assert live.close_code == 1008


async def test_a_revoked_key_ends_its_live_connections_and_no_other(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    lines = {name: f'{name} = "sha256:{hashlib.sha256(name.encode()).hexdigest()}"\n' for name in ("gone", "kept")}
    file.write_text("".join(lines.values()))
    client = await start(keys=str(file))
    gone = await client.ws_connect("/v1/stream", headers={"X-Api-Key": "gone"})
    kept = await client.ws_connect("/v1/stream", headers={"X-Api-Key": "kept"})
    file.write_text(lines["kept"])
    client.app[RENEW]()
    async with asyncio.timeout(10):
        await gone.receive()
    assert gone.close_code == 1008
    assert not kept.closed
    assert len(client.app[LIVE]) == 1
    await kept.close()
