"""What `danmatte plan` predicts beside what the service does: p99 at three loads, and the most streams within a limit.

Every round measures anew, then loads the server of one core and that of all in turn, so that both sides see the same
hour of the machine. Rounds add up in the stored file, a few minutes each; ratios are predicted over measured, and the
rounds' medians count.
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
NEAR = 2  # streams on either side of the predicted most that are tried
RULE = (
    "On each core a fixed piece of work is done every 10 ms; how many times more CPU time than usual it takes, in "
    f"windows of {WINDOW_S:g} s, is how slow the core is, by others' work outside of this machine. `paced` predictions "
    "are by times of frames divided by how slow the server's cores were when they were measured, and multiplied by how "
    "slow they were at each moment of the load; `plain` ones are by the times as they are. All requests count. p99 is "
    "that of the answered ones; the refused share stands beside."
)
_WARM_S = 3.0
Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class LoadRun:
    """A load that was run: what is said of it once it is known when cores were slow, and what capacity was without."""

    cores: int
    streams: Streams
    check: CheckOptions
    share: float
    began_s: float
    replies: list[PostResult]

    def describe(self, pace: Pace, capacities: "Capacities") -> Row:
        """What was measured, and what was predicted: by the machine's pace, and without; and by one core's times."""
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
    """What was measured as it is, and as it had been on cores that are never slow."""

    plain: Capacity
    paced: Capacity

    @classmethod
    def find(cls, found: Capacity, runs: list[LoopRun], pace: Pace) -> "Capacities":
        """From the loops, reply by reply."""
        loops = tuple(run.summarize(partial(pace.read, cores=list_cpus()[: run.cores])) for run in runs)
        return cls(found, msgspec.structs.replace(found, loops=loops))


def summarize(runs: list[np.ndarray]) -> dict[str, float]:
    """Percentiles of the answered requests, in ms, and the refused share."""
    latencies_s = np.concatenate(runs)
    answered = latencies_s[np.isfinite(latencies_s)]
    p50_ms, p99_ms = (1e3 * np.percentile(answered, (50, 99))).tolist() if answered.size else (np.nan, np.nan)
    refused = 1 - answered.size / latencies_s.size if latencies_s.size else np.nan
    every_p99_ms = 1e3 * np.percentile(latencies_s, 99, method="higher") if latencies_s.size else np.nan
    return {"p50_ms": p50_ms, "p99_ms": p99_ms, "refused_share": refused, "p99_of_all_ms": float(every_p99_ms)}


def run(options: Namespace) -> dict[str, Any]:
    """The stored rounds and `rounds` more; then what their medians say."""
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
    """What is stored of a round; loads after the shares are those that count streams."""
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
    """Those that are stored already."""
    return list(json.loads(options.json.read_text(encoding="utf-8"))["rounds"]) if options.json.exists() else []


def run_round(options: Namespace, number: int) -> tuple[list[LoopRun], list[LoadRun], Capacity]:
    """Measures, then loads: shares of the capacity in both patterns, and in every second round numbers of streams.

    Those are about the most that keep to the limit.
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
            if cores == capacity.cores[-1] and number % 2 == 0:  # it takes long
                for pattern, count in list_counts(capacity, options):
                    counts.append(load(worker, target, Streams(count, FPS, pattern), check))
    return runs, loads + counts, capacity


def load(worker: WorkerModel, target: Target, streams: Streams, check: CheckOptions) -> LoadRun:
    """One load."""
    arrivals, predicted = predict(worker, streams, check)
    replies = run_load(target, arrivals)
    sides = join(predicted).percentile_s(99), np.percentile(list_latencies(replies), 99, method="higher")
    said = " and ".join(f"{1e3 * side:.0f}" for side in sides)
    print(f"  {worker.cores} cores, {streams.pattern}, {streams.count}: {said} ms", flush=True)
    began_s = replies[0].due_s - float(arrivals.moments_s[0])
    return LoadRun(worker.cores, streams, check, streams.count * streams.fps / worker.per_s, began_s, replies)


def only_one_core(capacity: Capacity) -> Capacity:
    """As if no other number of cores had been measured."""
    return msgspec.structs.replace(capacity, loops=tuple(loop for loop in capacity.loops if loop.cores == 1))


def list_counts(capacity: Capacity, options: Namespace) -> list[tuple[Pattern, int]]:
    """Numbers of streams to try: about the most that is predicted; as in the first round, so that rounds add up."""
    if rounds := read_rounds(options):
        return [(row["pattern"], row["streams"]) for row in rounds[0]["counts"]]
    found: list[tuple[Pattern, int]] = []
    for pattern in PATTERNS:
        most = find_most(capacity, pattern)
        found += [(pattern, count) for count in range(max(1, most - NEAR), most + NEAR + 1)]
    return found


def find_most(capacity: Capacity, pattern: Pattern) -> int:
    """The most streams whose predicted p99 keeps to the limit, on all cores."""
    worker, check = capacity.model_worker(capacity.cores[-1]), CheckOptions(10.0, PATTERNS)
    for count in itertools.count(1):
        if p99_s(worker, Streams(count, FPS, pattern), check) > LIMIT_S:
            return count - 1
    raise AssertionError


def p99_s(worker: WorkerModel, streams: Streams, check: CheckOptions) -> float:
    """Of all requests, by several draws of the arrivals."""
    draws = [predict(worker, streams, replace(check, seed=seed))[1][:4] for seed in range(5)]
    return join(list(itertools.chain(*draws))).percentile_s(99)


def compare_loads(rounds: list[Row]) -> list[Row]:
    """The median ratio of the rounds, by cores, pattern and share."""
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
    """Predicted over measured p99."""
    return [row[predicted]["p99_ms"] / row["measured"]["p99_ms"] for row in rows]


def compare_most(rounds: list[Row]) -> list[Row]:
    """The most streams within the limit, predicted at the machine's pace and measured, by medians of the rounds."""
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
    """By number of streams, the rounds' median p99 of all requests, in ms; infinite where it never came."""
    values = defaultdict(list)
    for row in rows:
        value = row[side]["p99_of_all_ms"]
        values[row["streams"]].append(np.inf if value is None else value)
    return {count: statistics.median(each) for count, each in sorted(values.items())}
