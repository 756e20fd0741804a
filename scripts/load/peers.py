"""Comparison with FastAPI and LitServe: the same graph, frames and masks, in alternating rounds."""

import statistics
import subprocess
import sys
from argparse import Namespace
from contextlib import ExitStack
from typing import Any

from danmatte.capacity.load import Target
from load.callers import Tally, mattes, run_at_once
from load.frames import jpegs
from load.scaling import newest
from load.server import ROOT, Server, served
from load.swaps import free_port

HOME = ROOT / "build/peers"
PACKAGES = ("fastapi", "uvicorn", "litserve")


def run(options: Namespace) -> dict[str, Any]:
    """Start all servers, and load one at a time."""
    _install()
    bodies = jpegs(options.frames)
    with ExitStack() as stack:
        own = stack.enter_context(served(options.models))
        servers, targets = {"danmatte": own}, {"danmatte": mattes(own.address, bodies)}
        for name in ("fastapi", "litserve"):
            servers[name] = stack.enter_context(_peer(name, options))
            targets[name] = Target(f"{servers[name].address}/mask", bodies, {"Content-Type": "image/jpeg"})
        tallies = _rounds(targets, options)
        facts = {name: _facts(tallies[name]) | servers[name].facts() for name in servers}
    for name, found in facts.items():
        print(f"  {name:9} {found['per_s']:.1f}/s, p50 {found['p50_ms']:.1f} ms, p99 {found['p99_ms']:.1f} ms")
    return {"peers": facts, "versions": _versions()}


def _rounds(targets: dict[str, Target], options: Namespace) -> dict[str, list[Tally]]:
    tallies: dict[str, list[Tally]] = {name: [] for name in targets}
    for number in range(options.rounds + 1):
        for name, target in targets.items():
            tally = run_at_once(target, options.connections, options.seconds / options.rounds)
            if number:  # the first round is a warm-up
                tallies[name].append(tally)
    return tallies


def _facts(tallies: list[Tally]) -> dict[str, Any]:
    return {
        "per_s": statistics.median(tally.per_s for tally in tallies),
        "p50_ms": statistics.median(tally.percentile_ms(50) for tally in tallies),
        "p99_ms": statistics.median(tally.percentile_ms(99) for tally in tallies),
        "rounds": [tally.facts() for tally in tallies],
    }


def _peer(name: str, options: Namespace) -> Server:
    port = free_port()
    command = [sys.executable, ROOT / f"scripts/peers/{name}_server.py", port, newest(options)]
    return Server(command, f"http://127.0.0.1:{port}", PYTHONPATH=str(HOME))


def _install() -> None:
    """Install the frameworks outside of our environment, which must keep its pinned versions."""
    if not (HOME / "litserve").is_dir():
        print(f"installing {', '.join(PACKAGES)} into {HOME}")
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", HOME, *PACKAGES], check=True)


def _versions() -> dict[str, str]:
    found = (path.name.split("-") for path in HOME.glob("*.dist-info"))
    return {name: version.removesuffix(".dist") for name, version, *_ in found if name in PACKAGES}
