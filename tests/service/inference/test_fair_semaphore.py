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

    async def asks(self, caller: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._ask(caller))
        await asyncio.sleep(0)
        return task

    async def _ask(self, caller: str) -> None:
        await self.permits.acquire(caller)
        self.served.append(caller)

    async def hand_out(self, count: int) -> str:
        for _ in range(count):
            self.permits.release()
            await asyncio.sleep(0)
        return "".join(self.served)


@pytest.fixture
async def queue() -> Queue:
    """Return callers of a semaphore whose only permit is in use."""
    permits = FairSemaphore(1)
    await permits.acquire("somebody")
    return Queue(permits)


async def test_a_greedy_caller_waits_behind_everybody_elses_first(queue: Queue) -> None:
    for caller in "aaaaabbc":
        await queue.asks(caller)
    assert queue.permits.waiting == {"a": 5, "b": 2, "c": 1}
    assert await queue.hand_out(8) == "abcabaaa"
    assert queue.permits.free == 0


async def test_one_callers_permits_are_in_order_of_asking() -> None:
    permits, order = FairSemaphore(1), []

    async def take(name: int) -> None:
        await permits.acquire("a")
        order.append(name)
        permits.release()

    await asyncio.gather(*(take(name) for name in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_a_newcomer_is_next_but_one_whatever_others_have(queue: Queue) -> None:
    for caller in "aaaaaaaa":
        await queue.asks(caller)
    await queue.hand_out(2)
    await queue.asks("b")
    assert await queue.hand_out(2) == "aaab"


async def test_who_leaves_the_line_is_passed_over(queue: Queue) -> None:
    tasks = [await queue.asks(caller) for caller in "abac"]
    tasks[0].cancel()
    tasks[1].cancel()
    await asyncio.sleep(0)
    assert await queue.hand_out(2) == "ac"


async def test_who_leaves_with_a_permit_just_handed_over_passes_it_on(queue: Queue) -> None:
    first, _ = await queue.asks("a"), await queue.asks("b")
    queue.permits.release()
    first.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert queue.served == ["b"]


async def test_when_all_left_the_permit_is_free_again(queue: Queue) -> None:
    tasks = [await queue.asks(caller) for caller in "aab"]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    queue.permits.release()
    assert (queue.permits.free, queue.permits.waiting) == (1, {})


@pytest.mark.parametrize("at_once", [1, 4])
async def test_the_interval_is_that_of_all_permits_together(at_once: int) -> None:
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


async def test_the_interval_follows_a_server_that_slows_down() -> None:
    clock = Clock()
    permits = FairSemaphore(1, clock)
    for took_s in [0.01] * 10 + [0.1] * 40:
        began = await permits.acquire("a")
        clock.now += took_s
        permits.measure(began)
        permits.release()
    assert permits.interval_s == pytest.approx(0.1, rel=0.05)
