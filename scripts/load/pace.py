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
    """How many times longer than usual the work took: by core, in windows from `began_s`, a `time.perf_counter()`."""

    began_s: dict[int, float]
    slowness: dict[int, Seconds]

    @property
    def slow_share(self) -> float:
        """Of the windows of all cores, those that were slow."""
        return float((np.concatenate(list(self.slowness.values())) > SLOW).mean())

    def read(self, moment_s: float, cores: Sequence[int]) -> float:
        """The mean over these cores at a moment; what was before or after is taken to be like the nearest window."""
        found = 0.0
        for core in cores:
            windows = self.slowness[core]
            found += windows[min(len(windows) - 1, max(0, int((moment_s - self.began_s[core]) / WINDOW_S)))]
        return found / len(cores)


class PaceMeter:
    """Measures while the block runs, by a process pinned to each core; `read` says what was found afterwards."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = list(cores)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory()
        self._files = {core: Path(self._folder.name) / f"{core}.npy" for core in self._cores}
        self._processes = [
            subprocess.Popen([sys.executable, __file__, str(core), str(file)], stdout=subprocess.PIPE)
            for core, file in self._files.items()
        ]
        for process in self._processes:
            if process.stdout and not process.stdout.readline():
                raise SystemExit(f"the pace of a core can't be measured: ended with {process.wait()}")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait()
            if process.stdout:
                process.stdout.close()
        with self._folder:
            self._samples = {core: np.load(file) for core, file in self._files.items()}

    def read(self) -> Pace:
        """What was found, each core compared with its own usual time."""
        windows = {core: find_slowness(samples) for core, samples in self._samples.items()}
        return Pace({core: float(samples[0, 0]) for core, samples in self._samples.items()}, windows)


def find_slowness(samples: np.ndarray) -> Seconds:
    """By windows from the first sample: the median time over the usual one, from rows of a moment and a time."""
    usual_s = np.percentile(samples[:, 1], _USUAL)
    edges = np.searchsorted(samples[:, 0], np.arange(samples[0, 0], samples[-1, 0] + WINDOW_S, WINDOW_S))
    found = [np.median(samples[first:last, 1]) / usual_s if last > first else 1.0 for first, last in pairwise(edges)]
    return np.array(found)


def _sample(core: int, file: str) -> None:
    """A process' life: works and rests until it is told to end, then writes what it took."""
    ended: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: ended.append(number))
    os.sched_setaffinity(0, {core})
    print("begins", flush=True)
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
