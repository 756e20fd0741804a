"""How fast the machine's cores are while something else is measured: a fixed piece of work, again and again on each.

A virtual machine shares its cores with others that nobody sees inside: for some tenths of a second a core takes half
as long again for everything, and no process and no stolen time tells why. What is measured meanwhile says more about
the neighbours than about the service.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from danmatte.capacity.arrivals import Seconds

WINDOW_S = 0.1
SLOW = 1.15  # times a core's usual time for the work
_WORK = 2500  # additions, 0.12 ms of CPU
_REST_S = 0.01
_USUAL = 10  # percentile of a core's times


@dataclass(frozen=True)
class Pace:
    """When cores were slow: the beginnings of such windows, `time.perf_counter()`s, by core; and their share."""

    slow_s: dict[int, Seconds]
    slow_share: float

    def list_undisturbed(self, began_s: Seconds, ended_s: Seconds, cores: Sequence[int]) -> np.ndarray:
        """For each of some spans whether none of these cores was slow in it."""
        good = np.ones(len(began_s), dtype=bool)
        for core in cores:
            for window_s in self.slow_s[core]:
                good &= (ended_s < window_s) | (began_s > window_s + WINDOW_S)
        return good


class PaceMeter:
    """Measures while the block runs, by a process pinned to each core; `read` says what was found afterwards."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = list(cores)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._files = {core: Path(self._folder.name) / f"{core}.npy" for core in self._cores}
        self._processes = [
            subprocess.Popen([sys.executable, __file__, str(core), str(file)]) for core, file in self._files.items()
        ]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait()
        with self._folder:
            self._samples = {core: np.load(file) for core, file in self._files.items()}

    def read(self) -> Pace:
        """When cores were slow, compared with their own usual time."""
        windows = {core: find_slow(samples) for core, samples in self._samples.items()}
        slow_s = {core: begins_s[slow] for core, (begins_s, slow) in windows.items()}
        return Pace(slow_s, float(np.mean(np.concatenate([slow for _, slow in windows.values()]))))


def find_slow(samples: np.ndarray) -> tuple[Seconds, np.ndarray]:
    """Windows' beginnings, and which are slow, from rows of a moment and the CPU time of the work, in seconds."""
    usual_s = np.percentile(samples[:, 1], _USUAL)
    begins_s = np.arange(samples[0, 0], samples[-1, 0], WINDOW_S)
    edges = np.searchsorted(samples[:, 0], np.append(begins_s, begins_s[-1] + WINDOW_S))
    medians_s = [np.median(samples[first:last, 1]) if last > first else usual_s for first, last in pairwise(edges)]
    return begins_s, np.array(medians_s) > SLOW * usual_s


def _sample(core: int, file: str) -> None:
    """A process' life: works and rests until it is told to end, then writes what it took."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    os.sched_setaffinity(0, {core})
    samples: list[tuple[float, float]] = []
    while not ended:
        moment, before = time.perf_counter(), time.thread_time()
        total = 0
        for number in range(_WORK):
            total += number * number
        samples.append((moment, time.thread_time() - before))
        time.sleep(_REST_S)
    np.save(file, np.array(samples))


if __name__ == "__main__":
    _sample(int(sys.argv[1]), sys.argv[2])
