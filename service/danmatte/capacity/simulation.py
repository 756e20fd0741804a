"""A simulation of one worker of the service: admission, permits, threads, pairs of frames, deadlines.

The rules are those of `inference.admission`, `inference.fair_semaphore` and `inference.pool`. They are implemented
again for speed, because the real ones need an event loop and take twenty times as long. A test runs both with the same
arrivals.
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

    `light_s` and `full_s` are quantiles of the time that a thread takes for a frame, of the same number and in
    increasing order: alone in the worker, and with every core busy. In between, the time is interpolated by the number
    of requests in the worker. `light_overhead_s` and `full_overhead_s` are the other parts of the latency: receiving
    the body and sending the response. `together` is the number of frames that a thread takes at once when they queue
    up, 2 in the service.
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
    """The latency of each request in seconds; infinite if it was rejected or missed its deadline.

    `busy` is the mean share of threads in use.
    """

    latencies_s: Seconds
    busy: float

    @property
    def refused_share(self) -> float:
        """The share of requests that weren't answered."""
        return float(np.isinf(self.latencies_s).mean()) if self.latencies_s.size else 0.0

    def percentile_s(self, percent: float) -> float:
        """Return a percentile of all latencies, which is infinite if too many requests weren't answered."""
        return float(np.percentile(self.latencies_s, percent, method="higher")) if self.latencies_s.size else 0.0


def join(parts: list[Outcomes]) -> Outcomes:
    """Return the outcomes of several runs as one; without runs, those of no requests."""
    if not parts:
        return Outcomes(np.zeros(0), 0.0)
    return Outcomes(np.concatenate([part.latencies_s for part in parts]), float(np.mean([part.busy for part in parts])))


def simulate(
    worker: WorkerModel, arrivals: Arrivals, chance: np.random.Generator, slowness: Slowness = lambda _: 1.0
) -> Outcomes:
    """Return the outcomes of these arrivals at one worker, which is idle at first.

    `slowness` returns how many times longer everything takes at a time, in seconds as in the arrivals.
    """
    return _Simulation(worker, arrivals, chance, slowness).run()


class _Simulation:
    """The state of one worker, updated by events; requests are numbers in order of arrival."""

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
        self.queues: dict[int, deque[int]] = {}  # requests that wait for a permit, by caller, next caller first
        self.waiting = 0
        self.granted: dict[int, float] = {}  # requests with a permit, and the times when these were granted
        self.pool: deque[int] = deque()  # requests that wait for a thread
        self.idle = worker.cores
        self.ends: list[tuple[float, int, list[int]]] = []  # a heap of times at which threads finish, and the requests
        self.deadlines: deque[tuple[float, int]] = deque()
        self.admitted: dict[int, None] = {}
        self.busy_s = 0.0
        self.begun = 0

    def run(self) -> Outcomes:
        """Process all events in order; a thread that finishes comes before an arrival at the same time."""
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
        """Admit or reject a request, and grant or queue its permit."""
        caller = self.callers[number]
        if not self.free and self.predict_wait_s(caller) > self.limit_wait_s():
            return
        if len(self.admitted) >= self.worker.places and not self.evict_for(caller):
            return
        self.admitted[number] = None
        self.deadlines.append((now + self.worker.deadline_s, number))
        if self.free:
            self.free -= 1
            self.grant(number, now)
            return
        self.queues.setdefault(caller, deque()).append(number)
        self.waiting += 1

    def predict_wait_s(self, caller: int) -> float:
        """Return the predicted wait, as Admission does: with n own requests waiting, n + 1 of each other come first."""
        own = len(self.queues.get(caller, ()))
        if own == 0:
            before = len(self.queues)
        else:
            before = own + sum(min(len(queue), own + 1) for other, queue in self.queues.items() if other != caller)
        return (before + 1) * self.interval_s

    def limit_wait_s(self) -> float:
        """Return the longest wait accepted: at least the wait for one permit, limited by the deadline."""
        hold_s = self.interval_s * self.worker.permits
        return min(max(self.worker.max_wait_s, hold_s), max(0.0, self.worker.deadline_s - hold_s))

    def evict_for(self, caller: int) -> bool:
        """Evict the newest request without a permit of the caller with the most places; return whether one was."""
        held = Counter(self.callers[number] for number in self.admitted)
        for greedy, count in held.most_common():
            if count <= held[caller] + 1:
                return False
            waiting = self.queues.get(greedy)
            if waiting:
                self.forget(waiting[-1])
                return True
        return False

    def grant(self, number: int, now: float) -> None:
        """Grant a permit, and queue the request for a thread."""
        self.granted[number] = now
        self.pool.append(number)
        if self.idle:
            self.idle -= 1
            self.work(now)

    def work(self, now: float) -> None:
        """Let a thread take a frame, and more if enough remain for all other threads; or let it idle."""
        pool, cores = self.pool, self.worker.cores
        while pool:
            jobs = [pool.popleft()]
            while len(jobs) < self.worker.together and len(pool) >= cores:
                jobs.append(pool.popleft())
            jobs = [job for job in jobs if job in self.admitted]  # the others' deadlines have passed
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
        """Return the load, from 0 with one request in the worker to 1 with all cores busy and another request."""
        return min(1.0, (len(self.admitted) - 1) / self.worker.cores)

    def finish(self, jobs: list[int], now: float) -> None:
        """Let the thread take its next frames, then respond, then release the permits, as the event loop does."""
        worker = self.worker
        self.work(now)
        overhead_s = worker.light_overhead_s + self.load() * (worker.full_overhead_s - worker.light_overhead_s)
        overhead_s *= self.slowness(now)
        for job in jobs:
            if job not in self.admitted:  # its deadline passed
                continue
            self.latencies[job] = now + overhead_s - self.moments[job]
            interval_s = (now - self.granted.pop(job)) / (worker.permits - self.free)
            self.interval_s += (interval_s - self.interval_s) * (_WEIGHT if self.interval_s else 1)
            del self.admitted[job]
            self.release(now)

    def release(self, now: float) -> None:
        """Grant a permit to the next caller's first request; its other requests move behind all other callers."""
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
        """Remove a request at its deadline; a thread that has begun its frame finishes it, without a response."""
        if number not in self.admitted:
            return
        if number in self.granted:
            del self.granted[number], self.admitted[number]
            self.release(moment)
        else:
            self.forget(number)

    def forget(self, number: int) -> None:
        """Remove a request that waits for a permit."""
        queue = self.queues[self.callers[number]]
        queue.remove(number)
        if not queue:
            del self.queues[self.callers[number]]
        self.waiting -= 1
        del self.admitted[number]
