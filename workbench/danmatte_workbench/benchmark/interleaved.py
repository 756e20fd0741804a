"""Speed, measured side by side: contenders take turns, each in a process of its own.

A shared machine is noisy, and its noise is common to neighbours in time: so everything is timed in short rounds,
A B C A B C, and what is reported first of all is the ratio within each round.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import cv2
import numpy as np

from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.metrics.contender import Contender, Run
from danmatte_workbench.processes.child import Child
from danmatte_workbench.processes.limits import ProcessLimits

if TYPE_CHECKING:
    from danmatte_workbench.runtimes.openvino import Pipeline

Work = Callable[[list[np.ndarray]], list[float]]
Dropped = Callable[[str, WorkbenchError], None]

PATIENCE = ProcessLimits(120.0)  # until a contender has loaded its graph and is warm, or is through a round


@dataclass(frozen=True)
class Lap:
    """One contender's part of one round: frames a second, and milliseconds of its frames."""

    throughput: float
    latency_ms: tuple[float, ...]


Round = Mapping[str, Lap]


@dataclass
class Rounds:
    """Per contender: frames a second in each round, and the milliseconds of each single frame."""

    throughput: dict[str, list[float]] = field(default_factory=dict)
    latency_ms: dict[str, list[float]] = field(default_factory=dict)

    def add(self, laps: Round) -> None:
        """One more round."""
        for name, lap in laps.items():
            self.throughput.setdefault(name, []).append(lap.throughput)
            self.latency_ms.setdefault(name, []).extend(lap.latency_ms)

    def ratios(self, name: str, baseline: str) -> list[float]:
        """Throughput of ``name`` over that of ``baseline``, round by round."""
        return [a / b for a, b in zip(self.throughput[name], self.throughput[baseline], strict=True)]


def hold(contenders: Sequence[Contender], pictures: Sequence[np.ndarray], *, rounds: int, round_s: float) -> Rounds:
    """Run all contenders in turn for so many rounds; `Ring` says on what.

    Raises MachineError when a contender dies or hangs.
    """
    results = Rounds()
    with Ring(contenders, pictures, round_s=round_s) as ring:
        for number in range(rounds):
            results.add(ring.round(number))
    return results


def _refuse(_: str, error: WorkbenchError) -> None:
    raise error


class Ring:
    """Contenders in processes of their own that take turns on ``pictures``; each starts when it is first needed.

    pictures: frames, (H, W, 3) uint8, which each contender frames by its own rule, or ready ones, (1, H, W, 3).
    round_s: about the seconds that a round gives to each. limits: of each process, for one answer. dropped: hears of
    a contender that dies, hangs or takes too much; unless it raises, that one is out and the others go on.
    """

    def __init__(
        self,
        contenders: Sequence[Contender],
        pictures: Sequence[np.ndarray],
        *,
        round_s: float,
        limits: ProcessLimits = PATIENCE,
        dropped: Dropped = _refuse,
    ) -> None:
        self._contenders = {contender.name: contender for contender in contenders}
        self._pictures = pictures
        self._round_s = round_s
        self._limits = limits
        self._dropped = dropped
        self._children: dict[str, Child] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.keep(())

    def round(self, number: int, names: Collection[str] | None = None) -> Round:
        """One turn of each of ``names``, or of all; the order is reversed every other round."""
        wanted = [name for name in self._contenders if names is None or name in names]
        fresh = [name for name in wanted if name not in self._children]
        for name in fresh:
            self._start(name)
        for name in fresh:
            self._attempt(name, lambda name: self._ask(name, self._round_s))
        laps: dict[str, Lap] = {}
        for name in wanted if number % 2 == 0 else wanted[::-1]:
            if name in self._children:
                self._attempt(name, lambda name: laps.update({name: self._ask(name, None)}))
        return {name: laps[name] for name in wanted if name in laps}

    def keep(self, names: Collection[str]) -> None:
        """Send everybody else home."""
        for name in [name for name in self._children if name not in names]:
            self._children.pop(name).close()

    def _start(self, name: str) -> None:
        contender = self._contenders[name]
        pictures = [item if item.ndim == 4 else contender.handed(item) for item in self._pictures]
        switch = {"TF_ENABLE_ONEDNN_OPTS": str(int(contender.onednn))}
        self._children[name] = Child(name, _Corner, contender, pictures, environment=switch)

    def _ask(self, name: str, round_s: float | None) -> Any:
        limits = self._limits
        return self._children[name].ask(round_s, timeout_s=limits.time_s, memory_gib=limits.memory_gib)

    def _attempt(self, name: str, action: Callable[[str], None]) -> None:
        try:
            action(name)
        except WorkbenchError as error:
            self._children.pop(name).close()
            self._contenders.pop(name)
            self._dropped(name, error)


class _Corner:
    """A contender in a child: told how long a round is it gets warm, and runs a lap whenever it is asked after that."""

    def __init__(self, contender: Contender, pictures: list[np.ndarray]) -> None:
        cv2.setNumThreads(1)  # the cores are the networks'
        self._contender = contender
        self._pictures = pictures

    def __call__(self, round_s: float | None) -> Lap | None:
        if round_s is None:
            return _timed(self._work, self._batch)
        self._warm_up(round_s)
        return None

    def _warm_up(self, round_s: float) -> None:
        """Load the graph, run it until it is warm, and fix the number of frames in a round."""
        self._work = _worker(self._contender)
        frames = _warm(self._work, self._pictures, round_s)
        self._batch = [self._pictures[number % len(self._pictures)] for number in range(frames)]


def _warm(work: Work, pictures: list[np.ndarray], round_s: float) -> int:
    work(pictures[:1])
    took = []
    for _ in range(3):
        start = time.perf_counter()
        work(pictures[:4])
        took.append((time.perf_counter() - start) / len(pictures[:4]))
    return max(4, round(round_s / min(took)))


def _timed(work: Work, batch: list[np.ndarray]) -> Lap:
    start = time.perf_counter()
    latencies = work(batch)
    return Lap(len(batch) / (time.perf_counter() - start), tuple(latencies))


def _worker(contender: Contender) -> Work:
    """A function from pictures to the milliseconds that each took; masks are made and dropped."""
    if contender.engine == "openvino" and contender.configuration.hint == "throughput":
        from danmatte_workbench.runtimes import openvino

        return _several(openvino.Pipeline(contender.path, contender.configuration), contender)
    return _one_by_one(contender.open(), contender)


def _one_by_one(run: Run, contender: Contender) -> Work:
    def work(pictures: list[np.ndarray]) -> list[float]:
        latencies = []
        for picture in pictures:
            start = time.perf_counter()
            _finish(run(contender.resized(picture)), contender)
            latencies.append(1000 * (time.perf_counter() - start))
        return latencies

    return work


def _several(pipeline: "Pipeline", contender: Contender) -> Work:
    """With all requests busy a frame takes as long as they take together: Little's law gives the mean, once a round."""
    requests = contender.configuration.infer_requests

    def work(pictures: list[np.ndarray]) -> list[float]:
        start = time.perf_counter()
        pipeline.run(map(contender.resized, pictures), lambda answer: _finish(answer, contender))
        took_ms = 1000 * (time.perf_counter() - start)
        return [min(requests, len(pictures)) * took_ms / len(pictures)] if requests else []

    return work


def _finish(answer: np.ndarray, contender: Contender) -> None:
    """To a hard mask of the picture's size: all are timed up to the same thing."""
    if contender.grid is not None:
        size = contender.canvas or contender.framing.size
        contender.person_map(answer, size, size)
