"""Counts and times of every version since the start, in the words of Triton's statistics extension."""

import time
from collections import defaultdict
from typing import Any, Final, TypeAlias

from danmatte.telemetry.timing import Timing

_Duration: TypeAlias = dict[str, int]
# Triton's words for our phases.
_PHASES: Final = {"queue": "queue", "compute_input": "decode", "compute_infer": "infer", "compute_output": "encode"}
_OUTCOMES: Final = ("success", "fail", *_PHASES, "cache_hit", "cache_miss")


class Statistics:
    """Inference requests counted for each version, by its name and number."""

    def __init__(self) -> None:
        self._versions: defaultdict[tuple[str, int], _Version] = defaultdict(_Version)

    def count(self, key: tuple[str, int], batch: int, timing: Timing, total_s: float) -> None:
        """Counts one answer to a batch of pictures."""
        self._versions[key].count(batch, timing, total_s)

    def count_failure(self, key: tuple[str, int], total_s: float) -> None:
        """Counts a batch that wasn't answered."""
        _add(self._versions[key].durations["fail"], total_s)

    def describe(self, name: str, version: int) -> dict[str, Any]:
        """A version's entry in Triton's `model_stats`; zeros for one that nobody asked."""
        counted = self._versions.get((name, version)) or _Version()
        return {"name": name, "version": str(version), **counted.describe()}


class _Version:
    def __init__(self) -> None:
        self.durations: dict[str, _Duration] = {name: _empty() for name in _OUTCOMES}
        self._batches: dict[int, dict[str, _Duration]] = {}
        self._pictures, self._last_ms = 0, 0

    def count(self, batch: int, timing: Timing, total_s: float) -> None:
        self._pictures += batch
        self._last_ms = int(time.time() * 1e3)
        _add(self.durations["success"], total_s)
        of_batch = self._batches.setdefault(batch, {name: _empty() for name in _PHASES if name != "queue"})
        phases_ms = timing.phases_ms
        for name, phase in _PHASES.items():
            spent_s = phases_ms.get(phase, 0.0) / 1e3
            _add(self.durations[name], spent_s)
            if name in of_batch:
                _add(of_batch[name], spent_s)

    def describe(self) -> dict[str, Any]:
        return {
            "last_inference": self._last_ms,
            "inference_count": self._pictures,
            "execution_count": self._pictures,
            "inference_stats": self.durations,
            "batch_stats": [{"batch_size": size, **phases} for size, phases in sorted(self._batches.items())],
            "memory_usage": [],
        }


def _empty() -> _Duration:
    return {"count": 0, "ns": 0}


def _add(duration: _Duration, spent_s: float) -> None:
    duration["count"] += 1
    duration["ns"] += int(spent_s * 1e9)
