"""Predictions of `danmatte plan` compared with measurements: p99 at three loads, and the maximum number of streams.

Every round measures the capacity again, then loads the server on one core and on all cores, so that predictions and
measurements are made under the same conditions. Rounds of a few minutes are added to the stored file. Ratios are
predicted over measured; the median over rounds is reported.
"""

import asyncio
import itertools
import json
import statistics
from argparse import Namespace
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import msgspec
import numpy as np

from danmatte.capacity.arrivals import Pattern, Streams
from danmatte.capacity.capacity import Capacity, FrameKind
from danmatte.capacity.check import SHARES, CheckOptions, list_latencies, predict, run_load
from danmatte.capacity.frames import make_bodies
from danmatte.capacity.load import PostResult, Target, run_closed
from danmatte.capacity.measure import PLAYERS_MASK, LoopRun, MeasureOptions, make_target, measure, start_server
from danmatte.capacity.simulation import Slowness, WorkerModel, join
from danmatte.contract.cores import list_cpus
from danmatte.settings import Settings
from load.pace import WINDOW_S, Pace, PaceMeter

KIND = FrameKind("jpeg", 1280, 720)
LIMIT_S = 0.1
FPS = 5.0
PATTERNS: tuple[Pattern, ...] = ("periodic", "poisson")
NEAR = 2  # streams above and below the predicted maximum that are tried
RULE = (
    "On each core a fixed piece of work runs every 10 ms. Its CPU time over the usual one, in windows of "
    f"{WINDOW_S:g} s, is the core's slowness, which is caused by load outside of this machine. `paced` predictions use "
    "times of frames divided by the slowness of the server's cores while they were measured, and multiplied by the "
    "slowness at each moment of the load. `plain` predictions use the times unchanged. All requests count. p99 is that "
    "of answered requests; the share of rejected ones is given separately."
)
_WARM_S = 3.0
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class LoadRun:
    """A finished load; `describe` compares it with predictions once the slowness of cores is known."""

    cores: int
    streams: Streams
    check: CheckOptions
    share: float
    began_s: float
    replies: list[PostResult]

    def describe(self, pace: Pace, capacities: "Capacities") -> Row:
        """Return measured and predicted figures: with and without the cores' slowness, and from one core's times."""
        latencies_s, cores = list_latencies(self.replies), list_cpus()[: self.cores]

        def slowness(moment_s: float) -> float:
            return pace.read(self.began_s + moment_s, cores)

        return {
            "cores": self.cores,
            "pattern": self.streams.pattern,
            "share": self.share,
            "streams": self.streams.count,
            "requests": len(latencies_s),
            "slowness": float(np.mean([pace.read(reply.due_s, cores) for reply in self.replies])),
            "measured": summarize([latencies_s]),
            "paced": self._simulate(capacities.paced, slowness),
            "paced_from_one_core": self._simulate(only_one_core(capacities.paced), slowness),
            "plain": self._simulate(capacities.plain),
        }

    def _simulate(self, capacity: Capacity, slowness: Slowness = lambda _: 1.0) -> dict[str, float]:
        runs = predict(capacity.model_worker(self.cores), self.streams, self.check, slowness)[1]
        return summarize([each.latencies_s for each in runs])


@dataclass(frozen=True)
class Capacities:
    """The measured capacity, and the capacity corrected for the slowness of cores."""

    plain: Capacity
    paced: Capacity

    @classmethod
    def find(cls, found: Capacity, runs: list[LoopRun], pace: Pace) -> "Capacities":
        """Correct every reply of the loops."""
        loops = tuple(run.summarize(partial(pace.read, cores=list_cpus()[: run.cores])) for run in runs)
        return cls(found, msgspec.structs.replace(found, loops=loops))


def summarize(runs: list[np.ndarray]) -> dict[str, float]:
    """Return percentiles of answered requests, in ms, and the share of rejected ones."""
    latencies_s = np.concatenate(runs)
    answered = latencies_s[np.isfinite(latencies_s)]
    p50_ms, p99_ms = (1e3 * np.percentile(answered, (50, 99))).tolist() if answered.size else (np.nan, np.nan)
    refused = 1 - answered.size / latencies_s.size if latencies_s.size else np.nan
    every_p99_ms = 1e3 * np.percentile(latencies_s, 99, method="higher") if latencies_s.size else np.nan
    return {"p50_ms": p50_ms, "p99_ms": p99_ms, "refused_share": refused, "p99_of_all_ms": float(every_p99_ms)}


def run(options: Namespace) -> dict[str, Any]:
    """Run `rounds` more rounds; return all rounds and figures from their medians."""
    rounds: list[Row] = read_rounds(options)
    for number in range(len(rounds), len(rounds) + options.rounds):
        with PaceMeter(list_cpus()) as meter:
            runs, loads, capacity = run_round(options, number)
        rounds.append(describe_round(runs, loads, Capacities.find(capacity, runs, meter.read()), meter.read()))
        print(f"  round {number}: cores were slow for {rounds[-1]['slow_share']:.0%} of the time")
    found = {"ratios": compare_loads(rounds), "most_streams": compare_most(rounds)}
    for line in found["ratios"] + found["most_streams"]:
        print(f"  {line}")
    return found | {"rule": RULE, "limit_ms": 1e3 * LIMIT_S, "fps": FPS, "rounds": rounds}


def describe_round(runs: list[LoopRun], loads: list[LoadRun], capacities: Capacities, pace: Pace) -> Row:
    """Return a round's facts for storage. Loads after those by share are those by number of streams."""
    shares = len(SHARES) * len(PATTERNS) * len(capacities.plain.cores)
    rows = [load.describe(pace, capacities) for load in loads]
    return {
        "slow_share": pace.slow_share,
        "per_s": {str(cores): capacities.plain.model_worker(cores).per_s for cores in capacities.plain.cores},
        "loads": rows[:shares],
        "counts": rows[shares:],
        "predicted_most": {pattern: find_most(capacities.paced, pattern) for pattern in PATTERNS},
    }


def read_rounds(options: Namespace) -> list[Row]:
    """Return the stored rounds."""
    return list(json.loads(options.json.read_text(encoding="utf-8"))["rounds"]) if options.json.exists() else []


def run_round(options: Namespace, number: int) -> tuple[list[LoopRun], list[LoadRun], Capacity]:
    """Measure the capacity, then run loads: shares of it in both patterns, and in even rounds numbers of streams.

    These numbers are near the maximum within the limit.
    """
    settings = Settings(models=str(options.models), model=options.model)
    wanted = MeasureOptions(settings, (KIND,), options.frames, seconds=options.seconds)
    runs: list[LoopRun] = []
    loads: list[LoadRun] = []
    counts: list[LoadRun] = []
    capacity = measure(wanted, lambda line: print(f"  {line}", flush=True), runs.append)
    check = CheckOptions(options.seconds, PATTERNS, seed=number)
    for cores in capacity.cores:
        with start_server(settings, cores) as server:
            target = make_target(server.url, KIND, PLAYERS_MASK, make_bodies(KIND, options.frames))
            asyncio.run(run_closed(target, 4 * cores, _WARM_S))
            worker = capacity.model_worker(cores)
            for share, pattern in itertools.product(SHARES, PATTERNS):
                count = max(1, round(share * worker.per_s / FPS))
                loads.append(load(worker, target, Streams(count, FPS, pattern), check))
            if cores == capacity.cores[-1] and number % 2 == 0:  # every second round, because it takes long
                for pattern, count in list_counts(capacity, options):
                    counts.append(load(worker, target, Streams(count, FPS, pattern), check))
    return runs, loads + counts, capacity


def load(worker: WorkerModel, target: Target, streams: Streams, check: CheckOptions) -> LoadRun:
    """Run one load."""
    arrivals, predicted = predict(worker, streams, check)
    replies = run_load(target, arrivals)
    sides = join(predicted).percentile_s(99), np.percentile(list_latencies(replies), 99, method="higher")
    said = " and ".join(f"{1e3 * side:.0f}" for side in sides)
    print(f"  {worker.cores} cores, {streams.pattern}, {streams.count}: {said} ms", flush=True)
    began_s = replies[0].due_s - float(arrivals.moments_s[0])
    return LoadRun(worker.cores, streams, check, streams.count * streams.fps / worker.per_s, began_s, replies)


def only_one_core(capacity: Capacity) -> Capacity:
    """Return the capacity as if only one core had been measured."""
    return msgspec.structs.replace(capacity, loops=tuple(loop for loop in capacity.loops if loop.cores == 1))


def list_counts(capacity: Capacity, options: Namespace) -> list[tuple[Pattern, int]]:
    """Return numbers of streams to try, near the predicted maximum; later rounds repeat those of the first."""
    if rounds := read_rounds(options):
        return [(row["pattern"], row["streams"]) for row in rounds[0]["counts"]]
    found: list[tuple[Pattern, int]] = []
    for pattern in PATTERNS:
        most = find_most(capacity, pattern)
        found += [(pattern, count) for count in range(max(1, most - NEAR), most + NEAR + 1)]
    return found


def find_most(capacity: Capacity, pattern: Pattern) -> int:
    """Return the maximum number of streams whose predicted p99 on all cores is within the limit."""
    worker, check = capacity.model_worker(capacity.cores[-1]), CheckOptions(10.0, PATTERNS)
    for count in itertools.count(1):
        if p99_s(worker, Streams(count, FPS, pattern), check) > LIMIT_S:
            return count - 1
    raise AssertionError


def p99_s(worker: WorkerModel, streams: Streams, check: CheckOptions) -> float:
    """Return the predicted p99 of all requests over several draws of the arrivals."""
    draws = [predict(worker, streams, replace(check, seed=seed))[1][:4] for seed in range(5)]
    return join(list(itertools.chain(*draws))).percentile_s(99)


def compare_loads(rounds: list[Row]) -> list[Row]:
    """Return the median ratio over rounds, by cores, pattern and share."""
    groups = defaultdict(list)
    for row in itertools.chain(*(each["loads"] for each in rounds)):
        groups[row["cores"], row["pattern"], min(SHARES, key=lambda share: abs(share - row["share"]))].append(row)
    return [
        {
            "cores": cores,
            "pattern": pattern,
            "share": share,
            "ratio": statistics.median(list_ratios(found, "paced")),
            "ratio_from_one_core": statistics.median(list_ratios(found, "paced_from_one_core")),
            "ratio_without_pace": statistics.median(list_ratios(found, "plain")),
            "rounds": list_ratios(found, "paced"),
        }
        for (cores, pattern, share), found in groups.items()
    ]


def list_ratios(rows: list[Row], predicted: str) -> list[float]:
    """Return the ratios of predicted over measured p99."""
    return [row[predicted]["p99_ms"] / row["measured"]["p99_ms"] for row in rows]


def compare_most(rounds: list[Row]) -> list[Row]:
    """Return the maximum streams within the limit, predicted with slowness and measured, from medians over rounds."""
    found = []
    for pattern in PATTERNS:
        rows = [row for each in rounds for row in each["counts"] if row["pattern"] == pattern]
        facts: Row = {"pattern": pattern}
        for side, name in (("paced", "predicted"), ("measured", "measured")):
            medians = list_medians(rows, side)
            late = [count for count, value in medians.items() if value > 1e3 * LIMIT_S]
            facts |= {name: min(late) - 1 if late else max(medians, default=0), f"{name}_p99_ms": medians}
        found.append(facts)
    return found


def list_medians(rows: list[Row], side: str) -> dict[int, float]:
    """Return the median p99 of all requests over rounds, in ms, by number of streams; infinite if stored as null."""
    values = defaultdict(list)
    for row in rows:
        value = row[side]["p99_of_all_ms"]
        values[row["streams"]].append(np.inf if value is None else value)
    return {count: statistics.median(each) for count, each in sorted(values.items())}
