"""Very many posts: what is lost, and how memory grows. Ctrl-C ends it early, with the figures so far."""

import asyncio
import json
import signal
import statistics
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from load.callers import Callers, Tally, mattes
from load.frames import jpegs
from load.server import ROOT, Server, served


def run(options: Namespace) -> dict[str, Any]:
    """`posts` posts over `connections` connections, of frames of the wanted height."""
    with choose_models(options) as models, served(models) as server:
        target = mattes(server.address, jpegs(options.frames, options.frame_height))
        tally, memory = asyncio.run(_post_all(Callers(target), server, options))
        found = describe(tally, memory, options)
    print(f"  {tally}; {found['memory_slope_bytes_per_post']:.0f} bytes a post; exit {server.exit_code}")
    return found | {"exit_code": server.exit_code}


@contextmanager
def choose_models(options: Namespace) -> Iterator[Path]:
    """The folder of models to serve; with `--toy` one that holds a graph that only averages brightness."""
    if not options.toy:
        yield options.models
        return
    sys.path.append(str(ROOT))
    from tests.service.toy import publish

    options.model = "toy"
    with TemporaryDirectory() as folder:
        publish(Path(folder))
        yield Path(folder)


def describe(tally: Tally, memory: list[tuple[int, int]], options: Namespace) -> dict[str, Any]:
    """What is stored; `failed` are posts without the mask that they asked for."""
    return {
        **tally.facts(),
        "model": options.model,
        "connections": options.connections,
        "frame_height": options.frame_height,
        "posts": sum(tally.statuses.values()) + tally.failures.total(),
        "failed": sum(tally.statuses.values()) - len(tally.times_ms) + tally.failures.total(),
        "posts_per_s": tally.per_s,
        "memory_bytes": memory,
        "memory_slope_bytes_per_post": slope_bytes(memory),
    }


async def _post_all(callers: Callers, server: Server, options: Namespace) -> tuple[Tally, list[tuple[int, int]]]:
    memory: list[tuple[int, int]] = []
    stop, began = asyncio.Event(), time.monotonic()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stop.set)

    def is_enough(tally: Tally) -> bool:
        done = sum(tally.statuses.values()) + tally.failures.total()
        if done >= len(memory) * max(1, options.posts // 50):
            memory.append((done, server.facts()["resident_bytes"]))
            tally.seconds = time.monotonic() - began
            # Whoever ends it by force has at least this.
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(describe(tally, memory, options)), encoding="utf-8")
            tally.seconds = 0.0
            print(f"\r  {done} posts, {memory[-1][1] / 2**20:.0f} MiB", end="", flush=True)
        return bool(done >= options.posts or stop.is_set())

    tally = await callers.at_once(options.connections, is_enough)
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
