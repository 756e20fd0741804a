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


async def test_places_are_limited_and_given_back() -> None:
    admission = build(queue=1)
    async with admission.place():
        with pytest.raises(QueueFullError, match="all 1 places"):
            async with admission.place():
                pass
    async with admission.place():
        assert admission.occupied == 1
    assert admission.occupied == 0


async def test_an_answer_leaves_nothing_for_the_garbage_collector() -> None:
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


async def test_a_failure_gives_the_place_and_the_permit_back() -> None:
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


async def test_who_leaves_the_line_holds_nobody_up() -> None:
    admission = build()
    async with permit(admission):
        waiting = asyncio.create_task(inside(admission))
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(1), permit(admission):
        pass


async def test_the_wait_for_a_permit_is_the_queue_phase() -> None:
    admission, timing = build(), Timing()
    async with permit(admission):
        waiting = asyncio.create_task(inside(admission, timing=timing))
        await asyncio.sleep(0.05)
    await asyncio.sleep(0)
    await left(waiting)
    assert timing.phases_ms["queue"] >= 40


async def test_the_deadline_counts_the_wait() -> None:
    admission = build(deadline_s=0.05)
    async with permit(admission):
        with pytest.raises(DeadlineError, match=r"0\.05 s"):
            async with admission.deadline(), permit(admission):
                pass


async def test_a_timeout_of_the_block_itself_is_left_alone() -> None:
    with pytest.raises(TimeoutError):
        async with build().deadline():
            raise TimeoutError


async def test_an_empty_house_is_drained_at_once() -> None:
    admission = build()
    assert await admission.drain(1)
    with pytest.raises(DrainingError):
        async with admission.place():
            pass


async def test_draining_waits_for_those_inside() -> None:
    admission = build()
    async with admission.place():
        assert not await admission.drain(0.05)
    assert await admission.drain(0.05)


@asynccontextmanager
async def permit(admission: Admission, caller: str = "", timing: Timing | None = None) -> AsyncIterator[None]:
    """Run a request that has a permit."""
    async with admission.place(caller) as place, place.permit(timing or Timing()):
        yield


async def inside(admission: Admission, caller: str = "", timing: Timing | None = None) -> None:
    """Enter a request, acquire a permit, and keep both."""
    async with permit(admission, caller, timing):
        await asyncio.Event().wait()


async def started(*posts) -> list[asyncio.Task[None]]:
    """Start requests, and let each proceed as far as it can."""
    tasks = [asyncio.create_task(post) for post in posts]
    for _ in range(5):
        await asyncio.sleep(0)
    return tasks


async def left(*tasks: asyncio.Task[None]) -> None:
    """Cancel the requests."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def measured(admission: Admission, interval_s: float) -> Admission:
    """Return an admission whose permits are released every `interval_s` while all are in use."""
    admission._permits.interval_s = interval_s
    return admission


async def test_who_would_wait_too_long_is_refused_at_once_with_a_time_to_return() -> None:
    admission = measured(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)
    posts = await started(*(inside(admission) for _ in range(9)))
    refused = [task for task in posts if task.done()]
    assert len(refused) == 9 - 1 - 2
    error = refused[0].exception()
    assert isinstance(error, QueueFullError)
    assert "0.6 s" in str(error)
    measured(admission, 2.0)
    with pytest.raises(QueueFullError) as told:
        await inside(admission)
    assert told.value.retry_after_s == 4
    await left(*posts)


@pytest.mark.parametrize("interval_s", [0.005, 3.0])
async def test_unless_it_is_said_as_many_may_wait_as_compute(interval_s: float) -> None:
    admission = measured(build(queue=99, in_flight=4, deadline_s=30), interval_s)
    posts = await started(*(inside(admission) for _ in range(12)))
    assert sum(not task.done() for task in posts) == 4 + 4
    await left(*posts)


async def test_one_may_always_wait_however_long_permits_are_held() -> None:
    admission = measured(build(queue=99, in_flight=1, max_wait_s=0.01, deadline_s=30), 3.0)
    posts = await started(inside(admission), inside(admission), inside(admission))
    assert [task.done() for task in posts] == [False, False, True]
    await left(*posts)


@pytest.mark.parametrize(("interval_s", "waiting"), [(0.5, 6), (0.8, 2), (2.0, 0)])
async def test_who_could_not_be_answered_before_the_deadline_is_refused_at_once(
    interval_s: float, waiting: int
) -> None:
    admission = measured(build(queue=99, in_flight=4, max_wait_s=60, deadline_s=5), interval_s)
    posts = await started(*(inside(admission) for _ in range(12)))
    assert sum(not task.done() for task in posts) == 4 + waiting
    await left(*posts)


async def test_bodies_that_arrive_count_as_permits_to_be_granted() -> None:
    admission = measured(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)

    async def arriving() -> None:
        async with admission.place():
            await asyncio.Event().wait()

    posts = await started(*(arriving() for _ in range(9)))
    assert sum(task.done() for task in posts) == 9 - 3
    assert admission.predict_wait_s() == pytest.approx(0.6)
    await left(*posts)
    assert admission.predict_wait_s() == 0


async def test_bodies_that_trickle_keep_nobody_out_and_are_asked_again_when_they_are_there() -> None:
    admission = measured(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)
    come = asyncio.Event()

    async def part(place: Place) -> None:
        async with place.permit(Timing()):
            await asyncio.Event().wait()

    async def trickling() -> list[object]:
        async with admission.place() as place:
            await come.wait()
            return await asyncio.gather(part(place), part(place), return_exceptions=True)

    slow = await started(*(trickling() for _ in range(3)))
    assert admission.predict_wait_s() == pytest.approx(0.6)
    await asyncio.sleep(0.6)
    quick = await started(*(inside(admission) for _ in range(3)))
    assert not any(task.done() for task in (*slow, *quick))
    come.set()
    await started()
    assert all(isinstance(told, QueueFullError) for task in slow for told in task.result())
    await left(*quick)
    assert (admission.occupied, admission.waiting, admission._permits.free) == (0, 0, 1)


async def test_a_crowd_of_one_caller_costs_others_no_admission() -> None:
    admission = measured(build(queue=99, in_flight=1, max_wait_s=0.5), 0.2)
    greedy = await started(*(inside(admission, "greedy") for _ in range(9)))
    assert admission.predict_wait_s("greedy") == pytest.approx(0.6)
    assert admission.predict_wait_s("modest") == pytest.approx(0.4)
    [modest] = await started(inside(admission, "modest"))
    assert not modest.done()
    await left(modest, *greedy)


async def test_when_all_places_are_taken_the_greedy_make_room() -> None:
    admission = build(queue=4, in_flight=1)
    greedy = await started(*(inside(admission, "greedy") for _ in range(4)))
    modest = await started(inside(admission, "modest"), inside(admission, "modest"), inside(admission, "modest"))
    assert [task.done() for task in greedy] == [False, False, True, True]
    assert [task.done() for task in modest] == [False, False, True]
    assert isinstance(greedy[3].exception(), QueueFullError)
    assert "fewer" in str(greedy[3].exception())
    assert admission.occupied == 4
    await left(*greedy, *modest)
    assert (admission.occupied, admission.waiting) == (0, 0)


async def test_the_next_greedy_make_room_when_the_greediest_have_begun() -> None:
    admission = build(queue=5, in_flight=3)
    begun = await started(*(inside(admission, "greediest") for _ in range(3)))
    greedy = await started(*(inside(admission, "greedy") for _ in range(2)))
    [modest] = await started(inside(admission, "modest"))
    assert [task.done() for task in (*begun, *greedy, modest)] == [False, False, False, False, True, False]
    await left(modest, *begun, *greedy)


async def test_who_computes_is_not_thrown_out() -> None:
    admission = build(queue=2, in_flight=2)
    greedy = await started(inside(admission, "greedy"), inside(admission, "greedy"))
    [modest] = await started(inside(admission, "modest"))
    assert isinstance(modest.exception(), QueueFullError)
    assert not any(task.done() for task in greedy)
    await left(*greedy)


async def test_a_callers_own_deadline_is_kept_and_the_servers_too() -> None:
    admission = build(deadline_s=0.05)
    for timeout_s, says in ((0.01, r"0\.01 s"), (9, r"0\.05 s"), (None, r"0\.05 s"), (0, r"0\.05 s")):
        with pytest.raises(DeadlineError, match=says):
            async with admission.deadline(timeout_s):
                await asyncio.Event().wait()


async def test_half_of_the_callers_leaving_at_any_moment_leave_nothing_behind() -> None:
    admission, chance = build(queue=50, in_flight=3), random.Random(0)

    async def post(caller: str) -> None:
        async with admission.place(caller) as place, admission.deadline():
            await asyncio.sleep(chance.random() / 1000)
            async with place.permit(Timing()):
                await asyncio.sleep(chance.random() / 1000)

    for _ in range(20):
        posts = await started(*(post(chance.choice("abc")) for _ in range(40)))
        await asyncio.sleep(chance.random() / 200)
        for task in posts[::2]:
            task.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
    assert (admission.occupied, admission.waiting, admission._permits.free) == (0, 0, 3)


async def late(admission: Admission, timeout_s: float | None = None) -> None:
    """Miss a deadline."""
    with pytest.raises(DeadlineError):
        async with admission.deadline(timeout_s), permit(admission):
            await asyncio.sleep(10)


async def test_who_answers_nobody_in_time_is_not_ready_for_a_while() -> None:
    admission = build(deadline_s=0.02)
    for _ in range(STUCK_AFTER):
        assert admission.ready
        await late(admission)
    assert (admission.ready, admission.stuck) == (False, True)
    await asyncio.sleep(0.06)
    assert admission.ready  # requests are accepted again after a while
    await late(admission)
    assert admission.stuck  # because the next request missed its deadline as well
    async with permit(admission):
        pass
    assert admission.ready


async def test_an_impatient_caller_says_nothing_of_the_server() -> None:
    admission = build(deadline_s=5)
    for _ in range(2 * STUCK_AFTER):
        await late(admission, timeout_s=0.001)
    assert admission.ready


async def test_a_place_whose_answer_has_begun_is_not_given_away() -> None:
    admission = build(queue=2)
    begun = asyncio.Event()

    async def answering(begins: bool) -> None:
        async with admission.place("greedy") as place:
            if begins:
                with place.send(lambda: pytest.fail("given up")):
                    pass
            begun.set()
            await asyncio.sleep(0.1)

    first = asyncio.create_task(answering(begins=False))
    await asyncio.sleep(0)
    second = asyncio.create_task(answering(begins=True))  # the newest, which would be evicted first
    await asyncio.sleep(0)
    async with admission.place("modest"):
        await second
    with pytest.raises(QueueFullError):
        await first
