"""Fixtures: a server on a real socket, pictures, and a check that nothing blocks the event loop."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from danmatte.app import build
from danmatte.contract.artifact import Artifact
from danmatte.engine import FakeEngine
from danmatte.settings import Settings
from tests.service import pictures
from tests.service.held import Gate, HeldEngine
from tests.service.ports import publish_meaning
from tests.service.serving import read_environment
from tests.service.toy import publish

Start = Callable[..., Awaitable[TestClient]]
LOOP_CPU_S = 0.05
LOOP_WALL_S = 2.0


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two versions of one toy model; read-only."""
    root = tmp_path_factory.mktemp("models")
    publish(root, version=1)
    publish(root, version=2)
    return root


@pytest.fixture(scope="session")
def judging_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a model that scores bright pictures as good, and one that finds people where a picture is bright."""
    root = tmp_path_factory.mktemp("models")
    publish_meaning(root, "score", name="quality")
    publish(root)
    return root


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """Return a 640×360 JPEG with a bright rectangle."""
    return pictures.encoded(".jpg", pictures.rectangle(360, 640))


@pytest.fixture
async def start(models: Path) -> AsyncIterator[Start]:
    """Return a function that starts a server on a free port.

    `delay_s` is the time of its fake engine; with `real`, OpenVINO computes; `held` is a gate at which pictures wait.
    """
    clients: list[TestClient] = []

    async def started(
        *, delay_s: float = 0.0, real: bool = False, held: Gate | None = None, **settings: object
    ) -> TestClient:
        def open_engine(found: Artifact) -> FakeEngine:
            return HeldEngine(found.manifest, held) if held else FakeEngine(found.manifest, delay_s)

        app = build(Settings.read(None, **({"models": str(models)} | settings)), None if real else open_engine)
        clients.append(TestClient(TestServer(app)))
        await clients[-1].start_server()
        return clients[-1]

    yield started
    for client in clients:
        await client.close()


@pytest.fixture
def process(models: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `danmatte serve` as a separate process; yield it and its address."""
    command = [sys.executable, "-m", "danmatte", "serve", "--port", "0", "--models", str(models)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=read_environment()) as server:
        try:
            yield server, server.stdout.readline().split()[-1]
        finally:
            server.kill()


@contextmanager
def watched_loop() -> Iterator[None]:
    """Fail if a callback computes on the event loop, or blocks it.

    CPU time of the loop's thread distinguishes computing from waiting on a busy machine.
    """
    slow: list[str] = []
    run = asyncio.Handle._run

    def watched(handle: asyncio.Handle) -> None:
        cpu_s, wall_s = time.thread_time(), time.monotonic()
        run(handle)
        cpu_s, wall_s = time.thread_time() - cpu_s, time.monotonic() - wall_s
        if cpu_s > LOOP_CPU_S or wall_s > LOOP_WALL_S:
            slow.append(f"{handle!r}: {cpu_s:.3f} s of CPU, {wall_s:.3f} s in all")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", watched)
        yield
    assert not slow, "\n".join(slow)


@pytest.fixture
def free_loop() -> Iterator[None]:
    """Make the test fail if anything computes on its event loop."""
    with watched_loop():
        yield
