"""The numbers of pods and machines for a load, the limiting factor, and the figures with one machine fewer."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from danmatte.capacity.arrivals import PATTERNS
from danmatte.capacity.capacity import Capacity, FrameKind
from danmatte.capacity.demand import Demand
from danmatte.capacity.simulation import Outcomes, WorkerModel, join, simulate
from danmatte.errors import InvalidParameterError

_SATURATED = 0.95  # share of busy cores above which the CPU counts as the limit
_WARM = 0.1  # share of a replication that is left out, because it begins with an idle worker


@dataclass(frozen=True)
class Requirement:
    """The limits that must be met: p99 over all requests, and the share of requests without a mask."""

    p99_s: float
    refused_share: float = 0.001


@dataclass(frozen=True)
class Cluster:
    """The machines to plan for. The requirement is met even if `spare` of them fail; `growth` multiplies the load."""

    cores_per_machine: int = 16
    cores_per_pod: int = 0
    spare: int = 1
    growth: float = 1.0


class LoadFigures(msgspec.Struct, frozen=True):
    """The predicted figures of a load; `busy` is the share of the cores' time in use."""

    load: str
    pods: int
    per_s: float
    p50_ms: float
    p99_ms: float
    refused_share: float
    busy: float

    @classmethod
    def summarize(cls, load: str, pods: int, per_s: float, outcomes: Outcomes) -> "LoadFigures":
        """Return the figures of a simulation; a percentile is infinite if too many requests weren't answered."""
        p50_ms, p99_ms = (1e3 * outcomes.percentile_s(percent) for percent in (50, 99))
        return cls(load, pods, per_s, p50_ms, p99_ms, outcomes.refused_share, outcomes.busy)


class CurvePoint(msgspec.Struct, frozen=True):
    """A point of the curve: the rate of the whole load, and its p99 by pattern of arrivals."""

    per_s: float
    p99_ms: dict[str, float]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `danmatte plan`.

    `largest` is the largest load that meets the requirement after the spare machines have failed; `ranges` is the same
    by pattern of arrivals. At that load, a pod gets `pod_per_s` requests a second, and the share `pod_busy` of its
    cores is in use.
    """

    frame: str
    cores_per_pod: int
    pods_needed: int
    pods: int
    machines: int
    cores: int
    memory_bytes: int
    binds: str
    p99_limit_ms: float
    today: LoadFigures
    grown: LoadFigures
    one_fewer: LoadFigures
    largest: LoadFigures
    ranges: dict[str, str]
    pod_per_s: float
    pod_busy: float
    curve: tuple[CurvePoint, ...]
    notes: tuple[str, ...]
    cost_a_month: float | None = None
    video_core_hours: float | None = None


class Planner:
    """A simulator of workers under parts of a load, which caches its results."""

    def __init__(self, worker: WorkerModel, requirement: Requirement, seed: int = 0) -> None:
        self.worker, self._requirement, self._seed = worker, requirement, seed
        self._known: dict[tuple[Demand, int, float], Outcomes] = {}

    def predict(self, demand: Demand, pods: int, factor: float) -> Outcomes:
        """Return the outcomes of the load on this many pods, with the same random numbers each time for comparison."""
        key = (demand, pods, round(factor, 9))
        if key not in self._known:
            chance = np.random.default_rng(self._seed)
            parts = []
            for arrivals in demand.deal(pods, factor, chance):
                found = simulate(self.worker, arrivals, chance)
                parts.append(Outcomes(found.latencies_s[int(_WARM * len(found.latencies_s)) :], found.busy))
            self._known[key] = join(parts)
        return self._known[key]

    def meets(self, outcomes: Outcomes) -> bool:
        """Return whether the outcomes meet the requirement."""
        wanted = self._requirement
        return outcomes.percentile_s(99) <= wanted.p99_s and outcomes.refused_share <= wanted.refused_share

    def find_pods(self, demand: Demand, factor: float) -> int:
        """Return the smallest number of pods that meets the requirement; raises InvalidParameterError if none does."""
        low = max(1, math.floor(demand.count_per_s(factor) / self.worker.per_s))
        high = low
        while not self.meets(self.predict(demand, high, factor)):
            if demand.count_per_s(factor) / high < self.worker.per_s / 50:
                p99_ms = 1e3 * self.predict(demand, high, factor).percentile_s(99)
                raise InvalidParameterError(
                    f"--p99-ms: expected at least the p99 of a nearly idle pod, {p99_ms:.0f} ms, "
                    f"received {1e3 * self._requirement.p99_s:g}"
                )
            high *= 2
        return _search(low, high, lambda pods: self.meets(self.predict(demand, pods, factor)))

    def find_largest(self, demand: Demand, pods: int) -> float:
        """Return the largest factor, in whole steps, at which the pods meet the requirement; 0 if none does."""
        step = demand.find_step(pods)
        high = max(1, math.ceil(1.1 * self.worker.per_s * pods / demand.count_per_s(step)))
        too_many = _search(1, high, lambda steps: not self.meets(self.predict(demand, pods, steps * step)))
        return (too_many - 1) * step


def _search(low: int, high: int, is_reached: Callable[[int], bool]) -> int:
    """Return the first number from `low` to `high` for which the condition is true, by bisection; `high` if none."""
    while low < high:
        middle = (low + high) // 2
        if is_reached(middle):
            high = middle
        else:
            low = middle + 1
    return low


def make_plan(
    capacity: Capacity, demand: Demand, requirement: Requirement, cluster: Cluster, frame: FrameKind | None = None
) -> Plan:
    """Return the plan, without costs; raises InvalidParameterError if no number of pods is enough."""
    each = cluster.cores_per_pod or min(capacity.cores[-1], cluster.cores_per_machine)
    if each > cluster.cores_per_machine:
        raise InvalidParameterError(
            f"--cores-per-pod: expected at most a machine's {cluster.cores_per_machine}, received {each}"
        )
    notes = ["the network between callers and pods isn't in the times"]
    if each > capacity.cores[-1]:
        notes.append(f"pods of {each} cores are extrapolated: at most {capacity.cores[-1]} were measured")
    planner = Planner(capacity.model_worker(each, frame), requirement)
    needed = planner.find_pods(demand, cluster.growth)
    survivors = math.ceil(needed / (cluster.cores_per_machine // each))
    on_machine = math.ceil(needed / survivors)
    machines = survivors + cluster.spare
    pods = machines * on_machine
    alone = survivors * on_machine
    largest = planner.find_largest(demand, alone)

    def predict(on: int, factor: float) -> LoadFigures:
        outcomes = planner.predict(demand, on, factor)
        return LoadFigures.summarize(demand.describe(factor), on, demand.count_per_s(factor), outcomes)

    limit = predict(alone, largest) if largest else predict(alone, cluster.growth)
    return Plan(
        frame=str(frame or capacity.frame),
        cores_per_pod=each,
        pods_needed=needed,
        pods=pods,
        machines=machines,
        cores=machines * cluster.cores_per_machine,
        memory_bytes=capacity.resident_bytes,
        binds=_explain(planner, requirement, predict(alone, largest + demand.find_step(alone)), alone),
        p99_limit_ms=1e3 * requirement.p99_s,
        today=predict(pods, 1.0),
        grown=predict(pods, cluster.growth),
        one_fewer=predict(max(on_machine, pods - on_machine), cluster.growth),
        largest=limit,
        ranges=_compare(planner, demand, alone),
        pod_per_s=limit.per_s / alone,
        pod_busy=limit.busy,
        curve=tuple(_draw(planner, demand, alone, largest)),
        notes=tuple(notes),
    )


def _explain(planner: Planner, requirement: Requirement, beyond: LoadFigures, pods: int) -> str:
    """Return in words which limit the next larger load would exceed."""
    where = f"{beyond.load} on {pods} pods, cores {beyond.busy:.0%} busy"
    if beyond.refused_share > requirement.refused_share:
        why = f"refused: {beyond.refused_share:.2%} against {requirement.refused_share:.2%}"
    else:
        why = f"p99: {beyond.p99_ms:.0f} ms against {1e3 * requirement.p99_s:g} ms"
    if beyond.per_s >= _SATURATED * planner.worker.per_s * pods:
        why = f"CPU, and with it {why}"
    return f"{why}, at {where}"


def _compare(planner: Planner, demand: Demand, pods: int) -> dict[str, str]:
    """Return the largest load by pattern of arrivals."""
    others = {pattern: demand.use(pattern) for pattern in PATTERNS}
    return {pattern: other.describe(planner.find_largest(other, pods)) for pattern, other in others.items() if other}


def _draw(planner: Planner, demand: Demand, pods: int, largest: float) -> list[CurvePoint]:
    """Return the curve of p99 from about a quarter of the largest load to 1.3 times that load."""
    others: dict[str, Demand | None] = {pattern: demand.use(pattern) for pattern in PATTERNS}
    curves = {name: other for name, other in others.items() if other} or {"recorded": demand}
    step = demand.find_step(pods)
    most = max(largest, step) * 1.3
    factors = sorted({max(1, round(most * part / 10 / step)) * step for part in range(2, 11)})
    return [
        CurvePoint(
            demand.count_per_s(factor),
            {name: 1e3 * planner.predict(other, pods, factor).percentile_s(99) for name, other in curves.items()},
        )
        for factor in factors
    ]
