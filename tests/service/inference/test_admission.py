"""Admission without a server: places, permits and deadlines."""

import asyncio
import gc
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from danmatte.errors import DeadlineError, DrainingError, QueueFullError
from danmatte.inference.admission import STUCK_AFTER, Admission, Place
from danmatte.telemetry.timing import Timing


def build(**given: float) -> Admission:
    """Return a small admission."""
    return Admission(**({"queue": 2, "in_flight": 1, "deadline_s": 5} | given))


async def test_places_are_limited_and_released() -> None:
    admission = build(queue=1)
    async with admission.place():
        with pytest.raises(QueueFullError, match="all 1 places"):
            async with admission.place():
                pass
    async with admission.place():
        assert admission.occupied == 1
    assert admission.occupied == 0


async def test_a_finished_request_is_freed_without_garbage_collection() -> None:
    """Otherwise, the cycle would keep a mask or a tensor in memory, for hundreds of requests at a time."""
    admission = build()

    async def answer() -> None:
        async with admission.place() as place, admission.deadline(), place.permit(Timing()):
            await asyncio.sleep(0)

    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(answer())
        gone = weakref.ref(task)
        await task
        del task
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


async def test_a_failed_request_releases_its_place_and_permit() -> None:
    admission = build()
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with permit(admission):
                raise ZeroDivisionError
    assert admission.occupied == 0


async def test_permits_are_granted_in_order() -> None:
    admission, order = build(queue=9), []

    async def take(name: int) -> None:
        async with permit(admission):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(name) for name in range(5)))
    assert order == [0, 1, 2, 3, 4]


async def test_a_cancelled_waiting_request_does_not_block_others() -> None:
    admission = build()
    async with permit(admission):
        waiting = asyncio.create_task(hold_permit(admission))
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(1), permit(admission):
        pass


async def test_the_wait_for_a_permit_is_measured_as_the_queue_phase() -> None:
    admission, timing = build(), Timing()
    async with permit(admission):
        waiting = asyncio.create_task(hold_permit(admission, timing=timing))
        await asyncio.sleep(0.05)
    await asyncio.sleep(0)
    await cancel(waiting)
    assert timing.phases_ms["queue"] >= 40


async def test_the_deadline_includes_the_wait_for_a_permit() -> None:
    admission = build(deadline_s=0.05)
    async with permit(admission):
        with pytest.raises(DeadlineError, match=r"0\.05 s"):
            async with admission.deadline(), permit(admission):
                pass


async def test_a_timeout_error_of_the_block_itself_is_not_translated() -> None:
    with pytest.raises(TimeoutError):
        async with build().deadline():
            raise TimeoutError


async def test_draining_without_requests_ends_at_once_and_refuses_new_ones() -> None:
    admission = build()
    assert await admission.drain(1)
    with pytest.raises(DrainingError):
        async with admission.place():
            pass


async def test_draining_waits_for_requests_in_progress() -> None:
    admission = build()
    async with admission.place():
        assert not await admission.drain(0.05)
    assert await admission.drain(0.05)


@asynccontextmanager
async def permit(admission: Admission, caller: str = "", timing: Timing | None = None) -> AsyncIterator[None]:
    """Run a request that has a permit."""
    async with admission.place(caller) as place, place.permit(timing or Timing()):
        yield


async def hold_permit(admission: Admission, caller: str = "", timing: Timing | None = None) -> None:
    """Enter a request, acquire a permit, and keep both."""
    async with permit(admission, caller, timing):
        await asyncio.Event().wait()


async def start(*posts) -> list[asyncio.Task[None]]:
    """Start requests, and let each proceed as far as it can."""
    tasks = [asyncio.create_task(post) for post in posts]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def cancel(*tasks: asyncio.Task[None]) -> None:
    """Cancel the requests."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def set_interval(admission: Admission, interval_s: float) -> Admission:
    """Return an admission whose permits are released every `interval_s` while all are in use."""
    admission._permits.interval_s = interval_s
    return admission


async def test_a_request_that_would_exceed_max_wait_is_refused_at_once_with_retry_after() -> None:
    admission = set_interval(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)
    posts = await start(*(hold_permit(admission) for _ in range(9)))
    refused = [task for task in posts if task.done()]
    assert len(refused) == 9 - 1 - 2
    error = refused[0].exception()
    assert isinstance(error, QueueFullError)
    assert "0.6 s" in str(error)
    set_interval(admission, 2.0)
    with pytest.raises(QueueFullError) as refused_later:
        await hold_permit(admission)
    assert refused_later.value.retry_after_s == 4
    await cancel(*posts)


@pytest.mark.parametrize("interval_s", [0.005, 3.0])
async def test_by_default_as_many_requests_may_wait_as_compute(interval_s: float) -> None:
    admission = set_interval(build(queue=99, in_flight=4, deadline_s=30), interval_s)
    posts = await start(*(hold_permit(admission) for _ in range(12)))
    assert sum(not task.done() for task in posts) == 4 + 4
    await cancel(*posts)


async def test_one_request_may_always_wait_however_long_permits_are_held() -> None:
    admission = set_interval(build(queue=99, in_flight=1, max_wait_s=0.01, deadline_s=30), 3.0)
    posts = await start(hold_permit(admission), hold_permit(admission), hold_permit(admission))
    assert [task.done() for task in posts] == [False, False, True]
    await cancel(*posts)


@pytest.mark.parametrize(("interval_s", "waiting"), [(0.5, 6), (0.8, 2), (2.0, 0)])
async def test_a_request_predicted_to_miss_its_deadline_is_refused_at_once(interval_s: float, waiting: int) -> None:
    admission = set_interval(build(queue=99, in_flight=4, max_wait_s=60, deadline_s=5), interval_s)
    posts = await start(*(hold_permit(admission) for _ in range(12)))
    assert sum(not task.done() for task in posts) == 4 + waiting
    await cancel(*posts)


async def test_requests_whose_body_is_arriving_count_in_the_predicted_wait() -> None:
    admission = set_interval(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)

    async def send_body() -> None:
        async with admission.place():
            await asyncio.Event().wait()

    posts = await start(*(send_body() for _ in range(9)))
    assert sum(task.done() for task in posts) == 9 - 3
    assert admission.predict_wait_s() == pytest.approx(0.6)
    await cancel(*posts)
    assert admission.predict_wait_s() == 0


async def test_slow_bodies_block_no_admission_and_are_checked_again_when_complete() -> None:
    admission = set_interval(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)
    come = asyncio.Event()

    async def part(place: Place) -> None:
        async with place.permit(Timing()):
            await asyncio.Event().wait()

    async def send_slow_body() -> list[object]:
        async with admission.place() as place:
            await come.wait()
            return await asyncio.gather(part(place), part(place), return_exceptions=True)

    slow = await start(*(send_slow_body() for _ in range(3)))
    assert admission.predict_wait_s() == pytest.approx(0.6)
    await asyncio.sleep(0.6)
    quick = await start(*(hold_permit(admission) for _ in range(3)))
    assert not any(task.done() for task in (*slow, *quick))
    come.set()
    await start()
    assert all(isinstance(outcome, QueueFullError) for task in slow for outcome in task.result())
    await cancel(*quick)
    assert (admission.occupied, admission.waiting, admission._permits.free) == (0, 0, 1)


async def test_many_requests_of_one_caller_do_not_exclude_other_callers() -> None:
    admission = set_interval(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)
    greedy = await start(*(hold_permit(admission, "greedy") for _ in range(9)))
    assert admission.predict_wait_s("greedy") == pytest.approx(0.6)
    assert admission.predict_wait_s("modest") == pytest.approx(0.4)
    [modest] = await start(hold_permit(admission, "modest"))
    assert not modest.done()
    await cancel(modest, *greedy)


async def test_if_all_places_are_taken_the_heaviest_callers_newest_requests_are_evicted() -> None:
    admission = build(queue=4, in_flight=1)
    greedy = await start(*(hold_permit(admission, "greedy") for _ in range(4)))
    modest = await start(
        hold_permit(admission, "modest"), hold_permit(admission, "modest"), hold_permit(admission, "modest")
    )
    assert [task.done() for task in greedy] == [False, False, True, True]
    assert [task.done() for task in modest] == [False, False, True]
    assert isinstance(greedy[3].exception(), QueueFullError)
    assert "fewer" in str(greedy[3].exception())
    assert admission.occupied == 4
    await cancel(*greedy, *modest)
    assert (admission.occupied, admission.waiting) == (0, 0)


async def test_the_second_heaviest_callers_request_is_evicted_if_the_heaviest_computes() -> None:
    admission = build(queue=5, in_flight=3)
    begun = await start(*(hold_permit(admission, "greediest") for _ in range(3)))
    greedy = await start(*(hold_permit(admission, "greedy") for _ in range(2)))
    [modest] = await start(hold_permit(admission, "modest"))
    assert [task.done() for task in (*begun, *greedy, modest)] == [False, False, False, False, True, False]
    await cancel(modest, *begun, *greedy)


async def test_a_computing_request_is_not_evicted() -> None:
    admission = build(queue=2, in_flight=2)
    greedy = await start(hold_permit(admission, "greedy"), hold_permit(admission, "greedy"))
    [modest] = await start(hold_permit(admission, "modest"))
    assert isinstance(modest.exception(), QueueFullError)
    assert not any(task.done() for task in greedy)
    await cancel(*greedy)


async def test_the_earlier_of_the_requests_and_the_servers_deadline_applies() -> None:
    admission = build(deadline_s=0.05)
    for timeout_s, says in ((0.01, r"0\.01 s"), (9, r"0\.05 s"), (None, r"0\.05 s"), (0, r"0\.05 s")):
        with pytest.raises(DeadlineError, match=says):
            async with admission.deadline(timeout_s):
                await asyncio.Event().wait()


async def test_random_cancellations_leak_no_places_or_permits() -> None:
    admission, chance = build(queue=50, in_flight=3), random.Random(0)

    async def post(caller: str) -> None:
        async with admission.place(caller) as place, admission.deadline():
            await asyncio.sleep(chance.random() / 1000)
            async with place.permit(Timing()):
                await asyncio.sleep(chance.random() / 1000)

    for _ in range(20):
        posts = await start(*(post(chance.choice("abc")) for _ in range(40)))
        await asyncio.sleep(chance.random() / 200)
        for task in posts[::2]:
            task.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
    assert (admission.occupied, admission.waiting, admission._permits.free) == (0, 0, 3)


async def miss_deadline(admission: Admission, timeout_s: float | None = None) -> None:
    """Miss a deadline."""
    with pytest.raises(DeadlineError):
        async with admission.deadline(timeout_s), permit(admission):
            await asyncio.sleep(10)


async def test_a_server_that_misses_all_deadlines_is_not_ready_for_a_while() -> None:
    admission = build(deadline_s=0.02)
    for _ in range(STUCK_AFTER):
        assert admission.ready
        await miss_deadline(admission)
    assert (admission.ready, admission.stuck) == (False, True)
    await asyncio.sleep(0.06)
    assert admission.ready  # requests are accepted again after a while
    await miss_deadline(admission)
    assert admission.stuck  # because the next request missed its deadline as well
    async with permit(admission):
        pass
    assert admission.ready


async def test_missed_deadlines_set_by_clients_do_not_affect_readiness() -> None:
    admission = build(deadline_s=5)
    for _ in range(2 * STUCK_AFTER):
        await miss_deadline(admission, timeout_s=0.001)
    assert admission.ready


async def test_a_request_whose_response_has_begun_is_not_evicted() -> None:
    admission = build(queue=2)
    begun = asyncio.Event()

    async def respond(begins: bool) -> None:
        async with admission.place("greedy") as place:
            if begins:
                with place.send(lambda: pytest.fail("evicted")):
                    pass
            begun.set()
            await asyncio.sleep(0.1)

    first = asyncio.create_task(respond(begins=False))
    await asyncio.sleep(0)
    second = asyncio.create_task(respond(begins=True))  # the newest, which would be evicted first
    await asyncio.sleep(0)
    async with admission.place("modest"):
        await second
    with pytest.raises(QueueFullError):
        await first
