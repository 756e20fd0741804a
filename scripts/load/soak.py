"""Very many posts: what is lost, and how memory grows."""

import asyncio
import statistics
from argparse import Namespace
from typing import Any

from load.callers import Callers, Tally, mattes
from load.frames import jpegs
from load.server import Server, served


def run(options: Namespace) -> dict[str, Any]:
    """`posts` posts over `connections` connections."""
    with served(options.models) as server:
        target = mattes(server.address, jpegs(options.frames))
        tally, memory = asyncio.run(_post_all(Callers(target), server, options))
    slope = slope_bytes(memory)
    failed = sum(tally.statuses.values()) - len(tally.times_ms) + tally.failures.total()
    print(f"  {tally}; {slope:.0f} bytes a post; exit {server.exit_code}")
    return {
        **tally.facts(),
        "model": options.model,
        "connections": options.connections,
        "failed": failed,
        "posts_per_s": tally.per_s,
        "memory_bytes": memory,
        "memory_slope_bytes_per_post": slope,
        "exit_code": server.exit_code,
    }


async def _post_all(callers: Callers, server: Server, options: Namespace) -> tuple[Tally, list[tuple[int, int]]]:
    memory: list[tuple[int, int]] = []

    def enough(tally: Tally) -> bool:
        done = sum(tally.statuses.values()) + tally.failures.total()
        if done >= len(memory) * max(1, options.posts // 50):
            memory.append((done, server.facts()["resident_bytes"]))
            print(f"\r  {done} posts, {memory[-1][1] / 2**20:.0f} MiB", end="", flush=True)
        return bool(done >= options.posts)

    tally = await callers.at_once(options.connections, enough)
    print()
    return tally, memory


def slope_bytes(memory: list[tuple[int, int]]) -> float:
    """Between the second and the last fifth of a run, in bytes a post; 0 when it was too short to say."""
    fifth = len(memory) // 5
    if not fifth:
        return 0.0
    early, late = memory[fifth : 2 * fifth], memory[-fifth:]
    posts, sizes = ([statistics.mean(item[side] for item in part) for part in (early, late)] for side in (0, 1))
    return (sizes[1] - sizes[0]) / max(1.0, posts[1] - posts[0])
