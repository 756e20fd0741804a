"""One worker of the service, simulated request by request: admission, permits, threads, pairs of frames, deadlines.

The rules are those of `inference.admission`, `inference.fair_semaphore` and `inference.pool`, written once more for
speed: the real ones need an event loop and take twenty times as long. A test runs both on the same arrivals.
"""

import heapq
import math
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from danmatte.capacity.arrivals import Arrivals, Seconds

Slowness: TypeAlias = Callable[[float], float]
_WEIGHT = 0.1  # of a new interval, as in FairSemaphore


@dataclass(frozen=True)
class WorkerModel:
    """A worker's limits and times.

    `light_s` and `full_s` are quantiles of the time that a thread has a frame, of equal length and rising: alone in
    the worker, and with every core busy. In between, the time is interpolated by how many requests are inside.
    `light_overhead_s` and `full_overhead_s` are what an answer takes besides: the body's way in, and the answer's out.
    `together` is how many frames a thread takes at once when they pile up, 2 in the service.
    """

    cores: int
    permits: int
    places: int
    max_wait_s: float
    deadline_s: float
    light_s: Seconds
    full_s: Seconds
    light_overhead_s: float = 0.0
    full_overhead_s: float = 0.0
    together: int = 2

    def __post_init__(self) -> None:
        if self.light_s.size != self.full_s.size:
            raise ValueError(
                f"full_s: expected {self.light_s.size} quantiles as in light_s, received {self.full_s.size}"
            )

    @property
    def per_s(self) -> float:
        """Frames a second with every core busy."""
        return self.cores / float(self.full_s.mean())


@dataclass(frozen=True)
class Outcomes:
    """What became of each request: seconds from its arrival to its answer, infinite for a refusal or a missed deadline.

    `busy` is the mean share of the threads that had work.
    """

    latencies_s: Seconds
    busy: float

    @property
    def refused_share(self) -> float:
        """Of all requests, those without an answer."""
        return float(np.isinf(self.latencies_s).mean()) if self.latencies_s.size else 0.0

    def percentile_s(self, percent: float) -> float:
        """Over all requests, where one without an answer is infinitely late."""
        return float(np.percentile(self.latencies_s, percent, method="higher")) if self.latencies_s.size else 0.0


def join(parts: list[Outcomes]) -> Outcomes:
    """The outcomes of several runs as one; without any, of a load of nothing."""
    if not parts:
        return Outcomes(np.zeros(0), 0.0)
    return Outcomes(np.concatenate([part.latencies_s for part in parts]), float(np.mean([part.busy for part in parts])))


def simulate(
    worker: WorkerModel, arrivals: Arrivals, chance: np.random.Generator, slowness: Slowness = lambda _: 1.0
) -> Outcomes:
    """What becomes of these arrivals at one worker, which is idle when the first one comes.

    `slowness` is how many times longer everything takes at a moment, in seconds as arrivals have them.
    """
    return _Simulation(worker, arrivals, chance, slowness).run()


class _Simulation:
    """The state of one worker, moved from event to event; requests are numbers, in the order in which they arrive."""

    def __init__(
        self, worker: WorkerModel, arrivals: Arrivals, chance: np.random.Generator, slowness: Slowness
    ) -> None:
        count = len(arrivals.moments_s)
        self.worker, self.slowness = worker, slowness
        self.moments: list[float] = arrivals.moments_s.tolist()
        self.callers: list[int] = arrivals.callers.tolist()
        picks = chance.integers(0, worker.light_s.size, count)
        self.light: list[float] = worker.light_s[picks].tolist()
        self.full: list[float] = worker.full_s[picks].tolist()
        self.latencies = [math.inf] * count
        self.free, self.interval_s = worker.permits, 0.0
        self.queues: dict[int, deque[int]] = {}  # who waits for a permit, by caller, in the order of their turns
        self.waiting = 0
        self.granted: dict[int, float] = {}  # who has a permit, and since when
        self.pool: deque[int] = deque()  # who waits for a thread
        self.idle = worker.cores
        self.ends: list[tuple[float, int, list[int]]] = []  # a heap: when a thread is ready, and with whom
        self.deadlines: deque[tuple[float, int]] = deque()
        self.inside: dict[int, None] = {}
        self.busy_s = 0.0
        self.begun = 0

    def run(self) -> Outcomes:
        """Takes every event in its order; a thread that gets ready comes before an arrival of the same moment."""
        ends, moments, deadlines, number, now = self.ends, [*self.moments, math.inf], self.deadlines, 0, 0.0
        count = len(self.moments)
        while number < count or ends:
            ready = ends[0][0] if ends else math.inf
            if deadlines and deadlines[0][0] <= min(ready, moments[number]):
                self.expire(*deadlines.popleft())
            elif moments[number] < ready:
                now = moments[number]
                self.arrive(number, now)
                number += 1
            else:
                now, _, jobs = heapq.heappop(ends)
                self.finish(jobs, now)
        span_s = max(now - moments[0], 1e-9) if count else 1.0
        return Outcomes(np.array(self.latencies), min(1.0, self.busy_s / (span_s * self.worker.cores)))

    def arrive(self, number: int, now: float) -> None:
        """Lets a request in or refuses it, and has it ask for a permit."""
        caller = self.callers[number]
        if not self.free and self.predict_wait_s(caller) > self.limit_wait_s():
            return
        if len(self.inside) >= self.worker.places and not self.evict_for(caller):
            return
        self.inside[number] = None
        self.deadlines.append((now + self.worker.deadline_s, number))
        if self.free:
            self.free -= 1
            self.grant(number, now)
            return
        self.queues.setdefault(caller, deque()).append(number)
        self.waiting += 1

    def predict_wait_s(self, caller: int) -> float:
        """As Admission does: of each other caller's requests only as many come first as this one has."""
        own = len(self.queues.get(caller, ()))
        if own == 0:
            before = len(self.queues)
        else:
            before = own + sum(min(len(queue), own + 1) for other, queue in self.queues.items() if other != caller)
        return (before + 1) * self.interval_s

    def limit_wait_s(self) -> float:
        """The longest wait accepted: that for one permit at least, leaving time to use it before the deadline."""
        hold_s = self.interval_s * self.worker.permits
        return min(max(self.worker.max_wait_s, hold_s), max(0.0, self.worker.deadline_s - hold_s))

    def evict_for(self, caller: int) -> bool:
        """Has the newest request without a permit of the caller with most places make room."""
        held = Counter(self.callers[number] for number in self.inside)
        for greedy, most in held.most_common():
            if most <= held[caller] + 1:
                return False
            waiting = self.queues.get(greedy)
            if waiting:
                self.forget(waiting[-1])
                return True
        return False

    def grant(self, number: int, now: float) -> None:
        """Gives a permit, and with it a place in the line for a thread."""
        self.granted[number] = now
        self.pool.append(number)
        if self.idle:
            self.idle -= 1
            self.work(now)

    def work(self, now: float) -> None:
        """Has a thread take a frame, and more if every other thread finds one after that; or idle."""
        pool, cores = self.pool, self.worker.cores
        while pool:
            jobs = [pool.popleft()]
            while len(jobs) < self.worker.together and len(pool) >= cores:
                jobs.append(pool.popleft())
            jobs = [job for job in jobs if job in self.inside]  # the others' deadlines have passed
            if jobs:
                share = self.load()
                seconds = sum(self.light[job] + share * (self.full[job] - self.light[job]) for job in jobs)
                seconds *= self.slowness(now)
                self.busy_s += seconds
                self.begun += 1
                heapq.heappush(self.ends, (now + seconds, self.begun, jobs))
                return
        self.idle += 1

    def load(self) -> float:
        """0 with one request in the worker, 1 when all cores are busy and another waits."""
        return min(1.0, (len(self.inside) - 1) / self.worker.cores)

    def finish(self, jobs: list[int], now: float) -> None:
        """Has the thread take what is next, then answers, then hands the permits on, as the event loop does."""
        worker = self.worker
        self.work(now)
        overhead_s = worker.light_overhead_s + self.load() * (worker.full_overhead_s - worker.light_overhead_s)
        overhead_s *= self.slowness(now)
        for job in jobs:
            if job not in self.inside:  # its deadline passed
                continue
            self.latencies[job] = now + overhead_s - self.moments[job]
            interval_s = (now - self.granted.pop(job)) / (worker.permits - self.free)
            self.interval_s += (interval_s - self.interval_s) * (_WEIGHT if self.interval_s else 1)
            del self.inside[job]
            self.release(now)

    def release(self, now: float) -> None:
        """Hands a permit to the next caller's first request; that caller's others line up behind everybody else's."""
        if not self.queues:
            self.free += 1
            return
        caller, queue = next(iter(self.queues.items()))
        number = queue.popleft()
        del self.queues[caller]
        if queue:
            self.queues[caller] = queue
        self.waiting -= 1
        self.grant(number, now)

    def expire(self, moment: float, number: int) -> None:
        """Gives up a request at its deadline. A frame in work stays with its thread, and nobody gets it."""
        if number not in self.inside:
            return
        if number in self.granted:
            del self.granted[number], self.inside[number]
            self.release(moment)
        else:
            self.forget(number)

    def forget(self, number: int) -> None:
        """Takes a request out that waits for a permit."""
        queue = self.queues[self.callers[number]]
        queue.remove(number)
        if not queue:
            del self.queues[self.callers[number]]
        self.waiting -= 1
        del self.inside[number]
