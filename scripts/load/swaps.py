"""Versions swapped under full load, one of them corrupt; no post may fail."""

import asyncio
import json
import shutil
import socket
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from load.callers import Callers, Tally, mattes
from load.frames import jpegs
from load.server import Server, post_json, served


def run(options: Namespace) -> dict[str, Any]:
    """Add and load one version after another while callers post."""
    with _models(options) as models:
        port = free_port()
        with served(models, "--admin-port", port, "--watch-s", 0, "--model", options.model, cores=None) as server:
            target = mattes(server.address, jpegs(options.frames))
            tally, swaps, memory = asyncio.run(
                _swap_versions(Callers(target), server, models / options.model, port, options)
            )
    failed = sum(count for status, count in tally.statuses.items() if status not in (200, 429)) + tally.failures.total()
    print(f"  {swaps} swaps, {len(tally.versions)} versions answered: {tally}; {failed} failed")
    return {
        **tally.facts(),
        "swaps": swaps,
        "failed": failed,
        "versions": dict(tally.versions),
        "resident_bytes": memory,
        "exit_code": server.exit_code,
    }


async def _swap_versions(
    callers: Callers, server: Server, home: Path, port: int, options: Namespace
) -> tuple[Tally, int, list[int]]:
    done, swaps, memory = asyncio.Event(), 0, []
    load = asyncio.create_task(callers.at_once(options.connections, lambda tally: done.is_set()))
    try:
        for version in range(2, options.swaps + 2):
            add_version(home, version, corrupt=version == 2 + options.swaps // 2)
            url = f"http://127.0.0.1:{port}/v2/repository/models/{home.name}/load"
            _, model = await asyncio.to_thread(post_json, url)
            stable = [item["version"] for item in model.get("versions", []) if "stable" in item.get("labels", [])]
            swaps += stable == [version]
            await asyncio.sleep(options.pause_s)
            memory.append(server.facts()["resident_bytes"])
            print(f"\r  version {version}, {memory[-1] / 2**20:.0f} MiB", end="", flush=True)
    finally:
        done.set()
    print()
    return await load, swaps, memory


def add_version(home: Path, version: int, *, corrupt: bool = False) -> None:
    """Add a copy of version 1 under another number, renamed into place as by the workbench."""
    unfinished = home / f".{version}"
    shutil.copytree(home / "1", unfinished)
    facts = json.loads((home / "1/manifest.json").read_text())
    (unfinished / "manifest.json").write_text(json.dumps(facts | {"version": version}))
    if corrupt:
        (unfinished / "graph.bin").write_bytes((home / "1/graph.bin").read_bytes()[::-1])
    unfinished.rename(home / str(version))


@contextmanager
def _models(options: Namespace) -> Iterator[Path]:
    """Yield a folder of models with only the newest version, as version 1."""
    source = options.models / options.model
    newest = max((path for path in source.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / options.model / "1"
        shutil.copytree(newest, first)
        facts = json.loads((first / "manifest.json").read_text())
        (first / "manifest.json").write_text(json.dumps(facts | {"version": 1}))
        yield Path(folder)


def free_port() -> int:
    """Return a port on which no process listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
