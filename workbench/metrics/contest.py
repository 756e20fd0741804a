"""Speed, measured side by side: contenders take turns, each in a process of its own.

A shared machine is noisy, and its noise is common to neighbours in time: so everything is timed in short rounds,
A B C A B C, and what is reported first of all is the ratio within each round.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.errors import MachineError, WorkbenchError
from workbench.metrics.contender import Contender, Run

if TYPE_CHECKING:
    from workbench.backends.openvino import Pipeline

Work = Callable[[list[np.ndarray]], list[float]]

START_S = 120.0
ROUND_S = 60.0


@dataclass
class Rounds:
    """Per contender: frames a second in each round, and the milliseconds of each single frame."""

    throughput: dict[str, list[float]] = field(default_factory=dict)
    latency_ms: dict[str, list[float]] = field(default_factory=dict)

    def ratios(self, name: str, baseline: str) -> list[float]:
        """Throughput of ``name`` over that of ``baseline``, round by round."""
        return [a / b for a, b in zip(self.throughput[name], self.throughput[baseline], strict=True)]


def hold(contenders: Sequence[Contender], pictures: Sequence[np.ndarray], *, rounds: int, round_s: float) -> Rounds:
    """Run all contenders in turn on ``pictures``, each (1, H, W, 3) uint8, and time them.

    Each round gives every contender about ``round_s`` seconds; the order is reversed every other round. Raises
    MachineError when a contender dies or hangs.
    """
    results = Rounds()
    corners = [_Corner(contender, pictures) for contender in contenders]
    try:
        for corner in corners:
            corner.warm_up(round_s)
        for number in range(rounds):
            for corner in corners if number % 2 == 0 else corners[::-1]:
                throughput, latencies = corner.run()
                results.throughput.setdefault(corner.name, []).append(throughput)
                results.latency_ms.setdefault(corner.name, []).extend(latencies)
    finally:
        for corner in corners:
            corner.close()
    return results


class _Corner:
    """A contender's process, idle until its turn."""

    def __init__(self, contender: Contender, pictures: Sequence[np.ndarray]) -> None:
        self.name = contender.name
        self._pipe, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(theirs, contender, list(pictures)), daemon=True)
        self._process.start()
        theirs.close()

    def warm_up(self, round_s: float) -> None:
        """Load the graph, run it until it is warm, and fix the number of frames in a round."""
        self._ask(round_s, START_S)

    def run(self) -> tuple[float, list[float]]:
        answer: tuple[float, list[float]] = self._ask(None, ROUND_S)
        return answer

    def _ask(self, message: float | None, timeout_s: float) -> Any:
        try:
            self._pipe.send(message)
            if not self._pipe.poll(timeout_s):
                raise MachineError(f"{self.name}: no answer within {timeout_s:.0f} s")
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            self._process.join(1)
            raise MachineError(f"{self.name}: its process died (exit code {self._process.exitcode})") from error
        if isinstance(answer, WorkbenchError):
            raise answer
        return answer

    def close(self) -> None:
        self._pipe.close()
        self._process.join(0.5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection, contender: Contender, pictures: list[np.ndarray]) -> None:
    """The child: waits for its turn, works, answers; ends when the parent hangs up."""
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = str(int(contender.onednn))
    try:
        round_s = pipe.recv()
        work = _worker(contender)
        frames = _warm(work, pictures, round_s)
        pipe.send(None)
        batch = [pictures[number % len(pictures)] for number in range(frames)]
        while True:
            pipe.recv()
            pipe.send(_timed(work, batch))
    except EOFError:
        return
    except WorkbenchError as error:
        pipe.send(error)


def _warm(work: Work, pictures: list[np.ndarray], round_s: float) -> int:
    work(pictures[:1])
    took = []
    for _ in range(3):
        start = time.perf_counter()
        work(pictures[:4])
        took.append((time.perf_counter() - start) / len(pictures[:4]))
    return max(4, round(round_s / min(took)))


def _timed(work: Work, batch: list[np.ndarray]) -> tuple[float, list[float]]:
    start = time.perf_counter()
    latencies = work(batch)
    return len(batch) / (time.perf_counter() - start), latencies


def _worker(contender: Contender) -> Work:
    """A function from pictures to the milliseconds that each took; masks are made and dropped."""
    if contender.engine == "openvino" and contender.configuration.hint == "throughput":
        from workbench.backends import openvino

        return _several(openvino.Pipeline(contender.path, contender.configuration), contender)
    return _one_by_one(contender.open(), contender)


def _one_by_one(run: Run, contender: Contender) -> Work:
    def work(pictures: list[np.ndarray]) -> list[float]:
        latencies = []
        for picture in pictures:
            start = time.perf_counter()
            _finish(run(picture), contender)
            latencies.append(1000 * (time.perf_counter() - start))
        return latencies

    return work


def _several(pipeline: "Pipeline", contender: Contender) -> Work:
    def work(pictures: list[np.ndarray]) -> list[float]:
        pipeline.run(pictures, lambda answer: _finish(answer, contender))
        return []

    return work


def _finish(answer: np.ndarray, contender: Contender) -> None:
    """To a hard mask of the input's size: all are timed up to the same thing."""
    if contender.grid is not None:
        contender.person_map(answer, contender.framing.size, contender.framing.size)
