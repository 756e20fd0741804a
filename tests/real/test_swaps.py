"""The real model's versions, swapped under full load: no request fails."""

import asyncio
import json
import shutil
import sys
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.real.shared import ROOT

pytestmark = pytest.mark.slow

MODEL = ROOT / "models/deeplab"
SWAPS = 50
CORRUPT = 25
CALLERS = 4
MEMORY_LIMIT = 1.5


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The newest published version, alone, as version 1."""
    versions = [int(path.name) for path in MODEL.iterdir() if path.name.isdecimal()]
    if not versions:
        pytest.skip(f"{MODEL} has no published version")
    add(MODEL / str(max(versions)), tmp_path / "models/deeplab/1")
    return tmp_path / "models/deeplab"


def add(source: Path, folder: Path, *, corrupt: bool = False) -> None:
    """The version again, renamed into place as the workbench does."""
    unfinished = folder.parent / f".{folder.name}"
    shutil.copytree(source, unfinished)
    facts = json.loads((source / "manifest.json").read_text("utf-8"))
    (unfinished / "manifest.json").write_text(json.dumps(facts | {"version": int(folder.name)}), "utf-8")
    if corrupt:
        (unfinished / "graph.bin").write_bytes(b"no weights")
    unfinished.rename(folder)


@pytest.mark.timeout(1800)
async def test_fifty_swaps_under_full_load_lose_no_request(home: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "danmatte",
        "serve",
        "--port",
        "0",
        "--models",
        str(home.parent),
        "--watch-s",
        "0.2",
    ]
    server = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        address = (await server.stdout.readline()).split()[-1].decode()
        async with aiohttp.ClientSession(address) as session:
            answers, memory = await swap_versions(session, home, server.pid)
    finally:
        server.terminate()
        code = await server.wait()
    assert {status for status, _ in answers} == {200}
    assert {version for _, version in answers} == {str(number) for number in range(1, SWAPS + 2)} - {str(CORRUPT)}
    assert max(memory[-5:]) < MEMORY_LIMIT * max(memory[:5])
    assert code == 0


async def swap_versions(
    session: aiohttp.ClientSession, home: Path, pid: int
) -> tuple[Counter[tuple[int, str]], list[int]]:
    """Return counts of statuses with versions, and resident memory after each swap."""
    answers: Counter[tuple[int, str]] = Counter()
    done = asyncio.Event()
    body = (ROOT / "workbench/danmatte_workbench/samples/two-speakers.jpg").read_bytes()

    async def post() -> None:
        while not done.is_set():
            async with session.post("/v1/mattes?width=320&height=180", data=body) as answer:
                await answer.read()
                answers[answer.status, answer.headers.get("X-Model-Version", "")] += 1

    callers = [asyncio.create_task(post()) for _ in range(CALLERS)]
    memory = []
    for version in range(2, SWAPS + 2):
        add(home / "1", home / str(version), corrupt=version == CORRUPT)
        if version != CORRUPT:
            await wait_for_version(answers, str(version))
        memory.append(resident_bytes(pid))
    done.set()
    await asyncio.gather(*callers)
    return answers, memory


async def wait_for_version(answers: Counter[tuple[int, str]], version: str) -> None:
    """Wait until the version has served a request."""
    async with asyncio.timeout(60):
        while not answers[200, version]:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


def resident_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
