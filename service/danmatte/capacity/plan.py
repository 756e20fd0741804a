"""How many pods and machines a load needs, what binds, and what happens with one machine fewer."""

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

_SATURATED = 0.95  # cores busier than that bind by themselves
_WARM = 0.1  # of a replication, left out: it begins with an idle worker


@dataclass(frozen=True)
class Requirement:
    """What the load must keep to: p99 over all requests, and the share that may go without an answer."""

    p99_s: float
    refused_share: float = 0.001


@dataclass(frozen=True)
class Cluster:
    """The machines to be filled. `spare` of them may fail with the requirement still met; `growth` is for the load."""

    cores_per_machine: int = 16
    cores_per_pod: int = 0
    spare: int = 1
    growth: float = 1.0


class LoadFigures(msgspec.Struct, frozen=True):
    """What is predicted for a load: `busy` is the share of the cores' time that is in use."""

    load: str
    pods: int
    per_s: float
    p50_ms: float
    p99_ms: float
    refused_share: float
    busy: float

    @classmethod
    def summarize(cls, load: str, pods: int, per_s: float, outcomes: Outcomes) -> "LoadFigures":
        """The figures of a simulation; an infinite percentile, where too many weren't answered, stays infinite."""
        p50_ms, p99_ms = (1e3 * outcomes.percentile_s(percent) for percent in (50, 99))
        return cls(load, pods, per_s, p50_ms, p99_ms, outcomes.refused_share, outcomes.busy)


class CurvePoint(msgspec.Struct, frozen=True):
    """A point of the curve: the whole load's rate, and each pattern's p99 there."""

    per_s: float
    p99_ms: dict[str, float]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `danmatte plan`.

    `largest` is the largest load that still meets the requirement once the spare machines have failed; `ranges` the
    same by pattern of arrivals. A pod takes at most `pod_per_s` requests a second then, its cores `pod_busy`.
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
    """Simulates a worker under parts of a load, each figure once."""

    def __init__(self, worker: WorkerModel, requirement: Requirement, seed: int = 0) -> None:
        self.worker, self._requirement, self._seed = worker, requirement, seed
        self._known: dict[tuple[Demand, int, float], Outcomes] = {}

    def predict(self, demand: Demand, pods: int, factor: float) -> Outcomes:
        """What becomes of the load on so many pods; always of the same random numbers, so that loads compare."""
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
        """Whether the requirement is met."""
        wanted = self._requirement
        return outcomes.percentile_s(99) <= wanted.p99_s and outcomes.refused_share <= wanted.refused_share

    def find_pods(self, demand: Demand, factor: float) -> int:
        """The fewest pods that meet the requirement; raises InvalidParameterError where no number does."""
        fewest = max(1, math.floor(demand.count_per_s(factor) / self.worker.per_s))
        most = fewest
        while not self.meets(self.predict(demand, most, factor)):
            if demand.count_per_s(factor) / most < self.worker.per_s / 50:
                p99_ms = 1e3 * self.predict(demand, most, factor).percentile_s(99)
                raise InvalidParameterError(
                    f"--p99-ms: expected what a nearly idle pod keeps to, {p99_ms:.0f} ms, "
                    f"received {1e3 * self._requirement.p99_s:g}"
                )
            most *= 2
        return _search(fewest, most, lambda pods: self.meets(self.predict(demand, pods, factor)))

    def find_largest(self, demand: Demand, pods: int) -> float:
        """The largest factor at which so many pods meet the requirement, in whole steps; 0 where none does."""
        step = demand.find_step(pods)
        most = max(1, math.ceil(1.1 * self.worker.per_s * pods / demand.count_per_s(step)))
        too_many = _search(1, most, lambda steps: not self.meets(self.predict(demand, pods, steps * step)))
        return (too_many - 1) * step


def _search(low: int, high: int, is_reached: Callable[[int], bool]) -> int:
    """The first number from which on it is so; it is at `high`."""
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
    """The plan, without costs; raises InvalidParameterError where no number of pods is enough."""
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
    """What the next larger load would break, in words."""
    where = f"{beyond.load} on {pods} pods, cores {beyond.busy:.0%} busy"
    if beyond.refused_share > requirement.refused_share:
        why = f"refused: {beyond.refused_share:.2%} against {requirement.refused_share:.2%}"
    else:
        why = f"p99: {beyond.p99_ms:.0f} ms against {1e3 * requirement.p99_s:g} ms"
    if beyond.per_s >= _SATURATED * planner.worker.per_s * pods:
        why = f"CPU, and with it {why}"
    return f"{why}, at {where}"


def _compare(planner: Planner, demand: Demand, pods: int) -> dict[str, str]:
    """The largest load by pattern of arrivals."""
    others = {pattern: demand.use(pattern) for pattern in PATTERNS}
    return {pattern: other.describe(planner.find_largest(other, pods)) for pattern, other in others.items() if other}


def _draw(planner: Planner, demand: Demand, pods: int, largest: float) -> list[CurvePoint]:
    """p99 from a fifth of the largest load to well beyond it."""
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
