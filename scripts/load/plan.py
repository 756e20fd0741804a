"""What `danmatte plan` predicts beside what the service does: p99 at three loads, and the most streams within a limit.

Every round measures anew, then loads the server of one core and that of all in turn, so that both sides see the same
hour of the machine. Ratios are predicted over measured, and the rounds' medians count.
"""

import asyncio
import itertools
import statistics
from argparse import Namespace
from collections import defaultdict
from typing import Any

import msgspec
import numpy as np

from danmatte.capacity.arrivals import Pattern, Streams
from danmatte.capacity.capacity import Capacity, FrameKind
from danmatte.capacity.check import CheckOptions, check, compare, predict
from danmatte.capacity.frames import make_bodies
from danmatte.capacity.load import Target, run_closed
from danmatte.capacity.measure import PLAYERS_MASK, MeasureOptions, make_target, measure, start_server
from danmatte.capacity.simulation import WorkerModel
from danmatte.settings import Settings

KIND = FrameKind("jpeg", 1280, 720)
LIMIT_S = 0.1
FPS = 5.0
PATTERNS: tuple[Pattern, ...] = ("periodic", "poisson")
NEAR = 2  # streams on either side of the predicted most that are tried
_WARM_S = 3.0


def run(options: Namespace) -> dict[str, Any]:
    """Rounds of measuring, checking and counting streams; then what their medians say."""
    settings = Settings(models=str(options.models), model=options.model)
    rows: list[dict[str, Any]] = []
    streams: dict[tuple[str, int], list[float]] = defaultdict(list)  # measured p99 by pattern and count
    predicted: dict[str, list[int]] = defaultdict(list)
    capacities = []
    for number in range(options.rounds):
        wanted = MeasureOptions(settings, (KIND,), options.frames, seconds=options.seconds / 2)
        capacity = measure(wanted, lambda line: print(f"  {line}"))
        capacities.append(msgspec.to_builtins(capacity))
        for cores in capacity.cores:
            with start_server(settings, cores) as server:
                target = make_target(server.url, KIND, PLAYERS_MASK, make_bodies(KIND, options.frames))
                asyncio.run(run_closed(target, 4 * cores, _WARM_S))
                rows += check_round(capacity, cores, target, options.seconds, number)
                if cores == capacity.cores[-1]:
                    count_streams(capacity.model_worker(cores), target, options.seconds, number, streams, predicted)
    facts = {"ratios": summarize(rows), "most_streams": compare_most(streams, predicted), "rows": rows}
    for line in facts["ratios"] + facts["most_streams"]:
        print(f"  {line}")
    return facts | {"capacities": capacities, "limit_ms": 1e3 * LIMIT_S, "fps": FPS}


def check_round(capacity: Capacity, cores: int, target: Target, seconds: float, number: int) -> list[dict[str, Any]]:
    """The three loads in both patterns: predicted from these cores' own loops, and from those of one core alone."""
    worker, rows = capacity.model_worker(cores), []
    one = msgspec.structs.replace(capacity, loops=tuple(loop for loop in capacity.loops if loop.cores == 1))
    options = CheckOptions(seconds, PATTERNS, seed=number)
    for found in check(worker, target, Streams(1, FPS), options, lambda line: print(f"  {line}")):
        own = Streams(int(found.measured.load.split()[0]), FPS, PATTERNS[PATTERNS.index(found.pattern)])
        from_one = predict(one.model_worker(cores), own, options)[1]
        row = {"cores": cores, "pattern": found.pattern, "share": found.share, "round": number}
        row |= {"predicted": found.predicted, "measured": found.measured}
        row |= {"ratio": found.p99_ratio, "ratio_from_one": 1e3 * from_one.percentile_s(99) / found.measured.p99_ms}
        print(f"  {cores} cores, {found.pattern} {found.share:.0%}: {row['ratio']:.2f} ({row['ratio_from_one']:.2f})")
        rows.append(msgspec.to_builtins(row))
    return rows


def count_streams(
    worker: WorkerModel,
    target: Target,
    seconds: float,
    number: int,
    streams: dict[tuple[str, int], list[float]],
    predicted: dict[str, list[int]],
) -> None:
    """Loads the server with numbers of streams about the predicted most; those of the first round in all rounds."""
    options = CheckOptions(seconds, PATTERNS, seed=number)
    for pattern in PATTERNS:
        most = find_most(worker, pattern, options)
        predicted[pattern].append(most)
        centre = predicted[pattern][0]
        for count in range(max(1, centre - NEAR), centre + NEAR + 1):
            own = Streams(count, FPS, pattern)
            found = compare(worker, target, own, count * FPS / worker.per_s, options)
            streams[pattern, count].append(found.measured.p99_ms)
            print(f"  {pattern}, {count} streams: p99 {found.measured.p99_ms:.0f} ms ({found.predicted.p99_ms:.0f})")


def find_most(worker: WorkerModel, pattern: Pattern, options: CheckOptions) -> int:
    """The most streams whose predicted p99 keeps to the limit."""
    for count in itertools.count(1):
        if predict(worker, Streams(count, FPS, pattern), options)[1].percentile_s(99) > LIMIT_S:
            return count - 1
    raise AssertionError


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The median ratio of the rounds, by cores, pattern and share."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["cores"], row["pattern"], row["share"]].append(row)
    return [
        {
            "cores": cores,
            "pattern": pattern,
            "share": share,
            "ratio": statistics.median(row["ratio"] for row in found),
            "ratio_from_one_core": statistics.median(row["ratio_from_one"] for row in found),
            "rounds": [row["ratio"] for row in found],
        }
        for (cores, pattern, share), found in groups.items()
    ]


def compare_most(streams: dict[tuple[str, int], list[float]], predicted: dict[str, list[int]]) -> list[dict[str, Any]]:
    """The most streams within the limit, predicted and measured, by medians."""
    found = []
    for pattern, counts in predicted.items():
        p99_ms = {count: statistics.median(values) for (own, count), values in streams.items() if own == pattern}
        good = [count for count, value in p99_ms.items() if np.isfinite(value) and value <= 1e3 * LIMIT_S]
        measured = max(good, default=min(p99_ms) - 1)
        facts = {"pattern": pattern, "predicted": statistics.median(counts), "measured": measured}
        found.append(facts | {"p99_ms": {str(count): value for count, value in p99_ms.items()}})
    return found
