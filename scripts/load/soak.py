"""A long run of posts: losses and growth of memory.

Ctrl-C ends it early and stores the figures so far. SIGTSTP pauses it after the pending responses, so that the machine
can be used otherwise, and SIGCONT resumes it. The server keeps running, and pauses don't count as time.
"""

import json
import signal
import statistics
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from danmatte.capacity.load import Target
from finite import drop_infinite
from load.callers import Tally, mattes
from load.frames import jpegs
from load.server import ROOT, Server, served
from load.wire import start_callers

_LOOKS_S = 0.1


def run(options: Namespace) -> dict[str, Any]:
    """Post `posts` frames of the given height over `connections` connections; return the figures."""
    with choose_models(options) as models, served(models) as server:
        target = mattes(server.address, jpegs(options.frames, options.frame_height))
        tally, memory = post_all(target, server, options)
        found = describe(tally, memory, options)
    print(f"  {tally}; {found['memory_slope_bytes_per_post']:.0f} bytes a post; exit {server.exit_code}")
    return found | {"exit_code": server.exit_code}


@contextmanager
def choose_models(options: Namespace) -> Iterator[Path]:
    """Yield the folder of models to serve; with `--toy`, one with a graph that only averages brightness."""
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
    """Return the figures to store; `failed` counts posts without a mask in response."""
    return {
        **tally.facts(),
        "model": options.model,
        "connections": options.connections,
        "frame_height": options.frame_height,
        "posts": count_posts(tally),
        "failed": count_posts(tally) - len(tally.times_ms),
        "posts_per_s": tally.per_s,
        "memory_bytes": memory,
        "memory_slope_bytes_per_post": slope_bytes(memory),
    }


def post_all(target: Target, server: Server, options: Namespace) -> tuple[Tally, list[tuple[int, int]]]:
    """Run all posts; return the results, and the server's memory by number of posts, sampled about fifty times."""
    memory, tally, every = list[tuple[int, int]](), Tally(), max(1, options.posts // 50)
    stop, go = threading.Event(), threading.Event()
    go.set()

    def is_done(tally: Tally) -> bool:
        return stop.is_set() or count_posts(tally) >= options.posts

    with handle_signals(stop, go):
        threads = start_callers(target, options.connections, is_done, tally, go)
        looked = time.monotonic()
        while any(thread.is_alive() for thread in threads):
            time.sleep(_LOOKS_S)
            now = time.monotonic()
            tally.seconds += now - looked if go.is_set() else 0.0
            looked = now
            if count_posts(tally) >= len(memory) * every:
                memory.append((count_posts(tally), server.facts()["resident_bytes"]))
                store(describe(tally, memory, options), options)
    print()
    return tally, memory


@contextmanager
def handle_signals(stop: threading.Event, go: threading.Event) -> Iterator[None]:
    """Handle signals until the block ends: SIGINT sets `stop`, SIGTSTP clears `go`, SIGCONT sets it."""

    def end(*_: object) -> None:
        stop.set()
        go.set()

    handlers = {
        signal.SIGINT: end,
        signal.SIGTSTP: lambda *_: go.clear(),
        signal.SIGCONT: lambda *_: go.set(),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def store(found: dict[str, Any], options: Namespace) -> None:
    """Store the figures so far, so that they remain if the run is killed."""
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(drop_infinite(found)), encoding="utf-8")
    posts, size = found["memory_bytes"][-1]
    print(f"\r  {posts} posts, {size / 2**20:.0f} MiB, {found['failed']} failed", end="", flush=True)


def count_posts(tally: Tally) -> int:
    """Return the number of finished posts, successful or not."""
    return tally.statuses.total() + tally.failures.total()


def slope_bytes(memory: list[tuple[int, int]]) -> float:
    """Return the growth of memory from the second to the last fifth of a run, in bytes per post.

    Return 0 if the run was too short.
    """
    fifth = len(memory) // 5
    if not fifth:
        return 0.0
    early, late = memory[fifth : 2 * fifth], memory[-fifth:]
    posts, sizes = ([statistics.mean(item[side] for item in part) for part in (early, late)] for side in (0, 1))
    return (sizes[1] - sizes[0]) / max(1.0, posts[1] - posts[0])
