"""Speed of all trials, measured in stages: a few rounds for all, many for the best. Each finished round is cached."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec import structs

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.benchmark.benchmark import Benchmark, Rounds, Sample
from danmatte_workbench.budget import LATENCY
from danmatte_workbench.errors import MachineError, WorkbenchError
from danmatte_workbench.experiment.store import ResultCache
from danmatte_workbench.experiment.trial import SPEEDUP, THROUGHPUT
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.processes.limits import ProcessLimits

ROUNDS = "rounds"
GROUP = 12  # maximum trials in a first stage, because each holds its graph in memory
LATENCIES = {0.5: LATENCY, 0.95: "latency_p95", 0.99: "latency_p99"}
SPEEDS = (THROUGHPUT, SPEEDUP, *LATENCIES.values())  # all metrics that a race measures
Rate = Callable[[str, Rounds], float | None]


@dataclass(frozen=True)
class BenchmarkConfig:
    """The input of a race, the cache for its rounds, and its limits.

    frames: (H, W, 3) uint8 each. round_s: approximate seconds per round and subject. is_over: called before a round
    that isn't cached, once the minimum number of rounds has run; True ends the stage. on_round: called with a
    description of each round that is run.
    """

    frames: Sequence[np.ndarray]
    round_s: float
    results: ResultCache
    host: Host
    limits: ProcessLimits
    is_over: Callable[[], bool]
    on_round: Callable[[str], None]


@dataclass
class RaceStage:
    """Results of rounds with the same subjects, and by name the reason why a subject dropped out."""

    rounds: Rounds = field(default_factory=Rounds)
    dropped: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def add(self, kept: Any) -> None:
        """Add one round in the form in which it is cached."""
        samples = kept["samples"].items()
        self.rounds.add({name: Sample(speed, tuple(latencies), *load) for name, (speed, latencies, *load) in samples})
        self.dropped.update(kept["dropped"])
        self.count += 1
        for name in self.dropped:
            self.rounds.discard(name)


@dataclass(frozen=True)
class Standings:
    """Results of a race: for each name its last stage. ``finalists`` took part in the final stage."""

    stages: dict[str, RaceStage]
    finalists: frozenset[str]
    dropped: dict[str, str]

    def find_fastest(self, names: Sequence[str]) -> str:
        """Return which of these has the highest throughput. Raises MachineError when none of them could be raced."""
        speeds = {name: float(np.median(found.throughput[name])) for name in names if (found := self.get_rounds(name))}
        if not speeds:
            raise MachineError("; ".join(self.dropped[name] for name in names if name in self.dropped))
        return max(speeds, key=lambda name: speeds[name])

    def measure(self, name: str, fastest: str, host: Host) -> list[Measurement]:
        """Return throughput, speedup over the fastest baseline in the same rounds, and latency.

        Latency is the median, and the 95th and 99th percentile where there are enough frames. All intervals are widened
        by the CPU load of other processes, because the measured ones only hold under the same load.
        """
        rounds = self.get_rounds(name)
        if rounds is None:
            return []
        found = [Measurement.estimate_median(THROUGHPUT, rounds.throughput[name], "frames/s", host)]
        if fastest in rounds.throughput:
            found.append(Measurement.estimate_median(SPEEDUP, rounds.compute_ratios(name, fastest), "×", host))
        latencies = rounds.latency_ms[name]
        shares = {share: metric for share, metric in LATENCIES.items() if len(latencies) * (1 - share) >= 1}
        found += [_measure_latency(metric, rounds, name, host, share) for share, metric in shares.items() if latencies]
        return [item.widen(1 + rounds.compute_load()) for item in found]

    def compute_load(self) -> float:
        """Return the share of the machine's CPU time that other processes used meanwhile, from 0 to 1."""
        loads = [stage.rounds.compute_load() for stage in self.stages.values()]
        return float(np.median(loads)) if loads else 0.0

    def get_rounds(self, name: str) -> Rounds | None:
        """Return the subject's rounds, which include the baselines'; None if it has none."""
        stage = self.stages.get(name)
        return stage.rounds if stage and name in stage.rounds.throughput else None


class Race:
    """A race in stages; a context manager. A subject's process is reused in the next stage if it takes part in it.

    baselines: names of the subjects that take part in every stage.
    """

    def __init__(self, config: BenchmarkConfig, subjects: Sequence[Subject], baselines: Sequence[str] = ()) -> None:
        self._config = config
        self._subjects = tuple(subjects)
        self._baselines = tuple(baselines)
        self._dropped: dict[str, str] = {}
        self._frames = hashlib.sha256(b"".join(frame.tobytes() for frame in config.frames)).hexdigest()
        self._benchmark = Benchmark(
            subjects, config.frames, round_s=config.round_s, limits=config.limits, on_dropout=self._note_dropout
        )

    def __enter__(self) -> "Race":
        return self

    def __exit__(self, *_: object) -> None:
        self._benchmark.keep(())

    def run(self, trials: Sequence[str], rate: Rate, *, first: int, final: int, finalists: int) -> Standings:
        """Race all trials for ``first`` rounds, and the ``finalists`` with the highest ratings for ``final`` rounds.

        rate: returns a trial's rating after its rounds, higher is better; None excludes it from the final.
        """
        stages: dict[str, RaceStage] = {}
        if len(trials) > finalists:
            for group in split_into_groups(trials):
                stages |= self._run_beside_baselines(group, first, min_rounds=1)
        rated = {name: rate(name, stages[name].rounds if name in stages else Rounds()) for name in trials}
        hopeful = sorted((name for name in trials if rated[name] is not None), key=lambda name: -(rated[name] or 0))
        best = hopeful[:finalists]
        if best or not stages:
            stages |= self._run_beside_baselines(best or list(trials), final, min_rounds=min(first, final))
        # Only each trial's last stage counts, because rounds of different stages aren't comparable: other subjects ran
        # at the same time.
        dropped = {name: reason for stage in stages.values() for name, reason in stage.dropped.items()}
        return Standings(stages, frozenset(best), dropped)

    def _run_beside_baselines(self, names: Sequence[str], rounds: int, *, min_rounds: int) -> dict[str, RaceStage]:
        entered = [*self._baselines, *names]
        self._benchmark.keep(entered)
        stage = self.run_stage(entered, rounds, min_rounds=min_rounds)
        return dict.fromkeys([*names, *self._baselines], stage)

    def run_stage(self, names: Collection[str], rounds: int, *, min_rounds: int = 1) -> RaceStage:
        """Run ``rounds`` rounds with ``names``; rounds that an earlier run finished are read from the cache.

        Stops after ``min_rounds`` rounds when the time is over.
        """
        key = self._compose_key(names)
        stage = RaceStage()
        for number in range(rounds):
            round_key = {**key, "round": number}
            kept = self._config.results.get(ROUNDS, round_key)
            if kept is None:
                if stage.count >= min_rounds and self._config.is_over():
                    break
                self._config.on_round(f"round {number + 1} of {rounds} among {len(names)}")
                samples = self._benchmark.run_round(number, names)
                kept = {
                    "samples": {name: [item.throughput, item.latency_ms, item.load] for name, item in samples.items()},
                    "dropped": {name: reason for name, reason in self._dropped.items() if name in names},
                }
                self._config.results.put(ROUNDS, round_key, kept)
            stage.add(kept)
        return stage

    def _note_dropout(self, name: str, error: WorkbenchError) -> None:
        self._dropped[name] = str(error)

    def _compose_key(self, names: Collection[str]) -> dict[str, Any]:
        """Return what a round depends on: subjects, configurations, frames, round length and host."""
        subjects = [
            {
                **subject.identity,
                "name": subject.name,
                "configuration": structs.asdict(subject.configuration),
                "onednn": subject.onednn,
                "canvas": subject.canvas,
            }
            for subject in self._subjects
            if subject.name in names
        ]
        host = structs.asdict(self._config.host)
        return {"subjects": subjects, "frames": self._frames, "round_s": self._config.round_s, "host": host}


def _measure_latency(metric: str, rounds: Rounds, name: str, host: Host, share: float) -> Measurement:
    """Return the latency quantile ``share``, in milliseconds.

    Frames of one round aren't independent, because they ran under the same load. So the interval is extended to that
    of the per-round quantiles, if that is wider.
    """
    found = Measurement.estimate_quantile(metric, rounds.latency_ms[name], "ms", host, share=share)
    each = [float(np.quantile(frames, share)) for frames in rounds.latency_rounds.get(name, ()) if frames]
    if not each:
        return found
    by_round = Measurement.estimate_median(metric, each, "ms", host)
    return structs.replace(found, low=min(found.low, by_round.low), high=max(found.high, by_round.high))


def split_into_groups(names: Sequence[str]) -> list[list[str]]:
    """Divide the names into as few groups of at most `GROUP` as possible, of about the same size."""
    count = -(-len(names) // GROUP)
    return [list(names[number::count]) for number in range(count)]
