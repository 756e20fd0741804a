"""Half of the callers disconnect at a random moment; their requests must leave nothing behind."""

import asyncio
import re
from argparse import Namespace
from typing import Any

from load.callers import Callers, Tally, mattes, run_at_once
from load.frames import jpegs
from load.server import Server, served

WITHIN_S = 0.2


def run(options: Namespace) -> dict[str, Any]:
    """Count requests in progress, descriptors, threads and memory before, during and after the load."""
    with served(options.models) as server:
        target = mattes(server.address, jpegs(options.frames))
        run_at_once(target, options.connections, options.seconds / 10)
        before = _facts(server)
        tally, during = asyncio.run(_watch(Callers(target), server, options))
        after = asyncio.run(_wait_until_settled(server))
        again = run_at_once(target, options.connections, options.seconds / 10)
    print(f"  {tally.left} left; {tally}\n  before {before}\n  after  {after}\n  then {again}")
    return {
        **tally.facts(),
        "before": before,
        "during": during,
        "after": after,
        "then": again.facts(),
        "exit_code": server.exit_code,
    }


async def _watch(callers: Callers, server: Server, options: Namespace) -> tuple[Tally, list[dict[str, int]]]:
    load = asyncio.create_task(callers.leaving(options.connections, options.seconds, WITHIN_S))
    during = []
    while not load.done():
        during.append(await asyncio.to_thread(_facts, server))
        await asyncio.wait([load], timeout=max(1.0, options.seconds / 50))
    return await load, during


async def _wait_until_settled(server: Server) -> dict[str, int]:
    await asyncio.sleep(1)
    return _facts(server)


def _facts(server: Server) -> dict[str, int]:
    return server.facts() | {"inside": read_in_flight(server.get("/metrics"))}


def read_in_flight(page: str) -> int:
    """Return the number of requests and live connections in progress, from a page of Prometheus metrics.

    Raises SystemExit if the page doesn't have that metric.
    """
    found = re.search(r"^danmatte_in_flight ([\d.]+)$", page, re.MULTILINE)
    if not found:
        raise SystemExit("/metrics: expected a line danmatte_in_flight, found none")
    return int(float(found[1]))
