"""Speed of the machine's cores during a measurement, found by repeating a fixed piece of work on each.

A virtual machine shares its cores with other machines that it can't see. For some tenths of a second a core may take
50 % longer for everything, although no process and no steal time explains it. Measurements of the service in that time
mostly show the other machines' load.
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
SLOW = 1.15  # times a core's usual time for the work, from which on it is slow
_WORK = 2500  # additions, 0.12 ms of CPU
_REST_S = 0.01
_USUAL = 10  # percentile of a core's times that is its usual time


@dataclass(frozen=True)
class Pace:
    """Time of the work over its usual time, by core and in windows from `began_s`, a `time.perf_counter()`."""

    began_s: dict[int, float]
    slowness: dict[int, Seconds]

    @property
    def slow_share(self) -> float:
        """Return the share of slow windows among those of all cores."""
        return float((np.concatenate(list(self.slowness.values())) > SLOW).mean())

    def read(self, moment_s: float, cores: Sequence[int]) -> float:
        """Return the mean over these cores at a moment; outside of the measured time, the nearest window's."""
        found = 0.0
        for core in cores:
            windows = self.slowness[core]
            found += windows[min(len(windows) - 1, max(0, int((moment_s - self.began_s[core]) / WINDOW_S)))]
        return found / len(cores)


class PaceMeter:
    """Context manager that measures by a process pinned to each core; afterwards, `read` returns the result."""

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
        """Return the result, with each core compared with its usual time."""
        windows = {core: find_slowness(samples) for core, samples in self._samples.items()}
        return Pace({core: float(samples[0, 0]) for core, samples in self._samples.items()}, windows)


def find_slowness(samples: np.ndarray) -> Seconds:
    """Return the median time over the usual time, by window from the first sample; rows are a moment and a time."""
    usual_s = np.percentile(samples[:, 1], _USUAL)
    edges = np.searchsorted(samples[:, 0], np.arange(samples[0, 0], samples[-1, 0] + WINDOW_S, WINDOW_S))
    found = [np.median(samples[first:last, 1]) / usual_s if last > first else 1.0 for first, last in pairwise(edges)]
    return np.array(found)


def _sample(core: int, file: str) -> None:
    """Alternate work and rest on one core until SIGTERM, then write the times; runs in a separate process."""
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
