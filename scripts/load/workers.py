"""Workers killed under load, and the server stopped under load."""

import asyncio
import os
import signal
import time
from argparse import Namespace
from typing import Any

from load.callers import Callers, mattes
from load.frames import jpegs
from load.server import Server, served


def run(options: Namespace) -> dict[str, Any]:
    """Kill one worker after another by SIGKILL; then send SIGTERM to the server."""
    with served(options.models, "--workers", options.workers) as server:
        target = mattes(server.address, jpegs(options.frames))
        killed = asyncio.run(_kill_workers(Callers(target), server, options))
        print(f"  killed: {killed}")
        ended = asyncio.run(_stop_server(Callers(target), server, options))
        print(f"  ended: {ended}")
    return {"workers": options.workers, "killed": killed, "ended": ended}


async def _kill_workers(callers: Callers, server: Server, options: Namespace) -> dict[str, Any]:
    done, back_s = asyncio.Event(), []
    load = asyncio.create_task(callers.at_once(options.connections, lambda tally: done.is_set()))
    try:
        for _ in range(options.kills):
            await asyncio.sleep(options.seconds / options.kills)
            workers = server.children()
            os.kill(workers[0], signal.SIGKILL)
            back_s.append(await _until_workers(server, set(workers[:1]), options.workers))
    finally:
        done.set()
    tally = await load
    return tally.facts() | {"kills": options.kills, "back_after_s": back_s}


async def _until_workers(server: Server, dead: set[int], wanted: int) -> float:
    started = time.monotonic()
    while len(set(server.children()) - dead) < wanted:
        if time.monotonic() - started > 60:
            return float("inf")
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def _stop_server(callers: Callers, server: Server, options: Namespace) -> dict[str, Any]:
    """Stop the server: accepted posts must be answered; later ones are rejected, or can't connect."""
    done = asyncio.Event()
    load = asyncio.create_task(callers.at_once(options.connections, lambda tally: done.is_set()))
    await asyncio.sleep(2)
    os.kill(server.pid, signal.SIGTERM)
    code = await asyncio.to_thread(server.wait, 60)
    done.set()
    return (await load).facts() | {"exit_code": code}
