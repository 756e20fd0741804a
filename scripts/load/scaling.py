"""Throughput on two cores compared with one: masks, and raw tensors over V2.

The load generator runs on the server's cores, because a machine of two cores has no others. Both sides of the
comparison have this cost.
"""

import os
import statistics
from argparse import Namespace
from pathlib import Path
from typing import Any

from danmatte.capacity.load import Target
from load.callers import Tally, mattes, run_at_once
from load.frames import jpegs, make_v2_bodies
from load.server import Server, served


def run(options: Namespace) -> dict[str, Any]:
    """Load a server on one core and one on two cores in alternating rounds; the other one is idle meanwhile."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("expected at least two cores")
    with served(options.models, cores=set(cores[:1])) as one, served(options.models, cores=set(cores[:2])) as two:
        servers = {"one core": (one, set(cores[:1])), "two cores": (two, set(cores[:2]))}
        kinds = {"mattes": mattes_of, "v2": v2_of}
        try:
            return {kind: _rounds(servers, make, options) for kind, make in kinds.items()}
        finally:
            os.sched_setaffinity(0, cores)


def _rounds(servers: dict[str, tuple[Server, set[int]]], make: Any, options: Namespace) -> dict[str, Any]:
    tallies: dict[str, list[tuple[Tally, float]]] = {name: [] for name in servers}
    targets = {name: make(server, options) for name, (server, _) in servers.items()}
    for number in range(options.rounds + 1):
        for name, (server, cores) in servers.items():
            os.sched_setaffinity(0, cores)
            before = server.cpu_s()
            tally = run_at_once(targets[name], options.connections, options.seconds / options.rounds)
            if number:  # the first round is a warm-up
                tallies[name].append((tally, (server.cpu_s() - before) / max(1, len(tally.times_ms))))
    rates = {name: [tally.per_s for tally, _ in found] for name, found in tallies.items()}
    ratios = [two / one for one, two in zip(rates["one core"], rates["two cores"], strict=True) if one]
    print(f"  {make.__name__}: {statistics.median(ratios):.2f} times as many on two cores")
    return {"ratio": statistics.median(ratios), "ratios": ratios} | {
        name: {
            "per_s": rates[name],
            "p50_ms": [tally.percentile_ms(50) for tally, _ in found],
            "p99_ms": [tally.percentile_ms(99) for tally, _ in found],
            "cpu_s_per_frame": [cpu_s for _, cpu_s in found],
        }
        for name, found in tallies.items()
    }


def mattes_of(server: Server, options: Namespace) -> Target:
    """Return a target for masks of 320×180 from 720p frames."""
    return mattes(server.address, jpegs(options.frames))


def v2_of(server: Server, options: Namespace) -> Target:
    """Return a target for raw tensors over V2."""
    bodies, headers = make_v2_bodies(options.frames, newest(options) / "manifest.json")
    return Target(f"{server.address}/v2/models/{options.model}/infer", bodies, headers)


def newest(options: Namespace) -> Path:
    """Return the folder of the version that is served."""
    home: Path = options.models / options.model
    return max((path for path in home.iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
