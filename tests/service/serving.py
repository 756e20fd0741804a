"""A server as `serve` makes it, with a fake engine, on a socket of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from service.app import build
from service.engine import FakeEngine
from service.listening import address, bound, listening
from service.settings import Settings


@dataclass(frozen=True)
class Running:
    """Its application and where it is."""

    app: web.Application
    url: str
    port: int


@asynccontextmanager
async def served(models: Path, **settings: object) -> AsyncIterator[Running]:
    """Serves until the block ends."""
    chosen = Settings.read(None, **({"models": str(models), "port": 0} | settings))
    app = build(chosen, lambda found: FakeEngine(found.manifest))
    with bound(chosen) as listener:
        async with listening(app, chosen, listener):
            yield Running(app, address(listener, chosen), listener.getsockname()[1])
