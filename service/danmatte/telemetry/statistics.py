"""Counts and times of every version since the start, as in Triton's statistics extension.

As in Triton, `inference_count` counts items, `execution_count` counts calls of the engine, each with one or more items,
and `inference_stats` counts requests. `region_stats` is an addition: requests for masks, by region.
"""

import threading
import time
from collections import defaultdict
from typing import Any, Final, TypeAlias

from danmatte.telemetry.timing import Timing

_Duration: TypeAlias = dict[str, int]
# Triton's names of the phases.
_PHASES: Final = {"queue": "queue", "compute_input": "decode", "compute_infer": "infer", "compute_output": "encode"}
_OUTCOMES: Final = ("success", "fail", *_PHASES, "cache_hit", "cache_miss")
_MAX_REGIONS: Final = 16  # for each version; further ones are counted as `other`


class Executions:
    """Successful calls of an engine by batch size; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: dict[int, _Duration] = {}
        self._last_ms = 0

    def count(self, batch: int, spent_s: float) -> None:
        """Count a call with a batch of `batch` items."""
        with self._lock:
            _add(self._calls.setdefault(batch, _empty()), spent_s)
            self._last_ms = int(time.time() * 1e3)

    def describe(self) -> tuple[dict[int, _Duration], int]:
        """Return the calls by batch size, and the Unix time of the last one in milliseconds, 0 if there was none."""
        with self._lock:
            return {batch: calls.copy() for batch, calls in sorted(self._calls.items())}, self._last_ms


class Statistics:
    """Statistics of inference requests for each version, by model name and version number."""

    def __init__(self) -> None:
        self._versions: defaultdict[tuple[str, int], _Version] = defaultdict(_Version)

    def get_executions(self, key: tuple[str, int]) -> Executions:
        """Return the counter for calls of a version's engine."""
        return self._versions[key].executions

    def count(self, key: tuple[str, int], timing: Timing, total_s: float) -> None:
        """Count a successful request."""
        self._versions[key].count(timing, total_s)

    def count_failure(self, key: tuple[str, int], total_s: float, region: str = "") -> None:
        """Count a failed request."""
        self._versions[key].count_outcome("fail", total_s, region)

    def describe(self, name: str, version: int) -> dict[str, Any]:
        """Return a version's entry in Triton's `model_stats`; zeros if it has had no requests."""
        counted = self._versions.get((name, version)) or _Version()
        return {"name": name, "version": str(version), **counted.describe()}


class _Version:
    def __init__(self) -> None:
        self.executions = Executions()
        self._durations: dict[str, _Duration] = {name: _empty() for name in _OUTCOMES}
        self._regions: dict[str, dict[str, _Duration]] = {}
        # Nanoseconds of items' decoding and encoding, by the size of the batch they were computed in.
        self._around_ns: defaultdict[int, dict[str, int]] = defaultdict(lambda: {"decode": 0, "encode": 0})

    def count(self, timing: Timing, total_s: float) -> None:
        self.count_outcome("success", total_s, timing.region)
        phases_ms = timing.phases_ms
        for name, phase in _PHASES.items():
            _add(self._durations[name], phases_ms.get(phase, 0.0) / 1e3)
        for part in timing.parts or (timing,):
            around_ns, spent_ms = self._around_ns[part.batch], part.phases_ms
            for phase in around_ns:
                around_ns[phase] += int(spent_ms.get(phase, 0.0) * 1e6)

    def count_outcome(self, outcome: str, total_s: float, region: str) -> None:
        _add(self._durations[outcome], total_s)
        if region:
            name = region if region in self._regions or len(self._regions) < _MAX_REGIONS else "other"
            _add(self._regions.setdefault(name, {"success": _empty(), "fail": _empty()})[outcome], total_s)

    def describe(self) -> dict[str, Any]:
        calls, last_ms = self.executions.describe()
        return {
            "last_inference": last_ms,
            "inference_count": sum(batch * duration["count"] for batch, duration in calls.items()),
            "execution_count": sum(duration["count"] for duration in calls.values()),
            "inference_stats": self._durations,
            "batch_stats": [self._describe_batch(batch, duration) for batch, duration in calls.items()],
            "memory_usage": [],
            "region_stats": [{"region": name, **durations} for name, durations in sorted(self._regions.items())],
        }

    def _describe_batch(self, batch: int, computed: _Duration) -> dict[str, Any]:
        around_ns = self._around_ns[batch]
        return {
            "batch_size": batch,
            "compute_input": {"count": computed["count"], "ns": around_ns["decode"]},
            "compute_infer": computed,
            "compute_output": {"count": computed["count"], "ns": around_ns["encode"]},
        }


def _empty() -> _Duration:
    return {"count": 0, "ns": 0}


def _add(duration: _Duration, spent_s: float) -> None:
    duration["count"] += 1
    duration["ns"] += int(spent_s * 1e9)
