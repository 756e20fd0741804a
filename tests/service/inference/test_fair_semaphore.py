"""Permits are granted round-robin by caller, survive cancellations, and are measured."""

import asyncio

import pytest

from danmatte.inference.fair_semaphore import FairSemaphore


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Queue:
    """Callers that acquire permits in order, and the permits granted to them."""

    def __init__(self, permits: FairSemaphore) -> None:
        self.permits = permits
        self.served: list[str] = []

    async def request(self, caller: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._acquire(caller))
        await asyncio.sleep(0)
        return task

    async def _acquire(self, caller: str) -> None:
        await self.permits.acquire(caller)
        self.served.append(caller)

    async def grant(self, count: int) -> str:
        for _ in range(count):
            self.permits.release()
            await asyncio.sleep(0)
        return "".join(self.served)


@pytest.fixture
async def queue() -> Queue:
    """Return callers of a semaphore whose only permit is in use."""
    permits = FairSemaphore(1)
    await permits.acquire("other")
    return Queue(permits)


async def test_permits_are_granted_round_robin_by_caller(queue: Queue) -> None:
    for caller in "aaaaabbc":
        await queue.request(caller)
    assert queue.permits.waiting == {"a": 5, "b": 2, "c": 1}
    assert await queue.grant(8) == "abcabaaa"
    assert queue.permits.free == 0


async def test_permits_of_one_caller_are_granted_in_request_order() -> None:
    permits, order = FairSemaphore(1), []

    async def take(name: int) -> None:
        await permits.acquire("a")
        order.append(name)
        permits.release()

    await asyncio.gather(*(take(name) for name in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_a_new_caller_waits_for_at_most_one_permit_of_a_busy_caller(queue: Queue) -> None:
    for caller in "aaaaaaaa":
        await queue.request(caller)
    await queue.grant(2)
    await queue.request("b")
    assert await queue.grant(2) == "aaab"


async def test_cancelled_waiting_callers_are_skipped(queue: Queue) -> None:
    tasks = [await queue.request(caller) for caller in "abac"]
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.sleep(0)
    assert await queue.grant(2) == "ac"


async def test_a_permit_granted_to_a_cancelled_caller_goes_to_the_next(queue: Queue) -> None:
    first, _ = await queue.request("a"), await queue.request("b")
    queue.permits.release()
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert queue.served == ["b"]


async def test_a_permit_is_free_again_when_all_callers_were_cancelled(queue: Queue) -> None:
    tasks = [await queue.request(caller) for caller in "aab"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    queue.permits.release()
    assert (queue.permits.free, queue.permits.waiting) == (1, {})


@pytest.mark.parametrize("at_once", [1, 4])
async def test_the_measured_interval_is_that_of_all_permits_together(at_once: int) -> None:
    clock = Clock()
    permits = FairSemaphore(4, clock)
    for _ in range(100):
        began = [await permits.acquire("a") for _ in range(at_once)]
        clock.now += 0.2
        for start in began:
            permits.measure(start)
        for _ in began:
            permits.release()
    assert permits.interval_s == pytest.approx(0.2 / at_once)


async def test_the_measured_interval_follows_a_server_that_slows_down() -> None:
    clock = Clock()
    permits = FairSemaphore(1, clock)
    for took_s in [0.01] * 10 + [0.1] * 40:
        began = await permits.acquire("a")
        clock.now += took_s
        permits.measure(began)
        permits.release()
    assert permits.interval_s == pytest.approx(0.1, rel=0.05)
