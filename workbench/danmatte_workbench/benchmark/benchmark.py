"""Interleaved speed measurements of several subjects, each in a child process.

On a shared machine, measurements that are close in time have similar noise. So all subjects are timed in short rounds,
A B C A B C, and the ratio within each round is the most reliable result.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import cv2
import numpy as np

from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.hardware import LoadMeter
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.processes.child import Child
from danmatte_workbench.processes.limits import ProcessLimits

Work = Callable[[list[np.ndarray]], list[float]]
OnDropout = Callable[[str, WorkbenchError], None]

PATIENCE = ProcessLimits(120.0)  # for loading and warming up a graph, or for one round


@dataclass(frozen=True)
class Sample:
    """One subject's result in one round: frames a second, the milliseconds of each frame, and the load.

    load: the share of the machine's CPU time that other processes used meanwhile, from 0 to 1.
    """

    throughput: float
    latency_ms: tuple[float, ...]
    load: float = 0.0


@dataclass
class Rounds:
    """Results of several rounds, by subject.

    throughput, load: a value for each round, as in `Sample`. latency_ms: a value for each frame. latency_rounds: the
    latter as a tuple for each round.
    """

    throughput: dict[str, list[float]] = field(default_factory=dict)
    latency_ms: dict[str, list[float]] = field(default_factory=dict)
    load: dict[str, list[float]] = field(default_factory=dict)
    latency_rounds: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)

    def add(self, samples: Mapping[str, Sample]) -> None:
        """Add one round."""
        for name, sample in samples.items():
            self.throughput.setdefault(name, []).append(sample.throughput)
            self.latency_ms.setdefault(name, []).extend(sample.latency_ms)
            self.latency_rounds.setdefault(name, []).append(tuple(sample.latency_ms))
            self.load.setdefault(name, []).append(sample.load)

    def discard(self, name: str) -> None:
        """Remove a subject that dropped out, because its rounds no longer match the others'."""
        self.throughput.pop(name, None)
        self.latency_ms.pop(name, None)
        self.latency_rounds.pop(name, None)
        self.load.pop(name, None)

    def compute_load(self) -> float:
        """Return the median load over all rounds of all subjects."""
        loads = [load for some in self.load.values() for load in some]
        return float(np.median(loads)) if loads else 0.0

    def compute_ratios(self, name: str, baseline: str) -> list[float]:
        """Return the throughput of ``name`` divided by that of ``baseline``, round by round."""
        return [a / b for a, b in zip(self.throughput[name], self.throughput[baseline], strict=True)]


def run_benchmark(
    subjects: Sequence[Subject], pictures: Sequence[np.ndarray], *, rounds: int, round_s: float
) -> Rounds:
    """Run all subjects for so many rounds. For the arguments see `Benchmark`.

    Raises MachineError when a subject dies or hangs.
    """
    results = Rounds()
    with Benchmark(subjects, pictures, round_s=round_s) as benchmark:
        for number in range(rounds):
            results.add(benchmark.run_round(number))
    return results


def _raise_error(_: str, error: WorkbenchError) -> None:
    raise error


class Benchmark:
    """Times subjects on ``pictures``, each in a child process that is started on first use. A context manager.

    pictures: frames, (H, W, 3) uint8, which each subject fits to its input, or inputs, (1, H, W, 3). round_s:
    approximate seconds per round and subject. limits: of each process, for one request. on_dropout: called with the
    name and the error of a subject that dies, hangs or exceeds a limit; unless it raises, the subject is removed and
    the others continue.
    """

    def __init__(
        self,
        subjects: Sequence[Subject],
        pictures: Sequence[np.ndarray],
        *,
        round_s: float,
        limits: ProcessLimits = PATIENCE,
        on_dropout: OnDropout = _raise_error,
    ) -> None:
        self._subjects = {subject.name: subject for subject in subjects}
        self._pictures = pictures
        self._round_s = round_s
        self._limits = limits
        self._on_dropout = on_dropout
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.keep(())

    def run_round(self, number: int, names: Collection[str] | None = None) -> dict[str, Sample]:
        """Time each of ``names``, or all subjects, once. The order is reversed in every second round."""
        wanted = [name for name in self._subjects if names is None or name in names]
        fresh = [name for name in wanted if name not in self._children]
        for name in fresh:
            subject = self._subjects[name]
            pictures = [item if item.ndim == 4 else subject.frame_picture(item) for item in self._pictures]
            switch = {"TF_ENABLE_ONEDNN_OPTS": str(int(subject.onednn))}
            self._children[name] = Child(name, Worker, subject, pictures, environment=switch)
        for name in fresh:
            self._ask(name, self._round_s)
        samples: dict[str, Sample] = {}
        # A subject is affected by the one before it (caches, CPU temperature). Reversing the order balances that.
        for name in wanted if number % 2 == 0 else wanted[::-1]:
            if name in self._children and (sample := self._ask(name, None)):
                samples[name] = sample
        return {name: samples[name] for name in wanted if name in samples}

    def keep(self, names: Collection[str]) -> None:
        """End the processes of all subjects except ``names``."""
        for name in [name for name in self._children if name not in names]:
            self._children.pop(name).close()

    def _ask(self, name: str, round_s: float | None) -> Any:
        """Return the worker's response. If it fails, remove the subject, call ``on_dropout`` and return None."""
        limits = self._limits
        try:
            return self._children[name].ask(round_s, timeout_s=limits.time_s, memory_gib=limits.memory_gib)
        except WorkbenchError as error:
            self._children.pop(name).close()
            self._subjects.pop(name)
            self._on_dropout(name, error)
            return None


class Worker:
    """The child process' side: runs one subject.

    A call with the seconds of a round loads the graph, warms it up and sets the number of frames in a round. Each later
    call with None runs one round.
    """

    def __init__(self, subject: Subject, pictures: list[np.ndarray]) -> None:
        cv2.setNumThreads(1)  # leaves the cores to the networks
        self._subject = subject
        self._pictures = pictures

    def __call__(self, round_s: float | None) -> Sample | None:
        if round_s is not None:
            self._warm_up(round_s)
            return None
        meter = LoadMeter()
        latencies = self._work(self._batch)
        return Sample(len(self._batch) / meter.seconds, tuple(latencies), meter.read_load())

    def _warm_up(self, round_s: float) -> None:
        self._work = _make_work(self._subject)
        self._work(self._pictures[:1])
        took = []
        for _ in range(3):
            start = time.perf_counter()
            self._work(self._pictures[:4])
            took.append((time.perf_counter() - start) / len(self._pictures[:4]))
        frames = max(4, round(round_s / min(took)))
        self._batch = [self._pictures[number % len(self._pictures)] for number in range(frames)]


def _make_work(subject: Subject) -> Work:
    """Return a function that runs pictures through the subject and returns the milliseconds of each."""

    def finish(answer: np.ndarray) -> None:
        """Compute a hard mask of the picture's size, so that all subjects are timed up to the same result."""
        if subject.grid is not None:
            size = subject.canvas or subject.framing.size
            subject.compute_mask(answer, size, size)

    if subject.engine == "openvino" and subject.configuration.hint == "throughput":
        from danmatte_workbench.runtimes import openvino

        pipeline = openvino.Pipeline(subject.path, subject.configuration)

        def run_together(pictures: list[np.ndarray]) -> list[float]:
            return pipeline.run(map(subject.resize_picture, pictures), finish)

        return run_together

    run = subject.load()

    def run_one_by_one(pictures: list[np.ndarray]) -> list[float]:
        latencies = []
        for picture in pictures:
            start = time.perf_counter()
            finish(run(subject.resize_picture(picture)))
            latencies.append(1000 * (time.perf_counter() - start))
        return latencies

    return run_one_by_one
