"""Versions swapped while frames are posted: no request fails, and every response is of one version."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path

from danmatte.app import REPOSITORY
from tests.service.conftest import Start
from tests.service.models.opener import copy_version, spoil
from tests.service.toy import publish

SWAPS = 30
CORRUPT = 7
CALLERS = 6


async def test_no_request_fails_while_versions_are_swapped_and_one_is_corrupt(
    start: Start, tmp_path: Path, jpeg: bytes
) -> None:
    toy = publish(tmp_path, version=1)
    client = await start(models=str(tmp_path), delay_s=0.005, watch_s=0, max_wait_s=10)
    responses: Counter[tuple[int, str]] = Counter()
    done = asyncio.Event()

    async def post() -> None:
        while not done.is_set():
            response = await client.post("/v1/mattes?width=32&height=18", data=jpeg)
            responses[response.status, response.headers.get("X-Model-Version", "")] += 1

    callers = [asyncio.create_task(post()) for _ in range(CALLERS)]
    for version in range(2, SWAPS + 2):
        folder = copy_version(toy, version)
        if version == CORRUPT:
            spoil(folder)
        await client.app[REPOSITORY].refresh()
        if version % 10 == 0:
            shutil.rmtree(toy.parent / str(version - 1))
        await asyncio.sleep(0.01)
    done.set()
    await asyncio.gather(*callers)
    assert {status for status, _ in responses} == {200}
    seen = {int(version) for _, version in responses}
    assert CORRUPT not in seen
    assert len(seen) > SWAPS / 2
    assert (await client.app[REPOSITORY].find()).manifest.version == SWAPS + 1
