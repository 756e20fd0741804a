"""A server with a fake engine on a real socket, and `danmatte serve` as a separate process."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from danmatte.app import build
from danmatte.engine import FakeEngine
from danmatte.http.listener import bind, build_url, listen
from danmatte.settings import Settings
from tests.service.held import Gate, HeldEngine


@dataclass(frozen=True)
class Running:
    """A running server: its application, URL and port."""

    app: web.Application
    url: str
    port: int


@asynccontextmanager
async def served(models: Path, *, held: Gate | None = None, **settings: object) -> AsyncIterator[Running]:
    """Serve while the block runs; pictures wait at the gate `held`, if there is one."""
    chosen = Settings.read(None, **({"models": str(models), "port": 0} | settings))
    app = build(chosen, lambda found: HeldEngine(found.manifest, held) if held else FakeEngine(found.manifest))
    with bind(chosen) as listener:
        async with listen(app, chosen, listener):
            yield Running(app, build_url(listener, chosen), listener.getsockname()[1])


def read_environment() -> dict[str, str]:
    """Return the environment without the tests' variables, because a server would refuse those as unknown settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DANMATTE_")}


@contextmanager
def program(models: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `danmatte serve` as a separate process; yield it and its address."""
    command = [sys.executable, "-m", "danmatte", "serve", "--port", "0", "--models", str(models), *flags]
    root, quiet = Path(__file__).parents[2], read_environment()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root, env=quiet) as server:
        try:
            yield server, server.stdout.readline().split()[-1]
        finally:
            server.kill()
